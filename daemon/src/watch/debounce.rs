//! Gathers hints until a moment of quiet, at most for a while. Pure: gets its time as `Instant`s.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Change;

/// Maximum number of paths kept; more become one rescan.
pub const PATH_CAPACITY: usize = 65_536;

/// All that was hinted about one path since it was last checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// Just written to: a file may still grow, whatever its modification time says.
    pub written: bool,
    /// Another folder may be in its place: the watches at and below it are void.
    pub rewatch: bool,
}

/// Everything hinted in one window, each path once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub paths: BTreeMap<PathBuf, Hint>,
    pub mounts: bool,
    pub rescan: bool,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.mounts && !self.rescan
    }
}

/// Holds hints back until none has come for `quiet`, or until the oldest has waited for `max_delay`.
#[derive(Debug)]
pub struct Debouncer {
    quiet: Duration,
    max_delay: Duration,
    /// Arrival of the first and of the last hint held back.
    window: Option<(Instant, Instant)>,
    held: Batch,
}

impl Debouncer {
    pub fn new(quiet: Duration, max_delay: Duration) -> Self {
        Self {
            quiet,
            max_delay,
            window: None,
            held: Batch::default(),
        }
    }

    pub fn push(&mut self, change: Change, now: Instant) {
        let first = self.window.map_or(now, |(first, _)| first);
        self.window = Some((first, now));
        let (path, hint) = match change {
            Change::Touched(path) => (
                path,
                Hint {
                    written: true,
                    rewatch: false,
                },
            ),
            Change::Arrived(path) | Change::Gone(path) | Change::Tree(path) => (
                path,
                Hint {
                    written: false,
                    rewatch: true,
                },
            ),
            Change::Mounts => {
                self.held.mounts = true;
                return;
            }
            Change::Rescan => {
                self.held.rescan = true;
                return;
            }
        };
        if self.held.paths.len() >= PATH_CAPACITY && !self.held.paths.contains_key(&path) {
            self.held.paths.clear();
            self.held.rescan = true;
            return;
        }
        let known = self.held.paths.entry(path).or_default();
        known.written |= hint.written;
        known.rewatch |= hint.rewatch;
    }

    /// Returns the number of hints held back.
    pub fn len(&self) -> usize {
        self.held.paths.len() + usize::from(self.held.mounts) + usize::from(self.held.rescan)
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns when [`take`](Self::take) will return a batch, if no more hints come.
    pub fn deadline(&self) -> Option<Instant> {
        self.window.map(|(first, last)| (last + self.quiet).min(first + self.max_delay))
    }

    /// Returns the batch, once it is due.
    pub fn take(&mut self, now: Instant) -> Option<Batch> {
        if self.deadline()? > now {
            return None;
        }
        self.window = None;
        Some(std::mem::take(&mut self.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(10);
    const MAX: Duration = Duration::from_millis(35);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn one_hint_waits_for_quiet() {
        let (mut debouncer, start) = (Debouncer::new(QUIET, MAX), Instant::now());
        assert_eq!(debouncer.deadline(), None);
        debouncer.push(Change::Touched("/a".into()), start);
        assert_eq!(debouncer.deadline(), Some(start + QUIET));
        assert_eq!(debouncer.take(start + ms(9)), None);
        assert_eq!(debouncer.take(start + QUIET).unwrap().paths.len(), 1);
        assert_eq!(debouncer.deadline(), None);
        assert!(debouncer.is_empty());
    }

    #[test]
    fn a_stream_without_pause_is_cut_at_the_maximum_delay() {
        let (mut debouncer, start) = (Debouncer::new(QUIET, MAX), Instant::now());
        let mut taken_at = None;
        for i in 0..20 {
            debouncer.push(Change::Touched("/a".into()), start + ms(i * 5));
            if debouncer.take(start + ms(i * 5)).is_some() {
                taken_at = Some(i * 5);
                break;
            }
        }
        assert_eq!(taken_at, Some(35));
    }

    #[test]
    fn hints_about_one_path_add_up() {
        let (mut debouncer, start) = (Debouncer::new(QUIET, MAX), Instant::now());
        debouncer.push(Change::Arrived("/a".into()), start);
        debouncer.push(Change::Touched("/a".into()), start);
        debouncer.push(Change::Gone("/b".into()), start);
        debouncer.push(Change::Rescan, start);
        assert_eq!(debouncer.len(), 3);
        let batch = debouncer.take(start + QUIET).unwrap();
        let both = Hint {
            written: true,
            rewatch: true,
        };
        assert_eq!(batch.paths[&PathBuf::from("/a")], both);
        assert!(!batch.paths[&PathBuf::from("/b")].written);
        assert!(batch.rescan);
    }

    #[test]
    fn too_many_paths_become_a_rescan() {
        let (mut debouncer, start) = (Debouncer::new(QUIET, MAX), Instant::now());
        for i in 0..=PATH_CAPACITY {
            debouncer.push(Change::Gone(format!("/{i}").into()), start);
        }
        let batch = debouncer.take(start + QUIET).unwrap();
        assert!(batch.rescan);
        assert!(batch.paths.is_empty());
    }
}
