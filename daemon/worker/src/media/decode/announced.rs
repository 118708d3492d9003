//! How long a picture is meant to be. This serves only to decide whether all of it is there.
//!
//! A container's length is often that of its longest track, or was a plan. A video counts as short only if something says so about its
//! picture: its track, its index, or a file that ends early.

use ffmpeg_next::format::context::Input;

use super::clock::to_us;
use super::extent::Extent;
use super::lengths;
use super::track::Track;

/// A video that ends this much before its promised end is worth reporting: a fraction of the promise, and a minimum time.
pub(crate) const SHORT_FRACTION: f64 = 0.05;
pub(crate) const SHORT_US: i64 = 2_000_000;

/// A file with fewer bytes for each second of its claimed length cannot last that long.
const MIN_BYTES_PER_SECOND: i64 = 50;

/// The intended length of the picture, according to every source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced {
    pub(super) extent: Extent,
    /// The stream's own duration. Microseconds, as all below.
    pub(super) own_us: Option<i64>,
    /// Time of the stream's last picture in the index.
    pub(super) indexed_us: Option<i64>,
    /// From the number of frames in the header of an AVI file, which is written before the first frame.
    pub(super) planned_us: Option<i64>,
    /// The duration of the container: of its longest track, or a plan.
    pub(super) container_us: Option<i64>,
    pub(super) is_avi: bool,
    /// FFmpeg's duration for the stream, or a plan; good enough as a seek target.
    aimed_at_us: Option<i64>,
}

impl Announced {
    /// Collects what is stated about a stream whose times begin at `origin_us`.
    pub(super) fn of(input: &mut Input, extent: Extent, track: &Track, origin_us: i64) -> Self {
        let stream = input.stream(track.stream).expect("the stream was just chosen");
        let is_avi = input.format().name() == "avi";
        // FFmpeg shortens the duration of an AVI file to the data that is there. The number of its frames remains the intended one.
        let planned_us = track
            .rate
            .filter(|_| is_avi)
            .map(|rate| (stream.frames() as f64 / rate * 1e6) as i64);
        let duration = Some(stream.duration()).filter(|duration| *duration > 0);
        Self {
            extent,
            own_us: lengths::own_duration_us(input, track.stream),
            planned_us,
            container_us: lengths::container_duration_us(input),
            is_avi,
            aimed_at_us: duration.map(|duration| to_us(duration, track.time_base)).max(planned_us),
            indexed_us: lengths::indexed_us(input, track.stream, origin_us),
        }
    }

    /// Returns the length that the file claims for its picture, unless it cannot be true. `container_ms`: FFmpeg's duration of the
    /// container.
    pub(super) fn claimed_us(&self, container_ms: u64, file_bytes: i64) -> Option<i64> {
        let of_container = (container_ms > 0).then_some(container_ms as i64 * 1000);
        self.aimed_at_us.or(of_container).filter(|us| is_possible(*us, file_bytes))
    }

    pub(super) fn rests_on_the_container(&self) -> bool {
        self.own_us.is_none() && self.container_us.is_some()
    }

    /// Returns the intended length of the picture, unless it cannot be true.
    ///
    /// **Invariant**: ignores claims that only other tracks or plans make. The exception is the frame count of an AVI file that is
    /// incomplete.
    pub(super) fn promised_us(&self, file_bytes: i64, read_to: i64, others_end_us: i64) -> Option<i64> {
        let promised_us = self.meant_us(file_bytes, read_to, others_end_us);
        promised_us.filter(|us| is_possible(*us, file_bytes))
    }

    fn meant_us(&self, file_bytes: i64, read_to: i64, others_end_us: i64) -> Option<i64> {
        let is_whole = self.extent.is_whole(file_bytes);
        if self.is_avi {
            return match is_whole {
                // The index is written when a video is complete, so it lists everything there ever was.
                Some(true) if self.extent.has_index => self.indexed_us,
                Some(true) if !self.extent.says_index => None,
                _ => self.planned_us.max(self.own_us),
            };
        }
        let container_us = self.container_us.filter(|claimed| {
            let least = claimed - SHORT_US.max((*claimed as f64 * SHORT_FRACTION) as i64);
            // Another track may be this long.
            let is_anothers = others_end_us >= least;
            // Or no track is: the file has all its bytes, and they were read to the end. The bytes behind are an index.
            let behind = file_bytes.saturating_sub(read_to);
            let is_a_plan = is_whole == Some(true) && behind <= file_bytes / 10 + 4096;
            !is_anothers && !is_a_plan
        });
        self.own_us.or(container_us).max(self.indexed_us)
    }
}

fn is_possible(us: i64, file_bytes: i64) -> bool {
    us / 1_000_000 <= (file_bytes / MIN_BYTES_PER_SECOND).max(60)
}
