//! ONNX Runtime is missing or wrong: the daemon runs, reports it, and loses nothing.

use std::fs;
use std::process::Command;

use testkit::{Sandbox, copy_tree, repository, wait_until};

use crate::SOON;

/// Runs the daemon with one video and this configuration. Nothing can be embedded, so the video waits, and every output gives `reason`.
fn waits_and_says(configuration: &str, prepare: impl FnOnce(&Sandbox), reason: &str) {
    let sandbox = Sandbox::new();
    sandbox.configure(configuration);
    prepare(&sandbox);
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let mut daemon = sandbox.start();
    wait_until("a warning", SOON, || {
        let status = sandbox.ctl_json(["status"]);
        let warned = status["warnings"].to_string().contains(reason);
        if warned && status["videos"]["pending"] == 1 {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    assert_eq!(
        sandbox.counts(),
        [0, 1, 0, 0],
        "the video waits: {}",
        sandbox.say("incidents").stdout
    );
    let log = fs::read_to_string(sandbox.log()).unwrap();
    assert!(log.matches("indexing waits").count() < 4, "it tries without a pause: {log}");
    let search = sandbox.run(["search", "red"]).expect(2);
    assert!(search.stderr.contains(reason) && search.stderr.contains("hint"), "{search:#?}");
    let doctor = sandbox.say("doctor");
    assert!(doctor.status == 2 && doctor.stdout.contains(reason), "{doctor:#?}");
    assert!(daemon.is_alive());

    // With the configuration repaired, indexing continues after a restart.
    assert!(daemon.stop().success());
    sandbox.configure("");
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0]);
    sandbox.run(["search", "red"]).expect(0);
}

#[test]
fn without_onnx_runtime_videos_wait_and_search_says_what_is_missing() {
    waits_and_says("onnxruntime = \"/nonexistent.so\"", |_| {}, "/nonexistent.so");
}

#[test]
fn a_file_that_is_no_library_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so");
    fs::write(&library, "not a library").unwrap();
    let configuration = format!("onnxruntime = {library:?}");
    waits_and_says(&configuration, |_| {}, library.to_str().unwrap());
}

#[test]
fn a_library_that_is_another_one_is_named() {
    // Any shared library that exists on every machine.
    let Some(library) = [
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib64/libm.so.6",
        "/lib/aarch64-linux-gnu/libm.so.6",
    ]
    .into_iter()
    .find(|path| fs::metadata(path).is_ok()) else {
        eprintln!("NOT RUN: no libm.so.6 in the usual places");
        return;
    };
    waits_and_says(&format!("onnxruntime = {library:?}"), |_| {}, library);
}

/// The minimum of ONNX Runtime that reports a version: the two functions that its first call returns.
const OLD_RUNTIME: &str = r#"
struct api_base { const void *(*get_api)(unsigned); const char *(*version)(void); };
static const void *get_api(unsigned version) { (void)version; return 0; }
static const char *version(void) { return "1.9.0"; }
static const struct api_base base = { get_api, version };
const struct api_base *OrtGetApiBase(void) { return &base; }
"#;

#[test]
fn a_library_that_is_too_old_is_named_with_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("old.c"), folder.path().join("libonnxruntime.so.1.9.0"));
    fs::write(&source, OLD_RUNTIME).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .status();
    assert!(compiled.expect("a C compiler, which the build needs too").success());
    let configuration = format!("onnxruntime = {library:?}");
    waits_and_says(&configuration, |_| {}, "it is version 1.9.0, and 1.22 or newer is needed");
}

#[test]
fn a_model_that_is_missing_is_named() {
    waits_and_says("model = \"absent\"", |_| {}, "absent");
}

#[test]
fn a_model_folder_that_is_incomplete_is_named_with_what_it_lacks() {
    let sandbox_model = tempfile::tempdir().unwrap();
    let folder = sandbox_model.path().join("half");
    copy_tree(&repository().join("tests/data/models/tiny-hf"), &folder, &|file| {
        !file.ends_with("vision_model.onnx")
    });
    waits_and_says(&format!("model = {folder:?}"), |_| {}, "vision_model");
}

#[test]
fn a_model_whose_weights_are_damaged_is_told_by_its_name() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("damaged");
    copy_tree(&repository().join("tests/data/models/tiny-hf"), &folder, &|_| true);
    for file in ["onnx/vision_model.onnx", "onnx/text_model.onnx"] {
        fs::write(folder.join(file), "no weights").unwrap();
    }
    waits_and_says(&format!("model = {folder:?}"), |_| {}, "damaged");
}

#[test]
fn a_worker_program_that_is_missing_is_told() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let mut command = sandbox.command("scened");
    command.env("SCENED_WORKER", "/nonexistent/scened-worker");
    let daemon = sandbox.launch_as(command);
    daemon.wait_until_ready();
    wait_until("a warning", SOON, || {
        let status = sandbox.ctl_json(["status"]);
        if status["warnings"].to_string().contains("scened-worker") && status["videos"]["pending"] == 1 {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    assert_eq!(sandbox.counts(), [0, 1, 0, 0]);
    sandbox.run(["search", "red"]).expect(2).complains("scened-worker");
    let log = fs::read_to_string(sandbox.log()).unwrap();
    assert!(log.matches("indexing waits").count() < 4, "it tries without a pause: {log}");
    assert!(daemon.stop().success());
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0]);
}
