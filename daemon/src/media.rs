//! Looks into videos: what a film is made of, where its scenes are, and a few frames of each.
//!
//! Decoding happens in `scened-worker media`, one process a video, because media is hostile input. This module owns the
//! daemon's half: the [`FrameSource`] seam, the worker's life, and the pipe protocol. It knows neither store nor models.

pub mod budget;
pub mod extras;
pub mod ffmpeg;
pub mod inspect;
pub mod keyframes;
pub mod process;
pub mod thumbnail;
pub mod wire;

use std::fs::File;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::domain::{Boundary, Frame, ImageSpec, PictureTrack, Span};

pub use keyframes::Keyframe;
pub use process::MediaProcess;

/// Which rule finds cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// Scened's own: cuts, dissolves, fades and wipes.
    #[default]
    Shot,
    /// PySceneDetect's ContentDetector: threshold 27 on the mean change of H, S and V.
    Content,
    /// PySceneDetect's AdaptiveDetector: the content score against its neighbours.
    Adaptive,
}

/// How much of a film is decoded to find its scenes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SceneMode {
    /// Every frame.
    #[default]
    Exact,
    /// Packets first, then keyframes, then only what is doubtful; a film for which that is unsafe is decoded through all the same.
    Fast,
}

impl std::str::FromStr for SceneMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "exact" => Ok(Self::Exact),
            "fast" => Ok(Self::Fast),
            _ => Err(format!("{text:?} is no mode (exact, fast)")),
        }
    }
}

/// Which graphics card's decoder to use. Where it cannot, software decodes, and [`Analysis::decoder`] says why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hardware {
    #[default]
    None,
    /// Whatever this machine has.
    Auto,
    /// Intel and AMD on Linux.
    Vaapi,
    /// NVIDIA (NVDEC).
    Cuda,
    /// Apple.
    Videotoolbox,
}

impl Hardware {
    /// The name in the configuration and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Auto => "auto",
            Self::Vaapi => "vaapi",
            Self::Cuda => "cuda",
            Self::Videotoolbox => "videotoolbox",
        }
    }
}

impl std::str::FromStr for Hardware {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::None, Self::Auto, Self::Vaapi, Self::Cuda, Self::Videotoolbox];
        all.into_iter()
            .find(|hardware| hardware.name() == text)
            .ok_or_else(|| format!("{text:?} is no hardware decoder (none, auto, vaapi, cuda, videotoolbox)"))
    }
}

/// What the daemon asks of a media worker about one whole video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnalyseRequest {
    pub image: ImageSpec,
    pub detector: Detector,
    #[serde(default)]
    pub mode: SceneMode,
    /// Only keyframes are decoded, by one thread, whatever `mode` says: for films on which more of the decoder's code failed.
    #[serde(default)]
    pub keyframes_only: bool,
    /// A take is divided at the latest after this long while its picture moves; a still picture is not. Milliseconds.
    pub max_scene_ms: u64,
    /// Longer side of a scene's thumbnail. Pixels; 0 = no thumbnails.
    pub thumbnail_px: u32,
    /// Shorter side of the keyframe pictures. Pixels; 0 = no keyframe pictures.
    pub keyframe_px: u32,
    /// Decoder threads; 0 = one for each core allowed.
    pub threads: u32,
    #[serde(default)]
    pub hardware: Hardware,
    /// File name, for messages only; the worker never opens it.
    pub label: String,
}

/// A picture asked for by `similar`: a still image or one moment of a video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PictureRequest {
    pub image: ImageSpec,
    /// Moment wanted, milliseconds; `None` takes the first picture of an image, or the middle of a video.
    pub at_ms: Option<u64>,
    /// The file's time stamps do not say where the moment is: it is counted to from the beginning.
    #[serde(default)]
    pub clock_is_odd: bool,
    pub label: String,
}

/// What the daemon asks of a media worker about the keyframe pictures of one video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyframesRequest {
    pub image: ImageSpec,
    /// File name, for messages only.
    pub label: String,
}

/// What is asked of a media worker for a film's thumbnail: the one frame that tells most about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PosterRequest {
    /// Longest side of the picture; a smaller film is not enlarged. Pixels.
    pub longer_px: u32,
    /// File name, for messages only.
    pub label: String,
}

/// The frame that tells most about a film. **Shape**: `rgb` is `[height, width, 3]` u8, upright and with square pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poster {
    pub time_ms: u64,
    pub width_px: u32,
    pub height_px: u32,
    pub rgb: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// `video`, `audio`, `subtitle`, `data`, `attachment`.
    pub kind: String,
    pub codec: String,
    /// Only for video: as stored, before rotation.
    pub width_px: u32,
    pub height_px: u32,
    /// Degrees clockwise that a player turns the picture.
    pub rotation: i32,
    /// Frames a second; 0 = unknown.
    pub fps: f64,
    /// The stream that is analysed.
    pub chosen: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub container: String,
    /// 0 when the file does not say; [`Analysis::duration_ms`] knows better after decoding.
    pub duration_ms: u64,
    pub streams: Vec<StreamInfo>,
}

