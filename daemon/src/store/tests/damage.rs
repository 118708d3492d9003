//! Any damage to the files leads to no panic, no wrong answer and no deletion, and the report says what happened.

use super::*;

/// Makes and closes a store with ten indexed videos.
fn prepare(dir: &Path) {
    let store = open(dir);
    for number in 0..10_u8 {
        let record = store.add_video(new_video(&format!("/films/{number}"), number), 1).unwrap();
        store.put_indexed(indexed(&record, "m", 3)).unwrap();
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn journal(dir: &Path) -> PathBuf {
    files(dir)
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .unwrap()
}

/// Returns the position behind the last byte that is not zero: journals are preallocated.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Opens a damaged store. Checks that every answer is right, and that missing content was reported.
fn check_damaged(dir: &Path, what: &str) {
    let (store, report) = match Store::open(dir) {
        Ok(opened) => opened,
        Err(error) => panic!("{what}: {error}"),
    };
    let mut whole = 0;
    for number in 0..10_u8 {
        let Some(record) = store.video_at(Path::new(&format!("/films/{number}"))) else {
            continue;
        };
        if record.state == VideoState::Pending {
            // One flipped bit in a batch's sequence number (fjall's checksum leaves it out) restores an older record. It is queued, so it
            // is safe.
            assert!(store.job(record.id).is_some(), "{what}");
            whole += 1;
        } else {
            let scenes = store.scenes(record.id).unwrap();
            if scenes.len() == 3 && store.video_vectors(&model("m"), record.id).unwrap().len() == 3 {
                check_vectors(&store, &record, "m", 3);
                whole += 1;
            }
        }
    }
    let reported = !report.set_aside.is_empty() || report.lost_changes > 0 || report.n_damaged > 0 || !store.damaged().is_empty();
    assert!(
        whole == 10 || reported,
        "{what}: only {whole} videos are whole, and nobody was told: {report:?}"
    );
    // The store still works.
    store.add_video(new_video("/new", 99), 1).unwrap();
}

#[test]
fn damaged_journals_never_lie() {
    let original = tempfile::tempdir().unwrap();
    prepare(original.path());
    let bytes = std::fs::read(journal(original.path())).unwrap();
    let used = used(&bytes);
    let mut random = Random(17);
    for round in 0..18 {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        let at = random.below(used as u64) as usize;
        let mut damaged = bytes[..used].to_vec();
        let what = match round % 3 {
            0 => {
                damaged[at] ^= 1 << random.below(8);
                "a flipped bit"
            }
            1 => {
                let end = (at + 512).min(used);
                damaged[at..end].fill(0);
                "a zeroed sector"
            }
            _ => {
                damaged.truncate(at);
                "a cut"
            }
        };
        std::fs::write(journal(folder.path()), damaged).unwrap();
        check_damaged(folder.path(), &format!("{what} at {at} of the journal"));
    }
}

#[test]
fn every_other_file_may_be_damaged_too() {
    let original = tempfile::tempdir().unwrap();
    prepare(original.path());
    for (number, path) in files(original.path()).into_iter().enumerate() {
        let relative = path.strip_prefix(original.path()).unwrap();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            continue;
        }
        // The most important files get all three kinds of damage. Each of the many small ones gets one, because every opening syncs a dozen
        // times.
        let all = ["emptied", "flipped", "removed"];
        let chosen = if path.ends_with("current") || path.parent() == Some(original.path()) {
            &all[..]
        } else {
            &all[number % 3..=number % 3]
        };
        for what in chosen {
            let folder = tempfile::tempdir().unwrap();
            copy(original.path(), folder.path());
            let victim = folder.path().join(relative);
            let mut bytes = std::fs::read(&victim).unwrap();
            match *what {
                "emptied" => std::fs::write(&victim, b"").unwrap(),
                "removed" => std::fs::remove_file(&victim).unwrap(),
                _ if bytes.is_empty() => continue,
                _ => {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 0x10;
                    std::fs::write(&victim, bytes).unwrap();
                }
            }
            if relative == Path::new("format") && *what == "flipped" {
                // It may read as another number: refusal and repair are both fine.
                drop(Store::open(folder.path()));
                continue;
            }
            check_damaged(folder.path(), &format!("{} {what}", relative.display()));
        }
    }
}

/// Writes raw bytes, bypassing the store's own calls.
pub(super) fn tamper(store: &Store, space: &str, key: &[u8], change: impl Fn(&mut Vec<u8>)) {
    let keyspace = &store.inner.disk.space(space).unwrap().keyspace;
    let mut bytes = keyspace.get(key).unwrap().unwrap().to_vec();
    change(&mut bytes);
    keyspace.insert(key, bytes).unwrap();
}

#[test]
fn a_damaged_record_is_missing_and_its_video_is_queued_again() {
    let scene = SceneId::new(VideoId(1), 1);
    let vectors_key = keys::vectors(&model("m"), scene).unwrap();
    let scenes_key = keys::video(VideoId(1)).to_vec();
    let thumbnail_key = keys::scene(scene).to_vec();
    for (space, key) in [("vectors", vectors_key), ("scenes", scenes_key), ("thumbnails", thumbnail_key)] {
        for damage in [0, 3, 20] {
            let folder = tempfile::tempdir().unwrap();
            prepare(folder.path());
            let store = open(folder.path());
            tamper(&store, space, &key, |bytes| {
                let at = damage.min(bytes.len() - 1);
                bytes[at] ^= 4;
            });
            let id = VideoId(1);
            assert_eq!(store.video(id).unwrap().state, VideoState::Indexed);
            match space {
                "vectors" => assert_eq!(store.vectors(&model("m"), scene).unwrap(), None),
                "scenes" => assert_eq!(store.scenes(id).unwrap(), []),
                _ => assert_eq!(store.thumbnail(scene).unwrap(), None),
            }
            assert_eq!(store.video(id).unwrap().state, VideoState::Pending, "{space}");
            assert_eq!(store.jobs().unwrap().len(), 1);
            let damaged = store.damaged();
            assert_eq!((damaged[0].keyspace, damaged[0].video), (space, Some(id)));
            assert_eq!(store.inner.disk.damaged.iter().count(), 1);
            let record = store.video(id).unwrap();
            store.put_indexed(indexed(&record, "m", 3)).unwrap();
            check_content(&store, &record, "m", 3);
        }
    }
}

#[test]
fn damaged_small_records_are_repaired_at_the_start() {
    let id = VideoId(2);
    for (space, key) in [
        ("videos", keys::video(id).to_vec()),
        ("indexed", keys::model_video(&model("m"), id).unwrap()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let store = open(folder.path());
        tamper(&store, space, &key, |bytes| *bytes.last_mut().unwrap() ^= 1);
        drop(store);
        let (store, report) = Store::open(folder.path()).unwrap();
        assert_eq!((report.n_damaged, report.set_aside.len()), (1, 0), "{space}");
        match space {
            // Its path is lost: a walk finds the file as a new one.
            "videos" => {
                assert!(store.video(id).is_none() && store.scenes(id).unwrap().is_empty());
                assert_eq!(store.add_video(new_video("/films/1", 1), 1).unwrap().id, VideoId(11));
            }
            _ => assert_eq!(store.video(id).unwrap().state, VideoState::Pending),
        }
        assert_eq!(store.counts().indexed, 9);
        drop(store);
        open(folder.path());
    }
}

#[test]
fn a_record_under_another_key_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let store = open(folder.path());
    let keyspace = &store.inner.disk.scenes.keyspace;
    let foreign = keyspace.get(keys::video(VideoId(1))).unwrap().unwrap();
    keyspace.insert(keys::video(VideoId(2)), foreign).unwrap();
    assert!(store.scenes(VideoId(2)).unwrap().is_empty());
    assert_eq!(store.damaged()[0].reason, "its checksum is wrong");
}

#[test]
fn a_shortened_journal_is_noticed_and_numbers_are_not_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let path = journal(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..used(&bytes) * 2 / 3]).unwrap();
    let (store, report) = Store::open(folder.path()).unwrap();
    assert!(report.lost_changes > 0 && report.set_aside.is_empty(), "{report:?}");
    assert_eq!(store.generation(), 20);
    assert_eq!(store.changes_since(15).unwrap(), None);
    assert_eq!(store.add_video(new_video("/new", 1), 1).unwrap().id, VideoId(11));
    assert_eq!(store.changes_since(20).unwrap().unwrap().len(), 1);
    drop(store);
    open(folder.path());
}

