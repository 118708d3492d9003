//! Placing: a file that rests gets its fingerprint read, and thereby its video: the same, a moved one, a copy, or a new one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::super::fingerprint::{self, Reading, stamp_of};
use super::super::rules;
use super::super::shared::lock;
use super::super::whereabouts::{Whereabouts, says_missing, whereabouts};
use super::super::{ReconcileEvent, RootState};
use super::{ADD_BATCH, Core, Replaced, now_ms};
use crate::reach;
use crate::store::{FileStamp, NewVideo, StoreError, VideoRecord, VideoState};

impl Core {
    /// A file's time is up: if it still has the stamp it had then, it is read and placed.
    pub(super) fn decide(&mut self, path: &Path, expected: FileStamp) {
        let forget = |core: &Self| lock(&core.shared.settling).remove(path);
        let Some(index) = self.owner(path).filter(|index| self.roots[*index].state != RootState::Offline) else {
            forget(self);
            return;
        };
        if self.excludes_file(index, path).is_some() {
            forget(self);
            self.lose_replaced(path);
            if let Some(video) = self.store.video_at(path) {
                self.suspect(video.id);
            }
            return;
        }
        let still_changing = |core: &Self, stamp| lock(&core.shared.settling).still_changing(path, stamp, Instant::now());
        match self.look_at_link(path) {
            Ok(Some(metadata)) if metadata.is_file() => {
                let stamp = stamp_of(&metadata);
                if stamp != expected {
                    return still_changing(self, stamp);
                }
            }
            Ok(_) => return self.missed(path),
            Err(error) if says_missing(&error) => return self.missed(path),
            Err(error) => {
                forget(self);
                return self.cannot_read_file(path, &error);
            }
        }
        match read_file(path, self.rules.follow_symlinks()) {
            Ok(Some(reading)) if reading.stamp == expected => {
                self.unreadable_files.remove(path);
                self.refused_pause = None;
                match self.place(index, path, reading) {
                    Ok(()) => drop(forget(self)),
                    Err(error) => {
                        tracing::error!(path = %path.display(), %error, "a file cannot be noted in the store; it is tried again");
                        still_changing(self, expected);
                    }
                }
            }
            Ok(Some(reading)) => still_changing(self, reading.stamp),
            Ok(None) => still_changing(self, expected),
            Err(error) if says_missing(&error) => self.missed(path),
            Err(error) => {
                forget(self);
                self.cannot_read_file(path, &error);
            }
        }
    }

    fn cannot_read_file(&mut self, path: &Path, error: &io::Error) {
        if reach::is_silence(error) {
            self.silent.insert(path.to_owned());
        }
        if error.raw_os_error().is_some() && error.kind() != io::ErrorKind::PermissionDenied {
            if self.refused.is_empty() {
                let longest = self.timing.poll_every.max(self.timing.offline_poll);
                let pause = self
                    .refused_pause
                    .map_or(self.timing.offline_poll, |pause| (pause * 2).min(longest));
                self.refused_pause = Some(pause);
                self.refused_due = Instant::now() + pause;
            }
            self.refused.insert(path.to_owned());
        }
        if self.unreadable_files.insert(path.to_owned(), error.to_string()).is_none() {
            tracing::warn!(path = %path.display(), %error, "the file cannot be read");
        }
    }

    fn place(&mut self, index: usize, path: &Path, reading: Reading) -> Result<(), StoreError> {
        self.store_moves_of(path);
        let Some(video) = self.store.video_at(path) else {
            return self.place_new(index, path, reading);
        };
        self.suspects.remove(&video.id);
        if video.fingerprint == reading.fingerprint {
            let on_root_device = reading.device == self.roots[index].device;
            self.lose_replaced(path);
            self.is_in_place(&video, reading.stamp, on_root_device);
            return Ok(());
        }
        // The content it had may turn up elsewhere (the file was renamed and another put in its place), so this waits like a deletion.
        let due = Instant::now() + self.timing.grace;
        self.lose_replaced(path);
        self.replaced.insert(path.to_owned(), Replaced { reading, due });
        Ok(())
    }

