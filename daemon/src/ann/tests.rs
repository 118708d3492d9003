//! One behaviour per test.

use std::collections::BTreeMap;

use scened_common::domain::VideoId;

use super::*;

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Returns a roughly normal number.
    fn normal(&mut self) -> f32 {
        (0..4).map(|_| (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0).sum()
    }

    fn vector(&mut self, dimensions: usize) -> Embedding {
        Embedding::normalised((0..dimensions).map(|_| self.normal()).collect()).unwrap()
    }

    /// Returns a vector near a centre, as scenes of one video are near each other.
    fn near(&mut self, centre: &Embedding, spread: f32) -> Embedding {
        let scale = spread / (centre.dimensions() as f32).sqrt();
        Embedding::normalised(centre.as_slice().iter().map(|value| value + scale * self.normal()).collect()).unwrap()
    }
}

fn model() -> ModelId {
    ModelId("starter-3f9c2b71".to_owned())
}

fn scene(number: u64) -> SceneId {
    SceneId::new(VideoId(1 + number / 10), (number % 10) as usize)
}

fn open(dir: &Path, dimensions: usize) -> (Ann, Opened) {
    Ann::open(dir, &model(), dimensions).unwrap()
}

#[test]
fn recall_at_10_is_close_to_exact() {
    let folder = tempfile::tempdir().unwrap();
    let (ann, opened) = open(folder.path(), 64);
    assert_eq!(opened, Opened::Missing);
    let mut random = Random(1);
    let centres: Vec<_> = (0..200).map(|_| random.vector(64)).collect();
    for number in 0..5_000 {
        let centre = &centres[random.below(200) as usize];
        ann.put(scene(number), &random.near(centre, 0.8)).unwrap();
    }
    let mut found = 0;
    for _ in 0..100 {
        let centre = &centres[random.below(200) as usize];
        // Queries are further from the pictures than these are from each other, like texts.
        let query = random.near(centre, 1.5);
        let exact = ann.exact(&query, 10, (0..5_000).map(scene)).unwrap();
        let near = ann.search(&query, 10).unwrap();
        found += exact.iter().filter(|(id, _)| near.iter().any(|(other, _)| other == id)).count();
        for (id, score) in &near {
            let expected = ann.get(*id).unwrap().cosine(&query);
            assert!((score - expected).abs() < 2e-3, "{id}: {score} instead of {expected}");
        }
    }
    let recall = found as f64 / 1_000.0;
    assert!(recall >= 0.95, "recall@10 is {recall}");
}

/// Compares random puts, replacements, removals, snapshots and reopenings with a plain map.
#[test]
fn random_operations_match_a_plain_map() {
    const DIMENSIONS: usize = 16;
    for seed in 1..=6 {
        let folder = tempfile::tempdir().unwrap();
        let (mut ann, _) = open(folder.path(), DIMENSIONS);
        let mut model: BTreeMap<SceneId, Embedding> = BTreeMap::new();
        let mut random = Random(seed * 7_919);
        for step in 0..1_500_u64 {
            let id = scene(random.below(300));
            match random.below(100) {
                0..60 => {
                    let vector = random.vector(DIMENSIONS);
                    ann.put(id, &vector).unwrap();
                    model.insert(id, vector);
                }
                60..98 => assert_eq!(ann.remove(id).unwrap(), model.remove(&id).is_some(), "seed {seed}, step {step}"),
                98 => {
                    ann.save(step).unwrap();
                    let (reopened, opened) = open(folder.path(), DIMENSIONS);
                    assert_eq!(opened, Opened::Loaded { generation: step });
                    ann = reopened;
                }
                _ => {
                    let query = random.vector(DIMENSIONS);
                    let mut best: Vec<_> = model.iter().map(|(id, vector)| (*id, vector.cosine(&query))).collect();
                    best.sort_by(by_score);
                    let found = ann.search(&query, 10).unwrap();
                    assert_eq!(found.len(), model.len().min(10), "seed {seed}, step {step}");
                    let hits = best
                        .iter()
                        .take(10)
                        .filter(|(id, _)| found.iter().any(|(other, _)| other == id))
                        .count();
                    assert!(hits + 2 >= found.len(), "seed {seed}, step {step}: only {hits} of the best ten");
                }
            }
            assert_eq!(ann.len(), model.len(), "seed {seed}, step {step}");
        }
        for number in 0..300 {
            let id = scene(number);
            let (stored, expected) = (ann.get(id), model.get(&id));
            assert_eq!(stored.is_some(), expected.is_some(), "seed {seed}: {id}");
            if let (Some(stored), Some(expected)) = (stored, expected) {
                assert!(stored.cosine(expected) > 0.999, "seed {seed}: {id} has another vector");
            }
        }
    }
}

