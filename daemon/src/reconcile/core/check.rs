//! Checking the watched folders: starting and ending to watch them, noticing that they vanished or came back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use scened_common::domain::VideoId;

use super::super::identity::{Identity, InPlace, Verdict};
use super::super::rules::Rules;
use super::super::shared::lock;
use super::Core;
use super::roots::FoundRoot;
use crate::machine::with_timeout::{self, Pulse};
use crate::store::VideoRecord;

/// Files and folders looked at in search of any video under a root with another identity.
const MAX_LOOKED_AT: usize = 10_000;

impl Core {
    /// Watches these folders and no others.
    pub(super) fn set_roots(&mut self, paths: Vec<PathBuf>) {
        for dropped in self.roots.keep(&paths) {
            self.forget_work_below(&dropped);
            // It may lie in another root, or another root in it: these lost their watches just now.
            let mut again = self.roots.paths();
            again.retain(|other| other.starts_with(&dropped) || dropped.starts_with(other));
            for path in again {
                self.walks.queue(path, true);
            }
            if self.roots.owner(&dropped).is_some() {
                self.walks.queue(dropped, true);
            }
        }
        for added in self.roots.add(paths) {
            self.walks.queue(added, true);
        }
    }

    /// Looks whether a root is there and is the one it was, and acts on it. True: it can be walked, and what is missing counts.
    pub(super) fn check_root(&mut self, index: usize) -> bool {
        let path = self.roots[index].path().to_owned();
        let found = match FoundRoot::at(&path) {
            Ok(found) => found,
            Err(error) => {
                self.set_root_offline(index, &error.to_string());
                return false;
            }
        };
        let home = self.roots[index].home().clone();
        let verdict = home.judge(&found.identity, || self.check_surroundings(&path));
        // What was looked around in may be another folder than the one whose identity was read: then nothing is known of either.
        let at = path.clone();
        if home.identity.as_ref() != Some(&found.identity)
            && !with_timeout::run(&path, move |_| Identity::of(&at)).is_ok_and(|again| again == found.identity)
        {
            self.set_root_offline(index, "another folder took its place during the scan");
            return false;
        }
        let keeps_former = match verdict {
            Verdict::Vacant => {
                self.set_root_offline(index, "its folder is empty; perhaps the drive is not mounted");
                return false;
            }
            Verdict::Another => {
                tracing::info!(root = %path.display(), "another volume is in its place; videos of the former one are kept, offline");
                let missing = self.missing_below(&path);
                self.library.set_offline(&missing);
                !missing.is_empty()
            }
            Verdict::Same | Verdict::Renumbered => false,
        };
        if self.roots.is_there(index, found, keeps_former) {
            self.walks.queue(path, true);
        }
        true
    }

    fn check_surroundings(&mut self, path: &Path) -> InPlace {
        let known = self.videos_below(path);
        let n_known = known.len();
        let (at, rules) = (path.to_owned(), Arc::clone(self.filter.rules()));
        let looked = with_timeout::run(path, move |pulse| {
            let is_in_place = |video: &&Arc<VideoRecord>| {
                pulse.beat();
                std::fs::symlink_metadata(&video.path).is_ok_and(|metadata| {
                    let stamp = super::super::fingerprint::stamp_of(&metadata);
                    stamp.size_bytes == video.stamp.size_bytes && stamp.mtime_ns == video.stamp.mtime_ns
                })
            };
            let n_found = known.iter().filter(is_in_place).count();
            Ok((n_found, n_found > 0 || has_video(&at, &rules, pulse)))
        });
        // What does not answer any more is taken for empty, and so for offline.
        let (n_found, any_video) = looked.unwrap_or_default();
        InPlace {
            n_known,
            n_found,
            any_video,
        }
    }

