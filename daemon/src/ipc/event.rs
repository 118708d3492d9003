//! What subscribers are told of, in the daemon's own words.

use std::path::PathBuf;

/// What happened to a video, for subscribers.
#[derive(Clone, Debug)]
pub enum Event {
    Indexed { path: PathBuf, n_scenes: usize },
    Failed { path: PathBuf, reason: String },
    Removed { path: PathBuf },
    Moved { path: PathBuf, from: PathBuf },
}
