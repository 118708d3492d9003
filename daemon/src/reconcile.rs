//! The truth-maker: compares the watched folders with the store, and queues, moves, marks and removes videos until they agree.
//!
//! A rescan and an event run the same code, because an event only says which path to check. One thread (`reconcile`) does all the checking.
//! It is the only thread that adds, moves and removes videos. It sleeps until an event, a command, or the next due time.
//!
//! **Queues**: events ([`crate::watch::EVENT_CAPACITY`], overflow → rescan) and commands ([`COMMAND_CAPACITY`], the caller waits).
//!
//! How a change becomes certain:
//! - A file that is new or has another stamp is checked again after `settle`. Then its fingerprint is read.
//! - A known fingerprint under a new path is a move if the known file is certainly not at its own path. Otherwise it is a copy.
//! - A file that is missing, or whose content was replaced, keeps its video for a grace time. In that time its content may turn up
//!   elsewhere. The video is removed only if its root is still the same one and its folder could be read.
//!
//! Knows nothing about the content of videos, models, or clients.
//!
//! The thread waits for a hung network mount once, for a few seconds ([`crate::machine::with_timeout`]). Then the videos on that mount are
//! offline until it answers.

mod core;
pub mod fingerprint;
mod identity;
pub mod rules;
mod settle;
mod shared;
#[cfg(test)]
mod tests;
mod volumes;
mod whereabouts;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;

use fingerprint::Reading;
pub use rules::{Exclusion, Rules, RulesError};
pub use volumes::Volume;

use crate::store::Store;
use crate::supervise::{self, End, Supervised};
use crate::watch::{self, Change};
use shared::{Shared, lock};

/// Maximum number of commands waiting for the reconciler. If the queue is full, the caller waits.
pub const COMMAND_CAPACITY: usize = 64;

/// How long [`ReconcilerHandle::set_roots`] waits for a reconciler that is busy (or stuck in a hung mount).
pub const SET_ROOTS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a start waits for the first check of the watched folders.
const FIRST_SCAN_TIMEOUT: Duration = Duration::from_secs(1);

/// What to watch and how. Paths are absolute.
#[derive(Clone, Debug)]
pub struct ReconcileConfig {
    pub roots: Vec<PathBuf>,
    pub rules: Arc<Rules>,
    /// How long a file must stay unchanged before it counts as complete.
    pub settle: Duration,
    /// Time between two scans of everything that need no event. Places without (all) events are scanned four times as often.
    pub rescan_every: Duration,
}

/// Called when the answer of [`ReconcilerHandle::queue`], [`ReconcilerHandle::roots`] or [`ReconcilerHandle::warnings`] changes. Changes of
/// videos and jobs travel through [`Store::on_change`].
///
/// It runs on the reconciler's thread. It must be quick and must not call the handle's waiting functions.
pub type OnChange = Arc<dyn Fn() + Send + Sync>;

/// The work that is not certain yet. If both counts are zero, the store agrees with everything that happened before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReconcileQueue {
    /// Folders that are being walked or wait for it.
    pub walks: u64,
    /// Files that may still grow, videos whose disappearance is not yet certain, and events not yet processed.
    pub settling: u64,
}

impl ReconcileQueue {
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Why a path is or isn't in the index, as far as the file system shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// It is in none of the watched folders.
    Unwatched,
    /// Its watched folder cannot be reached; the reason.
    Offline(String),
    Excluded(Exclusion),
    /// There is no such file.
    Missing,
    /// It cannot be read; the reason.
    Unreachable(String),
    /// It will be checked again soon: it was written to a moment ago, or is still growing.
    Settling,
    /// Its name or a file beside it shows that a program has not finished it. It is checked once it has not been written to for a long
    /// time.
    Unfinished,
    /// The file belongs in the index.
    Fine,
}

/// State of a root, for `folders` and `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootState {
    /// Changes are noticed at once.
    Watched,
    /// Some changes raise no event here, so the folder is also scanned regularly.
    Polled,
    Offline,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootStatus {
    pub path: PathBuf,
    pub state: RootState,
    /// Why it is polled or offline.
    pub detail: Option<String>,
    /// While it is offline: its last known volume, if there is one.
    pub volume: Option<Volume>,
    /// While it is online: the places in it whose volume is missing. The root's own path is among them if another volume was there before.
    pub away: Vec<(PathBuf, Volume)>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("the thread of the reconciler cannot be started")]
    Thread(#[source] std::io::Error),
}

/// Starts reconcilers.
pub struct Reconciler;

/// Limits of the system and of this program; tests make them small.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Number of watched folders; `None` = a share of what the system allows.
    n_watches: Option<usize>,
    /// Number of events that may wait.
    n_events: usize,
    /// How long a file must stay unchanged if its name says that a program has not finished it.
    unfinished_rest: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            n_watches: None,
            n_events: watch::EVENT_CAPACITY,
            unfinished_rest: Duration::from_mins(10),
        }
    }
}

impl Reconciler {
    /// Starts the thread, which scans everything at once. [`ReconcilerHandle::queue`] is not empty until that is done.
    pub fn start(config: ReconcileConfig, store: Store, on_change: OnChange) -> Result<ReconcilerHandle, ReconcileError> {
        Self::start_with_limits(config, store, on_change, Limits::default())
    }

