//! Fakes for tests of this and other crates, behind the feature `testing`. Each is stricter than the real thing.

pub mod embedder;
pub mod frames;
