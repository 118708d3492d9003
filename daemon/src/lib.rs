//! `scened`: keeps a library of videos searchable by what is seen in them.

pub mod activity;
pub mod ann;
mod aside;
pub mod clock;
pub mod config;
pub mod domain;
pub mod embed;
pub mod fault;
pub mod instance;
pub mod logging;
pub mod media;
pub mod pipeline;
mod power;
pub mod query;
pub mod serving;
pub mod store;
pub mod systemd;
