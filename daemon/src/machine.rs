//! What the daemon reads from its machine: power, pressure, disk space, mounts, the service manager, the clock.
//!
//! Knows nothing about videos. Accesses that a hung mount may block go through [`with_timeout`], so that they do not wait forever. Only the
//! disk of the data folder is accessed directly.

pub mod clock;
pub mod disk_space;
pub mod mounts;
pub mod power;
pub mod pressure;
pub mod systemd;
pub mod with_timeout;
