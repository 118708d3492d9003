//! Videos on which workers die: they are tried three times, delay no other video, and are then left alone.

use super::*;

fn died() -> MediaError {
    MediaError::WorkerDied {
        detail: "killed by signal 11 (SIGSEGV)".to_owned(),
    }
}

fn crashes() -> Script {
    Script::FailsAfter(red_and_blue(), died())
}

fn assert_indexed(world: &World, expected: &str) {
    match world.next() {
        PipelineEvent::VideoIndexed { path, .. } => assert_eq!(path, world.folder.path().join(expected)),
        other => panic!("{expected} is not indexed: {other:?}"),
    }
}

fn assert_failed(world: &World, expected: &str) {
    match world.next() {
        PipelineEvent::VideoFailed { path, .. } => assert_eq!(path, world.folder.path().join(expected)),
        other => panic!("{expected} does not fail: {other:?}"),
    }
}

#[test]
fn a_video_that_kills_its_worker_is_tried_whole_alone_and_by_its_keyframes_then_left_alone() {
    let world = World::new();
    let crash = world.video("crash.mp4", "crash");
    assert_failed(&world, "crash.mp4");
    assert_eq!(world.source.keyframes_only(), [false, false, true]);
    let incident = world.store.incident(crash).unwrap().unwrap();
    assert_eq!(incident.attempts, 3);
    assert!(incident.reason.contains("SIGSEGV"), "{}", incident.reason);
    assert!(incident.hint.is_some_and(|hint| hint.contains("scenectl retry")));
    // It is not tried again automatically.
    world.video("good.mp4", "good");
    assert_indexed(&world, "good.mp4");
    assert_eq!(world.n_analyses(), 4);
}

#[test]
fn deaths_are_remembered_over_a_restart() {
    let world = World::paused_with(scripts());
    let crash = world.video("crash.mp4", "crash");
    let record = world.store.video(crash).unwrap();
    assert_eq!(world.store.note_death(&record).unwrap(), 1);
    assert_eq!(world.store.note_death(&record).unwrap(), 2);
    let world = world.restarted();
    world.indexer.resume();
    assert_failed(&world, "crash.mp4");
    assert_eq!(world.source.keyframes_only(), [true], "one attempt was left");
    assert_eq!(world.store.incident(crash).unwrap().unwrap().attempts, 3);
}

#[test]
fn new_content_and_the_users_wish_give_all_attempts_again() {
    let world = World::new();
    let crash = world.video("crash.mp4", "crash");
    assert_failed(&world, "crash.mp4");
    world.store.requeue(crash, None, 2).unwrap();
    assert_failed(&world, "crash.mp4");
    assert_eq!(world.n_analyses(), 6);
    assert_eq!(world.store.incident(crash).unwrap().unwrap().attempts, 6);

    let path = world.folder.path().join("crash.mp4");
    std::fs::write(&path, "good").unwrap();
    let (_, stamp) = crate::video_file::open_stamped(&path).unwrap();
    world.store.requeue(crash, Some((stamp, Fingerprint([9; 16]))), 3).unwrap();
    assert_indexed(&world, "crash.mp4");
    assert!(world.store.incident(crash).unwrap().is_none());
}

#[test]
fn a_video_whose_keyframes_alone_can_be_decoded_is_indexed_and_says_so() {
    let world = World::paused_with(scripts().with("half", [crashes(), crashes(), Script::Scenes(red_and_blue())]));
    let half = world.video("half.mp4", "half");
    world.indexer.resume();
    assert_indexed(&world, "half.mp4");
    let record = world.store.video(half).unwrap();
    let damage = record.damage.clone().expect("it is said");
    assert!(damage.contains("keyframes"), "{damage}");
    assert_eq!(world.store.n_jobs(), 0);
}

#[test]
fn a_hundred_poisoned_videos_among_a_thousand_are_tried_again_only_when_all_others_are_done() {
    let world = World::paused_with(scripts());
    let (n_videos, every) = (1000, 10);
    for index in 0..n_videos {
        let kind = if index % every == 0 { "crash" } else { "good" };
        // The fingerprint is the first 16 bytes: no video is another's twin.
        world.video(&format!("{index}.mp4"), &format!("{kind}\n{index:010}"));
    }
    world.indexer.resume();
    let n_poisoned = n_videos / every;
    for _ in 0..n_videos {
        world.next();
    }
    let calls = world.source.calls();
    assert_eq!(calls.len(), n_videos + 2 * n_poisoned);
    let last_good = calls.iter().rposition(|key| key == "good").expect("videos are good");
    let n_deaths_before = calls[..last_good].iter().filter(|key| *key == "crash").count();
    assert!(
        n_deaths_before <= n_poisoned,
        "{n_deaths_before} deaths came before the last good video: some were tried twice"
    );
    let counts = world.store.counts();
    assert_eq!(
        (counts.indexed, counts.failed, counts.pending),
        ((n_videos - n_poisoned) as u64, n_poisoned as u64, 0)
    );
}

#[test]
fn nothing_runs_beside_a_video_that_killed_its_worker() {
    let world = World::paused_with(scripts().with("suspect", [crashes(), Script::Blocks(red_and_blue())]));
    world.video("suspect.mp4", "suspect");
    world.indexer.resume();
    let deadline = Instant::now() + TIMEOUT;
    while world.n_analyses() < 2 {
        assert!(Instant::now() < deadline, "it is not tried again");
        std::thread::yield_now();
    }
    world.video("good.mp4", "good");
    assert_eq!(world.indexer.n_jobs(), 2);
    world.source.release();
    assert_indexed(&world, "suspect.mp4");
    assert_indexed(&world, "good.mp4");
    assert_eq!(world.source.most_running(), 1);
}

#[test]
fn an_embed_worker_that_dies_on_one_video_is_that_videos_fault_and_on_several_the_machines() {
    let world = World::paused_with(scripts());
    let videos: Vec<VideoId> = (0..5)
        .map(|index| world.video(&format!("{index}.mp4"), &format!("good\n{index}")))
        .collect();
    world.embedder.fail_with(Some(EmbedError::WorkerDied {
        detail: "killed by signal 9 (SIGKILL)".to_owned(),
    }));
    world.indexer.resume();
    let deadline = Instant::now() + TIMEOUT;
    let n_deaths = || -> u32 {
        videos
            .iter()
            .filter_map(|video| world.store.job(*video))
            .map(|job| job.n_deaths)
            .sum()
    };
    while world.indexer.wait_reason().is_none() || n_deaths() == 0 {
        assert!(Instant::now() < deadline, "the hindrance was never told, or no video suspected");
        std::thread::yield_now();
    }
    assert_eq!((world.store.n_jobs(), n_deaths()), (5, 1), "none is given up, one was suspected");
    world.embedder.fail_with(None);
    until("all are indexed", || {
        // The other thread may fail a moment later, so that jobs are held again.
        world.indexer.wake();
        world.store.counts().indexed == 5
    });
}
