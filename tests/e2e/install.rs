//! Models installed from a hub, then checked and used by the real daemon.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use testkit::hub::Hub;
use testkit::{Ran, Sandbox, repository};

use crate::{SOON, name};

/// Runs `scenectl model install …`, from this hub only.
fn install(sandbox: &Sandbox, hub: &Hub, words: &str) -> Ran {
    let mut command = sandbox.command("scenectl");
    command.args(["model", "install"]).args(words.split(' ')).arg("--json");
    for variable in [
        "HF_TOKEN",
        "HF_HUB_CACHE",
        "HF_TOKEN_PATH",
        "ALL_PROXY",
        "HTTP_PROXY",
        "all_proxy",
        "http_proxy",
    ] {
        command.env_remove(variable);
    }
    let output = command
        .env("HF_ENDPOINT", hub.endpoint())
        .env("HF_HOME", sandbox.path().join("hf"))
        .output()
        .unwrap();
    Ran::from(&output)
}

fn is_model_file(name: &str) -> bool {
    let ending = name.rsplit('.').next();
    matches!(ending, Some("json" | "onnx")) && name != "golden.json"
}

fn installed(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.data().join("models").join(name)
}

#[test]
fn a_model_from_the_hub_is_installed_used_and_answers() {
    let hub = Hub::new();
    let starter = repository().join("models/starter");
    hub.put_folder("somebody/pictures", &starter, &is_model_file);
    // With the same name and bytes it would be the same model, whose vectors already exist.
    let mut config: Value = serde_json::from_slice(&fs::read(starter.join("config.json")).unwrap()).unwrap();
    config["scened"]["name"] = "mine".into();
    hub.put("somebody/pictures", "config.json", &serde_json::to_vec(&config).unwrap());
    let sandbox = Sandbox::new();
    sandbox.video("red.mp4", &[("red", 1.0)]);
    sandbox.video("green.mp4", &[("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();

    let ran = install(&sandbox, &hub, "somebody/pictures --name mine")
        .expect(0)
        .complains("model use mine");
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&answer["name"], &answer["checked_by"]),
        (&json!("mine"), &json!("daemon")),
        "{answer}"
    );
    let info = sandbox.ctl_json(["model", "info", "mine"]);
    assert_eq!(info["models"][0]["state"], "usable", "{info}");
    assert_eq!(info["models"][0]["path"], installed(&sandbox, "mine").to_str().unwrap(), "{info}");
    sandbox.say("model use mine").expect(0);
    sandbox.settle();
    sandbox.answered_by("mine", 2, SOON);
    for (query, expected) in [("a red background", "red.mp4"), ("a green background", "green.mp4")] {
        let hits = sandbox.search(query);
        assert_eq!((name(&hits[0]), hits.len()), (expected, 2), "{hits:?}");
    }
    let ran = install(&sandbox, &hub, "somebody/pictures --name mine --force").expect(2);
    ran.complains("mine is in use").complains("--name");
}

#[test]
fn both_layouts_of_the_hub_are_what_the_daemon_reads() {
    let sandbox = Sandbox::new();
    sandbox.video("red.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let hub = Hub::new();
    for (folder, layout, precision) in [
        ("tiny-hf", "hugging-face", "fp32"),
        ("tiny-hf-fp16", "hugging-face", "fp16"),
        ("tiny-siglip", "hugging-face", "fp32"),
        ("tiny-immich", "immich", "fp32"),
    ] {
        let id = format!("somebody/{folder}");
        hub.put_folder(&id, &repository().join("tests/data/models").join(folder), &is_model_file);
        let ran = install(&sandbox, &hub, &format!("{id} --precision {precision}")).expect(0);
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(
            (&answer["layout"], &answer["checked_by"]),
            (&json!(layout), &json!("daemon")),
            "{answer}"
        );
        sandbox.run(["model", "use", folder]).expect(0);
        sandbox.settle();
        sandbox.answered_by(folder, 1, SOON);
    }
}

#[test]
fn files_that_the_daemon_cannot_use_are_not_placed() {
    let sandbox = Sandbox::new();
    let hub = Hub::new();
    hub.put_folder("somebody/blip", &repository().join("tests/data/models/tiny-hf"), &is_model_file);
    hub.put("somebody/blip", "config.json", br#"{"model_type": "blip"}"#);
    let daemon = sandbox.start();
    let ran = install(&sandbox, &hub, "somebody/blip").expect(2);
    ran.complains("nothing was installed").complains("\"blip\" is not known");
    let left = fs::read_dir(sandbox.data().join("models")).unwrap().count();
    assert_eq!(left, 0, "neither a model nor a staging folder");

    // Without the daemon the files cannot be checked; the daemon reports the problem when it is back.
    assert!(daemon.stop().success());
    install(&sandbox, &hub, "somebody/blip").expect(0).complains("model info blip");
    let _daemon = sandbox.start();
    let info = sandbox.run(["model", "info", "blip"]);
    assert!(format!("{info:?}").contains("is not known"), "{info:?}");
}

/// Checks entries that combine several repositories: the daemon accepts the small files that the catalog writes.
#[test]
fn what_the_catalog_writes_is_understood_by_the_daemon() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let catalog: toml::Table = toml::from_str(&fs::read_to_string(repository().join("ctl/hub/src/catalog.toml")).unwrap()).unwrap();
    let mut n_written = 0;
    for entry in catalog["model"].as_array().unwrap() {
        let Some(written) = entry.get("written").and_then(|written| written.as_table()) else {
            continue;
        };
        n_written += 1;
        let folder = sandbox.path().join(entry["name"].as_str().unwrap());
        testkit::copy_tree(&repository().join("tests/data/models/tiny-immich"), &folder, &|file| {
            !file.ends_with("golden.json")
        });
        for (file, content) in written {
            fs::write(folder.join(file), content.as_str().unwrap()).unwrap();
        }
        let info = sandbox.ctl_json(["model".as_ref(), "info".as_ref(), folder.as_os_str()]);
        let row = &info["models"][0];
        assert_eq!((&row["state"], &row["layout"]), (&json!("usable"), &json!("immich")), "{info}");
        assert_eq!(row["image_px"], entry["image-px"].as_integer().unwrap(), "{info}");
        assert_eq!(row["dimensions"], entry["dimensions"].as_integer().unwrap(), "{info}");
    }
    assert_eq!(n_written, 2);
}

/// Publishes a model in fp32 and int8; `int8` is the folder of its int8 files.
fn put_both_precisions(hub: &Hub, id: &str, int8: &std::path::Path) {
    let exact = repository().join("tests/reference/tiny/clip-hf");
    hub.put_folder(id, &exact, &is_model_file);
    for tower in ["vision", "text"] {
        let file = format!("onnx/{tower}_model_quantized.onnx");
        hub.put(id, &file, &fs::read(int8.join(&file)).unwrap());
    }
}

#[test]
fn the_precision_is_chosen_on_this_machine_and_the_other_one_is_dropped() {
    let sandbox = Sandbox::new();
    for (k, colour) in ["red", "green", "blue", "yellow", "white", "orange", "purple", "pink", "brown"]
        .iter()
        .enumerate()
    {
        sandbox.video(format!("{k}.mp4"), &[(*colour, 1.0)]);
    }
    let hub = Hub::new();
    put_both_precisions(&hub, "somebody/both", &repository().join("tests/reference/tiny/clip-hf-int8"));
    let daemon = sandbox.start();
    let answer: Value = serde_json::from_str(&install(&sandbox, &hub, "somebody/both").expect(0).stdout).unwrap();
    assert!(daemon.stop().success());
    let probe = &answer["probe"];
    assert_eq!(probe["chosen"], answer["precision"], "{answer}");
    assert_eq!(probe["frames_from"], sandbox.videos().to_str().unwrap(), "{answer}");
    for figure in [
        "fp32_frames_per_second",
        "int8_frames_per_second",
        "cosine_mean",
        "cosine_p5",
        "text_cosine_mean",
        "n_frames",
    ] {
        assert!(probe[figure].as_f64().is_some_and(|figure| figure > 0.0), "{figure} of {answer}");
    }
    let is_int8 = probe["chosen"] == "int8";
    let folder = installed(&sandbox, "both");
    for tower in ["vision", "text"] {
        let there = |ending: &str| folder.join(format!("onnx/{tower}_model{ending}.onnx")).is_file();
        assert_eq!((there(""), there("_quantized")), (!is_int8, is_int8), "{answer}");
    }
    let written: Value = serde_json::from_slice(&fs::read(folder.join("scened-source.json")).unwrap()).unwrap();
    assert_eq!((&written["probe"], &written["precision"]), (probe, &answer["precision"]));
    let n_files = |answer: &Value| answer["files"].as_array().unwrap().len();
    assert_eq!(n_files(&answer), n_files(&written));

    // A precision given by the user is taken without a probe, and nothing else is downloaded.
    hub.take_seen();
    let ran = install(&sandbox, &hub, "somebody/both --precision fp32 --force").expect(0);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&answer["precision"], answer.get("probe")), (&json!("fp32"), None), "{answer}");
    assert!(!hub.take_seen().iter().any(|seen| format!("{seen:?}").contains("quantized")));
}

