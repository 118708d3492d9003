//! One behaviour per test; submodules by theme.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use scened_common::domain::{Boundary, FileStamp, SceneId};

use super::*;

mod damage;
mod decisions;
#[cfg(target_os = "linux")]
mod machine;
mod models;
mod random;
mod released;

/// xorshift64*: the same numbers on every machine.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn open(dir: &Path) -> Store {
    let (store, report) = Store::open(dir).unwrap();
    assert_eq!((report.set_aside, report.lost_changes, report.n_damaged), (Vec::new(), 0, 0));
    store
}

fn model(name: &str) -> ModelId {
    ModelId(name.to_owned())
}

fn stamp(number: u64) -> FileStamp {
    FileStamp {
        size_bytes: 1_000 + number,
        mtime_ns: 1_700_000_000_000_000_000 + number as i64,
        inode: number,
    }
}

fn new_video(path: &str, content: u8) -> NewVideo {
    NewVideo {
        path: PathBuf::from(path),
        stamp: stamp(u64::from(content)),
        fingerprint: Fingerprint([content; 16]),
        on_root_device: true,
    }
}

/// Makes vectors and thumbnails that show their content, model and scene.
fn indexed(record: &VideoRecord, model_name: &str, n_scenes: usize) -> IndexedVideo {
    let seed = record.fingerprint.0[0];
    let vector = |scene: usize, frame: usize| {
        let values = [f32::from(seed) + 1.0, scene as f32, frame as f32, model_name.len() as f32];
        Embedding::normalised(values.to_vec()).unwrap()
    };
    let span = |scene: usize| Span {
        start_ms: 1_000 * scene as u64,
        end_ms: 1_000 * (scene as u64 + 1),
    };
    let scene = |scene: usize| SceneRecord {
        span: span(scene),
        boundary: if scene == 0 { Boundary::Start } else { Boundary::Cut },
    };
    let vectors = |scene: usize| SceneVectors {
        frames: (0..3)
            .map(|frame| (span(scene).start_ms + 100 * frame as u64, vector(scene, frame)))
            .collect(),
    };
    IndexedVideo {
        record: VideoRecord {
            duration_ms: 1_000 * n_scenes as u64,
            width_px: 640,
            height_px: 360,
            codec: "h264".to_owned(),
            model: Some(model(model_name)),
            indexed_at_ms: 5,
            ..record.clone()
        },
        scenes: (0..n_scenes).map(scene).collect(),
        vectors: (0..n_scenes).map(vectors).collect(),
        thumbnails: (0..n_scenes).map(|scene| vec![0xff, 0xd8, seed, scene as u8]).collect(),
        others: Vec::new(),
    }
}

/// Checks that a video has exactly the scenes, vectors and thumbnails that `indexed` makes of these arguments.
fn check_content(store: &Store, record: &VideoRecord, model_name: &str, n_scenes: usize) {
    check_vectors(store, record, model_name, n_scenes);
    for (index, thumbnail) in indexed(record, model_name, n_scenes).thumbnails.into_iter().enumerate() {
        assert_eq!(store.thumbnail(SceneId::new(record.id, index)).unwrap(), Some(thumbnail));
    }
}

/// Checks the same without thumbnails, which may be missing.
fn check_vectors(store: &Store, record: &VideoRecord, model_name: &str, n_scenes: usize) {
    let expected = indexed(record, model_name, n_scenes);
    assert_eq!(store.scenes(record.id).unwrap(), expected.scenes);
    let vectors = store.video_vectors(&model(model_name), record.id).unwrap();
    assert_eq!(vectors.len(), n_scenes);
    for (stored, expected) in vectors.iter().zip(&expected.vectors) {
        for ((time, vector), (expected_time, expected)) in stored.frames.iter().zip(&expected.frames) {
            assert_eq!(time, expected_time);
            assert!(vector.cosine(expected) > 0.999);
        }
    }
    let beyond = SceneId::new(record.id, n_scenes);
    assert_eq!(store.thumbnail(beyond).unwrap(), None);
    assert_eq!(store.vectors(&model(model_name), beyond).unwrap(), None);
}

