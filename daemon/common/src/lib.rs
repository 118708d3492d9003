//! What the daemon and its workers must agree on: plain values, the pipe between them, and the messages on it.
//!
//! `scened` and `scened-worker` both depend on this crate, and not on each other. It starts no process and no thread. It knows nothing of
//! the store, the index, sockets, FFmpeg or ONNX Runtime.

#![warn(missing_docs)]

pub mod damage;
pub mod domain;
pub mod embed;
pub mod media;
pub mod pipe;
pub mod providers;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

/// The source checkout of this build. Only programs in a `target` folder search it.
///
/// A build for distribution (`scripts/deb.sh`) names none, so that the same source gives the same program wherever it is built.
pub const CHECKOUT: &str = match option_env!("SCENED_CHECKOUT") {
    Some(other) => other,
    None => concat!(env!("CARGO_MANIFEST_DIR"), "/../.."),
};
