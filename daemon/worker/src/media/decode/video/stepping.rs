//! Decodes a video step by step, and continues once the decoder has given everything.

use ffmpeg_next::frame::Video;
use scened_common::media::wire::MAX_TIME_MS;

use super::{MANY_BAD, OpenVideo, Read, Step};
use crate::media::decode::anew;
use crate::media::decode::decoding::{Draining, Fetched, Received};
use crate::media::ended::Unusable;

/// Limit of a video's length: a year. Microseconds.
const MAX_END_US: i64 = MAX_TIME_MS as i64 * 1000;

/// With fewer bytes behind its last picture, a file is only damaged at its end. Bytes.
const MIN_BYTES_ANEW: i64 = 16 << 10;
/// The old codec may still be announced a little behind its last picture. So this many places are tried, at this distance. Bytes.
const N_PLACES_ANEW: u64 = 16;
const PLACE_BYTES: u64 = 12 << 10;
/// Limit of codec changes; a file with more is not a video.
const MAX_TIMES_ANEW: u32 = 100;

impl OpenVideo {
    /// Advances by one packet or one frame.
    pub(crate) fn step(&mut self, frame: &mut Video) -> Step {
        if self.following.wants_another_decoder() && self.decoding.draining() != Draining::BeforeMove {
            self.open_followed();
        }
        if self.decoding.n_bad_since() == MANY_BAD && !self.decoding.is_draining() && self.may_change_codec() {
            self.decoding.note_doubt();
            self.drain(Draining::InDoubt);
        }
        match self.decoding.receive(frame) {
            Received::Frame => return self.take(frame),
            Received::End => return self.drained(),
            Received::Nothing => {}
            Received::Bad => {
                self.losses.bad_packets += 1;
                if self.decoding.is_given_up() {
                    return self.drained();
                }
                if self.decoding.is_draining() {
                    return Step::Packet;
                }
            }
        }
        match self.read() {
            Read::Packet if self.leaves_out() => {}
            Read::Packet => self.losses.bad_packets += u64::from(!self.decoding.send(&self.packet)),
            Read::Nothing => {}
            Read::Moved => self.drain(Draining::BeforeMove),
            Read::End => self.drain(Draining::AtEnd),
        }
        Step::Packet
    }

    /// Handles a frame from the decoder.
    fn take(&mut self, frame: &mut Video) -> Step {
        match self.decoding.fetch(frame) {
            Fetched::Yes => {}
            Fetched::NeverWorked => {
                self.begin_again_in_software();
                return Step::Packet;
            }
            Fetched::Lost => {
                self.losses.corrupt_frames += 1;
                return Step::Packet;
            }
        }
        self.following.prepare(frame);
        self.decoding.gave_picture();
        let packet = frame.packet();
        if packet.position >= 0 {
            let ends_at = self.reader.place_in_file(packet.position + i64::try_from(packet.size).unwrap_or(0));
            self.shown_to = self.shown_to.max(ends_at);
        }
        if frame.is_corrupt() || frame.has_decode_errors() {
            self.losses.corrupt_frames += 1;
        }
        let shown = self.stamps.shown(frame);
        if shown.end_us > MAX_END_US {
            self.losses.broke_off = true;
            return Step::End;
        }
        Step::Frame(shown)
    }

    /// Gives up a device that never gave a frame, and restarts the video without it.
    fn begin_again_in_software(&mut self) {
        let stream = self.reader.input().stream(self.following.track().stream);
        let stream = stream.expect("the stream was chosen when the video was opened");
        match self.decoding.leave_device(&stream, &self.allowed) {
            Ok(()) => self.rewind(),
            // Nothing can decode the video, so reading continues to its end.
            Err(_) => self.losses.bad_packets += 1,
        }
    }

    /// Requests the pictures that the decoder holds back.
    fn drain(&mut self, why: Draining) {
        self.reader.forgive();
        if !self.decoding.drain(why) {
            self.losses.bad_packets += 1;
        }
    }

    /// Handles a decoder that has given everything: the video ends, or continues elsewhere.
    fn drained(&mut self) -> Step {
        let why = self.decoding.draining();
        if why == Draining::BeforeMove {
            self.decoding.end_draining();
            self.open_followed();
            return Step::Packet;
        }
        if self.goes_on_anew() {
            return Step::Packet;
        }
        if why == Draining::InDoubt {
            self.decoding.start_over();
            return Step::Packet;
        }
        Step::End
    }

    /// Opens a decoder for the stream that is now followed.
    fn open_followed(&mut self) {
        self.stamps.follow(self.following.track());
        let number = self.following.track().stream;
        let Some(stream) = self.reader.input().stream(number) else {
            return;
        };
        match self.decoding.go_on_with(&stream, &self.allowed) {
            Ok(()) => self.following.has_its_decoder(),
            Err(Unusable(reason)) => {
                self.following.return_to_decoded();
                self.stamps.follow(self.following.track());
                self.decoding.flush();
                self.reader.drop_handed_back();
                self.following.leave_alone(number, reason, self.stamps.last());
            }
        }
    }

    /// Continues behind the last picture, if another codec begins there. Returns whether it does.
    fn goes_on_anew(&mut self) -> bool {
        let behind = self.reader.file_bytes().saturating_sub(self.shown_to);
        let may_be = self.decoding.n_bad_since() > 0 && self.shown_to > 0 && behind >= MIN_BYTES_ANEW;
        if !may_be || self.n_anew >= MAX_TIMES_ANEW || !self.may_change_codec() {
            return false;
        }
        self.n_anew += 1;
        let from = u64::try_from(self.shown_to).unwrap_or(0);
        (0..N_PLACES_ANEW).any(|place| self.open_anew(from + place * PLACE_BYTES).is_some())
    }

    fn open_anew(&mut self, from: u64) -> Option<()> {
        let bytes_before = i64::try_from(from).ok()?;
        let file = self.reader.file()?.try_clone().ok()?;
        let (input, track) = anew::open_from(file, from, &self.allowed)?;
        if track.codec == self.following.decoded().codec {
            return None;
        }
        let n_bad = u64::from(self.decoding.n_bad_since());
        self.losses.bad_packets = self.losses.bad_packets.saturating_sub(n_bad);
        self.decoding.forget_bad();
        self.decoding.end_draining();
        self.reader.go_on_with(input, bytes_before);
        // No scan covered the packets there.
        self.stamps.stop_counting();
        self.following.go_on_in(track);
        self.open_followed();
        Some(())
    }
}
