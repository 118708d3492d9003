//! `similar`: by a video, a moment, a picture.

use std::ffi::OsString;
use std::path::Path;

use testkit::{Sandbox, videos};

use crate::names;

fn similar(sandbox: &Sandbox, target: &Path, at: &str) -> Vec<String> {
    let mut target = OsString::from(target);
    target.push(at);
    let answer = sandbox.ctl_json([OsString::from("similar"), target]);
    names(answer["hits"].as_array().unwrap()).into_iter().map(str::to_owned).collect()
}

#[test]
fn scenes_are_found_by_a_video_a_moment_and_a_picture() {
    let sandbox = Sandbox::new();
    let two = sandbox.video("two.mp4", &[("red", 1.0), ("green", 1.0)]);
    let red = sandbox.video("red.mp4", &[("red", 1.2)]);
    sandbox.video("green.mp4", &[("green", 1.4)]);
    sandbox.video("blue.mp4", &[("blue", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();

    let whole = similar(&sandbox, &red, "");
    assert_eq!(whole[0], "two.mp4", "{whole:?}");
    assert!(!whole.contains(&"red.mp4".to_owned()), "a video is not its own likeness");
    // A moment finds its own scene and the video that looks the same, in either order.
    let check_moment = |at: &str, twin: &str| {
        let mut best = similar(&sandbox, &two, at);
        best.truncate(2);
        best.sort();
        assert_eq!(best, [twin, "two.mp4"], "{at}");
    };
    check_moment("@0.5", "red.mp4");
    check_moment("@0:01.5", "green.mp4");

    for extension in ["png", "jpg"] {
        let picture = sandbox.path().join(format!("picture.{extension}"));
        videos::picture(&picture, "blue");
        assert_eq!(similar(&sandbox, &picture, "")[0], "blue.mp4", "{extension}");
    }
    let outside = sandbox.path().join("not indexed.mp4");
    videos::colours(&outside, &[("green", 1.0), ("blue", 1.0)]);
    assert_eq!(similar(&sandbox, &outside, "@1.5")[0], "blue.mp4");

    let answer = sandbox.ctl_json([
        Path::new("similar"),
        &red,
        Path::new("--by"),
        Path::new("video"),
        Path::new("-n"),
        Path::new("1"),
    ]);
    assert_eq!(answer["hits"].as_array().unwrap().len(), 1);
    assert!(answer["hits"][0]["video_score"].is_number());
}

#[test]
fn what_gives_no_picture_says_so() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let text = sandbox.path().join("notes.txt");
    std::fs::write(&text, "just words\n").unwrap();
    let _daemon = sandbox.start();
    sandbox.settle();
    sandbox.run([Path::new("similar"), &text]).expect(2).complains("notes.txt");
    sandbox
        .run([Path::new("similar"), &sandbox.path().join("nothing.png")])
        .expect(2)
        .complains("nothing.png");
    sandbox.run([Path::new("similar"), sandbox.path()]).expect(2);
    sandbox.run(["similar", "/dev/zero"]).expect(2);
    assert_eq!(sandbox.counts(), [1, 0, 0, 0]);
}
