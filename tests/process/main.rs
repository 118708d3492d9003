//! The real `scened` process: how it starts, ends, dies and comes back, and what it reports when it cannot.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]
#![expect(clippy::print_stderr, reason = "figures, and what was not run, are told to who runs the tests")]

mod activation;
#[cfg(feature = "fuzzing")]
mod corpus;
mod damage;
mod hostile;
mod idle;
mod kills;
mod log;
mod machine;
mod points;
mod priority;
mod questions;
mod refusals;
mod runtime;
mod single;
mod space;
mod strangers;
mod threads;
mod thumbnail;
mod unreadable;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testkit::{Sandbox, processes, wait_until};

/// For conditions that come about by themselves. Generous, because the machine may be busy.
const SOON: Duration = Duration::from_secs(90);

/// Long enough to be still decoding when a test acts.
const LONG: &[(&str, f64)] = &[("red", 200.0), ("green", 200.0), ("blue", 200.0)];

/// Waits for a worker of this role, and returns its process id.
fn worker(daemon: u32, role: &str, sandbox: &Sandbox) -> u32 {
    wait_until(&format!("the {role} worker"), SOON, || {
        processes::workers(daemon, role)
            .first()
            .map(|worker| worker.pid)
            .ok_or_else(|| sandbox.log_tail())
    })
}

/// Returns a search's answer without what differs between two daemons with the same videos: ids, and the folder of the videos.
fn answer(sandbox: &Sandbox, query: &str) -> Vec<(String, u64, u64, u64, f64)> {
    let number = |hit: &Value, key: &str| hit[key].as_u64().unwrap();
    let mut hits: Vec<_> = sandbox
        .search(query)
        .iter()
        .map(|hit| {
            let path = hit["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            (
                path,
                number(hit, "start_ms"),
                number(hit, "end_ms"),
                number(hit, "best_ms"),
                hit["score"].as_f64().unwrap(),
            )
        })
        .collect();
    hits.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    hits
}

#[track_caller]
fn assert_same_answers(found: &[(String, u64, u64, u64, f64)], expected: &[(String, u64, u64, u64, f64)], log: &str) {
    assert_eq!(found.len(), expected.len(), "{found:#?}\ninstead of {expected:#?}\n{log}");
    for (f, e) in found.iter().zip(expected) {
        assert_eq!((&f.0, f.1, f.2, f.3), (&e.0, e.1, e.2, e.3), "{log}");
        assert!((f.4 - e.4).abs() < 1e-4, "{f:?} instead of {e:?}");
    }
}
