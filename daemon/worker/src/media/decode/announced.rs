//! How long a picture is meant to be, for the one question whether all of it is there.
//!
//! A container's length is often that of its longest track, or was a plan. A film is short only where something says so of its picture:
//! its track, its index, or a file that ends before it should.

use super::extent::Extent;

/// A film that ends this much before its promised end is worth a word: a fraction of the promise, and a least time.
pub(crate) const SHORT_FRACTION: f64 = 0.05;
pub(crate) const SHORT_US: i64 = 2_000_000;

/// How long the picture is meant to be, by everything that says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced {
    pub(super) extent: Extent,
    /// The stream's own duration. Microseconds, as all below.
    pub(super) own_us: Option<i64>,
    /// When the index's last picture of the stream is shown.
    pub(super) indexed_us: Option<i64>,
    /// The number of frames in the header of an AVI file, which is written before the first of them.
    pub(super) planned_us: Option<i64>,
    /// The duration of the container: of its longest track, or a plan.
    pub(super) container_us: Option<i64>,
    pub(super) is_avi: bool,
}

impl Announced {
    pub(super) fn rests_on_the_container(&self) -> bool {
        self.own_us.is_none() && self.container_us.is_some()
    }

    /// **Invariant**: says nothing about the picture that only other tracks, or plans, say.
    pub(super) fn promised_us(&self, file_bytes: i64, read_to: i64, others_end_us: i64) -> Option<i64> {
        let is_whole = self.extent.is_whole(file_bytes);
        if self.is_avi {
            return match is_whole {
                // The index is written when a film is complete: what it has is all there ever was.
                Some(true) if self.extent.has_index => self.indexed_us,
                Some(true) if !self.extent.says_index => None,
                _ => self.planned_us.max(self.own_us),
            };
        }
        let container_us = self.container_us.filter(|claimed| {
            let least = claimed - SHORT_US.max((*claimed as f64 * SHORT_FRACTION) as i64);
            // It may be another track that is so long.
            let is_anothers = others_end_us >= least;
            // Or nothing: the file has all its bytes, and they were read to the end. What stands behind is an index.
            let behind = file_bytes.saturating_sub(read_to);
            let is_a_plan = is_whole == Some(true) && behind <= file_bytes / 10 + 4096;
            !is_anothers && !is_a_plan
        });
        self.own_us.or(container_us).max(self.indexed_us)
    }
}