#[test]
fn int8_that_gives_other_vectors_is_not_chosen() {
    let sandbox = Sandbox::new();
    for (k, colour) in ["red", "green", "blue", "yellow", "white", "orange", "purple", "pink"]
        .iter()
        .enumerate()
    {
        sandbox.video(format!("{k}.mp4"), &[(*colour, 1.0)]);
    }
    let hub = Hub::new();
    let sandbox_of_files = tempfile::tempdir().unwrap();
    let other = sandbox_of_files.path();
    // The picture tower of another model with the same shapes, under the name of the int8 file.
    fs::create_dir(other.join("onnx")).unwrap();
    for (tower, from) in [
        ("vision", "tests/data/models/tiny-hf/onnx/vision_model.onnx"),
        ("text", "tests/reference/tiny/clip-hf-int8/onnx/text_model_quantized.onnx"),
    ] {
        fs::copy(repository().join(from), other.join(format!("onnx/{tower}_model_quantized.onnx"))).unwrap();
    }
    put_both_precisions(&hub, "somebody/both", other);
    let _daemon = sandbox.start();
    let answer: Value = serde_json::from_str(&install(&sandbox, &hub, "somebody/both").expect(0).stdout).unwrap();
    assert_eq!(answer["precision"], "fp32", "{answer}");
    assert!(answer["probe"]["reason"].as_str().unwrap().contains("other vectors"), "{answer}");
    assert!(!installed(&sandbox, "both").join("onnx/vision_model_quantized.onnx").is_file());
}
