//! Roots: starting and ending to watch them, noticing that they vanished or came back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::super::roots::{self, Home, Identity, InPlace, RootState, RootStatus, StoredRoot, Verdict};
use super::super::rules::Rules;
use super::super::shared::lock;
use super::super::volumes::{self, StoredVolume, Volumes};
use super::{Core, Root};
use crate::domain::VideoId;
use crate::machine::clock::now_ms;
use crate::machine::mounts::{self, Mount, mounts, number_of};
use crate::machine::with_timeout::{self, Pulse};
use crate::store::VideoRecord;

/// Name of the setting with the identities of all roots ever watched.
const SETTING: &str = "roots";
/// Name of the setting with the names of drives.
const VOLUMES_SETTING: &str = "volumes";
/// Files and folders looked at in search of any video under a root with another identity.
const MAX_LOOKED_AT: usize = 10_000;

impl Core {
    /// Watches these folders and no others.
    pub(super) fn set_roots(&mut self, mut paths: Vec<PathBuf>) {
        paths.sort();
        paths.dedup();
        let stored = self.stored_homes();
        let before = std::mem::take(&mut self.roots);
        let (kept, dropped): (Vec<Root>, Vec<Root>) = before.into_iter().partition(|root| paths.contains(&root.path));
        self.roots = kept;
        for root in dropped {
            self.forget_work_below(&root.path);
            // It may lie in another root, or another root in it: these lost their watches just now.
            let concerned = |other: &&Root| other.path.starts_with(&root.path) || root.path.starts_with(&other.path);
            let again: Vec<PathBuf> = self.roots.iter().filter(concerned).map(|other| other.path.clone()).collect();
            for path in again {
                self.walks.queue(path, true);
            }
            if self.owner(&root.path).is_some() {
                self.walks.queue(root.path, true);
            }
        }
        for path in paths {
            if self.roots.iter().any(|root| root.path == path) {
                continue;
            }
            let home = stored
                .iter()
                .find(|(known, _)| *known == path)
                .map(|(_, home)| home.clone())
                .unwrap_or_default();
            self.walks.queue(path.clone(), true);
            self.roots.push(Root {
                real: path.clone(),
                path,
                home,
                state: RootState::Offline,
                detail: Some("not looked at yet".to_owned()),
                mount: 0,
                remote: false,
                doubt: None,
            });
        }
        self.roots.sort_by(|a, b| a.path.cmp(&b.path));
    }

