//! Stores written by every released version must open, forever.
//!
//! They are in `tests/data/stores/v<format>`. When a format is about to be released, write its store once with
//! `cargo test -p scened --lib store::tests::released::write -- --ignored` and commit it. Never change a committed one.

use super::*;

fn folder(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/data/stores/v{format}"))
}

#[test]
#[ignore = "writes into the source tree; run by hand when a format is released"]
fn write() {
    let target = folder(migrations::FORMAT);
    assert!(!target.is_dir(), "{} exists already", target.display());
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let videos: Vec<_> = (0..4)
        .map(|n| store.add_video(new_video(&format!("/films/{n}.mp4"), n), 1_000).unwrap())
        .collect();
    store.put_indexed(indexed(&videos[0], "starter-0", 5)).unwrap();
    // The larger part is in tables, the rest in the journal.
    for space in store.inner.disk.spaces() {
        space.keyspace.rotate_memtable_and_wait().unwrap();
    }
    store.put_indexed(indexed(&videos[1], "starter-0", 2)).unwrap();
    store.put_indexed(indexed(&videos[1], "clip-1", 2)).unwrap();
    store
        .put_failed(
            videos[2].id,
            "no picture",
            Some("a hint"),
            crate::store::Cause::Video,
            "scened 0.1.0",
            2_000,
        )
        .unwrap();
    store.set_offline(&[videos[1].id], true).unwrap();
    store.put_setting("model", &serde_json::json!({"active": "starter-0"})).unwrap();
    drop(store);
    damage::copy(dir.path(), &target);
}

#[test]
fn version_1_opens() {
    let dir = tempfile::tempdir().unwrap();
    damage::copy(&folder(1), dir.path());
    let (store, report) = Store::open(dir.path()).unwrap();
    let migrated_from = (migrations::FORMAT > 1).then_some(1);
    assert_eq!(
        report,
        OpenReport {
            migrated_from,
            ..OpenReport::default()
        }
    );
    let counts = Counts {
        indexed: 1,
        pending: 1,
        failed: 1,
        offline: 1,
        scenes: 7,
    };
    assert_eq!(store.counts(), counts);
    let video = |n: u32| store.video_at(Path::new(&format!("/films/{n}.mp4"))).unwrap();
    check_content(&store, &video(0), "starter-0", 5);
    check_content(&store, &video(1), "starter-0", 2);
    check_content(&store, &video(1), "clip-1", 2);
    let incident = store.incident(video(2).id).unwrap().unwrap();
    assert_eq!((incident.reason.as_str(), incident.hint.as_deref()), ("no picture", Some("a hint")));
    assert_eq!(store.jobs().unwrap().len(), 1);
    assert_eq!(store.setting("model").unwrap(), Some(serde_json::json!({"active": "starter-0"})));
    assert_eq!(store.changes_since(0).unwrap().unwrap().len() as u64, store.generation());
    assert!(store.damaged().is_empty());
}
