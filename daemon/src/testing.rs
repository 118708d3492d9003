//! Fakes for tests of this and other crates, behind the feature `testing`. Each is stricter than the part it replaces.

pub mod embedder;
pub mod frames;
