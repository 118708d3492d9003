//! `scened`: keeps a library of videos searchable by what is seen in them.

pub(crate) use scened_common::CHECKOUT;
pub use scened_common::domain;

pub mod activity;
pub mod ann;
pub mod app;
pub mod command;
pub mod config;
pub mod embed;
pub mod failpoint;
pub mod fatal;
pub mod folders;
pub mod instance;
pub mod ipc;
pub mod logging;
pub mod machine;
pub mod media;
pub mod models;
pub mod pipeline;
mod quarantine;
pub mod query;
pub mod reconcile;
pub mod requests;
pub mod store;
pub mod supervise;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod video_file;
pub mod watch;
pub mod worker;
