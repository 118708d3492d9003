//! Timelines for editing programs: hits in sequence, as an EDL (CMX 3600) or as OpenTimelineIO.

pub mod edl;
pub mod otio;
pub mod rate;

use crate::moment::Moment;
use rate::{Rate, Timecode};

/// A moment, with what its video says about its own clock.
#[derive(Clone, Debug)]
pub struct Shot<'a> {
    /// The moment itself.
    pub moment: &'a Moment,
    /// The video's frame rate.
    pub rate: Rate,
    /// Timecode of its first frame, if the camera recorded one.
    pub first: Option<Timecode>,
}
