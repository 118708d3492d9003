//! What the reconciler's thread shows to others: counts without a gap, states of the roots, warnings, explanations.

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
    /// The folders to watch, also for the next reconciler when one has died.
    pub(super) wanted: Mutex<Vec<PathBuf>>,
    /// Commands sent whose work is not yet counted in `counts`.
    pub(super) requested: AtomicU64,
    /// Of these, the ones that a reconciler died over: the next one looks through everything, and then they are done.
    owed: AtomicU64,
    /// Events received that are not yet counted in `counts`.
    in_flight: Arc<AtomicU64>,
    /// As of the end of the last step; never lowered before its results are in the store. Both counts in one word (walks in the
    /// upper half), because work moves from one to the other and must not be missed in between.
    counts: AtomicU64,
}

/// A lock whose data stay usable when a thread panicked while holding it: they are counts and lists for display.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counted as requested until it is dropped; in a panic, until the next reconciler has looked at everything.
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

/// What is told of a folder before it was looked at.
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
            // The first look at everything.
            requested: AtomicU64::new(1),
            owed: AtomicU64::new(1),
            in_flight,
            counts: AtomicU64::new(0),
        }
    }

    /// A command that is being obeyed.
    pub(super) fn obeying(self: &Arc<Self>) -> Obeying {
        Obeying(Arc::clone(self))
    }

    /// Everything that is asked for so far is counted.
    pub(super) fn settle_debts(&self) {
        self.requested.fetch_sub(self.owed.swap(0, Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Shows new counts; true if they differ from those before.
    pub(super) fn publish(&self, walks: usize, uncertain: usize) -> bool {
        let half = |n: usize| n.min(u32::MAX as usize) as u64;
        let counts = half(walks) << 32 | half(uncertain);
        self.counts.swap(counts, Ordering::SeqCst) != counts
    }

    pub(super) fn queue(&self) -> ReconcileQueue {
        // Read in the order in which work moves on: it is counted at its next station before it leaves this one.
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

/// Whether a file ends like a video and is something else (TypeScript, music), by its first bytes.
pub(super) fn is_something_else(path: &Path, follow: bool) -> io::Result<bool> {
    if !content::is_ambiguous(path) {
        return Ok(false);
    }
    content::may_be_video(&open_video(path, follow)?).map(|may_be| !may_be)
}
