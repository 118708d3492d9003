//! Random operation sequences against a plain map, with reopening in between.

use std::collections::BTreeMap;

use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Expected {
    path: String,
    content: u8,
    state: VideoState,
    offline: bool,
    /// The content, and the number of scenes of each model.
    had: Option<(u8, BTreeMap<String, usize>)>,
}

#[test]
fn random_operations_match_a_plain_map() {
    for seed in 1..=4 {
        run(seed);
    }
}

fn run(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let mut expected: BTreeMap<VideoId, Expected> = BTreeMap::new();
    let mut random = Random(seed * 104_729);
    let mut generation = 0;
    for step in 0..250 {
        let path = format!("/films/{}", random.below(12));
        let content = random.below(5) as u8;
        let at_path = expected.iter().find(|(_, video)| video.path == path).map(|(id, _)| *id);
        let any = expected.keys().nth(random.below(12) as usize).copied();
        match (random.below(12), any) {
            (0..=2, _) if at_path.is_none() => {
                let id = store.add_video(new_video(&path, content), step).unwrap().id;
                let video = Expected {
                    path,
                    content,
                    state: VideoState::Pending,
                    offline: false,
                    had: None,
                };
                assert_eq!(expected.insert(id, video), None);
            }
            (3..=5, Some(id)) => {
                let name = ["m", "other"][random.below(2) as usize];
                let n_scenes = 1 + random.below(4) as usize;
                let record = store.video(id).unwrap();
                store.put_indexed(indexed(&record, name, n_scenes)).unwrap();
                let video = expected.get_mut(&id).unwrap();
                let mut models = match video.had.take() {
                    Some((content, models)) if content == video.content && models.values().all(|n| *n == n_scenes) => models,
                    _ => BTreeMap::new(),
                };
                models.insert(name.to_owned(), n_scenes);
                video.had = Some((video.content, models));
                video.state = VideoState::Indexed;
            }
            (6, Some(id)) => {
                store
                    .requeue(id, Some((stamp(step as u64), Fingerprint([content; 16]))), step)
                    .unwrap();
                let video = expected.get_mut(&id).unwrap();
                (video.content, video.state) = (content, VideoState::Pending);
            }
            (7, Some(id)) => {
                store.put_failed(id, "broken", None, crate::store::Cause::Video, "v", step).unwrap();
                let video = expected.get_mut(&id).unwrap();
                video.state = VideoState::Failed;
                let current = video.content;
                video.had.take_if(|(content, _)| *content != current);
            }
            (8, Some(id)) => {
                store.move_video(id, Path::new(&path), stamp(1), true).unwrap();
                if let Some(occupant) = at_path.filter(|other| *other != id) {
                    expected.remove(&occupant);
                }
                let video = expected.get_mut(&id).unwrap();
                (video.path, video.offline) = (path, false);
            }
            (9, Some(id)) if at_path.is_none() => {
                let source = expected[&id].clone();
                let copy = store.clone_video(id, new_video(&path, source.content), step).unwrap();
                let whole = source.state == VideoState::Indexed;
                let state = if whole { VideoState::Indexed } else { VideoState::Pending };
                let had = source.had.filter(|_| whole);
                expected.insert(
                    copy.id,
                    Expected {
                        path,
                        content: source.content,
                        state,
                        offline: false,
                        had,
                    },
                );
            }
            (10, Some(id)) => {
                store.set_offline(&[id], step % 2 == 0).unwrap();
                expected.get_mut(&id).unwrap().offline = step % 2 == 0;
            }
            (11, Some(id)) if random.below(3) == 0 => {
                store.remove_videos(&[id]).unwrap();
                expected.remove(&id);
            }
            _ if step % 5 == 0 => {
                drop(store);
                store = open(folder.path());
            }
            _ => {}
        }
        assert!(store.generation() >= generation, "seed {seed}, step {step}");
        generation = store.generation();
        compare(&store, &expected, &format!("seed {seed}, step {step}"));
    }
}

fn compare(store: &Store, expected: &BTreeMap<VideoId, Expected>, at: &str) {
    let videos = store.videos();
    assert_eq!(videos.len(), expected.len(), "{at}");
    let mut counts = Counts::default();
    for record in &videos {
        let video = &expected[&record.id];
        let stored = (record.path.to_str().unwrap(), record.fingerprint.0[0], record.state, record.offline);
        assert_eq!(stored, (video.path.as_str(), video.content, video.state, video.offline), "{at}");
        assert_eq!(store.job(record.id).is_some(), video.state == VideoState::Pending, "{at}");
        match (video.offline, video.state) {
            (true, _) => counts.offline += 1,
            (_, VideoState::Indexed) => counts.indexed += 1,
            (_, VideoState::Pending) => counts.pending += 1,
            (_, VideoState::Failed) => counts.failed += 1,
        }
        counts.scenes += u64::from(record.n_scenes);
        let (content, models) = video.had.clone().unwrap_or_default();
        let of_content = VideoRecord {
            fingerprint: Fingerprint([content; 16]),
            ..(**record).clone()
        };
        for name in ["m", "other"] {
            match models.get(name) {
                Some(n_scenes) => check_content(store, &of_content, name, *n_scenes),
                None => assert!(!store.has_vectors(&model(name), record.id).unwrap(), "{at}"),
            }
        }
        assert_eq!(
            store.scenes(record.id).unwrap().len(),
            models.values().next().copied().unwrap_or(0),
            "{at}"
        );
    }
    assert_eq!(store.counts(), counts, "{at}");
    let n_vectors: usize = expected
        .values()
        .filter_map(|video| video.had.as_ref())
        .flat_map(|(_, models)| models.values())
        .sum();
    assert_eq!(store.inner.disk.vectors.iter().count(), n_vectors, "{at}");
}
