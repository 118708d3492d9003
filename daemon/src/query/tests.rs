//! Searches over a real store and a real ANN index, with the fake model, whose texts and pictures meet in the names of colours.

mod confidence;

use std::fs::File;
use std::ops::ControlFlow;
use std::sync::Mutex;

use scened_common::domain::{Boundary, FileStamp, Fingerprint, Frame};

use super::*;
use crate::ann::Ann;
use crate::embed::Embedder as _;
use crate::media::{AnalyseRequest, Analysis, Cancel, KeyframesRequest, MediaEvent, PictureRequest};
use crate::store::{IndexedVideo, NewVideo, SceneRecord, SceneVectors, VideoState};
use crate::testing::embedder::FakeEmbedder;

/// Decodes everything to a green picture.
struct Green;

impl FrameSource for Green {
    fn analyse(
        &self,
        _: File,
        _: &AnalyseRequest,
        _: &Cancel,
        _: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<Analysis, MediaError> {
        unreachable!("searches analyse nothing")
    }

    fn replay(
        &self,
        _: File,
        _: &KeyframesRequest,
        _: &Cancel,
        _: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<u64, MediaError> {
        unreachable!("searches embed no keyframe pictures")
    }

    fn picture(&self, _: File, request: &PictureRequest, _: &Cancel) -> Result<Vec<Frame>, MediaError> {
        Ok(vec![picture(request.at_ms.unwrap_or_default(), [0, 160, 0])])
    }
}

fn picture(time_ms: u64, colour: [u8; 3]) -> Frame {
    Frame {
        time_ms,
        width_px: 16,
        height_px: 16,
        rgb: colour.repeat(256),
    }
}

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 160, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const BLACK: [u8; 3] = [0, 0, 0];

struct World {
    folder: tempfile::TempDir,
    store: Store,
    embedder: Arc<FakeEmbedder>,
    slot: Arc<ModelSlot>,
    searcher: Searcher,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("data")).unwrap();
        let embedder = Arc::new(FakeEmbedder::default());
        let info = embedder.model();
        let (ann, _) = Ann::open(&folder.path().join("index"), &info.id, info.dimensions.unwrap()).unwrap();
        let slot = Arc::new(ModelSlot {
            decodes_afresh: false,
            info,
            embedder: embedder.clone(),
            ann,
        });
        let serving = Arc::new(Serving::default());
        serving.set_current(Arc::clone(&slot));
        let searcher = Searcher::new(store.clone(), serving, Arc::new(Green), Some(folder.path().join("background")));
        Self {
            folder,
            store,
            embedder,
            slot,
            searcher,
        }
    }

    /// Adds a video of one-second scenes, each of three frames with these colours, last changed `day` days after 1970.
    fn video(&self, path: &str, day: i64, scenes: &[[[u8; 3]; 3]]) -> VideoId {
        let stamp = FileStamp {
            size_bytes: 1,
            mtime_ns: day * 86_400_000_000_000,
            inode: 1,
        };
        let new = NewVideo {
            path: path.into(),
            stamp,
            fingerprint: Fingerprint([day as u8; 16]),
            on_root_device: true,
        };
        let record = self.store.add_video(new, 0).unwrap();
        let span = |index: usize| Span {
            start_ms: index as u64 * 1000,
            end_ms: index as u64 * 1000 + 1000,
        };
        let vectors: Vec<SceneVectors> = scenes
            .iter()
            .enumerate()
            .map(|(index, colours)| {
                let frames: Vec<Frame> = colours
                    .iter()
                    .enumerate()
                    .map(|(at, colour)| picture(index as u64 * 1000 + at as u64 * 300, *colour))
                    .collect();
                let vectors = self.embedder.embed_frames(&frames).unwrap();
                SceneVectors {
                    frames: frames.iter().map(|frame| frame.time_ms).zip(vectors).collect(),
                }
            })
            .collect();
        for (index, scene) in vectors.iter().enumerate() {
            let mean = Embedding::mean(scene.frames.iter().map(|(_, vector)| vector)).unwrap();
            self.slot.ann.put(SceneId::new(record.id, index), &mean).unwrap();
        }
        let indexed = IndexedVideo {
            record: VideoRecord {
                state: VideoState::Indexed,
                n_scenes: scenes.len() as u32,
                duration_ms: scenes.len() as u64 * 1000,
                model: Some(self.slot.info.id.clone()),
                ..(*record).clone()
            },
            scenes: (0..scenes.len())
                .map(|index| SceneRecord {
                    span: span(index),
                    boundary: Boundary::Cut,
                })
                .collect(),
            thumbnails: vec![Vec::new(); scenes.len()],
            vectors,
            others: Vec::new(),
        };
        self.store.put_indexed(indexed).unwrap();
        record.id
    }

