//! One daemon a data folder; and its end.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::time::{Duration, Instant};

use testkit::{Sandbox, pause, processes, wait_until};

use crate::kills::Moments;
use crate::{LONG, SOON, worker};

const N_SIGNALS: usize = 50;

#[test]
fn a_second_daemon_says_who_is_there_and_leaves() {
    let sandbox = Sandbox::new();
    let mut first = sandbox.start();
    let second = sandbox.run_daemon::<&str>([]).expect(3);
    let pid = format!("process {}", first.pid());
    second.complains("another scened").complains(&pid).complains("--data-dir");
    assert!(first.is_alive());
    sandbox.say("status").expect(0);
}

#[test]
fn another_data_folder_does_not_free_the_socket() {
    let sandbox = Sandbox::new();
    let mut first = sandbox.start();
    let other = sandbox.path().join("other data");
    let second = sandbox.run_daemon(["--data-dir", other.to_str().unwrap()]).expect(78);
    second.complains("taken by a program that answers");
    assert!(first.is_alive());
    sandbox.say("status").expect(0);
}

#[test]
fn a_socket_left_by_a_crash_is_no_obstacle() {
    let sandbox = Sandbox::new();
    sandbox.start().kill();
    assert!(fs::symlink_metadata(sandbox.socket()).unwrap().file_type().is_socket());
    sandbox.say("status").expect(3);
    let daemon = sandbox.start();
    assert!(daemon.stop().success());
    assert!(fs::symlink_metadata(sandbox.socket()).is_err(), "the socket is left behind");
}

#[test]
fn term_and_interrupt_end_it_within_two_seconds_and_no_worker_stays() {
    for signal in ["TERM", "INT"] {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.start();
        sandbox.film("long.mp4", LONG);
        worker(daemon.pid(), "media", &sandbox);
        // A question that is being waited on does not hold it up.
        let mut waiting = sandbox.command("scenectl").args(["wait", "--json"]).spawn().unwrap();
        let workers = processes::children(daemon.pid());
        let asked = Instant::now();
        daemon.signal(signal);
        let status = daemon.wait_for_end();
        let took = asked.elapsed();
        assert!(status.success(), "{signal}: {status}\n{}", sandbox.log_tail());
        assert!(took < Duration::from_secs(2), "{signal}: it took {took:?}\n{}", sandbox.log_tail());
        wait_until("the workers to end", SOON, || {
            let left: Vec<_> = workers.iter().filter(|worker| processes::is_alive(worker.pid)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
        let client = waiting.wait().unwrap();
        assert_eq!(client.code(), Some(3), "the waiting client learns that the daemon is gone");
    }
}

#[test]
fn workers_die_with_a_daemon_that_is_killed() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.start();
    sandbox.film("long.mp4", LONG);
    worker(daemon.pid(), "media", &sandbox);
    worker(daemon.pid(), "embed", &sandbox);
    let workers = processes::children(daemon.pid());
    daemon.kill();
    wait_until("the workers to end", SOON, || {
        let left: Vec<_> = workers.iter().filter(|worker| processes::is_alive(worker.pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

/// From before the store is open to after everything is indexed.
const LATEST_SIGNAL_MS: u64 = 1_500;

#[test]
fn term_at_any_moment_ends_it_and_leaves_no_worker() {
    let mut moments = Moments::from_environment();
    let sandbox = Sandbox::new();
    let drafts: Vec<Vec<u8>> = [&[("red", 1.0), ("blue", 1.2)][..], &[("green", 60.0)], LONG]
        .iter()
        .map(|parts| fs::read(sandbox.film("draft.mp4", parts)).unwrap())
        .collect();
    let mut took: Vec<Duration> = Vec::new();
    let mut n_workers = 0;
    for number in 0..N_SIGNALS {
        let made = sandbox.path().join("film in the making");
        fs::write(&made, &drafts[moments.below(drafts.len() as u64) as usize]).unwrap();
        sandbox.put(&made, &sandbox.films().join(format!("film {}.mp4", number % 6)));
        // A model in the middle of being changed, now and then.
        sandbox.configure(if number % 5 == 4 { "crop = \"two\"" } else { "" });
        let mut daemon = sandbox.launch();
        pause(Duration::from_millis(moments.below(LATEST_SIGNAL_MS)));
        let workers = processes::children(daemon.pid());
        n_workers += workers.len();
        let asked = Instant::now();
        daemon.signal("TERM");
        let status = daemon.wait_for_end();
        took.push(asked.elapsed());
        // Before it listens for signals, the signal ends it as it ends any program.
        let is_right = status.success() || std::os::unix::process::ExitStatusExt::signal(&status) == Some(15);
        assert!(is_right, "{status}\n{}", sandbox.log_tail());
        wait_until("the workers to end", SOON, || {
            let left: Vec<_> = workers.iter().filter(|worker| processes::is_alive(worker.pid)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
    }
    took.sort();
    eprintln!(
        "SIGTERM at {N_SIGNALS} random moments, {n_workers} workers alive: gone after {:.0?} (median), {:.0?} (longest)",
        took[took.len() / 2],
        took[took.len() - 1]
    );
    sandbox.configure("");
    let _daemon = sandbox.start();
    assert_eq!(sandbox.ctl_json(["status"])["warnings"].to_string(), "[]");
}
