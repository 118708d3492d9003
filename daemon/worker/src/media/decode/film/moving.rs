//! Going where the picture goes: from one stream to another, or to another codec.

use ffmpeg_next::Discard;
use ffmpeg_next::frame::Video;

use super::{Film, Read, Step, Unfollowed};
use crate::media::decode::allowed::Allowed;
use crate::media::decode::clock::to_us;
use crate::media::decode::decoders;
use crate::media::decode::follow::{Met, Moved};
use crate::media::decode::index;
use crate::media::decode::properties;
use crate::media::decode::streams;
use crate::media::decode::track::{Note, Track};
use crate::media::ended::Unusable;

/// A film whose picture moves from stream to stream more often is no film.
const MAX_MOVES: u32 = 1000;
/// No decoder holds pictures back for longer. Microseconds.
pub(super) const DELAY_US: i64 = 5_000_000;

impl Film {
    /// The decoder has given everything: the film ends, or goes on elsewhere.
    pub(super) fn drained(&mut self) -> Step {
        if !self.drain.for_move {
            let doubted = std::mem::take(&mut self.drain.in_doubt);
            if self.goes_on_anew() {
                return Step::Packet;
            }
            if doubted {
                self.drain.begun = false;
                self.decoder.flush();
                return Step::Packet;
            }
            return Step::End;
        }
        self.drain.for_move = false;
        self.drain.begun = false;
        self.open_followed();
        Step::Packet
    }

    /// Opens a decoder for the stream that is followed now.
    pub(super) fn open_followed(&mut self) {
        let number = self.track;
        self.follow(number);
        let Some(stream) = self.input.stream(self.tracks[number].stream) else {
            return;
        };
        match decoders::open_in_software(&stream, self.threads, &self.allowed) {
            Ok(decoder) => {
                self.decoder = decoder;
                self.device = None;
                self.decoded_track = number;
                if self.spares_filtering {
                    self.spare_filtering();
                }
                if self.keyframes_to_us.is_some() {
                    self.decoder.skip_frame(Discard::NonKey);
                }
            }
            Err(Unusable(reason)) => {
                self.track = self.decoded_track;
                self.follow(self.track);
                self.decoder.flush();
                self.pushed_back.clear();
                self.leave_alone(self.tracks[number].stream, reason);
            }
        }
    }

    /// Takes the packets of one of the tracks from here on, by its clock.
    pub(super) fn follow(&mut self, number: usize) {
        self.track = number;
        let track = &self.tracks[number];
        self.clock = self.clock.of_stream(track.time_base, track.frame_us());
    }

    pub(super) fn track_of(&self, frame: &Video) -> &Track {
        self.tracks.get(Note::of(frame).track).unwrap_or(&self.tracks[0])
    }

    /// Whether the picture moved to another stream, followed or not.
    pub(crate) fn has_moved(&self) -> bool {
        self.n_moves > 0 || !self.unfollowed.is_empty()
    }

    /// The streams that the picture went to and that were not followed.
    pub(crate) fn unfollowed(&self) -> &[Unfollowed] {
        &self.unfollowed
    }

    /// Notes that a stream that the picture went to is not followed.
    pub(super) fn leave_alone(&mut self, stream: usize, reason: String) {
        self.follower.bar(stream);
        // The decoder still holds a few of the pictures before.
        let shown_us = self.last.map_or(0, |last| last.end_us);
        let is_near = (shown_us..shown_us.saturating_add(DELAY_US)).contains(&self.followed_end_us);
        let from_us = if is_near { self.followed_end_us } else { shown_us };
        self.unfollowed.push(Unfollowed { from_us, reason });
    }

    /// Looks at a packet of a stream that is not followed.
    pub(super) fn look_elsewhere(&mut self) -> Read {
        let Some(stream) = self.input.stream(self.packet.stream()) else {
            return Read::Nothing;
        };
        let time_base = (i64::from(stream.time_base().0), i64::from(stream.time_base().1));
        if let Some(stamp) = self.packet.pts().or(self.packet.dts()) {
            let end_us = to_us(stamp.saturating_add(self.packet.duration().max(0)), time_base).saturating_sub(self.clock.origin_us());
            self.others_end_us = self.others_end_us.max(end_us);
        }
        if !streams::is_film(&stream) {
            return Read::Nothing;
        }
        let followed = self.tracks[self.track].stream;
        let rank = |index: usize| {
            let size = self
                .input
                .stream(index)
                .map_or((false, 0), |stream| streams::rank(&stream, &self.allowed));
            (size, index == self.tracks[0].stream)
        };
        let met = Met {
            stream: stream.index(),
            followed,
            time_us: self.packet.dts().or(self.packet.pts()).map(|stamp| to_us(stamp, time_base)),
            is_better: rank(stream.index()) > rank(followed),
            followed_goes_on: index::goes_on(&mut self.input, followed, self.followed_stamp),
        };
        match self.follower.met_other(&mut self.packet, &met) {
            Some(moved) => self.moved(moved),
            None => Read::Nothing,
        }
    }

    /// Goes where the picture goes, if that can be decoded.
    pub(super) fn moved(&mut self, moved: Moved) -> Read {
        let Some(stream) = self.input.stream(moved.stream) else {
            return Read::Nothing;
        };
        let id = stream.parameters().id();
        let refusal = if self.n_moves >= MAX_MOVES {
            Some("it moved a thousand times before".to_owned())
        } else if self.allowed.decoder(id).is_none() {
            Some(Allowed::why_not(id))
        } else if properties::is_marked_encrypted(&stream) {
            Some("it is encrypted".to_owned())
        } else {
            decoders::check_size(&stream).err().map(|Unusable(reason)| reason)
        };
        let track = Track::of(&stream);
        if let Some(reason) = refusal {
            self.leave_alone(moved.stream, reason);
            return Read::Nothing;
        }
        self.n_moves += 1;
        self.n_packets += moved.packets.len() as u64;
        self.pushed_back.extend(moved.packets);
        self.track = self.number_of(track);
        self.followed_stamp = None;
        Read::Moved
    }

    /// The number of a track, which is new or was met before.
    pub(super) fn number_of(&mut self, track: Track) -> usize {
        let known = self
            .tracks
            .iter()
            .position(|known| (known.stream, known.codec) == (track.stream, track.codec));
        known.unwrap_or_else(|| {
            self.tracks.push(track);
            self.tracks.len() - 1
        })
    }
}
