//! One daemon a data folder; and its end.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::time::{Duration, Instant};

use testkit::{Sandbox, processes, wait_until};

use crate::{LONG, SOON, worker};

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
