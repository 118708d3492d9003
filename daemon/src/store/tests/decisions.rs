//! Settings and their second copy: if either is lost or damaged, the other one restores it.

use serde_json::json;

use super::*;

/// Three settings, one of them set twice.
fn prepare(dir: &Path) {
    let store = open(dir);
    store.put_setting("paused", &json!(false)).unwrap();
    store.put_setting("serving-model", &json!("m-1")).unwrap();
    store.put_setting("roots", &json!([{"path": "/films", "volume": 1.5}])).unwrap();
    store.put_setting("paused", &json!(true)).unwrap();
}

#[track_caller]
fn check(store: &Store) {
    let all = ["paused", "serving-model", "roots"].map(|name| store.setting(name).unwrap());
    assert_eq!(
        all,
        [json!(true), json!("m-1"), json!([{"path": "/films", "volume": 1.5}])].map(Some)
    );
}

#[test]
fn settings_outlive_a_store_that_is_lost() {
    type Loss = fn(&Path);
    let losses: [(&str, Loss, usize); 4] = [
        ("set aside", |dir| std::fs::write(dir.join("store/version"), "nonsense").unwrap(), 3),
        ("deleted", |dir| std::fs::remove_dir_all(dir.join("store")).unwrap(), 3),
        (
            "deleted with its side file",
            |dir| {
                std::fs::remove_dir_all(dir.join("store")).unwrap();
                std::fs::remove_file(dir.join("store.generation")).unwrap();
            },
            3,
        ),
        ("whole", |_| {}, 0),
    ];
    for (what, loss, n_restored) in losses {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        loss(folder.path());
        let (store, report) = Store::open(folder.path()).unwrap();
        assert_eq!(report.n_decisions_restored, n_restored, "{what}");
        check(&store);
        drop(store);
        let (store, report) = Store::open(folder.path()).unwrap();
        assert_eq!(report, OpenReport::default(), "{what}: once is enough");
        check(&store);
    }
}

#[test]
fn a_setting_lost_with_the_end_of_the_journal_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let shortened = tempfile::tempdir().unwrap();
    damage::copy(folder.path(), shortened.path());
    let store = open(folder.path());
    store.put_setting("paused", &json!(false)).unwrap();
    drop(store);
    // This is the store as it was before the last change, beside the copy that has the change.
    for name in ["decisions.json", "decisions.previous.json"] {
        std::fs::copy(folder.path().join(name), shortened.path().join(name)).unwrap();
    }
    let (store, report) = Store::open(shortened.path()).unwrap();
    assert_eq!(report.n_decisions_restored, 1);
    assert_eq!(store.setting("paused").unwrap(), Some(json!(false)));
    assert_eq!(store.setting("serving-model").unwrap(), Some(json!("m-1")));
}

#[test]
fn a_damaged_setting_comes_from_the_copy() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let store = open(folder.path());
    damage::tamper(&store, "settings", b"serving-model", |bytes| *bytes.last_mut().unwrap() ^= 1);
    drop(store);
    let (store, report) = Store::open(folder.path()).unwrap();
    assert_eq!(report.n_decisions_restored, 1);
    check(&store);
}

#[test]
fn damaged_copies_are_set_aside_and_written_again() {
    // To root, no file is unreadable.
    std::thread::scope(|scope| {
        let as_a_user = scope.spawn(|| {
            testkit::become_nobody();
            damage_copies();
        });
        as_a_user.join().unwrap();
    });
}

fn damage_copies() {
    for damaged in [
        &["decisions.json"][..],
        &["decisions.previous.json"],
        &["decisions.json", "decisions.previous.json"],
    ] {
        for (how, harm) in [
            (
                "one digit",
                (|path: &Path| {
                    let text = std::fs::read_to_string(path).unwrap();
                    std::fs::write(path, text.replacen("\"m-1\"", "\"m-2\"", 1)).unwrap();
                }) as fn(&Path),
            ),
            ("a folder", |path| {
                std::fs::remove_file(path).unwrap();
                std::fs::create_dir(path).unwrap();
            }),
            ("may not be read", |path| {
                std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
            }),
        ] {
            let folder = tempfile::tempdir().unwrap();
            prepare(folder.path());
            for name in damaged {
                harm(&folder.path().join(name));
            }
            let (store, report) = Store::open(folder.path()).unwrap();
            // A file that the system does not let us read may be intact.
            let n_set_aside = if how == "may not be read" { 0 } else { damaged.len() };
            assert_eq!(report.decisions_set_aside.len(), n_set_aside, "{damaged:?} {how}");
            assert_eq!(report.n_decisions_restored, 0);
            check(&store);
            drop(store);
            // The copy can restore a lost store again.
            std::fs::remove_dir_all(folder.path().join("store")).unwrap();
            let (store, report) = Store::open(folder.path()).unwrap();
            assert_eq!(report.n_decisions_restored, 3, "{damaged:?} {how}");
            check(&store);
        }
    }
}

#[test]
fn the_copy_before_stands_in_for_a_damaged_one() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    std::fs::remove_dir_all(folder.path().join("store")).unwrap();
    std::fs::write(folder.path().join("decisions.json"), "").unwrap();
    let (store, report) = Store::open(folder.path()).unwrap();
    assert_eq!((report.n_decisions_restored, report.decisions_set_aside.len()), (3, 1));
    // It is one change behind, and can know no more.
    assert_eq!(store.setting("paused").unwrap(), Some(json!(false)));
    assert_eq!(store.setting("serving-model").unwrap(), Some(json!("m-1")));
}

#[test]
fn a_setting_that_is_so_already_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let store = open(folder.path());
    let before = std::fs::metadata(folder.path().join("decisions.json")).unwrap().modified().unwrap();
    store.put_setting("paused", &json!(true)).unwrap();
    let after = std::fs::metadata(folder.path().join("decisions.json")).unwrap().modified().unwrap();
    assert_eq!(before, after);
}
