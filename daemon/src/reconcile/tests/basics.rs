use super::*;

#[test]
fn what_is_there_at_the_start_is_queued_once() {
    let mut world = World::idle(&["a"]);
    world.write("a/x.mp4", "one");
    world.write("a/b/y.mkv", "two");
    world.write("a/readme.txt", "no video");
    world.start();
    assert_eq!(world.quiet().len(), 2);
    world.check(&["a/b/y.mkv", "a/x.mp4"]);
    assert_eq!(world.handle().roots()[0].state, RootState::Watched);
    world.handle().rescan(None);
    assert_eq!(world.quiet(), [] as [PathBuf; 0], "an unchanged file was queued again");
}

#[test]
fn a_new_file_is_found_and_a_deleted_one_removed() {
    let mut world = World::new();
    world.quiet();
    world.write("a/x.mp4", "one");
    assert_eq!(world.quiet().len(), 1);
    world.check(&["a/x.mp4"]);
    world.remove("a/x.mp4");
    world.quiet();
    world.check(&[]);
}

#[test]
fn touch_during_settle_delays_the_job() {
    use std::io::Write as _;
    let mut world = World::idle(&["a"]);
    // Longer than a loaded machine stalls between two writes.
    world.settle = SETTLE * 20;
    world.start();
    world.quiet();
    let mut file = std::fs::File::create(world.path("a/x.mp4")).unwrap();
    let mut last_write = Instant::now();
    for round in 0..30_u8 {
        file.write_all(&[round; 10]).unwrap();
        last_write = Instant::now();
        world.handle().barrier(TIMEOUT);
        assert_eq!(world.store.n_jobs(), 0, "queued while it grew, in round {round}");
        std::thread::park_timeout(SETTLE / 5);
    }
    drop(file);
    world.wait_until("the job", |world| world.store.n_jobs() == 1);
    assert!(last_write.elapsed() >= world.settle);
    assert_eq!(world.quiet().len(), 1);
    world.check_store_equals_tree();
}

#[test]
fn a_changed_file_is_decoded_again_and_keeps_its_id() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.quiet();
    let id = world.id("a/x.mp4");
    world.write("a/x.mp4", "one and more");
    assert_eq!(world.quiet().len(), 1);
    assert_eq!(world.id("a/x.mp4"), id);
    world.check_store_equals_tree();
}

#[test]
fn an_empty_file_that_is_filled_later_is_a_change() {
    let mut world = World::new();
    world.write("a/x.mp4", "");
    assert_eq!(world.quiet().len(), 1);
    world.write("a/x.mp4", "one");
    assert_eq!(world.quiet().len(), 1);
    world.check_store_equals_tree();
}

#[test]
fn touch_and_chmod_decode_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.quiet();
    let file = std::fs::File::options().append(true).open(world.path("a/x.mp4")).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(1000)).unwrap();
    assert_eq!(world.quiet().len(), 0);
    std::fs::set_permissions(world.path("a/x.mp4"), std::fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(world.quiet().len(), 0);
    world.check_store_equals_tree();
}

#[test]
fn an_atomic_replacement_is_one_change() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.quiet();
    let id = world.id("a/x.mp4");
    world.write("a/x.mp4.tmp", "replaced");
    world.rename("a/x.mp4.tmp", "a/x.mp4");
    assert_eq!(world.quiet().len(), 1);
    assert_eq!(world.id("a/x.mp4"), id);
    world.check_store_equals_tree();
}

#[test]
fn a_download_is_ignored_until_it_is_renamed() {
    let mut world = World::new();
    world.write("a/x.mp4.part", "one");
    world.write("a/y.mp4.crdownload", "two");
    assert_eq!(world.quiet().len(), 0);
    world.check(&[]);
    world.rename("a/x.mp4.part", "a/x.mp4");
    assert_eq!(world.quiet().len(), 1);
    world.check(&["a/x.mp4"]);
}

