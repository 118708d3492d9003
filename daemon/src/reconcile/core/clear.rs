//! Clearing acts on what is now certain: it queues replaced contents, and removes videos whose files are gone.
//!
//! It runs only while no folder waits to be walked. The grace time is longer than events are held back, so everything that happened before
//! a video was missed has been checked by then. A file of the same size postpones the decision if it is still settling, or vanished or
//! changed while it settled.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use scened_common::domain::VideoId;

use super::super::Reading;
use super::super::fingerprint::stamp_of;
use super::super::shared::lock;
use super::super::whereabouts::{Whereabouts, whereabouts};
use super::Core;
use super::place::speaks_for;
use crate::machine::with_timeout;
use crate::store::{JobKind, NewVideo, StoreError, VideoRecord};
use crate::watch::debounce::Hint;

/// The result of checking a missed video at the end of its grace time.
enum Finding {
    /// Nothing is left to decide.
    Settled,
    /// A file of the same size is still settling, or was lost while it settled. It may be this video.
    Postponed,
    Unreachable,
    /// Its file is there, but a rule now excludes it.
    Excluded,
    Gone,
}

impl Core {
    pub(super) fn clear(&mut self, now: Instant) {
        let Some(first_due) = self.missing.first_due() else {
            lock(&self.shared.settling).forget_astray();
            return;
        };
        if first_due > now || !self.has_heard_until(first_due) {
            return;
        }
        let mut certain_until = self.events.heard_until();
        // The file may have been moved to a place without events.
        if !self.watching.is_complete() {
            let looked_until = self.watching.polled_at().map(|polled_at| polled_at + self.timing.grace);
            match looked_until.filter(|until| first_due <= *until) {
                Some(until) => certain_until = certain_until.min(until),
                None => return self.poll_unwatched(now),
            }
        }
        // An older check of the roots is not enough before a deletion: one root may have vanished, and another may be back with the missing
        // file.
        for index in 0..self.roots.len() {
            self.check_root(index);
        }
        if self.walks.is_empty() {
            self.clear_replaced(certain_until, now);
            self.clear_suspects(certain_until, now);
        }
    }

    /// Returns whether all events up to `until` have been processed. If not, requests them, because the watcher's thread may lag behind and
    /// a slow disk may have delayed this one. They are processed within a second.
    fn has_heard_until(&mut self, until: Instant) -> bool {
        if self.events.heard_until() < until {
            let now = Instant::now();
            self.hear();
            self.events.heard_all(now);
        }
        self.events.heard_until() >= until
    }

    /// Drops the files at `path` or below that wait to be placed: they are no longer there, or are known.
    pub(super) fn lose_replaced(&mut self, path: &Path) {
        for reading in self.missing.lose_replaced(path) {
            lock(&self.shared.settling).goes_astray(reading.stamp.size_bytes, Instant::now());
        }
    }

    /// Settles files whose content changed. It first settles those whose new content is a video that left its place (videos swapped or
    /// rotated), in any order. The others are queued.
    fn clear_replaced(&mut self, certain_until: Instant, now: Instant) {
        let is_ready = |core: &Self, path: &PathBuf, due: Instant| {
            let had_size = core.library.video_at(path).map(|video| video.stamp.size_bytes);
            let settles = lock(&core.shared.settling).contains(path);
            !settles && !had_size.is_some_and(|size| core.may_settle(size, due))
        };
        let mut ready = Vec::new();
        for (path, due) in self.missing.due_replaced(certain_until) {
            if is_ready(self, &path, due) {
                ready.push(path);
            } else {
                self.missing.postpone_replaced(&path, now);
            }
        }
        loop {
            let n_before = ready.len();
            ready.retain(|path| !self.settle_replaced(path, false));
            if ready.len() == n_before {
                break;
            }
        }
        for path in ready {
            // Another path has the former content, and its grace time is not over (two videos exchanged). That path takes the video first.
            let video = self.library.video_at(&path);
            let is_wanted = video.is_some_and(|video| self.is_elsewhere(&video));
            if !(is_wanted && self.missing.postpone_replaced(&path, now)) {
                self.settle_replaced(&path, true);
            }
        }
    }

