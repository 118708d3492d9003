//! Tests the media worker as the daemon runs it: the real process, on videos that the ffmpeg command makes during the test.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod bad_videos;
mod bombs;
mod boxes;
mod clips;
mod clocks;
mod colours;
mod fast;
mod keyframes;
mod lengths;
mod mutations;
mod pictures;
mod posters;
#[cfg(all(feature = "malice", target_os = "linux"))]
mod sandbox;
mod second_files;
mod streams;
mod videos;
mod workers;

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use scened::media::{Cancel, FoundScene, FrameSource, MediaError, MediaEvent, MediaProcess};
use scened_common::domain::{Boundary, Frame, ImageSpec, Resample, ResizeMode};
use scened_common::media::answer::{Analysis, Probe};
use scened_common::media::extras::Extras;
use scened_common::media::request::{AnalyseRequest, Detector, Hardware, PictureRequest, SceneMode};

/// Everything that one analysis reported.
#[derive(Debug)]
struct Answer {
    probe: Probe,
    scenes: Vec<FoundScene>,
    analysis: Analysis,
}

impl Answer {
    /// Returns the start and boundary of each scene.
    fn starts(&self) -> Vec<(u64, Boundary)> {
        self.scenes.iter().map(|scene| (scene.span.start_ms, scene.boundary)).collect()
    }

    fn cuts_ms(&self) -> Vec<u64> {
        let cuts = self.scenes.iter().filter(|scene| scene.boundary == Boundary::Cut);
        cuts.map(|scene| scene.span.start_ms).collect()
    }
}

fn worker() -> MediaProcess {
    MediaProcess::new(PathBuf::from(env!("CARGO_BIN_EXE_scened-worker")))
}

fn square(side_px: u32) -> ImageSpec {
    ImageSpec {
        width_px: side_px,
        height_px: side_px,
        shortest_side_px: side_px,
        resize: ResizeMode::Squash,
        resample: Resample::Bicubic,
    }
}

fn request() -> AnalyseRequest {
    AnalyseRequest {
        image: square(64),
        detector: Detector::Content,
        mode: SceneMode::Exact,
        keyframes_only: false,
        max_scene_ms: 15_000,
        thumbnail_px: 96,
        keyframe_px: 0,
        threads: 1,
        hardware: Hardware::None,
        label: "test".to_owned(),
    }
}

fn analyse_with(source: &MediaProcess, path: &Path, request: &AnalyseRequest) -> Result<Answer, MediaError> {
    let video = File::open(path).unwrap();
    let (mut probe, mut scenes) = (None, Vec::new());
    let analysis = source.analyse(video, request, &Cancel::default(), &mut |event| {
        match event {
            MediaEvent::Probed(probed) => probe = Some(probed),
            MediaEvent::SceneFound(scene) => scenes.push(scene),
            MediaEvent::Progressed { .. } => {}
        }
        ControlFlow::Continue(())
    })?;
    Ok(Answer {
        probe: probe.expect("the worker probes first"),
        scenes,
        analysis,
    })
}

fn analyse(path: &Path) -> Result<Answer, MediaError> {
    analyse_with(&worker(), path, &request())
}

fn picture(path: &Path, at_ms: Option<u64>) -> Result<Frame, MediaError> {
    let views = picture_with(path, at_ms, square(64))?;
    let [frame] = <[Frame; 1]>::try_from(views).expect("a squeezed picture is one");
    Ok(frame)
}

fn picture_with(path: &Path, at_ms: Option<u64>, image: ImageSpec) -> Result<Vec<Frame>, MediaError> {
    let request = PictureRequest {
        image,
        at_ms,
        clock_is_odd: false,
        label: "test".to_owned(),
    };
    worker().picture(File::open(path).unwrap(), &request, &Cancel::default())
}

/// Returns the reason why a video gives nothing.
fn unusable(path: &Path) -> String {
    match analyse(path) {
        Err(MediaError::Unusable { reason }) => reason,
        other => panic!("{} gave {other:?}", path.display()),
    }
}

/// Makes a video in a folder with the ffmpeg command. `arguments` is split at blanks.
fn video(folder: &Path, name: &str, arguments: &str) -> PathBuf {
    let path = folder.join(name);
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments.split_whitespace())
        .arg(&path)
        .output()
        .expect("the ffmpeg command is needed for these tests (apt install ffmpeg)");
    assert!(
        done.status.success(),
        "ffmpeg {arguments}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    path
}

/// Two seconds of red, then two of blue, at 25 frames a second: one cut at 2,000 ms.
const RED_BLUE: &str = "-f lavfi -i color=red:s=320x240:r=25:d=2 -f lavfi -i color=blue:s=320x240:r=25:d=2 \
                        -filter_complex [0][1]concat=n=2 -pix_fmt yuv420p";

/// Returns the colour in the middle of one of 4 × 4 fields of a picture.
fn colour(frame: &Frame, field_x: u32, field_y: u32) -> [u8; 3] {
    let (x, y) = ((field_x * 2 + 1) * frame.width_px / 8, (field_y * 2 + 1) * frame.height_px / 8);
    let at = (y * frame.width_px + x) as usize * 3;
    [frame.rgb[at], frame.rgb[at + 1], frame.rgb[at + 2]]
}

fn assert_colour(frame: &Frame, (x, y): (u32, u32), expected: [u8; 3]) {
    let found = colour(frame, x, y);
    let near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 12);
    assert!(near, "field {x},{y} at {} ms is {found:?}, not {expected:?}", frame.time_ms);
}

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// Returns the width and height of a JPEG, from its frame header.
fn jpeg_size(jpeg: &[u8]) -> (u32, u32) {
    let mut at = 2;
    while at + 9 < jpeg.len() {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if matches!(jpeg[at + 1], 0xc0..=0xc2) {
            let side = |i: usize| u32::from(u16::from_be_bytes([jpeg[at + i], jpeg[at + i + 1]]));
            return (side(7), side(5));
        }
        at += 2 + length;
    }
    panic!("not a JPEG");
}
