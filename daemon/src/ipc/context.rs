//! The parts that handlers use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use scened_shared::frame::RpcError;
use scened_shared::spelling;
use scened_shared::wire_path::WirePath;
use tokio::sync::broadcast;

use crate::activity::Activity;
use crate::folders::Folders;
use crate::ipc::convert;
use crate::ipc::event::Event;
use crate::models::Models;
use crate::models::serving::Serving;
use crate::pipeline::Indexer;
use crate::query::Searcher;
use crate::reconcile::{ReconcilerHandle, RootStatus};
use crate::requests::{ClientProcess, Lane, Pool};
use crate::store::{Store, VideoRecord};
use crate::worker::throttle::Throttle;

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
    pub throttle: Throttle,
    pub started: Instant,
    /// Warnings found at start that remain true: about configuration, store, sandbox and codecs.
    pub start_warnings: Vec<String>,
    pub doctor: crate::command::doctor::Facts,
}

impl Context {
    /// Runs blocking work on the query pool. A full lane is an error, not a wait.
    pub(super) async fn in_pool<T: Send + 'static>(
        &self,
        lane: Lane,
        client: ClientProcess,
        work: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let outcome = self.pool.run(lane, client, work).await;
        outcome.unwrap_or_else(|error| Err(convert::unanswered(error)))
    }

    /// Returns the videos that are indexed, but not for the model that answers.
    pub(super) fn lacking(&self) -> Vec<Arc<VideoRecord>> {
        let current = self.serving.current();
        current.map_or_else(|_| Vec::new(), |current| self.store.videos_without_vectors(&current.info.id))
    }

    /// Converts a client's path to the name that the watched folders use.
    ///
    /// Clients resolve links. But a configured folder may be a link, or be below one (`~/Videos` on another disk), and its videos are known
    /// by the configured name.
    pub(super) fn path(&self, file: &WirePath) -> Result<PathBuf, RpcError> {
        let path = convert::path(file)?;
        let roots = self.reconciler.roots();
        let path = self.as_known(path, &roots);
        if roots.iter().any(|root| path.starts_with(&root.path)) {
            return Ok(path);
        }
        Ok(roots.iter().find_map(|root| below_link(&path, &root.path)).unwrap_or(path))
    }

    /// Converts a path to the spelling that the store and the watched folders use. A client may encode an accent differently from the
    /// system that named the file, and the file may be away. An exact match has priority.
    fn as_known(&self, path: PathBuf, roots: &[RootStatus]) -> PathBuf {
        if path.as_os_str().as_encoded_bytes().is_ascii() {
            return path;
        }
        let videos = self.store.videos();
        let at = videos.partition_point(|video| video.path < path);
        if videos.get(at).is_some_and(|video| video.path.starts_with(&path)) || roots.iter().any(|root| root.path == path) {
            return path;
        }
        let n_components = path.components().count();
        let wanted = spelling::plain(&path);
        let as_long = |known: &Path| -> Option<PathBuf> {
            let start: PathBuf = known.components().take(n_components).collect();
            (spelling::plain(&start) == wanted).then_some(start)
        };
        let mut known = roots
            .iter()
            .map(|root| root.path.as_path())
            .chain(videos.iter().map(|video| video.path.as_path()));
        let at = path.clone();
        let on_disk = crate::machine::with_timeout::run(&path, move |_| Ok(spelling::on_disk(&at))).unwrap_or_else(|_| path.clone());
        // A file with exactly this name exists, and it is another one.
        let is_other = |known: &PathBuf| identity(&on_disk).is_some_and(|here| identity(known).is_some_and(|known| known != here));
        known.find_map(as_long).filter(|known| !is_other(known)).unwrap_or(on_disk)
    }

    pub(super) fn paths(&self, files: &[WirePath]) -> Result<Vec<PathBuf>, RpcError> {
        files.iter().map(|file| self.path(file)).collect()
    }
}

/// Returns the device and inode of the file or folder at `path`.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let at = path.to_owned();
    let found = crate::machine::with_timeout::run(path, move |_| std::fs::symlink_metadata(at)).ok()?;
    Some((found.dev(), found.ino()))
}

/// Returns `path` rewritten to be below `root`, if it is below the folder that `root` resolves to.
fn below_link(path: &Path, root: &Path) -> Option<PathBuf> {
    let at = root.to_owned();
    let resolved = crate::machine::with_timeout::run(root, move |_| std::fs::canonicalize(at)).ok()?;
    let below = path.strip_prefix(&resolved).ok()?;
    // Joining an empty path would add a slash.
    Some(if below.as_os_str().is_empty() {
        root.to_owned()
    } else {
        root.join(below)
    })
}
