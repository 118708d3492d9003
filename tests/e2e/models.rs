//! Models: listed, looked at, changed while the old one answers.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::{Sandbox, copy_tree, repository, wait_until};

use crate::{SOON, name};

/// A folder with the starter's files and another name inside, so that it is another model.
fn other_starter(sandbox: &Sandbox, folder: &str) -> PathBuf {
    let path = sandbox.path().join(folder);
    copy_tree(&repository().join("models/starter"), &path, &|file| {
        file.extension().is_some_and(|e| e == "json" || e == "onnx")
    });
    let config = path.join("config.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    value["scened"]["name"] = folder.into();
    value["scened"]["version"] = 99.into();
    fs::write(&config, serde_json::to_vec(&value).unwrap()).unwrap();
    path
}

#[test]
fn another_model_takes_over_when_every_film_is_embedded_for_it() {
    let sandbox = Sandbox::new();
    sandbox.film("red.mp4", &[("red", 1.0)]);
    sandbox.film("green.mp4", &[("green", 1.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let other = other_starter(&sandbox, "other");
    assert_eq!(sandbox.ctl_json(["search", "red"])["model"], "starter");

    // Held back, so that there is time to look at what happens meanwhile.
    sandbox.say("pause").expect(0);
    let listed = sandbox.ctl_json([Path::new("model"), Path::new("use"), &other]);
    assert!(
        listed["models"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["name"] == "starter" && row["active"] == true),
        "{listed}"
    );
    let config = fs::read_to_string(sandbox.config()).unwrap();
    assert!(config.contains(other.to_str().unwrap()), "{config}");
    let answer = sandbox.ctl_json(["search", "a red background"]);
    assert_eq!(
        (&answer["model"], name(&answer["hits"][0])),
        (&"starter".into(), "red.mp4"),
        "the old one answers"
    );
    assert_eq!(answer["hits"].as_array().unwrap().len(), 2, "with all it has");
    assert!(answer["notices"].to_string().contains("changing to model"), "{answer}");
    let status = sandbox.ctl_json(["status"]);
    let change = &status["model_change"];
    assert_eq!(
        (&change["to"], &change["done"], &change["left"]),
        (&"other".into(), &0.into(), &2.into()),
        "{status}"
    );
    assert_eq!(sandbox.counts(), [2, 0, 0, 0], "they are indexed for the model that answers");

    sandbox.say("resume").expect(0);
    sandbox.settle();
    wait_until("the new model to answer", SOON, || {
        let answer = sandbox.ctl_json(["search", "a red background"]);
        if answer["model"] == "starter" {
            Err(answer.to_string())
        } else {
            Ok(())
        }
    });
    let answer = sandbox.ctl_json(["search", "a red background"]);
    assert_eq!((name(&answer["hits"][0]), answer["hits"].as_array().unwrap().len()), ("red.mp4", 2));
    assert_eq!(
        (sandbox.n_decoded(), sandbox.counts()),
        (2, [2, 0, 0, 0]),
        "no film was decoded again"
    );
    let info = sandbox.ctl_json(["model", "info"]);
    assert_eq!(
        (&info["models"][0]["active"], &info["models"][0]["videos"]),
        (&true.into(), &2.into()),
        "{info}"
    );

    // It is remembered, and going back needs no work.
    assert!(daemon.stop().success());
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_ne!(sandbox.ctl_json(["search", "red"])["model"], "starter");
    sandbox.say("model use starter").expect(0);
    sandbox.settle();
    sandbox.answered_by("starter", 2, SOON);
    assert_eq!(sandbox.n_decoded(), 2, "{}", sandbox.log_tail());
    sandbox.say("model remove starter").expect(2).complains("in use");
    sandbox.run([Path::new("model"), Path::new("remove"), &other]).expect(0);
}

#[test]
fn a_change_that_was_broken_off_goes_on_where_it_was() {
    let sandbox = Sandbox::new();
    for n in 0..6 {
        sandbox.film(format!("{n}.mp4"), &[("red", 1.0 + f64::from(n))]);
    }
    let daemon = sandbox.start();
    sandbox.settle();
    let other = other_starter(&sandbox, "other");
    let done = || sandbox.ctl_json(["status"])["model_change"]["done"].as_u64();
    sandbox.run([Path::new("model"), Path::new("use"), &other]).expect(0);
    wait_until("the change to begin", SOON, || match done() {
        Some(0) => Err("nothing is done".to_owned()),
        _ => Ok(()),
    });
    daemon.kill();
    // A film of which nothing is left but the pictures.
    fs::remove_file(sandbox.films().join("5.mp4")).unwrap();
    fs::rename(sandbox.films(), sandbox.path().join("away")).unwrap();
    let _daemon = sandbox.start();
    sandbox.answered_by("other", 6, SOON);
    assert_eq!(sandbox.n_decoded(), 6, "{}", sandbox.log_tail());
}

#[test]
fn reindexing_decodes_every_film_again_while_the_old_model_answers() {
    let sandbox = Sandbox::new();
    sandbox.film("red.mp4", &[("red", 1.0)]);
    sandbox.film("green.mp4", &[("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let other = other_starter(&sandbox, "other");
    let reindex = [Path::new("model"), Path::new("use"), &other, Path::new("--reindex")];
    sandbox.run(reindex).expect(0);
    sandbox.answered_by("other", 2, SOON);
    sandbox.settle();
    assert_eq!(sandbox.n_decoded(), 4, "{}", sandbox.log_tail());
    // The model in use, too.
    sandbox.run(reindex).expect(0);
    sandbox.settle();
    assert_eq!((sandbox.n_decoded(), sandbox.counts()), (6, [2, 0, 0, 0]), "{}", sandbox.log_tail());
    // Without it, what comes later is not decoded twice.
    sandbox.say("model use starter").expect(0);
    sandbox.answered_by("starter", 2, SOON);
    assert_eq!(sandbox.n_decoded(), 6);
}

#[test]
fn without_pictures_a_change_decodes() {
    let sandbox = Sandbox::new();
    sandbox.configure("keyframes = false");
    sandbox.film("red.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    assert!(!sandbox.data().join("keyframes").try_exists().unwrap());
    let other = other_starter(&sandbox, "other");
    sandbox.run([Path::new("model"), Path::new("use"), &other]).expect(0);
    sandbox.answered_by("other", 1, SOON);
    assert_eq!(sandbox.n_decoded(), 2, "{}", sandbox.log_tail());
}

#[test]
fn a_model_whose_folder_has_vanished_is_named_and_costs_nothing() {
    let sandbox = Sandbox::new();
    sandbox.film("red.mp4", &[("red", 1.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let (other, away) = (other_starter(&sandbox, "other"), sandbox.path().join("away"));
    sandbox.run([Path::new("model"), Path::new("use"), &other]).expect(0);
    sandbox.answered_by("other", 1, SOON);
    assert!(daemon.stop().success());
    fs::rename(&other, &away).unwrap();
    let daemon = sandbox.start();
    let status = sandbox.ctl_json(["status"]);
    let warnings = status["warnings"].to_string();
    assert!(
        warnings.contains(other.to_str().unwrap()) && warnings.contains("the vectors of 1 video are kept"),
        "{status}"
    );
    sandbox.say("search red").expect(2).complains(other.to_str().unwrap());
    // Back where it was, it answers at once.
    fs::rename(&away, &other).unwrap();
    sandbox.say("retry").expect(0);
    sandbox.answered_by("other", 1, SOON);
    assert_eq!(sandbox.n_decoded(), 1, "{}", sandbox.log_tail());

    // In the middle of a change the old one goes on answering.
    sandbox.say("pause").expect(0);
    sandbox.say("model use starter").expect(0);
    sandbox.run([Path::new("model"), Path::new("use"), &other]).expect(0);
    let third = other_starter(&sandbox, "third");
    sandbox.run([Path::new("model"), Path::new("use"), &third]).expect(0);
    assert!(daemon.stop().success());
    fs::remove_dir_all(&third).unwrap();
    let _daemon = sandbox.start();
    let status = sandbox.ctl_json(["status"]);
    assert!(status["warnings"].to_string().contains(third.to_str().unwrap()), "{status}");
}

#[test]
fn both_public_layouts_are_used_in_place() {
    let sandbox = Sandbox::new();
    sandbox.film("red.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    for (folder, layout) in [("tiny-hf", "hugging-face"), ("tiny-immich", "immich")] {
        let path = repository().join("tests/data/models").join(folder);
        sandbox.run([Path::new("model"), Path::new("use"), &path]).expect(0);
        sandbox.settle();
        sandbox.answered_by(folder, 1, SOON);
        let info = sandbox.ctl_json([Path::new("model"), Path::new("info"), &path]);
        let row = &info["models"][0];
        assert_eq!(
            (&row["layout"], &row["state"], &row["active"]),
            (&layout.into(), &"usable".into(), &true.into()),
            "{info}"
        );
    }
    let answer = sandbox.ctl_json(["search", "red"]);
    assert!(
        answer["notices"].as_array().is_none_or(Vec::is_empty),
        "only the starter needs a notice: {answer}"
    );
}

#[test]
fn models_are_listed_with_what_is_wrong_with_them() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let placed = sandbox.data().join("models");
    fs::create_dir_all(&placed).unwrap();
    copy_tree(&repository().join("tests/data/models/tiny-hf"), &placed.join("mine"), &|_| true);
    copy_tree(&repository().join("tests/data/models/tiny-hf"), &placed.join("half"), &|file| {
        !file.ends_with("text_model.onnx")
    });
    let listed = sandbox.ctl_json(["model", "list"]);
    let row = |wanted: &str| {
        let rows = listed["models"].as_array().unwrap();
        rows.iter()
            .find(|row| row["name"] == wanted)
            .unwrap_or_else(|| panic!("{wanted} is not in {listed}"))
            .clone()
    };
    assert_eq!(
        (&row("starter")["active"], &row("starter")["state"]),
        (&true.into(), &"usable".into())
    );
    assert_eq!((&row("mine")["active"], &row("mine")["state"]), (&false.into(), &"usable".into()));
    assert!(row("half")["state"].as_str().unwrap().contains("text_model"), "{listed}");
    sandbox.say("model list").expect(0).says("mine").says("half");
    sandbox.say("model use half").expect(2).complains("text_model");
    sandbox.say("model use mine").expect(0);
    sandbox.settle();
    assert_eq!(sandbox.ctl_json(["status"])["model"], "mine");
    sandbox.say("model install clip-vit-b33").expect(2).complains("clip-vit-b32");
}

#[test]
fn a_choice_that_cannot_be_remembered_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.film("red.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let other = other_starter(&sandbox, "other");
    fs::write(sandbox.config(), "colour = \"mauve\"\n").unwrap();
    sandbox
        .run([Path::new("model"), Path::new("use"), &other])
        .expect(2)
        .complains("colour");
    sandbox.settle();
    let answer = sandbox.ctl_json(["search", "red"]);
    assert_eq!(answer["model"], "starter");
    assert_eq!(answer["hits"].as_array().unwrap().len(), 1);
    assert_eq!(sandbox.counts(), [1, 0, 0, 0], "nothing was queued for the other model");
    let notices = sandbox.ctl_json(["status"])["notices"].to_string();
    assert!(!notices.contains("changing to model"), "{notices}");
}
