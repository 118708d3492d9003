//! Checks of one path: hints of events, files seen there, and videos missed there.

use std::collections::HashSet;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use scened_common::domain::{FileStamp, VideoId};

use super::super::fingerprint::stamp_of;
use super::super::rules::{NOMEDIA, SCENEDIGNORE, unfinished};
use super::super::shared::lock;
use super::super::whereabouts::says_missing;
use super::Core;
use crate::store::{VideoRecord, VideoState};
use crate::watch::debounce::{Batch, Hint};

impl Core {
    pub(super) fn check_paths(&mut self, batch: Batch, now: Instant) {
        if batch.rescan {
            self.schedule.events_were_lost(now);
        }
        if batch.mounts {
            self.check_mounts();
        }
        for (path, hint) in batch.paths {
            self.catch_panic_over(&path, |core| core.check_path(&path, hint));
        }
        if self.schedule.overflow_rescan_is_due(now) {
            self.run_timers(now);
        }
    }

    /// Checks one path, whatever it is now.
    pub(super) fn check_path(&mut self, path: &Path, hint: Hint) {
        let Some(index) = self.roots.owner(path) else { return };
        if self.roots[index].path() == path {
            // The folder itself was renamed, deleted, made or changed.
            if self.check_root(index) {
                self.walks.queue(path.to_owned(), hint.rewatch);
            }
            return;
        }
        if self.roots[index].is_offline() {
            return;
        }
        if path.file_name().is_some_and(|name| name == NOMEDIA || name == SCENEDIGNORE)
            && let Some(folder) = path.parent()
        {
            self.filter.read_folders_anew();
            self.walks.queue(folder.to_owned(), false);
            return;
        }
        if let Some(filled) = path
            .file_name()
            .and_then(unfinished::controlled)
            .map(|name| path.with_file_name(name))
            && lock(&self.shared.settling).waits_long(&filled)
        {
            // The file beside it may be gone, and then it is finished.
            self.check_path(&filled, Hint::default());
        }
        match self.check_link(path) {
            Ok(Some(metadata)) if metadata.is_dir() && self.folders.has_this_name(self.roots[index].path(), path) => {
                self.walks.queue(path.to_owned(), hint.rewatch);
            }
            Ok(Some(metadata)) if metadata.is_file() => {
                // It could not be read before. The watches of its folder may be gone, too.
                if self.unreadable.is_file_after_all(path)
                    && let Some(folder) = path.parent()
                {
                    self.walks.queue(folder.to_owned(), true);
                }
                if hint.rewatch {
                    self.missed_below(path);
                }
                if metadata.nlink() > 1 {
                    // The file may have been made readable under this name.
                    self.library.may_be_other_names(self.unreadable.files());
                }
                if self.filter.excludes_file(self.roots[index].path(), path).is_none() {
                    self.saw_file(index, path, &metadata, hint.written);
                } else if let Some(video) = self.library.video_at(path) {
                    self.suspect(video.id);
                }
            }
            Ok(found) => {
                // A folder that has another name by now is watched under that one.
                if hint.rewatch && found.is_some_and(|found| found.is_dir()) {
                    self.watching.remove_below(path);
                }
                self.missed(path);
            }
            Err(error) if says_missing(&error) => {
                if hint.rewatch {
                    self.watching.remove_below(path);
                }
                self.missed(path);
            }
            Err(error) => self.cannot_read(path, &error),
        }
    }

    /// Notes that nothing known at or below `path` was found there.
    pub(super) fn missed(&mut self, path: &Path) {
        self.missed_below(path);
        self.unreadable.vanished(path);
        self.filter.vanished(path);
        self.watching.forget_unwatched_below(path);
        let now = Instant::now();
        let mut settling = lock(&self.shared.settling);
        if !settling.lose(path, now) {
            settling.lose_below(path, now);
        }
        drop(settling);
        self.lose_replaced(path);
        if let Some(video) = self.library.video_at(path) {
            self.suspect(video.id);
        }
    }

