//! The machine fails while scened starts: scened asks for another start and quarantines nothing, and the next start finds everything.

use std::fs;
use std::time::Duration;

use testkit::{Ran, Sandbox, wait_until};

use crate::{SOON, answer, assert_same_answers};

/// `EX_TEMPFAIL`: a service manager restarts it.
const PASSING: i32 = 75;
const ALREADY_RUNNING: i32 = 3;
/// Codes of temporary errors: of a name, a disk, a quota, threads, locks, a mount.
const ENOENT: i32 = 2;
const EIO: i32 = 5;
const EDQUOT: i32 = 122;
const EAGAIN: i32 = 11;
const ENOLCK: i32 = 37;
const ENOTCONN: i32 = 107;

/// Starts scened as a service manager does, while the system returns this error at this fail point. Returns the exit status.
fn start_that_fails(sandbox: &Sandbox, point: &str, code: i32) -> Option<i32> {
    let mut command = sandbox.command("scened");
    command
        .env("SCENED_FAIL_POINT", format!("{point}={code}"))
        .env("NOTIFY_SOCKET", sandbox.path().join("no service manager"));
    let mut daemon = sandbox.launch_as(command);
    daemon.wait_for_end().code()
}

fn set_aside_unreadable(sandbox: &Sandbox) -> Ran {
    Ran::from(&sandbox.command("scened").arg("set-aside-unreadable").output().unwrap())
}

fn set_aside(sandbox: &Sandbox) -> Vec<String> {
    let names = fs::read_dir(sandbox.data()).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.contains(".damaged-") || name.starts_with("unreadable-"))
        .collect()
}

#[test]
fn a_watched_folder_that_is_gone_for_the_moment_of_a_walk_is_walked_when_it_is_back() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0), ("green", 1.2)]);
    let mut command = sandbox.command("scened");
    // Fails once, between the check of the folder and its walk.
    command.env("SCENED_FAIL_POINT", format!("walk-root={ENOENT}:1"));
    let daemon = sandbox.launch_as(command);
    wait_until("the video to be indexed", SOON, || {
        let status = sandbox.run(["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap_or_default();
        if status["videos"]["indexed"] == 1 {
            Ok(())
        } else {
            Err(format!("{status}\n{}", sandbox.log_tail()))
        }
    });
    assert!(fs::read_to_string(sandbox.log()).unwrap().contains("fail point"));
    assert!(daemon.stop().success());
}

#[test]
fn an_error_of_the_data_disk_asks_for_another_start_and_costs_nothing() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0), ("green", 1.2)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let expected = answer(&sandbox, "red");
    assert!(daemon.stop().success());

    for code in [EIO, EDQUOT, ENOTCONN] {
        assert_eq!(
            start_that_fails(&sandbox, "instance.begin", code),
            Some(PASSING),
            "{}",
            sandbox.log_tail()
        );
    }
    for n in 1..=10 {
        let code = [EIO, EAGAIN, ENOLCK][n % 3];
        assert_eq!(
            start_that_fails(&sandbox, "store.open", code),
            Some(PASSING),
            "{}",
            sandbox.log_tail()
        );
        if n == 9 {
            let doctor = sandbox.run(["doctor"]);
            assert!(doctor.stdout.contains("9 times in a row"), "{doctor:?}");
            assert!(!doctor.stdout.contains("set-aside-unreadable"), "{doctor:?}");
        }
    }
    let doctor = sandbox.run(["doctor"]);
    assert!(
        doctor.stdout.contains("10 times in a row") && doctor.stdout.contains("scened set-aside-unreadable"),
        "{doctor:?}"
    );
    set_aside_unreadable(&sandbox).expect(0).says("nothing was set aside");
    assert_eq!(set_aside(&sandbox), Vec::<String>::new());

    let daemon = sandbox.start();
    sandbox.settle();
    assert_same_answers(&answer(&sandbox, "red"), &expected, &sandbox.log_tail());
    assert_eq!(sandbox.ctl_json(["status"])["warnings"].to_string(), "[]");
    assert_eq!(sandbox.n_decoded(), 1, "{}", sandbox.log_tail());
    set_aside_unreadable(&sandbox).expect(ALREADY_RUNNING).complains("another scened");
    assert!(daemon.stop().success());
    assert!(!sandbox.run(["doctor"]).stdout.contains("in a row"));
}

#[test]
fn without_a_service_manager_it_starts_itself_again_with_growing_pauses() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.start();
    assert!(daemon.stop().success());
    let mut command = sandbox.command("scened");
    command.env("SCENED_FAIL_POINT", format!("store.open={EIO}"));
    let mut daemon = sandbox.launch_as(command);
    wait_until("the second pause", SOON, || {
        let log = fs::read_to_string(sandbox.log()).unwrap();
        if log.contains("starting again in 5 s") && log.contains("starting again in 10 s") {
            Ok(())
        } else {
            Err(sandbox.log_tail())
        }
    });
    assert!(daemon.is_alive());
    daemon.signal("TERM");
    assert!(daemon.wait_for_end().success(), "{}", sandbox.log_tail());
    assert_eq!(set_aside(&sandbox), Vec::<String>::new());
}

#[test]
fn a_data_folder_that_is_not_there_has_nothing_unreadable() {
    let sandbox = Sandbox::new();
    set_aside_unreadable(&sandbox).expect(78).complains("no data folder");
    assert!(!sandbox.data().is_dir());
}

#[test]
fn a_daemon_that_is_killed_in_its_first_moments_leaves_no_damage() {
    for first_ms in [1, 4, 10, 20, 40, 80] {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.launch();
        testkit::pause(Duration::from_millis(first_ms));
        daemon.signal("KILL");
        daemon.wait_for_end();
        let daemon = sandbox.start();
        let status = sandbox.ctl_json(["status"]);
        assert_eq!(status["warnings"].to_string(), "[]", "killed after {first_ms} ms");
        assert_eq!(set_aside(&sandbox), Vec::<String>::new(), "killed after {first_ms} ms");
        assert!(daemon.stop().success());
    }
}