    fn missing_below(&mut self, path: &Path) -> Vec<VideoId> {
        let known = self.videos_below(path);
        let all: Vec<VideoId> = known.iter().map(|video| video.id).collect();
        let missing = with_timeout::run(path, move |pulse| {
            let is_missing = |video: &&Arc<VideoRecord>| {
                pulse.beat();
                std::fs::symlink_metadata(&video.path).is_err()
            };
            Ok(known.iter().filter(is_missing).map(|video| video.id).collect())
        });
        missing.unwrap_or(all)
    }

    /// Nothing under this root can be said to be missing: its videos are marked offline, and all work on them is forgotten.
    pub(super) fn set_root_offline(&mut self, index: usize, reason: &str) {
        if !self.roots.went_offline(index, reason) {
            return;
        }
        let path = self.roots[index].path().to_owned();
        self.forget_work_below(&path);
        self.schedule.went_offline(Instant::now());
        self.library.list_anew();
        let online: Vec<VideoId> = self
            .videos_below(&path)
            .iter()
            .filter(|video| !video.offline)
            .map(|video| video.id)
            .collect();
        self.library.set_offline(&online);
        // Roots inside it have their own fate, but lost their watches.
        for inner in self.roots.inside(&path) {
            self.walks.queue(inner, true);
        }
    }

    fn forget_work_below(&mut self, path: &Path) {
        self.watching.remove_below(path);
        lock(&self.shared.settling).lose_below(path, Instant::now());
        self.walks.forget_below(path);
        self.lose_replaced(path);
        self.watching.forget_unwatched_below(path);
        self.unreadable.forget_below(path);
    }

    pub(super) fn check_offline_roots(&mut self) {
        for index in 0..self.roots.len() {
            if self.roots[index].is_offline() {
                self.check_root(index);
            }
        }
    }

    /// Looks at what lies on mounts that did not answer and do so now.
    pub(super) fn check_silent(&mut self) {
        for path in self.unreadable.take_answering(with_timeout::answers) {
            self.walks.queue(path, true);
        }
    }

    /// The table of mounts changed: every root may have vanished or come back, and so may what is mounted inside.
    pub(super) fn check_mounts(&mut self) {
        let changed = self.roots.take_changed_mounts();
        for index in 0..self.roots.len() {
            self.check_root(index);
        }
        self.unreadable.mounts_changed(Instant::now());
        for point in changed {
            self.roots.mount_changed(&point);
            for root in self.roots.inside(&point) {
                self.walks.queue(root, true);
            }
            if self.roots.owner(&point).is_some() {
                self.walks.queue(point, true);
            }
        }
    }

    /// Looks through everything, with new watches: where events were lost unnoticed, a watch may be on a folder that has another name now.
    pub(super) fn rescan_all(&mut self) {
        self.schedule.rescans(Instant::now());
        self.library.retry_what_the_machine_is_blamed_for();
        // Walks look at the roots again; what is there then was there until then.
        self.roots.sees_volumes();
        for root in self.roots.paths() {
            self.watching.remove_below(&root);
            self.walks.queue(root, true);
        }
    }

    /// Looks through `path` and every root below it.
    pub(super) fn rescan(&mut self, path: &Path) {
        for root in self.roots.inside(path) {
            self.walks.queue(root, false);
        }
        if self.roots.owner(path).is_some() {
            self.walks.queue(path.to_owned(), false);
        }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let unwatched = self.watching.warning(self.timing.poll_every);
        unwatched.into_iter().chain(self.unreadable.warnings()).collect()
    }
}

/// Whether any file that looks like a video lies below `path`; gives up after [`MAX_LOOKED_AT`] entries and then says yes, so that
/// a full folder is never taken for an empty mount point.
fn has_video(path: &Path, rules: &Rules, pulse: &Pulse) -> bool {
    let mut folders = vec![path.to_owned()];
    let mut n_left = MAX_LOOKED_AT;
    while let Some(folder) = folders.pop() {
        pulse.beat();
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            n_left -= 1;
            if n_left == 0 {
                return true;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() && rules.is_video_name(&entry.file_name()) => return true,
                _ => {}
            }
        }
    }
    false
}
