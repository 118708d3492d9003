//! Queries that wait for the model do not delay requests that need no model.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use testkit::{Sandbox, processes, wait_until};

use crate::{SOON, worker};

/// Limit for an immediate answer, on a machine that may be busy. A query that waits for the model waits 20 s.
const AT_ONCE: Duration = Duration::from_secs(10);
/// New queries; more than any lane has threads.
const N_WAITING: usize = 30;

/// Runs a test against a daemon whose embed workers are stopped.
fn with_a_stopped_worker(test: impl FnOnce(&Sandbox, &dyn Fn(&[&str]) -> Child)) {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0), ("green", 1.2)]);
    let daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.search("first").len(), 2);
    worker(daemon.pid(), "embed", &sandbox);
    let stopped: Vec<u32> = processes::workers(daemon.pid(), "embed").iter().map(|worker| worker.pid).collect();
    for pid in &stopped {
        assert!(processes::signal(*pid, "STOP"));
    }
    let ask = |words: &[&str]| {
        let mut command = sandbox.command("scenectl");
        command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    test(&sandbox, &ask);
    for pid in stopped {
        processes::signal(pid, "CONT");
    }
    // The daemon continues as if nothing had happened.
    wait_until("a new question to be answered", SOON, || {
        let answer = sandbox.run(["search", "afterwards", "--json"]);
        if answer.status == 0 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    assert!(daemon.stop().success());
}

fn answered_at_once(sandbox: &Sandbox, words: &[&str]) {
    let begun = Instant::now();
    let answer = sandbox.run(words);
    assert!(begun.elapsed() < AT_ONCE, "{words:?} took {:?}", begun.elapsed());
    assert_eq!(answer.status, 0, "{answer:?}");
}

#[test]
fn while_the_model_stands_still_what_needs_none_is_answered_at_once() {
    with_a_stopped_worker(|sandbox, ask| {
        let video = sandbox.videos().join("a.mp4");
        let video = video.to_str().unwrap();
        let mut waiting: Vec<Child> = (0..N_WAITING).map(|n| ask(&["search", &format!("question {n}")])).collect();
        waiting.extend((0..6).map(|n| ask(&["similar", &format!("{video}@0.{n}")])));
        waiting.extend((0..6).map(|n| ask(&["why", video, &format!("reason {n}")])));
        for _ in 0..3 {
            answered_at_once(sandbox, &["status"]);
            answered_at_once(sandbox, &["search", "first"]);
            answered_at_once(sandbox, &["folders"]);
            answered_at_once(sandbox, &["why", video]);
            answered_at_once(sandbox, &["wait", "--timeout", "5"]);
            answered_at_once(sandbox, &["scenes", video]);
        }
        for mut child in waiting {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
}

#[test]
#[ignore = "it waits for the deadline of questions, 20 s"]
fn a_question_that_waited_in_vain_is_told_for_what() {
    with_a_stopped_worker(|sandbox, ask| {
        let video = sandbox.videos().join("a.mp4");
        let begun = Instant::now();
        let mut waiting: Vec<Child> = (0..N_WAITING).map(|n| ask(&["search", &format!("question {n}")])).collect();
        waiting.push(ask(&["why", video.to_str().unwrap(), "reason"]));
        for child in waiting {
            let output = child.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{told}");
            assert!(told.contains(") is stopped, by a signal"), "{told}");
        }
        let waited = begun.elapsed();
        assert!(waited > Duration::from_secs(19) && waited < Duration::from_secs(40), "{waited:?}");
    });
}

#[test]
fn a_worker_that_says_nothing_holds_up_no_end() {
    let sandbox = Sandbox::new();
    let program = sandbox.path().join("scened-worker");
    let worker = testkit::program("scened-worker");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = embed ] && exec sleep 1000\nexec {} \"$@\"\n",
        worker.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.video("a.mp4", &[("red", 1.0), ("green", 1.2)]);
    let mut command = sandbox.command("scened");
    command.env("SCENED_WORKER", &program);
    let daemon = sandbox.launch_as(command);
    daemon.wait_until_ready();
    // One worker for indexing, one for the query.
    let mut waiting = sandbox.command("scenectl");
    let mut waiting = waiting
        .args(["search", "red"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("both workers", SOON, || match processes::workers(daemon.pid(), "1000").len() {
        2 => Ok(()),
        n => Err(format!("{n}\n{}", sandbox.log_tail())),
    });
    answered_at_once(&sandbox, &["status"]);
    let begun = Instant::now();
    assert!(daemon.stop().success());
    assert!(begun.elapsed() < AT_ONCE, "the end took {:?}", begun.elapsed());
    waiting.wait().unwrap();
}
