//! Fakes for tests, behind the feature `testing`. Each is stricter than the real thing.

pub mod frames;