    fn start_with_limits(
        config: ReconcileConfig,
        store: Store,
        on_change: OnChange,
        limits: Limits,
    ) -> Result<ReconcilerHandle, ReconcileError> {
        let (event_sender, events) = watch::event_queue(limits.n_events);
        let (commands, command_receiver) = crossbeam_channel::bounded(COMMAND_CAPACITY);
        let (rules, roots) = (Arc::clone(&config.rules), config.roots.clone());
        let shared = Arc::new(Shared::new(rules, roots, config.settle, events.in_flight()));
        let (looked, first_scan) = crossbeam_channel::bounded(1);
        let core = core::CoreParts {
            config,
            store,
            on_change,
            shared: Arc::clone(&shared),
            commands: command_receiver,
            events,
            event_sender: event_sender.clone(),
            watch_limit: limits.n_watches,
            looked,
            unfinished_rest: limits.unfinished_rest,
        };
        let supervised = Supervised::essential("reconcile", "new, changed and deleted files are not noticed");
        let for_waiting = Arc::clone(&core.on_change);
        let body = move || {
            core.run();
            End::Asked
        };
        let given_up = move |_: &str| for_waiting();
        let thread = supervise::spawn(&supervised, body, given_up).map_err(ReconcileError::Thread)?;
        // The first caller then sees the real state of the folders. A folder that hangs delays it only until the timeout.
        let _looked = first_scan.recv_timeout(FIRST_SCAN_TIMEOUT);
        Ok(ReconcilerHandle {
            commands,
            events: event_sender,
            shared,
            thread: Mutex::new(Some(thread)),
            supervised,
        })
    }
}

enum Command {
    /// Answered once the reconciler will no longer touch anything in the dropped roots.
    SetRoots(Vec<PathBuf>, Sender<()>),
    Rescan(Option<PathBuf>),
    /// Answered once every event that the kernel had queued before is counted.
    Barrier(Sender<()>),
    Stop,
}

/// A handle to a running reconciler. Dropping it stops the thread.
pub struct ReconcilerHandle {
    commands: Sender<Command>,
    events: watch::EventSender,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    supervised: Arc<Supervised>,
}

impl ReconcilerHandle {
    /// Returns why changes are no longer noticed, if the thread was given up.
    pub fn is_given_up(&self) -> Option<String> {
        self.supervised.is_given_up()
    }

    /// Watches these folders from now on. Videos of folders that are no longer among them stay in the store, untouched. The caller decides
    /// with [`is_below`] and the store whether to remove them or to mark them offline.
    ///
    /// Returns true once the reconciler no longer touches videos of the dropped folders, and false after [`SET_ROOTS_TIMEOUT`].
    pub fn set_roots(&self, roots: Vec<PathBuf>) -> bool {
        let (reply, answered) = crossbeam_channel::bounded(1);
        self.request(Command::SetRoots(roots, reply));
        answered.recv_timeout(SET_ROOTS_TIMEOUT).is_ok()
    }

    /// Scans one folder or file, or everything. Returns the number of watched folders concerned; 0 means that the path is in none.
    pub fn rescan(&self, path: Option<PathBuf>) -> u64 {
        let n_roots = {
            let roots = lock(&self.shared.roots);
            let concerned = |root: &&RootStatus| {
                path.as_ref()
                    .is_none_or(|path| path.starts_with(&root.path) || root.path.starts_with(path))
            };
            roots.iter().filter(concerned).count() as u64
        };
        self.request(Command::Rescan(path));
        n_roots
    }

    /// Returns what is still uncertain. It includes every event received so far. To include everything that happened before now, call
    /// [`barrier`](Self::barrier) first.
    pub fn queue(&self) -> ReconcileQueue {
        self.shared.queue()
    }

    /// Waits until every change made before the call is counted in [`queue`](Self::queue) or has reached the store. Returns false after
    /// `timeout`; the queue then stays non-empty until this is so. Exact on local Linux file systems: the kernel queues an event inside the
    /// system call that causes it.
    pub fn barrier(&self, timeout: Duration) -> bool {
        let (reply, answered) = crossbeam_channel::bounded(1);
        self.shared.requested.fetch_add(1, Ordering::SeqCst);
        if self.commands.send_timeout(Command::Barrier(reply), timeout).is_err() {
            self.shared.requested.fetch_sub(1, Ordering::SeqCst);
            return false;
        }
        answered.recv_timeout(timeout).is_ok()
    }

    pub fn roots(&self) -> Vec<RootStatus> {
        lock(&self.shared.roots).clone()
    }

    /// Returns the warnings that the user must act on: unreadable folders, watch limits.
    pub fn warnings(&self) -> Vec<String> {
        lock(&self.shared.warnings).clone()
    }

    /// Explains why `path` is or isn't in the index. Reads the file system in the caller's thread.
    pub fn explain(&self, path: &Path) -> Explanation {
        self.shared.explain(path)
    }

    /// Gives the reconciler a hint, as the watcher does. For tests, and for programs that know of changes on network folders.
    pub fn hint(&self, change: Change) {
        self.events.send(change);
    }

    /// Ends the thread and waits for it.
    pub fn stop(&self) {
        // An error means that the thread has already ended.
        drop(self.commands.send(Command::Stop));
        if let Some(thread) = lock(&self.thread).take()
            && thread.join().is_err()
        {
            tracing::error!("the reconciler's thread panicked");
        }
    }

    fn request(&self, command: Command) {
        // The request is counted before the thread can receive it, so that `queue` never says "nothing" in between.
        self.shared.requested.fetch_add(1, Ordering::SeqCst);
        if self.commands.send(command).is_err() {
            self.shared.requested.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for ReconcilerHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Decides whether `path` is in `root` but in none of `others`. The videos there go when `root` is removed while `others` stay.
pub fn is_below(path: &Path, root: &Path, others: &[PathBuf]) -> bool {
    path.starts_with(root) && !others.iter().any(|other| path.starts_with(other))
}
