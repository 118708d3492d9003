//! Every verb: its output for people, its JSON, and its exit statuses.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use testkit::{Sandbox, wait_until};

use crate::SOON;

#[test]
fn every_verb_answers_people_and_programs() {
    let sandbox = Sandbox::new();
    let video = sandbox.video("film.mp4", &[("red", 1.0), ("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.say("wait --timeout 300").expect(0).says("idle: 1 indexed");

    sandbox
        .run(["search", "a red background"])
        .expect(0)
        .says("film.mp4  0:00:00 – 0:00:01");
    sandbox
        .run([Path::new("scenes"), &video])
        .expect(0)
        .says("0:00:01.0  0:00:02.0  cut");
    sandbox
        .say("status")
        .expect(0)
        .says("idle")
        .says("1 indexed")
        .says("starter, on cpu");
    sandbox.say("folders").expect(0).says("~/films").says("watched");
    sandbox.say("incidents").expect(0).complains("no file has failed");
    sandbox.say("rescan").expect(0);
    sandbox.say("retry").expect(0);
    sandbox.say("pause").expect(0).says("paused");
    sandbox.say("resume").expect(0);
    sandbox.run([Path::new("why"), &video]).expect(0).says("indexed");
    sandbox.say("model list").expect(0).says("starter");
    sandbox.say("model info").expect(0).says("starter");
    let doctor = sandbox.say("doctor").expect(0);
    for check in ["worker", "onnxruntime", "data", "store", "keyframes", "model", "index"] {
        assert!(doctor.stdout.contains(check), "{check} is not in {}", doctor.stdout);
    }

    for (words, member) in [
        ("search red", "hits"),
        ("status", "videos"),
        ("folders", "folders"),
        ("incidents", "incidents"),
        ("rescan", "n"),
        ("retry", "n"),
        ("pause", "state"),
        ("resume", "state"),
        ("wait --timeout 60", "idle"),
        ("model list", "models"),
        ("model info starter", "models"),
        ("doctor", "checks"),
    ] {
        let answer = sandbox.ctl_json(words.split(' '));
        assert!(!answer[member].is_null(), "{words}: {answer}");
    }
    let doctor = sandbox.ctl_json(["doctor"]);
    for check in doctor["checks"].as_array().unwrap() {
        assert_ne!(check["state"], "fail", "{check}");
    }
}

#[test]
fn exit_statuses_are_found_nothing_error_and_unreachable() {
    let sandbox = Sandbox::new();
    sandbox.video("film.mp4", &[("red", 1.0)]);
    sandbox.say("status").expect(3).complains("scened");
    sandbox.say("search red").expect(3);
    let daemon = sandbox.start();
    sandbox.settle();
    sandbox.say("search red").expect(0);
    sandbox.run(["search", "red", "--in", "/nowhere"]).expect(1);
    sandbox.say("dance").expect(2);
    sandbox.run([Path::new("scenes"), &sandbox.videos().join("none.mp4")]).expect(2);
    sandbox.say("model use nonsense").expect(2).complains("nonsense");
    assert!(daemon.stop().success());
    sandbox.say("status").expect(3);
}

#[test]
fn failed_files_are_listed_and_tried_again_when_asked_or_when_they_change() {
    let sandbox = Sandbox::new();
    let bad = sandbox.videos().join("bad.mp4");
    fs::write(&bad, "no video").unwrap();
    fs::write(sandbox.videos().join("worse.mp4"), "no video either").unwrap();
    let daemon = sandbox.start();
    sandbox.settle();
    sandbox.say("incidents").expect(0).says("bad.mp4").says("worse.mp4");
    let attempts = || {
        let incidents = sandbox.ctl_json(["incidents"]);
        // The latest incident comes first; this test sorts by name.
        let mut rows = incidents["incidents"].as_array().unwrap().clone();
        rows.sort_by_key(|row| row["path"].as_str().unwrap().to_owned());
        rows.iter().map(|row| row["attempts"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(attempts(), [1, 1]);
    // No retry happens by itself: not after a rescan, and not at the next start.
    sandbox.say("rescan").expect(0);
    sandbox.settle();
    assert!(daemon.stop().success());
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(attempts(), [1, 1]);
    assert_eq!(sandbox.ctl_json([Path::new("retry"), &bad])["n"], 1);
    sandbox.settle();
    assert_eq!(attempts(), [2, 1]);
    assert_eq!(sandbox.ctl_json(["retry"])["n"], 2);
    sandbox.settle();
    assert_eq!(attempts(), [3, 2]);

    sandbox.video_at(&bad, &[("red", 1.0)]);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 1, 0]);
    assert_eq!(attempts(), [2]);
}

#[test]
fn a_watched_status_streams_one_object_a_line() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.start();
    sandbox.settle();
    let out = sandbox.path().join("stream");
    let mut watcher = sandbox
        .command("scenectl")
        .args(["status", "--watch", "--json"])
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out).unwrap())
        .spawn()
        .unwrap();
    let lines = || -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&out).unwrap();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    };
    wait_until("the state to be replayed", SOON, || {
        if lines().is_empty() { Err("nothing".to_owned()) } else { Ok(()) }
    });
    sandbox.video("film.mp4", &[("red", 1.0)]);
    wait_until("the video to be told of", SOON, || {
        let lines = lines();
        if lines.iter().any(|line| line["videos"]["indexed"] == 1 && line["state"] == "idle") {
            Ok(())
        } else {
            Err(format!("{lines:?}"))
        }
    });
    assert!(daemon.stop().success());
    // The stream ends when the daemon ends.
    wait_until("the watcher to end", SOON, || {
        watcher.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned())
    });
}

#[test]
fn completions_and_manual_pages_need_no_daemon() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        sandbox.run(["completions", shell]).expect(0).says("scenectl");
    }
    sandbox.say("man").expect(0).says(".TH scenectl");
    let pages = sandbox.path().join("man");
    fs::create_dir(&pages).unwrap();
    sandbox.run([Path::new("man"), &pages]).expect(0);
    let n_pages = fs::read_dir(&pages).unwrap().count();
    assert!(n_pages > 15, "{n_pages} pages");
    sandbox.say("--version").expect(0).says("scenectl 0.");
    sandbox.say("search --help").expect(0).says("Examples:");
}
