//! A fail point kills the daemon's long-lived threads one by one: nothing stops for good, and no client waits for ever.

use std::fs;
use std::process::Output;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Daemon, Sandbox, wait_until};

use crate::SOON;

/// Fail points of the threads, by the name that the daemon gives each.
const OWNERS: [&str; 11] = [
    "throttle",
    "embed-owner",
    "indexer",
    "reconcile",
    "watcher",
    "ann",
    "query",
    "asking",
    "slow",
    "background",
    "signals",
];
/// Fail points that panic over one item, in threads that continue.
const THINGS: [&str; 2] = ["embed-batch", "settle"];
const N_THREADS: usize = 2;

fn at_each(points: &[&'static str], test: impl Fn(&'static str) + Sync) {
    let left = Mutex::new(points.to_vec());
    std::thread::scope(|scope| {
        for _ in 0..N_THREADS {
            scope.spawn(|| {
                loop {
                    let point = left.lock().unwrap().pop();
                    let Some(point) = point else { return };
                    test(point);
                }
            });
        }
    });
}

fn start<'a>(sandbox: &'a Sandbox, point: &str) -> Daemon<'a> {
    let mut command = sandbox.command("scened");
    command.env("SCENED_FAIL_POINT", point);
    sandbox.launch_as(command)
}

fn log_has(sandbox: &Sandbox, text: &str) -> bool {
    fs::read(sandbox.log()).is_ok_and(|log| String::from_utf8_lossy(&log).contains(text))
}

/// Runs `scenectl` and checks that an answer arrives, whatever it is.
fn answered(sandbox: &Sandbox, words: &[&str]) -> Output {
    let begun = Instant::now();
    let output = sandbox.ctl(words);
    assert!(
        begun.elapsed() < SOON,
        "{words:?} took {:?}\n{}",
        begun.elapsed(),
        sandbox.log_tail()
    );
    output
}