#[test]
fn a_deep_tree_made_at_once_is_found_every_time() {
    let mut world = World::new();
    world.quiet();
    for round in 0..50 {
        world.write(&format!("a/{round}/b/c/d/x.mp4"), &format!("video {round}"));
        if round % 10 == 9 {
            assert_eq!(world.quiet().len(), 10);
        }
    }
    world.check_store_equals_tree();
    // The deepest folders are watched as well.
    world.write("a/7/b/c/d/y.mp4", "another");
    assert_eq!(world.quiet().len(), 1);
}

#[test]
fn a_tree_moved_in_is_found_and_watched() {
    let mut world = World::new();
    world.quiet();
    world.write("outside/b/x.mp4", "one");
    world.rename("outside", "a/inside");
    assert_eq!(world.quiet().len(), 1);
    world.write("a/inside/b/y.mp4", "two");
    assert_eq!(world.quiet().len(), 1);
    world.check(&["a/inside/b/x.mp4", "a/inside/b/y.mp4"]);
}

#[test]
fn a_tree_deleted_or_moved_out_is_removed() {
    let mut world = World::new();
    world.write("a/b/c/x.mp4", "one");
    world.write("a/d/e/y.mp4", "two");
    world.quiet();
    std::fs::remove_dir_all(world.path("a/b")).unwrap();
    world.rename("a/d", "outside");
    world.quiet();
    world.check(&[]);
}

#[test]
fn nomedia_hides_its_folder_and_its_removal_brings_it_back() {
    let mut world = World::new();
    world.write("a/b/c/x.mp4", "one");
    world.write("a/y.mp4", "two");
    world.quiet();
    world.write("a/b/.nomedia", "");
    world.quiet();
    world.check(&["a/y.mp4"]);
    assert!(matches!(
        world.handle().explain(&world.path("a/b/c/x.mp4")),
        Explanation::Excluded(Exclusion::NoMedia(_))
    ));
    world.remove("a/b/.nomedia");
    world.quiet();
    world.check(&["a/b/c/x.mp4", "a/y.mp4"]);
    world.write("a/b/c/z.mp4", "three");
    world.quiet();
    world.check(&["a/b/c/x.mp4", "a/b/c/z.mp4", "a/y.mp4"]);
}

#[test]
fn scenedignore_is_obeyed_when_it_appears_and_when_it_changes() {
    let mut world = World::new();
    world.write("a/b/raw-1.mp4", "one");
    world.write("a/b/cut-1.mp4", "two");
    world.quiet();
    world.write("a/.scenedignore", "raw-*\n");
    world.quiet();
    world.check(&["a/b/cut-1.mp4"]);
    world.write("a/.scenedignore", "cut-*\n");
    world.quiet();
    world.check(&["a/b/raw-1.mp4"]);
}

#[test]
fn links_and_loops_lead_nowhere_by_default() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.write("outside/y.mp4", "two");
    std::os::unix::fs::symlink(world.path("a"), world.path("a/loop")).unwrap();
    std::os::unix::fs::symlink(world.path("outside"), world.path("a/out")).unwrap();
    std::os::unix::fs::symlink(world.path("outside/y.mp4"), world.path("a/y.mp4")).unwrap();
    std::os::unix::fs::symlink(world.path("a/self.mp4"), world.path("a/self.mp4")).unwrap();
    world.quiet();
    world.check(&["a/x.mp4"]);
}

#[test]
fn links_are_followed_when_configured_but_no_file_is_found_twice() {
    let mut world = World::idle(&["a"]);
    world.write("a/x.mp4", "one");
    world.write("outside/y.mp4", "two");
    std::os::unix::fs::symlink(world.path("a"), world.path("a/loop")).unwrap();
    std::os::unix::fs::symlink(world.path("outside"), world.path("a/out")).unwrap();
    std::os::unix::fs::symlink(world.path("outside"), world.path("outside/loop")).unwrap();
    std::os::unix::fs::symlink(world.path("a/x.mp4"), world.path("a/twice.mp4")).unwrap();
    world.follow_symlinks = true;
    world.start();
    world.quiet();
    world.check(&["a/out/y.mp4", "a/x.mp4"]);
}

