use super::*;

#[test]
fn a_renamed_video_is_the_same_video() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.quiet();
    let id = world.id("a/x.mp4");
    world.rename("a/x.mp4", "a/y.mp4");
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/y.mp4"]);
    assert_eq!(world.id("a/y.mp4"), id);
}

#[test]
fn a_renamed_folder_takes_its_videos_along() {
    let mut world = World::new();
    for i in 0..5 {
        world.write(&format!("a/b/c/{i}.mp4"), &format!("video {i}"));
    }
    world.quiet();
    let id = world.id("a/b/c/3.mp4");
    world.rename("a/b", "a/d");
    assert_eq!(world.quiet().len(), 0);
    assert_eq!(world.id("a/d/c/3.mp4"), id);
    world.check_store_equals_tree();
    // The folder is watched under its new name, and a new one under the old name too.
    world.write("a/d/c/new.mp4", "new");
    world.write("a/b/c/3.mp4", "video 3 anew");
    assert_eq!(world.quiet().len(), 2);
    world.check_store_equals_tree();
}

#[test]
fn a_folder_renamed_back_and_forth_stays_watched() {
    let mut world = World::new();
    world.write("a/b/x.mp4", "one");
    world.quiet();
    for round in 0..20 {
        world.rename("a/b", "a/c");
        if round % 3 == 0 {
            world.handle().barrier(TIMEOUT);
        }
        world.rename("a/c", "a/b");
    }
    assert_eq!(world.quiet().len(), 0);
    world.write("a/b/y.mp4", "two");
    assert_eq!(world.quiet().len(), 1);
    world.check_store_equals_tree();
}

#[test]
fn a_move_between_roots_decodes_nothing() {
    let mut world = World::with_roots(&["a", "b"]);
    world.write("a/x.mp4", "one");
    world.quiet();
    let id = world.id("a/x.mp4");
    world.rename("a/x.mp4", "b/x.mp4");
    assert_eq!(world.quiet().len(), 0);
    assert_eq!(world.id("b/x.mp4"), id);
}

#[test]
fn a_move_across_file_systems_decodes_nothing_in_any_order() {
    let mut world = World::with_roots(&["a", "b"]);
    world.write("a/x.mp4", "one");
    world.write("a/y.mp4", "another");
    world.quiet();
    let ids = (world.id("a/x.mp4"), world.id("a/y.mp4"));
    // As `mv` does it: copy, then delete.
    std::fs::copy(world.path("a/x.mp4"), world.path("b/x.mp4")).unwrap();
    world.remove("a/x.mp4");
    // As a synchronisation program may do it: delete, then create.
    let content = std::fs::read(world.path("a/y.mp4")).unwrap();
    world.remove("a/y.mp4");
    std::fs::write(world.path("b/y.mp4"), content).unwrap();
    assert_eq!(world.quiet().len(), 0);
    assert_eq!((world.id("b/x.mp4"), world.id("b/y.mp4")), ids);
    world.check_store_equals_tree();
}

#[test]
fn swapped_videos_swap_and_nothing_is_decoded() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.write("a/y.mp4", "another");
    world.quiet();
    let (x, y) = (world.id("a/x.mp4"), world.id("a/y.mp4"));
    world.rename("a/x.mp4", "a/t.mp4");
    world.rename("a/y.mp4", "a/x.mp4");
    world.rename("a/t.mp4", "a/y.mp4");
    assert_eq!(world.quiet().len(), 0);
    assert_eq!((world.id("a/x.mp4"), world.id("a/y.mp4")), (y, x));
    world.check_store_equals_tree();
}

#[test]
fn a_video_renamed_over_another_replaces_it() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.write("a/y.mp4", "another");
    world.quiet();
    let id = world.id("a/x.mp4");
    world.rename("a/x.mp4", "a/y.mp4");
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/y.mp4"]);
    assert_eq!(world.id("a/y.mp4"), id);
    world.check_store_equals_tree();
}

#[test]
fn a_video_renamed_and_another_put_in_its_place() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.quiet();
    let id = world.id("a/x.mp4");
    world.rename("a/x.mp4", "a/y.mp4");
    world.write("a/x.mp4", "something new");
    assert_eq!(world.quiet(), [world.path("a/x.mp4")]);
    assert_eq!(world.id("a/y.mp4"), id);
    world.check_store_equals_tree();
}

#[test]
fn hard_links_and_copies_are_not_decoded() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.quiet();
    std::fs::hard_link(world.path("a/x.mp4"), world.path("a/linked.mp4")).unwrap();
    std::fs::copy(world.path("a/x.mp4"), world.path("a/copied.mp4")).unwrap();
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/copied.mp4", "a/linked.mp4", "a/x.mp4"]);
    world.remove("a/x.mp4");
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/copied.mp4", "a/linked.mp4"]);
    world.check_store_equals_tree();
}

#[test]
fn a_copy_put_over_another_video_is_not_decoded() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.write("a/y.mp4", "another");
    world.quiet();
    std::fs::copy(world.path("a/x.mp4"), world.path("a/y.mp4")).unwrap();
    assert_eq!(world.quiet().len(), 0);
    world.check_store_equals_tree();
}