    /// Places a file at a path where no video is.
    pub(super) fn place_new(&mut self, index: usize, path: &Path, reading: Reading) -> Result<(), StoreError> {
        let new = NewVideo {
            path: path.to_owned(),
            stamp: reading.stamp,
            fingerprint: reading.fingerprint,
            on_root_device: reading.device == self.roots[index].device,
        };
        let twins = self.store.videos_with_fingerprint(&reading.fingerprint);
        if let Some(moved) = twins.iter().find(|twin| !self.moves.has(twin.id) && self.has_left(twin)) {
            self.move_soon(moved, &new);
            return Ok(());
        }
        if let Some(twin) = twins.iter().find(|twin| twin.state == VideoState::Indexed) {
            tracing::info!(path = %path.display(), same_as = %twin.path.display(), "a copy of a known video");
            let copy = self.store.clone_video(twin.id, new, now_ms())?;
            // The store queues it like a new one when the twin turns out not to be complete.
            self.jobs_added |= copy.state == VideoState::Pending;
            return Ok(());
        }
        self.new_videos.push(new);
        if self.new_videos.len() >= ADD_BATCH {
            self.store_batches();
            (self.on_event)(ReconcileEvent::JobsAdded);
        }
        Ok(())
    }

    /// The video's file is now at `new.path`: nothing is decoded. A video that was there is gone, unless its content turns up again.
    pub(super) fn move_here(&mut self, video: &VideoRecord, new: &NewVideo) -> Result<(), StoreError> {
        tracing::info!(from = %video.path.display(), to = %new.path.display(), "a video was moved");
        self.store.move_video(video.id, &new.path, new.stamp, new.on_root_device)?;
        self.suspects.remove(&video.id);
        self.back_online.retain(|id| *id != video.id);
        self.videos = None;
        Ok(())
    }

    /// Whether the content of a known video is certainly no longer at its path. Offline and unreachable videos have not left.
    pub(super) fn has_left(&self, video: &VideoRecord) -> bool {
        if self.replaced.contains_key(&video.path) {
            return true;
        }
        let owner = self.owner(&video.path);
        // A folder that is no longer watched is judged by whether the file's own folder is there.
        let (root, device): (PathBuf, u64) = match owner {
            Some(index) if self.roots[index].state == RootState::Offline => return false,
            Some(index) => (self.roots[index].path.clone(), self.roots[index].device),
            None => match video.path.parent().map(|parent| (parent, super::home::device_of(parent, true))) {
                Some((parent, Ok(device))) => (parent.to_owned(), device),
                _ => return false,
            },
        };
        let on_root_device = owner.is_none() || video.on_root_device;
        if owner.is_some_and(|index| self.is_of_a_former_volume(index, video)) {
            return false;
        }
        let follow = self.rules.follow_symlinks();
        match whereabouts(&video.path, self.look_at_link(&video.path), &root, device, on_root_device) {
            Whereabouts::Gone => true,
            Whereabouts::Unreachable(_) => false,
            Whereabouts::Present(metadata) => {
                let stamp = stamp_of(&metadata);
                let unchanged = owner.map_or(stamp == video.stamp, |index| self.is_unchanged(index, video, stamp));
                !unchanged
                    && read_file(&video.path, follow)
                        .is_ok_and(|reading| reading.is_none_or(|reading| reading.fingerprint != video.fingerprint))
            }
        }
    }

    /// An offline video under a root where another volume is in place now.
    pub(super) fn is_of_a_former_volume(&self, index: usize, video: &VideoRecord) -> bool {
        video.offline && self.roots[index].home.keeps_former()
    }

    /// Why the existing file of a known video is left out, read afresh.
    pub(super) fn is_excluded(&self, index: usize, video: &Arc<VideoRecord>) -> bool {
        let (rules, root, path) = (Arc::clone(&self.rules), self.roots[index].path.clone(), video.path.clone());
        reach::look(&video.path, move |_| Ok(rules::exclusion(&rules, &root, &path, false).is_some())).unwrap_or(false)
    }
}

fn read_file(path: &Path, follow: bool) -> io::Result<Option<Reading>> {
    let at = path.to_owned();
    reach::look(path, move |_| fingerprint::read_file(&at, follow))
}
