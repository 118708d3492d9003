//! The reconciler with the real watcher, the real store and a real tree. Only decoding is simulated: [`World::decode`] does the pipeline's
//! work for a job and counts it.

mod basics;
mod halves;
mod hung;
mod moves;
mod names;
mod offline;
mod property;
mod startup;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scened_common::domain::{Boundary, Embedding, Fingerprint, ModelId, Span};

use super::*;
use crate::store::{IndexedVideo, NewVideo, SceneRecord, SceneVectors, VideoRecord, VideoState};

const SETTLE: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(20);

struct World {
    folder: tempfile::TempDir,
    store: Store,
    handle: Option<ReconcilerHandle>,
    roots: Vec<PathBuf>,
    limits: Limits,
    settle: Duration,
    rescan_every: Duration,
    /// Gives the reconciler's threads another user's rights, because for root nothing is unreadable.
    as_nobody: bool,
    follow_symlinks: bool,
    extensions: Vec<String>,
    /// Everything decoded since the start, with the path at the time.
    decoded: Vec<(Fingerprint, PathBuf)>,
}

/// Gives `nobody` access to a test's folder, and to its store.
fn give_to_nobody(folder: &Path) {
    use std::os::unix::fs::{PermissionsExt, chown};
    if !rustix::process::geteuid().is_root() {
        return;
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut folders = vec![folder.join("store")];
    while let Some(folder) = folders.pop() {
        chown(&folder, Some(testkit::NOBODY), None).unwrap();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Err(error) = chown(&path, Some(testkit::NOBODY), None) {
                // The store cleans up meanwhile.
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}", path.display());
            }
        }
    }
}

/// Reads a file as scened does, without changing its access time.
fn read(path: &Path) -> Vec<u8> {
    use std::io::Read as _;
    let mut content = vec![];
    fingerprint::open_video(path, true).unwrap().read_to_end(&mut content).unwrap();
    content
}

impl World {
    /// Creates a tree with one watched root `a`.
    fn new() -> Self {
        Self::with_roots(&["a"])
    }

    fn with_roots(roots: &[&str]) -> Self {
        let mut world = Self::idle(roots);
        world.start();
        world
    }

    /// Creates a tree that is not watched yet.
    fn idle(roots: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for root in roots {
            std::fs::create_dir_all(folder.path().join("tree").join(root)).unwrap();
        }
        let (store, _) = Store::open(&folder.path().join("store")).unwrap();
        Self {
            roots: roots.iter().map(|root| folder.path().join("tree").join(root)).collect(),
            folder,
            store,
            handle: None,
            limits: Limits::default(),
            settle: SETTLE,
            rescan_every: Duration::from_hours(1),
            as_nobody: false,
            follow_symlinks: false,
            extensions: vec!["mp4".into(), "mkv".into()],
            decoded: vec![],
        }
    }

    fn start(&mut self) {
        let rules = Rules::new(self.extensions.clone(), &[], false, self.follow_symlinks).unwrap();
        let config = ReconcileConfig {
            roots: self.roots.clone(),
            rules: Arc::new(rules),
            settle: self.settle,
            rescan_every: self.rescan_every,
        };
        let (store, limits) = (self.store.clone(), self.limits);
        if self.as_nobody {
            give_to_nobody(self.folder.path());
        }
        // Threads inherit the rights of the thread that starts them. So a thread of its own drops them here.
        let handle = std::thread::scope(|scope| {
            let starting = scope.spawn(|| {
                if self.as_nobody {
                    testkit::become_nobody();
                }
                Reconciler::start_with_limits(config, store, Arc::new(|| ()), limits).unwrap()
            });
            starting.join().unwrap()
        });
        self.handle = Some(handle);
    }

    fn stop(&mut self) {
        self.handle = None;
    }

    fn handle(&self) -> &ReconcilerHandle {
        self.handle.as_ref().unwrap()
    }

