//! The cascade: finds scenes without decoding every frame, and decodes groups of pictures (GOPs) side by side.
//!
//! First the packets are surveyed: how the keyframes lie tells what kind of file it is, and whether the shortcut is safe
//! ([`survey`]). Then the keyframes are decoded, and for each GOP the keyframes around it and the sizes of its packets say whether
//! a shot may begin in it ([`judge`]). Only such GOPs are decoded whole, and the shot detector looks at their frames.
//!
//! This thread reads the file and gives out GOPs; threads with decoders of their own ([`pool`]) turn them into glimpses; what they
//! found is taken back in order. All queues are bounded, by the number of GOPs and by what their packets hold.

mod cascade;
mod gops;
mod judge;
mod odds;
mod pool;
#[cfg(feature = "examples")]
pub mod rows;
mod survey;

use ffmpeg_next::frame::Video;

use super::film::Shown;
use super::glimpse::Glimpse;
use super::scale::ScaleError;
use super::shots::Found;

pub(crate) use cascade::run;
pub(crate) use survey::{Kind, Verdict, survey};

/// A frame that was decoded.
pub(crate) struct Seen {
    pub(crate) shown: Shown,
    pub(crate) glimpse: Glimpse,
    /// Kept of some frames only: a picture is a thousand times larger than its glimpse.
    pub(crate) frame: Option<Video>,
}

/// What the cascade tells, in the order of the film.
pub(crate) enum Told {
    Frame(Box<Seen>),
    Found(Found),
    /// No boundary will be told any more that begins before this time.
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