#[test]
fn names_may_hold_anything() {
    use std::os::unix::ffi::OsStrExt;
    let mut world = World::new();
    world.write("a/line\nbreak 'quoted' \"twice\".mp4", "one");
    std::fs::write(world.path("a").join(OsStr::from_bytes(b"not utf-8 \xff\xfe.mp4")), "two").unwrap();
    assert_eq!(world.quiet().len(), 2);
    world.check_store_equals_tree();
    world.stop();
    world.start();
    assert_eq!(world.quiet().len(), 0);
}

#[test]
fn lost_events_become_a_rescan_and_many_losses_few() {
    let mut world = World::new();
    world.write("a/b/x.mp4", "one");
    world.quiet();
    for _ in 0..100 {
        world.handle().hint(Change::Rescan);
    }
    assert_eq!(world.quiet().len(), 0);
    // The watches were renewed.
    world.write("a/b/y.mp4", "two");
    assert_eq!(world.quiet().len(), 1);
}

#[test]
fn a_flood_of_events_loses_nothing() {
    let mut world = World::new();
    world.quiet();
    std::fs::create_dir(world.path("a/b")).unwrap();
    for i in 0..6_000 {
        let path = world.path(format!("a/b/{i}.txt"));
        std::fs::write(&path, "x").unwrap();
        std::fs::remove_file(&path).unwrap();
    }
    world.write("a/b/x.mp4", "one");
    assert_eq!(world.quiet().len(), 1);
    world.check_store_equals_tree();
}

#[test]
fn what_happened_while_stopped_is_found_at_the_start() {
    let mut world = World::new();
    for name in ["gone", "same", "moved", "changed"] {
        world.write(&format!("a/{name}.mp4"), &format!("video {name}"));
    }
    world.quiet();
    let id = world.id("a/moved.mp4");
    world.stop();
    world.remove("a/gone.mp4");
    std::fs::create_dir(world.path("a/b")).unwrap();
    world.rename("a/moved.mp4", "a/b/elsewhere.mp4");
    world.write("a/changed.mp4", "video changed a lot");
    world.write("a/new.mp4", "video new");
    world.start();
    let mut decoded = world.quiet();
    decoded.sort();
    assert_eq!(decoded, [world.path("a/changed.mp4"), world.path("a/new.mp4")]);
    assert_eq!(world.id("a/b/elsewhere.mp4"), id);
    world.check_store_equals_tree();
}

#[test]
fn without_watches_left_folders_are_polled_and_it_is_told() {
    let mut world = World::idle(&["a"]);
    for i in 0..4 {
        world.write(&format!("a/{i}/x.mp4"), &format!("video {i}"));
    }
    world.limits.n_watches = Some(2);
    world.start();
    assert_eq!(world.quiet().len(), 4);
    let warnings = world.handle().warnings();
    assert!(
        warnings.iter().any(|warning| warning.contains("watching 2 of 5 folders")),
        "{warnings:?}"
    );
    assert_eq!(world.handle().roots()[0].state, RootState::Polled);
    world.write("a/3/y.mp4", "another");
    world.handle().rescan(None);
    assert_eq!(world.quiet().len(), 1);
}

#[test]
fn explanations_name_the_reason() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.write("a/.hidden/x.mp4", "two");
    world.write("a/x.txt", "three");
    world.quiet();
    let explain = |path: &str| world.handle().explain(&world.path(path));
    assert_eq!(explain("a/x.mp4"), Explanation::Fine);
    assert_eq!(explain("a/y.mp4"), Explanation::Missing);
    assert_eq!(explain("elsewhere/y.mp4"), Explanation::Unwatched);
    assert_eq!(explain("a/x.txt"), Explanation::Excluded(Exclusion::Extension));
    assert_eq!(
        explain("a/.hidden/x.mp4"),
        Explanation::Excluded(Exclusion::Hidden(world.path("a/.hidden")))
    );
}

