//! Times the embedder as the daemon uses it: `embed_bench MODEL_FOLDER [N_FRAMES]`.
//!
//! Needs a built `scened-worker` beside it (`cargo build --release -p scened-worker` first). One object of JSON.

#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use scened::domain::Frame;
use scened::embed::Embedder as _;
use scened::embed::model::ModelFolder;
use scened::embed::process::{EmbedConfig, EmbedProcess};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("the first argument is a model folder")?);
    let n_frames: usize = arguments.next().map_or(Ok(2000), |n| n.parse())?;
    let model = ModelFolder::open(&folder)?;
    let image = model.image;
    let own = std::env::current_exe()?;
    let worker = own
        .ancestors()
        .nth(2)
        .map(|above| above.join("scened-worker"))
        .filter(|path| path.is_file());
    let config = EmbedConfig {
        model: model.clone(),
        providers: vec!["auto".to_owned()],
        threads: 0,
        idle: Duration::from_mins(10),
        onnxruntime: None,
        data_dir: PathBuf::from("/nonexistent"),
        worker,
    };
    let embedder = EmbedProcess::new(config)?;
    let ask = |text: &str| -> anyhow::Result<f64> {
        let started = Instant::now();
        embedder.embed_texts(&[text.to_owned()])?;
        Ok(started.elapsed().as_secs_f64() * 1000.0)
    };
    let cold_ms = ask("a dog digging in the garden")?;
    let mut warm_ms = (0..200)
        .map(|i| ask(&format!("a photo of number {i} in the snow")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    warm_ms.sort_by(f64::total_cmp);
    let memory_text_kb = memory_kb(embedder.worker_pid());

    let frame = |k: usize| Frame {
        time_ms: 0,
        width_px: image.width_px,
        height_px: image.height_px,
        rgb: (0..image.width_px as usize * image.height_px as usize * 3)
            .map(|i| (i * (7 + k) % 256) as u8)
            .collect(),
    };
    let started = Instant::now();
    embedder.embed_frames(&[frame(0)])?;
    let vision_load_ms = started.elapsed().as_secs_f64() * 1000.0;
    let frames: Vec<Frame> = (0..n_frames).map(|k| frame(k % 97)).collect();
    let started = Instant::now();
    embedder.embed_frames(&frames)?;
    let frames_per_second = n_frames as f64 / started.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({
            "model": model.id.0, "provider": embedder.provider(), "model_bytes": model.size_bytes,
            "cold_text_ms": cold_ms, "text_p50_ms": warm_ms[100], "text_p99_ms": warm_ms[198], "vision_load_ms": vision_load_ms,
            "frames_per_second": frames_per_second, "n_frames": n_frames,
            "worker_rss_kb_text": memory_text_kb, "worker_rss_kb_all": memory_kb(embedder.worker_pid()),
        })
    );
    Ok(())
}

/// Resident memory of a process, now and at most; `None` where /proc does not tell.
fn memory_kb(pid: Option<u32>) -> Option<[u64; 2]> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid?.to_string()).join("status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some([field("VmRSS:")?, field("VmHWM:")?])
}
