//! The pipeline with a real store, a scripted video source and a fake model.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scened_common::domain::{Boundary, FileStamp, Fingerprint, ImageSpec, Resample, ResizeMode, SceneId};

use super::*;
use crate::embed::{EmbedError, Embedder};
use crate::media::{MediaError, SceneMode};
use crate::models::serving::ModelSlot;
use crate::store::{NewVideo, VideoState};
use crate::testing::embedder::FakeEmbedder;
use crate::testing::frames::{Script, ScriptedFrames, ScriptedScene};

mod blame;
mod catching_up;
mod halves;
mod poison;

const TIMEOUT: Duration = Duration::from_secs(20);
const IMAGE: ImageSpec = ImageSpec {
    width_px: 4,
    height_px: 4,
    shortest_side_px: 4,
    resize: ResizeMode::Squash,
    resample: Resample::Bicubic,
};

/// Two scenes of a second, red and blue, with three frames each.
fn red_and_blue() -> Vec<ScriptedScene> {
    vec![
        ScriptedScene::plain(1000, Boundary::Start, [255, 0, 0]),
        ScriptedScene::plain(1000, Boundary::Cut, [0, 0, 255]),
    ]
}

/// Returns the worker's behaviour for each first line of a video.
fn scripts() -> ScriptedFrames {
    let unusable = MediaError::Unusable {
        reason: "no picture".to_owned(),
    };
    let died = MediaError::WorkerDied {
        detail: "killed by signal 11 (SIGSEGV)".to_owned(),
    };
    let mut three_scenes = red_and_blue();
    three_scenes.push(ScriptedScene::plain(500, Boundary::Cut, [0, 160, 0]));
    ScriptedFrames::default()
        .with("good", [Script::Scenes(red_and_blue())])
        .with("bad", [Script::FailsAfter(Vec::new(), unusable.clone())])
        .with("crash", [Script::FailsAfter(red_and_blue(), died)])
        .with("slow", [Script::Blocks(red_and_blue())])
        .with("changing", [Script::Scenes(red_and_blue()), Script::Scenes(three_scenes)])
        .with("once", [Script::Scenes(red_and_blue()), Script::FailsAfter(Vec::new(), unusable)])
}

struct World {
    folder: Arc<tempfile::TempDir>,
    store: Store,
    source: Arc<ScriptedFrames>,
    embedder: Arc<FakeEmbedder>,
    serving: Arc<Serving>,
    indexer: Indexer,
    events: crossbeam_channel::Receiver<PipelineEvent>,
    on_battery: Arc<AtomicBool>,
}

impl World {
    fn new() -> Self {
        Self::with_model(true)
    }

    fn with_model(has_model: bool) -> Self {
        let world = Self::open(Arc::new(tempfile::tempdir().unwrap()), Arc::new(scripts()), false);
        if has_model {
            world.bring_model();
        }
        world
    }

    /// Returns a world in which nothing is indexed before `indexer.resume()`.
    fn paused_with(frames: ScriptedFrames) -> Self {
        let world = Self::open(Arc::new(tempfile::tempdir().unwrap()), Arc::new(frames), true);
        world.bring_model();
        world
    }

    /// Reopens the same store and videos as another daemon does, paused.
    fn restarted(self) -> Self {
        let (folder, frames) = (Arc::clone(&self.folder), Arc::clone(&self.source));
        drop(self);
        let world = Self::open(folder, frames, true);
        world.bring_model();
        world
    }

    fn open(folder: Arc<tempfile::TempDir>, frames: Arc<ScriptedFrames>, paused: bool) -> Self {
        let (store, _) = Store::open(&folder.path().join("data")).unwrap();
        let embedder = Arc::new(FakeEmbedder::with_image("fake", IMAGE));
        let serving = Arc::new(Serving::default());
        let (told, events) = crossbeam_channel::bounded(2000);
        let hook: PipelineHook = Arc::new(move |event| told.send(event).expect("the test listens"));
        let source: Arc<dyn FrameSource> = frames.clone();
        let parts = Parts {
            store: store.clone(),
            source,
            serving: Arc::clone(&serving),
            activity: Activity::default(),
            hook,
        };
        let on_battery = Arc::new(AtomicBool::default());
        let plugged_out = Arc::clone(&on_battery);
        let config = IndexerConfig {
            n_threads: 2,
            n_cores: 2,
            detector: Detector::Content,
            mode: SceneMode::Exact,
            max_scene_ms: 15_000,
            thumbnail_px: 32,
            hardware: Hardware::None,
            software: "test 1".to_owned(),
            brake: BrakeConfig {
                pause_on_battery: true,
                pressure_percent: 0,
            },
            machine_state: Box::new(move || MachineState {
                on_battery: plugged_out.load(Ordering::Relaxed),
                ..MachineState::default()
            }),
            disk_space: crate::machine::disk_space::DiskSpace {
                data_dir: folder.path().to_owned(),
                min_free_bytes: 0,
            },
            keyframes: Some(Keyframes::new(folder.path().join("keyframes"))),
            root_of: Box::new(|_| None),
        };
        let indexer = Indexer::start(config, parts, paused).unwrap();
        store.on_change(Box::new(indexer.change_hook()));
        Self {
            folder,
            store,
            source: frames,
            embedder,
            serving,
            indexer,
            events,
            on_battery,
        }
    }

