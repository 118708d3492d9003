//! What the machine and its user notice of indexing: nothing.
#![cfg(target_os = "linux")]

use testkit::{Sandbox, processes, wait_until};

use crate::{LONG, SOON};

/// From sched.h.
const SCHED_OTHER: i64 = 0;
const SCHED_IDLE: i64 = 5;

/// How a process is scheduled: policy and nice value of its first thread, class of its disk accesses, and how readily it is ended where
/// memory runs out; `None` when it has ended. **Source**: proc_pid_stat(5), fields 41 and 19.
fn manners(pid: u32) -> Option<(i64, i64, String, i64)> {
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
        workers.iter().filter_map(|worker| manners(worker.pid)).collect()
    };
    let in_background = (SCHED_IDLE, 19, "idle".to_owned(), 900);
    sandbox.film("long.mp4", LONG);
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
    // A question brings a process of its own, and both stay for a while.
    sandbox.run(["search", "red"]).expect(0);
    let ours = manners(daemon.pid()).unwrap();
    assert_eq!((ours.0, ours.1), (SCHED_OTHER, 0));
    let in_front = (SCHED_OTHER, 0, ours.2, 900);
    let embedders = of("embed");
    assert_eq!(embedders.len(), 2, "{embedders:?}");
    assert!(embedders.contains(&in_background) && embedders.contains(&in_front), "{embedders:?}");
    assert!(ours.3 < 900, "the daemon would go first");
}
