//! Timelines for editing programs: hits one after the other, as an EDL (CMX 3600) or as OpenTimelineIO.

pub mod edl;
pub mod otio;
pub mod rate;

use crate::moment::Moment;
use rate::{Rate, Timecode};

/// A moment with what its video says of its own clock.
#[derive(Clone, Debug)]
pub struct Shot<'a> {
    /// Which moment.
    pub moment: &'a Moment,
    /// Frames a second of the video.
    pub rate: Rate,
    /// What its first frame is called, where the camera wrote that down.
    pub first: Option<Timecode>,
}
