//! Fixtures for tests of the real programs: a private home for a daemon, synthetic videos, and waiting for named conditions.
//!
//! Nothing here is installed. A fixture fails a test by panicking, so every function may panic, with a text that says what went wrong.

pub mod documents;
pub mod golden;
pub mod hub;
pub mod hung;
pub mod processes;
pub mod pty;
mod sandbox;
pub mod videos;
mod wire;

use std::path::PathBuf;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
pub use libc;
pub use sandbox::{Daemon, Ran, Sandbox};
pub use wire::Wire;

/// How often a condition is checked.
const POLL: Duration = Duration::from_millis(50);

/// Waits until `look` returns a value. After `limit` it panics with `what` and the last thing seen.
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

/// Sleeps. No other place in the tests does.
#[expect(clippy::disallowed_methods, reason = "the poll interval of wait_until")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// The user `nobody`.
pub const NOBODY: u32 = 65534;

/// Drops root's rights for this thread and what it starts from now on, because root can read everything. Without root's rights it does
/// nothing: the caller already is an ordinary user.
pub fn become_nobody() {
    become_user(NOBODY);
}

/// Does the same as [`become_nobody`] with another user id, so that a test can use up its user's limits without affecting other tests.
pub fn become_user(uid: u32) {
    if rustix::process::geteuid().is_root() {
        let user = rustix::thread::Uid::from_raw(uid);
        rustix::thread::set_thread_res_uid(user, user, user).expect("root may become anybody");
    }
}

/// Makes one system call fail with this error, whatever its arguments, in this thread and what it starts from now on. This cannot be
/// undone: the thread has to end.
#[cfg(target_os = "linux")]
pub fn fail_call(call: libc::c_long, errno: i32) {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
    let arch = TargetArch::try_from(std::env::consts::ARCH).expect("a filter for this machine");
    let fails = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new([(call, Vec::new())].into(), SeccompAction::Allow, fails, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a filter's program");
    seccompiler::apply_filter(&program).expect("a filter may be set");
}

/// Returns the repository's root.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository is there")
}

/// Returns the path of a program of this build: `scened`, `scened-worker` or `scenectl`.
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

/// Returns the sample library's folder, and the videos of its truth file.
pub fn library() -> (PathBuf, Vec<serde_json::Value>) {
    let folder = repository().join("tests/data/library");
    let truth = std::fs::read(folder.join("truth.json")).expect("the sample library is in tests/data/library");
    let mut truth: serde_json::Value = serde_json::from_slice(&truth).expect("truth.json is JSON");
    let serde_json::Value::Array(videos) = truth["videos"].take() else {
        panic!("truth.json has no list of videos");
    };
    (folder, videos)
}

/// Copies a folder's files and sub-folders, and returns the number of files; `keep` chooses files.
pub fn copy_tree(from: &std::path::Path, to: &std::path::Path, keep: &dyn Fn(&std::path::Path) -> bool) -> usize {
    std::fs::create_dir_all(to).expect("a folder can be made");
    let mut n_files = 0;
    let mut entries: Vec<_> = std::fs::read_dir(from).expect("the folder can be read").flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            n_files += copy_tree(&source, &target, keep);
        } else if keep(&source) {
            // Not fs::copy: it copies permissions as well, and the sources may be read-only.
            let bytes = std::fs::read(&source).expect("the file can be read");
            std::fs::write(&target, bytes).expect("the file can be written");
            n_files += 1;
        }
    }
    n_files
}

/// Returns the folder of real clips, if `make test` found it; otherwise prints that they were not tried.
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
