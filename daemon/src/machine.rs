//! What the daemon asks of the machine that it runs on: power, pressure, disk space, mounts, the service manager, the clock.
//!
//! Knows nothing about videos. Nothing here waits for ever: what a hung mount may block goes through [`with_timeout`].

pub mod clock;
pub mod disk_space;
pub mod mounts;
pub mod power;
pub mod pressure;
pub mod systemd;
pub mod with_timeout;