    fn search(&self, query: &str, wanted: &Wanted) -> Answer {
        self.searcher.search(query, &[], wanted).unwrap()
    }
}

fn everything(n: usize, by: GroupBy) -> Wanted {
    Wanted {
        n,
        by,
        min_confidence: None,
        filters: Filters::default(),
    }
}

fn within(folder: &str) -> Wanted {
    Wanted {
        filters: Filters {
            within: vec![folder.into()],
            ..Filters::default()
        },
        ..everything(10, GroupBy::Scene)
    }
}

fn paths(answer: &Answer) -> Vec<String> {
    answer
        .hits
        .iter()
        .map(|hit| format!("{}#{}", hit.record.path.display(), hit.scene.index))
        .collect()
}

#[test]
fn the_best_scene_comes_first_with_its_moment() {
    let world = World::new();
    world.video("/v/a.mp4", 1, &[[GREEN; 3], [RED, BLUE, RED]]);
    world.video("/v/b.mp4", 2, &[[BLUE; 3]]);
    let answer = world.search("blue", &everything(2, GroupBy::Scene));
    assert_eq!(paths(&answer), ["/v/b.mp4#0", "/v/a.mp4#1"]);
    let second = &answer.hits[1];
    assert_eq!((second.span.start_ms, second.span.end_ms, second.best_ms), (1000, 2000, 1300));
    assert!(answer.hits[0].score >= second.score);
    assert_eq!(
        answer.coverage,
        Coverage {
            indexed: 2,
            ..Coverage::default()
        }
    );
}

#[test]
fn grouping_by_video_ranks_by_the_mean_and_names_the_best_scene() {
    let world = World::new();
    world.video("/v/often.mp4", 1, &[[RED, RED, BLUE], [RED, RED, BLUE]]);
    world.video("/v/once.mp4", 2, &[[GREEN; 3], [GREEN; 3], [RED; 3]]);
    assert_eq!(paths(&world.search("red", &everything(1, GroupBy::Scene))), ["/v/once.mp4#2"]);
    let answer = world.search("red", &everything(5, GroupBy::Video));
    assert_eq!(answer.hits.len(), 2);
    assert_eq!(answer.hits[0].record.path.to_str(), Some("/v/often.mp4"));
    assert_eq!(paths(&answer)[1], "/v/once.mp4#2");
    let query = world.embedder.embed_texts(&["red".to_owned()]).unwrap().remove(0);
    let id = answer.hits[0].record.id;
    let mean = (0..2)
        .map(|index| world.slot.ann.get(SceneId::new(id, index)).unwrap().cosine(&query))
        .sum::<f32>()
        / 2.0;
    assert!((answer.hits[0].video_score.unwrap() - mean).abs() < 1e-3);
}

#[test]
fn filters_hide_nothing_that_matches() {
    let world = World::new();
    for index in 0..30 {
        world.video(&format!("/v/many/{index}.mp4"), 40, &[[RED; 3]]);
    }
    world.video("/v/few/only.mp4", 3, &[[RED, BLACK, BLACK], [GREEN; 3]]);
    world.video("/v/few-not.mp4", 4, &[[RED; 3]]);
    assert_eq!(
        paths(&world.search("red", &within("/v/few"))),
        ["/v/few/only.mp4#0", "/v/few/only.mp4#1"]
    );
    let check = |filters: Filters, expected: usize| {
        let answer = world.search(
            "red",
            &Wanted {
                filters: filters.clone(),
                ..everything(100, GroupBy::Video)
            },
        );
        assert_eq!(answer.hits.len(), expected, "{filters:?}");
        assert_eq!(answer.coverage.indexed, expected as u64, "{filters:?}");
    };
    let day = |day: i64| Some(day * 86_400_000);
    check(Filters::default(), 32);
    check(
        Filters {
            since_ms: day(4),
            ..Filters::default()
        },
        31,
    );
    check(
        Filters {
            until_ms: day(4),
            ..Filters::default()
        },
        1,
    );
    check(
        Filters {
            since_ms: day(3),
            until_ms: day(5),
            ..Filters::default()
        },
        2,
    );
    check(
        Filters {
            min_duration_ms: Some(2000),
            ..Filters::default()
        },
        1,
    );
    check(
        Filters {
            max_duration_ms: Some(1000),
            ..Filters::default()
        },
        31,
    );
    check(
        Filters {
            within: vec!["/elsewhere".into()],
            ..Filters::default()
        },
        0,
    );
}

