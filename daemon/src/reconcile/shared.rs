//! The state that the reconciler's thread shares with others: counts without a gap, states of the roots, warnings, explanations.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fingerprint::open_video;
use super::rules::content;
use super::rules::{self, Rules};
use super::settle::Settling;
use super::whereabouts::says_missing;
use super::{Exclusion, Explanation, ReconcileQueue, RootState, RootStatus};
use crate::machine::with_timeout;

pub(super) struct Shared {
    pub(super) rules: Arc<Rules>,
    pub(super) settling: Mutex<Settling>,
    pub(super) roots: Mutex<Vec<RootStatus>>,
    pub(super) warnings: Mutex<Vec<String>>,
    /// The folders to watch. If a reconciler dies, the next one reads them here.
    pub(super) wanted: Mutex<Vec<PathBuf>>,
    /// Number of commands sent whose work is not yet counted in `counts`.
    pub(super) requested: AtomicU64,
    /// The ones among them that a reconciler died over. The next one scans everything, and then they are done.
    owed: AtomicU64,
    /// Number of events received that are not yet counted in `counts`.
    in_flight: Arc<AtomicU64>,
    /// The counts at the end of the last step, never lowered before the results are in the store. Both share one word (walks in the upper
    /// half), because work moves from one to the other and must not be missed in between.
    counts: AtomicU64,
}

/// Locks data that stay usable if a thread panicked while holding the lock: they are counts and lists for display.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a command counted as requested until it is dropped. After a panic it stays counted until the next reconciler has checked
/// everything.
pub(super) struct Obeying(Arc<Shared>);

impl Drop for Obeying {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.owed.fetch_add(1, Ordering::SeqCst);
        } else {
            self.0.requested.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The status of a folder before its first check.
fn not_checked_yet(path: &Path) -> RootStatus {
    RootStatus {
        path: path.to_owned(),
        state: RootState::Offline,
        detail: Some("not scanned yet".to_owned()),
        volume: None,
        away: Vec::new(),
    }
}

impl Shared {
    pub(super) fn new(rules: Arc<Rules>, roots: Vec<PathBuf>, settle: Duration, in_flight: Arc<AtomicU64>) -> Self {
        Self {
            rules,
            settling: Mutex::new(Settling::new(settle)),
            roots: Mutex::new(roots.iter().map(|path| not_checked_yet(path)).collect()),
            wanted: Mutex::new(roots),
            warnings: Mutex::default(),
            // The first check of everything.
            requested: AtomicU64::new(1),
            owed: AtomicU64::new(1),
            in_flight,
            counts: AtomicU64::new(0),
        }
    }

    /// Begins a command.
    pub(super) fn obeying(self: &Arc<Self>) -> Obeying {
        Obeying(Arc::clone(self))
    }

    /// Settles the commands of a reconciler that died: all requested work is now counted.
    pub(super) fn settle_debts(&self) {
        self.requested.fetch_sub(self.owed.swap(0, Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Publishes new counts. Returns true if they differ from the former ones.
    pub(super) fn publish(&self, walks: usize, uncertain: usize) -> bool {
        let half = |n: usize| n.min(u32::MAX as usize) as u64;
        let counts = half(walks) << 32 | half(uncertain);
        self.counts.swap(counts, Ordering::SeqCst) != counts
    }

    pub(super) fn queue(&self) -> ReconcileQueue {
        // The counts are read in the order in which work moves on: work is counted at its next station before it leaves this one.
        let in_flight = self.in_flight.load(Ordering::SeqCst);
        let requested = self.requested.load(Ordering::SeqCst);
        let counts = self.counts.load(Ordering::SeqCst);
        ReconcileQueue {
            walks: requested + (counts >> 32),
            settling: in_flight + (counts & u64::from(u32::MAX)),
        }
    }

    pub(super) fn explain(self: &Arc<Self>, path: &Path) -> Explanation {
        let root = {
            let roots = lock(&self.roots);
            let owner = roots.iter().filter(|root| path.starts_with(&root.path));
            owner.max_by_key(|root| root.path.as_os_str().len()).cloned()
        };
        let Some(root) = root else { return Explanation::Unwatched };
        if root.state == RootState::Offline {
            return Explanation::Offline(root.detail.unwrap_or_default());
        }
        let (shared, at) = (Arc::clone(self), path.to_owned());
        with_timeout::run(path, move |_| Ok(shared.check_and_explain(&root, &at)))
            .unwrap_or_else(|error| Explanation::Unreachable(error.to_string()))
    }

    fn check_and_explain(&self, root: &RootStatus, path: &Path) -> Explanation {
        let follow = self.rules.follow_symlinks();
        let looked = if follow { path.metadata() } else { path.symlink_metadata() };
        let metadata = match looked {
            Ok(metadata) => metadata,
            Err(error) if says_missing(&error) => return Explanation::Missing,
            Err(error) => return Explanation::Unreachable(error.to_string()),
        };
        if metadata.is_symlink() {
            return Explanation::Excluded(Exclusion::Symlink(path.to_owned()));
        }
        if let Some(exclusion) = rules::exclusion(&self.rules, &root.path, path, metadata.is_dir()) {
            return Explanation::Excluded(exclusion);
        }
        if !metadata.is_file() && !metadata.is_dir() {
            return Explanation::Excluded(Exclusion::NotAFile);
        }
        if metadata.is_file() && is_something_else(path, follow).is_ok_and(|is_else| is_else) {
            return Explanation::Excluded(Exclusion::NotVideo);
        }
        let settling = lock(&self.settling);
        if settling.contains(path) {
            return if settling.waits_long(path) {
                Explanation::Unfinished
            } else {
                Explanation::Settling
            };
        }
        Explanation::Fine
    }
}

/// Decides by the first bytes whether a file ends like a video and is something else (TypeScript, music).
pub(super) fn is_something_else(path: &Path, follow: bool) -> io::Result<bool> {
    if !content::is_ambiguous(path) {
        return Ok(false);
    }
    content::may_be_video(&open_video(path, follow)?).map(|may_be| !may_be)
}
