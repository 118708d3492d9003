//! When each picture of a video is shown: its clock, and the repair of stamps that are not continuous.
//!
//! Does not know the file. If all its stamps must be read, the caller reads them.

use ffmpeg_next::Packet;
use ffmpeg_next::frame::Video;
use scened_common::domain::PictureTrack;

use super::clock::{Clock, FrameTime, MAX_STEP_US};
use super::packets::PacketReader;
use super::timeline::{Follows, Mended, Tick, Timeline, Watch};
use super::track::Track;

/// A frame stamped too early by less than this is shown with the one before it. Microseconds.
pub(super) const MAX_JITTER_US: i64 = 1_000_000;

/// The stamps of the picture.
pub(super) struct Stamps {
    clock: Clock,
    /// Number of packets of the picture read since the beginning; `None` without a clock, and after a seek.
    number: Option<u64>,
    watch: Watch,
    /// How to repair the stamps; `None` while nothing is wrong with them.
    timeline: Option<Timeline>,
    /// The last frame.
    last: Option<FrameTime>,
}

impl Stamps {
    /// Creates the stamps of a picture. `is_counted`: reading begins with the first packet of a file that has a clock.
    pub(super) fn new(clock: Clock, is_counted: bool) -> Self {
        Self {
            clock,
            number: is_counted.then_some(0),
            watch: Watch::default(),
            timeline: None,
            last: None,
        }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Uses the time units of a track from here on.
    pub(super) fn follow(&mut self, track: &Track) {
        self.clock = self.clock.of_stream(track.time_base, track.frame_us());
    }

    /// Returns the frame shown last.
    pub(super) fn last(&self) -> Option<FrameTime> {
        self.last
    }

    /// Forgets the last stamps, because reading continues elsewhere in the file.
    pub(super) fn start_over(&mut self) {
        self.number = None;
        self.watch = Watch::default();
        self.last = None;
    }

    /// Starts counting: the next packet is the file's first.
    pub(super) fn count_from_the_first(&mut self, has_clock: bool) {
        self.number = has_clock.then_some(0);
    }

    /// Leaves the stamps unchanged from here on.
    pub(super) fn stop_counting(&mut self) {
        self.number = None;
    }

    /// Returns the clock data of a packet of the picture, or `None` if it has no stamp.
    pub(super) fn tick(&self, packet: &Packet, stream: usize) -> Option<Tick> {
        let stamp = packet.pts().or(packet.dts())?;
        Some(Tick {
            time_us: self.clock.time_us(stamp),
            duration_us: self.clock.duration_us(packet.duration()),
            is_key: packet.is_key(),
            offset_bytes: u64::try_from(packet.position()).unwrap_or(0),
            stream: stream as u32,
        })
    }

    /// Checks a packet of the picture that was just read. Returns whether all stamps of the file must be read before this packet is
    /// repaired, because its own stamp does not follow those before it.
    pub(super) fn needs_timeline(&mut self, packet: &Packet, stream: usize, reader: &mut PacketReader) -> bool {
        self.number.is_some() && self.timeline.is_none() && !self.follows(packet, stream, reader)
    }

    fn follows(&mut self, packet: &Packet, stream: usize, reader: &mut PacketReader) -> bool {
        let Some(tick) = self.tick(packet, stream) else { return true };
        let before = self.watch;
        match self.watch.follows(tick) {
            Follows::Well => true,
            Follows::Not => false,
            Follows::Later => {
                reader.read_ahead();
                let own = reader.waiting().filter(|packet| packet.stream() == stream);
                let mut next = own.filter_map(|packet| self.tick(packet, stream));
                !next.any(|tick| Watch::comes_back(before, tick))
            }
        }
    }

    /// Repairs stamps by this timeline, made from all stamps of the file.
    pub(super) fn mend_by(&mut self, timeline: Timeline) {
        self.timeline = Some(timeline);
    }

    /// Repairs the time of a packet of the picture that was just read.
    pub(super) fn mend(&mut self, packet: &mut Packet) {
        let Some(number) = self.number else { return };
        self.number = Some(number + 1);
        match self.timeline.as_ref().map(|timeline| timeline.mended(number)) {
            None | Some(Mended::Moved { by_us: 0 }) => {}
            Some(Mended::Moved { by_us }) => {
                let by = self.clock.units(by_us);
                let (pts, dts) = (packet.pts(), packet.dts());
                packet.set_pts(pts.map(|stamp| stamp.saturating_add(by)));
                packet.set_dts(dts.map(|stamp| stamp.saturating_add(by)));
            }
            Some(Mended::Gone) => {
                packet.set_pts(None);
                packet.set_dts(None);
            }
        }
    }

    /// Returns whether the stamps of the file are right, as far as it was read.
    pub(super) fn are_plain(&self) -> bool {
        self.timeline.as_ref().is_none_or(Timeline::is_plain)
    }

    /// Adds the positions of times in the file to the description of the picture.
    pub(super) fn note_on(&self, picture: &PictureTrack) -> PictureTrack {
        PictureTrack {
            clock: self.timeline.as_ref().map_or_else(Vec::new, Timeline::clock_parts),
            wrong: self.timeline.as_ref().map_or_else(Vec::new, Timeline::wrong),
            ..picture.clone()
        }
    }

    /// Returns whether stamps are repaired, packet by packet.
    fn are_mended(&self) -> bool {
        self.timeline.is_some() && self.number.is_some()
    }

    /// Returns when a frame is shown. Times never go back; a frame without one follows the frame before.
    pub(super) fn shown(&mut self, frame: &Video) -> FrameTime {
        let expected = self.last.map_or(0, |last| last.end_us);
        // FFmpeg's own guess falls back to decoding times once something was wrong.
        let stamp = if self.are_mended() { frame.pts() } else { frame.timestamp() };
        let mut start_us = stamp.map_or(expected, |stamp| self.clock.time_us(stamp));
        if let Some(last) = self.last
            && (start_us < last.start_us || start_us - last.start_us > MAX_STEP_US)
        {
            if self.are_mended() || (0..MAX_JITTER_US).contains(&(last.start_us - start_us)) {
                start_us = expected.min(last.start_us.max(start_us));
            } else {
                // The clock jumped: the stamps from here on count from the current time.
                self.clock = self.clock.put_off(start_us.saturating_sub(expected));
                start_us = expected;
            }
        }
        let start_us = start_us.max(0);
        let shown = FrameTime {
            start_us,
            end_us: start_us + self.clock.duration_us(frame.packet().duration),
        };
        self.last = Some(shown);
        shown
    }
}
