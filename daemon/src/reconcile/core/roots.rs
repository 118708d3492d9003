//! The watched folders: what is at their paths, their volumes and mounts, and what is remembered about them.

mod remembered;
mod root;

use std::collections::BTreeSet;
use std::ops::Index;
use std::path::{Path, PathBuf};
use std::time::Instant;

use remembered::Remembered;
pub(super) use root::{FoundRoot, Root};

use crate::machine::clock::now_ms;
use crate::machine::mounts::{Mount, mounts};
use crate::machine::with_timeout;
use crate::reconcile::RootStatus;
use crate::reconcile::volumes::{self, Volumes};
use crate::store::Store;

pub(super) struct Roots {
    /// Sorted by path.
    list: Vec<Root>,
    remembered: Remembered,
    volumes: Volumes,
    /// The mount table at the time when the roots were last checked because of it.
    mounts: Vec<Mount>,
}

impl Index<usize> for Roots {
    type Output = Root;

    fn index(&self, index: usize) -> &Root {
        &self.list[index]
    }
}

impl Roots {
    /// Starts without any watched folder.
    pub(super) fn new(store: Store) -> Self {
        let remembered = Remembered::new(store);
        Self {
            list: Vec::new(),
            volumes: remembered.volumes(),
            remembered,
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
        self.list.iter().map(|root| root.path().to_owned()).collect()
    }

    /// Returns whether this very folder is watched.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.list.iter().any(|root| root.path() == path)
    }

    /// Returns the innermost root that contains `path`, so that every file belongs to exactly one.
    pub(super) fn owner(&self, path: &Path) -> Option<usize> {
        (0..self.list.len())
            .filter(|index| path.starts_with(self.list[*index].path()))
            .max_by_key(|index| self.list[*index].path().components().count())
    }

    /// Like [`Roots::owner`], if that root is online.
    pub(super) fn online_owner(&self, path: &Path) -> Option<usize> {
        self.owner(path).filter(|index| !self.list[*index].is_offline())
    }

    /// Returns the roots inside `folder`, without `folder` itself.
    pub(super) fn inside(&self, folder: &Path) -> Vec<PathBuf> {
        let mut paths = self.paths();
        paths.retain(|root| root.starts_with(folder) && root != folder);
        paths
    }

    /// Drops the roots that are not among `wanted`. Returns their paths.
    pub(super) fn keep(&mut self, wanted: &[PathBuf]) -> Vec<PathBuf> {
        let before = std::mem::take(&mut self.list);
        let (kept, dropped): (Vec<Root>, Vec<Root>) = before
            .into_iter()
            .partition(|root| wanted.iter().any(|wanted| wanted == root.path()));
        self.list = kept;
        dropped.iter().map(|root| root.path().to_owned()).collect()
    }

    /// Watches the folders in `wanted` that are not watched yet, with what is remembered about them. Returns their paths.
    pub(super) fn add(&mut self, mut wanted: Vec<PathBuf>) -> Vec<PathBuf> {
        wanted.sort();
        wanted.dedup();
        wanted.retain(|path| !self.has(path));
        let stored = self.remembered.homes();
        let home = |path: &PathBuf| {
            let mut stored = stored.iter();
            stored.find(|(known, _)| known == path).map(|(_, home)| home.clone())
        };
        self.list
            .extend(wanted.iter().map(|path| Root::new(path.clone(), home(path).unwrap_or_default())));
        self.list.sort_by(|a, b| a.path().cmp(b.path()));
        wanted
    }

    /// Notes that a root cannot be reached, or is no longer the same. Returns true if that is news.
    pub(super) fn went_offline(&mut self, index: usize, reason: &str) -> bool {
        let is_news = self.list[index].went_offline(reason);
        if is_news {
            self.volumes.went(self.list[index].path(), now_ms());
        }
        is_news
    }

    /// Notes that a root is there. `keeps_former`: videos of another volume that was there are kept. Returns true if the root was offline.
    pub(super) fn is_there(&mut self, index: usize, found: FoundRoot, keeps_former: bool) -> bool {
        let root = &mut self.list[index];
        let is_changed = root.home().identity.as_ref() != Some(&found.identity);
        let was_offline = root.is_there(found, keeps_former);
        if is_changed {
            let homes = self.list.iter().map(|root| (root.path().to_owned(), root.home().clone()));
            self.remembered.put_homes(homes);
        }
        self.see_volumes(index, keeps_former);
        was_offline
    }

