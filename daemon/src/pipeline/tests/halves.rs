//! Videos that are equal where a fingerprint samples them: all their bytes are compared before any result is copied.

use super::*;
use crate::store::{IndexedVideo, JobKind};

/// Returns content large enough for a fingerprint of samples. The fingerprint of these tests does not cover the tail.
fn long(tail: u8) -> String {
    format!("good\nthe same beginning{}", char::from(tail).to_string().repeat(300 << 10))
}

/// Changes the video like a download that fills a file of its final size, and queues it as reconcile does.
fn rewrite(world: &World, id: VideoId, content: &str, kind: JobKind) {
    let record = world.store.video(id).unwrap();
    std::fs::write(&record.path, content).unwrap();
    let file = std::fs::File::options().write(true).open(&record.path).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_mins(7)).unwrap();
    let (_, stamp) = crate::video_file::open_stamped(&record.path).unwrap();
    let content = Some((stamp, record.fingerprint));
    world.store.requeue_to(kind, id, content, 2).unwrap();
}

#[test]
fn a_video_of_which_only_the_time_changed_is_read_and_not_decoded() {
    let world = World::new();
    let id = world.video("a.mp4", &long(b'a'));
    world.next();
    let before = world.store.video(id).unwrap();
    assert!(before.whole.is_some());
    rewrite(&world, id, &long(b'a'), JobKind::Verify);
    assert!(matches!(world.next(), PipelineEvent::VideoIndexed { n_scenes: 2, .. }));
    let after = world.store.video(id).unwrap();
    assert_eq!(world.n_analyses(), 1);
    assert_eq!((after.state, after.whole, after.n_scenes), (VideoState::Indexed, before.whole, 2));
    assert_ne!(after.stamp.mtime_ns, before.stamp.mtime_ns);
    assert_eq!(world.store.video_vectors(&world.embedder.model().id, id).unwrap().len(), 2);
}

#[test]
fn a_video_that_was_completed_in_place_is_decoded_anew() {
    let world = World::new();
    let id = world.video("a.mp4", &long(b'a'));
    world.next();
    rewrite(&world, id, &long(b'b'), JobKind::Verify);
    world.next();
    assert_eq!(world.n_analyses(), 2);
}

#[test]
fn a_video_that_is_to_be_decoded_afresh_is() {
    let world = World::new();
    let id = world.video("a.mp4", &long(b'a'));
    world.next();
    world.video("b.mp4", &long(b'a'));
    world.next();
    assert_eq!(world.n_analyses(), 1, "the same bytes");
    world.store.requeue_to(JobKind::Afresh, id, None, 2).unwrap();
    world.next();
    assert_eq!(world.n_analyses(), 2);
}

#[test]
fn videos_that_differ_where_the_fingerprint_does_not_look_are_no_twins() {
    let world = World::new();
    world.video("half.mp4", &long(b'a'));
    world.next();
    world.video("whole.mp4", &long(b'b'));
    world.next();
    assert_eq!(world.n_analyses(), 2);
    world.video("copy.mp4", &long(b'b'));
    world.next();
    assert_eq!(world.n_analyses(), 2, "a copy of a whole video is copied");
}

#[test]
fn a_damaged_video_is_no_twin_of_its_copy() {
    for content in ["good\nsmall".to_owned(), long(b'a')] {
        let world = World::new();
        let id = world.video("a.mp4", &content);
        world.next();
        let model = world.embedder.model().id;
        let record = world.store.video(id).unwrap();
        let damaged = IndexedVideo {
            record: VideoRecord {
                damage: Some("it ends in the middle".to_owned()),
                ..(*record).clone()
            },
            scenes: world.store.scenes(id).unwrap(),
            vectors: world.store.video_vectors(&model, id).unwrap(),
            thumbnails: vec![vec![]; 2],
            others: Vec::new(),
        };
        world.store.put_indexed(damaged).unwrap();
        world.video("b.mp4", &content);
        world.next();
        assert_eq!(world.n_analyses(), 2);
    }
}

#[test]
fn what_was_decoded_of_a_video_that_was_written_to_meanwhile_is_not_kept() {
    let world = World::new();
    let id = world.video("a.mp4", &long(b'a'));
    world.next();
    let before = world.store.video(id).unwrap();
    let stale = (*before).clone();
    let stamp = FileStamp {
        mtime_ns: before.stamp.mtime_ns + 1,
        ..before.stamp
    };
    let touch = crate::store::Touch {
        video: id,
        stamp,
        on_root_device: true,
    };
    world.store.touch_videos(&[touch]).unwrap();
    let late = IndexedVideo {
        record: stale.clone(),
        scenes: world.store.scenes(id).unwrap(),
        vectors: world.store.video_vectors(&world.embedder.model().id, id).unwrap(),
        thumbnails: vec![vec![]; 2],
        others: Vec::new(),
    };
    assert!(matches!(
        world.store.put_indexed(late),
        Err(crate::store::StoreError::Superseded(_))
    ));
    let failed = world
        .store
        .put_failed_for(&stale, "no picture", None, crate::store::Cause::Video, "test", 1);
    assert!(matches!(failed, Err(crate::store::StoreError::Superseded(_))));
}