fn n_hits(sandbox: &Sandbox, query: &str) -> Result<usize, String> {
    let output = answered(sandbox, &["search", query, "--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    answer["hits"]
        .as_array()
        .map(Vec::len)
        .ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Creates a sandbox in which the thread has something to do.
fn sandbox_for(point: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    if point == "throttle" {
        sandbox.configure("busy = 100\n");
    }
    sandbox.video("a.mp4", &[("red", 1.0), ("green", 1.2)]);
    sandbox
}

/// Mounts and unmounts something, for the thread that watches mounts.
#[cfg(target_os = "linux")]
fn mount_something(sandbox: &Sandbox) {
    use rustix::mount::{UnmountFlags, mount_bind, unmount};
    let point = sandbox.path().join("mounted");
    fs::create_dir_all(&point).unwrap();
    mount_bind(sandbox.videos(), &point).unwrap();
    unmount(&point, UnmountFlags::DETACH).unwrap();
}

#[test]
fn a_thread_that_dies_once_is_started_again_and_nothing_is_missing() {
    at_each(&OWNERS, |point| dies_once(point, |_| ()));
}

#[cfg(target_os = "linux")]
#[test]
fn the_thread_that_watches_mounts_is_started_again_and_then_left_off() {
    if testkit::hung::own_mounts_or_say("the end of the thread that watches mounts") {
        dies_once("mounts", mount_something);
        is_given_up("mounts", mount_something);
    }
}

fn dies_once(point: &str, poke: impl Fn(&Sandbox)) {
    let sandbox = sandbox_for(point);
    let mut daemon = start(&sandbox, &format!("{point}=panic:1"));
    daemon.wait_until_ready();
    wait_until("a question to be answered", SOON, || n_hits(&sandbox, "red"));
    // A request for the slow lane, and an event for the watcher.
    answered(&sandbox, &["why", sandbox.videos().join("a.mp4").to_str().unwrap()]);
    sandbox.video("b.mp4", &[("blue", 1.0)]);
    wait_until(&format!("{point}: both videos"), SOON, || {
        poke(&sandbox);
        answered(&sandbox, &["wait", "--timeout", "5"]);
        match n_hits(&sandbox, "blue") {
            Ok(3) if log_has(&sandbox, "fail point") => Ok(()),
            other => Err(format!("{other:?}\n{}", sandbox.log_tail())),
        }
    });
    assert_eq!(sandbox.counts(), [2, 0, 0, 0], "{point}: {}", sandbox.log_tail());
    assert!(daemon.is_alive(), "{point}: {}", sandbox.log_tail());
    assert!(daemon.stop().success(), "{point}: {}", sandbox.log_tail());
}

#[test]
#[ignore = "eight daemons, each used until an owner died three times: make check-long"]
fn a_thread_that_dies_again_and_again_is_left_off_and_named_and_nobody_waits_for_it() {
    // Lanes have several threads each; `requests/pool.rs` tests the end of all of them.
    let lanes = ["query", "asking", "slow"];
    let owners: Vec<&str> = OWNERS.into_iter().filter(|owner| !lanes.contains(owner)).collect();
    at_each(&owners, |point| is_given_up(point, |_| ()));
}

fn is_given_up(point: &str, poke: impl Fn(&Sandbox)) {
    let sandbox = sandbox_for(point);
    let daemon = sandbox.start();
    sandbox.settle();
    // The daemon answers earlier queries without the model only until it ends.
    assert!(daemon.stop().success());
    let mut daemon = start(&sandbox, &format!("{point}=panic"));
    daemon.wait_until_ready();
    let mut n = 0;
    wait_until(&format!("{point} to be named"), SOON, || {
        n += 1;
        // Work for every thread.
        poke(&sandbox);
        sandbox.video(format!("more {n}.mp4"), &[("blue", 0.5)]);
        answered(&sandbox, &["search", &format!("question {n}"), "--json"]);
        let status: Value = serde_json::from_slice(&answered(&sandbox, &["status", "--json"]).stdout).unwrap_or_default();
        if status["warnings"].to_string().contains("stays off (thread ") {
            Ok(())
        } else {
            Err(format!("{status}\n{}", sandbox.log_tail()))
        }
    });
    let begun = Instant::now();
    answered(&sandbox, &["wait", "--timeout", "30"]);
    assert!(begun.elapsed() < Duration::from_mins(1), "{point}: wait took {:?}", begun.elapsed());
    let checks = String::from_utf8_lossy(&answered(&sandbox, &["doctor"]).stdout).into_owned();
    assert!(checks.contains("stays off (thread "), "{point}: {checks}");
    if point != "embed-owner" {
        assert_ne!(n_hits(&sandbox, "red"), Ok(0), "{point}: {}", sandbox.log_tail());
    }
    assert!(daemon.is_alive(), "{point}: {}", sandbox.log_tail());
    if point == "signals" {
        daemon.kill();
    } else {
        assert!(daemon.stop().success(), "{point}: {}", sandbox.log_tail());
    }
}

#[test]
fn a_panic_over_one_thing_costs_that_thing_and_no_thread() {
    at_each(&THINGS, |point| {
        let sandbox = Sandbox::new();
        sandbox.video("a.mp4", &[("red", 1.0), ("green", 1.2)]);
        let mut daemon = start(&sandbox, &format!("{point}=panic:1"));
        daemon.wait_until_ready();
        sandbox.settle();
        sandbox.video("b.mp4", &[("blue", 1.0)]);
        wait_until(&format!("{point}: the other video"), SOON, || {
            sandbox.settle();
            let [indexed, pending, failed, _] = sandbox.counts();
            let is_done = pending == 0 && indexed >= 1 && indexed + failed == 2;
            if is_done && log_has(&sandbox, "fail point") {
                Ok(())
            } else {
                Err(sandbox.log_tail())
            }
        });
        assert!(!log_has(&sandbox, "a thread ended"), "{point}: {}", sandbox.log_tail());
        assert!(daemon.is_alive() && daemon.stop().success(), "{point}: {}", sandbox.log_tail());
    });
}
