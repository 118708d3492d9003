//! A media worker's report about a whole video: its streams, and how the analysis ended.

use serde::{Deserialize, Serialize};

use super::request::SceneMode;
use super::wire;
use crate::domain::PictureTrack;

/// One stream of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// `video`, `audio`, `subtitle`, `data`, `attachment`.
    pub kind: String,
    /// FFmpeg's name of the codec, like `h264`.
    pub codec: String,
    /// Width as stored, before rotation. Only for video.
    pub width_px: u32,
    /// Height as stored, before rotation. Only for video.
    pub height_px: u32,
    /// Degrees clockwise by which a player turns the picture.
    pub rotation: i32,
    /// Frames a second; 0 = unknown.
    pub fps: f64,
    /// Whether this stream is analysed.
    pub chosen: bool,
}

/// What a file consists of, before any of it is decoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// FFmpeg's name of the container.
    pub container: String,
    /// 0 if the file does not say; [`Analysis::duration_ms`] is more reliable, after decoding.
    pub duration_ms: u64,
    /// Its streams in their order; at most [`wire::MAX_STREAMS`].
    pub streams: Vec<StreamInfo>,
}

/// Wall time of each stage, for `scened inspect` and benchmarks. Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTimes {
    /// Opening the file and probing its streams.
    pub open_ms: f64,
    /// Reading and decoding.
    pub decode_ms: f64,
    /// Making the small pictures in which scenes are found.
    pub scale_ms: f64,
    /// Finding scenes in them.
    pub detect_ms: f64,
    /// Making the model's pictures and the keyframe pictures.
    pub sample_ms: f64,
    /// Making thumbnails.
    pub thumbnail_ms: f64,
    /// All of it.
    pub total_ms: f64,
}

/// Which parts of a video were decoded, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodePlan {
    /// The mode that was used, whichever was requested.
    pub mode_used: SceneMode,
    /// How its keyframes are placed: `scenecut`, `clock`, `intra`; empty if that was not examined.
    pub kind: String,
    /// Why this mode was used, in words for the user.
    pub reason: String,
    /// Number of groups of pictures: a keyframe and the frames that need it.
    pub n_gops: u64,
    /// Number of groups of which more than the keyframe was decoded.
    pub n_gops_decoded: u64,
}

/// The end of a successful analysis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// End of the last frame shown. Milliseconds.
    pub duration_ms: u64,
    /// Frames decoded.
    pub n_frames: u64,
    /// Scenes that were reported.
    pub n_scenes: u64,
    /// Which parts were decoded, and why.
    #[serde(default)]
    pub plan: DecodePlan,
    /// What a user should know, if decoding stopped early or skipped damage.
    pub damage: Option<String>,
    /// The decoder: `software`, the name of a [`super::request::Hardware`], or `software (why not the hardware asked for)`.
    #[serde(default)]
    pub decoder: String,
    /// The machine's fault, if one occurred during decoding: a missing part may then be present in the file.
    #[serde(default)]
    pub fault: wire::Fault,
    /// The video track that was analysed.
    #[serde(default)]
    pub picture: Option<PictureTrack>,
    /// How long each stage took.
    pub times: StageTimes,
}
