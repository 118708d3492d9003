//! The watched folders: one watch each on Linux, a limit that leaves other programs some, and the way round `notify`'s stale entries.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::{EventSender, forward};

/// What became of a wish to watch a folder.
#[derive(Debug)]
pub enum WatchOutcome {
    Watched,
    /// No more watches are to be had: the folder has to be polled.
    LimitReached,
    /// The folder cannot be watched: it vanished, or it may not be read.
    Failed(std::io::Error),
}

/// Owns the `notify` watcher and knows which folders it watches.
pub struct Watches {
    /// `None`: the system gives us no watcher at all.
    notify: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Watches {
    /// Starts the watcher's thread, which sends to `events` from now on.
    pub fn start(events: EventSender) -> Result<Self, notify::Error> {
        let config = notify::Config::default().with_follow_symlinks(false);
        let notify = RecommendedWatcher::new(move |event| forward(event, &events), config)?;
        Ok(Self {
            notify: Some(notify),
            watched: BTreeSet::new(),
        })
    }

    /// Stands in where no watcher can be had (128 inotify instances a user): every folder has to be polled.
    pub fn none() -> Self {
        Self {
            notify: None,
            watched: BTreeSet::new(),
        }
    }

    /// Number of watched folders.
    pub fn n_watched(&self) -> usize {
        self.watched.len()
    }

    /// Watches one folder (not what is below it); nothing happens if it is watched already. `is_full`: no more watches may be set.
    pub fn add(&mut self, folder: &Path, is_full: bool) -> WatchOutcome {
        if self.is_covered(folder) {
            return WatchOutcome::Watched;
        }
        if is_full {
            return WatchOutcome::LimitReached;
        }
        let Some(notify) = &mut self.notify else {
            return WatchOutcome::LimitReached;
        };
        match notify.watch(folder, MODE) {
            Ok(()) => {
                self.watched.insert(folder.to_owned());
                WatchOutcome::Watched
            }
            Err(error) => match error.kind {
                ErrorKind::MaxFilesWatch => WatchOutcome::LimitReached,
                ErrorKind::Io(error) => WatchOutcome::Failed(error),
                ErrorKind::PathNotFound => WatchOutcome::Failed(std::io::ErrorKind::NotFound.into()),
                _ => WatchOutcome::Failed(std::io::Error::other(error)),
            },
        }
    }

    #[cfg(target_os = "linux")]
    fn is_covered(&self, folder: &Path) -> bool {
        self.watched.contains(folder)
    }

    #[cfg(not(target_os = "linux"))]
    fn is_covered(&self, folder: &Path) -> bool {
        folder.ancestors().any(|folder| self.watched.contains(folder))
    }

    /// Forgets the watches of `folder` and of everything below it.
    ///
    /// Needed whenever a folder may have been replaced by another one of the same name: `notify` removes a watch by *path* when it
    /// reads the deletion or renaming of the old folder, and thereby may remove the one we put on the new folder in between.
    pub fn remove_below(&mut self, folder: &Path) {
        let below: Vec<PathBuf> = self
            .watched
            .range::<Path, _>((std::ops::Bound::Included(folder), std::ops::Bound::Unbounded))
            .take_while(|watched| watched.starts_with(folder))
            .cloned()
            .collect();
        for folder in below {
            self.watched.remove(&folder);
            if let Some(notify) = &mut self.notify
                && let Err(error) = notify.unwatch(&folder)
            {
                tracing::trace!(folder = %folder.display(), %error, "the watch was gone already");
            }
        }
    }

    /// Returns when every event that the kernel had queued before this call has been sent to the queue.
    ///
    /// The watcher's thread takes requests and events from one poll set, and `inotify` queues an event inside the system call that
    /// causes it. So the events come before the answer to a request, or at the end of the same poll. But that thread answers requests
    /// for as long as there are any, so a second one that comes at once may be answered in the same poll as well: there are several,
    /// and it gets the processor in between.
    pub fn flush(&mut self) {
        let Some(notify) = &mut self.notify else { return };
        for _ in 0..N_REQUESTS {
            // Never watched (no path is empty), so the answer is an error, and it is the answer that counts.
            drop(notify.unwatch(Path::new("")));
            std::thread::yield_now();
        }
    }
}

/// Requests; with two of them one flush in a thousand came too early on a busy machine, with these none was seen to.
const N_REQUESTS: usize = 6;

#[cfg(target_os = "linux")]
const MODE: RecursiveMode = RecursiveMode::NonRecursive;
#[cfg(not(target_os = "linux"))]
const MODE: RecursiveMode = RecursiveMode::Recursive;

/// Four fifths of the user's inotify watches: the last ones belong to the editor and the file manager.
pub(super) fn system_limit() -> usize {
    std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok())
        .map_or(usize::MAX, |limit| limit / 5 * 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{AllWatches, Change, EventReceiver, event_queue};

    fn watches() -> (Watches, EventReceiver) {
        let (sender, receiver) = event_queue(1024);
        (Watches::start(sender).unwrap(), receiver)
    }

    #[test]
    fn flush_brings_every_event_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut watches, receiver) = watches();
        assert!(matches!(watches.add(folder.path(), false), WatchOutcome::Watched));
        for i in 0..300 {
            let path = folder.path().join(format!("{i}"));
            std::fs::write(&path, "x").unwrap();
            watches.flush();
            let seen: Vec<Change> = receiver.receiver.try_iter().collect();
            assert!(seen.contains(&Change::Touched(path)), "round {i}: {seen:?}");
        }
    }

    #[test]
    fn a_folder_renamed_away_and_another_in_its_place_is_watched_again() {
        let folder = tempfile::tempdir().unwrap();
        let (mut watches, receiver) = watches();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::create_dir(&a).unwrap();
        watches.add(folder.path(), false);
        watches.add(&a, false);
        std::fs::rename(&a, &b).unwrap();
        std::fs::create_dir(&a).unwrap();
        watches.remove_below(&a);
        assert!(matches!(watches.add(&a, false), WatchOutcome::Watched));
        watches.flush();
        // The batch that names the folder anew is what makes the reconciler watch it again.
        assert!(receiver.receiver.try_iter().any(|change| change == Change::Tree(a.clone())));
        watches.remove_below(&a);
        watches.add(&a, false);
        std::fs::write(a.join("x.mp4"), "x").unwrap();
        watches.flush();
        assert!(
            receiver
                .receiver
                .try_iter()
                .any(|change| change == Change::Touched(a.join("x.mp4")))
        );
    }

    #[test]
    fn the_limit_is_told_and_not_passed() {
        let folder = tempfile::tempdir().unwrap();
        let mut watches = AllWatches::start(event_queue(8).0, Some(1));
        std::fs::create_dir(folder.path().join("a")).unwrap();
        assert!(matches!(watches.add(folder.path()), WatchOutcome::Watched));
        assert!(matches!(watches.add(&folder.path().join("a")), WatchOutcome::LimitReached));
        assert_eq!(watches.n_watched(), 1);
        watches.remove_below(folder.path());
        assert!(matches!(watches.add(&folder.path().join("a")), WatchOutcome::Watched));
    }

    #[test]
    fn a_vanished_folder_is_a_failure_and_not_a_panic() {
        let (mut watches, _receiver) = watches();
        assert!(matches!(watches.add(Path::new("/no/such/folder"), false), WatchOutcome::Failed(_)));
    }
}
