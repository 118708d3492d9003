//! Placing reads the fingerprint of a file at rest, and so finds its video: the same one, a moved one, a copy, or a new one.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use scened_common::domain::FileStamp;

use super::super::fingerprint::{self, Reading, stamp_of};
use super::super::shared::lock;
use super::super::whereabouts::{Whereabouts, mount_of, says_missing, whereabouts};
use super::Core;
use crate::machine::with_timeout;
use crate::store::{JobKind, NewVideo, StoreError, VideoRecord, VideoState};
use crate::video_file::whole::has_every_byte;

impl Core {
    /// Reads and places a file whose waiting time is over, if it still has the stamp it had then.
    pub(super) fn decide(&mut self, path: &Path, expected: FileStamp) {
        let forget = |core: &Self| lock(&core.shared.settling).remove(path);
        let Some(index) = self.roots.online_owner(path) else {
            forget(self);
            return;
        };
        if self.filter.excludes_file(self.roots[index].path(), path).is_some() {
            forget(self);
            self.lose_replaced(path);
            if let Some(video) = self.library.video_at(path) {
                self.suspect(video.id);
            }
            return;
        }
        let still_changing = |core: &Self, stamp| lock(&core.shared.settling).still_changing(path, stamp, Instant::now());
        match self.check_link(path) {
            Ok(Some(metadata)) if metadata.is_file() => {
                let stamp = stamp_of(&metadata);
                if stamp != expected {
                    return still_changing(self, stamp);
                }
                // A program may only now have begun to write beside it.
                let (rest, rested) = (self.rest_for(index, path), lock(&self.shared.settling).rest_of(path));
                if rested.is_some_and(|rested| rested < rest) {
                    return lock(&self.shared.settling).saw_for(rest, path, stamp, false, Instant::now());
                }
                if self.filter.is_other_thing(path, stamp) {
                    forget(self);
                    self.lose_replaced(path);
                    if let Some(video) = self.library.video_at(path) {
                        self.suspect(video.id);
                    }
                    return;
                }
            }
            Ok(_) => return self.missed(path),
            Err(error) if says_missing(&error) => return self.missed(path),
            Err(error) => {
                forget(self);
                return self.unreadable.cannot_read_file(path, &error, Instant::now());
            }
        }
        match read_file(path, self.filter.follows_links()) {
            Ok(Some(reading)) if reading.stamp == expected => {
                self.unreadable.file_was_read(path);
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
                self.unreadable.cannot_read_file(path, &error, Instant::now());
            }
        }
    }

    fn place(&mut self, index: usize, path: &Path, reading: Reading) -> Result<(), StoreError> {
        self.store_moves_of(path);
        let Some(video) = self.library.video_at(path) else {
            return self.place_new(index, path, reading);
        };
        self.missing.acquit(video.id);
        if video.fingerprint == reading.fingerprint {
            let on_root_device = self.is_on_root_mount(index, path, video.on_root_device);
            self.lose_replaced(path);
            let is_known = self.is_known_content(index, &video, reading.stamp);
            self.library.is_in_place(&video, reading.stamp, on_root_device);
            if !is_known {
                tracing::info!(path = %path.display(), "modified since it was indexed; it is indexed again");
                self.read_again(&video, reading.stamp)?;
            }
            return Ok(());
        }
        // Its former content may turn up elsewhere (the file was renamed and another put in its place), so this waits like a deletion.
        self.lose_replaced(path);
        self.missing.replace(path, reading, Instant::now());
        Ok(())
    }

    /// Places a file at a path without a video.
    pub(super) fn place_new(&mut self, index: usize, path: &Path, reading: Reading) -> Result<(), StoreError> {
        let new = NewVideo {
            path: path.to_owned(),
            stamp: reading.stamp,
            fingerprint: reading.fingerprint,
            on_root_device: self.is_on_root_mount(index, path, true),
        };
        let twins = self.library.videos_with_fingerprint(&reading.fingerprint);
        // This is a known file, requested by a name that its folder does not have.
        if twins.iter().any(|twin| twin.stamp.inode == reading.stamp.inode) && !self.folders.has_this_name(self.roots[index].path(), path) {
            return Ok(());
        }
        if let Some(moved) = self.moved_among(index, &twins, reading.stamp) {
            if self.is_known_content(index, &moved, reading.stamp) {
                self.move_soon(&moved, &new);
                return Ok(());
            }
            return self.move_here(index, &moved, &new);
        }
        if let Some(twin) = twins.iter().find(|twin| speaks_for(twin, reading.stamp)) {
            tracing::info!(path = %path.display(), same_as = %twin.path.display(), "a copy of a known video");
            return self.library.copy(twin.id, new);
        }
        if self.library.add_soon(new) {
            self.store_batches();
        }
        Ok(())
    }

    /// Finds the video that was moved to a file with this stamp. Prefers the very same file to one that may differ between the samples of
    /// the fingerprint.
    pub(super) fn moved_among(&self, index: usize, twins: &[Arc<VideoRecord>], stamp: FileStamp) -> Option<Arc<VideoRecord>> {
        let (known, others): (Vec<_>, Vec<_>) = twins.iter().partition(|twin| self.is_known_content(index, twin, stamp));
        let mut all = known.into_iter().chain(others);
        all.find(|twin| !self.library.has_move_of(twin.id) && self.has_left(twin, stamp))
            .cloned()
    }

