//! Fixtures for tests of the real programs: a private home for a daemon, synthetic films, and waiting for named conditions.
//!
//! Nothing here is installed. Panics are the way a fixture fails a test, so every function may panic with a text that says what went wrong.

pub mod films;
mod sandbox;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use sandbox::{Daemon, Sandbox};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Waits until `look` gives a value; panics with `what` and the last thing seen when `limit` is over.
pub fn wait_until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) if Instant::now() >= deadline => panic!("waited {limit:?} for {what}; last seen: {seen}"),
            Err(_) => pause(POLL),
        }
    }
}

/// The one place that sleeps.
#[expect(clippy::disallowed_methods, reason = "the poll interval of wait_until")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// The repository's root.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository is there")
}

/// A program of this build: `scened`, `scened-worker` or `scenectl`.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its executable");
    let profile = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("tests lie in target/PROFILE/deps");
    let path = profile.join(name);
    assert!(
        path.is_file(),
        "{} is missing: build the workspace first (make test does; or cargo build --workspace)",
        path.display()
    );
    path
}

/// The folder of real clips, when `make test` found it; says aloud when not.
#[expect(clippy::print_stderr, reason = "what was not run is said aloud")]
pub fn real_clips() -> Option<PathBuf> {
    let folder = std::env::var_os("SCENED_TEST_MEDIA")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    if folder.is_none() {
        eprintln!("NOT RUN: SCENED_TEST_MEDIA is not set, so the real clips were not tried");
    }
    folder
}
