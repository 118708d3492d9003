//! One script: its operations on the tree, and the conditions that must hold afterwards.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::super::*;

/// Number of operations between two checks of everything.
const N_BETWEEN_CHECKS: u64 = 25;

/// SplitMix64: the same numbers for the same seed on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len() as u64) as usize].clone())
    }
}

pub(super) struct Script {
    world: World,
    seed: u64,
    random: Random,
    /// Number of the operation, and of the content within it.
    content: (u64, u64),
    /// Root `b` is a mount of this folder, in a mount namespace of this thread.
    mounted_from: Option<PathBuf>,
    /// Contents that may have to be decoded again: their video was out of reach before its place was certain.
    excused: BTreeSet<Fingerprint>,
    /// [`super::n_late`] at the beginning.
    n_late: u64,
    /// Events were lost without a report, so only the regular scan of everything finds their changes.
    lost_silently: bool,
    /// Folders and files without any permission.
    unreadable: Vec<PathBuf>,
    pub(super) log: Vec<String>,
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut world = World::idle(if random.one_in(2) { &["a", "b"] } else { &["a", "a/inner", "b"] });
        world.follow_symlinks = random.one_in(2);
        world.as_nobody = random.one_in(2);
        if random.one_in(4) {
            world.limits.n_events = 3;
        }
        if random.one_in(6) {
            // The other folders are polled, a quarter of this apart.
            world.limits.n_watches = Some(3);
            world.rescan_every = Duration::from_millis(400);
        }
        let outside = world.folder.path().join("outside");
        std::fs::create_dir_all(outside.join("folder")).unwrap();
        // Links to these come and go, so they may have to be decoded again.
        let mut excused = BTreeSet::new();
        for name in ["x.mp4", "folder/y.mp4"] {
            std::fs::write(outside.join(name), name).unwrap();
            excused.insert(fingerprint_of(name.as_bytes()));
        }
        let mounted_from = (random.one_in(3) && testkit::hung::own_mounts()).then(|| world.folder.path().join("disk"));
        let log = vec![format!(
            "roots {:?}, links {}, nobody {}, {:?}, mounted {}",
            world.roots,
            world.follow_symlinks,
            world.as_nobody,
            world.limits,
            mounted_from.is_some()
        )];
        if let Some(disk) = &mounted_from {
            std::fs::create_dir(disk).unwrap();
            rustix::mount::mount_bind(disk, world.path("b")).unwrap();
        }
        world.start();
        Self {
            world,
            seed,
            random,
            content: (0, 0),
            mounted_from,
            excused,
            n_late: super::n_late(),
            lost_silently: false,
            unreadable: vec![],
            log,
        }
    }

    pub(super) fn operate(&mut self, operation: u64) {
        self.random = Random(self.seed.wrapping_mul(0x1_0000_0000).wrapping_add(operation));
        self.content = (operation, 0);
        let what = self.any_operation();
        self.log.push(format!("{operation}: {what}"));
        if operation % N_BETWEEN_CHECKS == N_BETWEEN_CHECKS - 1 {
            self.settle();
            self.check();
        }
    }

    pub(super) fn end(&mut self) {
        self.settle();
        self.check();
        let before = self.untouched();
        self.world.stop();
        self.world.start();
        self.world.handle().rescan(None);
        self.settle();
        self.check();
        assert_eq!(before, self.untouched(), "something was changed in the tree itself");
    }

    fn check(&self) {
        self.world.check_store_equals_tree();
        let mut decoded = BTreeSet::new();
        // A file that was made and not yet written to.
        let nothing = fingerprint_of(b"");
        for (fingerprint, path) in &self.world.decoded {
            let is_excused = self.excused.contains(fingerprint) || *fingerprint == nothing;
            let same = self.world.decoded.iter().filter(|(other, _)| other == fingerprint);
            let paths: Vec<_> = same.map(|(_, path)| path).collect();
            if decoded.insert(*fingerprint) || is_excused {
                continue;
            }
            // A starved reconciler misses the moment at which it could recognise a moved file as the missing one.
            let n_late = super::n_late() - self.n_late;
            assert!(n_late > 0, "decoded twice, now at {}: {paths:#?}", path.display());
            eprintln!("seed {}: decoded twice after {n_late} waits for a processor", self.seed);
        }
    }

    /// Returns what scened must not change: kind, mode, owner, size, times and number of names of everything below the tree.
    fn untouched(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.world.path("")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = path.symlink_metadata().unwrap();
                if metadata.is_dir() {
                    folders.push(path.clone());
                }
                // Only the owner of a file (and root) can read it without a new access time, and listing a folder sets one.
                let accessed = (metadata.is_file() && !self.world.as_nobody).then(|| metadata.accessed().unwrap());
                let modified = (metadata.modified().unwrap(), metadata.ctime(), metadata.ctime_nsec());
                let (mode, owner) = (metadata.mode(), metadata.uid());
                let text = format!("{mode:o} {owner} {} {} {modified:?} {accessed:?}", metadata.len(), metadata.nlink());
                found.insert(path, text);
            }
        }
        found
    }

    /// Waits for quiet. First it makes everything readable again, and every root must come back online.
    fn settle(&mut self) {
        for path in std::mem::take(&mut self.unreadable) {
            self.set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
        }
        if std::mem::take(&mut self.lost_silently) {
            self.world.handle().events.n_to_lose.store(0, Ordering::SeqCst);
            self.world.quiet();
            self.world.handle().rescan(None);
        }
        let deadline = Instant::now() + TIMEOUT;
        loop {
            self.world.quiet();
            let roots = self.world.handle().roots();
            if roots.iter().all(|root| root.state != RootState::Offline) {
                if self.world.limits.n_watches.is_some() {
                    self.world.handle().rescan(None);
                }
                self.world.quiet();
                return;
            }
            assert!(Instant::now() < deadline, "a root did not come back: {roots:?}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn any_operation(&mut self) -> String {
        match self.random.below(44) {
            0..=15 => self.on_files(),
            16..=24 => self.on_folders(),
            25 | 26 => self.links(),
            27 | 28 => self.permissions(),
            29 | 30 => self.loses_events(),
            31 => self.is_stopped(),
            32 => self.vanishes(),
            33 => self.leaves_the_tree(),
            34 => {
                let path = self.some_path();
                self.world.handle().hint(Change::Gone(path.clone()));
                format!("a wrong hint about {}", path.display())
            }
            _ => {
                let pause = Duration::from_millis(self.random.below(30));
                std::thread::park_timeout(pause);
                format!("pause of {pause:?}")
            }
        }
    }

    /// Does one of the operations that are possible with a file.
    fn on_files(&mut self) -> String {
        let (files, target) = (self.files(), self.some_path());
        let (file, other) = (self.random.pick(&files), self.random.pick(&files));
        match (self.random.below(16), file, other) {
            (4, Some(file), _) => {
                let more = self.new_content();
                append(&file, &more);
                format!("append to {}", file.display())
            }
            (5, Some(file), _) => {
                use std::io::Write as _;
                let mut open = std::fs::File::options().append(true).open(&file).unwrap();
                for _ in 0..3 {
                    open.write_all(&self.new_content()).unwrap();
                    std::thread::park_timeout(Duration::from_millis(self.random.below(30)));
                }
                format!("grow {}", file.display())
            }
            (6..=8, Some(file), _) => {
                let moved = std::fs::rename(&file, &target);
                format!("rename {} to {}: {moved:?}", file.display(), target.display())
            }
            (9, Some(file), _) => {
                std::fs::remove_file(&file).unwrap();
                format!("delete {}", file.display())
            }
            (10 | 11, old, _) => {
                let (temporary, content) = (target.with_extension("mp4.part"), self.new_content());
                std::fs::write(&temporary, content).unwrap();
                let keeps_time = self.random.one_in(2);
                if let Some(old) = old.filter(|_| keeps_time) {
                    copy_time(&old, &temporary);
                }
                std::fs::rename(&temporary, &target).unwrap();
                format!("replace {}", target.display())
            }
            (12, Some(file), _) => {
                let linked = std::fs::hard_link(&file, &target);
                format!("link {} to {}: {linked:?}", file.display(), target.display())
            }
            (13, Some(file), _) => {
                if file != target {
                    std::fs::copy(&file, &target).unwrap();
                    if self.random.one_in(2) {
                        copy_time(&file, &target);
                    }
                }
                format!("copy {} to {}", file.display(), target.display())
            }
            (14, Some(file), _) => {
                let now = std::fs::FileTimes::new().set_modified(std::time::SystemTime::now());
                open_for_times(&file).set_times(now).unwrap();
                format!("touch {}", file.display())
            }
            (15, Some(file), Some(other)) => {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                let swapped = renameat_with(CWD, &file, CWD, &other, RenameFlags::EXCHANGE);
                format!("exchange {} and {}: {swapped:?}", file.display(), other.display())
            }
            _ => {
                let content = self.new_content();
                std::fs::write(&target, content).unwrap();
                format!("write {}", target.display())
            }
        }
    }

    fn on_folders(&mut self) -> String {
        let (inner, target) = (self.inner_folders(), self.some_path());
        match (self.random.below(9), self.random.pick(&inner)) {
            (4 | 5, Some(folder)) => {
                let to = target.with_extension("folder");
                let moved = std::fs::rename(&folder, &to);
                format!("rename folder {} to {}: {moved:?}", folder.display(), to.display())
            }
            (6, Some(folder)) => {
                std::fs::remove_dir_all(&folder).unwrap();
                format!("delete folder {}", folder.display())
            }
            (7, Some(folder)) => {
                std::fs::remove_dir_all(&folder).unwrap();
                std::fs::create_dir(&folder).unwrap();
                std::fs::write(folder.join("anew.mp4"), self.new_content()).unwrap();
                format!("delete folder {} and make it anew", folder.display())
            }
            (8, Some(folder)) => {
                // The folder goes away and comes back, or another takes its place, faster than any check.
                let aside = folder.with_extension("aside");
                if aside.symlink_metadata().is_ok() {
                    return format!("{} is there", aside.display());
                }
                std::fs::rename(&folder, &aside).unwrap();
                if self.random.one_in(2) {
                    std::fs::create_dir(&folder).unwrap();
                    std::fs::write(folder.join("instead.mp4"), self.new_content()).unwrap();
                    return format!("rename folder {} aside and put one in its place", folder.display());
                }
                std::fs::rename(&aside, &folder).unwrap();
                format!("rename folder {} aside and back", folder.display())
            }
            _ => {
                let deep = target.with_extension("").join(["x", "x/y", "x/y/z"][self.random.below(3) as usize]);
                if std::fs::create_dir_all(&deep).is_ok() {
                    std::fs::write(deep.join("deep.mp4"), self.new_content()).unwrap();
                }
                format!("deep tree {}", deep.display())
            }
        }
    }

    /// Makes symbolic links: to folders above, to themselves, to videos inside and outside.
    fn links(&mut self) -> String {
        let at = self.some_path();
        let (files, folders) = (self.files(), self.folders());
        let outside = self.world.folder.path().join("outside");
        let (to, at) = match (self.random.below(6), self.random.pick(&files), self.random.pick(&folders)) {
            (0, _, Some(folder)) => (folder, at.with_extension("loop")),
            (1, _, _) => (at.with_extension("loop"), at.with_extension("loop")),
            (2, Some(file), _) => (file, at),
            (3, _, _) => (outside.join("x.mp4"), at),
            (4, _, _) => (outside.join("folder"), at.with_extension("linked")),
            _ => (at.with_extension("nothing"), at.with_extension("dangling.mp4")),
        };
        let linked = std::os::unix::fs::symlink(&to, &at);
        format!("symbolic link {} to {}: {linked:?}", at.display(), to.display())
    }

    /// Takes away every permission, until the tree settles. Known videos that are out of reach must stay.
    fn permissions(&mut self) -> String {
        let is_settled = self.random.one_in(2);
        if is_settled {
            self.settle();
        } else {
            self.excuse_everything();
        }
        let mut candidates = self.files();
        candidates.extend(self.folders());
        let Some(path) = self.random.pick(&candidates) else {
            return "nothing to chmod".into();
        };
        let below = |world: &World| {
            let videos = world.store.videos();
            videos.iter().filter(|video| video.path.starts_with(&path)).count()
        };
        let n_known = below(&self.world);
        self.set_mode(&path, 0o000);
        self.unreadable.push(path.clone());
        let is_judged = self.random.one_in(2);
        if is_judged {
            self.world.quiet();
            if self.random.one_in(2) {
                self.world.handle().rescan(None);
                self.world.quiet();
            }
            assert!(
                !is_settled || below(&self.world) >= n_known,
                "videos below the unreadable {} were removed",
                path.display()
            );
        }
        for _ in 0..self.random.below(3) {
            let what = self.on_files();
            self.log.push(format!("  {what}"));
        }
        self.excuse_everything();
        let back = if self.random.one_in(2) {
            self.unreadable.pop();
            self.set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
            ", and back"
        } else {
            ""
        };
        format!("chmod 000 {}{back}, judged {is_judged}", path.display())
    }

    /// Loses events between the watcher and the reconciler. Either this is noticed, as by the kernel, or not.
    fn loses_events(&mut self) -> String {
        let is_noticed = self.random.below(3) > 0;
        let n_lost = 1 + self.random.below(8);
        self.world.handle().events.n_to_lose.store(n_lost, Ordering::SeqCst);
        for _ in 0..=self.random.below(3) {
            let what = if self.random.one_in(2) {
                self.on_files()
            } else {
                self.on_folders()
            };
            self.log.push(format!("  {what}"));
        }
        if is_noticed {
            self.world.handle().events.n_to_lose.store(0, Ordering::SeqCst);
            self.world.handle().hint(Change::Rescan);
        } else {
            self.excuse_everything();
            self.lost_silently = true;
        }
        format!("up to {n_lost} events were lost, noticed {is_noticed}")
    }

    fn is_stopped(&mut self) -> String {
        if self.random.one_in(2) {
            self.settle();
        }
        self.world.stop();
        self.log.push("  stop".into());
        for _ in 0..self.random.below(5) {
            let what = if self.random.one_in(3) {
                self.on_folders()
            } else {
                self.on_files()
            };
            self.log.push(format!("  {what}"));
        }
        self.world.start();
        self.lost_silently = false;
        "start".to_owned()
    }

    /// Takes a root away for a moment, perhaps with an empty folder in its place. Its content may change meanwhile.
    fn vanishes(&mut self) -> String {
        let is_settled = self.random.one_in(2);
        if is_settled {
            self.settle();
        } else {
            // A video just moved or copied there is out of reach before it was read. If it was deleted elsewhere, it has to be decoded
            // again when the root is back.
            self.excuse_everything();
        }
        let root = self.random.pick(&self.world.roots.clone()).unwrap();
        let away = if self.mounted_from.is_some() && root.ends_with("b") {
            rustix::mount::unmount(&root, rustix::mount::UnmountFlags::DETACH).unwrap();
            None
        } else {
            let away = self.world.folder.path().join("unplugged");
            std::fs::rename(&root, &away).unwrap();
            if self.random.one_in(3) {
                std::fs::create_dir(&root).unwrap();
            }
            Some(away)
        };
        let n_known = self.n_known_below(&root);
        // If events are lost without a report, the missing root is not noticed either.
        let is_waited_for = n_known > 0 && !self.lost_silently && self.random.one_in(2);
        if is_waited_for {
            let others = self.roots_inside(&root);
            self.world.wait_until("the root offline", |world| {
                let roots = world.handle().roots();
                let is_offline = roots.iter().any(|status| status.path == root && status.state == RootState::Offline);
                // The known videos may have been on their way to another root. An empty folder in place of an empty root changes nothing.
                is_offline || n_below(world, &root, &others) == 0
            });
            if self.random.one_in(2) {
                self.world.handle().rescan(None);
                self.world.quiet();
            }
            let now = self.n_known_below(&root);
            assert!(
                !is_settled || now == n_known,
                "{n_known} videos were known below {}, now {now}",
                root.display()
            );
        }
        let disk = away.clone().or_else(|| self.mounted_from.clone()).unwrap();
        let what = if self.random.one_in(3) {
            std::fs::write(disk.join("brought.mp4"), self.new_content()).unwrap();
            ", with something new"
        } else {
            ""
        };
        if let Some(away) = &away {
            if root.is_dir() {
                std::fs::remove_dir(&root).unwrap();
            }
            std::fs::rename(away, &root).unwrap();
        } else {
            rustix::mount::mount_bind(&disk, &root).unwrap();
        }
        if !is_settled {
            self.excuse_everything();
        }
        format!("{} vanished (offline {is_waited_for}) and is back{what}", root.display())
    }

    /// Renames a folder out of the tree, and perhaps in again elsewhere.
    fn leaves_the_tree(&mut self) -> String {
        let (inner, target) = (self.inner_folders(), self.some_path().with_extension("back"));
        let Some(folder) = self.random.pick(&inner) else {
            return "no folder to leave".into();
        };
        self.excuse_everything();
        let away = self.world.folder.path().join("outside/away");
        if let Err(error) = std::fs::rename(&folder, &away) {
            return format!("{} cannot leave: {error}", folder.display());
        }
        std::thread::park_timeout(Duration::from_millis(self.random.below(60)));
        let gone = format!("folder {} left the tree", folder.display());
        if !target.starts_with(&folder) && std::fs::rename(&away, &target).is_ok() {
            return format!("{gone} and came back as {}", target.display());
        }
        std::fs::remove_dir_all(&away).unwrap();
        gone
    }

    /// Returns the number of videos of this root and of no root inside it.
    fn n_known_below(&self, root: &Path) -> usize {
        n_below(&self.world, root, &self.roots_inside(root))
    }

    fn roots_inside(&self, root: &Path) -> Vec<PathBuf> {
        let roots = self.world.roots.iter();
        roots.filter(|other| *other != root && other.starts_with(root)).cloned().collect()
    }

    fn excuse_everything(&mut self) {
        let tree = self.world.tree();
        self.excused.extend(tree.values().map(|content| fingerprint_of(content)));
    }

    fn set_mode(&self, path: &Path, mode: u32) {
        // It may have been renamed or deleted, or belong to a link.
        if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_symlink()) {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        // Renamed ones are found by their mode.
        if mode != 0 {
            let mut folders = vec![self.world.path("")];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(&folder).unwrap() {
                    let path = entry.unwrap().path();
                    let metadata = path.symlink_metadata().unwrap();
                    if metadata.permissions().mode().trailing_zeros() >= 9 {
                        let mode = if metadata.is_dir() { 0o755 } else { 0o644 };
                        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
                    }
                    if metadata.is_dir() {
                        folders.push(path);
                    }
                }
            }
        }
    }

    /// Returns the regular files that count, by the names that lead to them without a link.
    fn files(&self) -> Vec<PathBuf> {
        let files = self.world.tree().into_keys();
        files
            .filter(|path| std::fs::canonicalize(path).is_ok_and(|real| real == *path))
            .collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        let mut found = vec![];
        let mut folders: Vec<PathBuf> = self.world.roots.iter().filter(|root| root.is_dir()).cloned().collect();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() && !self.world.roots.contains(&entry.path()) {
                    folders.push(entry.path());
                }
            }
            found.push(folder);
        }
        found.sort();
        found
    }

    fn inner_folders(&self) -> Vec<PathBuf> {
        let mut folders = self.folders();
        folders.retain(|folder| !self.world.roots.contains(folder));
        folders
    }

    fn new_content(&mut self) -> Vec<u8> {
        self.content.1 += 1;
        let text = format!("video {} {} ", self.content.0, self.content.1);
        // Now and then a file that is not read whole.
        let n = if self.random.one_in(40) {
            40_000
        } else {
            1 + self.random.below(50)
        };
        text.repeat(n as usize).into_bytes()
    }

    /// Returns a path in some folder, of a file that may or may not exist.
    fn some_path(&mut self) -> PathBuf {
        let folder = self.random.pick(&self.folders()).unwrap();
        let path = folder.join(format!("{}.mp4", self.random.below(6)));
        // Writing to a link changes its target, and no event reports that.
        if path.is_symlink() {
            path.with_extension("other.mp4")
        } else {
            path
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.world.stop();
        if self.mounted_from.is_some() {
            let unmounted = rustix::mount::unmount(self.world.path("b"), rustix::mount::UnmountFlags::DETACH);
            // A script that failed may have done so already.
            unmounted.unwrap_or_default();
        }
    }
}

fn append(file: &Path, content: &[u8]) {
    use std::io::Write as _;
    let mut open = std::fs::File::options().append(true).open(file).unwrap();
    open.write_all(content).unwrap();
}

fn open_for_times(file: &Path) -> std::fs::File {
    std::fs::File::options().write(true).open(file).unwrap()
}

fn copy_time(from: &Path, to: &Path) {
    let modified = from.metadata().unwrap().modified().unwrap();
    open_for_times(to)
        .set_times(std::fs::FileTimes::new().set_modified(modified))
        .unwrap();
}

fn fingerprint_of(content: &[u8]) -> Fingerprint {
    let file = tempfile::tempfile().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, content, 0).unwrap();
    fingerprint::fingerprint(&file, content.len() as u64).unwrap()
}

/// Returns the number of videos below `root` and below none of the `others`.
fn n_below(world: &World, root: &Path, others: &[PathBuf]) -> usize {
    let videos = world.store.videos();
    videos.iter().filter(|video| is_below(&video.path, root, others)).count()
}