#[test]
fn a_video_goes_from_pending_to_indexed_and_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = store.add_video(new_video("/films/a.mp4", 7), 10).unwrap();
    assert_eq!(
        store.jobs().unwrap(),
        [JobRecord {
            video: record.id,
            queued_at_ms: 10,
            attempts: 0,
            n_deaths: 0,
            kind: JobKind::Index,
        }]
    );
    assert_eq!(
        store.counts(),
        Counts {
            pending: 1,
            ..Counts::default()
        }
    );
    store.put_indexed(indexed(&record, "m", 4)).unwrap();
    drop(store);
    let store = open(folder.path());
    let found = store.video_at(Path::new("/films/a.mp4")).unwrap();
    assert_eq!((found.state, found.n_scenes, store.n_jobs()), (VideoState::Indexed, 4, 0));
    assert_eq!(
        store.counts(),
        Counts {
            indexed: 1,
            scenes: 4,
            ..Counts::default()
        }
    );
    check_content(&store, &found, "m", 4);
    assert_eq!(store.generation(), 2);
}

#[test]
fn changed_content_replaces_all_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = store.add_video(new_video("/a", 1), 1).unwrap();
    store.put_indexed(indexed(&record, "m", 9)).unwrap();
    store.put_indexed(indexed(&record, "other", 9)).unwrap();
    assert_eq!(store.models().unwrap(), [model("m"), model("other")]);
    store.requeue(record.id, Some((stamp(2), Fingerprint([2; 16]))), 2).unwrap();
    // The old content stays searchable, and a result for it comes too late.
    assert_eq!(store.scenes(record.id).unwrap().len(), 9);
    let error = store.put_indexed(indexed(&record, "m", 9)).unwrap_err();
    assert!(matches!(error, StoreError::Superseded(_)), "{error}");
    let record = store.video(record.id).unwrap();
    store.put_indexed(indexed(&record, "m", 3)).unwrap();
    check_content(&store, &record, "m", 3);
    assert_eq!(store.models().unwrap(), [model("m")]);
    assert_eq!(store.inner.disk.vectors.iter().count(), 3);
    assert_eq!(store.inner.disk.thumbnails.iter().count(), 3);
}

#[test]
fn a_failure_keeps_its_history_until_success() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = store.add_video(new_video("/a", 1), 1).unwrap();
    assert_eq!(
        store
            .put_failed(record.id, "no picture", Some("look"), Cause::Video, "v1", 10)
            .unwrap(),
        1
    );
    assert_eq!((store.n_jobs(), store.counts().failed), (0, 1));
    store.requeue(record.id, None, 20).unwrap();
    assert_eq!(store.job(record.id).unwrap().attempts, 1);
    assert_eq!(store.put_failed(record.id, "again", None, Cause::Video, "v2", 30).unwrap(), 2);
    let incident = store.incident(record.id).unwrap().unwrap();
    assert_eq!((incident.first_ms, incident.last_ms, incident.attempts), (10, 30, 2));
    assert_eq!(
        (incident.reason.as_str(), incident.hint, incident.path),
        ("again", None, PathBuf::from("/a"))
    );
    store.requeue(record.id, Some((stamp(3), Fingerprint([3; 16]))), 40).unwrap();
    assert_eq!(store.incidents().unwrap().len(), 1);
    let changed = store.video(record.id).unwrap();
    assert!(matches!(
        store.put_failed_for(&record, "late", None, Cause::Video, "v2", 50),
        Err(StoreError::Superseded(_))
    ));
    assert_eq!(
        store.put_failed_for(&changed, "new content", None, Cause::Video, "v2", 50).unwrap(),
        1
    );
    store.requeue(record.id, None, 60).unwrap();
    store.put_indexed(indexed(&changed, "m", 1)).unwrap();
    assert!(store.incidents().unwrap().is_empty());
}

