//! A change to another model: which vectors are made from pictures, which videos must be decoded, and which stay behind.

use scened_common::domain::{ModelId, Span};

use super::*;
use crate::media::Keyframe;
use crate::media::keyframes::KeyframeScene;

/// Returns the new model. It takes other pictures than the one that answers.
fn other() -> Arc<FakeEmbedder> {
    Arc::new(FakeEmbedder::with_image(
        "other",
        ImageSpec {
            width_px: 6,
            height_px: 6,
            ..IMAGE
        },
    ))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: never");
        std::thread::yield_now();
    }
}

impl World {
    fn bring_next(&self, embedder: &Arc<FakeEmbedder>, decodes_afresh: bool) -> ModelId {
        let slot = self.slot(embedder, decodes_afresh);
        let id = slot.info.id.clone();
        self.serving.set_next(Some(slot));
        self.indexer.catch_up();
        id
    }

    fn caught_up(&self) {
        wait_until("everything is caught up with", || self.indexer.has_caught_up());
    }

    fn indexed(&self, name: &str, content: &str) -> VideoId {
        let id = self.video(name, content);
        assert!(matches!(self.next(), PipelineEvent::VideoIndexed { .. }));
        wait_until("its job is over", || self.indexer.n_jobs() == 0);
        id
    }

    fn keyframes(&self) -> Keyframes {
        Keyframes::new(self.folder.path().join("keyframes"))
    }

    fn has_vectors(&self, model: &ModelId, id: VideoId) -> bool {
        self.store.has_vectors(model, id).unwrap()
    }

    fn current(&self) -> ModelId {
        self.embedder.model().id
    }
}

#[test]
fn vectors_come_from_pictures_and_nothing_is_decoded() {
    let world = World::new();
    let id = world.indexed("a.mp4", "good\na");
    let model = world.bring_next(&other(), false);
    world.caught_up();
    assert_eq!((world.n_analyses(), world.source.n_replays()), (1, 1));
    let times = |model: ModelId| -> Vec<Vec<u64>> {
        let vectors = world.store.video_vectors(&model, id).unwrap();
        vectors
            .iter()
            .map(|scene| scene.frames.iter().map(|(time, _)| *time).collect())
            .collect()
    };
    assert_eq!(times(model.clone()), times(world.current()), "both have a vector of every moment");
    assert_ne!(times(model), Vec::<Vec<u64>>::new());
    let record = world.store.video(id).unwrap();
    assert_eq!(
        (record.state, world.store.n_jobs()),
        (VideoState::Indexed, 0),
        "it stays what it was"
    );
}

#[test]
fn what_is_not_plugged_in_is_caught_up_with_too() {
    let world = World::new();
    let id = world.indexed("a.mp4", "good\na");
    std::fs::remove_file(world.folder.path().join("a.mp4")).unwrap();
    world.store.set_offline(&[id], true).unwrap();
    let model = world.bring_next(&other(), false);
    world.caught_up();
    assert!(world.has_vectors(&model, id));
}

#[test]
fn without_pictures_a_video_is_decoded_and_one_that_is_away_waits_for_its_drive() {
    let world = World::new();
    let (here, away) = (world.indexed("a.mp4", "good\na"), world.indexed("b.mp4", "good\nb"));
    for id in [here, away] {
        world.keyframes().discard(&world.store.video(id).unwrap().fingerprint).unwrap();
    }
    world.store.set_offline(&[away], true).unwrap();
    let model = world.bring_next(&other(), false);
    world.caught_up();
    assert!(world.has_vectors(&model, here) && !world.has_vectors(&model, away));
    assert!(
        world.has_vectors(&world.current(), here),
        "the model that answers keeps what it had"
    );
    assert_eq!((world.n_analyses(), world.indexer.n_left_behind()), (3, 1));
    world.store.set_offline(&[away], false).unwrap();
    wait_until("it is embedded when its drive is back", || world.has_vectors(&model, away));
    wait_until("it is not missing any more", || world.indexer.n_left_behind() == 0);
}

