//! Videos from other projects' test suites: every one is indexed or becomes an incident, and none is lost.

use std::path::Path;
use std::time::Instant;

use testkit::{Sandbox, copy_tree, real_clips};

const EXTENSIONS: &[&str] = &[
    "3gp", "asf", "avi", "divx", "dv", "f4v", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogv", "ts", "vob",
    "webm", "wmv",
];

fn is_video(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    EXTENSIONS.contains(&extension.as_str())
}

fn index(what: &str, keep: &dyn Fn(&Path) -> bool) {
    let Some(clips) = real_clips() else { return };
    let sandbox = Sandbox::new();
    let n_files = copy_tree(&clips, &sandbox.videos(), &|path| is_video(path) && keep(path)) as u64;
    assert!(n_files > 0, "no clips in {}", clips.display());
    let started = Instant::now();
    let mut daemon = sandbox.start();
    sandbox.settle();
    let seconds = started.elapsed().as_secs_f64();
    let [indexed, pending, failed, offline] = sandbox.counts();
    let video_seconds = sandbox.video_seconds();
    eprintln!(
        "{what}: {n_files} files: {indexed} indexed, {failed} incidents; {video_seconds:.0} s of video in {seconds:.1} s ({:.1} a second)",
        video_seconds / seconds
    );
    let incidents = sandbox.ctl_json(["incidents"]);
    for incident in incidents["incidents"].as_array().unwrap() {
        let reason = incident["reason"].as_str().unwrap();
        eprintln!("  {}: {reason}", incident["path"].as_str().unwrap().rsplit('/').next().unwrap());
        assert!(!reason.contains("worker died") && !reason.contains("no progress"), "{incident}");
    }
    assert_eq!(
        (indexed + failed, pending, offline),
        (n_files, 0, 0),
        "unaccounted for\n{}",
        sandbox.log_tail()
    );
    assert!(daemon.is_alive());
}

/// Tests two small folders, which is what `make test` has time for.
#[test]
fn a_part_of_the_real_clips_is_indexed_or_an_incident() {
    eprintln!("the clips of mp4parse-rust and ExoPlayer below 300 kB; all of them: make check-long");
    index("part of the real clips", &|path| {
        let path_text = path.to_string_lossy();
        (path_text.contains("mp4parse") || path_text.contains("ExoPlayer")) && path.metadata().is_ok_and(|m| m.len() < 300_000)
    });
}

#[test]
#[ignore = "takes minutes: make check-long"]
fn all_real_clips_are_indexed_or_incidents() {
    index("all real clips", &|_| true);
}