#[test]
fn a_removed_scene_comes_back_with_its_new_vector() {
    let folder = tempfile::tempdir().unwrap();
    let (ann, _) = open(folder.path(), 8);
    let mut random = Random(3);
    let (old, new) = (random.vector(8), random.vector(8));
    for number in 0..50 {
        ann.put(scene(number), &random.vector(8)).unwrap();
    }
    ann.put(scene(7), &old).unwrap();
    assert!(ann.remove(scene(7)).unwrap());
    assert!(!ann.contains(scene(7)) && ann.get(scene(7)).is_none());
    assert!(ann.search(&old, 50).unwrap().iter().all(|(id, _)| *id != scene(7)));
    ann.put(scene(7), &new).unwrap();
    assert_eq!(ann.len(), 50);
    let (id, score) = ann.search(&new, 1).unwrap()[0];
    assert_eq!(id, scene(7));
    assert!(score > 0.999);
}

#[test]
fn filters_and_exact_see_only_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let (ann, _) = open(folder.path(), 32);
    let mut random = Random(5);
    for number in 0..1_000 {
        ann.put(scene(number), &random.vector(32)).unwrap();
    }
    let query = random.vector(32);
    let allowed = |id: SceneId| id.video.0.is_multiple_of(2);
    let filtered = ann.search_filtered(&query, 20, &allowed).unwrap();
    assert_eq!(filtered.len(), 20);
    assert!(filtered.iter().all(|(id, _)| allowed(*id)));
    let exact = ann.exact(&query, 20, (0..1_000).map(scene).filter(|id| allowed(*id))).unwrap();
    let same = exact.iter().filter(|(id, _)| filtered.iter().any(|(other, _)| other == id)).count();
    assert!(same >= 18, "{same} of 20");
    let unknown = SceneId::new(VideoId(9_999), 0);
    assert_eq!(ann.exact(&query, 5, [unknown, scene(1)].into_iter()).unwrap().len(), 1);
    assert!(ann.search_filtered(&query, 5, &|_| false).unwrap().is_empty());
}

#[test]
fn a_panic_in_a_filter_reaches_the_caller() {
    let folder = tempfile::tempdir().unwrap();
    let (ann, _) = open(folder.path(), 4);
    let vector = Random(2).vector(4);
    ann.put(scene(1), &vector).unwrap();
    let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ann.search_filtered(&vector, 1, &|_| panic!("a bug in a filter"))
    }));
    assert_eq!(attempt.unwrap_err().downcast_ref::<&str>(), Some(&"a bug in a filter"));
    assert_eq!(ann.search(&vector, 1).unwrap().len(), 1);
}

#[test]
fn wrong_lengths_are_refused_and_an_empty_index_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (ann, _) = open(folder.path(), 4);
    let (right, wrong) = (Random(1).vector(4), Random(1).vector(5));
    assert!(ann.search(&right, 10).unwrap().is_empty());
    assert!(ann.exact(&right, 0, [scene(1)].into_iter()).unwrap().is_empty());
    for error in [ann.put(scene(1), &wrong).unwrap_err(), ann.search(&wrong, 1).unwrap_err()] {
        assert_eq!(error.to_string(), "a vector of 5 dimensions does not fit an index of 4");
    }
}

#[test]
fn searches_go_on_while_the_index_grows() {
    let folder = tempfile::tempdir().unwrap();
    let (ann, _) = open(folder.path(), 16);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..24 {
            let (ann, done) = (ann.clone(), &done);
            scope.spawn(move || {
                let mut random = Random(seed + 100);
                while !done.load(Ordering::Acquire) {
                    let hits = ann.search(&random.vector(16), 5).unwrap();
                    assert!(hits.is_sorted_by(|a, b| a.1 >= b.1));
                }
            });
        }
        let mut random = Random(11);
        for number in 0..4_000 {
            ann.put(scene(number), &random.vector(16)).unwrap();
            if number % 7 == 0 {
                ann.remove(scene(number / 2)).unwrap();
            }
        }
        done.store(true, Ordering::Release);
    });
    assert!(ann.len() > 3_000);
}

type Damage<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));

