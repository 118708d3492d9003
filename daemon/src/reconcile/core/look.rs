//! Looking: at what events hinted at, and at whole folders.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::super::Exclusion;
use super::super::fingerprint::stamp_of;
use super::super::rules::{FolderRules, NOMEDIA, Rules, SCENEDIGNORE, unfinished};
use super::super::shared::lock;
use super::super::whereabouts::{says_missing, stat};
use super::Core;
use crate::domain::{FileStamp, VideoId};
use crate::machine::with_timeout::{self, Pulse};
use crate::store::{VideoRecord, VideoState};
use crate::watch::debounce::{Batch, Hint};

impl Core {
    pub(super) fn look_at_batch(&mut self, batch: Batch, now: Instant) {
        if batch.rescan {
            self.schedule.events_were_lost(now);
        }
        if batch.mounts {
            self.look_at_mounts();
        }
        for (path, hint) in batch.paths {
            self.spared(&path, |core| core.look_at(&path, hint));
        }
        if self.schedule.overflow_rescan_is_due(now) {
            self.run_timers(now);
        }
    }

    /// Looks at one path, whatever it is now.
    pub(super) fn look_at(&mut self, path: &Path, hint: Hint) {
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
            // What lay beside it may be gone: then it is finished.
            self.look_at(&filled, Hint::default());
        }
        match self.look_at_link(path) {
            Ok(Some(metadata)) if metadata.is_dir() && self.folders.has_this_name(self.roots[index].path(), path) => {
                self.walks.queue(path.to_owned(), hint.rewatch);
            }
            Ok(Some(metadata)) if metadata.is_file() => {
                // It could not be told what it is. What its folder was watched by may be gone, too.
                if self.unreadable.is_file_after_all(path)
                    && let Some(folder) = path.parent()
                {
                    self.walks.queue(folder.to_owned(), true);
                }
                if hint.rewatch {
                    self.missed_below(path);
                }
                if metadata.nlink() > 1 {
                    // It may have been made readable under this name.
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

    /// Everything known at or below `path` was not found there.
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

    /// Puts what is known *below* `path` (which is no folder any more) under suspicion.
    fn missed_below(&mut self, path: &Path) {
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

    /// A folder cannot be read: what is known below it is kept, offline.
    fn cannot_read(&mut self, folder: &Path, error: &io::Error) {
        self.unreadable.cannot_read_folder(folder, error, Instant::now());
        let online: Vec<VideoId> = self
            .videos_below(folder)
            .iter()
            .filter(|video| !video.offline)
            .map(|video| video.id)
            .collect();
        self.library.set_offline(&online);
    }

    /// Walks one folder: watches it, looks at its files, queues its sub-folders, and misses what is known and not there.
    pub(super) fn walk(&mut self, folder: &Path, rewatch: bool) {
        let Some(index) = self.roots.owner(folder) else { return };
        let root = self.roots[index].path().to_owned();
        if folder == root {
            let was_offline = self.roots[index].is_offline();
            // Coming back from offline queues this folder again, with new watches.
            if !self.check_root(index) || was_offline {
                return;
            }
        } else if self.roots[index].is_offline() {
            return;
        }
        if rewatch {
            self.watching.remove_below(folder);
            // Roots inside lose their watches with it, and are walked on their own.
            for inner in self.roots.inside(folder) {
                self.walks.queue(inner, true);
            }
        }
        let found = if folder == root {
            crate::failpoint::hit("walk-root").and_then(|()| stat(folder, true)).map(Some)
        } else {
            self.look_at_link(folder)
        };
        match found {
            Ok(Some(metadata)) if metadata.is_dir() && self.folders.has_this_name(self.roots[index].path(), folder) => {}
            Ok(Some(metadata)) if metadata.is_file() => return self.look_at(folder, Hint::default()),
            Ok(_) => return self.missed_folder(index, folder),
            Err(error) if says_missing(&error) => return self.missed_folder(index, folder),
            Err(error) => return self.cannot_read(folder, &error),
        }
        let folder_rules = match self.filter.of_folder(&root, folder) {
            Ok(rules) => rules,
            Err(exclusion) => {
                // The file `.nomedia` may be deleted one day; that event comes from the folder's own watch.
                if matches!(&exclusion, Exclusion::NoMedia(file) if file.parent() == Some(folder)) {
                    self.watching.add(folder);
                }
                return self.missed_below(folder);
            }
        };
        // First the watch, then the look: what comes in between is seen twice and not never.
        self.watching.add(folder);
        let found = match self.list(index, folder, &folder_rules, rewatch) {
            Ok(found) => found,
            Err(error) if says_missing(&error) => return self.missed_folder(index, folder),
            Err(error) => return self.cannot_read(folder, &error),
        };
        self.unreadable.folder_was_read(folder);
        self.miss_all_but(folder, &found);
    }

    /// A folder that was to be walked is not there. The folder above it tells when it is back; no folder does so of a root, which is
    /// offline and polled from now on.
    fn missed_folder(&mut self, index: usize, folder: &Path) {
        if self.roots[index].path() == folder {
            self.set_root_offline(index, "it went away while it was looked at");
        } else {
            self.missed(folder);
        }
    }

    /// Reads one folder. Returns the names that count: sub-folders to be walked, and files that belong in the index.
    fn list(&mut self, index: usize, folder: &Path, folder_rules: &FolderRules, rewatch: bool) -> io::Result<HashSet<OsString>> {
        let root = self.roots[index].path().to_owned();
        let mut found = HashSet::new();
        let rules = Arc::clone(self.filter.rules());
        let (at, for_listing) = (folder.to_owned(), Arc::clone(&rules));
        let entries = with_timeout::run(folder, move |pulse| entries(&at, &for_listing, pulse))?;
        self.folders.begin_list(folder, entries.iter().map(|entry| entry.name.as_os_str()));
        for Entry { name, kind, metadata } in entries {
            let path = folder.join(&name);
            let metadata = if kind.is_symlink() {
                match self.follow_link(&path) {
                    Some(metadata) => Some(metadata),
                    None => continue,
                }
            } else {
                metadata
            };
            let is_folder = metadata.as_ref().map_or(kind.is_dir(), Metadata::is_dir);
            if is_folder {
                if self.roots.has(&path) {
                    found.insert(name);
                } else if rules.excludes_folder(&root, &path, folder_rules).is_none() {
                    found.insert(name);
                    self.walks.queue(path, rewatch);
                }
                continue;
            }
            if !rules.is_video_name(&name) || rules.excludes_file(&root, &path, folder_rules).is_some() {
                continue;
            }
            if let Some(metadata) = metadata.filter(Metadata::is_file) {
                found.insert(name);
                self.saw_file(index, &path, &metadata, false);
            }
        }
        self.folders.end_list();
        Ok(found)
    }

    /// A stat that goes through a link where links count; `None` = a link that does not.
    pub(super) fn look_at_link(&self, path: &Path) -> io::Result<Option<Metadata>> {
        let metadata = stat(path, false)?;
        Ok(if metadata.is_symlink() {
            self.follow_link(path)
        } else {
            Some(metadata)
        })
    }

    /// What a link leads to, if links count and it leads out of all roots (what is inside is found there), and not back to itself.
    fn follow_link(&self, link: &Path) -> Option<Metadata> {
        if !self.filter.follows_links() {
            return None;
        }
        let at = link.to_owned();
        let (towards, folders) = with_timeout::run(link, move |_| {
            let folders: Vec<PathBuf> = at.ancestors().skip(1).flat_map(std::fs::canonicalize).collect();
            Ok((std::fs::read_link(&at)?, folders))
        })
        .ok()?;
        // The mount that may hang is the one it leads to.
        let towards = without_dots(&link.parent()?.join(towards));
        let at = link.to_owned();
        let target = with_timeout::run(&towards, move |_| std::fs::canonicalize(at)).ok()?;
        let is_inside = self.roots.iter().any(|root| target.starts_with(root.real()));
        let is_loop = folders.iter().any(|folder| folder.starts_with(&target));
        if is_inside || is_loop { None } else { stat(&target, true).ok() }
    }

    /// Puts under suspicion what is known in `folder` or below and not among the names found there.
    fn miss_all_but(&mut self, folder: &Path, found: &HashSet<OsString>) {
        let mut missed = Vec::new();
        let roots = self.roots.inside(folder);
        let videos = self.library.videos();
        let mut at = videos.partition_point(|video| video.path.as_path() < folder);
        while let Some(video) = videos.get(at)
            && let Ok(below) = video.path.strip_prefix(folder)
        {
            let Some(name) = below.components().next() else {
                // A video at the folder's own path: there is a folder now.
                missed.push(video.id);
                at += 1;
                continue;
            };
            let child = folder.join(name);
            let is_missed = !found.contains(name.as_os_str()) && !roots.contains(&child);
            // Everything below this child at once: sub-folders that were found are walked on their own.
            let n_below = videos[at..].partition_point(|video| video.path.starts_with(&child));
            if is_missed {
                missed.extend(videos[at..at + n_below].iter().map(|video| video.id));
            }
            at += n_below.max(1);
        }
        for video in missed {
            self.suspect(video);
        }
    }

    /// A regular file that counts is at `path`. `written`: an event said that it was written to just now.
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

    /// How long the file at `path` must rest.
    pub(super) fn rest_for(&self, index: usize, path: &Path) -> Duration {
        let below = path.strip_prefix(self.roots[index].path()).unwrap_or(path);
        if unfinished::may_be_unfinished(below) || self.folders.is_being_filled(path) {
            self.timing.unfinished
        } else {
            self.timing.settle
        }
    }

    /// Inodes of network and user-space file systems may be numbered anew at every mount.
    pub(super) fn is_unchanged(&self, index: usize, video: &VideoRecord, stamp: FileStamp) -> bool {
        let known = video.stamp;
        let same_inode = known.inode == stamp.inode || self.roots[index].is_remote();
        known.size_bytes == stamp.size_bytes && known.mtime_ns == stamp.mtime_ns && same_inode
    }

    pub(super) fn look_at_other_names(&mut self) {
        let mut seen = HashSet::new();
        while let Some(name) = self.library.take_other_name() {
            if seen.insert(name.clone()) {
                self.look_at(&name, Hint::default());
            }
        }
    }

    /// The known videos at `path` or below it that belong to the same root as `path` does (or is).
    pub(super) fn videos_below(&mut self, path: &Path) -> Vec<Arc<VideoRecord>> {
        let nested = self.roots.inside(path);
        self.library.videos_below(path, &nested)
    }
}

/// What a folder's listing says of one name.
struct Entry {
    name: OsString,
    kind: FileType,
    /// Of files that may be videos.
    metadata: Option<Metadata>,
}

fn entries(folder: &Path, rules: &Rules, pulse: &Pulse) -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        pulse.beat();
        let entry = entry?;
        let name = entry.file_name();
        let of_kind = entry.file_type().and_then(|kind| {
            let may_be_video = kind.is_file() && rules.is_video_name(&name);
            Ok((kind, may_be_video.then(|| entry.metadata()).transpose()?))
        });
        match of_kind {
            Ok((kind, metadata)) => found.push(Entry { name, kind, metadata }),
            Err(error) if says_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// `path` with `.` and `..` taken out as if nothing in it were a link.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            _ => plain.push(component),
        }
    }
    plain
}

fn is_older_than(metadata: &Metadata, age: Duration) -> bool {
    metadata
        .modified()
        .is_ok_and(|modified| SystemTime::now().duration_since(modified).is_ok_and(|elapsed| elapsed >= age))
}
