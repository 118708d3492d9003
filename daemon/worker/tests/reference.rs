//! Vectors and scores against transformers and open_clip, on the models of tests/reference: tiny ones always, full-size ones
//! with `make check-long`. tests/reference/README.md says how they are made.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, not what they share"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scened::domain::{Embedding, Frame};
use scened::embed::Embedder;
use scened::embed::model::{ModelFolder, Precision};
use scened::embed::process::{EmbedConfig, EmbedProcess};
use scened::embed::runtime::find_onnxruntime;

#[derive(serde::Deserialize)]
struct Golden {
    texts: Vec<String>,
    text_vectors: Vec<Vec<f32>>,
    n_pictures: u64,
    picture_vectors: Vec<Vec<f32>>,
    logit_scale: f32,
    logit_bias: f32,
    /// **Shape**: `[pictures, texts]`.
    logits: Vec<Vec<f32>>,
}

/// How far our vectors are from the reference's.
#[derive(Clone, Copy, Debug)]
struct Stage {
    least_cosine: f64,
    /// Of any component of vectors of unit length.
    largest_difference: f32,
}

#[derive(Debug)]
struct Parity {
    name: String,
    precision: Precision,
    texts: Stage,
    pictures: Stage,
    /// Of logit scale × cosine + logit bias.
    largest_score_difference: f32,
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folders(within: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(within).unwrap_or_else(|error| panic!("{}: {error}", within.display()));
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("golden.json").is_file())
        .collect();
    folders.sort();
    folders
}

/// The k-th picture, by the formula of tests/reference/models.py.
fn picture(model: &ModelFolder, k: u64) -> Frame {
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

fn process(model: ModelFolder) -> EmbedProcess {
    let nowhere = Path::new("/nonexistent");
    let onnxruntime = find_onnxruntime(None, nowhere).expect("these tests need ONNX Runtime: run `make setup` first");
    EmbedProcess::new(EmbedConfig {
        model,
        providers: vec!["cpu".to_owned()],
        threads: 0,
        idle: Duration::from_mins(1),
        onnxruntime: Some(onnxruntime),
        data_dir: nowhere.to_owned(),
        worker: Some(PathBuf::from(env!("CARGO_BIN_EXE_scened-worker"))),
    })
    .unwrap()
}

fn stage(ours: &[Embedding], reference: &[Vec<f32>]) -> Stage {
    assert_eq!(ours.len(), reference.len());
    let mut stage = Stage {
        least_cosine: 1.0,
        largest_difference: 0.0,
    };
    for (ours, reference) in ours.iter().zip(reference) {
        assert_eq!(ours.as_slice().len(), reference.len());
        let (mut dot, mut ours_norm, mut reference_norm) = (0.0, 0.0, 0.0);
        for (a, b) in ours.as_slice().iter().zip(reference) {
            stage.largest_difference = stage.largest_difference.max((a - b).abs());
            let (a, b) = (f64::from(*a), f64::from(*b));
            dot += a * b;
            ours_norm += a * a;
            reference_norm += b * b;
        }
        stage.least_cosine = stage.least_cosine.min(dot / (ours_norm * reference_norm).sqrt());
    }
    stage
}

fn compare(folder: &Path) -> Parity {
    let model = ModelFolder::open(folder).unwrap();
    let golden: Golden = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
    let embedder = process(model.clone());
    // All at once, so that texts of different lengths share a batch; and one by one, as queries come.
    let texts = embedder.embed_texts(&golden.texts).unwrap();
    let mut text_stage = stage(&texts, &golden.text_vectors);
    for (text, reference) in golden.texts.iter().zip(&golden.text_vectors) {
        let alone = embedder.embed_texts(std::slice::from_ref(text)).unwrap();
        let alone = stage(&alone, std::slice::from_ref(reference));
        text_stage.least_cosine = text_stage.least_cosine.min(alone.least_cosine);
        text_stage.largest_difference = text_stage.largest_difference.max(alone.largest_difference);
    }
    let frames: Vec<Frame> = (0..golden.n_pictures).map(|k| picture(&model, k)).collect();
    let pictures = embedder.embed_frames(&frames).unwrap();
    let mut largest_score_difference = 0.0_f32;
    for (picture, row) in pictures.iter().zip(&golden.logits) {
        for (text, expected) in texts.iter().zip(row) {
            let score = golden.logit_scale * picture.cosine(text) + golden.logit_bias;
            largest_score_difference = largest_score_difference.max((score - expected).abs());
        }
    }
    Parity {
        name: model.name,
        precision: model.precision,
        texts: text_stage,
        pictures: stage(&pictures, &golden.picture_vectors),
        largest_score_difference,
    }
}

/// What each precision must reach; a score may differ by what a cosine of that nearness allows, times a logit scale of 100.
fn check(parity: &Parity, least_int8_cosine: f64) {
    let (least_cosine, largest_score_difference) = match parity.precision {
        Precision::Fp32 => (0.999_999, 0.01),
        Precision::Fp16 => (0.9999, 0.5),
        Precision::Int8 => (least_int8_cosine, 20.0),
    };
    assert!(parity.texts.least_cosine >= least_cosine, "{parity:?}");
    assert!(parity.pictures.least_cosine >= least_cosine, "{parity:?}");
    assert!(parity.largest_score_difference <= largest_score_difference, "{parity:?}");
}

#[test]
fn tiny_models_of_every_layout_give_the_numbers_of_their_reference() {
    let folders = folders(&checkout().join("tests/reference/tiny"));
    assert!(folders.len() >= 9, "{folders:?}");
    for folder in folders {
        let parity = compare(&folder);
        eprintln!("{parity:?}");
        check(&parity, 0.99);
    }
}

#[test]
#[ignore = "needs the full-size models that `make check-long` makes with PyTorch"]
fn full_size_models_of_every_layout_give_the_numbers_of_their_reference() {
    let within = checkout().join("target/reference");
    let folders = folders(&within);
    assert!(
        !folders.is_empty(),
        "there are no models in {}: run tests/reference/full.sh",
        within.display()
    );
    let mut table = String::new();
    let mut all = Vec::new();
    for folder in folders {
        let parity = compare(&folder);
        eprintln!("{parity:?}");
        writeln!(
            table,
            "{}\t{:?}\t{:.9}\t{:.1e}\t{:.9}\t{:.1e}\t{:.1e}",
            parity.name,
            parity.precision,
            parity.texts.least_cosine,
            parity.texts.largest_difference,
            parity.pictures.least_cosine,
            parity.pictures.largest_difference,
            parity.largest_score_difference
        )
        .unwrap();
        all.push(parity);
    }
    std::fs::write(within.join("vectors.tsv"), table).unwrap();
    for parity in &all {
        check(parity, 0.95);
    }
}
