//! Tests the daemon's embedder with the real worker and the real ONNX Runtime, on the tiny models of tests/data/models and on the starter.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, not what they share"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use scened::embed::process::{EmbedConfig, EmbedProcess};
use scened::embed::{EmbedError, Embedder};
use scened::worker::throttle::Throttle;
use scened_common::domain::{Embedding, Frame};
use scened_common::embed::model::ModelFolder;
use scened_common::embed::runtime::find_onnxruntime;

const TINY: [&str; 5] = ["tiny-hf", "tiny-hf-fp16", "tiny-siglip", "tiny-immich", "tiny-immich-squash"];

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/models")
}

fn model(name: &str) -> ModelFolder {
    ModelFolder::open(&models().join(name)).unwrap()
}

fn config(model: ModelFolder) -> EmbedConfig {
    let nowhere = Path::new("/nonexistent");
    let own = std::env::current_exe().ok();
    let onnxruntime = find_onnxruntime(None, nowhere, own.as_deref()).expect("these tests need ONNX Runtime: run `make setup` first");
    EmbedConfig {
        model,
        providers: vec!["cpu".to_owned()],
        threads: 1,
        idle: Duration::from_mins(1),
        onnxruntime: Some(onnxruntime),
        data_dir: nowhere.to_owned(),
        graph_cache: None,
        gpu_memory_reserve_bytes: 0,
        background: false,
        throttle: Throttle::default(),
        allow_unsandboxed: false,
        worker: Some(PathBuf::from(env!("CARGO_BIN_EXE_scened-worker"))),
    }
}

fn process(name: &str) -> EmbedProcess {
    EmbedProcess::new(config(model(name))).unwrap()
}

fn frame(model: &ModelFolder, k: u64) -> Frame {
    let (width_px, height_px) = (model.image.width_px, model.image.height_px);
    Frame {
        time_ms: k,
        width_px,
        height_px,
        rgb: testkit::golden::picture(k, width_px, height_px),
    }
}

#[derive(serde::Deserialize)]
struct Golden {
    texts: Vec<String>,
    text_vectors: Vec<Vec<f32>>,
    picture_vectors: Vec<Vec<f32>>,
}

fn golden(name: &str) -> Golden {
    serde_json::from_slice(&std::fs::read(models().join(name).join("golden.json")).unwrap()).unwrap()
}

fn assert_same(name: &str, what: &str, ours: &[Embedding], reference: &[Vec<f32>]) {
    assert_eq!(ours.len(), reference.len());
    for (i, (ours, reference)) in ours.iter().zip(reference).enumerate() {
        let cosine = ours.cosine(&Embedding::normalised(reference.clone()).unwrap());
        assert!(cosine >= 0.9999, "{name}: {what} {i} has cosine {cosine} to the reference");
    }
}

/// Waits until `condition` holds, at most ten seconds.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let (lock, never) = (std::sync::Mutex::new(()), std::sync::Condvar::new());
    let mut guard = lock.lock().unwrap();
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within 10 s");
        guard = never.wait_timeout(guard, Duration::from_millis(5)).unwrap().0;
    }
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).try_exists().unwrap()
}

#[test]
fn every_layout_gives_the_vectors_of_its_reference() {
    for name in TINY {
        let folder = model(name);
        let golden = golden(name);
        let embedder = process(name);
        // All at once, so that texts of different lengths share a batch, then one by one.
        let texts = embedder.embed_texts(&golden.texts).unwrap();
        assert_same(name, "text", &texts, &golden.text_vectors);
        for (text, reference) in golden.texts.iter().zip(&golden.text_vectors) {
            let alone = embedder.embed_texts(std::slice::from_ref(text)).unwrap();
            assert_same(name, "text alone", &alone, std::slice::from_ref(reference));
        }
        let frames: Vec<Frame> = (0..5).map(|k| frame(&folder, k)).collect();
        assert_same(name, "picture", &embedder.embed_frames(&frames).unwrap(), &golden.picture_vectors);
        assert_eq!(embedder.provider().unwrap().active, "cpu");
        assert_eq!(embedder.model().dimensions, Some(32));
    }
}

