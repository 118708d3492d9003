//! Subcommands of `scened`, one file each, and the checks of `scenectl doctor`.
//!
//! A command knows the parts that it uses. Those parts know neither the commands nor the wire.

pub mod doctor;
pub mod inspect;
pub mod probe_model;
pub mod set_aside;
pub mod thumbnail;
