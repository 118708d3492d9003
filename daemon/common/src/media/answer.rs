//! What a media worker says about a whole video: what it is made of, and how the analysis ended.

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
    /// Only for video: as stored, before rotation.
    pub width_px: u32,
    /// Only for video: as stored, before rotation.
    pub height_px: u32,
    /// Degrees clockwise that a player turns the picture.
    pub rotation: i32,
    /// Frames a second; 0 = unknown.
    pub fps: f64,
    /// The stream that is analysed.
    pub chosen: bool,
}

/// What a file is made of, before anything of it is decoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// FFmpeg's name of the container.
    pub container: String,
    /// 0 when the file does not say; [`Analysis::duration_ms`] knows better after decoding.
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
    /// Making the small pictures that scenes are found in.
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

/// What of a video was decoded, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodePlan {
    /// What was done, whatever was asked for.
    pub mode_used: SceneMode,
    /// How its keyframes lie: `scenecut`, `clock`, `intra`; empty when nobody looked.
    pub kind: String,
    /// Why this was done, in words for the user.
    pub reason: String,
    /// Groups of pictures: a keyframe and what needs it.
    pub n_gops: u64,
    /// Those of which more than the keyframe was decoded.
    pub n_gops_decoded: u64,
}

/// The end of a successful analysis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// End of the last frame shown. Milliseconds.
    pub duration_ms: u64,
    /// Frames decoded.
    pub n_frames: u64,
    /// Scenes that were told of.
    pub n_scenes: u64,
    /// What was decoded, and why.
    #[serde(default)]
    pub plan: DecodePlan,
    /// Set when decoding stopped early or skipped damage: what a user should know.
    pub damage: Option<String>,
    /// What decoded: `software`, the name of a [`Hardware`], or `software (why not the hardware asked for)`.
    #[serde(default)]
    pub decoder: String,
    /// Set to what the machine did while it was decoded: a part may be missing that is not missing in the file.
    #[serde(default)]
    pub fault: wire::Fault,
    /// What was looked at.
    #[serde(default)]
    pub picture: Option<PictureTrack>,
    /// How long each stage took.
    pub times: StageTimes,
}
