//! `scened`: keeps a library of videos searchable by what is seen in them.
//!
//! `main` reads the arguments and the configuration, and calls [`app::run`], which returns when the daemon has ended.
//!
//! # Start and end
//!
//! 1. The data folder is locked and the socket is opened ([`instance`]). A client that comes early waits.
//! 2. The store is opened, and repaired where it is damaged ([`store`]). It is the truth; all else can be made again from it or from the videos.
//! 3. The models open ([`models`]), then the indexing threads start ([`pipeline`]), then the reconciler and its watches ([`reconcile`]).
//! 4. The threads for requests start ([`requests`]), and the socket is served ([`ipc`]).
//!
//! The end goes the other way: clients, watches, indexing with its workers, indexes, threads for requests. The store and the lock are last.
//!
//! # How a video travels
//!
//! The system tells of a change ([`watch`]). The reconciler looks at the file, waits until it is no longer written to, and compares it with
//! the store. A new video becomes a durable job. An indexing thread takes the job, opens the file ([`video_file`]), and gives the descriptor
//! to a media worker ([`media`]). The worker finds scenes and sends frames of each; an embed worker makes vectors of the frames ([`embed`]).
//! One batch brings everything into the store. A follower reads the store's log of changes and keeps the index equal to it ([`ann`]).
//!
//! # How a question travels
//!
//! A connection reads a line and finds the request's method ([`ipc`]). A thread for requests does the work, so that the socket's thread never
//! blocks. [`query`] has the text's vector in its cache, or asks the embed worker for it. The index gives candidate scenes. Their frames'
//! vectors in the store decide the order. `ipc` writes the hits as an answer.
//!
//! # Rooms
//!
//! From the top of the house to its ground: a room may use only rooms below it. ARCHITECTURE.md says which, and `scripts/check_rooms` holds
//! the code to that.
//!
//! - [`app`]: makes the parts, connects them, and ends them in order.
//! - [`ipc`]: connections, one handler a method, and the only types of the wire.
//! - [`command`]: what `scened` does besides serving, and the checks of `scenectl doctor`.
//! - [`requests`]: the threads that answer requests, and whose request is next.
//! - [`folders`]: adding and removing watched folders.
//! - [`query`]: questions, candidates, ranking, confidence.
//! - [`pipeline`]: indexing threads and their jobs.
//! - [`models`]: which model answers, the change to another one, indexes that follow the store.
//! - [`reconcile`]: what the tree of files is, and what has to be done about it.
//! - [`watch`]: events of the file system, as hints.
//! - [`config`]: config.toml, checked.
//! - [`instance`]: the data folder's lock and the socket.
//! - [`embed`]: embed workers; vectors of pictures and texts.
//! - [`media`]: media workers; scenes, frames, keyframe pictures.
//! - [`worker`]: how worker processes are found, started, watched and ended.
//! - [`ann`]: the index of the nearest vectors.
//! - [`video_file`]: opening a video without changing anything about it.
//! - [`store`]: the database, with its log of changes.
//! - [`fatal`]: what ends the daemon, with its exit status.
//! - `quarantine`: damaged data, moved out of the way.
//! - [`machine`]: power, pressure, disk space, mounts, timeouts, systemd, the clock.
//! - [`supervise`]: threads that are started again when they die.
//! - [`failpoint`]: places where tests have the program fail.
//! - [`activity`]: one place to wait until anything changes.
//! - [`logging`]: the log.

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
