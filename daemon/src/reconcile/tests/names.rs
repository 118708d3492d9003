//! Names: case-insensitive file systems, overlays, unfinished files, and extensions with several meanings.

use testkit::hung::{HungMount, own_mounts_or_say};

use super::*;
use crate::reconcile::Exclusion;

/// Creates a root `a` that shows `disk` through a case-insensitive file system. If there is no such file system, says so and returns
/// `None`.
fn blind(test: &str) -> Option<(World, HungMount, PathBuf)> {
    if !own_mounts_or_say(test) {
        return None;
    }
    let world = World::idle(&["a"]);
    let disk = world.folder.path().join("disk");
    std::fs::create_dir_all(disk.join("trip")).unwrap();
    std::fs::write(disk.join("holiday.mp4"), "one").unwrap();
    std::fs::write(disk.join("trip/beach.mp4"), "two").unwrap();
    match HungMount::blind_to_capitals(&disk, &world.path("a")) {
        Ok(mount) => Some((world, mount, disk)),
        Err(error) => {
            eprintln!("{test}: NOT TESTED HERE: no FUSE: {error}");
            None
        }
    }
}

#[test]
fn a_rename_of_capitals_alone_is_a_rename_where_the_file_system_is_blind_to_them() {
    let Some((mut world, _mount, disk)) = blind("a rename of capitals") else {
        return;
    };
    world.start();
    assert_eq!(world.quiet().len(), 2);
    assert!(world.path("a/HOLIDAY.mp4").is_file(), "it is not blind");
    let (holiday, beach) = (world.id("a/holiday.mp4"), world.id("a/trip/beach.mp4"));
    std::fs::rename(disk.join("holiday.mp4"), disk.join("Holiday.mp4")).unwrap();
    std::fs::rename(disk.join("trip"), disk.join("Trip")).unwrap();
    world.handle().rescan(None);
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/Holiday.mp4", "a/Trip/beach.mp4"]);
    assert_eq!((world.id("a/Holiday.mp4"), world.id("a/Trip/beach.mp4")), (holiday, beach));
    // A rescan of these paths in another case adds no second video.
    world.handle().rescan(Some(world.path("a/trip")));
    world.handle().rescan(Some(world.path("a/HOLIDAY.mp4")));
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/Holiday.mp4", "a/Trip/beach.mp4"]);
    std::fs::remove_file(disk.join("Holiday.mp4")).unwrap();
    world.handle().rescan(None);
    world.quiet();
    world.check(&["a/Trip/beach.mp4"]);
    world.stop();
}

#[test]
fn events_of_both_names_of_a_rename_of_capitals_are_understood() {
    let Some((mut world, _mount, disk)) = blind("events of a rename of capitals") else {
        return;
    };
    world.start();
    world.quiet();
    let id = world.id("a/holiday.mp4");
    for (from, to) in [("holiday.mp4", "Holiday.mp4"), ("Holiday.mp4", "holiday.mp4")] {
        std::fs::rename(disk.join(from), disk.join(to)).unwrap();
        world.handle().hint(Change::Gone(world.path("a").join(from)));
        world.handle().hint(Change::Arrived(world.path("a").join(to)));
        assert_eq!(world.quiet().len(), 0);
        assert_eq!(world.id(&format!("a/{to}")), id);
        assert_eq!(world.listing().len(), 2);
    }
    world.stop();
}