#[test]
fn a_text_does_not_wait_for_the_frames_that_came_before_it() {
    const N_FRAMES: u64 = 8000;
    let folder = model("tiny-hf");
    let embedder = Arc::new(process("tiny-hf"));
    embedder.embed_texts(&["warm".to_owned()]).unwrap();
    embedder.embed_frames(&[frame(&folder, 0)]).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let frames = {
        let (embedder, done) = (Arc::clone(&embedder), Arc::clone(&done));
        let frames = vec![frame(&folder, 1); N_FRAMES as usize];
        std::thread::spawn(move || {
            let vectors = embedder.embed_frames(&frames);
            done.store(true, Ordering::SeqCst);
            vectors
        })
    };
    let mut n_ahead = 0;
    for i in 0..5 {
        embedder.embed_texts(&[format!("text {i}")]).unwrap();
        n_ahead += u32::from(!done.load(Ordering::SeqCst));
    }
    assert_eq!(n_ahead, 5, "a text waited for {N_FRAMES} frames");
    assert_eq!(frames.join().unwrap().unwrap().len() as u64, N_FRAMES);
}

#[test]
fn an_idle_worker_ends_and_the_next_request_starts_another() {
    let idle = Duration::from_secs(1);
    let embedder = EmbedProcess::new(EmbedConfig {
        idle,
        ..config(model("tiny-hf"))
    })
    .unwrap();
    assert_eq!(embedder.worker_pid(), None, "a worker was started before anything was asked");
    assert_eq!(embedder.provider(), None);
    embedder.embed_texts(&["one".to_owned()]).unwrap();
    let answered = Instant::now();
    let pid = embedder.worker_pid().unwrap();
    wait_until("the end of the idle worker", || embedder.worker_pid().is_none());
    assert!(
        answered.elapsed() + Duration::from_millis(50) >= idle,
        "it ended after {:?}",
        answered.elapsed()
    );
    wait_until("its process being reaped", || !is_alive(pid));
    embedder.embed_texts(&["two".to_owned()]).unwrap();
    assert_ne!(embedder.worker_pid().unwrap(), pid);
}

#[test]
fn a_killed_worker_is_replaced_and_no_caller_notices() {
    let folder = model("tiny-hf");
    let embedder = Arc::new(process("tiny-hf"));
    let expected = embedder.embed_frames(&[frame(&folder, 0)]).unwrap();
    let kill = |pid: u32| {
        let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    // While it is idle.
    let first = embedder.worker_pid().unwrap();
    kill(first);
    assert_eq!(embedder.embed_frames(&[frame(&folder, 0)]).unwrap(), expected);
    // While it works.
    let second = embedder.worker_pid().unwrap();
    assert_ne!(first, second);
    let busy = {
        let (embedder, frames) = (Arc::clone(&embedder), vec![frame(&folder, 0); 4000]);
        std::thread::spawn(move || embedder.embed_frames(&frames))
    };
    embedder.embed_texts(&["in between".to_owned()]).unwrap();
    kill(second);
    let vectors = busy.join().unwrap().unwrap();
    assert!(vectors.iter().all(|vector| *vector == expected[0]));
    assert_ne!(embedder.worker_pid(), Some(second));
}

#[test]
fn a_program_that_is_no_worker_or_dies_at_once_is_told_so() {
    let ask = |program: &str| {
        let config = EmbedConfig {
            worker: Some(program.into()),
            ..config(model("tiny-hf"))
        };
        EmbedProcess::new(config).unwrap().embed_texts(&["text".to_owned()]).unwrap_err()
    };
    let error = ask("/bin/false");
    assert!(
        matches!(&error, EmbedError::Unavailable { reason, .. } if reason == "the embed worker cannot work: ended with exit status 1"),
        "{error}"
    );
    // It returns the hello, and then the request.
    let folder = tempfile::tempdir().unwrap();
    let parrot = folder.path().join("parrot");
    std::fs::write(&parrot, "#!/bin/sh\nexec cat\n").unwrap();
    std::fs::set_permissions(&parrot, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = ask(parrot.to_str().unwrap());
    assert!(
        matches!(&error, EmbedError::Protocol { detail } if detail == "an answer of kind 1 was not expected here"),
        "{error}"
    );
    let error = ask("/nonexistent/worker");
    assert!(
        matches!(&error, EmbedError::Unavailable { reason, .. } if reason.starts_with("cannot start /nonexistent/worker")),
        "{error}"
    );
}

#[test]
fn stopping_does_not_wait_for_what_is_queued() {
    let folder = model("tiny-hf");
    let embedder = Arc::new(process("tiny-hf"));
    embedder.embed_frames(&[frame(&folder, 0)]).unwrap();
    let pid = embedder.worker_pid().unwrap();
    let busy = {
        let (embedder, frames) = (Arc::clone(&embedder), vec![frame(&folder, 0); 50_000]);
        std::thread::spawn(move || embedder.embed_frames(&frames))
    };
    embedder.embed_texts(&["in between".to_owned()]).unwrap();
    let started = Instant::now();
    embedder.stop();
    assert!(started.elapsed() < Duration::from_secs(3), "stopping took {:?}", started.elapsed());
    assert_eq!(busy.join().unwrap(), Err(EmbedError::ShuttingDown));
    assert_eq!(embedder.embed_texts(&["late".to_owned()]), Err(EmbedError::ShuttingDown));
    assert!(!is_alive(pid));
}

#[test]
fn providers_that_cannot_be_used_are_named_with_the_reason() {
    let providers = ["tensorrt", "nonsense", "cpu"].map(str::to_owned).to_vec();
    let embedder = EmbedProcess::new(EmbedConfig {
        providers,
        ..config(model("tiny-hf"))
    })
    .unwrap();
    embedder.embed_texts(&["text".to_owned()]).unwrap();
    let report = embedder.provider().unwrap();
    assert_eq!(report.active, "cpu");
    let failed: Vec<_> = report.failed.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
    assert_eq!(
        failed,
        [
            (
                "tensorrt",
                "this ONNX Runtime was built without it; the library of the package onnxruntime-gpu has it, and `onnxruntime` in \
                 config.toml names a library"
            ),
            ("nonsense", "no execution provider has this name")
        ]
    );
}

#[test]
fn a_frame_of_another_size_is_refused_before_the_worker_sees_it() {
    let embedder = process("tiny-hf");
    let mut wrong = frame(&model("tiny-hf"), 0);
    wrong.width_px += 1;
    assert!(matches!(embedder.embed_frames(&[wrong]), Err(EmbedError::Protocol { .. })));
    assert_eq!(embedder.worker_pid(), None);
}

/// Copies a tiny model that a test may damage.
fn copied(name: &str) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), &target).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&models().join(name), folder.path());
    folder
}

