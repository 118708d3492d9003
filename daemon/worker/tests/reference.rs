//! Compares vectors and scores with transformers and open_clip, on the models of tests/reference: tiny ones always, full-size ones with
//! `make check-long`. tests/reference/README.md says how to make them.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, not what they share"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scened::embed::Embedder;
use scened::embed::process::{EmbedConfig, EmbedProcess};
use scened::worker::throttle::Throttle;
use scened_common::domain::{Embedding, Frame};
use scened_common::embed::model::{ModelFolder, Precision};
use scened_common::embed::runtime::find_onnxruntime;

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
    /// The largest difference of any component of vectors of unit length.
    largest_difference: f32,
}

impl Stage {
    /// Returns the worse values of both.
    fn and(self, other: Self) -> Self {
        Self {
            least_cosine: self.least_cosine.min(other.least_cosine),
            largest_difference: self.largest_difference.max(other.largest_difference),
        }
    }
}

#[derive(Debug)]
struct Parity {
    name: String,
    precision: Precision,
    texts: Stage,
    pictures: Stage,
    /// Difference of logit scale × cosine + logit bias.
    largest_score_difference: f32,
    /// Between a vector made in a batch and the same one made alone. They differ because dynamic int8 scales by the largest number in the
    /// batch.
    least_cosine_alone: f64,
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn picture(model: &ModelFolder, k: u64) -> Frame {
    let (width_px, height_px) = (model.image.width_px, model.image.height_px);
    Frame {
        time_ms: k,
        width_px,
        height_px,
        rgb: testkit::golden::picture(k, width_px, height_px),
    }
}

/// Starts an embedder that keeps optimised graphs in `graph_cache`.
fn process(model: ModelFolder, graph_cache: Option<&Path>) -> EmbedProcess {
    let nowhere = Path::new("/nonexistent");
    let own = std::env::current_exe().ok();
    let onnxruntime = find_onnxruntime(None, nowhere, own.as_deref()).expect("these tests need ONNX Runtime: run `make setup` first");
    EmbedProcess::new(EmbedConfig {
        model,
        providers: vec!["cpu".to_owned()],
        threads: 0,
        idle: Duration::from_mins(1),
        onnxruntime: Some(onnxruntime),
        data_dir: nowhere.to_owned(),
        graph_cache: graph_cache.map(Path::to_owned),
        gpu_memory_reserve_bytes: 0,
        background: false,
        throttle: Throttle::default(),
        allow_unsandboxed: false,
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

fn compare(folder: &Path, graph_cache: Option<&Path>) -> Parity {
    let model = ModelFolder::open(folder).unwrap();
    let golden: Golden = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
    let embedder = process(model.clone(), graph_cache);
    // All at once, so that texts of different lengths share a batch, then one by one, as queries come.
    let texts = embedder.embed_texts(&golden.texts).unwrap();
    let texts_alone: Vec<Embedding> = golden
        .texts
        .iter()
        .flat_map(|text| embedder.embed_texts(std::slice::from_ref(text)).unwrap())
        .collect();
    let frames: Vec<Frame> = (0..golden.n_pictures).map(|k| picture(&model, k)).collect();
    let pictures = embedder.embed_frames(&frames).unwrap();
    let pictures_alone: Vec<Embedding> = frames
        .iter()
        .flat_map(|frame| embedder.embed_frames(std::slice::from_ref(frame)).unwrap())
        .collect();
    let mut largest_score_difference = 0.0_f32;
    for (picture, row) in pictures.iter().zip(&golden.logits) {
        for (text, expected) in texts.iter().zip(row) {
            let score = golden.logit_scale * picture.cosine(text) + golden.logit_bias;
            largest_score_difference = largest_score_difference.max((score - expected).abs());
        }
    }
    let alone = |together: &[Embedding], alone: &[Embedding]| {
        let alone: Vec<Vec<f32>> = alone.iter().map(|vector| vector.as_slice().to_vec()).collect();
        stage(together, &alone).least_cosine
    };
    Parity {
        name: model.name,
        precision: model.precision,
        texts: stage(&texts, &golden.text_vectors).and(stage(&texts_alone, &golden.text_vectors)),
        pictures: stage(&pictures, &golden.picture_vectors).and(stage(&pictures_alone, &golden.picture_vectors)),
        largest_score_difference,
        least_cosine_alone: alone(&texts, &texts_alone).min(alone(&pictures, &pictures_alone)),
    }
}

/// Checks the limits of each precision. A score may differ as much as such a cosine allows, times a logit scale of 100.
fn check(parity: &Parity) {
    let (least_cosine, largest_score_difference) = match parity.precision {
        Precision::Fp32 => (0.999_999, 0.01),
        Precision::Fp16 => (0.9999, 0.5),
        Precision::Int8 => (0.99, 5.0),
    };
    assert!(parity.texts.least_cosine >= least_cosine, "{parity:?}");
    assert!(parity.pictures.least_cosine >= least_cosine, "{parity:?}");
    assert!(parity.largest_score_difference <= largest_score_difference, "{parity:?}");
    assert!(parity.least_cosine_alone >= least_cosine, "{parity:?}");
}

#[test]
fn tiny_models_of_every_layout_give_the_numbers_of_their_reference() {
    let folders = testkit::golden::folders(&checkout().join("tests/reference/tiny"));
    assert!(folders.len() >= 9, "{folders:?}");
    for folder in folders {
        let cache = tempfile::tempdir().unwrap();
        // As exported, then with the graph that was just kept, then with the one found there.
        for graph_cache in [None, Some(cache.path()), Some(cache.path())] {
            let parity = compare(&folder, graph_cache);
            eprintln!("{graph_cache:?}: {parity:?}");
            check(&parity);
        }
    }
}

#[test]
#[ignore = "needs the full-size models that `make check-long` makes with PyTorch"]
fn full_size_models_of_every_layout_give_the_numbers_of_their_reference() {
    let within = checkout().join("target/reference");
    let folders = testkit::golden::folders(&within);
    assert!(
        !folders.is_empty(),
        "there are no models in {}: run tests/reference/full.sh",
        within.display()
    );
    let mut table = String::new();
    let mut all = Vec::new();
    for folder in folders {
        let cache = tempfile::tempdir().unwrap();
        let parity = compare(&folder, Some(cache.path()));
        eprintln!("{parity:?}");
        writeln!(
            table,
            "{}\t{:?}\t{:.9}\t{:.1e}\t{:.9}\t{:.1e}\t{:.1e}\t{:.9}",
            parity.name,
            parity.precision,
            parity.texts.least_cosine,
            parity.texts.largest_difference,
            parity.pictures.least_cosine,
            parity.pictures.largest_difference,
            parity.largest_score_difference,
            parity.least_cosine_alone
        )
        .unwrap();
        all.push(parity);
    }
    std::fs::write(within.join("vectors.tsv"), table).unwrap();
    for parity in &all {
        check(parity);
    }
}