#[test]
fn a_store_that_does_not_open_is_set_aside_and_generations_go_on() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    std::fs::write(folder.path().join("store/version"), b"nonsense").unwrap();
    let (store, report) = Store::open(folder.path()).unwrap();
    assert!(report.fresh);
    let name = report.set_aside[0].file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("store.damaged-2"), "{name}");
    assert!(report.set_aside[0].join("version").is_file());
    assert_eq!((store.videos().len(), store.generation()), (0, 20));
    assert_eq!(store.changes_since(5).unwrap(), None);
    assert_eq!(store.add_video(new_video("/a", 1), 1).unwrap().id, VideoId(11));
}

/// Compaction meets the damage, and fjall accepts no more writes, neither now nor after any start, unless the store is replaced.
#[test]
fn damage_that_stops_compaction_does_not_stop_every_start() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let store = open(folder.path());
    store.write_tables().unwrap();
    let tables = store.inner.disk.vectors.keyspace.path().join("tables");
    drop(store);
    for table in files(&tables) {
        let mut bytes = std::fs::read(&table).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&table, bytes).unwrap();
    }
    let mut n_fatal = 0;
    for round in 0..4_u8 {
        let (store, report) = Store::open(folder.path()).unwrap();
        if !report.set_aside.is_empty() {
            assert!(n_fatal > 0, "it was set aside before it was known to be damaged");
            assert!(report.fresh && store.videos().is_empty());
            store.add_video(new_video("/films/again", 1), 1).unwrap();
            store.write_tables().unwrap();
            drop(store);
            open(folder.path());
            return;
        }
        // Behaves like a busy daemon: videos are indexed again, tables are written, and finally compacted.
        for number in 0..8_u8 {
            let all_again = store.videos().into_iter().try_for_each(|record| {
                store.requeue(record.id, Some((stamp(u64::from(round)), Fingerprint([100 + number; 16]))), 1)?;
                let record = store.video(record.id).ok_or(StoreError::Gone(record.id))?;
                store.put_indexed(indexed(&record, "m", 3))
            });
            // The test does not wait for the result: a worker of fjall's that met damage never finishes.
            let outcome = all_again.map(|()| {
                for space in store.inner.disk.spaces() {
                    space.keyspace.rotate_memtable().unwrap();
                }
                testkit::pause(std::time::Duration::from_millis(50));
            });
            if outcome.is_err_and(|error| error.is_fatal()) {
                n_fatal += 1;
                break;
            }
        }
    }
    panic!("{n_fatal} runs ended fatally, and nothing became of it");
}

