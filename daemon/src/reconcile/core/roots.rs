//! The watched folders: what is at their paths, on which volumes and mounts they lie, and what is remembered of them.

use std::collections::BTreeSet;
use std::io;
use std::ops::Index;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::super::roots::{self, Home, Identity, RootState, RootStatus, StoredRoot};
use super::super::volumes::{self, StoredVolume, Volumes};
use crate::machine::clock::now_ms;
use crate::machine::mounts::{self, Mount, mounts, number_of};
use crate::machine::with_timeout;
use crate::store::Store;

/// Name of the setting with the identities of all roots ever watched.
const SETTING: &str = "roots";
/// Name of the setting with the names of drives.
const VOLUMES_SETTING: &str = "volumes";
/// Fewer missing videos than this are never "a great part".
const GREAT_PART_AT_LEAST: usize = 20;

pub(super) struct Roots {
    /// For its settings.
    store: Store,
    /// Sorted by path.
    list: Vec<Root>,
    volumes: Volumes,
    /// The table of mounts, as it was when the roots were last looked at for its sake.
    mounts: Vec<Mount>,
}

/// One watched folder.
pub(super) struct Root {
    path: PathBuf,
    home: Home,
    is_offline: bool,
    /// Why it is offline.
    detail: Option<String>,
    mount: u64,
    is_remote: bool,
    /// Its path without links.
    real: PathBuf,
    /// A great part of it went missing at once.
    doubt: Option<Doubt>,
}

/// Before anything is removed, the folder is looked through once more.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    walk_at: Instant,
    is_walked: bool,
}

/// What was found at the path of a root.
pub(super) struct Found {
    pub(super) identity: Identity,
    mount: u64,
    is_remote: bool,
    real: PathBuf,
}

impl Found {
    /// Looks at a folder. Reading its first entry tells a stale handle and a closed door.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let at = path.to_owned();
        with_timeout::run(path, move |_| {
            let identity = Identity::of(&at)?;
            std::fs::read_dir(&at)?.next().transpose()?;
            Ok(Self {
                identity,
                mount: number_of(&at)?,
                is_remote: roots::is_remote(&at),
                real: std::fs::canonicalize(&at)?,
            })
        })
    }
}