    fn bring_model(&self) {
        self.serving.set_current(self.slot(&self.embedder, false));
        self.indexer.catch_up();
    }

    fn slot(&self, embedder: &Arc<FakeEmbedder>, decodes_afresh: bool) -> Arc<ModelSlot> {
        let info = embedder.model();
        let dimensions = info.dimensions.expect("the fake knows");
        let (ann, _) = crate::ann::Ann::open(&self.folder.path().join("index"), &info.id, dimensions).unwrap();
        let embedder: Arc<dyn Embedder> = embedder.clone();
        Arc::new(ModelSlot {
            info,
            embedder,
            ann,
            decodes_afresh,
        })
    }

    /// Writes a video and queues it as reconcile does. Equal contents have equal fingerprints.
    fn video(&self, name: &str, content: &str) -> VideoId {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let (_, stamp) = crate::video_file::open_stamped(&path).unwrap();
        self.queue(&path, stamp, content)
    }

    fn queue(&self, path: &Path, stamp: FileStamp, content: &str) -> VideoId {
        let mut fingerprint = [0; 16];
        let n = content.len().min(16);
        fingerprint[..n].copy_from_slice(&content.as_bytes()[..n]);
        let new = NewVideo {
            path: path.to_owned(),
            stamp,
            fingerprint: Fingerprint(fingerprint),
            on_root_device: true,
        };
        self.store.add_video(new, 1).unwrap().id
    }

    fn next(&self) -> PipelineEvent {
        self.events.recv_timeout(TIMEOUT).expect("the pipeline says something")
    }

    fn n_analyses(&self) -> usize {
        self.source.calls().len()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.source.release();
        self.indexer.stop();
    }
}

