//! Why no video of clips was made.

use std::path::PathBuf;

use scened_shared::terminal;

use crate::ffmpeg::FfmpegError;
use crate::output_file::OutputError;
use crate::time;

/// Why no video of clips was made. The message says what failed; the fields hold the cause.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The output may not be written there.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// FFmpeg is not installed, cannot read one of the videos, or was interrupted.
    #[error(transparent)]
    Ffmpeg(#[from] FfmpegError),
    /// A clip begins after the end of its video.
    #[error("{} ends before {}", terminal::path(video, None), time::exact(*start_ms))]
    BehindEnd {
        /// The video that is too short.
        video: PathBuf,
        /// Where the clip should begin.
        start_ms: u64,
        /// Length of the video.
        video_ms: u64,
    },
    /// Clips have to be re-encoded, and this FFmpeg has no suitable encoder.
    #[error("this FFmpeg has no encoder for {what}")]
    NoEncoder {
        /// A container, `sound` or `HDR`.
        what: &'static str,
    },
    /// The clips to be joined are partly HDR and partly not.
    #[error("videos with and without HDR cannot be joined without wrong colours")]
    MixedColours {
        /// A video that differs from the first.
        video: PathBuf,
    },
    /// FFmpeg failed while cutting or joining.
    #[error("{} cannot be written", terminal::path(output, None))]
    NotWritten {
        /// The output, as the user named it.
        output: PathBuf,
        /// Whether it was being encoded; otherwise packets were copied.
        is_encoded: bool,
        /// FFmpeg's error.
        source: FfmpegError,
    },
    /// FFmpeg reported no error, although the range contains no picture.
    #[error("{} was not written: the video has no picture at that time", terminal::path(output, None))]
    Empty {
        /// The output, as the user named it.
        output: PathBuf,
    },
}