    /// Decides whether so much of a root is missing at once that it must be scanned again, at `walk_at`, before anything is removed.
    pub(super) fn doubts(&mut self, index: usize, n_gone: usize, n_online: usize, walk_at: Instant) -> bool {
        self.list[index].doubts(n_gone, n_online, walk_at)
    }

    /// Returns the roots that must be scanned again by now. Returns each root once.
    pub(super) fn take_doubted(&mut self, now: Instant) -> Vec<PathBuf> {
        let doubted = self
            .list
            .iter_mut()
            .filter_map(|root| root.take_walk(now).then(|| root.path().to_owned()));
        doubted.collect()
    }

    /// Returns when the next root must be scanned again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.list.iter().filter_map(Root::walk_at).min()
    }

    /// Returns whether the mount table has changed since the last [`Roots::take_changed_mounts`].
    pub(super) fn have_mounts_changed(&self) -> bool {
        mounts() != self.mounts
    }

    /// Takes over the mount table. Returns the points at which something was mounted or unmounted.
    pub(super) fn take_changed_mounts(&mut self) -> BTreeSet<PathBuf> {
        let before = std::mem::replace(&mut self.mounts, mounts());
        changed_points(&before, &self.mounts)
    }

    /// Notes a mount or unmount at `point`. A volume that was unmounted, and is not a root, was there until now.
    pub(super) fn mount_changed(&mut self, point: &Path) {
        let is_mounted = self.mounts.iter().any(|mount| mount.point == point);
        if !is_mounted && !self.has(point) {
            self.volumes.went(point, now_ms());
        }
    }

    /// Returns the states that the handle shows. `n_unwatched`: the number of folders at or below a path that have no watch.
    pub(super) fn statuses(&self, n_unwatched: impl Fn(&Path) -> usize) -> Vec<RootStatus> {
        let status = |root: &Root| self.status(root, n_unwatched(root.path()));
        self.list.iter().map(status).collect()
    }

    fn status(&self, root: &Root, n_unwatched: usize) -> RootStatus {
        let (state, detail) = root.state(n_unwatched);
        let (path, is_offline) = (root.path(), root.is_offline());
        RootStatus {
            path: path.to_owned(),
            state,
            detail,
            volume: self.volumes.at(path).filter(|_| is_offline).cloned(),
            away: if is_offline { Vec::new() } else { self.volumes.away_in(path) },
        }
    }

    /// Makes the volumes count as seen up to now, because everything is scanned again.
    pub(super) fn sees_volumes(&mut self) {
        self.volumes.is_unsaved = true;
    }

    /// Stores the names of drives if the store does not have all of them.
    pub(super) fn store_changed_volumes(&mut self) {
        if self.volumes.is_unsaved {
            self.store_volumes();
        }
    }

    pub(super) fn store_volumes(&mut self) {
        self.remembered.put_volumes(&mut self.volumes);
    }

    /// Notes the volumes of a root that is there and of the mounts in it.
    fn see_volumes(&mut self, index: usize, keeps_former: bool) {
        let path = self.list[index].path().to_owned();
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
}

/// Returns all points at which something was mounted or unmounted. A mount takes its watches along, even if the same file system is there
/// again.
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
    use crate::reconcile::RootState;
    use crate::reconcile::identity::Identity;

    const SECOND: Duration = Duration::from_secs(1);

    /// Creates a tree with these folders, and a store beside it.
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
        assert_eq!(roots.online_owner(Path::new("/v/x.mp4")), None, "it was not scanned yet");
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
        assert!(roots.is_there(0, FoundRoot::at(&path).unwrap(), false), "it was offline");
        assert!(!roots.is_there(0, FoundRoot::at(&path).unwrap(), false));
        roots.store_changed_volumes();
        assert_eq!(roots.keep(&[]), std::slice::from_ref(&path));
        // The next start, while the folder is missing.
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
        roots.is_there(0, FoundRoot::at(&path).unwrap(), false);
        let news = ["gone", "gone", "stale", "gone"].map(|reason| roots.went_offline(0, reason));
        assert_eq!(news, [true, false, true, true]);
        assert!(roots.is_there(0, FoundRoot::at(&path).unwrap(), false));
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
        let found = FoundRoot::at(&path).unwrap();
        roots.is_there(0, FoundRoot { is_remote: false, ..found }, false);
        assert_eq!((state(&roots, 0), state(&roots, 3)), (RootState::Watched, RootState::Polled));
        let found = FoundRoot::at(&path).unwrap();
        roots.is_there(0, FoundRoot { is_remote: true, ..found }, false);
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