#[test]
fn pictures_that_are_damaged_or_of_other_scenes_are_not_believed() {
    let world = World::new();
    let (damaged, strange) = (world.indexed("a.mp4", "good\na"), world.indexed("b.mp4", "good\nb"));
    let fingerprint = |id| world.store.video(id).unwrap().fingerprint;
    let name = fingerprint(damaged).to_string();
    let file = world.folder.path().join(format!("keyframes/{}/{name}.keyframes", &name[..2]));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let mut writer = world.keyframes().begin(&fingerprint(strange)).unwrap();
    let span = Span { start_ms: 0, end_ms: 2000 };
    let keyframes = vec![Keyframe {
        time_ms: 5,
        picture: vec![0xff, 0xd8, 0xff, 0, 0, 0],
    }];
    writer
        .put(&KeyframeScene {
            span,
            boundary: Boundary::Start,
            keyframes,
        })
        .unwrap();
    writer.finish().unwrap();
    let model = world.bring_next(&other(), false);
    world.caught_up();
    assert_eq!(world.n_analyses(), 4, "both were decoded again");
    for id in [damaged, strange] {
        assert_eq!(world.store.video_vectors(&model, id).unwrap().len(), 2);
        assert!(world.keyframes().has(&fingerprint(id)), "and their pictures kept anew");
    }
}

#[test]
fn a_video_that_comes_meanwhile_is_embedded_for_both() {
    let world = World::new();
    let waiting = world.indexed("a.mp4", "good\na");
    let next = other();
    next.fail_with(Some(EmbedError::WorkerDied {
        detail: "not yet".to_owned(),
    }));
    world.indexer.pause(None);
    let model = world.bring_next(&next, false);
    let new = world.video("new.mp4", "good\nnew");
    next.fail_with(None);
    world.indexer.resume();
    assert!(matches!(world.next(), PipelineEvent::VideoIndexed { .. }));
    assert!(world.has_vectors(&world.current(), new), "the model that answers has it first");
    world.caught_up();
    assert!(world.has_vectors(&model, new) && world.has_vectors(&model, waiting));
    assert_eq!(world.n_analyses(), 2, "each video was decoded once");
}

#[test]
fn reindexing_decodes_and_other_scenes_take_nothing_from_the_model_that_answers() {
    let world = World::new();
    let id = world.indexed("a.mp4", "changing\na");
    assert_eq!(world.store.video(id).unwrap().n_scenes, 2);
    let model = world.bring_next(&other(), true);
    world.caught_up();
    assert_eq!((world.n_analyses(), world.store.video(id).unwrap().n_scenes), (2, 3));
    for model in [&model, &world.current()] {
        assert_eq!(world.store.video_vectors(model, id).unwrap().len(), 3, "{model}");
    }
}

#[test]
fn a_video_that_cannot_be_decoded_again_keeps_what_it_had_and_holds_nothing_up() {
    let world = World::new();
    let id = world.indexed("a.mp4", "once\na");
    let model = world.bring_next(&other(), true);
    assert!(matches!(world.next(), PipelineEvent::VideoFailed { .. }));
    world.caught_up();
    assert!(!world.has_vectors(&model, id) && world.has_vectors(&world.current(), id));
    assert_eq!(world.store.video(id).unwrap().state, VideoState::Failed);
}

#[test]
fn going_back_embeds_nothing() {
    let world = World::new();
    world.indexed("a.mp4", "good\na");
    world.bring_next(&other(), false);
    world.caught_up();
    let n_frames = world.embedder.n_frames();
    world.serving.promote();
    world.bring_next(&world.embedder, false);
    assert!(world.indexer.has_caught_up());
    assert_eq!(world.embedder.n_frames(), n_frames);
}

#[test]
fn pictures_go_with_the_last_video_that_has_that_content() {
    let world = World::new();
    let first = world.indexed("a.mp4", "good\nsame");
    let second = world.indexed("b.mp4", "good\nsame");
    let fingerprint = world.store.video(first).unwrap().fingerprint;
    let other = world.indexed("c.mp4", "good\nother");
    world.store.remove_videos(&[first]).unwrap();
    world.indexed("d.mp4", "good\nd");
    assert!(world.keyframes().has(&fingerprint), "its twin still needs them");
    world.store.remove_videos(&[second]).unwrap();
    wait_until("they are deleted", || !world.keyframes().has(&fingerprint));
    assert!(world.keyframes().has(&world.store.video(other).unwrap().fingerprint));
}

#[test]
fn progress_says_how_many_are_left() {
    let world = World::new();
    world.indexed("a.mp4", "good\na");
    assert_eq!(world.indexer.progress().catching_up, None);
    world.indexer.pause(None);
    world.bring_next(&other(), false);
    let left = world.indexer.progress().catching_up.map(|catching_up| catching_up.n_left);
    assert_eq!((left, world.indexer.n_jobs(), world.indexer.has_caught_up()), (Some(1), 1, false));
    world.indexer.resume();
    world.caught_up();
    assert_eq!(world.indexer.progress().catching_up, None);
}