/// One scene, as soon as it is complete.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundScene {
    pub span: Span,
    pub boundary: Boundary,
    /// Sampled frames in order of time, at the size asked for; never empty. Those of one moment have the same time.
    pub frames: Vec<Frame>,
    /// JPEG; empty when none was asked for.
    pub thumbnail: Vec<u8>,
    /// The sampled frames whole, as they are kept for other models; empty when none were asked for or one could not be made.
    pub keyframes: Vec<Keyframe>,
}

/// What a worker tells while it works. Scenes come in order of time.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    Probed(Probe),
    SceneFound(FoundScene),
    /// How far decoding has come. Milliseconds.
    Progressed {
        position_ms: u64,
    },
}

/// Wall time of each stage, for `scened inspect` and benchmarks. Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTimes {
    pub open_ms: f64,
    pub decode_ms: f64,
    pub scale_ms: f64,
    pub detect_ms: f64,
    pub sample_ms: f64,
    pub thumbnail_ms: f64,
    pub total_ms: f64,
}

/// What of a film was decoded, and why.
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
    pub n_scenes: u64,
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
    pub times: StageTimes,
}

/// Why a file gives nothing. Only a worker that was ready, got the video and failed in it can lay it to the video: `Unusable`,
/// `WorkerDied`, `TimedOut` and `Protocol`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MediaError {
    /// The file itself: empty, no picture, unknown codec, encrypted… The text is written for the user.
    #[error("{reason}")]
    Unusable { reason: String },
    /// The worker died: signal, exit code, out of memory.
    #[error("the media worker died: {detail}")]
    WorkerDied { detail: String },
    /// No progress within the limit.
    #[error("no progress for {seconds} s")]
    TimedOut { seconds: u64 },
    /// The worker said something the protocol does not allow.
    #[error("the media worker broke the protocol: {detail}")]
    Protocol { detail: String },
    /// The worker could not be started; the file is not to blame.
    #[error("cannot start the media worker {program}: {source_text}")]
    Start { program: String, source_text: String },
    /// The worker failed before it had read anything of the video: its libraries, its memory, its version.
    #[error("the media worker cannot work: {detail}")]
    NotReady { detail: String },
    /// Somebody else ended the worker: the system that was out of memory, or an administrator.
    #[error("the media worker was ended from outside: {detail}")]
    Killed { detail: String },
    /// The system did not let the video be read.
    #[error("cannot be read: {}", std::io::Error::from_raw_os_error(*errno))]
    Unread { errno: i32 },
    /// The machine was short of something while the video was decoded.
    #[error("{reason} (the machine was short of threads, memory or descriptors)")]
    Short { reason: String },
    /// The worker cannot be shut into its sandbox, and was not allowed to do without; the file is not to blame.
    #[error("no film is decoded without a sandbox: {reason}")]
    Unsandboxed { reason: String },
    #[error("cancelled")]
    Cancelled,
}

impl MediaError {
    /// The same, met before the worker had read anything of the video, and so nothing that the video did.
    #[must_use]
    fn before_the_video(self) -> Self {
        match self {
            Self::WorkerDied { .. } | Self::TimedOut { .. } | Self::Protocol { .. } | Self::Killed { .. } => {
                Self::NotReady { detail: self.to_string() }
            }
            other => other,
        }
    }
}

/// Set by another thread (pause, shutdown, the file changed); an analysis notices within a tenth of a second.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The seam between the pipeline and decoding: the real worker, or scripted frames in tests.
pub trait FrameSource: Send + Sync {
    /// Analyses one video, calling `sink` for each event in order on the calling thread; blocks until done.
    /// `ControlFlow::Break` from the sink cancels.
    fn analyse(
        &self,
        film: File,
        request: &AnalyseRequest,
        cancel: &Cancel,
        sink: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<Analysis, MediaError>;

    /// Makes a model's frames of the keyframe pictures in `keyframes` ([`keyframes::Keyframes::open`]), calling `sink` with each scene,
    /// without thumbnail and keyframes; blocks until done and gives the number of scenes.
    ///
    /// **Errors**: [`MediaError::Unusable`] when the file is damaged.
    fn replay(
        &self,
        keyframes: File,
        request: &KeyframesRequest,
        cancel: &Cancel,
        sink: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<u64, MediaError>;

    /// Decodes a video that is known to be good: whether a worker works here and now. Blocks.
    ///
    /// **Errors**: what a worker fails with that no video is to blame for.
    fn prove(&self, _threads: u32) -> Result<(), MediaError> {
        Ok(())
    }

    /// Decodes one moment, in as many pictures as the model is shown of it (at least one, all with the same time); blocks.
    fn picture(&self, film: File, request: &PictureRequest, cancel: &Cancel) -> Result<Vec<Frame>, MediaError>;
}
