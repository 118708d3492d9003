//! `scened`: keeps a library of videos searchable by what is seen in them.

pub mod config;
pub mod domain;
pub mod embed;
pub mod media;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod worker;