    /// Moves a video to `new.path`, where its file now is. Nothing is decoded again unless the file may have been written to on its way. A
    /// video that was there is removed, unless its content turns up again.
    pub(super) fn move_here(&mut self, index: usize, video: &VideoRecord, new: &NewVideo) -> Result<(), StoreError> {
        tracing::info!(from = %video.path.display(), to = %new.path.display(), "a video was moved");
        self.library.move_now(video.id, &new.path, new.stamp, new.on_root_device)?;
        if !self.is_known_content(index, video, new.stamp) {
            self.read_again(video, new.stamp)?;
        }
        self.missing.acquit(video.id);
        Ok(())
    }

    /// Decides whether a file with a video's fingerprint can add nothing to what is known of that video. A pending video is decoded anyway.
    /// A damaged or failed one may be complete by now, so only the very same file is not decoded again.
    fn is_known_content(&self, index: usize, video: &VideoRecord, stamp: FileStamp) -> bool {
        match video.state {
            VideoState::Pending => true,
            VideoState::Indexed if video.is_sound() => speaks_for(video, stamp),
            VideoState::Indexed | VideoState::Failed => self.is_unchanged(index, video, stamp),
        }
    }

    /// Queues a video whose file may have been completed in place. If all its bytes are known, reading them is enough.
    fn read_again(&mut self, video: &VideoRecord, stamp: FileStamp) -> Result<(), StoreError> {
        let kind = if video.is_sound() { JobKind::Verify } else { JobKind::Index };
        self.library.requeue(kind, video.id, stamp, video.fingerprint)
    }

    /// Decides whether a known video's content is certainly no longer at its path. The content was found elsewhere, in a file with the
    /// stamp `elsewhere`. Offline and unreachable videos have not left.
    fn has_left(&self, video: &VideoRecord, elsewhere: FileStamp) -> bool {
        if self.missing.replaced_at(&video.path).is_some() {
            return true;
        }
        let owner = self.roots.owner(&video.path);
        // If the folder is no longer watched, the presence of the file's own folder decides.
        let (root, mount): (PathBuf, u64) = match owner {
            Some(index) if self.roots[index].is_offline() => return false,
            Some(index) => (self.roots[index].path().to_owned(), self.roots[index].mount()),
            None => match video.path.parent().map(|parent| (parent, mount_of(parent))) {
                Some((parent, Ok(mount))) => (parent.to_owned(), mount),
                _ => return false,
            },
        };
        let on_root_device = owner.is_none() || video.on_root_device;
        if owner.is_some_and(|index| self.is_of_a_former_volume(index, video)) {
            return false;
        }
        let follow = self.filter.follows_links();
        match whereabouts(&video.path, self.check_link(&video.path), &root, mount, on_root_device) {
            Whereabouts::Gone => true,
            Whereabouts::Unreachable(_) => false,
            Whereabouts::Present(metadata) => {
                let stamp = stamp_of(&metadata);
                // One file under two names, of which a case-insensitive file system has only one.
                if stamp.inode == elsewhere.inode
                    && owner.is_some_and(|index| !self.folders.has_this_name(self.roots[index].path(), &video.path))
                {
                    return true;
                }
                let unchanged = owner.map_or(stamp == video.stamp, |index| self.is_unchanged(index, video, stamp));
                !unchanged
                    && read_file(&video.path, follow)
                        .is_ok_and(|reading| reading.is_none_or(|reading| reading.fingerprint != video.fingerprint))
            }
        }
    }

    /// Decides whether a file is on the mount of its root. Its folder decides, because a file's own device may be that of one layer of an
    /// overlay. For a file behind a link that counts, the device decides. `known`: the result if the folder cannot be read because it was
    /// just renamed or deleted; that is checked next.
    pub(super) fn is_on_root_mount(&self, index: usize, file: &Path, known: bool) -> bool {
        let root = &self.roots[index];
        if self.filter.follows_links() {
            let (at, of_root) = (file.to_owned(), root.path().to_owned());
            let looked = with_timeout::run(file, move |_| {
                let real = std::fs::canonicalize(at)?;
                let is_same_device = std::fs::metadata(&real)?.dev() == std::fs::metadata(of_root)?.dev();
                Ok((real, is_same_device))
            });
            let Ok((real, is_same_device)) = looked else { return known };
            // The target of a link goes with the link, unless it may be on a drive that was unplugged.
            if file.strip_prefix(root.path()).is_ok_and(|below| real != root.real().join(below)) {
                return is_same_device;
            }
        }
        let folder = file.parent().unwrap_or(file);
        self.folders.share_a_mount(folder, root.path()).unwrap_or(known)
    }

    /// Decides whether this is an offline video under a root that now holds another volume.
    pub(super) fn is_of_a_former_volume(&self, index: usize, video: &VideoRecord) -> bool {
        video.offline && self.roots[index].home().keeps_former()
    }
}

/// Decides whether a file with a video's fingerprint and this stamp certainly has its bytes, and these were decoded without an error.
///
/// The fingerprint of a larger file reads samples. A download that fills a file of its final size changes the bytes between them, and the
/// time with every write. Programs that copy the time as well (`mv` to another disk, `rsync -a`) set it after the last write.
pub(super) fn speaks_for(video: &VideoRecord, stamp: FileStamp) -> bool {
    let is_same_size = video.stamp.size_bytes == stamp.size_bytes;
    video.is_sound() && is_same_size && (has_every_byte(stamp.size_bytes) || video.stamp.mtime_ns == stamp.mtime_ns)
}

fn read_file(path: &Path, follow: bool) -> io::Result<Option<Reading>> {
    let at = path.to_owned();
    with_timeout::run(path, move |_| fingerprint::read_file(&at, follow))
}
