//! `scened`: keeps a library of videos searchable by what is seen in them.

/// The source checkout that this was built from; only programs that lie in a `target` folder look there. What is built for others
/// (`scripts/deb.sh`) names none, so that the same source makes the same program wherever it lies.
pub(crate) const CHECKOUT: &str = match option_env!("SCENED_CHECKOUT") {
    Some(other) => other,
    None => concat!(env!("CARGO_MANIFEST_DIR"), "/.."),
};
/// Of the data folder: pictures of what was embedded, for other models.
pub(crate) const KEYFRAMES_FOLDER: &str = "keyframes";

pub mod activity;
pub mod ann;
pub mod app;
mod aside;
pub mod clock;
pub mod config;
mod damage;
pub mod doctor;
pub mod domain;
pub mod embed;
pub mod failpoint;
pub mod fatal;
pub mod film;
pub mod folders;
pub mod instance;
pub mod ipc;
pub mod logging;
pub mod media;
pub mod models;
pub mod pipeline;
pub mod power;
pub mod pressure;
pub mod probe;
pub mod query;
pub mod reach;
pub mod reconcile;
pub mod rescue;
pub mod room;
pub mod serving;
pub mod store;
pub mod supervise;
pub mod systemd;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod watch;
pub mod worker;
