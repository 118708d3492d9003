//! Groups of pictures (GOPs), decoded in parallel, and in fast mode only if a shot may begin in them.
//!
//! First the packets are surveyed ([`survey`]). The distances between keyframes show what kind of file it is, and whether each GOP can be
//! decoded on its own. Exact mode then decodes all of them. Fast mode decodes the keyframes. For each GOP the surrounding keyframes and the
//! sizes of its packets show whether a shot may begin in it ([`skip`]). Only such GOPs are decoded whole, and their frames go to the shot
//! detector.
//!
//! This thread reads the file and distributes GOPs. Threads with their own decoders ([`pool`]) turn them into glimpses, and their results
//! are collected in order. All queues are bounded, by the number of GOPs and by the size of their packets.

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

/// A decoded frame.
pub(crate) struct DecodedFrame {
    pub(crate) shown: FrameTime,
    pub(crate) glimpse: Glimpse,
    /// Kept for some frames only: a picture is a thousand times larger than its glimpse.
    pub(crate) frame: Option<Video>,
}

/// What is reported, in the order of the video.
pub(crate) enum GopEvent {
    Frame(Box<DecodedFrame>),
    Found(Found),
    /// No boundary that begins before this time will be reported any more.
    Settled(i64),
}

/// Result of decoding in GOPs, besides the pictures.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) n_gops: u64,
    /// GOPs of which more than the keyframe was decoded.
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
