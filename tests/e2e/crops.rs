//! How frames are fitted for a model that crops: a subject at the edge is found, and another `crop` counts as another model.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::{Sandbox, copy_tree, repository, videos, wait_until};

use crate::{SOON, name};

/// Copies the starter with files that say it crops as CLIP does.
fn cropping_starter(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.path().join("cropping");
    copy_tree(&repository().join("models/starter"), &path, &|file| {
        file.extension().is_some_and(|e| e == "json" || e == "onnx")
    });
    let edit = |file: &str, change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&fs::read(path.join(file)).unwrap()).unwrap();
        change(&mut value);
        fs::write(path.join(file), serde_json::to_vec(&value).unwrap()).unwrap();
    };
    edit("config.json", &|config| config["scened"]["name"] = "cropping".into());
    edit("preprocessor_config.json", &|processor| {
        processor["do_center_crop"] = true.into();
        processor["crop_size"] = json!({"width": 64, "height": 64});
        processor["size"] = json!({"shortest_edge": 64});
    });
    path
}

/// Adds a wide video to the library: blue, with red outside the square in its middle.
fn video_with_an_edge(sandbox: &Sandbox) {
    let made = sandbox.path().join("made.mp4");
    videos::ffmpeg_line(
        "-f lavfi -i color=blue:s=320x160:r=25:d=1 -vf drawbox=240:0:80:160:red:fill -c:v libx264 -pix_fmt yuv420p",
        &made,
    );
    sandbox.put(&made, &sandbox.videos().join("edge.mp4"));
}

fn score(sandbox: &Sandbox, video: &str) -> f64 {
    let hits = sandbox.search("a red background");
    let hit = hits.iter().find(|hit| name(hit) == video);
    hit.unwrap_or_else(|| panic!("{video} is not among {hits:?}"))["score"]
        .as_f64()
        .unwrap()
}

/// Lists the models that have an ANN index on disk.
fn indexes(sandbox: &Sandbox) -> Vec<String> {
    let files = fs::read_dir(sandbox.data().join("index")).unwrap();
    let mut names: Vec<String> = files
        .filter_map(|file| file.unwrap().file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_at_the_edge_is_found_and_a_change_of_crop_keeps_the_old_answers_until_the_new_ones_are_there() {
    let sandbox = Sandbox::new();
    let model = cropping_starter(&sandbox);
    let configure = |crop: &str| sandbox.configure(&format!("model = {:?}\n{crop}", model.to_str().unwrap()));
    sandbox.video("blue.mp4", &[("blue", 1.0)]);
    video_with_an_edge(&sandbox);

    configure("crop = \"reference\"");
    let daemon = sandbox.start();
    sandbox.settle();
    let (edge, blue) = (score(&sandbox, "edge.mp4"), score(&sandbox, "blue.mp4"));
    assert!((edge - blue).abs() < 0.03, "the reference never sees the edge: {edge} {blue}");
    sandbox.say("pause").expect(0);
    assert!(daemon.stop().success());
    let reference = indexes(&sandbox);
    let [id] = &reference[..] else { panic!("{reference:?}") };
    assert!(id.starts_with("cropping-") && id.matches('-').count() == 1, "{id}");

    // The default crop. Indexing is still paused, so that the test can check the state in between.
    configure("");
    let daemon = sandbox.start();
    let answer = sandbox.ctl_json(["search", "a red background"]);
    assert!(answer["notices"].to_string().contains("changing to another crop"), "{answer}");
    let listed = sandbox.ctl_json([Path::new("model"), Path::new("info"), &model]);
    assert_eq!(listed["models"][0]["active"], true, "{listed}");
    assert_eq!(listed["models"][0]["crop"], "two", "{listed}");
    assert_eq!(answer["hits"].as_array().unwrap().len(), 2, "the old vectors answer: {answer}");
    let edge_before = score(&sandbox, "edge.mp4");
    assert!((edge_before - edge).abs() < 1e-4, "{edge_before} {edge}");
    sandbox.say("resume").expect(0);
    sandbox.settle();
    wait_until("the new crop to answer", SOON, || {
        let answer = sandbox.ctl_json(["search", "a red background"]);
        if answer["notices"].to_string().contains("changing to another crop") {
            Err(answer.to_string())
        } else {
            Ok(())
        }
    });
    let (edge, blue) = (score(&sandbox, "edge.mp4"), score(&sandbox, "blue.mp4"));
    assert!(edge > blue + 0.1, "the edge is seen: {edge} {blue}");
    assert_eq!(
        sandbox.n_decoded(),
        2,
        "the pictures that were kept are enough: {}",
        sandbox.log_tail()
    );
    assert!(daemon.stop().success());
    assert!(indexes(&sandbox).contains(&format!("{id}-two")), "{:?}", indexes(&sandbox));

    // Going back needs no work.
    configure("crop = \"reference\"");
    let _daemon = sandbox.start();
    sandbox.settle();
    wait_until("the old crop to answer", SOON, || {
        let edge = score(&sandbox, "edge.mp4");
        if (edge - edge_before).abs() < 1e-4 {
            Ok(())
        } else {
            Err(edge.to_string())
        }
    });
    assert_eq!(sandbox.n_decoded(), 2, "{}", sandbox.log_tail());
}