#[test]
fn what_is_laid_to_drive_or_machine_is_queued_again_and_what_is_laid_to_the_video_is_not() {
    use VideoState::{Failed, Pending};
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let fail = |path: &str, n: u8, cause: Cause| {
        let id = store.add_video(new_video(path, n), 1).unwrap().id;
        store.put_failed(id, "a reason", None, cause, "v", 2).unwrap();
        id
    };
    let (video, storage, machine) = (
        fail("/video", 1, Cause::Video),
        fail("/storage", 2, Cause::Storage),
        fail("/machine", 3, Cause::Machine),
    );
    let states = |store: &Store| [video, storage, machine].map(|id| store.video(id).unwrap().state);
    assert_eq!(store.incident(storage).unwrap().unwrap().cause, Some(Cause::Storage));
    // A drive goes away and comes back.
    store.set_offline(&[video, storage, machine], true).unwrap();
    assert_eq!(states(&store), [Failed; 3]);
    store.set_offline(&[video, storage], false).unwrap();
    assert_eq!(states(&store), [Failed, Pending, Failed]);
    let of_machine = |incident: &IncidentRecord| incident.cause == Some(Cause::Machine);
    assert_eq!(store.retry_incidents(of_machine, 3).unwrap(), 1);
    assert_eq!(states(&store), [Failed, Pending, Pending]);
    assert_eq!(store.job(machine).unwrap().attempts, 1, "its history stays");
    assert_eq!(store.retry_incidents(|_| true, 4).unwrap(), 1, "what is queued already is left");
}

#[test]
fn failing_on_new_content_drops_what_the_old_one_had() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = store.add_video(new_video("/a", 1), 1).unwrap();
    store.put_indexed(indexed(&record, "m", 5)).unwrap();
    store.requeue(record.id, None, 2).unwrap();
    store.put_failed(record.id, "retry failed", None, Cause::Video, "v", 3).unwrap();
    check_content(&store, &record, "m", 5);
    store.requeue(record.id, Some((stamp(2), Fingerprint([2; 16]))), 4).unwrap();
    let before = store.generation();
    store
        .put_failed(record.id, "not a video any more", None, Cause::Video, "v", 5)
        .unwrap();
    assert!(store.scenes(record.id).unwrap().is_empty() && store.models().unwrap().is_empty());
    let kinds: Vec<_> = store
        .changes_since(before)
        .unwrap()
        .unwrap()
        .into_iter()
        .map(|c| (c.kind, c.n_scenes_before))
        .collect();
    assert_eq!(kinds, [(ChangeKind::Content, 5), (ChangeKind::Failed, 0)]);
}

#[test]
fn moves_and_copies_need_no_decoding() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = store.add_video(new_video("/a", 1), 1).unwrap();
    let occupant = store.add_video(new_video("/b", 2), 1).unwrap();
    store.put_indexed(indexed(&record, "m", 2)).unwrap();
    store.move_video(record.id, Path::new("/b"), stamp(9), false).unwrap();
    assert!(store.video(occupant.id).is_none() && store.video_at(Path::new("/a")).is_none());
    let moved = store.video_at(Path::new("/b")).unwrap();
    assert_eq!((moved.id, moved.stamp, moved.on_root_device), (record.id, stamp(9), false));
    check_content(&store, &moved, "m", 2);
    let copy = store.clone_video(record.id, new_video("/c", 1), 3).unwrap();
    assert_eq!((copy.state, store.n_jobs()), (VideoState::Indexed, 0));
    check_content(&store, &copy, "m", 2);
    assert_eq!(store.videos_with_fingerprint(&Fingerprint([1; 16])).len(), 2);
    let error = store.clone_video(record.id, new_video("/c", 1), 3).unwrap_err();
    assert_eq!(error.to_string(), format!("/c is in the store already, as video {}", copy.id));
    // A video with other bytes is not a copy.
    assert_eq!(
        store.clone_video(record.id, new_video("/d", 8), 3).unwrap().state,
        VideoState::Pending
    );
}

