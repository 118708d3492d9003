//! Models from the Hugging Face hub, placed into the data folder.
//!
//! Owns: what a person may type for a model ([`reference`]), the catalog, which files of a repository a model needs ([`layout`]), the
//! hub's URLs, headers and errors ([`client`]), downloads that survive interruptions ([`fetch`]), the staging folder and the atomic
//! placing ([`staging`]), and the hub's own cache on this machine ([`cache`]). `reference`, `catalog`, `layout`, `digest` and `settings`
//! are pure: they read no file and open no connection.
//!
//! Deliberately does not know: the daemon, arguments, printing. Whether a folder makes a usable model is the daemon's to say, because
//! scenectl must not link it; here only the presence of the files is known.
//!
//! Threads: everything here runs on one thread, which the command starts so that Ctrl-C can be heard on another ([`stop`]).
//!
//! **Why not the crate `hf-hub`**: its blocking client (0.5) neither compares what it downloaded with the hub's hash, nor asks with
//! `If-Range` when it resumes, nor keeps an unfinished file under a hash that a later run could compare; 1.0 needs tokio and reqwest.
//! `ureq` with rustls is what `hf-hub` 0.5 itself uses underneath.

pub(crate) mod cache;
pub(crate) mod catalog;
pub(crate) mod client;
pub(crate) mod digest;
pub(crate) mod error;
pub(crate) mod fetch;
pub(crate) mod install;
pub(crate) mod layout;
pub(crate) mod listing;
pub(crate) mod local;
pub(crate) mod probe;
pub(crate) mod reference;
pub(crate) mod room;
pub(crate) mod settings;
pub(crate) mod staging;
pub(crate) mod stop;

/// Who wants to know how far a download is.
pub(crate) trait Watcher: Send + Sync {
    /// Work begins: so many bytes in all (`None` where the hub does not say), of which so many are there already.
    fn begin(&self, total_bytes: Option<u64>, done_bytes: u64);
    /// Another file is being fetched.
    fn file(&self, name: &str);
    /// This many bytes of the whole are there now.
    fn position(&self, done_bytes: u64);
    /// Something did not work and is tried again.
    fn retry(&self, why: &str);
}
