//! Videos that are completed in place: their size, and the samples in their fingerprint, stay the same.

use std::os::unix::fs::FileExt as _;

use super::*;
use crate::store::JobKind;

/// Large enough for a fingerprint of samples.
const N_BYTES: usize = 1 << 20;
/// A range without a sample.
const HOLE: std::ops::Range<usize> = (64 << 10) + (20 << 10)..(64 << 10) + (100 << 10);

fn whole() -> Vec<u8> {
    (0..N_BYTES).map(|at| (at % 251) as u8).collect()
}

/// Returns the same bytes with zeros where the fingerprint reads nothing.
fn half() -> Vec<u8> {
    let mut bytes = whole();
    bytes[HOLE].fill(0);
    bytes
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_hours(2)).unwrap();
}

fn complete(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&whole()[HOLE], HOLE.start as u64).unwrap();
}

fn touch(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_mins(5)).unwrap();
}

/// Records what the pipeline reports about a video that it could decode in part.
fn mark_damaged(world: &World, path: &Path) {
    let record = world.store.video_at(path).unwrap();
    let scenes = world.store.scenes(record.id).unwrap();
    let vectors = world.store.video_vectors(record.model.as_ref().unwrap(), record.id).unwrap();
    let indexed = IndexedVideo {
        record: VideoRecord {
            damage: Some("it ends in the middle".to_owned()),
            ..(*record).clone()
        },
        scenes,
        vectors,
        thumbnails: vec![vec![]],
        others: Vec::new(),
    };
    world.store.put_indexed(indexed).unwrap();
}

fn job_of(world: &World, path: &Path) -> Option<JobKind> {
    let video = world.store.video_at(path)?;
    world.store.job(video.id).map(|job| job.kind)
}

#[test]
fn the_two_contents_have_one_fingerprint() {
    let world = World::idle(&["a"]);
    let (one, other) = (world.path("a/1"), world.path("a/2"));
    write(&one, &whole());
    write(&other, &half());
    let of = |path: &Path| fingerprint::read_file(path, false).unwrap().unwrap().fingerprint;
    assert_eq!(of(&one), of(&other), "the other tests here test nothing");
}

#[test]
fn a_video_that_is_completed_where_the_fingerprint_does_not_look_is_looked_into_again() {
    for is_damaged in [true, false] {
        let mut world = World::new();
        let path = world.path("a/x.mp4");
        write(&path, &half());
        assert_eq!(world.quiet().len(), 1);
        let id = world.id("a/x.mp4");
        if is_damaged {
            mark_damaged(&world, &path);
        }
        complete(&path);
        world.wait_until("a job", |world| job_of(world, &path).is_some());
        // Only a video known to be sound can turn out to be unchanged.
        let expected = if is_damaged { JobKind::Index } else { JobKind::Verify };
        assert_eq!(job_of(&world, &path), Some(expected));
        world.quiet();
        assert_eq!(world.id("a/x.mp4"), id);
        world.check_store_equals_tree();
    }
}

#[test]
fn a_damaged_or_failed_video_is_looked_into_again_whenever_its_stamp_changes() {
    for content in [half(), b"a small one".to_vec()] {
        for is_failed in [false, true] {
            let mut world = World::new();
            let path = world.path("a/x.mp4");
            write(&path, &content);
            world.quiet();
            mark_damaged(&world, &path);
            if is_failed {
                let id = world.id("a/x.mp4");
                world
                    .store
                    .put_failed(id, "no picture", None, crate::store::Cause::Video, "test", 1)
                    .unwrap();
            }
            touch(&path);
            world.wait_until("a job", |world| job_of(world, &path) == Some(JobKind::Index));
        }
    }
}

#[test]
fn a_damaged_or_failed_video_is_no_twin_of_a_copy() {
    for content in [half(), b"a small one".to_vec()] {
        for is_failed in [false, true] {
            let mut world = World::new();
            let path = world.path("a/x.mp4");
            write(&path, &content);
            world.quiet();
            mark_damaged(&world, &path);
            if is_failed {
                let id = world.id("a/x.mp4");
                world
                    .store
                    .put_failed(id, "no picture", None, crate::store::Cause::Video, "test", 1)
                    .unwrap();
            }
            let copy = world.path("a/copy.mp4");
            std::fs::copy(&path, &copy).unwrap();
            world.wait_until("a job of its own", |world| job_of(world, &copy) == Some(JobKind::Index));
        }
    }
}

#[test]
fn a_copy_with_another_time_is_compared_byte_by_byte_by_the_pipeline() {
    let mut world = World::new();
    let path = world.path("a/x.mp4");
    write(&path, &half());
    world.quiet();
    let copy = world.path("a/copy.mp4");
    std::fs::write(&copy, whole()).unwrap();
    world.wait_until("a job of its own", |world| job_of(world, &copy) == Some(JobKind::Index));
}

#[test]
fn moves_and_copies_that_keep_the_time_cost_nothing() {
    let mut world = World::with_roots(&["a", "b"]);
    let path = world.path("a/x.mp4");
    write(&path, &whole());
    world.quiet();
    let id = world.id("a/x.mp4");
    // As `cp -p` does.
    let copy = world.path("a/copy.mp4");
    let modified = path.metadata().unwrap().modified().unwrap();
    let draft = world.path("draft");
    std::fs::copy(&path, &draft).unwrap();
    std::fs::File::options()
        .write(true)
        .open(&draft)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    std::fs::rename(&draft, &copy).unwrap();
    assert_eq!(world.quiet().len(), 0);
    // As `mv` to another disk does.
    std::fs::rename(&copy, &draft).unwrap();
    let over_there = world.path("b/x.mp4");
    std::fs::remove_file(&path).unwrap();
    std::fs::rename(&draft, &over_there).unwrap();
    assert_eq!(world.quiet().len(), 0);
    assert_eq!(world.store.counts().indexed, 1);
    let moved = world.store.videos()[0].clone();
    assert_eq!(moved.path, over_there);
    world.rename("b/x.mp4", "b/y.mp4");
    assert_eq!(world.quiet().len(), 0);
    assert!(world.store.video(id).is_some() || world.store.video(moved.id).is_some());
}

#[test]
fn a_damaged_video_that_is_renamed_keeps_what_it_has() {
    let mut world = World::new();
    let path = world.path("a/x.mp4");
    write(&path, &half());
    world.quiet();
    let id = world.id("a/x.mp4");
    mark_damaged(&world, &path);
    world.rename("a/x.mp4", "a/y.mp4");
    assert_eq!(world.quiet().len(), 0);
    assert_eq!(world.id("a/y.mp4"), id);
    assert_eq!(world.store.counts().indexed, 1);
}

#[test]
fn a_half_that_is_moved_and_completed_is_looked_into_again() {
    let mut world = World::new();
    let path = world.path("a/x.mp4");
    write(&path, &half());
    world.quiet();
    let id = world.id("a/x.mp4");
    let moved = world.path("a/y.mp4");
    std::fs::rename(&path, world.path("draft")).unwrap();
    complete(&world.path("draft"));
    std::fs::rename(world.path("draft"), &moved).unwrap();
    world.wait_until("a job", |world| job_of(world, &moved) == Some(JobKind::Verify));
    assert_eq!(world.id("a/y.mp4"), id);
}
