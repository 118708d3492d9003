//! Fails or kills a run at each step of everything that writes: the next run is right.

use std::fs;
use std::sync::Mutex;

use testkit::{Sandbox, wait_until};

use crate::{SOON, answer, assert_same_answers};

/// Fail points in `daemon/src` at which data is written.
const POINTS: [&str; 15] = [
    "commit.begin",
    "commit.end",
    "side.begin",
    "side.end",
    "keyframes.written",
    "keyframes.end",
    "snapshot.begin",
    "snapshot.written",
    "snapshot.renamed",
    "snapshot.header",
    "snapshot.end",
    "decisions.begin",
    "decisions.between",
    "aside.begin",
    "aside.end",
];
const N_THREADS: usize = 2;

#[test]
fn every_step_may_fail() {
    at_every_point("error");
}

#[test]
fn every_step_may_be_the_last() {
    at_every_point("kill");
}

fn at_every_point(what: &str) {
    let left = Mutex::new(POINTS.to_vec());
    std::thread::scope(|scope| {
        for _ in 0..N_THREADS {
            scope.spawn(|| {
                loop {
                    let point = left.lock().unwrap().pop();
                    let Some(point) = point else { return };
                    fails_at(point, what);
                }
            });
        }
    });
    eprintln!("{} fail points, {what}: everything was right after the next start", POINTS.len());
}

fn fails_at(point: &str, what: &str) {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0), ("green", 1.2)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let before = answer(&sandbox, "red");
    assert!(daemon.stop().success());
    if point.starts_with("aside") {
        for entry in fs::read_dir(sandbox.data().join("index")).unwrap().flatten() {
            fs::write(entry.path(), "damaged").unwrap();
        }
    }
    let log = || format!("{point}={what}\n{}", sandbox.log_tail());
    sandbox.video("b.mp4", &[("blue", 1.0)]);
    let mut command = sandbox.command("scened");
    command.env("SCENED_FAIL_POINT", format!("{point}={what}"));
    let mut daemon = sandbox.launch_as(command);
    let is_reached = || fs::read_to_string(sandbox.log()).unwrap().contains("fail point");
    // A setting changes, a video is indexed, and the index is saved at the end. Any of them may reach the point first. The daemon may die
    // before it answers, or fail at every start.
    wait_until("the daemon to answer, to fail or to die", SOON, || {
        if !daemon.is_alive() || is_reached() || sandbox.ctl(["status", "--json"]).status.success() {
            Ok(())
        } else {
            Err(log())
        }
    });
    sandbox.run(["pause"]);
    let is_resumed = sandbox.run(["resume"]).status == 0;
    // After an error the daemon may continue, or start again and fail again; after a kill it is gone.
    let mut is_asked_to_end = false;
    wait_until("the fail point", SOON, || {
        if is_reached() || !daemon.is_alive() {
            return Ok(());
        }
        let status = sandbox.run(["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap_or_default();
        if status["videos"]["indexed"] == 2 && !is_asked_to_end {
            daemon.signal("TERM");
            is_asked_to_end = true;
        }
        Err(log())
    });
    if what == "kill" {
        daemon.wait_for_end();
    } else if daemon.is_alive() {
        if !is_asked_to_end {
            daemon.signal("TERM");
        }
        daemon.wait_for_end();
    }
    assert!(is_reached(), "{}", log());
    drop(daemon);

    let daemon = sandbox.start();
    if point.starts_with("decisions") || !is_resumed {
        // A daemon that died or stopped while paused stays paused, as the user asked.
        sandbox.run(["resume"]).expect(0);
    }
    sandbox.settle();
    assert_eq!(sandbox.counts(), [2, 0, 0, 0], "{}", log());
    let warnings = sandbox.ctl_json(["status"])["warnings"].to_string();
    assert_eq!(warnings, "[]", "nothing was damaged; {}", log());
    let after: Vec<_> = answer(&sandbox, "red").into_iter().filter(|hit| hit.0 == "a.mp4").collect();
    assert_same_answers(&after, &before, &log());
    assert_eq!(answer(&sandbox, "red").len(), 3, "{}", log());
    for check in sandbox.ctl_json(["doctor"])["checks"].as_array().unwrap() {
        assert_ne!(check["state"], "fail", "{check}; {}", log());
    }
    assert_eq!(
        sandbox.ctl_json(["status"])["state"],
        "idle",
        "what was resumed stays resumed; {}",
        log()
    );
    assert!(daemon.stop().success());
}

/// What a start over the store of version 0.1.0 writes: records that do not fit are repaired, and the marker and the copy of the settings
/// are new.
const UPGRADE_POINTS: [&str; 5] = ["commit.begin", "commit.end", "side.begin", "decisions.begin", "decisions.between"];

#[test]
fn a_released_store_is_opened_also_after_a_death_in_the_middle_of_it() {
    let released = testkit::repository().join("tests/data/stores/v1");
    let upgraded = |point: Option<&str>| {
        let sandbox = Sandbox::new();
        // Its videos do not exist here; that must not lose anything.
        sandbox.configure("folders = [\"/films\"]");
        testkit::copy_tree(&released, &sandbox.data(), &|_| true);
        let mut has_died = false;
        if let Some(point) = point {
            let mut command = sandbox.command("scened");
            command.env("SCENED_FAIL_POINT", format!("{point}=kill"));
            let mut daemon = sandbox.launch_as(command);
            wait_until("the end, or an answer", SOON, || {
                has_died = !daemon.is_alive();
                if has_died || sandbox.ctl(["status", "--json"]).status.success() {
                    Ok(())
                } else {
                    Err(sandbox.log_tail())
                }
            });
        }
        let daemon = sandbox.start();
        sandbox.settle();
        let status = sandbox.ctl_json(["status"]);
        assert!(daemon.stop().success());
        (
            (
                status["videos"].to_string(),
                status["scenes"].clone(),
                status["warnings"].as_array().map(Vec::len),
            ),
            has_died,
        )
    };
    let (expected, _) = upgraded(None);
    assert!(expected.0.contains("\"offline\":4") && expected.1 == 7, "{expected:?}");
    let mut n_deaths = 0;
    for point in UPGRADE_POINTS {
        let (found, has_died) = upgraded(Some(point));
        assert_eq!(found, expected, "{point}");
        n_deaths += u32::from(has_died);
    }
    eprintln!(
        "the store of version 0.1.0: {n_deaths} of {} deaths came in the middle of its first start",
        UPGRADE_POINTS.len()
    );
    assert!(n_deaths > 1, "nothing was interrupted");
}
