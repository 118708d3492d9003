//! The watches of all folders: one watcher for this machine's own file systems, and one for each mount that may hang.
//!
//! Setting a watch looks its folder up. On a hung mount the lookup never returns, and the watcher's thread then reports no more events.
//! With one watcher for each mount, only that mount is affected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};

use super::watches::system_limit;
use super::{EventSender, WatchOutcome, Watches};
use crate::machine::{mounts, with_timeout};

pub struct AllWatches {
    own: Watches,
    /// By mount point. Locked by the thread that accesses the mount, which may never return.
    others: BTreeMap<PathBuf, Arc<Mutex<Watches>>>,
    events: EventSender,
    /// Maximum number of watches.
    limit: usize,
}

impl AllWatches {
    /// Starts the watcher of this machine's own file systems. Without it every folder must be polled.
    pub fn start(events: EventSender, limit: Option<usize>) -> Self {
        Self {
            own: Watches::new(events.clone()),
            others: BTreeMap::new(),
            events,
            limit: limit.unwrap_or_else(system_limit),
        }
    }

    /// Returns why the system provides no watcher, as far as is known now.
    pub fn lack(&self) -> Option<String> {
        let of_others = self
            .others
            .values()
            .find_map(|watches| watches.try_lock().ok()?.lack().map(str::to_owned));
        self.own.lack().map(str::to_owned).or(of_others)
    }

    /// Returns the number of watched folders, as far as is known now.
    pub fn n_watched(&self) -> usize {
        let n_others = self
            .others
            .values()
            .filter_map(|watches| Some(watches.try_lock().ok()?.n_watched()));
        self.own.n_watched() + n_others.sum::<usize>()
    }

    /// Watches one folder, but nothing below it. Does nothing if it is already watched.
    pub fn add(&mut self, folder: &Path) -> WatchOutcome {
        let is_full = self.n_watched() >= self.limit;
        let Some(mount) = mounts::mount_that_may_hang(folder) else {
            return self.own.add(folder, is_full);
        };
        let watches = self
            .others
            .entry(mount)
            .or_insert_with(|| Arc::new(Mutex::new(Watches::new(self.events.clone()))));
        let (watches, at) = (Arc::clone(watches), folder.to_owned());
        let added = with_timeout::run(folder, move |_| Ok(with(&watches, |watches| watches.add(&at, is_full))));
        match added {
            Ok(Some(outcome)) => outcome,
            Ok(None) => WatchOutcome::Failed(std::io::ErrorKind::ResourceBusy.into()),
            Err(error) => WatchOutcome::Failed(error),
        }
    }

    /// Forgets the watches of `folder` and of everything below it. The watches of a mount that does not answer are forgotten when it
    /// answers, because it is scanned again then.
    pub fn remove_below(&mut self, folder: &Path) {
        self.own.remove_below(folder);
        self.others
            .retain(|mount, _| mounts::mount_that_may_hang(mount).as_deref() == Some(mount));
        let at = folder.to_owned();
        self.on_others(
            |mount| mount.starts_with(folder) || folder.starts_with(mount),
            move |watches| watches.remove_below(&at),
        );
    }

    /// Returns when every event that the kernel had queued before this call has been sent to the queue.
    pub fn flush(&mut self) {
        self.own.flush();
        self.on_others(|_| true, Watches::flush);
    }

    fn on_others(&self, concerned: impl Fn(&Path) -> bool, work: impl Fn(&mut Watches) + Clone + Send + 'static) {
        for (mount, watches) in self.others.iter().filter(|(mount, _)| concerned(mount)) {
            let (watches, work) = (Arc::clone(watches), work.clone());
            let done = with_timeout::run(mount, move |_| Ok(with(&watches, work)));
            if !matches!(done, Ok(Some(()))) {
                tracing::debug!(mount = %mount.display(), "its watches cannot be changed now");
            }
        }
    }
}

/// Runs `work` on the watches. `None`: a thread that waits for the mount has the lock.
fn with<T>(watches: &Mutex<Watches>, work: impl FnOnce(&mut Watches) -> T) -> Option<T> {
    match watches.try_lock() {
        Ok(mut watches) => Some(work(&mut watches)),
        Err(TryLockError::Poisoned(poisoned)) => Some(work(&mut poisoned.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    }
}
