use std::fs;
use std::path::Path;

use scened_shared::message::Hit;
use serde_json::json;

use super::figures::{Answered, Figures, worst};
use super::queries::{self, Query, Right, parse};
use crate::input::limit;

fn hit(path: &str, start_ms: u64, end_ms: u64, confidence: f32) -> Hit {
    serde_json::from_value(json!({
        "path": path, "start_ms": start_ms, "end_ms": end_ms, "best_ms": start_ms, "score": 0.3, "confidence": confidence,
        "video": "v", "scene": "s", "offline": false,
    }))
    .unwrap()
}

fn query(text: &str, right: &[(&str, Option<u64>, Option<u64>)]) -> Query {
    Query {
        text: text.to_owned(),
        right: right
            .iter()
            .map(|&(file, from_ms, to_ms)| Right {
                file: file.into(),
                from_ms,
                to_ms,
            })
            .collect(),
    }
}

#[test]
fn lines_and_lists_say_the_same() {
    let expected = [
        query(
            "a dog",
            &[("/v/dog.mp4", Some(192_000), Some(199_500)), ("/else/dogs.mkv", None, None)],
        ),
        query("a unicorn", &[]),
        query("the sea", &[("/v/sea.mp4", Some(60_000), None)]),
    ];
    let lines = "# ours\na dog\tdog.mp4\t3:12\t3:19.5\n\na unicorn\nthe sea\tsea.mp4\t60\na dog\t/else/dogs.mkv\n";
    let heading = "file\tquery\tto\tfrom\ndog.mp4\ta dog\t3:19.5\t3:12\n\ta unicorn\nsea.mp4\tthe sea\t\t1:00\n/else/dogs.mkv\ta dog\n";
    let list = r#"[{"query": "a dog", "file": "dog.mp4", "from": 192, "to": "3:19.5"}, {"query": "a unicorn"},
        {"query": "the sea", "file": "sea.mp4", "from": 60}, {"query": "a dog", "file": "/else/dogs.mkv"}]"#;
    for content in [lines, heading, list] {
        assert_eq!(parse(content, Path::new("/v")).unwrap(), expected, "{content}");
    }
}

