//! Groups of pictures (GOPs): decoded side by side, and in fast mode only where a shot may begin.
//!
//! First the packets are surveyed: how the keyframes lie tells what kind of file it is, and whether GOPs can be decoded each by itself
//! ([`survey`]). Exact mode then has all of them decoded. Fast mode has the keyframes decoded, and for each GOP the keyframes around it and
//! the sizes of its packets say whether a shot may begin in it ([`skip`]). Only such GOPs are decoded whole, and the shot detector looks at
//! their frames.
//!
//! This thread reads the file and gives out GOPs; threads with decoders of their own ([`pool`]) turn them into glimpses; what they
//! found is taken back in order. All queues are bounded, by the number of GOPs and by what their packets hold.

mod cascade;
mod group;
mod pool;
#[cfg(feature = "examples")]
pub mod rows;
mod skip;
mod survey;

use ffmpeg_next::frame::Video;
use scened_shots::Found;

use super::clock::FrameTime;
use crate::media::pixels::glimpse::Glimpse;
use crate::media::pixels::scale::ScaleError;

pub(crate) use cascade::run;
pub(crate) use survey::{Kind, Verdict, survey};

/// A frame that was decoded.
pub(crate) struct DecodedFrame {
    pub(crate) shown: FrameTime,
    pub(crate) glimpse: Glimpse,
    /// FrameRef of some frames only: a picture is a thousand times larger than its glimpse.
    pub(crate) frame: Option<Video>,
}

/// What is reported, in the order of the video.
pub(crate) enum GopEvent {
    Frame(Box<DecodedFrame>),
    Found(Found),
    /// No boundary will be reported any more that begins before this time.
    Settled(i64),
}

/// What decoding in GOPs gave besides its pictures.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) n_gops: u64,
    /// Those of which more than the keyframe was decoded.
    pub(crate) n_gops_decoded: u64,
    pub(crate) n_unscaled: u64,
    pub(crate) last_error: Option<ScaleError>,
    /// Processor time of all threads. Milliseconds.
    pub(crate) decode_ms: f64,
    pub(crate) scale_ms: f64,
    pub(crate) detect_ms: f64,
    /// End of the last packet's picture. Microseconds.
    pub(crate) end_us: i64,
}
