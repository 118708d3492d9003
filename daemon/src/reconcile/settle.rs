//! Files that may still grow: each needs two equal stamps, `settle` apart. The pause grows for files that never rest. Pure.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scened_common::domain::FileStamp;

/// A growing file is checked ever more rarely, up to this many times `settle` (5 s → 60 s).
const MAX_BACK_OFF: u32 = 12;

#[derive(Clone, Copy, Debug)]
struct Waiting {
    stamp: FileStamp,
    due: Instant,
    pause: Duration,
    /// How long it must stay unchanged; longer than usual if its name says that it is unfinished.
    rest: Duration,
}

/// The files that must rest, each with its stamp at the last check.
#[derive(Debug)]
pub(super) struct Settling {
    settle: Duration,
    files: HashMap<PathBuf, Waiting>,
    by_due: BTreeSet<(Instant, PathBuf)>,
    by_size: HashMap<u64, usize>,
    /// When a file of this size last vanished or changed while it was settling. Its content may be on its way to another place.
    astray: HashMap<u64, Instant>,
    /// Number of files that must rest for longer than `settle`.
    n_long: usize,
}

impl Settling {
    pub(super) fn new(settle: Duration) -> Self {
        Self {
            settle,
            files: HashMap::new(),
            by_due: BTreeSet::new(),
            by_size: HashMap::new(),
            astray: HashMap::new(),
            n_long: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns the number of files that must rest only for the usual time.
    pub(super) fn n_usual(&self) -> usize {
        self.files.len().saturating_sub(self.n_long)
    }

    /// Returns how long the file at this path must rest, if it is settling.
    pub(super) fn rest_of(&self, path: &Path) -> Option<Duration> {
        self.files.get(path).map(|waiting| waiting.rest)
    }

    pub(super) fn waits_long(&self, path: &Path) -> bool {
        self.rest_of(path).is_some_and(|rest| rest > self.settle)
    }

    pub(super) fn contains(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// Returns whether a settling file has exactly this size, and so could be a copy of a video that has gone.
    pub(super) fn has_size(&self, size_bytes: u64) -> bool {
        self.by_size.contains_key(&size_bytes)
    }

    /// Returns when a file of this size last vanished or changed before it was placed.
    pub(super) fn astray_at(&self, size_bytes: u64) -> Option<Instant> {
        self.astray.get(&size_bytes).copied()
    }

    /// Notes that a file of this size vanished or changed before it was placed.
    pub(super) fn goes_astray(&mut self, size_bytes: u64, now: Instant) {
        self.astray.insert(size_bytes, now);
    }

    /// Called when nothing is missing. Files that go missing later get a grace time of their own.
    pub(super) fn forget_astray(&mut self) {
        self.astray.clear();
    }

    /// Like [`Settling::saw_for`], with the usual rest.
    #[cfg(test)]
    pub(super) fn saw(&mut self, path: &Path, stamp: FileStamp, at_rest: bool, now: Instant) {
        self.saw_for(self.settle, path, stamp, at_rest, now);
    }

    /// Notes a file that differs from the store's record. It must rest for `rest`; `at_rest`: it has already been unchanged for longer.
    pub(super) fn saw_for(&mut self, rest: Duration, path: &Path, stamp: FileStamp, at_rest: bool, now: Instant) {
        let waiting = match self.files.get(path) {
            Some(known) if known.stamp == stamp && known.rest == rest => return,
            // It was seen changing, so it must rest from now on, whatever its times say.
            Some(known) if known.stamp != stamp => Waiting {
                stamp,
                due: now + rest,
                pause: rest,
                rest,
            },
            _ => Waiting {
                stamp,
                due: if at_rest { now } else { now + rest },
                pause: rest,
                rest,
            },
        };
        self.insert(path, waiting, now);
    }

    /// Notes that the file had changed again at its due time.
    pub(super) fn still_changing(&mut self, path: &Path, stamp: FileStamp, now: Instant) {
        let (pause, rest) = self
            .files
            .get(path)
            .map_or((self.settle, self.settle), |known| (known.pause, known.rest));
        let pause = (pause * 2).min(self.settle * MAX_BACK_OFF).max(rest);
        self.insert(
            path,
            Waiting {
                stamp,
                due: now + pause,
                pause,
                rest,
            },
            now,
        );
    }

    fn insert(&mut self, path: &Path, waiting: Waiting, now: Instant) {
        let has_changed = self.files.get(path).is_some_and(|known| known.stamp != waiting.stamp);
        if has_changed {
            self.lose(path, now);
        } else {
            self.remove(path);
        }
        self.by_due.insert((waiting.due, path.to_owned()));
        *self.by_size.entry(waiting.stamp.size_bytes).or_default() += 1;
        self.n_long += usize::from(waiting.rest > self.settle);
        self.files.insert(path.to_owned(), waiting);
    }

    /// Notes that the file vanished or changed. Returns whether it was settling.
    pub(super) fn lose(&mut self, path: &Path, now: Instant) -> bool {
        if let Some(known) = self.files.get(path) {
            self.goes_astray(known.stamp.size_bytes, now);
        }
        self.remove(path)
    }

    pub(super) fn remove(&mut self, path: &Path) -> bool {
        let Some(known) = self.files.remove(path) else { return false };
        self.by_due.remove(&(known.due, path.to_owned()));
        self.n_long = self.n_long.saturating_sub(usize::from(known.rest > self.settle));
        if let Some(n) = self.by_size.get_mut(&known.stamp.size_bytes) {
            *n -= 1;
            if *n == 0 {
                self.by_size.remove(&known.stamp.size_bytes);
            }
        }
        true
    }

    /// Forgets `folder` itself and every file below it, as when a root is no longer watched.
    pub(super) fn lose_below(&mut self, folder: &Path, now: Instant) {
        let below: BTreeSet<PathBuf> = self.files.keys().filter(|path| path.starts_with(folder)).cloned().collect();
        for path in below {
            self.lose(&path, now);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// Returns the file that has been due the longest, with the stamp it must still have. It keeps settling until it is removed.
    pub(super) fn due(&self, now: Instant) -> Option<(PathBuf, FileStamp)> {
        let (due, path) = self.by_due.first()?;
        (*due <= now).then(|| (path.clone(), self.files[path].stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(5);

    fn stamp(size_bytes: u64) -> FileStamp {
        FileStamp {
            size_bytes,
            mtime_ns: 0,
            inode: 1,
        }
    }

    #[test]
    fn a_fresh_file_waits_and_an_old_one_does_not() {
        let (mut settling, now) = (Settling::new(SETTLE), Instant::now());
        settling.saw(Path::new("/fresh"), stamp(1), false, now);
        settling.saw(Path::new("/old"), stamp(2), true, now);
        assert_eq!(settling.due(now), Some(("/old".into(), stamp(2))));
        assert!(settling.remove(Path::new("/old")));
        assert_eq!(settling.due(now), None);
        assert_eq!(settling.due(now + SETTLE), Some(("/fresh".into(), stamp(1))));
    }

    #[test]
    fn touch_during_settle_delays_the_file() {
        let (mut settling, now) = (Settling::new(SETTLE), Instant::now());
        settling.saw(Path::new("/a"), stamp(1), false, now);
        settling.saw(Path::new("/a"), stamp(2), true, now + SETTLE / 2);
        assert_eq!(settling.due(now + SETTLE), None);
        assert_eq!(settling.due(now + SETTLE * 3 / 2), Some(("/a".into(), stamp(2))));
    }

    #[test]
    fn an_event_without_a_change_does_not_delay() {
        let (mut settling, now) = (Settling::new(SETTLE), Instant::now());
        settling.saw(Path::new("/a"), stamp(1), false, now);
        settling.saw(Path::new("/a"), stamp(1), false, now + SETTLE / 2);
        assert_eq!(settling.deadline(), Some(now + SETTLE));
    }

    #[test]
    fn a_growing_file_is_looked_at_ever_more_rarely_up_to_a_minute() {
        let (mut settling, mut now) = (Settling::new(SETTLE), Instant::now());
        settling.saw(Path::new("/a"), stamp(0), false, now);
        let mut pauses = vec![];
        for size in 1..7 {
            let due = settling.deadline().unwrap();
            pauses.push((due - now).as_secs());
            now = due;
            settling.still_changing(Path::new("/a"), stamp(size), now);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
    }

    #[test]
    fn a_file_with_the_name_of_an_unfinished_one_rests_longer_and_is_not_counted_with_the_others() {
        let (mut settling, now) = (Settling::new(SETTLE), Instant::now());
        let rest = SETTLE * 100;
        settling.saw_for(rest, Path::new("/a"), stamp(1), false, now);
        settling.saw(Path::new("/b"), stamp(2), false, now);
        assert_eq!((settling.len(), settling.n_usual()), (2, 1));
        settling.remove(Path::new("/b"));
        settling.saw_for(rest, Path::new("/a"), stamp(2), true, now + SETTLE);
        assert_eq!(settling.due(now + rest), None, "written to, it rests anew");
        assert_eq!(settling.due(now + SETTLE + rest), Some(("/a".into(), stamp(2))));
        settling.still_changing(Path::new("/a"), stamp(3), now);
        assert!(settling.deadline().unwrap() >= now + rest);
        // Its control file is gone, so it is finished.
        settling.saw(Path::new("/a"), stamp(3), false, now);
        assert_eq!(settling.deadline(), Some(now + SETTLE));
        assert_eq!(settling.n_usual(), 1);
    }

    #[test]
    fn sizes_are_counted() {
        let (mut settling, now) = (Settling::new(SETTLE), Instant::now());
        settling.saw(Path::new("/v/a"), stamp(7), false, now);
        settling.saw(Path::new("/v/b"), stamp(7), false, now);
        settling.saw(Path::new("/w/c"), stamp(8), false, now);
        settling.remove(Path::new("/v/a"));
        assert!(settling.has_size(7));
        settling.lose_below(Path::new("/v"), now);
        assert!(!settling.has_size(7));
        assert_eq!(settling.len(), 1);
        settling.remove(Path::new("/w/c"));
        assert_eq!(settling.deadline(), None);
    }

    #[test]
    fn what_vanishes_or_changes_before_it_is_placed_goes_astray() {
        let (mut settling, now) = (Settling::new(SETTLE), Instant::now());
        let later = now + SETTLE;
        for (path, size_bytes) in [("/v/vanishes", 7), ("/changes", 8), ("/placed", 9), ("/still", 10)] {
            settling.saw(Path::new(path), stamp(size_bytes), false, now);
        }
        settling.lose_below(Path::new("/v"), later);
        settling.saw(Path::new("/changes"), stamp(11), false, later);
        settling.remove(Path::new("/placed"));
        settling.still_changing(Path::new("/still"), stamp(10), later);
        let astray = [7, 8, 9, 10, 11].map(|size_bytes| settling.astray_at(size_bytes));
        assert_eq!(astray, [Some(later), Some(later), None, None, None]);
        settling.forget_astray();
        assert_eq!(settling.astray_at(7), None);
    }
}
