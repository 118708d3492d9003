//! One daemon per data folder, and how it ends.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::{Sandbox, pause, processes, program, wait_until};

use crate::kills::Moments;
use crate::{LONG, SOON, activation, worker};

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
        sandbox.video("long.mp4", LONG);
        worker(daemon.pid(), "media", &sandbox);
        // A client that waits for an answer does not delay the end.
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
    sandbox.video("long.mp4", LONG);
    worker(daemon.pid(), "media", &sandbox);
    worker(daemon.pid(), "embed", &sandbox);
    let workers = processes::children(daemon.pid());
    daemon.kill();
    wait_until("the workers to end", SOON, || {
        let left: Vec<_> = workers.iter().filter(|worker| processes::is_alive(worker.pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

/// Number of daemons that start at the same time.
const N_STARTS: usize = 1000;

/// Waits at a gate (a pipe that no process has opened for writing yet), then becomes the daemon.
const AT_THE_GATE: &str = r#"exec 9<"$0"; exec 9<&-; exec "$1""#;

/// Starts a daemon, which waits at the gate if there is one, and writes its output to a file of its own.
fn start_one(sandbox: &Sandbox, folder: &Path, gate: Option<&Path>, index: usize) -> (Child, PathBuf) {
    let said = folder.join(index.to_string());
    let file = fs::File::create(&said).unwrap();
    let mut command = match gate {
        None => sandbox.command("scened"),
        Some(gate) => {
            let mut command = activation::environment(sandbox, Command::new("sh"));
            command.args(["-c", AT_THE_GATE]).arg(gate).arg(program("scened"));
            command
        }
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    (command.spawn().unwrap(), said)
}

/// Opens the gate when all started processes wait at it. It stays open until the file is dropped.
fn open_gate(gate: &Path, started: &[(Child, PathBuf)]) -> fs::File {
    wait_until("all to wait at the gate", SOON, || {
        let waits = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains("(sh) S"));
        match started.iter().filter(|(child, _)| !waits(child.id())).count() {
            0 => Ok(()),
            n => Err(format!("{n} do not")),
        }
    });
    fs::File::options().write(true).open(gate).unwrap()
}

/// Starts `n_starts` daemons at once. With `kill_every` it starts them one after the other, as fast as possible, and kills the serving one
/// after every `kill_every` starts. Panics unless exactly one is left that answers, and all others have left with a message that names it.
fn storm(n_starts: usize, kill_every: Option<usize>) {
    let sandbox = Sandbox::new();
    let folder = sandbox.path().join("said");
    fs::create_dir(&folder).unwrap();
    let gate = sandbox.path().join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let gate = kill_every.is_none().then_some(gate.as_path());
    let mut begun = Instant::now();
    let mut started: Vec<(Child, PathBuf)> = Vec::with_capacity(n_starts);
    let mut killed = Vec::new();
    for index in 0..n_starts {
        started.push(start_one(&sandbox, &folder, gate, index));
        if kill_every.is_some_and(|every| index % every == every - 1)
            && let Ok(text) = fs::read_to_string(sandbox.data().join("lock"))
            && let Ok(pid) = text.trim().parse::<u32>()
            && started.iter().any(|(child, _)| child.id() == pid)
            && processes::signal(pid, "KILL")
        {
            killed.push(pid);
        }
    }
    let _open = gate.map(|gate| {
        let open = open_gate(gate, &started);
        begun = Instant::now();
        open
    });
    if kill_every.is_some() {
        // All of them may have been killed, or have met a daemon that was about to be killed.
        started.push(start_one(&sandbox, &folder, None, n_starts));
    }
    let limit = SOON + Duration::from_millis(200) * n_starts as u32;
    let left = wait_until("all but one to leave", limit, || {
        let left: Vec<u32> = started
            .iter_mut()
            .filter_map(|(child, _)| child.try_wait().unwrap().is_none().then(|| child.id()))
            .collect();
        if left.len() == 1 {
            Ok(left[0])
        } else {
            Err(format!("{} are left", left.len()))
        }
    });
    let took = begun.elapsed();
    let status = wait_until("the one that is left to answer", SOON, || {
        let output = sandbox.ctl(["status", "--json"]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())
    });
    assert_eq!(status["pid"], left);
    assert_eq!(fs::read_to_string(sandbox.data().join("lock")).unwrap(), format!("{left}\n"));
    let mut n_losers = 0;
    let pids: Vec<u32> = started.iter().map(|(child, _)| child.id()).collect();
    for (child, said) in &mut started {
        if child.id() == left {
            continue;
        }
        let status = child.try_wait().unwrap().unwrap();
        let said = fs::read_to_string(said).unwrap();
        if killed.contains(&child.id()) {
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
            continue;
        }
        assert_eq!(status.code(), Some(3), "{said}");
        let named = said
            .split_once("another scened (process ")
            .and_then(|(_, rest)| rest.split_once(')'));
        let pid: u32 = named
            .unwrap_or_else(|| panic!("it does not say who is there: {said}"))
            .0
            .parse()
            .unwrap();
        assert!(pids.contains(&pid), "{said}");
        assert!(kill_every.is_some() || pid == left, "{said}");
        n_losers += 1;
    }
    eprintln!(
        "FIGURES: {n_starts} starts decided after {took:.1?}: one daemon, {n_losers} said who is there, {} killed",
        killed.len()
    );
    assert!(processes::signal(left, "TERM"));
    let (winner, _) = started.iter_mut().find(|(child, _)| child.id() == left).unwrap();
    wait_until("the daemon to end", SOON, || winner.try_wait().unwrap().ok_or_else(String::new));
    assert!(fs::symlink_metadata(sandbox.socket()).is_err(), "the socket is left behind");
}

#[test]
fn of_many_simultaneous_starts_one_serves_and_the_others_say_who() {
    storm(N_STARTS, None);
}

#[test]
fn there_is_one_daemon_also_while_the_one_that_serves_is_killed() {
    storm(N_STARTS / 5, Some(10));
}

#[test]
#[ignore = "5,000 starts: make check-long"]
fn there_is_one_daemon_also_while_the_one_that_serves_is_killed_again_and_again() {
    storm(N_STARTS * 5, Some(25));
}

/// From before the store is open to after everything is indexed.
const LATEST_SIGNAL_MS: u64 = 1_500;

#[test]
fn term_at_any_moment_ends_it_and_leaves_no_worker() {
    let mut moments = Moments::from_environment();
    let sandbox = Sandbox::new();
    let drafts: Vec<Vec<u8>> = [&[("red", 1.0), ("blue", 1.2)][..], &[("green", 60.0)], LONG]
        .iter()
        .map(|parts| fs::read(sandbox.video("draft.mp4", parts)).unwrap())
        .collect();
    let mut took: Vec<Duration> = Vec::new();
    let mut n_workers = 0;
    for number in 0..N_SIGNALS {
        let made = sandbox.path().join("video in the making");
        fs::write(&made, &drafts[moments.below(drafts.len() as u64) as usize]).unwrap();
        sandbox.put(&made, &sandbox.videos().join(format!("video {}.mp4", number % 6)));
        // Now and then a model change is in progress.
        sandbox.configure(if number % 5 == 4 { "crop = \"two\"" } else { "" });
        let mut daemon = sandbox.launch();
        pause(Duration::from_millis(moments.below(LATEST_SIGNAL_MS)));
        let workers = processes::children(daemon.pid());
        n_workers += workers.len();
        let asked = Instant::now();
        daemon.signal("TERM");
        let status = daemon.wait_for_end();
        took.push(asked.elapsed());
        // Before the daemon handles signals, the signal ends it like any other program.
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

#[test]
fn a_wish_to_end_that_is_told_twice_at_once_is_no_impatience() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0)]);
    for _ in 0..3 {
        let mut daemon = sandbox.start();
        // The kernel may merge two signals of one kind, but not these two.
        daemon.signal("TERM");
        daemon.signal("INT");
        let status = daemon.wait_for_end();
        assert!(status.success(), "{status}\n{}", sandbox.log_tail());
        assert!(!sandbox.log_tail().contains("second signal"), "{}", sandbox.log_tail());
    }
}
