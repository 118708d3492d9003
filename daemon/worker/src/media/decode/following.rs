//! Which stream of a file the picture is in, and which stream it is decoded from: the tracks, and moving from one to another.
//!
//! Reads nothing and decodes nothing. [`follow`](super::follow) decides how long to wait.

use ffmpeg_next::format::context::Input;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Packet, Stream};

use super::allowed::Allowed;
use super::clock::{Clock, FrameTime, to_us};
use super::follow::{Follower, Met, Moved};
use super::track::{Note, Track, Viewer};
use super::{decoders, index, properties, streams};
use crate::media::ended::Unusable;

/// Limit of moves; a file whose picture moves from stream to stream more often is not a video.
const MAX_MOVES: u32 = 1000;
/// No decoder holds pictures back for longer. Microseconds.
const DELAY_US: i64 = 5_000_000;

/// A stream that the picture moved to and that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfollowed {
    /// Time from which the picture is there. Microseconds.
    pub(crate) from_us: i64,
    /// The reason why it cannot be followed, in words.
    pub(crate) reason: String,
}

/// State of the picture's position among the streams.
pub(super) struct Following {
    /// The streams that the picture was in so far, never empty, and which of them is followed and which decoded.
    tracks: Vec<Track>,
    followed: usize,
    decoded: usize,
    follower: Follower,
    n_moves: u32,
    unfollowed: Vec<Unfollowed>,
    /// Time stamp of the last packet of the followed stream.
    last_stamp: Option<i64>,
    /// End of the picture of the packet shown last. Microseconds.
    end_us: i64,
    /// End of the tracks that are not video, as far as they were read. Microseconds.
    others_end_us: i64,
}

impl Following {
    pub(super) fn new(track: Track) -> Self {
        Self {
            tracks: vec![track],
            followed: 0,
            decoded: 0,
            follower: Follower::default(),
            n_moves: 0,
            unfollowed: Vec::new(),
            last_stamp: None,
            end_us: 0,
            others_end_us: 0,
        }
    }

    /// Returns the followed track.
    pub(super) fn track(&self) -> &Track {
        &self.tracks[self.followed]
    }

    /// Returns the track that the decoder was opened for.
    pub(super) fn decoded(&self) -> &Track {
        &self.tracks[self.decoded]
    }

    /// Returns the track that was chosen when the file was opened.
    pub(super) fn first(&self) -> &Track {
        &self.tracks[0]
    }

    /// Returns the track that a frame is from.
    pub(super) fn track_of(&self, frame: &Video) -> &Track {
        self.tracks.get(Note::of(frame).track).unwrap_or(&self.tracks[0])
    }

    pub(super) fn are_all_encrypted(&self) -> bool {
        self.tracks.iter().all(|track| track.marked_encrypted)
    }

    /// Returns whether the picture moved to another stream, followed or not.
    pub(super) fn has_moved(&self) -> bool {
        self.n_moves > 0 || !self.unfollowed.is_empty()
    }

    /// Returns the streams that the picture moved to and that were not followed.
    pub(super) fn unfollowed(&self) -> &[Unfollowed] {
        &self.unfollowed
    }

    /// Returns the end of the other tracks, as far as they were read. Microseconds.
    pub(super) fn others_end_us(&self) -> i64 {
        self.others_end_us
    }

    /// Returns what prepares frames of the followed stream that other decoders than the video's produced.
    pub(super) fn viewer(&self) -> Viewer {
        self.viewer_of(self.followed)
    }

    fn viewer_of(&self, number: usize) -> Viewer {
        let track = &self.tracks[number];
        Viewer {
            track: number,
            packing: track.packing,
            pixel_aspect: track.pixel_aspect,
        }
    }

    /// Prepares a frame from the video's decoder for use.
    pub(super) fn prepare(&mut self, frame: &mut Video) {
        let mut viewer = self.viewer_of(self.decoded);
        viewer.prepare(frame);
        self.tracks[self.decoded].packing = viewer.packing;
    }

    /// Returns whether the decoder belongs to another track than the followed one.
    pub(super) fn wants_another_decoder(&self) -> bool {
        self.decoded != self.followed
    }

    /// Notes that the decoder is now that of the followed track.
    pub(super) fn has_its_decoder(&mut self) {
        self.decoded = self.followed;
    }

    /// Follows the decoder's track again.
    pub(super) fn return_to_decoded(&mut self) {
        self.followed = self.decoded;
    }