/// Sends a request for one text and one for one frame. Returns for each whether it succeeded, or its reason and hint.
fn ask_both(config: EmbedConfig) -> [Result<(), (String, Option<String>)>; 2] {
    let folder = config.model.clone();
    let embedder = EmbedProcess::new(config).unwrap();
    let told = |error| match error {
        EmbedError::Unavailable { reason, hint } => (reason, hint),
        other => panic!("unavailable was expected, got {other:?}"),
    };
    [
        embedder.embed_texts(&["text".to_owned()]).map(drop).map_err(told),
        embedder.embed_frames(&[frame(&folder, 0)]).map(drop).map_err(told),
    ]
}

#[test]
fn damaged_model_files_are_named_and_the_other_tower_goes_on() {
    let whole = std::fs::read(models().join("tiny-hf/onnx/vision_model.onnx")).unwrap();
    for damage in [&b"not a model"[..], b"", &whole[..whole.len() / 2]] {
        let folder = copied("tiny-hf");
        let file = folder.path().join("onnx/vision_model.onnx");
        std::fs::write(&file, damage).unwrap();
        let [text, picture] = ask_both(config(ModelFolder::open(folder.path()).unwrap()));
        assert_eq!(text, Ok(()));
        let (reason, hint) = picture.unwrap_err();
        assert!(
            reason.starts_with(&format!("the model file {} cannot be loaded: ", file.display())),
            "{reason}"
        );
        assert!(hint.unwrap().contains("download the model again"));
    }
    let folder = copied("tiny-hf");
    let opened = ModelFolder::open(folder.path()).unwrap();
    std::fs::remove_file(folder.path().join("onnx/text_model.onnx")).unwrap();
    // The vectors of its other tower may belong to another model by now.
    for refused in ask_both(config(opened)) {
        let (reason, hint) = refused.unwrap_err();
        assert!(reason.contains("cannot be read") && hint.is_some(), "{reason}");
    }
}