#[test]
fn what_is_not_wanted_is_left_out() {
    let world = World::new();
    world.video("/v/a.mp4", 1, &[[BLUE; 3], [RED; 3]]);
    let answer = world
        .searcher
        .search("red", &["blue".to_owned()], &everything(10, GroupBy::Scene))
        .unwrap();
    assert_eq!(paths(&answer), ["/v/a.mp4#1"]);
}

#[test]
fn pending_failed_and_offline_videos_are_counted() {
    let world = World::new();
    let away = world.video("/v/away.mp4", 1, &[[RED; 3]]);
    world.store.set_offline(&[away], true).unwrap();
    let add = |path: &str| {
        let stamp = FileStamp {
            size_bytes: 1,
            mtime_ns: 0,
            inode: 1,
        };
        world
            .store
            .add_video(
                NewVideo {
                    path: path.into(),
                    stamp,
                    fingerprint: Fingerprint([9; 16]),
                    on_root_device: true,
                },
                0,
            )
            .unwrap()
            .id
    };
    add("/v/new.mp4");
    let failed = add("/v/failed.mp4");
    world
        .store
        .put_failed(failed, "broken", None, crate::store::Cause::Video, "test", 0)
        .unwrap();
    let answer = world.search("red", &everything(10, GroupBy::Scene));
    assert_eq!(
        answer.coverage,
        Coverage {
            indexed: 0,
            pending: 1,
            failed: 1,
            offline: 1
        }
    );
    assert!(answer.hits[0].record.offline, "an offline video stays searchable");
}

#[test]
fn similar_leaves_out_the_video_that_is_the_question_and_begins_with_the_moment_that_is() {
    let world = World::new();
    world.video("/v/a.mp4", 1, &[[RED; 3], [RED, RED, BLACK]]);
    world.video("/v/b.mp4", 2, &[[RED; 3], [BLUE; 3]]);
    let similar = |path: &str, at_ms| {
        paths(
            &world
                .searcher
                .similar(
                    &SimilarTo { path: path.into(), at_ms },
                    &everything(1, GroupBy::Scene),
                    &Cancel::default(),
                )
                .unwrap(),
        )
    };
    assert_eq!(similar("/v/a.mp4", None), ["/v/b.mp4#0"]);
    let away = world.store.video_at("/v/a.mp4".as_ref()).unwrap().id;
    world.store.set_offline(&[away], true).unwrap();
    // The drive is offline, so the nearest sampled frame replaces the moment.
    assert_eq!(similar("/v/a.mp4", Some(100)), ["/v/a.mp4#0"]);
    assert_eq!(similar("/v/a.mp4", Some(1600)), ["/v/a.mp4#1"]);
}

#[test]
fn similar_to_a_picture_that_is_not_indexed_decodes_it() {
    let world = World::new();
    world.video("/v/a.mp4", 1, &[[RED; 3], [GREEN; 3]]);
    let file = world.folder.path().join("picture.png");
    std::fs::write(&file, "a picture").unwrap();
    let answer = world
        .searcher
        .similar(
            &SimilarTo { path: file, at_ms: None },
            &everything(1, GroupBy::Scene),
            &Cancel::default(),
        )
        .unwrap();
    assert_eq!(paths(&answer), ["/v/a.mp4#1"]);
    let missing = SimilarTo {
        path: "/nonexistent.png".into(),
        at_ms: None,
    };
    assert!(matches!(
        world.searcher.similar(&missing, &everything(1, GroupBy::Scene), &Cancel::default()),
        Err(QueryError::File { .. })
    ));
}