    /// Forgets the other streams, because reading continues elsewhere in the file.
    pub(super) fn start_over(&mut self) {
        self.follower = Follower::default();
    }

    /// Returns to the first track, because reading starts at the beginning of the file.
    pub(super) fn return_to_first(&mut self) {
        self.followed = 0;
        self.n_moves = 0;
        self.unfollowed.clear();
    }

    /// Notes a packet of the followed stream.
    pub(super) fn met_followed(&mut self, packet: &Packet, clock: Clock) {
        self.follower.met_followed();
        self.last_stamp = packet.dts().or(packet.pts());
        let Some(stamp) = packet.pts().or(self.last_stamp) else { return };
        let end_us = clock.time_us(stamp).saturating_add(clock.duration_us(packet.duration()));
        // Pictures come in decoding order; a time far back belongs to another clock.
        let is_earlier = (end_us..end_us.saturating_add(DELAY_US)).contains(&self.end_us);
        if !is_earlier {
            self.end_us = end_us;
        }
    }

    /// Handles a packet of a stream that is not followed. Returns where the picture continues if it has moved there.
    pub(super) fn met_other(&mut self, packet: &mut Packet, input: &mut Input, clock: Clock, allowed: &Allowed) -> Option<Moved> {
        let stream = input.stream(packet.stream())?;
        let other = stream.index();
        let time_base = (i64::from(stream.time_base().0), i64::from(stream.time_base().1));
        if let Some(stamp) = packet.pts().or(packet.dts()) {
            let end_us = to_us(stamp.saturating_add(packet.duration().max(0)), time_base).saturating_sub(clock.origin_us());
            self.others_end_us = self.others_end_us.max(end_us);
        }
        if !streams::is_video(&stream) {
            return None;
        }
        let followed = self.track().stream;
        let rank = |number: usize| {
            let size = input.stream(number).map_or((false, 0), |stream| streams::rank(&stream, allowed));
            (size, number == self.tracks[0].stream)
        };
        let is_better = rank(other) > rank(followed);
        let met = Met {
            stream: other,
            followed,
            time_us: packet.dts().or(packet.pts()).map(|stamp| to_us(stamp, time_base)),
            is_better,
            followed_goes_on: index::goes_on(input, followed, self.last_stamp),
        };
        self.follower.met_other(packet, &met)
    }

    /// Handles the end of the file. The picture's last part may be in another stream.
    pub(super) fn met_end(&mut self) -> Option<Moved> {
        self.follower.met_end(self.track().stream)
    }

    /// Follows a stream from here on, unless it cannot be decoded. `last`: the frame shown last. Returns whether it is followed.
    pub(super) fn go_to(&mut self, stream: &Stream<'_>, allowed: &Allowed, last: Option<FrameTime>) -> bool {
        let id = stream.parameters().id();
        let refusal = if self.n_moves >= MAX_MOVES {
            Some("it moved a thousand times before".to_owned())
        } else if allowed.decoder(id).is_none() {
            Some(Allowed::why_not(id))
        } else if properties::is_marked_encrypted(stream) {
            Some("it is encrypted".to_owned())
        } else {
            decoders::check_size(stream).err().map(|Unusable(reason)| reason)
        };
        if let Some(reason) = refusal {
            self.leave_alone(stream.index(), reason, last);
            return false;
        }
        self.n_moves += 1;
        self.followed = self.number_of(Track::of(stream));
        self.last_stamp = None;
        true
    }

    /// Follows a track of an input that was reopened in the middle of the file.
    pub(super) fn go_on_in(&mut self, track: Track) {
        self.n_moves += 1;
        self.follower = Follower::default();
        self.last_stamp = None;
        self.tracks.push(track);
        self.followed = self.tracks.len() - 1;
    }

    /// Notes that a stream that the picture moved to is not followed. `last`: the frame shown last.
    pub(super) fn leave_alone(&mut self, stream: usize, reason: String, last: Option<FrameTime>) {
        self.follower.bar(stream);
        // The decoder still holds a few of the earlier pictures.
        let shown_us = last.map_or(0, |last| last.end_us);
        let is_near = (shown_us..shown_us.saturating_add(DELAY_US)).contains(&self.end_us);
        let from_us = if is_near { self.end_us } else { shown_us };
        self.unfollowed.push(Unfollowed { from_us, reason });
    }

    /// Returns the number of a track, adding it if it is new.
    fn number_of(&mut self, track: Track) -> usize {
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
