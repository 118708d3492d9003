//! `scened`: keeps a library of videos searchable by what they show.
//!
//! `main` reads the arguments and the configuration, and calls [`app::run`], which returns when the daemon has ended.
//!
//! # Start and end
//!
//! 1. [`instance`] locks the data folder and opens the socket. A client that connects early waits.
//! 2. [`store`] opens the database, and repairs damage. It is the source of truth: everything else can be rebuilt from it or from the
//!    videos.
//! 3. [`models`] opens the models. Then the indexing threads start ([`pipeline`]), then the reconciler with its watches ([`reconcile`]).
//! 4. The request threads start ([`requests`]), and [`ipc`] serves the socket.
//!
//! The end is roughly the reverse: clients, watches, indexing with its workers, indexes, request threads. The store and the lock are last.
//!
//! # The path of a video
//!
//! The operating system reports a change ([`watch`]). The reconciler checks the file, waits until nothing writes to it any more, and
//! compares it with the store. A new video becomes a durable job. An indexing thread takes the job, opens the file ([`video_file`]), and
//! passes the descriptor to a media worker ([`media`]). The worker finds scenes and sends frames of each. An embed worker turns the frames
//! into vectors ([`embed`]). One batch writes everything to the store. A follower reads the store's log of changes and keeps the index
//! equal to it ([`ann`]).
//!
//! # The path of a query
//!
//! A connection reads a line and finds the request's method ([`ipc`]). A request thread does the work, so that the socket's thread never
//! blocks. [`query`] takes the text's vector from its cache, or asks the embed worker for it. The index gives candidate scenes. The vectors
//! of their frames in the store decide the order. `ipc` writes the hits as an answer.
//!
//! # Rooms
//!
//! A room is a module in this folder. The list goes from the top layer down: a room may use only rooms below it. ARCHITECTURE.md says
//! which, and `scripts/check_rooms` enforces it.
//!
//! - [`app`]: makes the parts, connects them, and ends them in order.
//! - [`ipc`]: connections, one handler for each method, and the only wire types.
//! - [`command`]: subcommands of `scened`, and the checks of `scenectl doctor`.
//! - [`requests`]: the threads that answer requests, and the order of requests.
//! - [`folders`]: adding and removing watched folders.
//! - [`query`]: queries, candidates, ranking, confidence.
//! - [`pipeline`]: indexing threads and their jobs.
//! - [`models`]: the model in use, the change to another one, indexes that follow the store.
//! - [`reconcile`]: compares the watched folders with the store, and decides what to do.
//! - [`watch`]: file system events, as hints.
//! - [`config`]: reads and checks config.toml.
//! - [`instance`]: the data folder's lock and the socket.
//! - [`embed`]: embed workers; vectors of pictures and texts.
//! - [`media`]: media workers; scenes, frames, keyframe pictures.
//! - [`worker`]: finds, starts, watches and ends worker processes.
//! - [`ann`]: the index of the nearest vectors.
//! - [`video_file`]: opens a video without changing anything about it.
//! - [`store`]: the database, with its log of changes.
//! - [`fatal`]: errors that end the daemon, with their exit status.
//! - `quarantine`: moves damaged data out of the way.
//! - [`machine`]: power, pressure, disk space, mounts, timeouts, systemd, the clock.
//! - [`supervise`]: restarts threads that die.
//! - [`failpoint`]: places where tests make the program fail.
//! - [`activity`]: one place to wait for any change.
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