#[test]
fn a_video_lost_sight_of_while_it_waits_to_be_placed_is_given_time_anew() {
    let mut world = World::with_roots(&["a", "b"]);
    for (path, content) in [
        ("a/film.mp4", "a video"),
        ("a/other.mp4", "another video"),
        ("b/x.mp4", "x"),
        ("a/witness.mp4", "a witness"),
    ] {
        world.write(path, content);
    }
    world.quiet();
    let id = world.id("a/film.mp4");
    world.stop();
    world.rename("a/film.mp4", "b/x.mp4");
    world.remove("a/witness.mp4");
    world.settle = Duration::from_secs(1);
    world.start();
    // The two missed videos, and the one with another content.
    let [video, other, x, witness] = ["a/film.mp4", "a/other.mp4", "b/x.mp4", "a/witness.mp4"].map(|path| world.path(path));
    world.wait_until("the video read under its new name", |world| {
        let is_read = world.handle().explain(&x) == Explanation::Fine;
        is_read && world.handle().queue() == ReconcileQueue { walks: 0, settling: 3 }
    });
    // Only half of this exchange is reported.
    assert!(world.handle().barrier(TIMEOUT));
    world.handle().events.n_to_lose.store(u64::MAX, Ordering::SeqCst);
    rustix::fs::renameat_with(rustix::fs::CWD, &other, rustix::fs::CWD, &x, rustix::fs::RenameFlags::EXCHANGE).unwrap();
    assert!(world.handle().barrier(TIMEOUT));
    world.handle().events.n_to_lose.store(0, Ordering::SeqCst);
    world.handle().hint(Change::Arrived(x));
    let is_kept = std::cell::Cell::new(false);
    world.wait_until("the witness removed", |world| {
        let videos = world.store.videos();
        is_kept.set(videos.iter().any(|video| video.id == id));
        !videos.iter().any(|video| video.path == witness)
    });
    assert!(
        is_kept.get(),
        "removed while it may be on its way to another name than {}",
        video.display()
    );
    world.handle().rescan(None);
    assert_eq!(world.quiet().len(), 0);
    assert_eq!(world.id("a/other.mp4"), id);
    world.check_store_equals_tree();
}

#[test]
fn nothing_is_removed_while_the_watcher_lags_behind() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.quiet();
    let id = world.id("a/x.mp4");
    let held_up = Arc::clone(&world.handle().events.held_up);
    let holding = held_up.lock().unwrap();
    world.rename("a/x.mp4", "a/y.mp4");
    world.handle().rescan(Some(world.path("a/x.mp4")));
    world.wait_until("the video missed", |world| {
        world.handle().queue() == ReconcileQueue { walks: 0, settling: 1 }
    });
    // Its grace time ends long before this.
    let until = Instant::now() + 10 * SETTLE;
    while Instant::now() < until {
        assert!(world.store.video(id).is_some(), "removed although an event says where it is");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    drop(holding);
    assert_eq!(world.quiet().len(), 0);
    assert_eq!(world.id("a/y.mp4"), id);
}

#[test]
fn content_that_comes_back_within_the_grace_time_is_the_video_that_was_missed() {
    let mut world = World::idle(&["a"]);
    world.settle = Duration::from_secs(4);
    world.write("a/x.mp4", "one");
    world.start();
    world.quiet();
    let id = world.id("a/x.mp4");
    world.remove("a/x.mp4");
    world.wait_until("the video missed", |world| {
        world.handle().queue() == ReconcileQueue { walks: 0, settling: 1 }
    });
    // A program that deletes a video and writes it again needs time. The grace time is five seconds, and the video is still settling at its
    // end.
    let until = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < until {
        assert!(world.store.video(id).is_some(), "removed within the grace time");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    world.write("a/y.mp4", "one");
    assert_eq!(world.quiet().len(), 0);
    assert_eq!(world.id("a/y.mp4"), id);
    world.remove("a/y.mp4");
    world.quiet();
    world.check(&[]);
}

/// Renames a folder of this many videos. Returns the number of commits that the store needed, and the duration.
fn rename_folder_of(n_videos: usize) -> (usize, Duration) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let mut world = World::idle(&["a"]);
    for number in 0..n_videos {
        world.write(&format!("a/b/{}/{number}.mp4", number % 100), &format!("video {number}"));
    }
    world.start();
    let (store, new) = (world.store.clone(), world.folder.path().join("tree/a/c"));
    let n_there = || store.videos().iter().filter(|video| video.path.starts_with(&new)).count();
    let limit = TIMEOUT * 30;
    testkit::wait_until("the videos to be known", limit, || match store.videos().len() {
        n if n == n_videos => Ok(()),
        n => Err(n.to_string()),
    });
    let (n_commits, generation) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let counted = Arc::clone(&n_commits);
    let of_hook = store.clone();
    store.on_change(Box::new(move |change| {
        // When the first change of a commit is reported, the whole commit is visible.
        let (visible, told) = (of_hook.generation() as usize, change.generation as usize);
        if generation.swap(visible, Ordering::Relaxed) != visible && told <= visible {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let began = Instant::now();
    world.rename("a/b", "a/c");
    testkit::wait_until("the videos to be known under their new names", limit, || match n_there() {
        n if n == n_videos => Ok(()),
        n => Err(n.to_string()),
    });
    (n_commits.load(Ordering::Relaxed), began.elapsed())
}

#[test]
fn a_renamed_folder_of_many_videos_costs_few_commits() {
    let (n_commits, _) = rename_folder_of(500);
    assert!(n_commits < 100, "{n_commits} commits for 500 videos");
}

#[test]
#[ignore = "a measurement: make check-long"]
fn a_renamed_folder_of_a_great_many_videos_takes_seconds() {
    const N: usize = 20_000;
    let (n_commits, took) = rename_folder_of(N);
    eprintln!(
        "{N} videos in {n_commits} commits and {took:?}: {:.0} a second",
        N as f64 / took.as_secs_f64()
    );
}
