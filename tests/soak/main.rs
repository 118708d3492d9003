//! Runs a year of a library in minutes: the real watcher, reconciler, pipeline, store, index and server. Scenes and vectors are made up, so
//! nothing is decoded, but everything else happens.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]

mod made_up;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use scened::ann::Ann;
use scened::app::{Paths, TestDoubles};
use scened::config::Config;
use scened_common::embed::model::ModelFolder;
use testkit::{Sandbox, pause, processes, repository, wait_until};

/// Generous, because the machine may be busy.
const TIMEOUT: Duration = Duration::from_mins(20);

/// A whole daemon in this process, so that its source of frames and its model can be made up.
struct Resident {
    stop: tokio::sync::watch::Sender<bool>,
    thread: Option<JoinHandle<Result<(), scened::fatal::Fatal>>>,
}

impl Resident {
    fn start(sandbox: &Sandbox) -> Self {
        let (config, warnings) = Config::load(&sandbox.config()).unwrap();
        let warnings = warnings.iter().map(ToString::to_string).collect();
        let paths = Paths {
            data_dir: sandbox.data(),
            socket: sandbox.socket(),
            model_dirs: vec![repository().join("models")],
            program: None,
        };
        let doubles = TestDoubles {
            source: Some(Arc::new(made_up::Scenes)),
            make_embedder: Some(Arc::new(|folder| Ok(Arc::new(made_up::Model::of(folder))))),
        };
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let thread = std::thread::spawn(move || scened::app::run(&config, warnings, &paths, doubles, stopped));
        wait_until("the daemon to answer", TIMEOUT, || {
            let said = sandbox.run(["status"]);
            if said.status == 0 { Ok(()) } else { Err(said.stderr) }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    fn stop(mut self) {
        self.stop.send(true).unwrap();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

fn put_videos(folder: &Path, names: std::ops::Range<usize>, round: usize) {
    std::fs::create_dir_all(folder).unwrap();
    for name in names {
        // Every file has different content; equal files would be twins.
        std::fs::write(folder.join(format!("{name}.mp4")), format!("video {name} of round {round}")).unwrap();
    }
}

fn wait_for(sandbox: &Sandbox, n_indexed: u64) {
    wait_until(&format!("{n_indexed} videos"), TIMEOUT, || {
        sandbox.settle();
        match sandbox.counts() {
            [n, 0, 0, 0] if n == n_indexed => Ok(()),
            counts => Err(format!("{counts:?}\n{}", sandbox.log_tail())),
        }
    });
}

/// What a leak would show in: resident memory (kibibytes), open descriptors, threads.
fn held() -> (u64, usize, usize) {
    let this = std::process::id();
    let n_threads = std::fs::read_dir("/proc/self/task").unwrap().count();
    (processes::resident_kib(this), processes::descriptors(this).len(), n_threads)
}

fn environment(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
#[ignore = "takes minutes: make check-long"]
fn fifty_thousand_files_that_come_and_go_leave_nothing_behind() {
    let n_rounds = environment("SCENED_SOAK_ROUNDS", 54);
    let n_files = environment("SCENED_SOAK_FILES", 1000);
    let sandbox = Sandbox::new();
    sandbox.configure("settle-seconds = 0\nkeyframes = false\n");
    let daemon = Resident::start(&sandbox);
    let mut seen = Vec::new();
    for round in 0..n_rounds {
        let (here, there) = (sandbox.videos().join("here"), sandbox.videos().join("there"));
        put_videos(&here, 0..n_files, round);
        wait_for(&sandbox, n_files as u64);
        // Half of the files change, all of them move, and queries run.
        put_videos(&here, 0..n_files / 2, round + n_rounds);
        std::fs::rename(&here, &there).unwrap();
        wait_for(&sandbox, n_files as u64);
        for query in ["red", "a blue car", "something else"] {
            let _hits = sandbox.search(query);
        }
        std::fs::remove_dir_all(&there).unwrap();
        wait_for(&sandbox, 0);
        let held = held();
        eprintln!("round {:2}: {} KiB, {} descriptors, {} threads", round + 1, held.0, held.1, held.2);
        seen.push(held);
    }
    // The first rounds fill memory that is kept on purpose (caches, the journal's buffers, the allocator's arenas). That lasts until about
    // the 35th round, in steps of some megabytes; 70 more rounds added less than one megabyte.
    let settled = &seen[n_rounds * 2 / 3 - 1..];
    let (first, last) = (settled[0], settled[settled.len() - 1]);
    let slope_kib = (last.0 as f64 - first.0 as f64) / (settled.len() - 1) as f64;
    eprintln!(
        "slope over the last {} rounds: {slope_kib:.0} KiB for {n_files} files that came, changed, moved and went",
        settled.len() - 1
    );
    assert!(slope_kib < 1024.0, "more than a kilobyte stays for each file");
    // The store's tables come and go, and each holds a descriptor.
    let most_before = seen[..n_rounds * 2 / 3].iter().map(|held| held.1).max().unwrap();
    assert!(last.1 <= most_before + 8, "{} descriptors, {most_before} before", last.1);
    assert_eq!(first.2, last.2, "threads");
    daemon.stop();
}

#[test]
#[ignore = "takes minutes: make check-long"]
fn a_daemon_with_ten_thousand_videos_is_small() {
    let n_videos = 10_000;
    let sandbox = Sandbox::new();
    sandbox.configure("settle-seconds = 0\nkeyframes = false\nmodel-idle-seconds = 1\n");
    for folder in 0..100 {
        let videos = sandbox.videos().join(format!("a folder with a name of usual length {folder}"));
        put_videos(&videos, 0..n_videos / 100, folder);
    }
    let daemon = Resident::start(&sandbox);
    wait_for(&sandbox, n_videos as u64);
    let n_scenes = sandbox.ctl_json(["status"])["scenes"].as_u64().unwrap();
    daemon.stop();

    let started = Instant::now();
    let mut daemon = sandbox.start();
    sandbox.settle();
    eprintln!(
        "{n_videos} videos, {n_scenes} scenes: ready and reconciled {:.2} s after the start",
        started.elapsed().as_secs_f64()
    );
    assert_eq!(sandbox.counts(), [n_videos as u64, 0, 0, 0]);
    assert_eq!(sandbox.n_decoded(), 0, "what is known is not decoded again");
    sandbox.run(["search", "red"]).expect(0);
    wait_until("the embed worker to end", TIMEOUT, || {
        let workers = processes::children(daemon.pid());
        if workers.is_empty() { Ok(()) } else { Err(format!("{workers:?}")) }
    });
    let own_kib = memory_kib(daemon.pid(), "Pss:");
    let anonymous_kib = memory_kib(daemon.pid(), "Anonymous:");
    assert!(daemon.is_alive());
    assert!(daemon.stop().success());
    let model = ModelFolder::open(&repository().join("models/starter")).unwrap().info();
    let (index, _) = Ann::open(&sandbox.data().join("index"), &model.id, model.dimensions.unwrap()).unwrap();
    let index_kib = index.memory_bytes() as u64 / 1024;
    eprintln!(
        "the daemon: {own_kib} KiB (PSS), {anonymous_kib} KiB of it not mapped from files; {index_kib} KiB are the index, the rest is {} KiB",
        own_kib.saturating_sub(index_kib)
    );
    assert!(own_kib <= 60 * 1024 + index_kib, "{own_kib} KiB");
}

/// Checks ten quiet minutes: no disk writes, no processor time, almost no wake-ups of threads.
#[test]
#[ignore = "takes minutes: make check-long"]
fn ten_minutes_without_anything_to_do_cost_nothing() {
    const WATCHED: Duration = Duration::from_mins(10);
    let sandbox = Sandbox::new();
    sandbox.configure("model-idle-seconds = 1\n");
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    sandbox.run(["search", "red"]).expect(0);
    // After this minute the index is saved and the workers have ended.
    pause(Duration::from_mins(1));
    let look = || {
        let io = std::fs::read_to_string(format!("/proc/{}/io", daemon.pid())).unwrap();
        let written = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: ")?.parse::<u64>().ok())
            .unwrap();
        (processes::wake_ups(daemon.pid()), written, processor_ticks(daemon.pid()))
    };
    let before = look();
    pause(WATCHED);
    let after = look();
    let n_wake_ups = after.0 - before.0;
    eprintln!(
        "in {WATCHED:?}: {n_wake_ups} wake-ups ({:.3} a second), {} bytes written, {} ticks of 10 ms of processor time",
        n_wake_ups as f64 / WATCHED.as_secs_f64(),
        after.1 - before.1,
        after.2 - before.2
    );
    assert!((n_wake_ups as f64) < 0.1 * WATCHED.as_secs_f64());
    assert_eq!(after.1, before.1, "something was written to disk");
    assert!(after.2 - before.2 <= 1, "processor time was used");
    assert!(processes::children(daemon.pid()).is_empty());
}

/// Returns user and system time of all threads. **Source**: proc_pid_stat(5), fields 14 and 15.
fn processor_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn memory_kib(pid: u32, kind: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with(kind)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}
