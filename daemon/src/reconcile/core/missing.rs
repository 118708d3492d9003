//! Missing videos: those that were not found at their path, and those whose file now has another content.
//!
//! Both wait for a grace time, in which the file or the content may turn up elsewhere.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scened_common::domain::{Fingerprint, VideoId};

use crate::reconcile::Reading;

/// Pure: gets its time as `Instant`s.
#[derive(Debug)]
pub(super) struct Missing {
    grace: Duration,
    suspects: HashSet<VideoId>,
    /// May contain videos that are no longer suspects.
    suspects_by_due: VecDeque<(Instant, VideoId)>,
    /// By the path of the file.
    replaced: BTreeMap<PathBuf, Replaced>,
}

/// A file whose content is no longer that of the video at its path.
#[derive(Debug)]
struct Replaced {
    reading: Reading,
    due: Instant,
}

impl Missing {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            grace,
            suspects: HashSet::new(),
            suspects_by_due: VecDeque::new(),
            replaced: BTreeMap::new(),
        }
    }

    /// Returns the number of videos and files in question.
    pub(super) fn len(&self) -> usize {
        self.suspects.len() + self.replaced.len()
    }

    /// Returns when the first grace time ends. It may be that of a video that is no longer a suspect.
    pub(super) fn first_due(&self) -> Option<Instant> {
        let suspected = self.suspects_by_due.front().map(|(due, _)| *due);
        let replaced = self.replaced.values().map(|replaced| replaced.due).min();
        suspected.into_iter().chain(replaced).min()
    }

    /// Notes that a video was missed at its path at `now`. Returns true if it was not a suspect before.
    pub(super) fn suspect(&mut self, video: VideoId, now: Instant) -> bool {
        let is_news = self.suspects.insert(video);
        if is_news {
            self.suspects_by_due.push_back((now + self.grace, video));
        }
        is_news
    }

    /// Clears a video of suspicion: nothing is left to decide about it.
    pub(super) fn acquit(&mut self, video: VideoId) {
        self.suspects.remove(&video);
    }

    /// Returns the suspects whose grace time ended by `until`, each with that end. They stay suspects until they are acquitted or
    /// postponed.
    pub(super) fn take_due(&mut self, until: Instant) -> Vec<(VideoId, Instant)> {
        let mut due = Vec::new();
        while let Some((when, video)) = self.suspects_by_due.front().copied()
            && when <= until
        {
            self.suspects_by_due.pop_front();
            if self.suspects.contains(&video) {
                due.push((video, when));
            }
        }
        due
    }

    /// Postpones the decision about a suspect to `due`.
    pub(super) fn postpone(&mut self, video: VideoId, due: Instant) {
        self.suspects.insert(video);
        self.suspects_by_due.push_back((due, video));
    }

    /// Notes that the file at `path` was read at `now` and does not have the content of the video there.
    pub(super) fn replace(&mut self, path: &Path, reading: Reading, now: Instant) {
        let due = now + self.grace;
        self.replaced.insert(path.to_owned(), Replaced { reading, due });
    }

    /// Returns the reading of the file at `path` if its content has changed.
    pub(super) fn replaced_at(&self, path: &Path) -> Option<Reading> {
        self.replaced.get(path).map(|replaced| replaced.reading)
    }

    /// Returns whether a file that waits to be placed has this content.
    pub(super) fn has_content(&self, fingerprint: &Fingerprint) -> bool {
        self.replaced.values().any(|replaced| replaced.reading.fingerprint == *fingerprint)
    }

    /// Returns the files whose grace time ended by `until`, each with that end.
    pub(super) fn due_replaced(&self, until: Instant) -> Vec<(PathBuf, Instant)> {
        let due = self.replaced.iter().filter(|(_, replaced)| replaced.due <= until);
        due.map(|(path, replaced)| (path.clone(), replaced.due)).collect()
    }

    /// Gives a file another grace time from `now` on. Returns false if the file does not wait.
    pub(super) fn postpone_replaced(&mut self, path: &Path, now: Instant) -> bool {
        let replaced = self.replaced.get_mut(path);
        let waits = replaced.is_some();
        if let Some(replaced) = replaced {
            replaced.due = now + self.grace;
        }
        waits
    }

    /// Notes that the file at `path` is placed.
    pub(super) fn settle_replaced(&mut self, path: &Path) {
        self.replaced.remove(path);
    }

    /// Forgets the files at `path` and below it that wait to be placed. Returns their readings.
    pub(super) fn lose_replaced(&mut self, path: &Path) -> Vec<Reading> {
        let below = self
            .replaced
            .range::<Path, _>((Bound::Included(path), Bound::Unbounded))
            .take_while(|(file, _)| file.starts_with(path));
        let lost: Vec<PathBuf> = below.map(|(file, _)| file.clone()).collect();
        lost.iter()
            .filter_map(|file| self.replaced.remove(file))
            .map(|replaced| replaced.reading)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scened_common::domain::FileStamp;

    const GRACE: Duration = Duration::from_secs(6);
    const SECOND: Duration = Duration::from_secs(1);

    fn reading(content: u8) -> Reading {
        Reading {
            stamp: FileStamp {
                size_bytes: u64::from(content),
                mtime_ns: 0,
                inode: 1,
            },
            fingerprint: Fingerprint([content; 16]),
        }
    }

    #[test]
    fn a_suspect_has_one_grace_time_and_is_due_once() {
        let (mut missing, now) = (Missing::new(GRACE), Instant::now());
        let (a, b) = (VideoId(1), VideoId(2));
        assert!(missing.suspect(a, now));
        assert!(!missing.suspect(a, now + SECOND), "it is suspect already");
        assert!(missing.suspect(b, now + SECOND));
        assert_eq!((missing.len(), missing.first_due()), (2, Some(now + GRACE)));
        assert_eq!(missing.take_due(now + SECOND * 5), []);
        assert_eq!(missing.take_due(now + GRACE), [(a, now + GRACE)]);
        assert_eq!(missing.len(), 2, "a is not decided on yet");
        missing.postpone(a, now + GRACE * 2);
        missing.acquit(b);
        assert_eq!(missing.len(), 1);
        assert_eq!(missing.take_due(now + GRACE * 2), [(a, now + GRACE * 2)]);
    }

    #[test]
    fn who_is_acquitted_and_missed_again_has_a_new_grace_time() {
        let (mut missing, now) = (Missing::new(GRACE), Instant::now());
        missing.suspect(VideoId(1), now);
        assert_eq!(missing.take_due(now + GRACE).len(), 1);
        missing.acquit(VideoId(1));
        assert_eq!((missing.len(), missing.first_due()), (0, None));
        missing.suspect(VideoId(1), now + GRACE);
        assert_eq!(missing.take_due(now + GRACE), []);
        assert_eq!(missing.first_due(), Some(now + GRACE * 2));
    }

    #[test]
    fn a_replaced_file_waits_until_it_is_placed() {
        let (mut missing, now) = (Missing::new(GRACE), Instant::now());
        let path = Path::new("/v/a.mp4");
        missing.replace(path, reading(7), now);
        assert_eq!((missing.len(), missing.first_due()), (1, Some(now + GRACE)));
        assert!(missing.has_content(&Fingerprint([7; 16])));
        assert!(!missing.has_content(&Fingerprint([8; 16])));
        assert_eq!(
            missing.replaced_at(path).map(|reading| reading.fingerprint),
            Some(Fingerprint([7; 16]))
        );
        assert_eq!(missing.due_replaced(now + GRACE), [(path.to_owned(), now + GRACE)]);
        assert!(missing.postpone_replaced(path, now + GRACE));
        assert_eq!(missing.due_replaced(now + GRACE), []);
        assert_eq!(missing.first_due(), Some(now + GRACE * 2));
        missing.settle_replaced(path);
        assert!(!missing.postpone_replaced(path, now));
        assert_eq!((missing.len(), missing.first_due()), (0, None));
    }

    #[test]
    fn files_at_a_path_and_below_it_are_lost_together() {
        let (mut missing, now) = (Missing::new(GRACE), Instant::now());
        for (path, content) in [("/v/a", 1), ("/v/a/b.mp4", 2), ("/v/a.mp4", 3), ("/v/b.mp4", 4)] {
            missing.replace(Path::new(path), reading(content), now);
        }
        let lost = missing.lose_replaced(Path::new("/v/a"));
        assert_eq!(lost.iter().map(|reading| reading.stamp.size_bytes).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(missing.len(), 2);
    }

    #[test]
    fn the_first_of_both_kinds_is_due_first() {
        let (mut missing, now) = (Missing::new(GRACE), Instant::now());
        missing.replace(Path::new("/v/a"), reading(1), now + SECOND);
        missing.suspect(VideoId(1), now + SECOND * 2);
        assert_eq!(missing.first_due(), Some(now + GRACE + SECOND));
        missing.settle_replaced(Path::new("/v/a"));
        assert_eq!(missing.first_due(), Some(now + GRACE + SECOND * 2));
    }
}
