//! The protocol of `scened` (to be written as prose by the owner of this crate) and a blocking client.

pub mod client;
pub mod endpoint;
pub mod frame;
pub mod hello;
pub mod message;
pub mod method;
pub mod wire_path;

/// Version of the protocol; only additive changes are made inside one integer.
pub const PROTOCOL: u32 = 1;
