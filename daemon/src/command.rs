//! What `scened` does besides serving: one file a subcommand, and the checks that `scenectl doctor` asks for.
//!
//! A command knows the parts that it drives. None of them knows the commands, the socket or the wire.

pub mod doctor;
pub mod inspect;
pub mod probe_model;
pub mod set_aside;
pub mod thumbnail;
