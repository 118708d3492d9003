//! Body of the fuzz target `media`.

use scened_common::domain::{ImageSpec, Resample, ResizeMode};
use scened_common::media::budget::Budget;
use scened_common::pipe;

use super::check::{self, Checker};
use crate::media::{AnalyseRequest, Detector, Hardware, KeyframesRequest, PosterRequest, SceneMode};

/// Small, so that the fuzzer finds a valid picture.
const IMAGE: ImageSpec = ImageSpec {
    width_px: 2,
    height_px: 2,
    shortest_side_px: 2,
    resize: ResizeMode::Squash,
    resample: Resample::Bicubic,
};

/// Simulates a worker that sends anything: its messages are accepted or rejected, without a panic.
pub fn run(data: &[u8]) {
    let Some((options, mut from)) = data.split_first() else { return };
    let request = AnalyseRequest {
        image: IMAGE,
        detector: Detector::Shot,
        keyframes_only: false,
        mode: SceneMode::Exact,
        max_scene_ms: 10_000,
        thumbnail_px: if options & 1 == 0 { 0 } else { 320 },
        keyframe_px: if options & 2 == 0 { 0 } else { 224 },
        threads: 1,
        hardware: Hardware::None,
        label: "a video".to_owned(),
    };
    let replay = KeyframesRequest {
        image: IMAGE,
        label: "a video".to_owned(),
    };
    let poster = PosterRequest {
        longer_px: 2,
        label: "a video".to_owned(),
    };
    let mut checker = if options & 4 == 0 {
        Checker::new(&request, Budget::of_bytes(1 << 20))
    } else {
        Checker::for_keyframes(&replay)
    };
    while let Ok(Some(frame)) = pipe::read_frame(&mut from, pipe::MAX_FRAME_BYTES) {
        drop(check::confinement(&frame));
        drop(check::picture(&frame, &IMAGE));
        drop(check::poster(&frame, &poster));
        if checker.finished(&frame).is_ok() || checker.replayed(&frame).is_ok() || checker.event(&frame).is_err() {
            return;
        }
    }
}
