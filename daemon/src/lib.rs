//! `scened`: keeps a library of videos searchable by what is seen in them.

pub mod ann;
mod aside;
pub mod config;
pub mod domain;
pub mod embed;
pub mod media;
pub mod reconcile;
pub mod store;
pub mod watch;
