//! `search`: its exact JSON, its filters, its orders.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use testkit::Sandbox;

use crate::{name, names};

fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .map(Map::keys)
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect()
}

#[test]
fn the_answer_is_the_contract_to_the_letter() {
    let sandbox = Sandbox::new();
    sandbox.video("film.mp4", &[("red", 1.0), ("green", 1.4)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let answer = sandbox.ctl_json(["search", "a", "green", "background"]);
    assert_eq!(keys(&answer), ["coverage", "hits", "model", "notices", "query"]);
    assert_eq!(answer["query"], "a green background");
    assert_eq!(answer["model"], "starter");
    assert_eq!(
        answer["coverage"],
        serde_json::json!({"indexed": 1, "pending": 0, "failed": 0, "offline": 0})
    );
    assert!(answer["notices"][0].as_str().unwrap().contains("model use"), "{answer}");
    let hits = answer["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 2);
    for hit in hits {
        assert_eq!(
            keys(hit),
            [
                "best_ms",
                "confidence",
                "duration_ms",
                "end_ms",
                "offline",
                "path",
                "picture",
                "scene",
                "score",
                "start_ms",
                "video"
            ]
        );
        let (start, best, end) = (
            hit["start_ms"].as_u64().unwrap(),
            hit["best_ms"].as_u64().unwrap(),
            hit["end_ms"].as_u64().unwrap(),
        );
        assert!(start <= best && best < end, "{hit}");
        assert!((-1.0..=1.0).contains(&hit["score"].as_f64().unwrap()), "{hit}");
        assert!((0.0..=1.0).contains(&hit["confidence"].as_f64().unwrap()), "{hit}");
        assert!(
            hit["video"].is_string() && hit["scene"].is_string() && hit["offline"] == false,
            "{hit}"
        );
        assert!(Path::new(hit["path"].as_str().unwrap()).is_absolute());
        assert_eq!(hit["duration_ms"], 2400);
    }
    assert_eq!((&hits[0]["start_ms"], &hits[0]["end_ms"]), (&1000.into(), &2400.into()));
    assert!(hits[0]["score"].as_f64() > hits[1]["score"].as_f64());
    assert_eq!(hits[0]["video"], hits[1]["video"]);
    assert_ne!(hits[0]["scene"], hits[1]["scene"]);
}

#[test]
fn what_is_not_there_is_found_with_little_confidence_and_left_out_on_demand() {
    let sandbox = Sandbox::new();
    sandbox.video("film.mp4", &[("red", 1.0), ("green", 1.4)]);
    let picture = sandbox.path().join("red.png");
    sandbox.video_at(&picture, &[("red", 0.04)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let sure = |query: &str| sandbox.search(query)[0]["confidence"].as_f64().unwrap();
    let (there, not_there) = (sure("a red background"), sure("a piano on a beach"));
    assert!(there > 0.5 && not_there < 0.1, "{there} {not_there}");
    let ask = |query: &str| sandbox.say(&format!("search {query} --min-confidence 0.5"));
    ask("a red background").expect(0).says("film.mp4");
    ask("a piano on a beach").expect(1);
    sandbox
        .say("search a piano on a beach")
        .expect(0)
        .complains("probably nothing matches");
    let told = sandbox.ctl_json([Path::new("similar"), &picture, Path::new("--min-confidence"), Path::new("0.9")]);
    assert!(told["hits"][0]["confidence"].is_null(), "{told}");
    assert!(told["notices"].to_string().contains("was not applied"), "{told}");
    // The same after a restart, from stored data.
    drop(daemon);
    let _daemon = sandbox.start();
    let again = sure("a red background");
    assert!((again - there).abs() < 1e-6, "{again} {there}");
}

#[test]
fn status_scenes_and_incidents_keep_the_contract() {
    let sandbox = Sandbox::new();
    let video = sandbox.video("film.mp4", &[("red", 1.0), ("green", 1.4)]);
    std::fs::write(sandbox.videos().join("bad.mp4"), "no video").unwrap();
    let _daemon = sandbox.start();
    sandbox.settle();
    let status = sandbox.ctl_json(["status"]);
    assert_eq!(
        status["videos"],
        serde_json::json!({"indexed": 1, "pending": 0, "failed": 1, "offline": 0})
    );
    assert_eq!(
        (&status["scenes"], &status["model"], &status["state"]),
        (&2.into(), &"starter".into(), &"idle".into())
    );
    assert_eq!(status["provider"], "cpu");
    assert!(status["warnings"].is_array());

    let scenes = sandbox.ctl_json([Path::new("scenes"), &video]);
    assert_eq!(
        (&scenes["path"], &scenes["duration_ms"]),
        (&video.to_str().unwrap().into(), &2400.into())
    );
    let rows: Vec<_> = scenes["scenes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["start_ms"].as_u64(), s["end_ms"].as_u64(), s["boundary"].as_str()))
        .collect();
    assert_eq!(rows, [(Some(0), Some(1000), Some("start")), (Some(1000), Some(2400), Some("cut"))]);

    let incidents = sandbox.ctl_json(["incidents"]);
    let incident = &incidents["incidents"][0];
    assert_eq!((name(incident), &incident["attempts"]), ("bad.mp4", &1.into()));
    assert!(!incident["reason"].as_str().unwrap().is_empty());
}

#[test]
fn filters_narrow_the_answer_and_its_coverage() {
    let sandbox = Sandbox::new();
    let old = sandbox.video("old/red.mp4", &[("red", 1.0)]);
    sandbox.video("new/red.mp4", &[("red", 3.0)]);
    sandbox.video("new/sub/green.mp4", &[("green", 2.0)]);
    let may = SystemTime::UNIX_EPOCH + Duration::from_secs(1_715_000_000); // 2024-05-06
    File::options().write(true).open(&old).unwrap().set_modified(may).unwrap();
    let _daemon = sandbox.start();
    sandbox.settle();
    let videos = sandbox.videos();
    let check = |arguments: &[&str], expected: &[&str]| {
        let mut words = vec!["search", "a red background"];
        words.extend(arguments);
        let answer = sandbox.ctl_json(&words);
        let mut found: Vec<String> = answer["hits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| {
                let path = Path::new(hit["path"].as_str().unwrap());
                path.strip_prefix(&videos).unwrap().to_str().unwrap().to_owned()
            })
            .collect();
        found.sort();
        assert_eq!(found, expected, "{arguments:?}");
        assert_eq!(answer["coverage"]["indexed"], expected.len() as u64, "{arguments:?}: {answer}");
    };
    let all = ["new/red.mp4", "new/sub/green.mp4", "old/red.mp4"];
    check(&[], &all);
    check(&["--in", videos.join("new").to_str().unwrap()], &all[..2]);
    check(
        &[
            "--in",
            videos.join("new/sub").to_str().unwrap(),
            "--in",
            videos.join("old").to_str().unwrap(),
        ],
        &all[1..],
    );
    check(&["--in", old.to_str().unwrap()], &all[2..]);
    check(&["--since", "2024-06"], &all[..2]);
    check(&["--until", "2024"], &all[2..]);
    check(&["--since", "2024-05", "--until", "2024-05-31"], &all[2..]);
    check(&["--since", "1 day ago"], &all[..2]);
    check(&["--min-duration", "1.5s"], &all[..2]);
    check(&["--max-duration", "2s"], &all[1..]);
    check(&["--min-duration", "1.5s", "--max-duration", "2.5s"], &all[1..2]);
    // A folder without videos gives an empty answer, with status 1.
    let nothing = sandbox
        .run(["search", "red", "--in", sandbox.path().join("elsewhere").to_str().unwrap()])
        .expect(1);
    assert_eq!(nothing.stdout, "");
    nothing.complains("nothing found in 0 indexed videos");
}

#[test]
fn n_limits_and_not_strikes_out() {
    let sandbox = Sandbox::new();
    for colour in ["red", "green", "blue"] {
        sandbox.video(format!("{colour}.mp4"), &[(colour, 1.0)]);
    }
    let _daemon = sandbox.start();
    sandbox.settle();
    let answer = sandbox.ctl_json(["search", "a red background", "-n", "2"]);
    assert_eq!(answer["hits"].as_array().unwrap().len(), 2);
    let answer = sandbox.ctl_json([
        "search",
        "a plain background",
        "--not",
        "a red background",
        "--not",
        "a blue background",
    ]);
    assert_eq!(names(answer["hits"].as_array().unwrap()), ["green.mp4"], "{answer}");
}

#[test]
fn by_video_gives_one_row_a_video_ranked_by_the_mean_over_its_scenes() {
    let sandbox = Sandbox::new();
    sandbox.video("mixed.mp4", &[("red", 1.0), ("blue", 1.0), ("green", 1.0)]);
    sandbox.video("mostly.mp4", &[("red", 1.0), ("white", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let scenes = sandbox.search("a red background");
    let answer = sandbox.ctl_json(["search", "a red background", "--by", "video"]);
    let rows = answer["hits"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let mut last = f64::INFINITY;
    for row in rows {
        let own: Vec<&Value> = scenes.iter().filter(|hit| hit["video"] == row["video"]).collect();
        let mean = own.iter().map(|hit| hit["score"].as_f64().unwrap()).sum::<f64>() / own.len() as f64;
        let told = row["video_score"].as_f64().unwrap();
        // Every frame of a plain scene looks the same, so a scene's best frame scores the same as the scene.
        assert!((mean - told).abs() < 0.01, "{mean} {row}");
        assert!(told <= last);
        last = told;
        assert_eq!(row["scene"], own[0]["scene"], "the best scene is reported");
    }
}

#[test]
fn paths_are_printed_bare_for_other_programs() {
    let sandbox = Sandbox::new();
    let two = sandbox.video("two scenes.mp4", &[("red", 1.0), ("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let lines = sandbox.run(["search", "red", "--paths"]).expect(0);
    assert_eq!(lines.stdout, format!("{}\n", two.display()));
    let nulls = sandbox.run(["search", "red", "-0"]).expect(0);
    assert_eq!(nulls.stdout, format!("{}\0", two.display()));
}

#[test]
fn coverage_says_what_is_missing_from_an_answer() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0)]);
    std::fs::write(sandbox.videos().join("bad.mp4"), "no video").unwrap();
    let _daemon = sandbox.start();
    sandbox.settle();
    sandbox.say("pause").expect(0);
    sandbox.video("later.mp4", &[("green", 1.0)]);
    testkit::wait_until("the new video to be queued", crate::SOON, || {
        let counts = sandbox.counts();
        if counts == [1, 1, 1, 0] {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    });
    let answer = sandbox.ctl_json(["search", "red"]);
    assert_eq!(
        answer["coverage"],
        serde_json::json!({"indexed": 1, "pending": 1, "failed": 1, "offline": 0})
    );
    sandbox.say("search red").expect(0).complains("1 video pending, 1 failed");
}

#[test]
fn questions_that_cannot_be_asked_say_why() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    sandbox.run(["search", ""]).expect(2).complains("the query is empty");
    sandbox.run(["search", " \t\n"]).expect(2).complains("the query is empty");
    let long = "red ".repeat(25_000);
    sandbox.run(["search", &long]).expect(2).complains("bytes long");
    sandbox.run(["search", "red", "-n", "0"]).expect(2).complains("1");
    sandbox.run(["search", "red", "--min-duration", "soon"]).expect(2);
    sandbox.run(["search"]).expect(2);
    // Odd words are valid queries: there is always a nearest picture.
    for query in ["🦊", "Fuchs auf der Wiese", "--", "\u{202e}der\u{0}"] {
        if query.contains('\0') {
            continue;
        }
        let ran = sandbox.run(["search", "--", query]).expect(0);
        assert!(ran.stdout.contains("a.mp4"), "{ran:?}");
    }
}