    /// Returns true if the file at `path` is no longer in question. `finally`: no better match can be expected.
    fn settle_replaced(&mut self, path: &Path, finally: bool) -> bool {
        let Some(index) = self.roots.online_owner(path) else {
            self.lose_replaced(path);
            return true;
        };
        let Some(reading) = self.missing.replaced_at(path) else {
            return true;
        };
        // The file may have changed again without an event, through another of its names.
        if self
            .check_link(path)
            .ok()
            .flatten()
            .is_none_or(|metadata| stamp_of(&metadata) != reading.stamp)
        {
            self.lose_replaced(path);
            self.check_path(path, Hint::default());
            return true;
        }
        let result = match self.library.video_at(path) {
            // Its video has moved to another path meanwhile.
            None => self.place_new(index, path, reading).map(|()| true),
            Some(video) => self.replace(index, &video, reading, finally),
        };
        // The next file is judged by the paths in the store.
        self.store_moves();
        let is_settled = result.unwrap_or_else(|error| {
            tracing::error!(path = %path.display(), %error, "a changed file cannot be noted in the store");
            self.missing.postpone_replaced(path, Instant::now());
            false
        });
        if is_settled {
            self.missing.settle_replaced(path);
        }
        is_settled
    }

    fn replace(&mut self, index: usize, video: &Arc<VideoRecord>, reading: Reading, finally: bool) -> Result<bool, StoreError> {
        let new = NewVideo {
            path: video.path.clone(),
            stamp: reading.stamp,
            fingerprint: reading.fingerprint,
            on_root_device: self.is_on_root_mount(index, &video.path, video.on_root_device),
        };
        let twins = self.library.videos_with_fingerprint(&reading.fingerprint);
        let others: Vec<_> = twins.into_iter().filter(|twin| twin.id != video.id).collect();
        if let Some(moved) = self.moved_among(index, &others, reading.stamp) {
            self.displace(video)?;
            self.move_here(index, &moved, &new)?;
            return Ok(true);
        }
        if !finally {
            return Ok(false);
        }
        if let Some(twin) = others.iter().find(|twin| speaks_for(twin, reading.stamp)) {
            self.displace(video)?;
            self.library.copy(twin.id, new)?;
            return Ok(true);
        }
        tracing::info!(path = %video.path.display(), "the content changed");
        self.library.requeue(JobKind::Index, video.id, reading.stamp, reading.fingerprint)?;
        if video.offline {
            self.library.is_back(video.id);
        }
        Ok(true)
    }

    /// Makes way for another video that takes this one's path. This one waits under a name that no file has, in case its content turns up
    /// elsewhere. After the grace time (or at the next start) it is missing there like any other.
    fn displace(&mut self, video: &VideoRecord) -> Result<(), StoreError> {
        let limbo = video.path.with_file_name(format!(".scened-displaced-{}", video.id));
        self.library.move_now(video.id, &limbo, video.stamp, video.on_root_device)?;
        self.suspect(video.id);
        Ok(())
    }

