//! Reads videos: their streams, their scenes, and a few frames of each scene.
//!
//! Decoding runs in `scened-worker media`, one process per call, because media is hostile input. This module owns the daemon's half: the
//! [`FrameSource`] seam, the worker's lifetime, and checks of its answers. [`scened_common::media`] holds the messages. It knows neither
//! store nor models.

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

/// The most informative frame of a video. **Shape**: `rgb` is `[height, width, 3]` u8, upright and with square pixels.
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
    /// Sampled frames in order of time, at the requested size; never empty. Those of one moment have the same time.
    pub frames: Vec<Frame>,
    /// JPEG; empty if not requested.
    pub thumbnail: Vec<u8>,
    /// The whole sampled frames, as stored for other models. Empty if not requested, or if one could not be made.
    pub keyframes: Vec<Keyframe>,
}

/// An event reported by a running worker. Scenes come in order of time.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    Probed(Probe),
    SceneFound(FoundScene),
    /// Progress of decoding. Milliseconds.
    Progressed {
        position_ms: u64,
    },
}

/// Why a file gives no result. Only a worker that was ready, got the video and then failed can blame the video: with `Unusable`,
/// `WorkerDied`, `TimedOut` and `Protocol`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MediaError {
    /// The file itself is at fault: empty, no picture, unknown codec, encrypted… The text is written for the user.
    #[error("{reason}")]
    Unusable { reason: String },
    /// The worker died: signal, exit code, out of memory.
    #[error("the media worker died: {detail}")]
    WorkerDied { detail: String },
    /// No progress within the limit.
    #[error("no progress for {seconds} s")]
    TimedOut { seconds: u64 },
    /// The worker sent something that the protocol does not allow.
    #[error("the media worker broke the protocol: {detail}")]
    Protocol { detail: String },
    /// The worker could not be started; the file is not at fault.
    #[error("cannot start the media worker {program}: {source_text}")]
    Start { program: String, source_text: String },
    /// The worker failed before it had read anything of the video: its libraries, its memory, its version.
    #[error("the media worker cannot work: {detail}")]
    NotReady { detail: String },
    /// The worker was ended from outside: by the system when out of memory, or by an administrator.
    #[error("the media worker was ended from outside: {detail}")]
    Killed { detail: String },
    /// The system could not read the video.
    #[error("cannot be read: {}", std::io::Error::from_raw_os_error(*errno))]
    Unread { errno: i32 },
    /// The machine lacked some resource while the video was decoded.
    #[error("{reason} (the machine was short of threads, memory or descriptors)")]
    Short { reason: String },
    /// The worker cannot enter its sandbox, and must not run without one; the file is not at fault.
    #[error("no video is decoded without a sandbox: {reason}")]
    Unsandboxed { reason: String },
    #[error("cancelled")]
    Cancelled,
}

impl MediaError {
    /// Converts an error that came before the worker had read anything of the video, and so is not the video's fault.
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

/// A flag set by another thread (pause, shutdown, the file changed). An analysis notices it within a tenth of a second.
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
    /// Analyses one video. Calls `sink` for each event in order on the calling thread; blocks until done. `ControlFlow::Break` from the
    /// sink cancels.
    fn analyse(
        &self,
        video: File,
        request: &AnalyseRequest,
        cancel: &Cancel,
        sink: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<Analysis, MediaError>;

    /// Makes a model's frames from the keyframe pictures in `keyframes` ([`keyframes::Keyframes::open`]). Calls `sink` with each scene,
    /// without thumbnail and keyframes. Blocks until done, and returns the number of scenes.
    ///
    /// **Errors**: [`MediaError::Unusable`] if the file is damaged.
    fn replay(
        &self,
        keyframes: File,
        request: &KeyframesRequest,
        cancel: &Cancel,
        sink: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<u64, MediaError>;

    /// Decodes a video that is known to be good, to show whether workers function here and now. Blocks.
    ///
    /// **Errors**: failures of a worker that are not the fault of a video.
    fn prove(&self, _threads: u32) -> Result<(), MediaError> {
        Ok(())
    }

    /// Decodes one moment into as many pictures as the model needs of it (at least one, all with the same time). Blocks.
    fn picture(&self, video: File, request: &PictureRequest, cancel: &Cancel) -> Result<Vec<Frame>, MediaError>;
}
