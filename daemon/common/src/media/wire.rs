//! The protocol between the daemon and `scened-worker media`, in frames of [`crate::pipe`].
//!
//! Standard input carries one request; the video is the descriptor [`VIDEO_FD`]. Standard output carries [`KIND_CONFINED`] before the
//! worker reads any of the video. Then events follow until one of [`KIND_FINISHED`], [`KIND_PICTURE_FOUND`], [`KIND_POSTER_FOUND`] or
//! [`KIND_FAILED`]. Headers are JSON; pictures are raw bytes in the body.

use serde::{Deserialize, Serialize};

use crate::domain::{Boundary, ImageSpec, Span};
use crate::pipe;

/// The role in the hello, and the worker's first argument.
pub const ROLE: &str = "media";
/// Version of everything in this module.
pub const VERSION: u32 = 5;
/// The worker's second argument: it may decode without a sandbox if there is none.
pub const ALLOW_UNSANDBOXED: &str = "--allow-unsandboxed";
/// The video's descriptor in the worker.
pub const VIDEO_FD: i32 = 3;

/// Request: [`super::request::AnalyseRequest`].
pub const KIND_ANALYSE: u8 = 1;
/// Request: [`super::request::PictureRequest`].
pub const KIND_PICTURE: u8 = 2;
/// Request: [`super::request::KeyframesRequest`]; the descriptor is a file of [`super::keyframe_file`] instead of a video.
pub const KIND_KEYFRAMES: u8 = 3;
/// Request: [`super::request::PosterRequest`].
pub const KIND_POSTER: u8 = 4;
/// First event: [`Confinement`].
pub const KIND_CONFINED: u8 = 15;
/// Event: [`super::answer::Probe`].
pub const KIND_PROBED: u8 = 16;
/// Event: [`SceneHeader`]; the body is the frames in order, then the thumbnail, then the keyframe pictures.
pub const KIND_SCENE: u8 = 17;
/// Event: [`Progress`].
pub const KIND_PROGRESSED: u8 = 18;
/// Last event: [`super::answer::Analysis`].
pub const KIND_FINISHED: u8 = 19;
/// Last event: [`PictureHeader`]; the body is the frames of one moment.
pub const KIND_PICTURE_FOUND: u8 = 20;
/// Last event: [`Failure`].
pub const KIND_FAILED: u8 = 21;
/// Last event: [`PosterHeader`]; the body is the picture, `[height, width, 3]` u8 RGB.
pub const KIND_POSTER_FOUND: u8 = 22;

/// Longest side of a picture that the daemon may request. Pixels.
pub const MAX_IMAGE_PX: u32 = 1024;
/// Longest side of a thumbnail that the daemon may request. Pixels.
pub const MAX_THUMBNAIL_PX: u32 = 1024;
/// Most moments of one scene, each with at most [`ImageSpec::most_views`] frames.
pub const MAX_SCENE_FRAMES: usize = 16;
/// Largest thumbnail. Bytes.
pub const MAX_THUMBNAIL_BYTES: usize = 1 << 20;
/// Longest shorter side of a keyframe picture that the daemon may request. Pixels.
pub const MAX_KEYFRAME_PX: u32 = 512;
/// Largest keyframe picture. Bytes.
pub const MAX_KEYFRAME_BYTES: usize = 1 << 19;
/// Most scenes of one video: as many as fit the 24 bits of a [`crate::domain::SceneId`].
pub const MAX_SCENES: u64 = 1 << 24;
/// Most streams that are reported; the rest are left out.
pub const MAX_STREAMS: usize = 64;
/// Longest text in an answer: a codec's name, a reason. Bytes.
pub const MAX_TEXT_BYTES: usize = 2048;
/// Longest duration that a video may claim: a year. Milliseconds.
pub const MAX_TIME_MS: u64 = 366 * 24 * 3600 * 1000;

/// One scene, as soon as it is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SceneHeader {
    /// The scene's time range.
    pub span: Span,
    /// How the scene begins.
    pub boundary: Boundary,
    /// Time of each frame in the body; frames of one moment have the same time. Milliseconds.
    pub frames_ms: Vec<u64>,
    /// Length of the thumbnail in the body; 0 if none was requested.
    pub thumbnail_bytes: u64,
    /// Time (milliseconds) and bytes of each keyframe picture in the body.
    pub keyframes: Vec<(u64, u32)>,
}

/// The sandbox of a worker that is about to read a video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confinement {
    /// The worker can reach only the video and its pipes.
    Sandboxed {
        /// Name of the sandbox.
        how: String,
    },
    /// The worker decodes without a sandbox, as it is allowed to.
    Unsandboxed {
        /// Why there is no sandbox.
        reason: String,
    },
    /// The worker does not decode, and exits.
    Refused {
        /// Why there is no sandbox.
        reason: String,
    },
}

/// Last event of [`KIND_KEYFRAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Number of scenes reported.
    pub n_scenes: u64,
}

/// How far decoding has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Time of the last frame decoded. Milliseconds of the video.
    pub position_ms: u64,
}

/// Header of the moment that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureHeader {
    /// Its time. Milliseconds of the video.
    pub time_ms: u64,
}

/// Header of the frame that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PosterHeader {
    /// Its time. Milliseconds of the video.
    pub time_ms: u64,
    /// Width of the picture in the body. Pixels.
    pub width_px: u32,
    /// Height of the picture in the body. Pixels.
    pub height_px: u32,
}

/// What a worker blames if a video gives nothing, or less than it contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The file's content, or no fault at all.
    #[default]
    Video,
    /// The system could not read the file.
    Reading {
        /// The system's error code.
        errno: i32,
    },
    /// The machine was short of threads, memory or descriptors.
    Shortage {
        /// The system's error code.
        errno: i32,
    },
}

/// The file gives nothing; the reason is worded for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What is wrong, in words for the user.
    pub reason: String,
    /// What is to blame.
    #[serde(default)]
    pub fault: Fault,
}

/// Returns the bytes of one RGB frame of this size.
pub fn frame_bytes(image: &ImageSpec) -> usize {
    image.width_px as usize * image.height_px as usize * 3
}

/// Returns what is wrong with the requested picture, if anything: both sides check it.
pub fn check_image(image: &ImageSpec) -> Result<(), String> {
    for (name, px) in [
        ("width", image.width_px),
        ("height", image.height_px),
        ("shortest side", image.shortest_side_px),
    ] {
        if px == 0 || px > MAX_IMAGE_PX {
            return Err(format!(
                "a picture of {name} {px} px was asked for (1 to {MAX_IMAGE_PX} are possible)"
            ));
        }
    }
    let moment_bytes = image.most_views() * frame_bytes(image) + MAX_KEYFRAME_BYTES;
    let scene_bytes = MAX_SCENE_FRAMES * moment_bytes + MAX_THUMBNAIL_BYTES + pipe::MAX_HEADER_BYTES;
    if scene_bytes > pipe::MAX_FRAME_BYTES {
        return Err(format!(
            "{} pictures of {} × {} px of each moment were asked for, which is too much; set crop = \"reference\" for this model",
            image.most_views(),
            image.width_px,
            image.height_px
        ));
    }
    Ok(())
}
