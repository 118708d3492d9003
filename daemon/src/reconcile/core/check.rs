//! Checks of the watched folders: starts and stops watching them, and notices that they vanished or came back.

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

/// Maximum number of files and folders read in search of a video under a root with another identity.
const MAX_LOOKED_AT: usize = 10_000;

impl Core {
    /// Watches these folders and no others.
    pub(super) fn set_roots(&mut self, paths: Vec<PathBuf>) {
        for dropped in self.roots.keep(&paths) {
            self.forget_work_below(&dropped);
            // The dropped root may be inside another root, or contain one. Those have just lost their watches.
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

    /// Checks whether a root is there and still the same, and acts on the result. Returns true if it can be walked and missing files count.
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
        // The surroundings may be those of another folder than the one whose identity was read. Then nothing is known about either.
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
        // A folder that no longer answers is treated as empty, and so as offline.
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

    /// Marks a root's videos offline and forgets all work on them, because nothing under the root can count as missing.
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
        // Roots inside it have their own state, but lost their watches.
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

    /// Checks the paths on mounts that did not answer before and do now.
    pub(super) fn check_silent(&mut self) {
        for path in self.unreadable.take_answering(with_timeout::answers) {
            self.walks.queue(path, true);
        }
    }

    /// Reacts to a change of the mount table: every root, and every mount inside one, may have vanished or come back.
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

    /// Scans everything, with new watches. If events were lost unnoticed, a watch may be on a folder that has another name by now.
    pub(super) fn rescan_all(&mut self) {
        self.schedule.rescans(Instant::now());
        self.library.retry_what_the_machine_is_blamed_for();
        // Walks check the roots again. A volume that is there then was there all the time.
        self.roots.sees_volumes();
        for root in self.roots.paths() {
            self.watching.remove_below(&root);
            self.walks.queue(root, true);
        }
    }

    /// Scans `path` and every root below it.
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

/// Decides whether any file below `path` looks like a video. Gives up after [`MAX_LOOKED_AT`] entries and returns true, so that a full
/// folder is never mistaken for an empty mount point.
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