#[test]
fn what_is_deleted_or_renamed_on_an_overlay_of_two_file_systems_is_gone_or_moved() {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    if !own_mounts_or_say("an overlay") {
        return;
    }
    let mut world = World::idle(&["a"]);
    let at = |name: &str| world.folder.path().join(name);
    for name in ["low", "up"] {
        std::fs::create_dir(at(name)).unwrap();
        mount("tmpfs", at(name), "tmpfs", MountFlags::empty(), c"").unwrap();
    }
    for name in ["up/u", "up/w", "low/sub"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    for (name, content) in [("low/a.mp4", "one"), ("low/sub/b.mp4", "two"), ("low/c.mp4", "three")] {
        std::fs::write(at(name), content).unwrap();
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        at("low").display(),
        at("up/u").display(),
        at("up/w").display()
    );
    let options = std::ffi::CString::new(options).unwrap();
    let point = world.path("a");
    if let Err(error) = mount("overlay", &point, "overlay", MountFlags::empty(), Some(options.as_c_str())) {
        return eprintln!("an overlay: NOT TESTED HERE: {error}");
    }
    world.start();
    assert_eq!(world.quiet().len(), 3);
    let id = world.id("a/sub/b.mp4");
    world.remove("a/a.mp4");
    std::fs::rename(world.path("a/sub/b.mp4"), world.path("a/sub/moved.mp4")).unwrap();
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/c.mp4", "a/sub/moved.mp4"]);
    assert_eq!(world.id("a/sub/moved.mp4"), id);
    world.stop();
    unmount(&point, UnmountFlags::DETACH).unwrap();
}

#[test]
fn what_a_vanished_mount_below_a_root_had_is_offline_whatever_its_device() {
    use rustix::mount::{UnmountFlags, mount_bind, unmount};
    if !own_mounts_or_say("a bind mount below a root") {
        return;
    }
    let mut world = World::idle(&["a"]);
    let disk = world.folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    std::fs::create_dir(world.path("a/sub")).unwrap();
    // The same device as the root's.
    mount_bind(&disk, world.path("a/sub")).unwrap();
    world.write("a/sub/x.mp4", "one");
    world.start();
    world.quiet();
    unmount(world.path("a/sub"), UnmountFlags::DETACH).unwrap();
    world.quiet();
    world.check(&["a/sub/x.mp4 offline"]);
    mount_bind(&disk, world.path("a/sub")).unwrap();
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/sub/x.mp4"]);
    world.stop();
    unmount(world.path("a/sub"), UnmountFlags::DETACH).unwrap();
}

fn named_world(extensions: &[&str], unfinished_rest: Duration) -> World {
    let mut world = World::idle(&["a"]);
    world.extensions = extensions.iter().map(|extension| (*extension).to_owned()).collect();
    world.limits.unfinished_rest = unfinished_rest;
    world
}

#[test]
fn what_a_downloader_has_not_finished_waits_and_is_indexed_once_it_was_still() {
    const REST: Duration = Duration::from_secs(3);
    let mut world = named_world(&["mp4", "mkv"], REST);
    world.start();
    let begun = Instant::now();
    world.write("a/x.temp.mp4", "one");
    world.write("a/x.f137.mp4", "two");
    world.write("a/_UNPACK_film/film.mkv", "three");
    world.write("a/INCOMPLETE~y.mp4", "four");
    world.write("a/filled.mkv.aria2", "");
    world.write("a/filled.mkv", "five");
    world.write("a/done.mkv", "six");
    // The queue does not count them.
    let decoded = world.quiet();
    if begun.elapsed() < REST {
        assert_eq!(decoded, [world.path("a/done.mkv")]);
        assert_eq!(world.handle().explain(&world.path("a/x.temp.mp4")), Explanation::Unfinished);
        assert_eq!(world.handle().explain(&world.path("a/filled.mkv")), Explanation::Unfinished);
    }
    world.wait_until("all of them", |world| {
        world.store.counts().pending == 5 || world.listing().len() == 6
    });
    assert!(begun.elapsed() >= REST);
    world.quiet();
    world.check_store_equals_tree();
}

#[test]
fn what_is_finished_is_indexed_at_once() {
    let mut world = named_world(&["mp4", "mkv"], Duration::from_hours(1));
    world.start();
    world.write("a/x.temp.mp4", "one");
    world.write("a/_UNPACK_film/film.mkv", "two");
    world.write("a/filled.mkv.aria2", "");
    world.write("a/filled.mkv", "three");
    assert_eq!(world.quiet().len(), 0);
    world.rename("a/x.temp.mp4", "a/x.mp4");
    world.rename("a/_UNPACK_film", "a/film");
    world.remove("a/filled.mkv.aria2");
    assert_eq!(world.quiet().len(), 3);
    world.check_store_equals_tree();
    // A file that was there for longer than that is indexed, whatever its name.
    world.stop();
    world.write("a/y.temp.mp4", "four");
    let old = std::time::SystemTime::now() - Duration::from_hours(2);
    let file = std::fs::File::options().write(true).open(world.path("a/y.temp.mp4")).unwrap();
    file.set_modified(old).unwrap();
    world.start();
    assert_eq!(world.quiet(), [world.path("a/y.temp.mp4")]);
}

/// Returns a few packets of an MPEG transport stream.
fn stream(seed: u8) -> Vec<u8> {
    let packet = |_| [0x47].into_iter().chain(std::iter::repeat_n(seed, 187));
    (0..20).flat_map(packet).collect()
}

#[test]
fn source_code_that_ends_like_a_video_is_none_and_nobody_is_told_of_an_incident() {
    let mut world = named_world(&["ts", "mod", "mp4"], Duration::from_mins(10));
    world.write("a/app.ts", "import { Gallery } from './gallery';\n");
    world.write("a/go.mod", "module example.org/films\n");
    std::fs::write(world.path("a/recording.ts"), stream(1)).unwrap();
    world.start();
    assert_eq!(world.quiet(), [world.path("a/recording.ts")]);
    world.check(&["a/recording.ts"]);
    assert_eq!(
        world.handle().explain(&world.path("a/app.ts")),
        Explanation::Excluded(Exclusion::NotVideo)
    );
    // A rescan does not treat them as new files.
    world.handle().rescan(None);
    assert_eq!(world.quiet().len(), 0);
    // Each may become the other.
    std::fs::write(world.path("a/app.ts"), stream(2)).unwrap();
    std::fs::write(world.path("a/recording.ts"), "export {};\n").unwrap();
    assert_eq!(world.quiet(), [world.path("a/app.ts")]);
    world.check(&["a/app.ts"]);
}

#[test]
fn what_an_earlier_version_took_for_a_broken_video_is_dropped() {
    let mut world = named_world(&["ts"], Duration::from_mins(10));
    world.write("a/app.ts", "import { Gallery } from './gallery';\n");
    let reading = fingerprint::read_file(&world.path("a/app.ts"), false).unwrap().unwrap();
    let new = NewVideo {
        path: world.path("a/app.ts"),
        stamp: reading.stamp,
        fingerprint: reading.fingerprint,
        on_root_device: true,
    };
    let id = world.store.add_video(new, 1).unwrap().id;
    world
        .store
        .put_failed(id, "no picture", None, crate::store::Cause::Video, "test", 1)
        .unwrap();
    world.start();
    world.quiet();
    world.check(&[]);
}
