//! What the handlers may use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::broadcast;

use crate::activity::Activity;
use crate::folders::Folders;
use crate::models::Models;
use crate::pipeline::Indexer;
use crate::query::{Pool, Searcher};
use crate::reconcile::ReconcilerHandle;
use crate::serving::Serving;
use crate::store::Store;

/// What happened to a video, for subscribers.
#[derive(Clone, Debug)]
pub enum Event {
    Indexed { path: PathBuf, n_scenes: usize },
    Failed { path: PathBuf, reason: String },
    Removed { path: PathBuf },
    Moved { path: PathBuf, from: PathBuf },
}

pub struct Context {
    pub store: Store,
    pub serving: Arc<Serving>,
    pub models: Arc<Models>,
    pub folders: Arc<Folders>,
    pub searcher: Arc<Searcher>,
    pub indexer: Indexer,
    pub reconciler: Arc<ReconcilerHandle>,
    pub pool: Pool,
    pub activity: Activity,
    pub events: broadcast::Sender<Event>,
    pub started: Instant,
    /// Warnings found at start that stay true: config, store, data folder.
    pub start_warnings: Vec<String>,
    pub doctor: crate::doctor::Facts,
}