#[test]
fn what_a_first_start_left_unfinished_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("format"), "scened store 1\nscened store 1\n").unwrap();
    std::fs::create_dir_all(folder.path().join("store.new/keyspaces/0")).unwrap();
    std::fs::write(folder.path().join("store.new/0.jnl"), "half").unwrap();
    let (store, report) = Store::open(folder.path()).unwrap();
    let fresh = OpenReport {
        fresh: true,
        ..OpenReport::default()
    };
    assert_eq!(report, fresh);
    assert!(!folder.path().join("store.new").is_dir());
    store.add_video(new_video("/films/1", 1), 1).unwrap();
    drop(store);
    assert_eq!(open(folder.path()).counts().pending, 1);
}

/// fjall would continue with a new journal, and lose its content at the next start.
#[test]
fn a_store_without_its_journal_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    std::fs::remove_file(journal(folder.path())).unwrap();
    let (_store, report) = Store::open(folder.path()).unwrap();
    assert_eq!((report.set_aside.len(), report.fresh), (1, true));
}

/// fjall would delete the tables of that keyspace.
#[test]
fn a_keyspace_without_its_pointer_keeps_its_tables() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let store = open(folder.path());
    store.write_tables().unwrap();
    let vectors = store.inner.disk.vectors.keyspace.path().to_owned();
    drop(store);
    std::fs::remove_file(vectors.join("current")).unwrap();
    let (_store, report) = Store::open(folder.path()).unwrap();
    let aside = report.set_aside[0].join(vectors.strip_prefix(folder.path().join("store")).unwrap());
    assert!(!files(&aside.join("tables")).is_empty());
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    std::fs::write(folder.path().join("format"), "scened store 2\n").unwrap();
    let error = Store::open(folder.path()).err().unwrap();
    let expected = "has format 2, made by a newer scened; this one knows formats up to 1";
    assert!(error.to_string().contains(expected), "{error}");
    // If its two lines differ, the marker is damaged.
    std::fs::write(folder.path().join("format"), "scened store 3\nscened store 1\n").unwrap();
    assert_eq!(open(folder.path()).counts().indexed, 10);
}

#[test]
fn a_folder_that_cannot_be_used_is_an_error_not_damage() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let error = Store::open(&file.join("data")).err().unwrap();
    assert!(matches!(error, StoreError::Folder { .. }), "{error}");
    assert!(error.to_string().starts_with("cannot create "), "{error}");
}

pub(super) fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        // The copy leaves out the preallocated zeros, which fjall does not need.
        let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
        let n = if is_journal { used(&bytes) } else { bytes.len() };
        std::fs::write(target, &bytes[..n]).unwrap();
    }
}
