//! What the configuration and marker files exclude.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use testkit::{Sandbox, Wire};

fn excluded_because(sandbox: &Sandbox, file: &Path, reason: &str) {
    let answer = sandbox.ctl_json([Path::new("why"), file]);
    assert_eq!(answer["state"], "excluded", "{answer}");
    let first = answer["reasons"][0].as_str().unwrap_or_default();
    assert!(first.contains(reason), "{reason:?} is not in {first:?}");
}

#[test]
fn globs_markers_and_hidden_names_are_kept_out_and_why_names_the_rule() {
    let sandbox = Sandbox::new();
    sandbox.configure("ignore = [\"**/raw/**\", \"*.draft.mp4\"]");
    let source = sandbox.video("kept.mp4", &[("red", 1.0)]);
    let place = |relative: &str| {
        let path = sandbox.videos().join(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(&source, &path).unwrap();
        path
    };
    let raw = place("2024/raw/a.mp4");
    let draft = place("b.draft.mp4");
    let nomedia = place("quiet/sub/c.mp4");
    fs::write(sandbox.videos().join("quiet/.nomedia"), "").unwrap();
    let hidden = place(".hidden.mp4");
    let in_hidden = place(".cache/d.mp4");
    let ruled = place("work/tmp-1.mp4");
    place("work/final.mp4");
    fs::write(sandbox.videos().join("work/.scenedignore"), "tmp-*\n").unwrap();
    let text = sandbox.videos().join("notes.txt");
    fs::write(&text, "no video").unwrap();
    let link = sandbox.videos().join("link.mp4");
    symlink(&source, &link).unwrap();

    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [2, 0, 0, 0], "{}", sandbox.log_tail());
    excluded_because(&sandbox, &raw, "**/raw/**");
    excluded_because(&sandbox, &draft, "*.draft.mp4");
    excluded_because(&sandbox, &nomedia, ".nomedia");
    excluded_because(&sandbox, &hidden, "hidden");
    excluded_because(&sandbox, &in_hidden, "hidden");
    excluded_because(&sandbox, &ruled, ".scenedignore");
    excluded_because(&sandbox, &text, "extension");
    // scenectl resolves links. Asked directly, the daemon says that the link is not a video.
    let answer = Wire::greeted(&sandbox.socket()).call("why", &serde_json::json!({"path": link}));
    assert_eq!(answer["result"]["state"], "excluded", "{answer}");
    assert!(
        answer["result"]["reasons"][0].as_str().unwrap().contains("symbolic link"),
        "{answer}"
    );
}

#[test]
fn a_marker_that_comes_later_drops_what_it_covers_and_gives_it_back() {
    let sandbox = Sandbox::new();
    sandbox.video("private/a.mp4", &[("red", 1.0)]);
    sandbox.video("b.mp4", &[("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [2, 0, 0, 0]);
    let marker = sandbox.videos().join("private/.nomedia");
    fs::write(&marker, "").unwrap();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0], "{}", sandbox.log_tail());
    fs::remove_file(&marker).unwrap();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [2, 0, 0, 0], "{}", sandbox.log_tail());
}

#[test]
fn hidden_files_and_links_are_taken_where_the_configuration_says_so() {
    let sandbox = Sandbox::new();
    sandbox.configure("hidden = true\nfollow-symlinks = true\nextensions = [\"mp4\", \"film\"]");
    let outside = sandbox.path().join("elsewhere");
    sandbox.video_at(&outside.join("linked.mp4"), &[("red", 1.0)]);
    symlink(&outside, sandbox.videos().join("link")).unwrap();
    // The walk must end despite a loop.
    symlink(sandbox.videos(), sandbox.videos().join("loop")).unwrap();
    sandbox.video(".hidden.mp4", &[("green", 1.0)]);
    sandbox.video("odd.FILM", &[("blue", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [3, 0, 0, 0], "{}", sandbox.log_tail());
}