    fn clear_suspects(&mut self, certain_until: Instant, now: Instant) {
        let due = self.missing.take_due(certain_until);
        if due.is_empty() {
            return;
        }
        let (mut gone, mut remove, mut unreachable) = (HashMap::<usize, Vec<VideoId>>::new(), Vec::new(), Vec::new());
        for (id, due) in due {
            let Some(video) = self.library.video(id) else {
                self.missing.acquit(id);
                continue;
            };
            let Some(index) = self.roots.owner(&video.path) else {
                self.missing.acquit(id);
                continue;
            };
            match self.examine(index, &video, due) {
                Finding::Settled => {}
                Finding::Postponed => {
                    self.missing.postpone(id, now + self.timing.grace);
                    continue;
                }
                Finding::Unreachable => unreachable.push(id),
                Finding::Excluded => remove.push(id),
                Finding::Gone => gone.entry(index).or_default().push(id),
            }
            self.missing.acquit(id);
        }
        for index in 0..self.roots.len() {
            let gone = gone.remove(&index).unwrap_or_default();
            if self.is_doubtful(index, gone.len(), now) {
                let due = self.roots[index].doubted_at().unwrap_or(now) + self.timing.grace;
                for id in gone {
                    self.missing.postpone(id, due);
                }
            } else {
                remove.extend(gone);
            }
        }
        self.library.set_offline(&unreachable);
        self.library.remove(&remove);
    }

    fn examine(&mut self, index: usize, video: &Arc<VideoRecord>, due: Instant) -> Finding {
        let root = &self.roots[index];
        if root.is_offline() || self.is_of_a_former_volume(index, video) {
            return Finding::Settled;
        }
        let mut found = self.check_link(&video.path);
        if matches!(found, Ok(Some(_))) && !self.folders.has_this_name(self.roots[index].path(), &video.path) {
            found = Err(std::io::ErrorKind::NotFound.into());
        }
        match whereabouts(&video.path, found, root.path(), root.mount(), video.on_root_device) {
            Whereabouts::Present(metadata) if self.is_left_out(index, video, &metadata) => Finding::Excluded,
            Whereabouts::Present(metadata) => {
                self.missing.acquit(video.id);
                self.saw_file(index, &video.path, &metadata, false);
                Finding::Settled
            }
            Whereabouts::Unreachable(reason) => {
                tracing::warn!(path = %video.path.display(), reason, "cannot be reached; the video is kept, offline");
                if !with_timeout::answers(&video.path) {
                    self.unreadable.fell_silent(&video.path);
                }
                Finding::Unreachable
            }
            Whereabouts::Gone if self.may_turn_up(video, due) => Finding::Postponed,
            Whereabouts::Gone => Finding::Gone,
        }
    }

    /// Decides whether a rule excludes the file of a video, or the file was found not to be a video.
    fn is_left_out(&self, index: usize, video: &VideoRecord, metadata: &Metadata) -> bool {
        let is_excluded = self.filter.excludes_now(self.roots[index].path(), &video.path);
        is_excluded || self.filter.is_known_other_thing(&video.path, stamp_of(metadata))
    }

    /// Decides whether a file that is not placed yet may have (or certainly has) the content of this video. Its grace time ended at `due`.
    fn may_turn_up(&self, video: &VideoRecord, due: Instant) -> bool {
        self.may_settle(video.stamp.size_bytes, due) || self.is_elsewhere(video)
    }

    /// Decides whether a file of this size still settles, or was lost while it settled. In the second case a grace time that ended at `due`
    /// may have been too short for it.
    fn may_settle(&self, size_bytes: u64, due: Instant) -> bool {
        let settling = lock(&self.shared.settling);
        let astray_at = settling.astray_at(size_bytes);
        settling.has_size(size_bytes) || astray_at.is_some_and(|at| at + self.timing.grace >= due)
    }

    /// Decides whether a file that is not placed yet has the content of this video.
    fn is_elsewhere(&self, video: &VideoRecord) -> bool {
        self.missing.has_content(&video.fingerprint)
    }

    /// Decides whether so much is missing at once that the root must be scanned again, after a while, before anything is deleted.
    fn is_doubtful(&mut self, index: usize, n_gone: usize, now: Instant) -> bool {
        if n_gone == 0 {
            return false;
        }
        let path = self.roots[index].path().to_owned();
        self.library.list_anew();
        let n_online = self.videos_below(&path).iter().filter(|video| !video.offline).count();
        self.roots.doubts(index, n_gone, n_online, now + self.timing.doubt)
    }
}