#[test]
fn a_queued_video_gets_all_that_a_twin_has() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let twin = store.add_video(new_video("/a", 1), 1).unwrap();
    let vectors = |name: &str| indexed(&twin, name, 2).vectors;
    store.put_indexed(indexed(&twin, "m", 2)).unwrap();
    store
        .put_vectors(twin.id, &twin.fingerprint, &model("other"), &vectors("other"))
        .unwrap();
    let check = |video: &VideoRecord| {
        assert_eq!(
            (video.state, video.n_scenes, video.codec.as_str()),
            (VideoState::Indexed, 2, "h264")
        );
        assert_eq!((video.path.as_path(), store.job(video.id)), (Path::new("/b"), None));
        for name in ["m", "other", "third"] {
            check_content(&store, video, name, 2);
        }
    };
    let queued = store.add_video(new_video("/b", 1), 2).unwrap();
    let others = [(model("third"), vectors("third"))];
    assert!(store.put_copy(&queued, twin.id, &model("m"), &others).unwrap());
    let copy = store.video(queued.id).unwrap();
    check(&copy);
    // Only its time changed, so it is its own twin.
    let stamp = FileStamp { mtime_ns: 9, ..copy.stamp };
    store
        .requeue_to(JobKind::Verify, copy.id, Some((stamp, copy.fingerprint)), 3)
        .unwrap();
    let queued = store.video(copy.id).unwrap();
    assert!(store.put_copy(&queued, copy.id, &model("m"), &[]).unwrap());
    let verified = store.video(copy.id).unwrap();
    assert_eq!(verified.stamp, stamp);
    check(&verified);
}

#[test]
fn what_is_no_twin_gives_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let known = store.add_video(new_video("/a", 1), 1).unwrap();
    store.put_indexed(indexed(&known, "m", 2)).unwrap();
    let queued = store.add_video(new_video("/b", 8), 2).unwrap();
    let put = || store.put_copy(&queued, known.id, &model("m"), &[]);
    assert!(!put().unwrap(), "it has other bytes");
    assert_eq!((store.video(queued.id).unwrap().state, store.n_jobs()), (VideoState::Pending, 1));
    assert!(store.scenes(queued.id).unwrap().is_empty());
    store.requeue(queued.id, Some((stamp(1), known.fingerprint)), 3).unwrap();
    assert!(
        matches!(put(), Err(StoreError::Superseded(id)) if id == queued.id),
        "it is not what was queued"
    );
    store.remove_videos(&[queued.id]).unwrap();
    assert!(matches!(put(), Err(StoreError::Gone(id)) if id == queued.id));
}

#[cfg(unix)]
#[test]
fn paths_that_are_not_utf8_survive() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = Path::new(std::ffi::OsStr::from_bytes(b"/films/caf\xe9 \"1\"\n.mp4"));
    let store = open(folder.path());
    let video = NewVideo {
        path: path.to_owned(),
        ..new_video("", 1)
    };
    let id = store.add_video(video, 1).unwrap().id;
    drop(store);
    assert_eq!(open(folder.path()).video_at(path).unwrap().id, id);
}

#[test]
fn thirty_thousand_new_files_are_few_batches_and_ids_are_never_reused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let videos: Vec<_> = (0..30_000)
        .map(|n| new_video(&format!("/films/{n}.mp4"), (n % 251) as u8))
        .collect();
    let started = std::time::Instant::now();
    let added = store.add_videos(videos.clone(), 1).unwrap();
    assert_eq!((added.len(), store.n_jobs(), store.generation()), (30_000, 30_000, 30_000));
    assert!(store.add_videos(videos, 1).unwrap().is_empty());
    let ids: Vec<_> = added.iter().map(|video| video.id).collect();
    store.set_offline(&ids[..10_000], true).unwrap();
    assert_eq!(
        store.counts(),
        Counts {
            pending: 20_000,
            offline: 10_000,
            ..Counts::default()
        }
    );
    store.remove_videos(&ids).unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!((store.videos().len(), store.counts()), (0, Counts::default()));
    assert_eq!(store.add_video(new_video("/x", 1), 1).unwrap().id, VideoId(30_001));
    assert!(started.elapsed().as_secs() < 60, "it took {:?}", started.elapsed());
}