    fn path(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.folder.path().join("tree").join(path.as_ref())
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn remove(&self, path: &str) {
        std::fs::remove_file(self.path(path)).unwrap();
    }

    /// Waits until everything that happened so far is certain, and decodes what is queued. Returns the paths decoded just now.
    fn quiet(&mut self) -> Vec<PathBuf> {
        let deadline = Instant::now() + TIMEOUT;
        let mut decoded = vec![];
        loop {
            assert!(self.handle().barrier(TIMEOUT), "the reconciler does not answer");
            let queue = self.handle().queue();
            let is_waiting = |job: &crate::store::JobRecord| {
                let video = self.store.video(job.video);
                video.is_some_and(|video| !video.offline && self.may_read(&video.path))
            };
            let n_jobs = self.store.jobs().unwrap().iter().filter(|job| is_waiting(job)).count();
            if queue.is_empty() && n_jobs == 0 {
                return decoded;
            }
            let waiting = || {
                self.store
                    .jobs()
                    .unwrap()
                    .into_iter()
                    .map(|job| self.store.video(job.video))
                    .collect::<Vec<_>>()
            };
            assert!(
                Instant::now() < deadline,
                "still not quiet: {queue:?}, {n_jobs} jobs: {:?}",
                waiting()
            );
            if n_jobs > 0 {
                decoded.extend(self.decode());
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Returns whether the pipeline could open a file. A file that it cannot open gets an incident.
    fn may_read(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        !self.as_nobody || path.metadata().is_ok_and(|metadata| metadata.mode() & 0o777 != 0)
    }

    /// Simulates the pipeline: each queued video gets one scene. Like the real one, it copies the results of known equal content.
    fn decode(&mut self) -> Vec<PathBuf> {
        let model = ModelId("test".into());
        let mut decoded = vec![];
        for job in self.store.jobs().unwrap() {
            let Some(record) = self.store.video(job.video) else { continue };
            // Like the pipeline, this does not decode a file that is missing or has become another one.
            let is_there = record.path.metadata().is_ok_and(|metadata| {
                let stamp = fingerprint::stamp_of(&metadata);
                (stamp.size_bytes, stamp.mtime_ns) == (record.stamp.size_bytes, record.stamp.mtime_ns)
            });
            if !is_there {
                self.handle().rescan(Some(record.path.clone()));
                continue;
            }
            let (fingerprint, path) = (record.fingerprint, record.path.clone());
            let twins = self.store.videos_with_fingerprint(&fingerprint);
            // If a fingerprint reads samples and the stamp changed, all bytes of the file are compared. Decoding it again is then right.
            let is_new = job.kind != crate::store::JobKind::Verify && !twins.iter().any(|twin| twin.state == VideoState::Indexed);
            let record = VideoRecord {
                model: Some(model.clone()),
                n_scenes: 1,
                ..(*record).clone()
            };
            let scene = SceneRecord {
                span: Span { start_ms: 0, end_ms: 1000 },
                boundary: Boundary::Start,
            };
            let vector = Embedding::normalised(vec![1.0, 2.0]).unwrap();
            let indexed = IndexedVideo {
                record,
                scenes: vec![scene],
                vectors: vec![SceneVectors { frames: vec![(0, vector)] }],
                thumbnails: vec![vec![]],
                others: Vec::new(),
            };
            match self.store.put_indexed(indexed) {
                Ok(()) if is_new => {
                    decoded.push(path.clone());
                    self.decoded.push((fingerprint, path));
                }
                // A file that was touched or went away meanwhile does not count. If it is still there, it is decoded again.
                Ok(()) | Err(crate::store::StoreError::Gone(_) | crate::store::StoreError::Superseded(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        decoded
    }

    /// Waits for a named condition, but not for quiet.
    fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !condition(self) {
            assert!(
                Instant::now() < deadline,
                "waited for {what}; there are {:?}, queue {:?}, roots {:?}",
                self.listing(),
                self.handle().queue(),
                self.handle().roots()
            );
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Returns the paths below the tree, and marks those that are offline or not indexed.
    fn listing(&self) -> Vec<String> {
        let tree = self.path("");
        let mark = |video: &VideoRecord| match (video.offline, video.state) {
            (true, _) => " offline",
            (false, VideoState::Indexed) => "",
            (false, _) => " pending",
        };
        let videos = self.store.videos();
        videos
            .iter()
            .map(|video| format!("{}{}", video.path.strip_prefix(&tree).unwrap().display(), mark(video)))
            .collect()
    }

    #[track_caller]
    fn check(&self, expected: &[&str]) {
        assert_eq!(self.listing(), expected);
    }

    fn id(&self, path: &str) -> scened_common::domain::VideoId {
        self.store
            .video_at(&self.path(path))
            .unwrap_or_else(|| panic!("no video at {path}: {:?}", self.listing()))
            .id
    }

    /// Returns every file of the tree that counts by its name, with its content.
    fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for root in &self.roots {
            self.visit(root, &mut found);
        }
        found
    }

    fn visit(&self, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let kind = if kind.is_symlink() {
                // Links count if they lead out of the tree.
                let is_inside = |target: &PathBuf| target.starts_with(self.path(""));
                match std::fs::canonicalize(&path) {
                    Ok(target) if self.follow_symlinks && !is_inside(&target) => target.metadata().unwrap().file_type(),
                    _ => continue,
                }
            } else {
                kind
            };
            if kind.is_dir() {
                self.visit(&path, found);
            } else if kind.is_file()
                && path
                    .extension()
                    .is_some_and(|extension| self.extensions.iter().any(|known| extension == known.as_str()))
            {
                let content = read(&path);
                found.insert(path, content);
            }
        }
    }

    /// Checks that the store agrees with the tree: the same paths, each with the fingerprint of its content.
    #[track_caller]
    fn check_store_equals_tree(&self) {
        let tree = self.tree();
        let known: BTreeMap<PathBuf, _> = self.store.videos().into_iter().map(|video| (video.path.clone(), video)).collect();
        assert_eq!(
            known.keys().collect::<Vec<_>>(),
            tree.keys().collect::<Vec<_>>(),
            "paths in the store and in the tree"
        );
        for (path, video) in known {
            let reading = fingerprint::read_file(&path, self.follow_symlinks).unwrap().unwrap();
            assert_eq!(video.fingerprint, reading.fingerprint, "{}", path.display());
            assert_eq!(video.stamp, reading.stamp, "{}", path.display());
            assert!(!video.offline, "{} is offline", path.display());
            assert_eq!(video.state, VideoState::Indexed, "{}", path.display());
        }
    }
}
