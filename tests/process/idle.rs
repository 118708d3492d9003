//! An idle daemon: no requests, no changes.

use std::time::Duration;

use testkit::{Sandbox, pause, processes, wait_until};

use crate::SOON;

#[test]
fn an_idle_daemon_holds_no_model_and_does_not_wake_up() {
    const WATCHED: Duration = Duration::from_secs(5);
    let sandbox = Sandbox::new();
    sandbox.configure("model-idle-seconds = 1");
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    sandbox.run(["search", "red"]).expect(0);
    wait_until("the embed worker to end", SOON, || {
        let workers = processes::children(daemon.pid());
        if workers.is_empty() { Ok(()) } else { Err(format!("{workers:?}")) }
    });
    // The aftermath of a worker's end (a reaped child, a saved index) is over soon; after that nothing may happen.
    let mut last = processes::wake_ups(daemon.pid());
    wait_until("five quiet seconds", SOON, || {
        pause(WATCHED);
        let now = processes::wake_ups(daemon.pid());
        // A thread that ends takes its count with it.
        let n = now.abs_diff(last);
        last = now;
        if n < 10 {
            Ok(())
        } else {
            Err(format!("{n} wake-ups in {WATCHED:?}"))
        }
    });
    assert!(processes::children(daemon.pid()).is_empty());
    eprintln!("idle daemon: {} KiB resident", processes::resident_kib(daemon.pid()));
    // It still answers when asked.
    sandbox.run(["search", "red"]).expect(0).says("a.mp4");
}
