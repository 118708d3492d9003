//! What the daemon and its workers must agree on: plain values, the pipe between them, and what goes through it.
//!
//! `scened` and `scened-worker` are built on this crate, and neither on the other.
//! It starts no process and no thread, and it knows neither store, index and sockets nor FFmpeg and ONNX Runtime.

#![warn(missing_docs)]

pub mod damage;
pub mod domain;
pub mod embed;
pub mod media;
pub mod pipe;
pub mod providers;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

/// The source checkout that this was built from. Only programs that lie in a `target` folder look there.
///
/// A build for others (`scripts/deb.sh`) names none, so that the same source makes the same program wherever it lies.
pub const CHECKOUT: &str = match option_env!("SCENED_CHECKOUT") {
    Some(other) => other,
    None => concat!(env!("CARGO_MANIFEST_DIR"), "/../.."),
};
