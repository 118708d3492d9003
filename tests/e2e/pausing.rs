//! `pause`, `resume`, and what waits meanwhile.

use std::io::Write as _;
use std::time::{Duration, Instant};

use testkit::{Sandbox, processes, wait_until};

use crate::{SOON, names};

/// Long enough to be still decoding when a test acts.
pub(crate) const LONG: &[(&str, f64)] = &[("red", 700.0), ("green", 700.0), ("blue", 700.0)];

#[test]
fn pause_stops_indexing_within_a_second_and_search_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.video("short.mp4", &[("yellow", 1.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    sandbox.video("long.mp4", LONG);
    wait_until("the long video to be decoded", SOON, || {
        let workers = processes::workers(daemon.pid(), "media");
        if workers.is_empty() { Err(sandbox.log_tail()) } else { Ok(()) }
    });
    let paused_at = Instant::now();
    let answer = sandbox.ctl_json(["pause"]);
    assert_eq!(answer["state"], "paused");
    wait_until("the media worker to end", SOON, || {
        let workers = processes::workers(daemon.pid(), "media");
        if workers.is_empty() { Ok(()) } else { Err(format!("{workers:?}")) }
    });
    let took = paused_at.elapsed();
    assert!(took < Duration::from_secs(1), "indexing went on for {took:?}");
    assert_eq!(names(&sandbox.search("a yellow background")), ["short.mp4"]);
    sandbox.say("status").expect(0).says("paused").says("1 indexed, 1 pending");
    assert_eq!(sandbox.ctl_json(["wait", "--timeout", "0.2"])["idle"], false);
    sandbox.say("wait --timeout 0.2").expect(1).says("still busy");
    assert_eq!(sandbox.counts(), [1, 1, 0, 0]);

    assert_eq!(sandbox.ctl_json(["resume"])["state"], "indexing");
    wait_until("the long video to be decoded again", SOON, || {
        let workers = processes::workers(daemon.pid(), "media");
        if workers.is_empty() { Err(sandbox.log_tail()) } else { Ok(()) }
    });
    assert!(daemon.stop().success());
}

#[test]
fn a_pause_ends_by_itself_or_outlives_the_daemon() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.start();
    sandbox.say("pause --for 1s").expect(0);
    sandbox.video("a.mp4", &[("red", 1.0)]);
    // `wait` includes the pause.
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0]);
    assert_eq!(sandbox.ctl_json(["status"])["state"], "idle");

    sandbox.say("pause").expect(0);
    assert!(daemon.stop().success());
    sandbox.video("b.mp4", &[("green", 1.0)]);
    let _daemon = sandbox.start();
    wait_until("the new video to be queued", SOON, || {
        let counts = sandbox.counts();
        if counts == [1, 1, 0, 0] {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    });
    assert_eq!(sandbox.ctl_json(["status"])["state"], "paused");
    sandbox.say("resume").expect(0);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [2, 0, 0, 0]);
}

#[test]
fn a_queued_video_that_grows_or_goes_away_is_not_tried_over_and_over() {
    let sandbox = Sandbox::new();
    sandbox.configure("log = \"info,scened::pipeline=debug\"\nsettle-seconds = 2");
    let daemon = sandbox.start();
    sandbox.say("pause").expect(0);
    let growing = sandbox.video("growing.mp4", &[("red", 1.0)]);
    let gone = sandbox.video("gone.mp4", &[("green", 1.0)]);
    wait_until("both to be queued", SOON, || {
        let counts = sandbox.counts();
        if counts == [0, 2, 0, 0] {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    });
    let mut video = std::fs::File::options().append(true).open(&growing).unwrap();
    video.write_all(b"more").unwrap();
    std::fs::remove_file(&gone).unwrap();
    sandbox.say("resume").expect(0);
    // While the file grows, the daemon checks it now and then, no more.
    let (before, started) = (processes::wake_ups(daemon.pid()), Instant::now());
    while started.elapsed() < Duration::from_secs(4) {
        video.write_all(b"more").unwrap();
        testkit::pause(Duration::from_millis(250));
    }
    let n = processes::wake_ups(daemon.pid()) - before;
    assert!(n < 2_000, "{n} wake-ups in four seconds\n{}", sandbox.log_tail());
    let log = std::fs::read_to_string(sandbox.log()).unwrap();
    assert!(log.matches("changed since it was queued").count() < 10, "{}", sandbox.log_tail());
    drop(video);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0], "{}", sandbox.log_tail());
    assert!(daemon.stop().success());
}
