//! Timelines for editing programs: hits one after the other, as an EDL (CMX 3600) or as OpenTimelineIO.

pub(crate) mod edl;
pub(crate) mod otio;
pub(crate) mod rate;

use crate::moment::Moment;
use rate::{Rate, Timecode};

/// A moment with what its film says of its own clock.
#[derive(Clone, Debug)]
pub(crate) struct Shot<'a> {
    pub(crate) moment: &'a Moment,
    /// Frames a second of the film.
    pub(crate) rate: Rate,
    /// What its first frame is called, where the camera wrote that down.
    pub(crate) first: Option<Timecode>,
}