#[test]
fn changes_are_told_in_order_and_kept_until_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    store.on_change(Box::new(move |change| sink.lock().unwrap().push(change.clone())));
    let record = store.add_video(new_video("/a", 1), 1).unwrap();
    store.put_indexed(indexed(&record, "m", 2)).unwrap();
    let touch = Touch {
        video: record.id,
        stamp: record.stamp,
        on_root_device: true,
    };
    store.touch_videos(&[touch]).unwrap();
    store.set_offline(&[record.id], true).unwrap();
    store.move_video(record.id, Path::new("/b"), stamp(5), true).unwrap();
    store.remove_videos(&[record.id, VideoId(77)]).unwrap();
    let heard = heard.lock().unwrap().clone();
    let kinds: Vec<_> = heard.iter().map(|change| change.kind.clone()).collect();
    assert_eq!(
        kinds,
        [
            ChangeKind::Added,
            ChangeKind::Content,
            ChangeKind::Offline,
            ChangeKind::Moved {
                from: "/a".into(),
                to: "/b".into()
            },
            ChangeKind::Removed { path: "/b".into() }
        ]
    );
    assert_eq!(store.changes_since(0).unwrap().unwrap(), heard);
    assert_eq!(heard[4].n_scenes_before, 2);
    store.trim_changes(3).unwrap();
    assert_eq!(store.changes_since(2).unwrap(), None);
    assert_eq!(store.changes_since(3).unwrap().unwrap(), heard[3..]);
    assert_eq!(store.changes_since(5).unwrap().unwrap(), []);
    assert_eq!(store.changes_since(6).unwrap(), None);
}

#[test]
fn settings_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    assert_eq!(store.setting("model").unwrap(), None);
    store.put_setting("model", &serde_json::json!({"active": "m"})).unwrap();
    drop(store);
    assert_eq!(
        open(folder.path()).setting("model").unwrap(),
        Some(serde_json::json!({"active": "m"}))
    );
}

#[test]
fn results_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = store.add_video(new_video("/a", 1), 1).unwrap();
    let mut short = indexed(&record, "m", 2);
    short.thumbnails.pop();
    let mut homeless = indexed(&record, "m", 2);
    homeless.record.model = None;
    let mut unknown = indexed(&record, "m", 2);
    unknown.record.id = VideoId(99);
    for (video, expected) in [
        (short, "cannot store an indexed video: 2 scenes, 2 vectors and 1 thumbnails"),
        (homeless, "cannot store an indexed video: its vectors belong to no model"),
        (unknown, "video 0000000063 is not in the store any more"),
    ] {
        assert_eq!(store.put_indexed(video).unwrap_err().to_string(), expected);
    }
    assert_eq!(store.video(record.id).unwrap().state, VideoState::Pending);
}

#[test]
fn a_locked_store_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let error = Store::open(folder.path()).err().unwrap();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(store);
    open(folder.path());
}

#[test]
fn many_moves_are_one_batch_and_happen_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let ids: Vec<VideoId> = (0..4_u8)
        .map(|number| store.add_video(new_video(&format!("/films/{number}"), number), 1).unwrap().id)
        .collect();
    let to = |video: VideoId, path: &str| Move {
        video,
        path: path.into(),
        stamp: stamp(7),
        on_root_device: true,
    };
    let before = store.generation();
    // A chain, the second half of an exchange, an overwritten file, and a video that no longer exists.
    store
        .move_videos(&[
            to(ids[0], "/new/0"),
            to(ids[1], "/films/0"),
            to(ids[2], "/films/1"),
            to(ids[3], "/new/0"),
            to(VideoId(99), "/nowhere"),
        ])
        .unwrap();
    let at = |path: &str| store.video_at(Path::new(path)).map(|video| video.id);
    assert_eq!(
        (at("/films/0"), at("/films/1"), at("/new/0")),
        (Some(ids[1]), Some(ids[2]), Some(ids[3]))
    );
    assert_eq!(
        (store.video(ids[0]), at("/films/2"), at("/films/3"), at("/nowhere")),
        (None, None, None, None)
    );
    assert_eq!(store.generation(), before + 5);
    drop(store);
    let store = open(folder.path());
    assert_eq!(
        store.videos().iter().map(|video| video.id).collect::<Vec<_>>(),
        [ids[1], ids[2], ids[3]]
    );
}
