//! A file or folder of the data folder that may not be read, as after restoring a backup as another user, or a wrong `chmod`.
//!
//! Root may read everything. So if the tests run as root, the daemon and its clients run as another user: this program runs itself again
//! without root's rights.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{NOBODY, Sandbox, wait_until};

use crate::{SOON, answer, assert_same_answers};

/// `EX_CONFIG`: a person has to fix it, and no service manager restarts it.
const SETUP: i32 = 78;
/// Which parts the other user's process checks: [`SOME`], or `all`.
const PARTS: &str = "SCENED_TEST_UNREADABLE";
/// One of each kind, by the beginning and the end of its path.
const SOME: &[(&str, &str)] = &[
    ("", "cache/graphs"),
    ("", "config.toml.last-good"),
    ("", "decisions.json"),
    ("", "format"),
    ("", "index"),
    ("index", ".json"),
    ("index", ".usearch"),
    ("", "keyframes"),
    ("keyframes", ".keyframes"),
    ("", "lock"),
    ("", "store"),
    ("store", ".jnl"),
    ("", "store/keyspaces"),
    ("", "store/keyspaces/0/current"),
    ("", "store.generation"),
];
/// The daemon runs without these. For any other part it names the path and ends.
const NEEDLESS: &[&str] = &["cache", "config.toml.last-good", "decisions", "index", "keyframes"];

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Runs a test of this file as a user who is subject to file modes.
fn as_a_user(test: &str, parts: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(PARTS, parts);
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    match command.status() {
        Ok(status) => assert!(status.success(), "{test}: {status}"),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("{test}: NOT RUN: this build lies in a folder that other users may not enter");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_may_not_be_read_is_named_or_made_again() {
    as_a_user("unreadable::each_part_as_a_user", "some");
}

#[test]
#[ignore = "every file and folder: make check-long"]
fn what_may_not_be_read_is_named_or_made_again_whatever_it_is() {
    as_a_user("unreadable::each_part_as_a_user", "all");
}

#[test]
fn a_running_daemon_whose_files_may_not_be_read_any_more_loses_nothing() {
    as_a_user("unreadable::all_at_once_as_a_user", "all");
}

#[test]
#[ignore = "the tests above start it, as another user"]
fn each_part_as_a_user() {
    let Ok(parts) = std::env::var(PARTS) else { return };
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0), ("green", 1.2)]);
    sandbox.video("b.mp4", &[("blue", 1.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let expected = answer(&sandbox, "red");
    assert!(daemon.stop().success());
    let mut n_looked_at = 0;
    for path in everything_below(&sandbox.data()) {
        let name = path.strip_prefix(sandbox.data()).unwrap().to_str().unwrap().to_owned();
        let is_wanted = |(begin, end): &(&str, &str)| name.starts_with(begin) && name.ends_with(end) && (!begin.is_empty() || name == *end);
        if parts == "some" && !SOME.iter().any(is_wanted) {
            continue;
        }
        // fjall and the snapshots clean up, so a listed file may be gone by now.
        let Ok(found) = path.symlink_metadata() else { continue };
        n_looked_at += 1;
        no_access(&sandbox, &path, 0, &name, &expected);
        // A folder that can be listed but not entered. Being empty makes no difference.
        if found.is_dir() && path.symlink_metadata().is_ok() {
            no_access(&sandbox, &path, 0o400, &name, &expected);
        }
    }
    assert!(n_looked_at >= SOME.len(), "only {n_looked_at} parts are there");
    assert_eq!(sandbox.n_decoded(), 2, "nothing was lost, so nothing is decoded again");
}

type Answers = [(String, u64, u64, u64, f64)];

/// Starts the daemon while `path` has the mode `closed`, and again after the mode is restored if that start failed.
fn no_access(sandbox: &Sandbox, path: &Path, closed: u32, name: &str, expected: &Answers) {
    let before = fs::symlink_metadata(path).unwrap().permissions().mode();
    let log_begin = fs::metadata(sandbox.log()).unwrap().len() as usize;
    mode(path, closed);
    let mut daemon = sandbox.launch();
    let is_ready = wait_until("the daemon to answer or to end", SOON, || {
        if !daemon.is_alive() {
            return Ok(false);
        }
        let ran = sandbox.say("status");
        if ran.status == 0 {
            Ok(true)
        } else {
            Err(format!("{name} {closed:o}: {}\n{}", ran.stderr, sandbox.log_tail()))
        }
    });
    let told = format!("{name} with mode {closed:o}: {}", sandbox.log_tail());
    if is_ready {
        sandbox.settle();
        assert_same_answers(&answer(sandbox, "red"), expected, &told);
        assert!(daemon.stop().success(), "{told}");
    } else {
        assert!(!NEEDLESS.iter().any(|needless| name.starts_with(needless)), "{told}");
        assert_eq!(daemon.wait_for_end().code(), Some(SETUP), "{told}");
        let log = fs::read(sandbox.log()).unwrap();
        let said = String::from_utf8_lossy(&log[log_begin..]).into_owned();
        assert!(
            said.contains("Permission denied") && said.contains(sandbox.data().to_str().unwrap()),
            "{told}"
        );
    }
    if path.symlink_metadata().is_ok() {
        mode(path, before);
    }
    if !is_ready {
        let daemon = sandbox.start();
        sandbox.settle();
        assert_same_answers(&answer(sandbox, "red"), expected, &told);
        assert!(daemon.stop().success(), "{told}");
    }
}

#[test]
#[ignore = "the test above starts it, as another user"]
fn all_at_once_as_a_user() {
    if std::env::var_os(PARTS).is_none() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0), ("green", 1.2)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let of_a = || {
        let mut hits = answer(&sandbox, "red");
        hits.retain(|hit| hit.0 == "a.mp4");
        hits
    };
    let expected = of_a();
    let modes: Vec<(PathBuf, u32)> = everything_below(&sandbox.data())
        .into_iter()
        .map(|path| {
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
            (path, mode)
        })
        .collect();
    for (path, _) in modes.iter().rev() {
        mode(path, 0);
    }
    mode(&sandbox.data(), 0);
    // The daemon keeps the files that it has open, and does without those that it cannot write.
    sandbox.video("b.mp4", &[("blue", 1.0)]);
    until_indexed(&sandbox, 2);
    assert_same_answers(&of_a(), &expected, &sandbox.log_tail());
    mode(&sandbox.data(), 0o700);
    for (path, before) in &modes {
        // The store continues its own housekeeping, so a file may be gone.
        if path.symlink_metadata().is_ok() {
            mode(path, *before);
        }
    }
    sandbox.video("c.mp4", &[("green", 1.0)]);
    until_indexed(&sandbox, 3);
    assert!(daemon.stop().success());
    let _daemon = sandbox.start();
    until_indexed(&sandbox, 3);
    sandbox.settle();
    assert_same_answers(&of_a(), &expected, &sandbox.log_tail());
    assert_eq!(sandbox.n_decoded(), 3, "{}", sandbox.log_tail());
}

fn until_indexed(sandbox: &Sandbox, n_videos: u64) {
    wait_until(&format!("{n_videos} videos to be indexed"), SOON, || match sandbox.counts() {
        counts if counts == [n_videos, 0, 0, 0] => Ok(()),
        counts => Err(format!("{counts:?}\n{}", sandbox.log_tail())),
    });
}

fn everything_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
