//! Measures what keyframe pictures cost and lose: `keyframe_bench MODEL VIDEO... [--dump FOLDER]`.
//!
//! Analyses each video as indexing does, keeps its keyframe pictures, replays them and embeds both. Prints one object of JSON for each
//! video: frames, bytes, megabytes an hour, seconds of the analysis and of the replay, and the mean and least cosine between the two
//! vectors of a moment. With `--dump` the pictures of both go one after another to `fresh.rgb` and `replayed.rgb`, for
//! `tests/compare/keyframes.py`. Run it with `cargo run --release -p scened-worker --example keyframe_bench`.

#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use std::fs::File;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use scened::embed::Embedder as _;
use scened::embed::process::{EmbedConfig, EmbedProcess};
use scened::media::keyframes::Keyframes;
use scened::media::{Cancel, FrameSource as _, MediaEvent, MediaProcess};
use scened::worker::throttle::Throttle;
use scened_common::domain::{Embedding, Fingerprint, Frame, ImageSpec};
use scened_common::embed::model::ModelFolder;
use scened_common::media::keyframe_file::{KeyframeScene, SHORTER_SIDE_PX};
use scened_common::media::request::{AnalyseRequest, Detector, Hardware, KeyframesRequest, SceneMode};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let model = ModelFolder::open(&PathBuf::from(arguments.next().context("the first argument is a model's folder")?))?;
    let (mut videos, mut dump) = (Vec::new(), None);
    while let Some(argument) = arguments.next() {
        if argument == "--dump" {
            let folder = PathBuf::from(arguments.next().context("--dump needs a folder")?);
            std::fs::create_dir_all(&folder)?;
            dump = Some((File::create(folder.join("fresh.rgb"))?, File::create(folder.join("replayed.rgb"))?));
        } else {
            videos.push(PathBuf::from(argument));
        }
    }
    let folder = tempfile::tempdir()?;
    let image = model.image;
    let embedder = EmbedProcess::new(EmbedConfig {
        model,
        providers: vec!["cpu".to_owned()],
        threads: 0,
        idle: Duration::from_mins(5),
        onnxruntime: None,
        data_dir: folder.path().to_owned(),
        graph_cache: None,
        gpu_memory_reserve_bytes: 0,
        background: false,
        throttle: Throttle::default(),
        allow_unsandboxed: false,
        worker: None,
    })?;
    let source = MediaProcess::find()?;
    let keyframes = Keyframes::new(folder.path().join("keyframes"));
    for video in videos {
        match measure(&video, image, &source, &keyframes) {
            Err(error) => println!("{}", serde_json::json!({"film": video, "error": error.to_string()})),
            Ok(measured) => {
                if let Some((fresh, replayed)) = &mut dump {
                    for frame in &measured.fresh {
                        fresh.write_all(&frame.rgb)?;
                    }
                    for frame in &measured.replayed {
                        replayed.write_all(&frame.rgb)?;
                    }
                }
                let (fresh, again) = (embed(&embedder, &measured.fresh)?, embed(&embedder, &measured.replayed)?);
                let mut cosines: Vec<f32> = fresh.iter().zip(&again).map(|(a, b)| a.cosine(b)).collect();
                cosines.sort_by(f32::total_cmp);
                let hours = measured.duration_ms as f64 / 3_600_000.0;
                println!(
                    "{}",
                    serde_json::json!({
                        "film": video,
                        "duration_ms": measured.duration_ms,
                        "frames": fresh.len(),
                        "bytes": measured.n_bytes,
                        "mb_an_hour": measured.n_bytes as f64 / 1e6 / hours,
                        "frames_an_hour": fresh.len() as f64 / hours,
                        "analysis_s": measured.analysis_s,
                        "replay_s": measured.replay_s,
                        // This covers thumbnails and keyframe pictures.
                        "compressing_ms": measured.compressing_ms,
                        "cosine_mean": cosines.iter().map(|cosine| f64::from(*cosine)).sum::<f64>() / cosines.len() as f64,
                        "cosine_least": cosines.first(),
                    })
                );
            }
        }
    }
    Ok(())
}

fn embed(embedder: &EmbedProcess, frames: &[Frame]) -> anyhow::Result<Vec<Embedding>> {
    Ok(embedder.embed_frames(frames)?)
}

struct Measured {
    duration_ms: u64,
    n_bytes: u64,
    analysis_s: f64,
    replay_s: f64,
    compressing_ms: f64,
    fresh: Vec<Frame>,
    replayed: Vec<Frame>,
}

fn measure(video: &PathBuf, image: ImageSpec, source: &MediaProcess, keyframes: &Keyframes) -> anyhow::Result<Measured> {
    let label = video.display().to_string();
    let request = AnalyseRequest {
        image,
        detector: Detector::Shot,
        mode: SceneMode::Exact,
        keyframes_only: false,
        max_scene_ms: 15_000,
        thumbnail_px: 320,
        keyframe_px: SHORTER_SIDE_PX,
        threads: 0,
        hardware: Hardware::None,
        label: label.clone(),
    };
    let fingerprint = Fingerprint([0; 16]);
    let mut writer = keyframes.begin(&fingerprint)?;
    let (mut fresh, mut failed) = (Vec::new(), None);
    let started = Instant::now();
    let analysis = source.analyse(File::open(video)?, &request, &Cancel::default(), &mut |event| {
        if let MediaEvent::SceneFound(scene) = event {
            fresh.extend(scene.frames);
            let (span, boundary, keyframes) = (scene.span, scene.boundary, scene.keyframes);
            let scene = KeyframeScene { span, boundary, keyframes };
            failed = writer.put(&scene).err();
        }
        if failed.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    writer.finish()?;
    let analysis_s = started.elapsed().as_secs_f64();
    let kept = keyframes.open(&fingerprint)?.context("the pictures were kept")?;
    let n_bytes = kept.metadata()?.len();
    let mut replayed = Vec::new();
    let started = Instant::now();
    source.replay(kept, &KeyframesRequest { image, label }, &Cancel::default(), &mut |event| {
        if let MediaEvent::SceneFound(scene) = event {
            replayed.extend(scene.frames);
        }
        ControlFlow::Continue(())
    })?;
    ensure!(fresh.len() == replayed.len(), "{} frames became {}", fresh.len(), replayed.len());
    Ok(Measured {
        duration_ms: analysis.duration_ms,
        n_bytes,
        analysis_s,
        replay_s: started.elapsed().as_secs_f64(),
        compressing_ms: analysis.times.thumbnail_ms,
        fresh,
        replayed,
    })
}