#[test]
fn folders_are_added_and_removed_while_running() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.write("b/y.mp4", "two");
    world.quiet();
    world.check(&["a/x.mp4"]);
    world.handle().set_roots(vec![world.path("a"), world.path("b")]);
    world.quiet();
    world.check(&["a/x.mp4", "b/y.mp4"]);
    world.handle().set_roots(vec![world.path("b")]);
    world.quiet();
    world.write("a/z.mp4", "three");
    world.write("b/z.mp4", "four");
    world.quiet();
    // The caller decides about the videos of a removed folder.
    world.check(&["a/x.mp4", "b/y.mp4", "b/z.mp4"]);
}

#[test]
fn a_removed_folder_is_left_alone_at_once() {
    let mut world = World::idle(&["a", "b"]);
    for i in 0..2_000 {
        std::fs::write(world.path(format!("a/{i}.mp4")), format!("video {i}")).unwrap();
    }
    world.start();
    world.wait_until("the walk to be under way", |world| {
        // The machine decides how far it gets before it is seen. It only matters that it has begun.
        world.handle().queue().settling > 0 || !world.store.videos().is_empty()
    });
    assert!(world.handle().set_roots(vec![world.path("b")]));
    let n_before = world.store.videos().len();
    world.quiet();
    std::thread::park_timeout(SETTLE * 3);
    assert_eq!(
        world.store.videos().len(),
        n_before,
        "videos were added after the folder was removed"
    );
}

#[test]
fn overlapping_folders_index_every_file_once() {
    let mut world = World::idle(&["a", "a/b"]);
    world.write("a/x.mp4", "one");
    world.write("a/b/y.mp4", "two");
    world.start();
    assert_eq!(world.quiet().len(), 2);
    world.remove("a/b/y.mp4");
    world.write("a/b/c/z.mp4", "three");
    world.quiet();
    world.check(&["a/b/c/z.mp4", "a/x.mp4"]);
    world.handle().set_roots(vec![world.path("a")]);
    assert_eq!(world.quiet().len(), 0);
    world.write("a/b/c/w.mp4", "four");
    assert_eq!(world.quiet().len(), 1);
    world.check(&["a/b/c/w.mp4", "a/b/c/z.mp4", "a/x.mp4"]);
}

#[test]
fn the_tree_is_left_as_it_was() {
    use std::os::unix::fs::MetadataExt;
    let mut world = World::idle(&["a"]);
    world.write("a/b/x.mp4", "one");
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let file = std::fs::File::options().append(true).open(world.path("a/b/x.mp4")).unwrap();
    file.set_times(std::fs::FileTimes::new().set_accessed(old).set_modified(old))
        .unwrap();
    let look = |world: &World| {
        ["a", "a/b", "a/b/x.mp4"].map(|path| {
            let metadata = std::fs::metadata(world.path(path)).unwrap();
            (metadata.mode(), metadata.mtime_nsec(), metadata.ctime_nsec(), metadata.nlink())
        })
    };
    let before = look(&world);
    world.start();
    world.quiet();
    assert_eq!(look(&world), before);
    assert_eq!(std::fs::metadata(world.path("a/b/x.mp4")).unwrap().accessed().unwrap(), old);
}

#[test]
fn an_idle_reconciler_sleeps() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.quiet();
    let n_switches = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten().filter_map(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
            let status = std::fs::read_to_string(task.path().join("status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?.to_owned();
            (name.trim() == "reconcile").then_some((task.path(), line))
        });
        tasks.collect::<BTreeMap<_, _>>()
    };
    // Other tests run their own reconcilers in this process. The quietest one is ours, or as quiet as ours. On a busy machine ours may need
    // the first half second to go to sleep.
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let before = n_switches();
        std::thread::park_timeout(Duration::from_millis(500));
        let after = n_switches();
        if before.iter().any(|(task, count)| after.get(task) == Some(count)) {
            return;
        }
        assert!(Instant::now() < deadline, "no reconciler slept: {before:?} {after:?}");
    }
}
