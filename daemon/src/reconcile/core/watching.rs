//! The watches of folders, and the folders for which none was left. Those are scanned now and then instead.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::watch::mounts::MountWatch;
use crate::watch::{AllWatches, EventSender, WatchOutcome};

pub(super) struct Watching {
    watches: AllWatches,
    _mount_watch: Option<MountWatch>,
    /// Folders for which no watch was left.
    unwatched: BTreeSet<PathBuf>,
    /// When the folders without a watch were last scanned.
    polled_at: Option<Instant>,
}

impl Watching {
    /// Starts watching. `limit`: the number of watches; `None` = a share of what the system allows.
    pub(super) fn start(events: &EventSender, limit: Option<usize>) -> Self {
        let mount_watch = MountWatch::start(events.clone())
            .inspect_err(|error| tracing::debug!(%error, "mounts are only polled"))
            .ok();
        Self {
            watches: AllWatches::start(events.clone(), limit),
            _mount_watch: mount_watch,
            unwatched: BTreeSet::new(),
            polled_at: None,
        }
    }

    /// Watches one folder, if a watch is left.
    pub(super) fn add(&mut self, folder: &Path) {
        match self.watches.add(folder) {
            WatchOutcome::Watched => {
                self.unwatched.remove(folder);
            }
            WatchOutcome::LimitReached => {
                self.unwatched.insert(folder.to_owned());
            }
            // The listing that follows shows why.
            WatchOutcome::Failed(error) => tracing::debug!(folder = %folder.display(), %error, "cannot be watched"),
        }
    }

    /// Removes the watches of `folder` and of everything below it, which are void or will be set again.
    pub(super) fn remove_below(&mut self, folder: &Path) {
        self.watches.remove_below(folder);
    }

    /// Forgets the unwatched folders at `folder` and below it: nothing is left to scan there.
    pub(super) fn forget_unwatched_below(&mut self, folder: &Path) {
        self.unwatched.retain(|unwatched| !unwatched.starts_with(folder));
    }

    /// Returns when every event that the kernel had queued before this call has been sent.
    pub(super) fn flush(&mut self) {
        self.watches.flush();
    }

    /// Returns whether every folder that could be watched is watched.
    pub(super) fn is_complete(&self) -> bool {
        self.unwatched.is_empty()
    }

    pub(super) fn n_unwatched_below(&self, folder: &Path) -> usize {
        self.unwatched.iter().filter(|unwatched| unwatched.starts_with(folder)).count()
    }

    /// Returns the folders to scan because they have no watch, and notes the scan at `now`.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<PathBuf> {
        self.polled_at = Some(now);
        self.unwatched.iter().cloned().collect()
    }

    /// Returns when the folders without a watch were last scanned.
    pub(super) fn polled_at(&self) -> Option<Instant> {
        self.polled_at
    }

    /// Returns a warning for the user if watches are lacking.
    pub(super) fn warning(&self, poll_every: Duration) -> Option<String> {
        if self.is_complete() {
            return None;
        }
        let (n_watched, n_unwatched) = (self.watches.n_watched(), self.unwatched.len());
        let why = self
            .watches
            .lack()
            .unwrap_or_else(|| "the limit of inotify watches is reached (sysctl fs.inotify.max_user_watches)".to_owned());
        Some(format!(
            "watching {n_watched} of {} folders: {why}; the others are scanned every {} minutes",
            n_watched + n_unwatched,
            poll_every.as_secs() / 60
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::event_queue;

    const QUARTER: Duration = Duration::from_mins(15);

    #[test]
    fn folders_beyond_the_limit_are_polled_until_they_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b", "b/c"].map(|name| folder.path().join(name));
        for path in &paths {
            std::fs::create_dir(path).unwrap();
        }
        let (sender, _receiver) = event_queue(8);
        let mut watching = Watching::start(&sender, Some(1));
        assert_eq!(watching.warning(QUARTER), None);
        for path in &paths {
            watching.add(path);
        }
        assert!(!watching.is_complete());
        assert_eq!(watching.n_unwatched_below(folder.path()), 2);
        assert_eq!(watching.n_unwatched_below(&paths[2]), 1);
        let warning = watching.warning(QUARTER).unwrap();
        assert!(warning.starts_with("watching 1 of 3 folders: "), "{warning}");
        assert!(warning.ends_with("every 15 minutes"), "{warning}");
        let now = Instant::now();
        assert_eq!(watching.polled_at(), None);
        assert_eq!(watching.poll(now), paths[1..]);
        assert_eq!(watching.polled_at(), Some(now));
        watching.forget_unwatched_below(&paths[1]);
        assert!(watching.is_complete());
    }

    #[test]
    fn a_folder_gets_the_watch_that_another_one_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for path in &paths {
            std::fs::create_dir(path).unwrap();
        }
        let (sender, _receiver) = event_queue(8);
        let mut watching = Watching::start(&sender, Some(1));
        for path in &paths {
            watching.add(path);
        }
        assert_eq!(watching.poll(Instant::now()), paths[1..]);
        watching.remove_below(&paths[0]);
        watching.add(&paths[1]);
        assert!(watching.is_complete());
    }
}
