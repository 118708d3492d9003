//! What indexing costs the machine and its user: nothing noticeable.
#![cfg(target_os = "linux")]

use testkit::{Sandbox, processes, wait_until};

use crate::{LONG, SOON};

/// From sched.h.
const SCHED_OTHER: i64 = 0;
const SCHED_IDLE: i64 = 5;

/// Returns how a process is scheduled: policy and nice value of its first thread, I/O class, and `oom_score_adj` (how readily it is ended
/// when memory runs out). `None` if it has ended. **Source**: proc_pid_stat(5), fields 41 and 19.
fn priority(pid: u32) -> Option<(i64, i64, String, i64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse().ok();
    let said = std::process::Command::new("ionice").args(["-p", &pid.to_string()]).output().ok()?;
    let io = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    let score = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj"))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some((number(38)?, number(16)?, io, score))
}

#[test]
fn indexing_takes_what_nobody_else_wants_and_questions_do_not_wait_for_it() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.start();
    let of = |role: &str| -> Vec<_> {
        let workers = processes::workers(daemon.pid(), role);
        workers.iter().filter_map(|worker| priority(worker.pid)).collect()
    };
    let in_background = (SCHED_IDLE, 19, "idle".to_owned(), 900);
    sandbox.video("long.mp4", LONG);
    for role in ["media", "embed"] {
        wait_until("an idle worker", SOON, || {
            let workers = of(role);
            if workers.contains(&in_background) {
                Ok(())
            } else {
                Err(format!("{role}: {workers:?}"))
            }
        });
    }
    sandbox.settle();
    // A query starts a process of its own, and both stay for a while.
    sandbox.run(["search", "red"]).expect(0);
    let ours = priority(daemon.pid()).unwrap();
    assert_eq!((ours.0, ours.1), (SCHED_OTHER, 0));
    let in_front = (SCHED_OTHER, 0, ours.2, 900);
    let embedders = of("embed");
    assert_eq!(embedders.len(), 2, "{embedders:?}");
    assert!(embedders.contains(&in_background) && embedders.contains(&in_front), "{embedders:?}");
    assert!(ours.3 < 900, "the daemon would go first");
}

/// A program at normal priority that uses a whole processor.
struct Busy(std::process::Child);

impl Busy {
    fn start() -> Self {
        let command = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn();
        Self(command.unwrap())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Waits until a media worker is stopped (or is not), and returns its process id.
fn wait_for_media_worker(daemon: u32, stopped: bool) -> u32 {
    wait_until(if stopped { "a stopped worker" } else { "a worker at work" }, SOON, || {
        let workers = processes::workers(daemon, "media");
        let mut states = workers
            .iter()
            .filter_map(|worker| Some((worker.pid, processes::state(worker.pid)?)));
        let found = states.find(|(_, state)| (*state == 'T') == stopped);
        found.map(|(pid, _)| pid).ok_or_else(|| format!("{workers:?}"))
    })
}

#[test]
fn indexing_works_in_turns_while_others_use_the_processors_and_goes_on_when_they_end() {
    let sandbox = Sandbox::new();
    sandbox.configure("busy = 10\n");
    let daemon = sandbox.start();
    let busy = Busy::start();
    sandbox.video("long.mp4", LONG);
    for stopped in [true, false, true] {
        wait_for_media_worker(daemon.pid(), stopped);
    }
    let notices = sandbox.ctl_json(["status"])["notices"].to_string();
    assert!(notices.contains("(busy)"), "{notices}");
    // No command waits for a worker that may be stopped.
    sandbox.run(["pause"]).expect(0);
    sandbox.run(["resume"]).expect(0);
    drop(busy);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0]);
    assert!(daemon.stop().success());
}

#[test]
fn a_stopped_worker_ends_with_the_daemon() {
    for signal in ["TERM", "KILL"] {
        let sandbox = Sandbox::new();
        sandbox.configure("busy = 10\n");
        let daemon = sandbox.start();
        let _busy = Busy::start();
        sandbox.video("long.mp4", LONG);
        let worker = wait_for_media_worker(daemon.pid(), true);
        assert!(processes::signal(daemon.pid(), signal));
        wait_until("the worker to end", SOON, || match processes::state(worker) {
            None | Some('Z' | 'X') => Ok(()),
            Some(state) => Err(format!("after SIG{signal}: {state}")),
        });
    }
}