#[test]
fn files_that_contradict_the_configuration_are_refused() {
    for (file, from, to, told) in [
        (
            "config.json",
            "\"projection_dim\": 32",
            "\"projection_dim\": 64",
            "gives 32 components, but its config.json says 64",
        ),
        (
            "tokenizer_config.json",
            "<|endoftext|>",
            "<nothing>",
            "its vocabulary lacks the padding token \"<nothing>\"",
        ),
        (
            "tokenizer.json",
            "\"type\":\"BPE\"",
            "\"type\":\"XYZ\"",
            "tokenizer.json cannot be used",
        ),
    ] {
        let folder = copied("tiny-hf");
        let path = folder.path().join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        let after = before.replacen(from, to, 1);
        assert_ne!(before, after, "{file} has no {from}");
        std::fs::write(&path, after).unwrap();
        let [text, _] = ask_both(config(ModelFolder::open(folder.path()).unwrap()));
        let (reason, _) = text.unwrap_err();
        assert!(reason.contains(told), "{reason}");
    }
    let folder = copied("tiny-siglip");
    let path = folder.path().join("preprocessor_config.json");
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, before.replace("24", "16")).unwrap();
    let [text, picture] = ask_both(config(ModelFolder::open(folder.path()).unwrap()));
    assert_eq!(text, Ok(()));
    let (reason, _) = picture.unwrap_err();
    assert!(
        reason.contains("pictures of 3 × 16 × 16 are configured, but the file wants pixel_values (f32 [?, 3, 24, 24])"),
        "{reason}"
    );
}

#[test]
fn an_onnx_runtime_that_cannot_be_used_says_why_and_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("libonnxruntime.so");
    std::fs::write(&garbage, b"this is no library").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("libc.so"))
        .unwrap();
    for (library, told) in [
        (folder.path().join("gone.so"), "no ONNX Runtime library at".to_owned()),
        (
            garbage.clone(),
            format!("cannot use ONNX Runtime at {}: it cannot be loaded", garbage.display()),
        ),
        (
            PathBuf::from(libc),
            format!("cannot use ONNX Runtime at {libc}: it is a library, but not ONNX Runtime"),
        ),
    ] {
        let config = EmbedConfig {
            onnxruntime: Some(library),
            ..config(model("tiny-hf"))
        };
        for answer in ask_both(config) {
            let (reason, hint) = answer.unwrap_err();
            assert!(reason.starts_with(&told), "{reason}");
            assert!(hint.unwrap().contains("make setup"));
        }
    }
}

#[test]
fn a_worker_ends_with_its_standard_input_and_refuses_nonsense() {
    use scened_common::embed::protocol::{ROLE, VERSION};
    use scened_common::pipe::{write_frame, write_hello};
    let start = |input: &[u8]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_scened-worker"))
            .arg(ROLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    };
    let mut hello = Vec::new();
    write_hello(&mut hello, ROLE, VERSION).unwrap();
    assert!(start(&hello).status.success());
    let mut other_version = Vec::new();
    write_hello(&mut other_version, ROLE, VERSION + 1).unwrap();
    let mut unknown = hello.clone();
    write_frame(&mut unknown, 99, &(), &[]).unwrap();
    for (input, told) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "did not begin with a hello"),
        (other_version, "wanted embed version"),
        (unknown, "the first request was of kind 99"),
    ] {
        let output = start(&input);
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(told), "{said}");
    }
}

#[test]
fn the_starter_knows_a_red_circle_from_a_blue_square() {
    let folder = ModelFolder::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/starter")).unwrap();
    assert!(folder.is_starter && folder.name == "starter");
    let (width, height) = (folder.image.width_px, folder.image.height_px);
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (dx, dy) = (x as f32 - width as f32 / 2.0, y as f32 - height as f32 / 2.0);
            let inside = dx.hypot(dy) < width as f32 * 0.3;
            rgb.extend(if inside { [220, 30, 30] } else { [235, 235, 230] });
        }
    }
    let embedder = EmbedProcess::new(config(folder)).unwrap();
    let picture = embedder
        .embed_frames(&[Frame {
            time_ms: 0,
            width_px: width,
            height_px: height,
            rgb,
        }])
        .unwrap();
    let texts = embedder
        .embed_texts(&["a red circle".to_owned(), "a blue square".to_owned()])
        .unwrap();
    let (circle, square) = (picture[0].cosine(&texts[0]), picture[0].cosine(&texts[1]));
    assert!(
        circle > square + 0.1,
        "a red circle is {circle} near to its name and {square} to a blue square"
    );
}

