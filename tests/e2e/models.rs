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
fn another_model_takes_over_when_every_film_is_indexed_for_it() {
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
    assert_eq!((sandbox.n_decoded(), sandbox.counts()), (4, [2, 0, 0, 0]));
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
    assert_eq!(sandbox.n_decoded(), 4, "{}", sandbox.log_tail());
    sandbox.say("model remove starter").expect(2).complains("in use");
    sandbox.run([Path::new("model"), Path::new("remove"), &other]).expect(0);
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
