//! Fakes for tests of this and other crates.