/// Any damage to a snapshot gives an empty index and leaves the damaged files under another name.
#[test]
fn damaged_snapshots_are_never_loaded() {
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let zero = |bytes: &mut Vec<u8>| {
        let n = bytes.len().min(4_096);
        bytes[..n].fill(0);
    };
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 3);
    let empty = |bytes: &mut Vec<u8>| bytes.clear();
    let damages: [Damage<'_>; 4] = [("flipped", &flip), ("zeroed", &zero), ("cut", &cut), ("emptied", &empty)];
    for victim in ["starter-3f9c2b71.7.usearch", "starter-3f9c2b71.json"] {
        for (name, damage) in damages {
            let folder = tempfile::tempdir().unwrap();
            let (ann, _) = open(folder.path(), 16);
            let mut random = Random(9);
            for number in 0..200 {
                ann.put(scene(number), &random.vector(16)).unwrap();
            }
            ann.save(7).unwrap();
            let path = folder.path().join(victim);
            let mut bytes = std::fs::read(&path).unwrap();
            damage(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
            let (ann, opened) = open(folder.path(), 16);
            let Opened::Damaged { set_aside, .. } = opened else {
                panic!("{victim} {name}: {opened:?}");
            };
            assert_eq!(set_aside.len(), 2, "{victim} {name}");
            assert!(ann.is_empty(), "{victim} {name}");
            ann.put(scene(1), &random.vector(16)).unwrap();
            ann.save(8).unwrap();
            assert_eq!(open(folder.path(), 16).1, Opened::Loaded { generation: 8 }, "{victim} {name}");
        }
    }
}

#[test]
fn a_snapshot_survives_a_crash_between_its_steps() {
    let folder = tempfile::tempdir().unwrap();
    let (ann, _) = open(folder.path(), 8);
    ann.put(scene(1), &Random(1).vector(8)).unwrap();
    ann.save(3).unwrap();
    // A later snapshot that was written, or half written, but has no header.
    std::fs::write(folder.path().join("starter-3f9c2b71.4.usearch"), b"half").unwrap();
    std::fs::write(folder.path().join("starter-3f9c2b71.5.usearch.new"), b"half").unwrap();
    let (ann, opened) = open(folder.path(), 8);
    assert_eq!(opened, Opened::Loaded { generation: 3 });
    ann.save(9).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["starter-3f9c2b71.9.usearch", "starter-3f9c2b71.json"]);
}

#[test]
fn a_snapshot_takes_no_room_that_the_store_needs() {
    if !testkit::hung::own_mounts_or_say("a snapshot on a disk that is nearly full") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    rustix::mount::mount("tmpfs", folder.path(), "tmpfs", rustix::mount::MountFlags::empty(), c"size=40m").unwrap();
    let (ann, _) = open(folder.path(), 8);
    ann.put(scene(1), &Random(1).vector(8)).unwrap();
    ann.save(1).unwrap();
    let ballast = folder.path().join("ballast");
    std::fs::write(&ballast, vec![1; 30 << 20]).unwrap();
    let free_bytes = || crate::machine::disk_space::free_bytes(folder.path()).unwrap();
    let before = free_bytes();
    ann.put(scene(2), &Random(2).vector(8)).unwrap();
    match ann.save(2) {
        Err(AnnError::File { source, .. }) => assert_eq!(source.kind(), std::io::ErrorKind::StorageFull),
        other => panic!("with {before} bytes free it was saved: {other:?}"),
    }
    assert_eq!(free_bytes(), before);
    assert_eq!(open(folder.path(), 8).1, Opened::Loaded { generation: 1 }, "the one before stays");
    std::fs::remove_file(ballast).unwrap();
    ann.save(2).unwrap();
    assert_eq!(open(folder.path(), 8).1, Opened::Loaded { generation: 2 });
    rustix::mount::unmount(folder.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
}

#[test]
fn models_and_dimensions_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (ModelId("a/b".to_owned()), ModelId("a.b".to_owned()));
    let (ann, _) = Ann::open(folder.path(), &first, 8).unwrap();
    ann.put(scene(1), &Random(1).vector(8)).unwrap();
    ann.save(1).unwrap();
    assert_eq!(Ann::open(folder.path(), &second, 8).unwrap().1, Opened::Missing);
    let (ann, opened) = Ann::open(folder.path(), &first, 16).unwrap();
    assert!(matches!(opened, Opened::Damaged { .. }), "{opened:?}");
    assert!(ann.is_empty());
    let header = folder.path().join("starter-3f9c2b71.json");
    let other = r#"{"format":1,"model":"x","dimensions":8,"generation":1,"n_scenes":0,"file":"f","n_bytes":0,"hash":""}"#;
    std::fs::write(&header, other).unwrap();
    assert_eq!(open(folder.path(), 8).1, Opened::OtherModel);
}

#[cfg(unix)]
#[test]
fn a_folder_whose_name_is_not_utf8_works() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    let (ann, _) = open(&dir, 8);
    ann.put(scene(1), &Random(1).vector(8)).unwrap();
    ann.save(1).unwrap();
    let (ann, opened) = open(&dir, 8);
    assert_eq!(opened, Opened::Loaded { generation: 1 });
    assert_eq!(ann.len(), 1);
}

#[test]
fn many_removals_ask_for_a_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    let (ann, _) = open(folder.path(), 4);
    let mut random = Random(4);
    for number in 0..2_500 {
        ann.put(scene(number), &random.vector(4)).unwrap();
    }
    assert!(!ann.wants_rebuild());
    for number in 0..1_500 {
        ann.remove(scene(number)).unwrap();
    }
    assert!(ann.wants_rebuild());
    ann.clear().unwrap();
    assert!(ann.is_empty() && !ann.wants_rebuild());
}
