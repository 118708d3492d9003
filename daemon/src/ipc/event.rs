//! The events for subscribers, as the daemon's own type.

use std::path::PathBuf;

/// An event of a video, for subscribers.
#[derive(Clone, Debug)]
pub enum Event {
    Indexed { path: PathBuf, n_scenes: usize },
    Failed { path: PathBuf, reason: String },
    Removed { path: PathBuf },
    Moved { path: PathBuf, from: PathBuf },
}
