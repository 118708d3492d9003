//! kill -9 of the daemon and of its workers, while they run.

use std::time::{Duration, Instant};

use scened::store::{OpenReport, Store};
use scened_common::domain::SceneId;
use testkit::{Daemon, Sandbox, pause, processes, videos, wait_until};

use crate::{LONG, SOON, answer, assert_same_answers, worker};

const QUERIES: [&str; 3] = ["a red background", "a blue background", "a yellow background"];

/// Pseudorandom numbers. SCENED_TEST_SEED repeats a failing run.
pub(crate) struct Moments(u64);

impl Moments {
    pub(crate) fn from_environment() -> Self {
        let given = std::env::var("SCENED_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
        eprintln!("SCENED_TEST_SEED={seed}");
        Self(seed)
    }

    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// Returns a number below `limit`. **Source**: Steele and Vigna, 2021: a multiplier for 64-bit linear congruential generators.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

type Parts = &'static [(&'static str, f64)];

/// The videos at the end.
const VIDEOS: [(&str, Parts); 6] = [
    ("a.mp4", &[("red", 1.0), ("blue", 1.2)]),
    ("b.mp4", &[("green", 1.4)]),
    ("c.mp4", &[("white", 1.0), ("red", 1.0), ("green", 1.0)]),
    ("d.mp4", &[("blue", 2.0)]),
    ("e.mp4", &[("white", 1.0), ("yellow", 1.0)]),
    ("f.mp4", &[("black", 1.0), ("red", 1.6)]),
];
/// The videos before that: made once, and copied to any name.
const DRAFTS: [Parts; 6] = [
    &[("red", 1.1), ("green", 1.0)],
    &[("green", 1.2), ("red", 1.0)],
    &[("blue", 1.3), ("white", 1.1), ("red", 1.0)],
    &[("yellow", 1.2)],
    &[("white", 1.3), ("black", 1.0)],
    &[("blue", 1.1)],
];
/// Daemons that run side by side, each with its own videos, because most of a cycle is waiting.
const N_SANDBOXES: u64 = 3;
/// From before the store is open to after the last commit of the new video.
const LATEST_KILL_MS: u64 = 800;
/// Kills between two checks of everything.
const KILLS_A_CHECK: u64 = 10;

/// If no worker starts within this time, the daemon is killed instead.
const WORKER_LIMIT: Duration = Duration::from_secs(1);

/// The answers of a daemon that was never killed.
type Expected = [Vec<(String, u64, u64, u64, f64)>; 3];

