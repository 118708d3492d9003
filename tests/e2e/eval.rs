//! `eval`: figures of known moments, the limits that decide its exit status, and its page.

use std::fs;

use testkit::{Ran, Sandbox};

use crate::name;

fn eval(sandbox: &Sandbox, words: &[&str]) -> Ran {
    Ran::from(&sandbox.ctl(["eval"].iter().chain(words)))
}

#[test]
fn known_moments_are_measured_and_limits_decide_the_exit_status() {
    let sandbox = Sandbox::new();
    sandbox.video("two.mp4", &[("red", 2.0), ("green", 2.0)]);
    sandbox.video("sub/blue.mp4", &[("blue", 2.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let queries = sandbox.videos().join("queries.tsv");
    fs::write(
        &queries,
        "a red background\ttwo.mp4\t0\t2\na green background\ttwo.mp4\t3\t3\na blue background\tsub/blue.mp4\na purple elephant\n",
    )
    .unwrap();
    let file = queries.to_str().unwrap();
    let report = sandbox.ctl_json(["eval", file]);
    assert_eq!(report["model"], "starter");
    assert_eq!((&report["n_queries"], &report["n_without_right"]), (&4.into(), &1.into()));
    assert_eq!(report["r1"]["value"], 1.0, "{report}");
    assert_eq!(report["mean_rank"], 1.0);
    assert_eq!(report["worst"].as_array().unwrap().len(), 0);
    let n_first: u64 = report["calibration"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bin| bin["n"].as_u64().unwrap())
        .sum();
    assert_eq!(n_first, 4, "{report}");
    eval(&sandbox, &[file, "--at-least", "r1=1"])
        .expect(0)
        .says("recall@1")
        .says("1.000");

    // A moment that no text would find: the green part is asked for as red.
    fs::write(&queries, "a red background\ttwo.mp4\t2.5\t3\n").unwrap();
    let page = sandbox.path().join("worst.html");
    let page_word = page.to_str().unwrap();
    let ran = eval(&sandbox, &[file, "--at-least", "r1=.5", "--html", page_word]);
    ran.expect(1).complains("r1 is 0.000, below 0.5").says("two.mp4");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("a red background (rank ") && html.contains("data:image/"), "{html}");
    let report = sandbox.ctl_json(["eval", file]);
    assert_eq!(name(&report["worst"][0]["first"]), "two.mp4");
    assert!(report["worst"][0]["rank"].as_u64().unwrap() > 1, "{report}");

    // An existing page stays, and mistakes are named.
    eval(&sandbox, &[file, "--html", page_word]).expect(2).complains("--force");
    eval(&sandbox, &[file, "--html", page_word, "--force"]).expect(0);
    eval(&sandbox, &[file, "--html", file, "--force"]).expect(2);
    eval(&sandbox, &[file, "--at-least", "no-match-auc=.5"])
        .expect(2)
        .complains("queries without a file");
    fs::write(&queries, "a red background\ttwo.mp4\tsoon\n").unwrap();
    eval(&sandbox, &[file]).expect(2).complains("line 1").complains("soon");
}

#[test]
fn without_a_daemon_eval_ends_as_every_verb_does() {
    let sandbox = Sandbox::new();
    let queries = sandbox.path().join("queries.tsv");
    fs::write(&queries, "a dog\tdog.mp4\n").unwrap();
    eval(&sandbox, &[queries.to_str().unwrap()]).expect(3);
}
