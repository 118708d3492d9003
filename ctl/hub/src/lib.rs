//! Models from the Hugging Face hub, placed into the data folder.
//!
//! Owns: what a person may type for a model ([`reference`]), the catalog, which files of a repository a model needs ([`layout`]), the
//! hub's URLs, headers and errors ([`client`]), downloads that survive interruptions (`fetch`), the staging folder and the atomic
//! placing ([`staging`]), and the hub's own cache on this machine (`cache`). `reference`, `catalog` and `layout` are pure: they read no
//! file and open no connection.
//!
//! This is the only package that speaks to other machines.
//!
//! Deliberately does not know: the daemon and its protocol, arguments, printing, what people are advised to do about an error. Whether a
//! folder makes a usable model is the daemon's to say; here only the presence of the files is known.
//!
//! Threads: everything here runs on the caller's thread, and ends soon after its [`Stop`](scened_shared::stop::Stop) is asked.
//!
//! **Why not the crate `hf-hub`**: its blocking client (0.5) neither compares what it downloaded with the hub's hash, nor asks with
//! `If-Range` when it resumes, nor keeps an unfinished file under a hash that a later run could compare; 1.0 needs tokio and reqwest.
//! `ureq` with rustls is what `hf-hub` 0.5 itself uses underneath.

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

/// Hears how far a download is. Its methods are called on the thread that downloads, and must not wait.
pub trait Watcher: Send + Sync {
    /// Work begins: so many bytes in all (`None` where the hub does not say), of which so many are there already.
    fn begin(&self, total_bytes: Option<u64>, done_bytes: u64);
    /// Another file is being fetched.
    fn file(&self, name: &str);
    /// This many bytes of the whole are there now.
    fn position(&self, done_bytes: u64);
    /// Something did not work and is tried again.
    fn retry(&self, why: &str);
}