    fn stored_homes(&self) -> Vec<(PathBuf, Home)> {
        let stored = match self.store.setting(SETTING) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Vec::new(),
            Err(error) => {
                tracing::error!(%error, "the identities of the watched folders cannot be read; they are learnt anew");
                return Vec::new();
            }
        };
        match serde_json::from_value::<Vec<StoredRoot>>(stored) {
            Ok(stored) => stored.into_iter().map(StoredRoot::into_parts).collect(),
            Err(error) => {
                tracing::error!(%error, "the identities of the watched folders cannot be understood; they are learnt anew");
                Vec::new()
            }
        }
    }

    pub(super) fn load_volumes(&mut self) {
        let stored = self.store.setting(VOLUMES_SETTING).ok().flatten();
        let volumes = stored.map(serde_json::from_value::<Vec<StoredVolume>>);
        match volumes {
            Some(Ok(stored)) => self.volumes = Volumes::from_stored(stored),
            Some(Err(error)) => tracing::error!(%error, "the names of drives cannot be understood; they are learnt anew"),
            None => {}
        }
    }

    pub(super) fn store_volumes(&mut self) {
        let stored = self.volumes.store_at(now_ms());
        let result = serde_json::to_value(stored).map(|value| self.store.put_setting(VOLUMES_SETTING, &value));
        if !matches!(result, Ok(Ok(()))) {
            tracing::error!(?result, "the names of drives cannot be stored");
        }
    }

    /// Notes the volume of a root that is there, and of what is mounted in it.
    fn see_volumes(&mut self, index: usize, keeps_former: bool) {
        let path = self.roots[index].path.clone();
        self.volumes.came(&path, volumes::name_of(&path), keeps_former, now_ms());
        let points = self.mounts.iter().map(|mount| &mount.point);
        let points = points.filter(|point| point.starts_with(&path) && **point != path);
        let inside: Vec<PathBuf> = points.filter(|point| self.owner(point) == Some(index)).cloned().collect();
        for point in inside {
            if with_timeout::answers(&point) {
                self.volumes.came(&point, volumes::name_of(&point), false, now_ms());
            }
        }
    }

    /// Stores the identities, also those of roots that are no longer watched: they may be added again.
    fn store_homes(&self) {
        let mut homes = self.stored_homes();
        for root in &self.roots {
            match homes.iter_mut().find(|(path, _)| *path == root.path) {
                Some((_, home)) => home.clone_from(&root.home),
                None => homes.push((root.path.clone(), root.home.clone())),
            }
        }
        let stored: Vec<StoredRoot> = homes.into_iter().map(|(path, home)| StoredRoot::new(&path, home)).collect();
        let result = serde_json::to_value(stored).map(|value| self.store.put_setting(SETTING, &value));
        if !matches!(result, Ok(Ok(()))) {
            tracing::error!(?result, "the identities of the watched folders cannot be stored");
        }
    }

    /// The innermost root that has `path`: every file belongs to exactly one.
    pub(super) fn owner(&self, path: &Path) -> Option<usize> {
        (0..self.roots.len())
            .filter(|index| path.starts_with(&self.roots[*index].path))
            .max_by_key(|index| self.roots[*index].path.components().count())
    }

    /// Looks whether a root is there and is the one it was, and acts on it. True: it can be walked, and what is missing counts.
    pub(super) fn check_root(&mut self, index: usize) -> bool {
        let path = self.roots[index].path.clone();
        // Reading its first entry tells a stale handle and a closed door.
        let at = path.clone();
        let found = with_timeout::run(&path, move |_| {
            let identity = Identity::of(&at)?;
            std::fs::read_dir(&at)?.next().transpose()?;
            Ok((identity, number_of(&at)?, roots::is_remote(&at), std::fs::canonicalize(&at)?))
        });
        let (current, mount, remote, real) = match found {
            Ok(found) => found,
            Err(error) => {
                self.set_root_offline(index, error.to_string());
                return false;
            }
        };
        let home = self.roots[index].home.clone();
        let mut keeps_former = false;
        let verdict = home.judge(&current, || self.look_around(&path));
        let changed = home.identity.as_ref() != Some(&current);
        // What was looked around in may be another folder than the one whose identity was read: then nothing is known of either.
        let at = path.clone();
        if changed && !with_timeout::run(&path, move |_| Identity::of(&at)).is_ok_and(|again| again == current) {
            self.set_root_offline(index, "another folder took its place while it was looked at".to_owned());
            return false;
        }
        match verdict {
            Verdict::Vacant => {
                self.set_root_offline(index, "an empty folder is in its place; it may not be mounted".to_owned());
                return false;
            }
            Verdict::Another => {
                tracing::info!(root = %path.display(), "another volume is in place; videos of the former one are kept, offline");
                self.roots[index].mount = mount;
                let missing = self.missing_below(&path);
                self.library.set_offline(&missing);
                keeps_former = !missing.is_empty();
                self.roots[index].home.settle_on(current.clone(), !missing.is_empty());
            }
            Verdict::Same | Verdict::Renumbered => self.roots[index].home.settle_on(current.clone(), false),
        }
        if changed {
            self.store_homes();
        }
        self.see_volumes(index, keeps_former);
        let root = &mut self.roots[index];
        root.mount = mount;
        root.remote = remote || mounts::mount_that_may_hang(&path).is_some();
        root.real = real;
        root.detail = None;
        if root.state == RootState::Offline {
            root.state = RootState::Watched;
            tracing::info!(root = %path.display(), "watching");
            self.walks.queue(path, true);
        }
        true
    }

    fn look_around(&mut self, path: &Path) -> InPlace {
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
    pub(super) fn set_root_offline(&mut self, index: usize, reason: String) {
        let path = self.roots[index].path.clone();
        if self.roots[index].state == RootState::Offline && self.roots[index].detail.as_ref() == Some(&reason) {
            return;
        }
        tracing::warn!(root = %path.display(), reason, "the watched folder is offline; its videos are kept");
        self.forget_work_below(&path);
        self.volumes.went(&path, now_ms());
        let root = &mut self.roots[index];
        root.state = RootState::Offline;
        root.detail = Some(reason);
        root.doubt = None;
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
        for inner in self.roots_inside(&path) {
            self.walks.queue(inner, true);
        }
    }

    pub(super) fn roots_inside(&self, folder: &Path) -> Vec<PathBuf> {
        let roots = self.roots.iter().map(|root| root.path.clone());
        roots.filter(|root| root.starts_with(folder) && root != folder).collect()
    }

    fn forget_work_below(&mut self, path: &Path) {
        self.watching.remove_below(path);
        lock(&self.shared.settling).lose_below(path, Instant::now());
        self.walks.forget_below(path);
        self.lose_replaced(path);
        self.watching.forget_unwatched_below(path);
        self.unreadable.forget_below(path);
    }

    pub(super) fn look_for_offline_roots(&mut self) {
        for index in 0..self.roots.len() {
            if self.roots[index].state == RootState::Offline {
                self.check_root(index);
            }
        }
    }

    /// Looks at what lies on mounts that did not answer and do so now.
    pub(super) fn look_at_silent(&mut self) {
        for path in self.unreadable.take_answering(with_timeout::answers) {
            self.walks.queue(path, true);
        }
    }

    /// The table of mounts changed: every root may have vanished or come back, and so may what is mounted inside.
    pub(super) fn look_at_mounts(&mut self) {
        let now = mounts();
        let before = std::mem::replace(&mut self.mounts, now.clone());
        for index in 0..self.roots.len() {
            self.check_root(index);
        }
        self.unreadable.mounts_changed(Instant::now());
        // Whatever came or went, took its watches along, also where the same is in place again.
        let is_in = |mounts: &[Mount], mount: &Mount| mounts.iter().any(|other| (other.id, &other.point) == (mount.id, &mount.point));
        let came = now.iter().filter(|mount| !is_in(&before, mount));
        let went = before.iter().filter(|mount| !is_in(&now, mount));
        let changed: BTreeSet<&Path> = came.chain(went).map(|mount| mount.point.as_path()).collect();
        for point in changed {
            let is_mounted = now.iter().any(|mount| mount.point == point);
            if !is_mounted && !self.roots.iter().any(|root| root.path == point) {
                self.volumes.went(point, now_ms());
            }
            if self.owner(point).is_some() {
                self.walks.queue(point.to_owned(), true);
            }
            for root in self.roots_inside(point) {
                self.walks.queue(root, true);
            }
        }
    }

    /// Looks through everything, with new watches: where events were lost unnoticed, a watch may be on a folder that has another name now.
    pub(super) fn rescan_all(&mut self) {
        self.schedule.rescans(Instant::now());
        self.library.retry_what_the_machine_is_blamed_for();
        // Walks look at the roots again; what is there then was there until then.
        self.volumes.is_unsaved = true;
        for root in &self.roots {
            self.watching.remove_below(&root.path);
            self.walks.queue(root.path.clone(), true);
        }
    }

    /// Looks through `path` and every root below it.
    pub(super) fn rescan(&mut self, path: &Path) {
        let inside: Vec<PathBuf> = self
            .roots
            .iter()
            .map(|root| root.path.clone())
            .filter(|root| root.starts_with(path))
            .collect();
        for root in inside {
            self.walks.queue(root, false);
        }
        if self.owner(path).is_some() {
            self.walks.queue(path.to_owned(), false);
        }
    }

    pub(super) fn status_of(&self, root: &Root) -> RootStatus {
        let n_unwatched = self.watching.n_unwatched_below(&root.path);
        let is_offline = root.state == RootState::Offline;
        let (state, detail) = if root.state == RootState::Offline {
            (RootState::Offline, root.detail.clone())
        } else if n_unwatched > 0 {
            (RootState::Polled, Some(format!("no watches left for {n_unwatched} of its folders")))
        } else if root.remote {
            (
                RootState::Polled,
                Some("a network or user-space file system, which does not report every change".to_owned()),
            )
        } else {
            (RootState::Watched, None)
        };
        RootStatus {
            path: root.path.clone(),
            state,
            detail,
            volume: self.volumes.at(&root.path).filter(|_| is_offline).cloned(),
            away: if is_offline { Vec::new() } else { self.volumes.away_in(&root.path) },
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