#[test]
fn a_picture_without_a_vector_fails_alone() {
    // Without normalisation, black is all zeros, and the tiny tower has no bias.
    let folder = copied("tiny-hf");
    let path = folder.path().join("preprocessor_config.json");
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, before.replace("\"do_normalize\": true", "\"do_normalize\": false")).unwrap();
    let opened = ModelFolder::open(folder.path()).unwrap();
    let embedder = EmbedProcess::new(config(opened.clone())).unwrap();
    let good = frame(&opened, 0);
    let mut black = good.clone();
    black.rgb.fill(0);
    assert_eq!(
        embedder.embed_frames(&[good.clone(), black]),
        Err(EmbedError::Degenerate {
            what: "frame 2".to_owned()
        })
    );
    assert_eq!(embedder.embed_frames(&[good]).unwrap().len(), 1);
}

/// Returns a worker with two threads that has embedded pictures and a text and now waits, and its process id.
fn waiting() -> (EmbedProcess, u32) {
    let folder = model("tiny-hf");
    let embedder = EmbedProcess::new(EmbedConfig {
        threads: 2,
        ..config(folder.clone())
    })
    .unwrap();
    embedder.embed_frames(&vec![frame(&folder, 0); 64]).unwrap();
    embedder.embed_texts(&["text".to_owned()]).unwrap();
    let pid = embedder.worker_pid().unwrap();
    (embedder, pid)
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_waits_is_not_woken() {
    let (_embedder, pid) = waiting();
    let switches = || -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks
            .map(|task| {
                let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
                let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
                lines
                    .map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap())
                    .sum::<u64>()
            })
            .sum()
    };
    let mut before = switches();
    // Within ten seconds, its threads must be quiet for one whole second.
    let deadline = Instant::now() + Duration::from_secs(10);
    let (_keep, never) = std::sync::mpsc::sync_channel::<()>(0);
    loop {
        assert!(never.recv_timeout(Duration::from_secs(1)).is_err());
        let now = switches();
        if now == before {
            break;
        }
        assert!(Instant::now() < deadline, "{} wake-ups in a second without work", now - before);
        before = now;
    }
}

/// Returns the names of the entries in the cache of optimised graphs, and when each was made.
fn kept_graphs(data_dir: &Path) -> Vec<(String, std::time::SystemTime)> {
    let entries = std::fs::read_dir(data_dir.join("cache/graphs")).unwrap();
    let mut kept: Vec<_> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let made = entry.path().join("model.onnx").metadata().unwrap().modified().unwrap();
            (entry.file_name().into_string().unwrap(), made)
        })
        .collect();
    kept.sort();
    kept
}

/// Embeds the texts and pictures of the model's reference in a separate process, and compares the vectors.
fn embed_all(folder: &Path, golden: &Golden, data_dir: &Path) {
    let model = ModelFolder::open(folder).unwrap();
    let embedder = EmbedProcess::new(EmbedConfig {
        graph_cache: Some(data_dir.join("cache/graphs")),
        ..config(model.clone())
    })
    .unwrap();
    assert_same("kept", "text", &embedder.embed_texts(&golden.texts).unwrap(), &golden.text_vectors);
    let frames: Vec<Frame> = (0..golden.picture_vectors.len() as u64).map(|k| frame(&model, k)).collect();
    assert_same("kept", "picture", &embedder.embed_frames(&frames).unwrap(), &golden.picture_vectors);
}

/// Returns a copy of a model that a test may change, a data folder, and the entries that a first run leaves there.
fn kept(name: &str) -> (tempfile::TempDir, PathBuf, PathBuf, Golden, Vec<(String, std::time::SystemTime)>) {
    let sandbox = tempfile::tempdir().unwrap();
    let (folder, data_dir) = (sandbox.path().join(name), sandbox.path().join("data"));
    std::fs::create_dir(&data_dir).unwrap();
    testkit::copy_tree(&models().join(name), &folder, &|_| true);
    let golden = golden(name);
    embed_all(&folder, &golden, &data_dir);
    let first = kept_graphs(&data_dir);
    assert_eq!(first.len(), 2, "{first:?}");
    (sandbox, folder, data_dir, golden, first)
}