fn until(what: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_true() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_video_becomes_scenes_vectors_and_thumbnails_in_one_batch() {
    let world = World::new();
    let id = world.video("a.mp4", "good\na");
    assert!(matches!(world.next(), PipelineEvent::VideoIndexed { n_scenes: 2, .. }));
    let record = world.store.video(id).unwrap();
    assert_eq!(
        (record.state, record.n_scenes, record.duration_ms, record.codec.as_str()),
        (VideoState::Indexed, 2, 2000, "script")
    );
    let vectors = world.store.video_vectors(&world.embedder.model().id, id).unwrap();
    assert_eq!(vectors.iter().map(|scene| scene.frames.len()).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(vectors[1].frames[2].0, 1833);
    assert_eq!(
        world.store.thumbnail(SceneId::new(id, 1)).unwrap(),
        Some(vec![0xff, 0xd8, 0xff, 0xd9])
    );
    assert_eq!(world.store.n_jobs(), 0);
}

#[test]
fn an_unusable_file_is_an_incident_at_once_and_the_next_video_goes_on() {
    let world = World::new();
    let bad = world.video("bad.mp4", "bad");
    assert!(matches!(world.next(), PipelineEvent::VideoFailed { reason, .. } if reason == "no picture"));
    let incident = world.store.incident(bad).unwrap().unwrap();
    assert_eq!((incident.attempts, incident.software.as_str()), (1, "test 1"));
    world.video("good.mp4", "good");
    assert!(matches!(world.next(), PipelineEvent::VideoIndexed { .. }));
}

#[test]
fn an_empty_file_is_named_as_such_without_a_worker() {
    let world = World::new();
    world.video("empty.mp4", "");
    assert!(matches!(world.next(), PipelineEvent::VideoFailed { reason, .. } if reason.contains("empty")));
    assert_eq!(world.n_analyses(), 0);
}

#[test]
fn a_twin_is_copied_not_decoded() {
    let world = World::new();
    let first = world.video("a.mp4", "good\nsame");
    world.next();
    let second = world.video("b.mp4", "good\nsame");
    assert!(matches!(world.next(), PipelineEvent::VideoIndexed { n_scenes: 2, .. }));
    assert_eq!(world.n_analyses(), 1);
    let model = world.embedder.model().id;
    assert_eq!(
        world.store.video_vectors(&model, first).unwrap(),
        world.store.video_vectors(&model, second).unwrap()
    );
    assert_eq!(world.store.video(second).unwrap().path, world.folder.path().join("b.mp4"));
}

#[test]
fn a_file_that_is_not_what_was_queued_goes_back_to_reconcile() {
    let world = World::new();
    let path = world.folder.path().join("a.mp4");
    std::fs::write(&path, "good\nlonger than it was").unwrap();
    world.queue(
        &path,
        FileStamp {
            size_bytes: 4,
            mtime_ns: 5,
            inode: 6,
        },
        "good",
    );
    assert!(matches!(world.next(), PipelineEvent::FileChanged { .. }));
    assert_eq!(world.n_analyses(), 0);
}

#[test]
fn pause_cancels_what_runs_and_resume_does_it_after_all() {
    let world = World::new();
    let id = world.video("slow.mp4", "slow");
    let deadline = Instant::now() + TIMEOUT;
    while world.n_analyses() == 0 {
        assert!(Instant::now() < deadline, "the video was never begun");
        std::thread::yield_now();
    }
    world.indexer.pause(None);
    while world.indexer.position(id) == Some(0) {
        assert!(Instant::now() < deadline, "the pause did not stop the video");
        std::thread::yield_now();
    }
    assert!(world.indexer.is_paused());
    assert_eq!(world.indexer.n_jobs(), 1);
    world.source.release();
    world.indexer.resume();
    assert!(matches!(world.next(), PipelineEvent::VideoIndexed { .. }));
}

#[test]
fn on_battery_a_video_that_is_being_decoded_is_held_and_then_goes_on() {
    let world = World::new();
    world.video("slow.mp4", "slow");
    let until = |what: &str, is_true: &dyn Fn() -> bool| {
        let deadline = Instant::now() + TIMEOUT;
        while !is_true() {
            assert!(Instant::now() < deadline, "never: {what}");
            std::thread::yield_now();
        }
    };
    until("it is decoded", &|| world.n_analyses() == 1);
    world.on_battery.store(true, Ordering::Relaxed);
    // The daemon does not look at the machine all the time.
    assert!(world.events.recv_timeout(brake::INTERVAL * 2).is_err());
    world.source.release();
    until("the reason is told", &|| {
        world.indexer.wait_reason().is_some_and(|reason| reason.contains("battery"))
    });
    world.video("good.mp4", "good");
    assert!(
        world.events.recv_timeout(brake::INTERVAL * 5).is_err(),
        "something was indexed on battery"
    );
    world.on_battery.store(false, Ordering::Relaxed);
    world.next();
    world.next();
    assert_eq!(
        (world.n_analyses(), world.store.counts().indexed),
        (2, 2),
        "nothing was decoded twice"
    );
    assert_eq!(world.indexer.wait_reason(), None);
    // A pause works while indexing leaves the machine to other programs.
    world.on_battery.store(true, Ordering::Relaxed);
    assert!(world.events.recv_timeout(brake::INTERVAL * 2).is_err());
    world.video("more.mp4", "good\nmore");
    until("it waits", &|| world.indexer.wait_reason().is_some());
    world.indexer.pause(None);
    world.indexer.stop();
}

#[test]
fn without_a_model_jobs_wait_and_say_why() {
    let world = World::with_model(false);
    world.serving.set_problem(crate::models::serving::NoModel {
        reason: "model folder x lacks y".to_owned(),
        hint: None,
    });
    world.video("a.mp4", "good");
    let deadline = Instant::now() + TIMEOUT;
    while world.indexer.wait_reason().as_deref() != Some("model folder x lacks y") {
        assert!(Instant::now() < deadline, "no reason was given: {:?}", world.indexer.wait_reason());
        std::thread::yield_now();
    }
    assert_eq!((world.n_analyses(), world.store.n_jobs()), (0, 1));
    world.bring_model();
    assert!(matches!(world.next(), PipelineEvent::VideoIndexed { .. }));
}

#[test]
fn a_model_that_fails_is_not_the_videos_fault() {
    let world = World::new();
    world.embedder.fail_with(Some(EmbedError::Unavailable {
        reason: "no ONNX Runtime".to_owned(),
        hint: None,
    }));
    let id = world.video("a.mp4", "good");
    let deadline = Instant::now() + TIMEOUT;
    while world.indexer.wait_reason().is_none() {
        assert!(Instant::now() < deadline, "the hindrance was never told");
        std::thread::yield_now();
    }
    assert_eq!(world.store.video(id).unwrap().state, VideoState::Pending);
    world.embedder.fail_with(None);
    world.indexer.wake();
    assert!(matches!(world.next(), PipelineEvent::VideoIndexed { .. }));
}
