//! `why`: every state that a file can be in.

use std::fs;
use std::path::Path;

use testkit::{Sandbox, videos, wait_until};

use crate::SOON;

#[test]
fn why_tells_every_state_with_its_reason() {
    let sandbox = Sandbox::new();
    let video = sandbox.video("film.mp4", &[("red", 1.0), ("green", 1.0)]);
    sandbox.video("green.mp4", &[("green", 1.2)]);
    let bad = sandbox.videos().join("bad.mp4");
    fs::write(&bad, "no video").unwrap();
    let _daemon = sandbox.start();
    sandbox.settle();
    let check = |file: &Path, state: &str, reason: &str| {
        let answer = sandbox.ctl_json([Path::new("why"), file]);
        assert_eq!(answer["state"], state, "{answer}");
        let reasons: Vec<&str> = answer["reasons"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
        assert!(reasons.iter().any(|r| r.contains(reason)), "{reason:?} is not in {reasons:?}");
        sandbox.run([Path::new("why"), file]).expect(0).says(state).says(reason);
    };
    check(&video, "indexed", "2 scenes");
    check(&bad, "failed", "scenectl retry");
    check(&sandbox.videos().join("nothing.mp4"), "missing", "no such file");
    let outside = sandbox.path().join("outside.mp4");
    videos::colours(&outside, &[("red", 1.0)]);
    check(&outside, "unwatched", "scenectl add");

    sandbox.say("pause").expect(0);
    let queued = sandbox.video("queued.mp4", &[("blue", 1.0)]);
    wait_until("it to be queued", SOON, || {
        let answer = sandbox.ctl_json([Path::new("why"), &queued]);
        if answer["state"] == "pending" {
            Ok(())
        } else {
            Err(answer.to_string())
        }
    });
    check(&queued, "pending", "number 1 in the queue");
    check(&queued, "pending", "indexing is paused");

    let answer = sandbox.ctl_json([Path::new("why"), &video, Path::new("a red background")]);
    assert_eq!(
        (&answer["rank"], &answer["of_scenes"], &answer["best"]["start_ms"]),
        (&1.into(), &3.into(), &0.into()),
        "{answer}"
    );
    let answer = sandbox.ctl_json([Path::new("why"), &video, Path::new("a green background")]);
    assert_eq!(answer["best"]["start_ms"], 1000, "{answer}");
    assert!(answer["rank"].as_u64().unwrap() <= 2, "{answer}");
    let answer = sandbox.ctl_json([Path::new("why"), &bad, Path::new("red")]);
    assert!(
        answer["best"].is_null() && answer["reasons"].to_string().contains("no query finds it"),
        "{answer}"
    );
}
