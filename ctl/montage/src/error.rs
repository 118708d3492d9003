//! Why no video of clips was made.

use std::path::PathBuf;

use scened_shared::terminal;

use crate::ffmpeg::FfmpegError;
use crate::output_file::OutputError;
use crate::time;

/// Why no video of clips was made. Each message says what; its causes are in the fields.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It may not be written where it was to be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// FFmpeg is not there, or cannot read one of the videos, or was interrupted.
    #[error(transparent)]
    Ffmpeg(#[from] FfmpegError),
    /// A clip begins behind the end of its video.
    #[error("{} ends before {}", terminal::path(video, None), time::exact(*start_ms))]
    BehindEnd {
        /// Whose end.
        video: PathBuf,
        /// Where the clip was to begin.
        start_ms: u64,
        /// How long the video is.
        video_ms: u64,
    },
    /// Clips have to be encoded again, and this FFmpeg cannot do that.
    #[error("this FFmpeg has no encoder for {what}")]
    NoEncoder {
        /// A container, `sound` or `HDR`.
        what: &'static str,
    },
    /// Clips with and without HDR were to be joined.
    #[error("videos with and without HDR cannot be joined without wrong colours")]
    MixedColours {
        /// One that differs from the first.
        video: PathBuf,
    },
    /// FFmpeg failed while it cut or joined.
    #[error("{} cannot be written", terminal::path(output, None))]
    NotWritten {
        /// What was to be written, as it was named.
        output: PathBuf,
        /// Whether it was being encoded; else packets were copied.
        is_encoded: bool,
        /// What FFmpeg met with.
        source: FfmpegError,
    },
    /// FFmpeg is content with a stretch in which there is nothing.
    #[error("{} was not written: the video has no picture at that time", terminal::path(output, None))]
    Empty {
        /// What was to be written, as it was named.
        output: PathBuf,
    },
}
