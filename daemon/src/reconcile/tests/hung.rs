//! A mount that hangs, like a network folder whose server is gone.

use testkit::hung::{HungMount, own_mounts_or_say};

use super::*;

/// Longer than the timeout of a silent mount.
const LONGER: Duration = Duration::from_mins(1);

#[test]
fn a_hung_mount_delays_no_other_root_and_is_whole_when_it_wakes_up() {
    if !own_mounts_or_say("a hung mount") {
        return;
    }
    let mut world = World::idle(&["a", "nas", "b"]);
    let disk = world.folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    for i in 0..5 {
        std::fs::write(disk.join(format!("{i}.mp4")), format!("video {i}")).unwrap();
    }
    let mount = match HungMount::new(&disk, &world.path("nas")) {
        Ok(mount) => mount,
        Err(error) => return eprintln!("a hung mount: NOT TESTED HERE: no FUSE: {error}"),
    };
    world.write("a/x.mp4", "one");
    world.start();
    assert_eq!(world.quiet().len(), 6);
    assert_eq!(world.handle().roots()[2].state, RootState::Polled);
    mount.freeze();
    world.handle().rescan(None);
    world.write("b/y.mp4", "two");
    let until = Instant::now() + LONGER;
    let is_indexed = |world: &World| world.store.video_at(&world.path("b/y.mp4")).is_some();
    while !is_indexed(&world) || world.handle().roots()[2].state != RootState::Offline {
        assert!(Instant::now() < until, "{:?}, {:?}", world.listing(), world.handle().roots());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    // From now on nothing waits for it: other files are found as if it were not there.
    assert_eq!(world.quiet().len(), 1);
    world.write("a/z.mp4", "three");
    assert_eq!(world.quiet().len(), 1);
    let detail = world.handle().roots()[2].detail.clone().unwrap();
    assert!(detail.contains("does not answer"), "{detail}");
    assert!(matches!(world.handle().explain(&world.path("nas/0.mp4")), Explanation::Offline(_)));
    assert_eq!(world.listing().iter().filter(|line| line.ends_with("offline")).count(), 5);
    std::fs::write(disk.join("new.mp4"), "four").unwrap();
    std::fs::remove_file(disk.join("0.mp4")).unwrap();
    mount.thaw();
    world.wait_until("awake", |world| {
        let state = world.handle().roots()[2].state;
        state == RootState::Polled && !world.listing().iter().any(|line| line.ends_with("offline"))
    });
    assert_eq!(world.quiet(), [world.path("nas/new.mp4")]);
    world.check_store_equals_tree();
    world.stop();
}

#[test]
fn a_hung_mount_inside_a_root_hides_only_its_own_videos() {
    if !own_mounts_or_say("a hung mount inside a root") {
        return;
    }
    let mut world = World::new();
    let disk = world.folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    std::fs::create_dir(world.path("a/nas")).unwrap();
    std::fs::write(disk.join("0.mp4"), "video 0").unwrap();
    let mount = match HungMount::new(&disk, &world.path("a/nas")) {
        Ok(mount) => mount,
        Err(error) => return eprintln!("a hung mount inside a root: NOT TESTED HERE: no FUSE: {error}"),
    };
    world.write("a/x.mp4", "one");
    world.handle().rescan(None);
    assert_eq!(world.quiet().len(), 2);
    mount.freeze();
    world.handle().rescan(None);
    let until = Instant::now() + LONGER;
    while world.listing() != ["a/nas/0.mp4 offline", "a/x.mp4"] {
        assert!(Instant::now() < until, "{:?}, {:?}", world.listing(), world.handle().roots());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    world.write("a/y.mp4", "two");
    assert_eq!(world.quiet().len(), 1);
    assert_eq!(world.handle().roots()[0].state, RootState::Watched);
    mount.thaw();
    world.wait_until("awake", |world| world.listing() == ["a/nas/0.mp4", "a/x.mp4", "a/y.mp4"]);
    assert_eq!(world.quiet().len(), 0);
    world.stop();
}

#[test]
fn a_root_that_comes_back_while_another_folder_is_looked_at_is_judged_by_its_own_videos() {
    const WHAT: &str = "a root that comes back while it is looked at";
    if !own_mounts_or_say(WHAT) {
        return;
    }
    let mut world = World::new();
    world.write("a/nas/x.mp4", "one");
    world.quiet();
    world.stop();
    // Another folder is in its place, and hangs at the path of the video.
    world.rename("a", "unplugged");
    std::fs::create_dir_all(world.path("a/nas")).unwrap();
    let disk = world.folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = match HungMount::new(&disk, &world.path("a/nas")) {
        Ok(mount) => mount,
        Err(error) => return eprintln!("{WHAT}: NOT TESTED HERE: no FUSE: {error}"),
    };
    mount.freeze();
    world.start();
    world.wait_until("the look at the video", |_| mount.has_asker());
    world.rename("a", "aside");
    world.rename("unplugged", "a");
    world.rename("a/nas/x.mp4", "a/y.mp4");
    mount.thaw();
    world.wait_until("the root back", |world| {
        let is_watched = world.handle().roots().iter().all(|root| root.state == RootState::Watched);
        is_watched && !world.listing().is_empty() && !world.listing().iter().any(|line| line.ends_with("offline"))
    });
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/y.mp4"]);
    world.stop();
    // The mount point has another name by now.
    rustix::mount::unmount(world.path("aside/nas"), rustix::mount::UnmountFlags::DETACH).unwrap();
}

#[test]
fn files_that_the_drive_does_not_let_be_read_are_tried_again_by_themselves() {
    if !own_mounts_or_say("a drive that gives errors") {
        return;
    }
    let mut world = World::idle(&["a", "nas"]);
    world.settle = Duration::from_millis(20);
    let disk = world.folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = match HungMount::new(&disk, &world.path("nas")) {
        Ok(mount) => mount,
        Err(error) => return eprintln!("a drive that gives errors: NOT TESTED HERE: no FUSE: {error}"),
    };
    for i in 0..3 {
        std::fs::write(disk.join(format!("{i}.mp4")), format!("video {i}")).unwrap();
    }
    mount.fail_reads(rustix::io::Errno::IO.raw_os_error());
    world.start();
    world.quiet();
    let until = Instant::now() + LONGER;
    while !world.handle().warnings().iter().any(|warning| warning.contains("cannot read")) {
        assert!(Instant::now() < until, "{:?}", world.handle().warnings());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert!(world.store.video_at(&world.path("nas/0.mp4")).is_none());
    mount.fail_reads(0);
    // No event reports it.
    let is_there = |i| world.store.video_at(&world.path(format!("nas/{i}.mp4"))).is_some();
    while !(0..3).all(is_there) {
        assert!(Instant::now() < until, "{:?}", world.listing());
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn folders_that_the_drive_does_not_let_be_listed_are_looked_at_again_by_themselves() {
    if !own_mounts_or_say("a drive that does not list its folders") {
        return;
    }
    let mut world = World::idle(&["a", "nas"]);
    world.settle = Duration::from_millis(20);
    let disk = world.folder.path().join("disk");
    std::fs::create_dir_all(disk.join("sub")).unwrap();
    let mount = match HungMount::new(&disk, &world.path("nas")) {
        Ok(mount) => mount,
        Err(error) => return eprintln!("a drive that does not list its folders: NOT TESTED HERE: no FUSE: {error}"),
    };
    for i in 0..3 {
        std::fs::write(disk.join(format!("sub/{i}.mp4")), format!("video {i}")).unwrap();
    }
    world.start();
    let are_there = |world: &World, offline: bool| {
        let video = |i| world.store.video_at(&world.path(format!("nas/sub/{i}.mp4")));
        (0..3).all(|i| video(i).is_some_and(|video| video.offline == offline))
    };
    let wait = |world: &World, what: &str, is_true: &dyn Fn(&World) -> bool| {
        let until = Instant::now() + LONGER;
        while !is_true(world) {
            assert!(
                Instant::now() < until,
                "{what}: {:?} {:?}",
                world.listing(),
                world.handle().warnings()
            );
            std::thread::park_timeout(Duration::from_millis(5));
        }
    };
    wait(&world, "they are found", &|world| are_there(world, false));
    mount.fail_below(rustix::io::Errno::IO.raw_os_error());
    world.handle().rescan(None);
    wait(&world, "they are offline", &|world| are_there(world, true));
    let warns = |world: &World| world.handle().warnings().iter().any(|warning| warning.contains("cannot read"));
    wait(&world, "it is told", &warns);
    mount.fail_below(0);
    // No event reports it.
    wait(&world, "they are back", &|world| are_there(world, false));
    wait(&world, "nothing is told any more", &|world| !warns(world));
}
