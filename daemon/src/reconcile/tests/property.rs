//! Random scripts with the tree itself as the model. After quiet the store agrees with the tree, and no content was decoded twice. (Every
//! content is written only once, but moved, copied and linked.)
//!
//! An operation depends only on the seed, on its number and on the tree. So a script can be repeated without some of its operations, and a
//! failing one is shrunk before it is shown.

mod script;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use script::Script;

/// Number of scripts, and of operations in each. `SCENED_SCRIPTS` and `SCENED_OPERATIONS` set other numbers, `SCENED_SEED` another first
/// seed.
const N_SCRIPTS: u64 = 48;
const N_LONG_SCRIPTS: u64 = 1000;
const N_OPERATIONS: u64 = 200;
/// Number of scripts run in parallel (`SCENED_SIDE_BY_SIDE`): they mostly wait.
const N_SIDE_BY_SIDE: u64 = 16;
/// Longest time that a script may wait for a processor. Times in these tests are short: 50 ms to settle a file, 100 ms of grace time for a
/// missing one.
const LATE: Duration = Duration::from_millis(40);
/// How long a failing script is shrunk.
const SHRINKING: Duration = Duration::from_mins(2);

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Returns the operations of each script. `SCENED_KEEP="3 17"` leaves out all others; a shrunk script prints this setting.
fn operations() -> Vec<u64> {
    std::env::var("SCENED_KEEP").map_or_else(
        |_| (0..environment("SCENED_OPERATIONS", N_OPERATIONS)).collect(),
        |kept| kept.split_whitespace().map(|operation| operation.parse().unwrap()).collect(),
    )
}

/// Runs these operations of a script. Returns the log, and the fault at the end.
fn run(seed: u64, operations: &[u64]) -> (Vec<String>, Option<String>) {
    let mut script = Script::new(seed);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for operation in operations {
            script.operate(*operation);
        }
        script.end();
    }));
    let said = outcome.err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default()
    });
    (std::mem::take(&mut script.log), said)
}

/// Returns how often so far a thread of this process got no processor for [`LATE`] when it needed one. A script may then be late as well.
fn n_late() -> u64 {
    static N_LATE: AtomicU64 = AtomicU64::new(0);
    static STARTED: std::sync::Once = std::sync::Once::new();
    const TICK: Duration = Duration::from_millis(5);
    STARTED.call_once(|| {
        std::thread::spawn(|| {
            loop {
                let before = Instant::now();
                std::thread::park_timeout(TICK);
                if before.elapsed() > TICK + LATE {
                    N_LATE.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
    });
    N_LATE.load(Ordering::SeqCst)
}

/// Leaves out operations while the script still fails: halves, quarters, …, single ones.
fn shrink(seed: u64, mut operations: Vec<u64>) -> Vec<u64> {
    let until = Instant::now() + SHRINKING;
    let mut n_left_out = operations.len() / 2;
    while n_left_out > 0 {
        let mut at = 0;
        while at < operations.len() && Instant::now() < until {
            let mut fewer = operations.clone();
            fewer.drain(at..(at + n_left_out).min(operations.len()));
            if run(seed, &fewer).1.is_some() {
                operations = fewer;
            } else {
                at += n_left_out;
            }
        }
        n_left_out /= 2;
    }
    operations
}

fn run_scripts(n_scripts: u64) {
    let first = environment("SCENED_SEED", 1);
    let last = first + environment("SCENED_SCRIPTS", n_scripts);
    let operations = operations();
    if std::env::var_os("SCENED_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_env("SCENED_LOG");
        // Another test may have done so already.
        drop(
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_writer(std::io::stderr)
                .try_init(),
        );
    }
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let failures = Mutex::new(vec![]);
    std::thread::scope(|scope| {
        for _ in 0..environment("SCENED_SIDE_BY_SIDE", N_SIDE_BY_SIDE) {
            scope.spawn(|| {
                while !failed.load(Ordering::SeqCst) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= last {
                        return;
                    }
                    let (log, said) = run(seed, &operations);
                    if let Some(said) = said {
                        failed.store(true, Ordering::SeqCst);
                        lock(&failures).push((seed, log, said));
                    }
                }
            });
        }
    });
    eprintln!("{} waits for a processor in {} scripts", n_late(), last - first);
    let Some((seed, log, said)) = failures.into_inner().unwrap().into_iter().next() else {
        return;
    };
    let shrunk = shrink(seed, operations);
    let (short_log, short_said) = run(seed, &shrunk);
    panic!(
        "seed {seed}: {said}\n\nscript:\n{}\n\nshrunk to SCENED_KEEP={:?}: {}\n{}",
        log.join("\n"),
        shrunk.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
        short_said.unwrap_or_else(|| "does not fail every time".to_owned()),
        short_log.join("\n")
    );
}

#[test]
fn after_quiet_the_store_equals_the_tree_whatever_happened() {
    run_scripts(N_SCRIPTS);
}

#[test]
#[ignore = "ten minutes: make check-long"]
fn after_quiet_the_store_equals_the_tree_whatever_happened_thousands() {
    run_scripts(N_LONG_SCRIPTS);
}