#[test]
fn optimised_graphs_are_kept_and_used_again() {
    for name in TINY {
        let (_sandbox, folder, data_dir, golden, first) = kept(name);
        let seals: Vec<PathBuf> = first
            .iter()
            .map(|(entry, _)| data_dir.join("cache/graphs").join(entry).join("seal.json"))
            .collect();
        for seal in &seals {
            std::fs::File::open(seal).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        embed_all(&folder, &golden, &data_dir);
        assert_eq!(kept_graphs(&data_dir), first, "{name}: an entry was made twice");
        for seal in &seals {
            assert_ne!(
                seal.metadata().unwrap().modified().unwrap(),
                std::time::UNIX_EPOCH,
                "{name}: an entry was not used"
            );
        }
    }
}

/// A file of an entry, and how it is damaged.
type Damage = (&'static str, fn(&mut Vec<u8>));

#[test]
fn graphs_that_are_damaged_or_of_another_file_are_made_again() {
    let (_sandbox, folder, data_dir, golden, mut before) = kept("tiny-hf");
    let damages: [Damage; 5] = [
        ("model.onnx", |bytes| bytes[100] ^= 1),
        ("model.onnx.data", |bytes| bytes[100] ^= 1),
        ("model.onnx.data", |bytes| bytes.truncate(4096)),
        ("seal.json", |bytes| bytes.truncate(30)),
        ("seal.json", |bytes| bytes.clear()),
    ];
    for (file, damage) in damages {
        for (entry, _) in &before {
            let path = data_dir.join("cache/graphs").join(entry).join(file);
            let mut bytes = std::fs::read(&path).unwrap();
            damage(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
        }
        embed_all(&folder, &golden, &data_dir);
        let after = kept_graphs(&data_dir);
        for ((entry, made), (same_entry, made_again)) in before.iter().zip(&after) {
            assert_eq!(entry, same_entry);
            assert!(made_again > made, "{file}: the damaged entry {entry} was kept");
        }
        before = after;
    }
    // The model's files are replaced. No old entry may be used or left.
    for file in ["onnx/vision_model.onnx", "onnx/text_model.onnx"] {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        std::fs::remove_file(folder.join(file)).unwrap();
        std::fs::write(folder.join(file), bytes).unwrap();
    }
    embed_all(&folder, &golden, &data_dir);
    let after = kept_graphs(&data_dir);
    assert!(
        after.len() == 2 && after.iter().all(|(entry, _)| before.iter().all(|(old, _)| old != entry)),
        "{after:?}"
    );
}

#[test]
fn a_cache_that_cannot_be_written_costs_only_time() {
    let sandbox = tempfile::tempdir().unwrap();
    std::fs::write(sandbox.path().join("cache"), "in the way").unwrap();
    embed_all(&models().join("tiny-hf"), &golden("tiny-hf"), sandbox.path());
}

/// Returns the user and system time of a process, in ticks of the clock.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn an_idle_worker_computes_nothing() {
    let (_embedder, pid) = waiting();
    let before = cpu_ticks(pid);
    testkit::pause(Duration::from_secs(1));
    // A tick is 10 ms. A thread that spins, as ONNX Runtime's do by default, uses a hundred.
    assert!(
        cpu_ticks(pid) - before <= 2,
        "{} ticks in a second without a request",
        cpu_ticks(pid) - before
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_session_has_as_many_threads_as_cores_are_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let n_threads = |cores: &str| {
        let program = folder.path().join(format!("worker-{cores}"));
        let worker = env!("CARGO_BIN_EXE_scened-worker");
        std::fs::write(&program, format!("#!/bin/sh\nexec taskset -c {cores} {worker} \"$@\"\n")).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let embedder = EmbedProcess::new(EmbedConfig {
            threads: 0,
            worker: Some(program),
            ..config(model("tiny-hf"))
        })
        .unwrap();
        embedder.embed_texts(&["text".to_owned()]).unwrap();
        std::fs::read_dir(format!("/proc/{}/task", embedder.worker_pid().unwrap()))
            .unwrap()
            .count()
    };
    if std::thread::available_parallelism().unwrap().get() < 2 {
        eprintln!("not run: this machine has one core");
        return;
    }
    // The thread that runs the session counts too. The worker's other threads are the same in both cases.
    assert_eq!(n_threads("0,1"), n_threads("0") + 1);
}

/// Returns how an attempt ended, made by a model that has taken over its worker.
#[cfg(all(feature = "malice", target_os = "linux"))]
fn attempt(what: &str, layers: &str, cache: &Path) -> String {
    use scened_common::embed::protocol::{KIND_FAILED, KIND_LOAD, LoadRequest, ROLE, VERSION};
    use scened_common::pipe::{MAX_FRAME_BYTES, read_frame, read_hello, write_frame, write_hello};
    let config = config(model("tiny-hf"));
    let mut child = Command::new(config.worker.unwrap())
        .arg(ROLE)
        .env("SCENED_MALICE", what)
        .env("SCENED_MALICE_LAYERS", layers)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut requests = child.stdin.take().unwrap();
    write_hello(&mut requests, ROLE, VERSION).unwrap();
    let load = LoadRequest {
        model: config.model,
        providers: config.providers,
        threads: 1,
        onnxruntime: config.onnxruntime.unwrap(),
        graph_cache: Some(cache.to_owned()),
        gpu_memory_reserve_bytes: 0,
        background: false,
        allow_unsandboxed: false,
    };
    write_frame(&mut requests, KIND_LOAD, &load, &[]).unwrap();
    drop(requests);
    let mut answers = child.stdout.take().unwrap();
    read_hello(&mut answers, ROLE, VERSION).unwrap();
    let answer = read_frame(&mut answers, MAX_FRAME_BYTES).unwrap();
    let status = child.wait().unwrap();
    match answer {
        Some(frame) if frame.kind == KIND_FAILED => frame.header::<scened_common::embed::protocol::Failed>().unwrap().reason,
        // A started program speaks no protocol.
        None if what.starts_with("exec") && status.success() => "malice succeeded".to_owned(),
        other => panic!("{what} behind {layers}: {other:?}, {status}"),
    }
}

#[cfg(all(feature = "malice", target_os = "linux"))]
#[test]
#[expect(unsafe_code, reason = "a child may trace its parent only where the parent allows it")]
fn what_a_hostile_model_would_try_fails_in_its_sandbox_and_works_outside() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a secret").unwrap();
    let (cache, written) = (folder.path().join("cache/graphs"), folder.path().join("written"));
    std::fs::create_dir_all(&cache).unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    // SAFETY: the call takes integers only. If Yama is active, a child may trace its parent only after this.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
    let attempts = [
        (format!("open={}", secret.display()), false),
        (format!("write={}", written.display()), false),
        (format!("write={}", cache.join("graph").display()), true),
        (format!("open={}", models().join("tiny-hf/config.json").display()), true),
        ("exec=/bin/true".to_owned(), false),
        ("fork".to_owned(), false),
        (format!("tcp={}", tcp.local_addr().unwrap()), false),
        (format!("udp={}", udp.local_addr().unwrap()), false),
        ("ptrace".to_owned(), false),
        ("signal".to_owned(), false),
    ];
    for (what, succeeds) in attempts {
        let inside = attempt(&what, "landlock seccomp", &cache);
        assert_eq!(inside.contains("malice succeeded"), succeeds, "{what} in the sandbox: {inside}");
        assert!(!written.is_file(), "{what}");
        let outside = attempt(&what, "none", &cache);
        assert!(outside.contains("malice succeeded"), "{what} without a sandbox: {outside}");
        std::fs::remove_file(&written).ok();
    }
}

#[test]
fn a_model_works_in_its_sandbox_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = EmbedConfig {
        graph_cache: Some(folder.path().join("cache/graphs")),
        threads: 2,
        ..config(model("tiny-hf"))
    };
    let embedder = EmbedProcess::new(config).unwrap();
    embedder.embed_texts(&["a dog".to_owned()]).unwrap();
    let report = embedder.provider().unwrap();
    assert!(report.is_sandboxed || !cfg!(target_os = "linux"), "{report:?}");
    assert!(report.sandbox.contains("Landlock") || !cfg!(target_os = "linux"), "{report:?}");
    let kept = std::fs::read_dir(folder.path().join("cache/graphs")).unwrap().count();
    assert!(kept > 0, "the optimised graph is kept in spite of the sandbox");
}
