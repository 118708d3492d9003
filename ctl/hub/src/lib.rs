//! Models from the Hugging Face hub, placed into the data folder.
//!
//! Owns:
//! - the forms in which a user names a model ([`reference`]), and the catalog;
//! - which files of a repository a model needs ([`layout`]);
//! - the hub's URLs, headers and errors ([`client`]);
//! - downloads that survive interruptions (`fetch`);
//! - the staging folder and the atomic placing ([`staging`]);
//! - the hub's own cache on this machine (`cache`).
//!
//! `reference`, `catalog` and `layout` are pure: they read no file and open no connection.
//!
//! This is the only package that connects to other machines.
//!
//! Deliberately does not know: the daemon and its protocol, arguments, printing, and the advice that users get about an error. Only the
//! daemon can decide whether a folder holds a usable model; this package only checks that the files are present.
//!
//! Threads: everything here runs on the caller's thread, and ends soon after its [`Stop`](scened_shared::stop::Stop) is requested.
//!
//! **Why not the crate `hf-hub`**: its blocking client (0.5) does not compare downloads with the hub's hash. It does not send `If-Range`
//! when it resumes, and it does not keep an unfinished file under a hash that a later run could compare. Version 1.0 needs tokio and
//! reqwest. `ureq` with rustls is what `hf-hub` 0.5 itself uses.

#![warn(missing_docs)]

mod cache;
pub mod catalog;
pub mod client;
mod digest;
pub mod disk_space;
pub mod error;
mod fetch;
pub mod install;
pub mod layout;
mod listing;
pub mod local;
mod pace;
pub mod reference;
mod retry;
pub mod settings;
pub mod staging;

/// Receives the progress of a download. Its methods run on the downloading thread and must not block.
pub trait Watcher: Send + Sync {
    /// Signals the start, with the total size (`None` if the hub does not report it), and how much of it is present already.
    fn begin(&self, total_bytes: Option<u64>, done_bytes: u64);
    /// Signals that the next file is being fetched.
    fn file(&self, name: &str);
    /// Reports how many bytes of the total are present now.
    fn position(&self, done_bytes: u64);
    /// Reports that an attempt failed and is retried.
    fn retry(&self, why: &str);
}