#[test]
fn a_mistake_names_its_place() {
    for (content, expected) in [
        ("a dog\tdog.mp4\n\tdog.mp4\n", "line 2: the query is empty"),
        ("a dog\tdog.mp4\tsoon\n", "line 1: \"soon\" is not a time"),
        ("a dog\tdog.mp4\t2:00\t1:00\n", "line 1: the moment ends before it begins"),
        ("a dog\t\t1:00\n", "line 1: a time needs a file"),
        ("a dog\tdog.mp4\t1\t2\t3\n", "line 1: it has 5 columns and not 4"),
        ("query\tpath\na dog\tdog.mp4\n", "line 1: there is no column \"path\""),
        (r#"[{"query": "a dog", "path": "dog.mp4"}]"#, "unknown field `path`"),
        (
            r#"[{"query": "a dog"}, {"query": "a cat", "to": 3}]"#,
            "entry 2: a time needs a file",
        ),
    ] {
        let why = parse(content, Path::new("/v")).unwrap_err();
        assert!(why.starts_with(expected), "{content:?}: {why}");
    }
}

#[test]
fn a_hit_is_right_if_it_shows_some_of_the_moment() {
    let right = |from_ms, to_ms| Right {
        file: "/a".into(),
        from_ms,
        to_ms,
    };
    for (right, is_right) in [
        (right(None, None), true),
        (right(Some(1000), Some(2000)), true),
        (right(Some(1999), Some(9000)), true),
        (right(Some(2000), Some(9000)), false),
        (right(Some(0), Some(1000)), false),
        (right(Some(0), Some(1001)), true),
        (right(Some(1000), Some(1000)), true),
        (right(Some(1500), None), true),
        (right(None, Some(900)), false),
    ] {
        assert_eq!(right.is_in(Path::new("/a"), 1000, 2000), is_right, "{right:?}");
        assert!(!right.is_in(Path::new("/b"), 1000, 2000));
    }
}

#[test]
fn figures_are_those_of_a_calculation_by_hand() {
    let right: [(&str, Option<u64>, Option<u64>); 1] = [("/r", None, None)];
    let (wrong_hit, right_hit) = (hit("/w", 0, 1, 0.2), hit("/r", 0, 1, 0.95));
    let answered = [
        // Rank 1, sure.
        Answered::new(query("a", &right), vec![right_hit.clone(), wrong_hit.clone()]).unwrap(),
        // Rank 2, not sure.
        Answered::new(query("b", &right), vec![wrong_hit.clone(), right_hit]).unwrap(),
        // Of two moments one at rank 1 and one at rank 4; the second hit of the first does not count.
        Answered::new(
            query("c", &[("/r", Some(0), Some(10)), ("/r", Some(50), Some(60))]),
            vec![
                hit("/r", 0, 5, 0.7),
                hit("/r", 5, 10, 0.7),
                wrong_hit.clone(),
                hit("/r", 50, 60, 0.1),
            ],
        )
        .unwrap(),
        // Not among the hits.
        Answered::new(query("d", &right), vec![hit("/w", 0, 1, 0.8)]).unwrap(),
        // Nothing to find.
        Answered::new(query("e", &[]), vec![wrong_hit]).unwrap(),
    ];
    let figures = Figures::of(&answered, 20);
    assert_eq!((figures.n_queries, figures.n_without_right), (5, 1));
    let close = |x: Option<f64>, y: f64| assert!((x.unwrap() - y).abs() < 1e-6, "{x:?} and not {y}");
    close(figures.r1.map(|r| r.value), 0.5);
    close(figures.r5.map(|r| r.value), 0.75);
    close(
        figures.map.map(|r| r.value),
        (1.0 + 0.5 + f64::midpoint(1.0, 2.0 / 3.0) + 0.0) / 4.0,
    );
    close(figures.mean_rank, (1.0 + 2.0 + 1.0 + 21.0) / 4.0);
    close(figures.median_rank, 1.5);
    // Right: 0.95 and 0.7; wrong: 0.2 and 0.8.
    close(figures.first_hit_auc, 3.0 / 4.0);
    // With: 0.95, 0.2, 0.7, 0.8; without: 0.2.
    close(figures.no_match_auc, 3.5 / 4.0);
    close(figures.calibration_error, (2.0 * 0.2 + 0.3 + 0.8 + 0.05) / 5.0);
    let interval = figures.r1.unwrap();
    assert!(interval.low < 0.5 && interval.high > 0.5, "{interval:?}");
    let texts: Vec<_> = worst(&answered, 10).iter().map(|one| one.query.text.as_str()).collect();
    assert_eq!(texts, ["d", "b"]);

    let below = |limits: &[&str]| figures.below(&limits.iter().map(|limit| limit::parse(limit).unwrap()).collect::<Vec<_>>());
    assert!(below(&["r1=.5", "map=0.5"]).unwrap().is_empty());
    assert_eq!(
        below(&["r1=.51", "r5=.7", "no-match-auc=0.9"]).unwrap(),
        ["r1 is 0.500, below 0.51", "no-match-auc is 0.875, below 0.9"]
    );
}

#[test]
fn without_right_moments_or_confidence_figures_are_absent() {
    let figures = Figures::of(&[Answered::new(query("e", &[]), vec![]).unwrap()], 20);
    assert!(figures.r1.is_none() && figures.mean_rank.is_none() && figures.no_match_auc.is_none() && figures.calibration_error.is_none());
    let why = figures.below(&[limit::parse("r1=0.1").unwrap()]).unwrap_err();
    assert!(why.message.contains("r1"), "{}", why.message);
    for bad in ["r1", "r2=.3", "r1=2", "r1=x"] {
        assert!(limit::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn marked_hits_are_added_to_the_file_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queries.tsv");
    queries::check_to_record(&file).unwrap();
    let marked = [("a  dog ".to_owned(), hit("/v/dog.mp4", 192_000, 199_500, 0.5))];
    assert_eq!(queries::record(&file, &marked).unwrap(), 1);
    // A line that the user added by hand, without a line break at its end.
    fs::write(&file, fs::read_to_string(&file).unwrap() + "a unicorn").unwrap();
    queries::check_to_record(&file).unwrap();
    assert_eq!(
        queries::record(&file, &[("the sea".to_owned(), hit("/v/sea.mp4", 0, 1000, 0.5))]).unwrap(),
        1
    );
    let expected = [
        query("a dog", &[("/v/dog.mp4", Some(192_000), Some(199_500))]),
        query("a unicorn", &[]),
        query("the sea", &[("/v/sea.mp4", Some(0), Some(1000))]),
    ];
    assert_eq!(queries::read(&file).unwrap(), expected);

    let before = fs::read(&file).unwrap();
    assert!(queries::record(&file, &[("x".to_owned(), hit("/v/tab\there.mp4", 0, 1, 0.5))]).is_err());
    assert_eq!(fs::read(&file).unwrap(), before, "nothing is added if one cannot be");
    let list = folder.path().join("queries.json");
    fs::write(&list, "[]").unwrap();
    assert!(queries::check_to_record(&list).is_err());
    assert!(queries::read(&list).is_err());
}
