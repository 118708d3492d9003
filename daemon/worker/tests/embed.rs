//! The daemon's embedder against the real worker and the real ONNX Runtime, on the tiny models of tests/data/models.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scened::domain::{Embedding, Frame};
use scened::embed::model::ModelFolder;
use scened::embed::process::{EmbedConfig, EmbedProcess};
use scened::embed::runtime::find_onnxruntime;
use scened::embed::{EmbedError, Embedder};

const TINY: [&str; 5] = ["tiny-hf", "tiny-hf-fp16", "tiny-siglip", "tiny-immich", "tiny-immich-squash"];

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/models")
}

fn model(name: &str) -> ModelFolder {
    ModelFolder::open(&models().join(name)).unwrap()
}

fn config(model: ModelFolder) -> EmbedConfig {
    let nowhere = Path::new("/nonexistent");
    let onnxruntime = find_onnxruntime(None, nowhere).expect("these tests need ONNX Runtime: run `make setup` first");
    EmbedConfig {
        model,
        providers: vec!["cpu".to_owned()],
        threads: 1,
        idle: Duration::from_secs(60),
        onnxruntime: Some(onnxruntime),
        data_dir: nowhere.to_owned(),
        worker: Some(PathBuf::from(env!("CARGO_BIN_EXE_scened-worker"))),
    }
}

fn process(name: &str) -> EmbedProcess {
    EmbedProcess::new(config(model(name))).unwrap()
}

/// The k-th picture, by the formula of make_tiny.py.
fn frame(model: &ModelFolder, k: u64) -> Frame {
    let (width_px, height_px) = (model.image.width_px, model.image.height_px);
    let n = u64::from(width_px) * u64::from(height_px) * 3;
    let rgb = (0..n).map(|i| ((i * (7 + k) + (i / 3) * 13 + k * 31) % 256) as u8).collect();
    Frame {
        time_ms: k,
        width_px,
        height_px,
        rgb,
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
        // All at once, so that texts of different lengths share a batch; and one by one.
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
