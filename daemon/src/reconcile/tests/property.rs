//! Random scripts against the tree itself as the model: after quiet the store says what the tree says, and no content was decoded
//! twice (every content is written only once, but moved, copied and linked).

use std::collections::BTreeSet;

use super::*;

/// Scripts and operations a script; `SCENED_SCRIPTS` and `SCENED_OPERATIONS` ask for more.
const N_SCRIPTS: u64 = 30;
const N_OPERATIONS: u64 = 60;

/// SplitMix64: the same script for the same seed on every machine.
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

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() {
            None
        } else {
            from.get(self.below(from.len() as u64) as usize)
        }
    }
}

struct Script {
    world: World,
    random: Random,
    n_contents: u64,
    may_decode_twice: bool,
    log: Vec<String>,
}

impl Script {
    fn new(seed: u64) -> Self {
        Self {
            world: World::with_roots(&["a", "b"]),
            random: Random(seed),
            n_contents: 0,
            may_decode_twice: false,
            log: vec![],
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.world.tree().into_keys().collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        fn visit(folder: &Path, found: &mut Vec<PathBuf>) {
            found.push(folder.to_owned());
            let mut inside: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            inside.sort();
            for path in inside {
                if path.symlink_metadata().unwrap().is_dir() {
                    visit(&path, found);
                }
            }
        }
        let mut found = vec![];
        self.world
            .roots
            .iter()
            .filter(|root| root.is_dir())
            .for_each(|root| visit(root, &mut found));
        found
    }

    fn new_content(&mut self) -> Vec<u8> {
        self.n_contents += 1;
        let content = format!("film {} ", self.n_contents).repeat(1 + (self.n_contents % 50) as usize);
        content.into_bytes()
    }

    /// A path in some folder, of a file that may or may not be there.
    fn some_path(&mut self) -> PathBuf {
        let folders = self.folders();
        let folder = self.random.pick(&folders).unwrap().clone();
        folder.join(format!("{}.mp4", self.random.below(6)))
    }

    fn operate(&mut self) {
        let files = self.files();
        let file = self.random.pick(&files).cloned();
        let folders = self.folders();
        let inner: Vec<PathBuf> = folders
            .iter()
            .filter(|folder| !self.world.roots.contains(folder))
            .cloned()
            .collect();
        let inner_folder = self.random.pick(&inner).cloned();
        let target = self.some_path();
        let what = match (self.random.below(20), file, inner_folder) {
            (0..=3, _, _) => {
                let content = self.new_content();
                std::fs::write(&target, content).unwrap();
                format!("write {}", target.display())
            }
            (4, Some(file), _) => {
                use std::io::Write as _;
                let mut file_open = std::fs::File::options().append(true).open(&file).unwrap();
                file_open.write_all(b" more").unwrap();
                self.n_contents += 1;
                file_open.write_all(self.n_contents.to_string().as_bytes()).unwrap();
                drop(file_open);
                format!("append to {}", file.display())
            }
            (5 | 6, Some(file), _) => {
                std::fs::rename(&file, &target).unwrap();
                format!("rename {} to {}", file.display(), target.display())
            }
            (7, Some(file), _) => {
                std::fs::remove_file(&file).unwrap();
                format!("delete {}", file.display())
            }
            (8, _, _) => {
                let content = self.new_content();
                let temporary = target.with_extension("mp4.part");
                std::fs::write(&temporary, content).unwrap();
                std::fs::rename(&temporary, &target).unwrap();
                format!("replace {}", target.display())
            }
            (9, _, _) => {
                let deep = target.with_extension("").join("x/y/z");
                if std::fs::create_dir_all(&deep).is_ok() {
                    let content = self.new_content();
                    std::fs::write(deep.join("deep.mp4"), content).unwrap();
                }
                format!("deep tree {}", deep.display())
            }
            (10, _, Some(folder)) => {
                let to = target.with_extension("folder");
                let moved = std::fs::rename(&folder, &to);
                format!("rename folder {} to {}: {moved:?}", folder.display(), to.display())
            }
            (11, _, Some(folder)) => {
                std::fs::remove_dir_all(&folder).unwrap();
                format!("delete folder {}", folder.display())
            }
            (12, Some(file), _) => {
                let linked = std::fs::hard_link(&file, &target);
                format!("link {} to {}: {linked:?}", file.display(), target.display())
            }
            (13, Some(file), _) => {
                if file != target {
                    std::fs::copy(&file, &target).unwrap();
                }
                format!("copy {} to {}", file.display(), target.display())
            }
            (14, Some(file), _) => {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
                let linked = std::os::unix::fs::symlink(file.parent().unwrap(), target.with_extension("loop"));
                format!("chmod {} and a loop: {linked:?}", file.display())
            }
            (15, _, _) => {
                self.world.handle().hint(Change::Rescan);
                "lost events".to_owned()
            }
            (16, _, _) if self.random.below(4) == 0 => {
                self.world.stop();
                self.log.push("stop".into());
                for _ in 0..self.random.below(4) {
                    if self.world.handle.is_none() {
                        self.operate_offline();
                    }
                }
                self.world.start();
                "start".to_owned()
            }
            (17, _, _) if self.random.below(3) == 0 => self.vanish(),
            _ => {
                std::thread::park_timeout(Duration::from_millis(self.random.below(40)));
                "pause".to_owned()
            }
        };
        self.log.push(what);
    }

    /// A root vanishes for a moment.
    fn vanish(&mut self) -> String {
        if self.random.below(2) == 0 {
            self.settle();
        } else {
            // A film just moved or copied there is out of sight before it was read; if it was deleted elsewhere it has to be decoded
            // again when the root is back.
            self.may_decode_twice = true;
        }
        let root = self.world.roots[self.random.below(2) as usize].clone();
        let away = root.with_extension("unplugged");
        std::fs::rename(&root, &away).unwrap();
        if self.random.below(2) == 0 {
            let is_offline = |world: &World| {
                let roots = world.handle().roots();
                roots.iter().any(|status| status.path == root && status.state == RootState::Offline)
            };
            self.world.wait_until("the root offline", is_offline);
        }
        std::fs::rename(&away, &root).unwrap();
        format!("{} vanishes and comes back", root.display())
    }

    /// What happens while the daemon is stopped.
    fn operate_offline(&mut self) {
        let files = self.files();
        let target = self.some_path();
        let what = match (self.random.below(3), self.random.pick(&files).cloned()) {
            (0, Some(file)) => {
                std::fs::rename(&file, &target).unwrap();
                format!("  rename {} to {}", file.display(), target.display())
            }
            (1, Some(file)) => {
                std::fs::remove_file(&file).unwrap();
                format!("  delete {}", file.display())
            }
            _ => {
                let content = self.new_content();
                std::fs::write(&target, content).unwrap();
                format!("  write {}", target.display())
            }
        };
        self.log.push(what);
    }

    /// Waits for quiet; roots that vanished for a moment must have been seen to be back.
    fn settle(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.world.quiet();
            let is_back = self.world.handle().roots().iter().all(|root| root.state == RootState::Watched);
            if is_back {
                self.world.quiet();
                return;
            }
            assert!(
                Instant::now() < deadline,
                "a root did not come back: {:?}",
                self.world.handle().roots()
            );
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn after_quiet_the_store_equals_the_tree_whatever_happened() {
    let first = environment("SCENED_SEED", 1);
    for seed in first..first + environment("SCENED_SCRIPTS", N_SCRIPTS) {
        let mut script = Script::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for operation in 0..environment("SCENED_OPERATIONS", N_OPERATIONS) {
                script.operate();
                if operation % 20 == 19 {
                    script.settle();
                    script.world.check_store_equals_tree();
                }
            }
            script.settle();
            script.world.check_store_equals_tree();
            let mut decoded = BTreeSet::new();
            for (fingerprint, path) in &script.world.decoded {
                let paths: Vec<_> = script.world.decoded.iter().filter(|(other, _)| other == fingerprint).collect();
                assert!(
                    decoded.insert(*fingerprint) || script.may_decode_twice,
                    "decoded twice, now at {}: {paths:#?}",
                    path.display()
                );
            }
        }));
        if let Err(panic) = outcome {
            println!("seed {seed}, script:\n{}", script.log.join("\n"));
            std::panic::resume_unwind(panic);
        }
    }
}
