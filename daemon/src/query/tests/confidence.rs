//! The confidence of hits, with the fake model.

use std::sync::Condvar;

use super::*;

fn at_least(min_confidence: f32) -> Wanted {
    Wanted {
        min_confidence: Some(min_confidence),
        ..everything(10, GroupBy::Scene)
    }
}

#[test]
fn what_is_shown_is_sure_what_is_not_shown_is_not_and_may_be_left_out() {
    let world = World::new();
    world.video("/v/red.mp4", 1, &[[RED; 3], [BLUE; 3]]);
    let all = world.search("red", &everything(10, GroupBy::Scene));
    let sure: Vec<f32> = all.hits.iter().map(|hit| hit.confidence.unwrap()).collect();
    assert!(sure[0] > 0.9 && sure[1] < 0.1, "{sure:?}");
    assert!(sure.iter().all(|one| (0.0..=1.0).contains(one)), "{sure:?}");
    assert_eq!(paths(&world.search("red", &at_least(0.5))), ["/v/red.mp4#0"]);
    let by_video = Wanted {
        by: GroupBy::Video,
        ..at_least(0.5)
    };
    assert_eq!(paths(&world.search("blue", &by_video)), ["/v/red.mp4#1"]);
    let nothing = world.search("green", &at_least(0.5));
    assert!(nothing.hits.is_empty() && nothing.is_measured, "{nothing:?}");
    let record = world.store.video_at("/v/red.mp4".as_ref()).unwrap();
    let rank_of = world.searcher.rank_of(&record, "green").unwrap().unwrap();
    assert!(rank_of.hit.confidence.is_some_and(|confidence| confidence < 0.1), "{rank_of:?}");
}

#[test]
fn pictures_tell_no_confidence_and_are_not_left_out_for_it() {
    let world = World::new();
    world.video("/v/red.mp4", 1, &[[RED; 3]]);
    let video = world.folder.path().join("green.png");
    std::fs::write(&video, "x").unwrap();
    let likeness = SimilarTo { path: video, at_ms: None };
    let answer = world.searcher.similar(&likeness, &at_least(0.9), &Cancel::default()).unwrap();
    assert_eq!(answer.hits.len(), 1);
    assert!(!answer.is_measured && answer.hits[0].confidence.is_none(), "{answer:?}");
}

#[test]
fn the_measure_is_made_once_and_made_again_when_what_is_kept_of_it_is_damaged() {
    let world = World::new();
    world.video("/v/red.mp4", 1, &[[RED; 3]]);
    let cache = world.folder.path().join("measures");
    let n_embedded = || {
        let serving = Arc::new(Serving::default());
        serving.set_current(Arc::clone(&world.slot));
        let searcher = Searcher::new(world.store.clone(), serving, Arc::new(Green), Some(cache.clone()));
        let n_before = world.embedder.n_texts();
        let answer = searcher.search("red", &[], &everything(1, GroupBy::Scene)).unwrap();
        assert!(answer.hits[0].confidence.is_some_and(|confidence| confidence > 0.9), "{answer:?}");
        world.embedder.n_texts() - n_before
    };
    let n_made = n_embedded();
    assert!(n_made > 100, "{n_made}");
    assert_eq!(n_embedded(), 1, "the query alone");
    let kept: Vec<_> = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &kept[..] else { panic!("{kept:?}") };
    let whole = std::fs::read(file).unwrap();
    let mut turned = whole.clone();
    turned[whole.len() / 2] ^= 4;
    for damaged in [&whole[..whole.len() / 2], &turned[..], b""] {
        std::fs::write(file, damaged).unwrap();
        assert_eq!(n_embedded(), n_made);
        assert_eq!(std::fs::read(file).unwrap(), whole, "it is kept again");
    }
}

/// Embeds single texts at once. Waits with several texts until the test decides how that ends.
struct Slow {
    inner: FakeEmbedder,
    verdict: Arc<(Mutex<Option<bool>>, Condvar)>,
}

impl crate::embed::Embedder for Slow {
    fn model(&self) -> crate::embed::ModelInfo {
        self.inner.model()
    }

    fn embed_texts(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError> {
        if texts.len() > 1 {
            let (verdict, changed) = &*self.verdict;
            let verdict = changed.wait_while(verdict.lock().unwrap(), |verdict| verdict.is_none()).unwrap();
            if *verdict == Some(false) {
                return Err(EmbedError::TimedOut { seconds: 1 });
            }
        }
        self.inner.embed_texts(texts)
    }

    fn embed_pictures(&self, pictures: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        self.inner.embed_pictures(pictures)
    }

    fn embed_frames(&self, frames: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
        self.inner.embed_frames(frames)
    }

    fn provider(&self) -> Option<crate::embed::ProviderReport> {
        None
    }
}

#[test]
fn answers_do_not_wait_for_the_measure_of_a_slow_model_nor_for_one_that_fails() {
    let world = World::new();
    world.video("/v/red.mp4", 1, &[[RED; 3]]);
    let verdict = Arc::new((Mutex::new(None), Condvar::new()));
    let serving = Arc::new(Serving::default());
    serving.set_current(Arc::new(ModelSlot {
        info: world.slot.info.clone(),
        embedder: Arc::new(Slow {
            inner: FakeEmbedder::default(),
            verdict: Arc::clone(&verdict),
        }),
        ann: Ann::open(
            &world.folder.path().join("second"),
            &world.slot.info.id,
            world.slot.info.dimensions.unwrap(),
        )
        .unwrap()
        .0,
        decodes_afresh: false,
    }));
    let cache = world.folder.path().join("measures");
    let searcher = Searcher::new(world.store.clone(), serving, Arc::new(Green), Some(cache));
    let ask = || {
        let record = world.store.video_at("/v/red.mp4".as_ref()).unwrap();
        searcher.rank_of(&record, "red").unwrap().unwrap().hit.confidence
    };
    let end_with = |how: bool| {
        *verdict.0.lock().unwrap() = Some(how);
        verdict.1.notify_all();
    };
    assert_eq!(ask(), None, "while it is being made");
    end_with(false);
    assert_eq!(ask(), None, "when that failed");
    end_with(true);
    assert!(ask().is_some_and(|confidence| confidence > 0.9), "once it could be made");
}