impl Root {
    /// One that was not looked at yet.
    fn new(path: PathBuf, home: Home) -> Self {
        Self {
            real: path.clone(),
            path,
            home,
            is_offline: true,
            detail: Some("not looked at yet".to_owned()),
            mount: 0,
            is_remote: false,
            doubt: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its path without links.
    pub(super) fn real(&self) -> &Path {
        &self.real
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    pub(super) fn is_offline(&self) -> bool {
        self.is_offline
    }

    /// The number of the mount that it lies on.
    pub(super) fn mount(&self) -> u64 {
        self.mount
    }

    /// Whether it lies behind a network or in another program.
    pub(super) fn is_remote(&self) -> bool {
        self.is_remote
    }

    /// When it is looked through, or was, because a great part of it went missing.
    pub(super) fn doubted_at(&self) -> Option<Instant> {
        self.doubt.map(|doubt| doubt.walk_at)
    }

    /// Whether so much is missing at once that the root is looked through once more, at `walk_at`, before anything is removed.
    fn doubts(&mut self, n_gone: usize, n_online: usize, walk_at: Instant) -> bool {
        let is_great_part = n_gone >= GREAT_PART_AT_LEAST && n_gone * 2 > n_online;
        match self.doubt {
            _ if n_gone == 0 => false,
            Some(doubt) if doubt.is_walked => {
                self.doubt = None;
                false
            }
            Some(_) => true,
            None if is_great_part => {
                tracing::warn!(root = %self.path.display(), n_gone, n_online, "a great part is missing at once; looking again before anything is removed");
                self.doubt = Some(Doubt { walk_at, is_walked: false });
                true
            }
            None => false,
        }
    }
}

impl Index<usize> for Roots {
    type Output = Root;

    fn index(&self, index: usize) -> &Root {
        &self.list[index]
    }
}

impl Roots {
    /// None are watched yet.
    pub(super) fn new(store: Store) -> Self {
        let volumes = stored_volumes(&store);
        Self {
            store,
            list: Vec::new(),
            volumes,
            mounts: mounts(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Root> {
        self.list.iter()
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.list.iter().map(|root| root.path.clone()).collect()
    }

    /// Whether this very folder is watched.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.list.iter().any(|root| root.path == path)
    }

    /// The innermost root that has `path`: every file belongs to exactly one.
    pub(super) fn owner(&self, path: &Path) -> Option<usize> {
        (0..self.list.len())
            .filter(|index| path.starts_with(&self.list[*index].path))
            .max_by_key(|index| self.list[*index].path.components().count())
    }

    /// The same, where that root is there.
    pub(super) fn online_owner(&self, path: &Path) -> Option<usize> {
        self.owner(path).filter(|index| !self.list[*index].is_offline)
    }

    /// The roots inside `folder`, itself not among them.
    pub(super) fn inside(&self, folder: &Path) -> Vec<PathBuf> {
        let mut paths = self.paths();
        paths.retain(|root| root.starts_with(folder) && root != folder);
        paths
    }

    /// Drops the roots that are not among `wanted`; gives their paths.
    pub(super) fn keep(&mut self, wanted: &[PathBuf]) -> Vec<PathBuf> {
        let before = std::mem::take(&mut self.list);
        let (kept, dropped): (Vec<Root>, Vec<Root>) = before.into_iter().partition(|root| wanted.contains(&root.path));
        self.list = kept;
        dropped.into_iter().map(|root| root.path).collect()
    }

    /// Watches those among `wanted` that are not watched yet, as they are remembered; gives their paths.
    pub(super) fn add(&mut self, mut wanted: Vec<PathBuf>) -> Vec<PathBuf> {
        wanted.sort();
        wanted.dedup();
        wanted.retain(|path| !self.has(path));
        let stored = self.stored_homes();
        let home = |path: &PathBuf| {
            let mut stored = stored.iter();
            stored.find(|(known, _)| known == path).map(|(_, home)| home.clone())
        };
        self.list
            .extend(wanted.iter().map(|path| Root::new(path.clone(), home(path).unwrap_or_default())));
        self.list.sort_by(|a, b| a.path.cmp(&b.path));
        wanted
    }

    /// A root cannot be reached, or is not what it was. True if that is news.
    pub(super) fn went_offline(&mut self, index: usize, reason: &str) -> bool {
        let root = &mut self.list[index];
        if root.is_offline && root.detail.as_deref() == Some(reason) {
            return false;
        }
        tracing::warn!(root = %root.path.display(), reason, "the watched folder is offline; its videos are kept");
        self.volumes.went(&root.path, now_ms());
        root.is_offline = true;
        root.detail = Some(reason.to_owned());
        root.doubt = None;
        true
    }

    /// A root is there. `keeps_former`: videos of another volume that was there are kept. True if the root was offline.
    pub(super) fn is_there(&mut self, index: usize, found: Found, keeps_former: bool) -> bool {
        let root = &mut self.list[index];
        let is_changed = root.home.identity.as_ref() != Some(&found.identity);
        root.home.settle_on(found.identity, keeps_former);
        if is_changed {
            self.store_homes();
        }
        self.see_volumes(index, keeps_former);
        let root = &mut self.list[index];
        root.mount = found.mount;
        root.is_remote = found.is_remote || mounts::mount_that_may_hang(&root.path).is_some();
        root.real = found.real;
        root.detail = None;
        let was_offline = std::mem::take(&mut root.is_offline);
        if was_offline {
            tracing::info!(root = %root.path.display(), "watching");
        }
        was_offline
    }

    /// Whether so much of a root is missing at once that it is looked through once more, at `walk_at`, before anything is removed.
    pub(super) fn doubts(&mut self, index: usize, n_gone: usize, n_online: usize, walk_at: Instant) -> bool {
        self.list[index].doubts(n_gone, n_online, walk_at)
    }

    /// The roots that are to be looked through once more by now; each is named once.
    pub(super) fn take_doubted(&mut self, now: Instant) -> Vec<PathBuf> {
        let mut doubted = Vec::new();
        for root in &mut self.list {
            if let Some(doubt) = &mut root.doubt
                && !doubt.is_walked
                && doubt.walk_at <= now
            {
                doubt.is_walked = true;
                doubted.push(root.path.clone());
            }
        }
        doubted
    }

    /// When the next root is to be looked through once more.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let doubts = self.list.iter().filter_map(|root| root.doubt);
        doubts.filter(|doubt| !doubt.is_walked).map(|doubt| doubt.walk_at).min()
    }

    /// Whether the table of mounts is another one than at the last [`Roots::take_changed_mounts`].
    pub(super) fn have_mounts_changed(&self) -> bool {
        mounts() != self.mounts
    }

    /// Takes over the table of mounts; gives the points at which something came or went.
    pub(super) fn take_changed_mounts(&mut self) -> BTreeSet<PathBuf> {
        let before = std::mem::replace(&mut self.mounts, mounts());
        changed_points(&before, &self.mounts)
    }

    /// Something came or went at `point`. What went, and is no root, was there until now.
    pub(super) fn mount_changed(&mut self, point: &Path) {
        let is_mounted = self.mounts.iter().any(|mount| mount.point == point);
        if !is_mounted && !self.has(point) {
            self.volumes.went(point, now_ms());
        }
    }

    /// What the handle shows. `n_unwatched`: how many folders at or below a path have no watch.
    pub(super) fn statuses(&self, n_unwatched: impl Fn(&Path) -> usize) -> Vec<RootStatus> {
        let status = |root| self.status(root, n_unwatched(&root.path));
        self.list.iter().map(status).collect()
    }

    fn status(&self, root: &Root, n_unwatched: usize) -> RootStatus {
        let (state, detail) = if root.is_offline {
            (RootState::Offline, root.detail.clone())
        } else if n_unwatched > 0 {
            (RootState::Polled, Some(format!("no watches left for {n_unwatched} of its folders")))
        } else if root.is_remote {
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
            volume: self.volumes.at(&root.path).filter(|_| root.is_offline).cloned(),
            away: if root.is_offline {
                Vec::new()
            } else {
                self.volumes.away_in(&root.path)
            },
        }
    }

    /// Everything is looked at again, so that what is there then was there until then.
    pub(super) fn sees_volumes(&mut self) {
        self.volumes.is_unsaved = true;
    }

    /// Stores the names of drives if the store lacks something of them.
    pub(super) fn store_changed_volumes(&mut self) {
        if self.volumes.is_unsaved {
            self.store_volumes();
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
        let path = self.list[index].path.clone();
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
        for root in &self.list {
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
}

fn stored_volumes(store: &Store) -> Volumes {
    let stored = store.setting(VOLUMES_SETTING).ok().flatten();
    match stored.map(serde_json::from_value::<Vec<StoredVolume>>) {
        Some(Ok(stored)) => Volumes::from_stored(stored),
        Some(Err(error)) => {
            tracing::error!(%error, "the names of drives cannot be understood; they are learnt anew");
            Volumes::default()
        }
        None => Volumes::default(),
    }
}

/// Whatever came or went, took its watches along, also where the same is in place again.
fn changed_points(before: &[Mount], now: &[Mount]) -> BTreeSet<PathBuf> {
    let is_in = |mounts: &[Mount], mount: &Mount| mounts.iter().any(|other| (other.id, &other.point) == (mount.id, &mount.point));
    let came = now.iter().filter(|mount| !is_in(before, mount));
    let went = before.iter().filter(|mount| !is_in(now, mount));
    came.chain(went).map(|mount| mount.point.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A tree with these folders, and a store beside it.
    fn world(folders: &[&str]) -> (tempfile::TempDir, Store) {
        let world = tempfile::tempdir().unwrap();
        for folder in folders {
            std::fs::create_dir_all(world.path().join(folder)).unwrap();
        }
        let (store, _) = Store::open(&world.path().join("store")).unwrap();
        (world, store)
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_path_belongs_to_the_innermost_root() {
        let (_world, store) = world(&[]);
        let mut roots = Roots::new(store);
        assert_eq!(roots.add(paths(&["/v/b", "/v", "/v/b"])), paths(&["/v", "/v/b"]));
        assert_eq!(roots.paths(), paths(&["/v", "/v/b"]));
        let owner = |roots: &Roots, path: &str| roots.owner(Path::new(path)).map(|index| roots[index].path().to_owned());
        assert_eq!(owner(&roots, "/v/b/x.mp4"), Some("/v/b".into()));
        assert_eq!(owner(&roots, "/v/ba/x.mp4"), Some("/v".into()));
        assert_eq!(owner(&roots, "/w/x.mp4"), None);
        assert_eq!(roots.online_owner(Path::new("/v/x.mp4")), None, "it was not looked at yet");
        assert_eq!(roots.inside(Path::new("/v")), paths(&["/v/b"]));
        assert_eq!(roots.keep(&paths(&["/v/b", "/w"])), paths(&["/v"]));
        assert_eq!(owner(&roots, "/v/ba/x.mp4"), None);
        assert_eq!(roots.add(paths(&["/w", "/v/b"])), paths(&["/w"]));
        assert!(roots.has(Path::new("/w")) && !roots.has(Path::new("/v")));
    }

    #[test]
    fn what_is_known_of_a_root_outlives_it() {
        let (world, store) = world(&["a"]);
        let path = world.path().join("a");
        let mut roots = Roots::new(store.clone());
        roots.add(vec![path.clone()]);
        assert!(roots[0].is_offline() && roots[0].home().identity.is_none());
        assert!(roots.is_there(0, Found::at(&path).unwrap(), false), "it was offline");
        assert!(!roots.is_there(0, Found::at(&path).unwrap(), false));
        roots.store_changed_volumes();
        assert_eq!(roots.keep(&[]), std::slice::from_ref(&path));
        // Another start, at which it is not there.
        let mut roots = Roots::new(store);
        roots.add(vec![path.clone()]);
        assert_eq!(roots[0].home().identity, Some(Identity::of(&path).unwrap()));
        assert!(roots.went_offline(0, "gone"));
        let status = &roots.statuses(|_| 0)[0];
        assert_eq!((status.state, status.detail.as_deref()), (RootState::Offline, Some("gone")));
        assert!(status.volume.is_some(), "the name of what it lay on is known");
    }

    #[test]
    fn going_offline_is_news_once_for_each_reason() {
        let (world, store) = world(&["a"]);
        let path = world.path().join("a");
        let mut roots = Roots::new(store);
        roots.add(vec![path.clone()]);
        roots.is_there(0, Found::at(&path).unwrap(), false);
        let news = ["gone", "gone", "stale", "gone"].map(|reason| roots.went_offline(0, reason));
        assert_eq!(news, [true, false, true, true]);
        assert!(roots.is_there(0, Found::at(&path).unwrap(), false));
        assert!(roots.went_offline(0, "gone"));
    }

    #[test]
    fn the_state_of_a_root_says_how_its_changes_are_noticed() {
        let (world, store) = world(&["a"]);
        let path = world.path().join("a");
        let mut roots = Roots::new(store);
        roots.add(vec![path.clone()]);
        let state = |roots: &Roots, n_unwatched| roots.statuses(|_| n_unwatched)[0].state;
        assert_eq!(state(&roots, 0), RootState::Offline);
        let found = Found::at(&path).unwrap();
        roots.is_there(0, Found { is_remote: false, ..found }, false);
        assert_eq!((state(&roots, 0), state(&roots, 3)), (RootState::Watched, RootState::Polled));
        let found = Found::at(&path).unwrap();
        roots.is_there(0, Found { is_remote: true, ..found }, false);
        assert_eq!(state(&roots, 0), RootState::Polled);
    }

    #[test]
    fn where_a_great_part_is_missing_at_once_it_is_looked_for_again() {
        let (_world, store) = world(&[]);
        let mut roots = Roots::new(store);
        roots.add(paths(&["/v"]));
        let now = Instant::now();
        let walk_at = now + SECOND * 30;
        for (n_gone, n_online) in [(0, 0), (19, 19), (20, 40), (25, 60)] {
            assert!(!roots.doubts(0, n_gone, n_online, walk_at), "{n_gone} of {n_online}");
        }
        assert_eq!(roots.deadline(), None);
        assert!(roots.doubts(0, 21, 40, walk_at));
        assert_eq!((roots.deadline(), roots[0].doubted_at()), (Some(walk_at), Some(walk_at)));
        assert!(roots.doubts(0, 1, 40, walk_at + SECOND), "whatever else is missing waits with it");
        assert_eq!(roots.take_doubted(now), paths(&[]));
        assert_eq!(roots.take_doubted(walk_at), paths(&["/v"]));
        assert_eq!((roots.take_doubted(walk_at), roots.deadline()), (paths(&[]), None));
        assert!(
            !roots.doubts(0, 21, 40, walk_at),
            "it was looked through, and they are missing still"
        );
        assert!(roots.doubts(0, 21, 40, walk_at), "the next time it is doubted again");
    }

    #[test]
    fn a_mount_that_came_went_or_was_replaced_is_a_change_at_its_point() {
        let mount = |id, point: &str| Mount {
            id,
            point: point.into(),
            source: "none".into(),
            kind: "tmpfs".to_owned(),
        };
        let before = [mount(1, "/"), mount(2, "/usb"), mount(3, "/nas")];
        let now = [mount(1, "/"), mount(9, "/usb"), mount(4, "/new")];
        let changed = changed_points(&before, &now);
        assert_eq!(changed, ["/nas", "/new", "/usb"].map(PathBuf::from).into());
        assert_eq!(changed_points(&now, &now), BTreeSet::new());
    }
}
