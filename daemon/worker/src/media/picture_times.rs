//! Measures the time spent on every frame of a video, and on the frames that are kept, for `examples/picture_bench.rs`. Linux only.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use ffmpeg_next::frame::Video;
use scened_common::domain::{ImageSpec, Resample, ResizeMode};
use scened_common::media::extras::Extras;

use super::decode::allowed::Allowed;
use super::decode::video::{OpenVideo, Step};
use super::pixels::glimpse::{Glimpse, Glimpser};
use super::scenes::sampler::Sampler;

const N_ROUNDS: usize = 7;
/// Processor time of a round. It is long because the clock may advance in steps of 4 ms. Microseconds.
const ROUND_US: f64 = 200_000.0;

/// Measures the first `n_frames` of the video at `path`. **Units**: microseconds of processor time per frame, medians of seven rounds.
pub fn measure(path: &Path, n_frames: usize) -> anyhow::Result<serde_json::Value> {
    ffmpeg_next::init()?;
    let mut video = OpenVideo::open(File::open(path)?, 1, Allowed::videos(&Extras::default()))?;
    let frames = decode(&mut video, n_frames);
    let first = frames.first().context("no frame can be decoded")?;

    let mut glimpser = Glimpser::new();
    let mut glimpse = Glimpse::default();
    let glimpse_us = time_us(&frames, |frame| Ok(glimpser.shrink(frame, &mut glimpse)?))?;
    let image = ImageSpec {
        width_px: 224,
        height_px: 224,
        shortest_side_px: 224,
        resize: ResizeMode::ShortestSideCrop,
        resample: Resample::Bicubic,
    };
    let mut sampler = Sampler::new(image, 320, 0);
    let model_us = time_us(&frames, |frame| {
        std::hint::black_box(sampler.model(&video, frame)?);
        Ok(())
    })?;
    let thumbnail_us = time_us(&frames, |frame| {
        std::hint::black_box(sampler.thumbnail(&video, frame)?);
        Ok(())
    })?;
    Ok(serde_json::json!({
        "film": path,
        "frames": frames.len(),
        "size": [first.width(), first.height()],
        "format": format!("{:?}", first.format()),
        "glimpse_us": glimpse_us,
        "model_us": model_us,
        "thumbnail_us": thumbnail_us,
    }))
}

fn decode(video: &mut OpenVideo, n_frames: usize) -> Vec<Video> {
    let mut frames = Vec::new();
    while frames.len() < n_frames {
        let mut frame = Video::empty();
        match video.step(&mut frame) {
            Step::Frame(_) => frames.push(frame),
            Step::Packet => {}
            Step::End => break,
        }
    }
    frames
}

/// Returns the median time per frame over all rounds.
fn time_us(frames: &[Video], mut work: impl FnMut(&Video) -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut rounds = Vec::with_capacity(N_ROUNDS);
    for _ in 0..N_ROUNDS {
        let started = processor_time_us()?;
        let (mut spent, mut n_frames) = (0.0, 0);
        while spent < ROUND_US {
            for frame in frames {
                work(frame)?;
            }
            n_frames += frames.len();
            spent = processor_time_us()? - started;
        }
        rounds.push(spent / n_frames as f64);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[N_ROUNDS / 2])
}

/// Returns the processor time of this thread, since others may be using the machine.
fn processor_time_us() -> anyhow::Result<f64> {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = spent.split(' ').next().context("schedstat begins with a number")?.parse()?;
    Ok(nanoseconds / 1000.0)
}