    /// Makes all videos *below* `path` suspects, because it is no longer a folder.
    pub(super) fn missed_below(&mut self, path: &Path) {
        let below: Vec<VideoId> = self
            .videos_below(path)
            .iter()
            .filter(|video| video.path != path)
            .map(|video| video.id)
            .collect();
        for video in below {
            self.suspect(video);
        }
    }

    /// Notes that a folder cannot be read. The videos below it are kept, offline.
    pub(super) fn cannot_read(&mut self, folder: &Path, error: &io::Error) {
        self.unreadable.cannot_read_folder(folder, error, Instant::now());
        let online: Vec<VideoId> = self
            .videos_below(folder)
            .iter()
            .filter(|video| !video.offline)
            .map(|video| video.id)
            .collect();
        self.library.set_offline(&online);
    }

    /// Handles a regular file that counts at `path`. `written`: an event reported that it was just written to.
    pub(super) fn saw_file(&mut self, index: usize, path: &Path, metadata: &Metadata, written: bool) {
        let stamp = stamp_of(metadata);
        let known = self.library.video_at(path);
        if let Some(video) = &known {
            self.missing.acquit(video.id);
            if self.is_unchanged(index, video, stamp) {
                if video.state != VideoState::Indexed && self.filter.is_other_thing(path, stamp) {
                    // An earlier version gave it to a worker.
                    return self.suspect(video.id);
                }
                lock(&self.shared.settling).lose(path, Instant::now());
                self.lose_replaced(path);
                let on_root_device = self.is_on_root_mount(index, path, video.on_root_device);
                self.library.is_in_place(video, stamp, on_root_device);
                return;
            }
        }
        if metadata.nlink() > 1 {
            self.library.note_other_names(stamp.inode, path);
        }
        if self.missing.replaced_at(path).is_some_and(|reading| reading.stamp == stamp) {
            return;
        }
        if known.is_none() && self.filter.is_known_other_thing(path, stamp) {
            return;
        }
        let rest = self.rest_for(index, path);
        let at_rest = !written && is_older_than(metadata, rest);
        lock(&self.shared.settling).saw_for(rest, path, stamp, at_rest, Instant::now());
    }

    /// Returns how long the file at `path` must stay unchanged.
    pub(super) fn rest_for(&self, index: usize, path: &Path) -> Duration {
        let below = path.strip_prefix(self.roots[index].path()).unwrap_or(path);
        if unfinished::may_be_unfinished(below) || self.folders.is_being_filled(path) {
            self.timing.unfinished
        } else {
            self.timing.settle
        }
    }

    /// Returns whether the file is unchanged. Ignores inodes of network and user-space file systems, which may change at every mount.
    pub(super) fn is_unchanged(&self, index: usize, video: &VideoRecord, stamp: FileStamp) -> bool {
        let known = video.stamp;
        let same_inode = known.inode == stamp.inode || self.roots[index].is_remote();
        known.size_bytes == stamp.size_bytes && known.mtime_ns == stamp.mtime_ns && same_inode
    }

    pub(super) fn check_other_names(&mut self) {
        let mut seen = HashSet::new();
        while let Some(name) = self.library.take_other_name() {
            if seen.insert(name.clone()) {
                self.check_path(&name, Hint::default());
            }
        }
    }

    /// Returns the known videos at `path` or below it that belong to the same root as `path`, or to the root that it is.
    pub(super) fn videos_below(&mut self, path: &Path) -> Vec<Arc<VideoRecord>> {
        let nested = self.roots.inside(path);
        self.library.videos_below(path, &nested)
    }
}

fn is_older_than(metadata: &Metadata, age: Duration) -> bool {
    metadata
        .modified()
        .is_ok_and(|modified| SystemTime::now().duration_since(modified).is_ok_and(|elapsed| elapsed >= age))
}
