//! Looks into videos: what a video is made of, where its scenes are, and a few frames of each.
//!
//! Decoding happens in `scened-worker media`, one process a video, because media is hostile input. This module owns the
//! daemon's half: the [`FrameSource`] seam, the worker's life, and checks of what it says ([`scened_common::media`] has the words).
//! It knows neither store nor models.

pub mod ffmpeg;
pub mod keyframes;
pub mod process;

use std::fs::File;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use scened_common::domain::{Boundary, Frame, Span};
pub use scened_common::media::answer::{Analysis, DecodePlan, Probe, StageTimes, StreamInfo};
pub use scened_common::media::keyframe_file::Keyframe;
pub use scened_common::media::request::{AnalyseRequest, Detector, Hardware, KeyframesRequest, PictureRequest, PosterRequest, SceneMode};

pub use process::MediaProcess;

/// The frame that tells most about a video. **Shape**: `rgb` is `[height, width, 3]` u8, upright and with square pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poster {
    pub time_ms: u64,
    pub width_px: u32,
    pub height_px: u32,
    pub rgb: Vec<u8>,
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
    #[error("no video is decoded without a sandbox: {reason}")]
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
        video: File,
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
    fn picture(&self, video: File, request: &PictureRequest, cancel: &Cancel) -> Result<Vec<Frame>, MediaError>;
}