fn kill_at_random_moments(n_kills: u64) {
    let undisturbed = Sandbox::new();
    for (name, parts) in VIDEOS {
        undisturbed.video(name, parts);
    }
    let daemon = undisturbed.start();
    undisturbed.settle();
    let expected: Expected = QUERIES.map(|query| answer(&undisturbed, query));
    assert!(daemon.stop().success());
    let drafts: Vec<Vec<u8>> = DRAFTS
        .iter()
        .map(|parts| std::fs::read(undisturbed.video("draft.mp4", parts)).unwrap())
        .collect();
    let seed = Moments::from_environment().0;
    let began = Instant::now();
    let (expected, drafts) = (&expected, &drafts);
    let victims: Vec<[u64; 3]> = std::thread::scope(|scope| {
        let run = |number| {
            let share = n_kills / N_SANDBOXES + u64::from(number < n_kills % N_SANDBOXES);
            scope.spawn(move || kill_one_daemon(Moments::of(seed + number), share, drafts, expected))
        };
        let threads: Vec<_> = (0..N_SANDBOXES).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let killed = |victim: usize| victims.iter().map(|counts| counts[victim]).sum::<u64>();
    eprintln!(
        "kill -9 at {n_kills} random moments in {:.0?}: {} of the daemon, {} of a media worker, {} of the embed worker; nothing lost, nothing double, the same answers",
        began.elapsed(),
        killed(0),
        killed(1),
        killed(2)
    );
}

/// Returns how often the daemon, a media worker and an embed worker were killed.
fn kill_one_daemon(mut moments: Moments, n_kills: u64, drafts: &[Vec<u8>], expected: &Expected) -> [u64; 3] {
    let sandbox = Sandbox::new();
    let mut killed = [0; 3];
    for number in 0..n_kills {
        change_videos(&sandbox, &mut moments, drafts);
        let mut daemon = sandbox.launch();
        // The moment of the kill is what the test varies.
        pause(Duration::from_millis(moments.below(LATEST_KILL_MS)));
        let victim = kill_something(&daemon, &mut moments);
        killed[victim] += 1;
        if victim != 0 {
            // The daemon continues with another worker, and is killed in the middle of that.
            pause(Duration::from_millis(moments.below(300)));
            assert!(daemon.is_alive(), "a worker's death ended it\n{}", sandbox.log_tail());
        }
        daemon.kill();
        if number % KILLS_A_CHECK == KILLS_A_CHECK - 1 {
            let daemon = sandbox.start();
            sandbox.settle();
            try_quarantined_again(&sandbox);
            check_whole(&sandbox, number + 1);
            daemon.kill();
            check_store(&sandbox);
        }
    }
    for entry in std::fs::read_dir(sandbox.videos()).unwrap().flatten() {
        std::fs::remove_file(entry.path()).unwrap();
    }
    for (name, parts) in VIDEOS {
        sandbox.video(name, parts);
    }
    let _daemon = sandbox.start();
    sandbox.settle();
    try_quarantined_again(&sandbox);
    check_whole(&sandbox, n_kills);
    let n_scenes: usize = VIDEOS.iter().map(|(_, parts)| parts.len()).sum();
    assert_eq!(sandbox.ctl_json(["status"])["scenes"], n_scenes, "each is indexed once");
    for (query, expected) in QUERIES.iter().zip(expected) {
        assert_same_answers(&answer(&sandbox, query), expected, &sandbox.log_tail());
    }
    killed
}

/// Picks the daemon or one of its workers and kills the worker, if there is one. Returns which it was.
fn kill_something(daemon: &Daemon<'_>, moments: &mut Moments) -> usize {
    let roles = ["", "media", "embed"];
    let wanted = moments.below(roles.len() as u64) as usize;
    if wanted == 0 {
        return 0;
    }
    // No worker may start: the new video is a copy of another one, or is already done.
    let deadline = Instant::now() + WORKER_LIMIT;
    while Instant::now() < deadline {
        if let Some(worker) = processes::workers(daemon.pid(), roles[wanted]).first() {
            pause(Duration::from_millis(moments.below(60)));
            return if processes::signal(worker.pid, "KILL") { wanted } else { 0 };
        }
        pause(Duration::from_millis(5));
    }
    0
}

/// Checks the store itself, without a daemon: every scene has vectors and a thumbnail.
fn check_store(sandbox: &Sandbox) {
    let (store, report) = Store::open(&sandbox.data()).unwrap();
    assert_eq!(report, OpenReport::default(), "{}", sandbox.log_tail());
    for video in store.videos() {
        let n = video.n_scenes as usize;
        assert!(n > 0, "{video:?}");
        assert_eq!(store.scenes(video.id).unwrap().len(), n, "{video:?}");
        let models = store.models().unwrap();
        assert!(
            models.iter().any(|model| store.video_vectors(model, video.id).unwrap().len() == n),
            "{video:?}"
        );
        for index in 0..n {
            let thumbnail = store.thumbnail(SceneId::new(video.id, index)).unwrap();
            assert!(
                thumbnail.is_some_and(|jpeg| jpeg.starts_with(&[0xff, 0xd8])),
                "scene {index} of {video:?}"
            );
        }
    }
    assert!(store.damaged().is_empty(), "{:?}", store.damaged());
}

/// Adds, changes, moves or removes a video while no daemon runs.
fn change_videos(sandbox: &Sandbox, moments: &mut Moments, drafts: &[Vec<u8>]) {
    let path = |number: u64| sandbox.videos().join(format!("video {number}.mp4"));
    let (one, other) = (path(moments.below(8)), path(moments.below(8)));
    match moments.below(6) {
        0 if one.is_file() => std::fs::rename(one, other).unwrap(),
        1 if one.is_file() => std::fs::remove_file(one).unwrap(),
        _ => {
            let made = sandbox.path().join("video in the making");
            let mut bytes = drafts[moments.below(drafts.len() as u64) as usize].clone();
            // Players skip this box. It makes the video a new one, which has to be decoded.
            bytes.extend_from_slice(&[0, 0, 0, 16]);
            bytes.extend_from_slice(b"free");
            bytes.extend_from_slice(&moments.below(u64::from(u32::MAX)).to_be_bytes());
            std::fs::write(&made, bytes).unwrap();
            sandbox.put(&made, &one);
        }
    }
}

/// A video whose worker happened to be killed six times is rightly quarantined. Here all the kills were ours, so it is tried again.
fn try_quarantined_again(sandbox: &Sandbox) {
    let answer = sandbox.ctl_json(["incidents"]);
    let incidents = answer["incidents"].as_array().unwrap();
    for incident in incidents {
        let reason = incident["reason"].as_str().unwrap();
        assert!(incident["cause"] == "machine" && reason.contains("signal 9"), "{incident}");
    }
    if !incidents.is_empty() {
        sandbox.run(["retry"]).expect(0);
        sandbox.settle();
    }
}

/// Checks that every video is indexed with scenes and vectors, that store and index agree, and that nothing was damaged.
fn check_whole(sandbox: &Sandbox, n_kills: u64) {
    let log = || format!("after {n_kills} kills\n{}", sandbox.log_tail());
    let videos: Vec<_> = std::fs::read_dir(sandbox.videos())
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert_eq!(sandbox.counts(), [videos.len() as u64, 0, 0, 0], "{}", log());
    let status = sandbox.ctl_json(["status"]);
    assert_eq!(status["warnings"].to_string(), "[]", "nothing was damaged; {}", log());
    let mut n_scenes = 0;
    for video in &videos {
        let path = video.to_str().unwrap();
        let scenes = sandbox.ctl_json(["scenes", path]);
        let scenes = scenes["scenes"].as_array().unwrap().len();
        assert!(scenes > 0, "{path} has no scenes; {}", log());
        n_scenes += scenes;
    }
    assert_eq!(status["scenes"], n_scenes, "{}", log());
    // A search without a limit finds every scene, so every scene has its vectors.
    assert_eq!(sandbox.search("anything").len(), n_scenes, "{}", log());
    let doctor = sandbox.ctl_json(["doctor"]);
    for check in doctor["checks"].as_array().unwrap() {
        assert_ne!(check["state"], "fail", "{check}; {}", log());
    }
}

#[test]
fn kills_at_random_moments_lose_and_double_nothing() {
    eprintln!("60 kills; 1,000 of them: make check-long");
    kill_at_random_moments(60);
}

#[test]
#[ignore = "takes ten minutes: make check-long"]
fn a_thousand_kills_at_random_moments_lose_and_double_nothing() {
    kill_at_random_moments(1_000);
}

#[test]
fn a_media_worker_that_is_killed_is_replaced_and_its_video_indexed() {
    a_worker_is_killed("media");
}

#[test]
fn an_embed_worker_that_is_killed_is_replaced_and_its_video_indexed() {
    a_worker_is_killed("embed");
}

fn a_worker_is_killed(role: &str) {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.start();
    sandbox.video("long.mp4", LONG);
    let media = worker(daemon.pid(), "media", &sandbox);
    let victim = if role == "media" {
        media
    } else {
        worker(daemon.pid(), "embed", &sandbox)
    };
    assert!(
        processes::signal(victim, "KILL"),
        "{role} had ended already: the video is too short"
    );
    sandbox.settle();
    assert!(daemon.is_alive());
    assert_eq!(
        sandbox.counts(),
        [1, 0, 0, 0],
        "{}\n{}",
        sandbox.say("incidents").stdout,
        sandbox.log_tail()
    );
    sandbox.run(["search", "red"]).expect(0).says("long.mp4");
}

#[test]
fn where_every_worker_dies_the_machine_is_at_fault_and_its_videos_are_indexed_when_it_works() {
    let sandbox = Sandbox::new();
    // Stands for a broken library: every media worker dies, whatever its input, and embedding works.
    let worker = sandbox.path().join("crashing-worker");
    let broken = sandbox.path().join("broken");
    std::fs::write(&broken, "").unwrap();
    std::fs::write(
        &worker,
        format!(
            "#!/bin/sh\nif [ \"$1\" = media ] && [ -e '{}' ]; then kill -SEGV $$; fi\nexec '{}' \"$@\"\n",
            broken.display(),
            testkit::program("scened-worker").display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(&worker, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    videos::colours(&sandbox.videos().join("film.mp4"), &[("red", 1.0)]);
    let mut command = sandbox.command("scened");
    command.env("SCENED_WORKER", &worker);
    let mut daemon = sandbox.launch_as(command);
    daemon.wait_until_ready();
    wait_until("why indexing waits", SOON, || {
        let status = sandbox.ctl_json(["status"]);
        let says = status["warnings"].to_string();
        if says.contains("SIGSEGV") { Ok(()) } else { Err(says) }
    });
    assert!(daemon.is_alive());
    assert_eq!(sandbox.counts(), [0, 1, 0, 0], "{}", sandbox.log_tail());
    sandbox.run(["incidents"]).expect(0).complains("no file has failed");
    std::fs::remove_file(&broken).unwrap();
    // The daemon would try again by itself, half a minute later.
    sandbox.run(["resume"]).expect(0);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0], "{}", sandbox.log_tail());
}
