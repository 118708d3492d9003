//! Models: listed, described, and changed while the old one answers.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::{Sandbox, copy_tree, repository, wait_until};

use crate::{SOON, name};

/// Creates a folder with the starter's files and another name inside, which makes it another model.
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
fn another_model_takes_over_when_every_video_is_embedded_for_it() {
    let sandbox = Sandbox::new();
    sandbox.video("red.mp4", &[("red", 1.0)]);
    sandbox.video("green.mp4", &[("green", 1.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let other = other_starter(&sandbox, "other");
    assert_eq!(sandbox.ctl_json(["search", "red"])["model"], "starter");

    // Indexing is paused, so that the test can check the state in between.
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
        "no video was decoded again"
    );
    let info = sandbox.ctl_json(["model", "info"]);
    assert_eq!(
        (&info["models"][0]["active"], &info["models"][0]["videos"]),
        (&true.into(), &2.into()),
        "{info}"
    );

    // The choice is remembered, and going back needs no work.
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
        sandbox.video(format!("{n}.mp4"), &[("red", 1.0 + f64::from(n))]);
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
    // Only the keyframe pictures of this video are left.
    fs::remove_file(sandbox.videos().join("5.mp4")).unwrap();
    fs::rename(sandbox.videos(), sandbox.path().join("away")).unwrap();
    let _daemon = sandbox.start();
    sandbox.answered_by("other", 6, SOON);
    assert_eq!(sandbox.n_decoded(), 6, "{}", sandbox.log_tail());
}

#[test]
fn reindexing_decodes_every_video_again_while_the_old_model_answers() {
    let sandbox = Sandbox::new();
    sandbox.video("red.mp4", &[("red", 1.0)]);
    sandbox.video("green.mp4", &[("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let other = other_starter(&sandbox, "other");
    let reindex = [Path::new("model"), Path::new("use"), &other, Path::new("--reindex")];
    sandbox.run(reindex).expect(0);
    sandbox.answered_by("other", 2, SOON);
    sandbox.settle();
    assert_eq!(sandbox.n_decoded(), 4, "{}", sandbox.log_tail());
    // The model in use is indexed again, too.
    sandbox.run(reindex).expect(0);
    sandbox.settle();
    assert_eq!((sandbox.n_decoded(), sandbox.counts()), (6, [2, 0, 0, 0]), "{}", sandbox.log_tail());
    // The option does not persist: the next change of model decodes nothing.
    sandbox.say("model use starter").expect(0);
    sandbox.answered_by("starter", 2, SOON);
    assert_eq!(sandbox.n_decoded(), 6);
}

#[test]
fn without_pictures_a_change_decodes() {
    let sandbox = Sandbox::new();
    sandbox.configure("keyframes = false");
    sandbox.video("red.mp4", &[("red", 1.0)]);
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
    sandbox.video("red.mp4", &[("red", 1.0)]);
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
    // Once its folder is back, the model answers at once.
    fs::rename(&away, &other).unwrap();
    sandbox.say("retry").expect(0);
    sandbox.answered_by("other", 1, SOON);
    assert_eq!(sandbox.n_decoded(), 1, "{}", sandbox.log_tail());

    // The old model still answers in the middle of a change.
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
    sandbox.video("red.mp4", &[("red", 1.0)]);
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
    sandbox.video("red.mp4", &[("red", 1.0)]);
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

fn cut_in_half(file: &Path) {
    let half = file.metadata().unwrap().len() / 2;
    fs::File::options().write(true).open(file).unwrap().set_len(half).unwrap();
}

#[test]
fn a_model_that_cannot_read_a_question_is_refused_before_anything_is_embedded() {
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path));
    let sandbox = Sandbox::new();
    sandbox.video("red.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let before = fs::read_to_string(sandbox.config()).unwrap();
    let damages: [Damage<'_>; 4] = [
        ("no-text", &|model| cut_in_half(&model.join("onnx/text_model.onnx"))),
        ("no-tokenizer", &|model| cut_in_half(&model.join("tokenizer.json"))),
        ("no-vision", &|model| cut_in_half(&model.join("onnx/vision_model.onnx"))),
        ("vision-twice", &|model| {
            fs::copy(model.join("onnx/vision_model.onnx"), model.join("onnx/text_model.onnx")).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let model = other_starter(&sandbox, name);
        damage(&model);
        sandbox
            .run([Path::new("model"), Path::new("use"), &model])
            .expect(2)
            .complains(name);
        let status = sandbox.ctl_json(["status"]);
        assert_eq!(
            (&status["model"], &status["model_change"]),
            (&"starter".into(), &Value::Null),
            "{name}: {status}"
        );
        assert_eq!(sandbox.search("a red background").len(), 1, "{name}");
        assert_eq!(fs::read_to_string(sandbox.config()).unwrap(), before, "{name}");
    }
    let report = sandbox.ctl_json(["doctor"]).to_string();
    assert!(report.contains("the model reads a question"), "{report}");
}

#[test]
fn model_files_that_change_in_place_make_no_more_vectors_under_the_old_id() {
    let sandbox = Sandbox::new();
    let other = other_starter(&sandbox, "other");
    sandbox.configure("model-idle-seconds = 1");
    let _daemon = sandbox.start();
    sandbox.run([Path::new("model"), Path::new("use"), &other]).expect(0);
    sandbox.video("red.mp4", &[("red", 1.0)]);
    sandbox.settle();
    assert_eq!(sandbox.search("red").len(), 1);
    // Changes a byte of the weights, far from the bytes that the id covers, and restores the time.
    let weights = other.join("onnx/text_model.onnx");
    let file = fs::File::options().read(true).write(true).open(&weights).unwrap();
    let (modified, at) = (file.metadata().unwrap().modified().unwrap(), file.metadata().unwrap().len() / 3);
    let mut byte = [0];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut byte, at).unwrap();
    let write = |byte: u8| {
        std::os::unix::fs::FileExt::write_all_at(&file, &[byte], at).unwrap();
        file.set_modified(modified).unwrap();
    };
    write(!byte[0]);
    sandbox.say("search green").expect(2).complains("changed since the index was made");
    sandbox.say("search green").expect(2).complains("scenectl model use");
    assert_eq!(sandbox.search("red").len(), 1, "what was asked before needs no model");
    assert_eq!(
        sandbox.ctl_json([Path::new("similar"), &sandbox.videos().join("red.mp4")])["model"],
        sandbox.ctl_json(["search", "red"])["model"]
    );
    let warnings = sandbox.ctl_json(["status"])["warnings"].to_string();
    assert!(warnings.contains("changed since the index was made"), "{warnings}");
    sandbox.video("green.mp4", &[("green", 1.0)]);
    wait_until("indexing to wait", SOON, || {
        let doctor = sandbox.run(["doctor", "--json"]).stdout;
        if doctor.contains("\"indexing\"") { Ok(()) } else { Err(doctor) }
    });
    assert_eq!(sandbox.counts(), [1, 1, 0, 0], "{}", sandbox.log_tail());
    write(byte[0]);
    sandbox.say("retry");
    sandbox.settle();
    assert_eq!(sandbox.search("green").len(), 2);
}

/// One field of a message of the ONNX format (protobuf): number, kind, content.
type Field<'a> = (u64, u64, &'a [u8]);

fn number(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn fields(mut bytes: &[u8]) -> Vec<Field<'_>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes);
        let before = bytes;
        let length = match tag & 7 {
            0 => {
                number(&mut bytes);
                before.len() - bytes.len()
            }
            2 => number(&mut bytes) as usize,
            1 => 8,
            _ => 4,
        };
        let from = if tag.is_multiple_of(8) { before } else { bytes };
        let (content, rest) = from.split_at(length);
        bytes = rest;
        found.push((tag >> 3, tag & 7, content));
    }
    found
}

fn put_number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn message<'a>(fields: impl IntoIterator<Item = Field<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (field, kind, content) in fields {
        put_number(&mut bytes, field << 3 | kind);
        if kind == 2 {
            put_number(&mut bytes, content.len() as u64);
        }
        bytes.extend(content);
    }
    bytes
}

/// Returns the same ONNX file with its largest tensor moved to a file at `location`, and that file's content.
fn with_weights_at(onnx: &[u8], location: &str) -> (Vec<u8>, Vec<u8>) {
    let model = fields(onnx);
    let graph = model.iter().find(|(field, ..)| *field == 7).unwrap().2;
    let raw = |tensor: &[u8]| {
        fields(tensor)
            .iter()
            .find(|(field, ..)| *field == 9)
            .map(|(_, _, raw)| raw.to_vec())
    };
    let tensors = fields(graph);
    let largest = tensors
        .iter()
        .filter(|(field, ..)| *field == 5)
        .max_by_key(|(_, _, tensor)| raw(tensor).map_or(0, |raw| raw.len()))
        .unwrap()
        .2;
    let weights = raw(largest).unwrap();
    let length = weights.len().to_string();
    let entries = [("location", location), ("offset", "0"), ("length", length.as_str())]
        .map(|(key, value)| message([(1, 2, key.as_bytes()), (2, 2, value.as_bytes())]));
    let mut moved: Vec<Field<'_>> = fields(largest).into_iter().filter(|(field, ..)| *field != 9).collect();
    moved.extend(entries.iter().map(|entry| (13, 2, entry.as_slice())));
    moved.push((14, 0, &[1]));
    let moved = message(moved);
    let graph = message(tensors.iter().map(|(field, kind, content)| {
        let is_it = std::ptr::eq(*content, largest);
        (*field, *kind, if is_it { moved.as_slice() } else { content })
    }));
    let onnx = message(
        model
            .iter()
            .map(|(field, kind, content)| (*field, *kind, if *field == 7 { graph.as_slice() } else { content })),
    );
    (onnx, weights)
}

/// Turns a model's folder into one of the hub's cache: all its files are links to blobs.
fn as_hub_cache(model: &Path, cache: &Path) -> PathBuf {
    let snapshot = cache.join("snapshots/0123abcd");
    fs::create_dir_all(cache.join("blobs")).unwrap();
    let mut folders = vec![PathBuf::new()];
    let mut n_files = 0;
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(snapshot.join(&folder)).unwrap();
        for entry in fs::read_dir(model.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = folder.join(entry.file_name());
            if entry.metadata().unwrap().is_dir() {
                folders.push(name);
                continue;
            }
            n_files += 1;
            fs::copy(model.join(&name), cache.join(format!("blobs/{n_files:064x}"))).unwrap();
            let up = "../".repeat(1 + name.components().count());
            std::os::unix::fs::symlink(format!("{up}blobs/{n_files:064x}"), snapshot.join(&name)).unwrap();
        }
    }
    snapshot
}

#[test]
fn a_folder_of_the_hubs_cache_whose_weights_are_links_is_used_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.video("red.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    fs::write(sandbox.path().join("secret"), "of the user").unwrap();
    for (name, location, kind) in [
        ("plain", "data/of/weights.bin", "plain"),
        ("cached", "text_model.onnx_data", "cached"),
        ("cached-deep", "data/of/weights.bin", "cached"),
        ("mixed", "text_model.onnx_data", "mixed"),
        ("mixed-deep", "data/of/weights.bin", "mixed"),
        ("mixed-above", "../weights.bin", "mixed"),
    ] {
        let model = other_starter(&sandbox, name);
        let onnx = model.join("onnx/text_model.onnx");
        let (moved, weights) = with_weights_at(&fs::read(&onnx).unwrap(), location);
        fs::write(&onnx, moved).unwrap();
        let at = model.join("onnx").join(location);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, weights).unwrap();
        let folder = match kind {
            "plain" => model,
            _ => as_hub_cache(&model, &sandbox.path().join(format!("hub/models--them--{name}"))),
        };
        if kind == "mixed" {
            // In this cache one file is not a link. ONNX Runtime itself then refuses the weights.
            let file = folder.join("onnx/text_model.onnx");
            let content = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            fs::write(&file, content).unwrap();
        }
        sandbox.run([Path::new("model"), Path::new("use"), &folder]).expect(0);
        sandbox.settle();
        sandbox.answered_by(name, 1, SOON);
        assert_eq!(sandbox.search(&format!("a red background {name}")).len(), 1);
        // The same with a link that leads out of the cache.
        let elsewhere = folder.with_file_name(format!("{name}-elsewhere"));
        std::process::Command::new("cp")
            .arg("-a")
            .arg(&folder)
            .arg(&elsewhere)
            .status()
            .unwrap();
        let link = elsewhere.join("onnx").join(location);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(sandbox.path().join("secret"), &link).unwrap();
        sandbox
            .run([Path::new("model"), Path::new("use"), &elsewhere])
            .expect(2)
            .complains("belongs to another place");
    }
}