#[test]
fn standing_counts_every_better_scene() {
    let world = World::new();
    let a = world.video("/v/a.mp4", 1, &[[GREEN; 3], [RED, BLUE, BLUE]]);
    world.video("/v/b.mp4", 2, &[[RED; 3], [RED, RED, BLUE]]);
    let rank_of = world.searcher.rank_of(&world.store.video(a).unwrap(), "red").unwrap().unwrap();
    assert_eq!((rank_of.hit.scene.index, rank_of.rank, rank_of.of_scenes), (1, 3, 4));
}

#[test]
fn questions_that_cannot_be_answered_say_so() {
    let world = World::new();
    let ask = |query: &str, n: usize| world.searcher.search(query, &[], &everything(n, GroupBy::Scene));
    assert!(matches!(ask("  ", 1), Err(QueryError::Empty)));
    assert!(matches!(ask(&"x".repeat(100_000), 1), Err(QueryError::TooLong { bytes: 100_000 })));
    assert!(matches!(ask("red", 0), Err(QueryError::BadCount(0))));
    assert!(matches!(ask("red", MAX_HITS + 1), Err(QueryError::BadCount(_))));
    assert!(ask("red", 1).unwrap().hits.is_empty(), "an empty library is no error");
}

#[test]
fn a_text_asked_again_is_not_embedded_again() {
    let world = World::new();
    world.video("/v/a.mp4", 1, &[[RED; 3]]);
    world.search("blue", &everything(1, GroupBy::Scene));
    let n_before = world.embedder.n_texts();
    for _ in 0..5 {
        world.search("red", &everything(1, GroupBy::Scene));
        world.search(" red ", &everything(1, GroupBy::Scene));
    }
    assert_eq!(world.embedder.n_texts(), n_before + 1);
}

/// A model that is retired while it embeds a query. The next one takes its place first, as at the end of a change of model.
struct Retired {
    serving: Arc<Serving>,
    next: Mutex<Option<Arc<ModelSlot>>>,
    info: crate::embed::ModelInfo,
}

impl crate::embed::Embedder for Retired {
    fn model(&self) -> crate::embed::ModelInfo {
        self.info.clone()
    }

    fn embed_texts(&self, _: &[String]) -> Result<Vec<Embedding>, EmbedError> {
        if let Some(next) = self.next.lock().unwrap().take() {
            self.serving.set_current(next);
        }
        Err(EmbedError::ShuttingDown)
    }

    fn embed_pictures(&self, pictures: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        self.embed_frames(pictures)
    }

    fn embed_frames(&self, _: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        Err(EmbedError::ShuttingDown)
    }

    fn provider(&self) -> Option<crate::embed::ProviderReport> {
        None
    }
}

#[test]
fn a_question_in_the_middle_of_a_change_of_model_is_answered_by_the_new_one() {
    let world = World::new();
    world.video("/films/red.mp4", 1, &[[RED; 3]]);
    let serving = Arc::new(Serving::default());
    let old = FakeEmbedder::named("old").model();
    let ask = |next: Option<Arc<ModelSlot>>| {
        let embedder = Retired {
            serving: Arc::clone(&serving),
            next: Mutex::new(next),
            info: old.clone(),
        };
        let (ann, _) = Ann::open(&world.folder.path().join("index"), &old.id, old.dimensions.unwrap()).unwrap();
        serving.set_current(Arc::new(ModelSlot {
            info: old.clone(),
            embedder: Arc::new(embedder),
            ann,
            decodes_afresh: false,
        }));
        let searcher = Searcher::new(world.store.clone(), Arc::clone(&serving), Arc::new(Green), None);
        searcher.search("red", &[], &everything(1, GroupBy::Scene))
    };
    let answer = ask(Some(Arc::clone(&world.slot))).unwrap();
    assert_eq!(paths(&answer), ["/films/red.mp4#0"]);
    // If no other model took its place, the daemon is stopping.
    assert!(matches!(ask(None), Err(QueryError::Embed(EmbedError::ShuttingDown))));
}
