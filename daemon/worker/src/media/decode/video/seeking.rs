//! Seeking in a video's file, and returning to its beginning.

use super::{Losses, OpenVideo};
use crate::media::decode::stamps::MAX_JITTER_US;

impl OpenVideo {
    /// Returns whether the file has a clock at all. A bare stream of pictures can only be decoded from its beginning.
    pub(crate) fn can_seek(&self) -> bool {
        self.reader.has_clock()
    }

    /// Seeks to the keyframe before a time, so that the next frames lead up to it. If this fails, the video stays where it was.
    pub(crate) fn seek(&mut self, time_us: i64) {
        if self.reader.seek(time_us.saturating_add(self.clock().origin_us())) {
            self.start_over();
        }
    }

    /// Forgets what was read before the current place in the file.
    fn start_over(&mut self) {
        self.decoding.start_over();
        self.reader.forget();
        self.following.start_over();
        self.stamps.start_over();
        self.met = None;
    }

    /// Opens the file again at its beginning. This is the only way back there if time stamps do not say what comes first.
    fn reopen(&mut self) -> bool {
        let Some(again) = self.opened_again() else { return false };
        self.start_over();
        self.stamps.count_from_the_first(again.can_seek());
        self.reader.take_over(again.reader);
        self.return_to_first_track();
        true
    }

    /// Opens the same video again from its beginning.
    pub(super) fn opened_again(&self) -> Option<Self> {
        let file = self.reader.file()?.try_clone().ok()?;
        let again = Self::open(file, 1, self.allowed.clone()).ok()?;
        let (ours, theirs) = (self.following.first(), again.following.first());
        let is_same = (ours.stream, ours.codec, ours.time_base) == (theirs.stream, theirs.codec, theirs.time_base);
        is_same.then_some(again)
    }

    /// Goes to the keyframe before a time by counting packets, in a video whose stamps do not show its place.
    pub(crate) fn count_to(&mut self, time_us: i64) {
        let (mut n, mut last_key) = (0, 0);
        while let Some(packet) = self.next_packet() {
            let shown_us = packet.pts().or(packet.dts()).map(|stamp| self.clock().time_us(stamp));
            if packet.is_key() && shown_us.is_some_and(|shown_us| shown_us <= time_us) {
                last_key = n;
            }
            if shown_us.is_some_and(|shown_us| shown_us > time_us.saturating_add(MAX_JITTER_US)) {
                break;
            }
            n += 1;
        }
        self.rewind();
        for _ in 0..last_key {
            self.next_packet();
        }
        self.losses = Losses::default();
    }

    /// Returns to the beginning, even after [`Step::End`].
    pub(crate) fn rewind(&mut self) {
        self.reader.return_to_first_input();
        self.n_anew = 0;
        self.decoding.forget_bad();
        self.shown_to = 0;
        if !self.stamps.are_plain() && self.reopen() {
            return;
        }
        if self.reader.seek_to_first_byte() {
            self.start_over();
        } else {
            // If streams count in decoding time, the first keyframe is before the player's zero. A seek to zero would miss it.
            self.seek(-10_000_000);
        }
        self.return_to_first_track();
        self.stamps.count_from_the_first(self.can_seek());
    }

    fn return_to_first_track(&mut self) {
        self.following.return_to_first();
        self.stamps.follow(self.following.track());
    }

    /// Returns to the beginning after packets were read, and forgets the losses so far. `first`: the first packet's time stamps and size,
    /// which must occur again.
    pub(crate) fn begin_again(&mut self, first: Option<(Option<i64>, Option<i64>, usize)>) -> bool {
        self.rewind();
        self.is_first(first) || self.reopen() && self.is_first(first)
    }

    fn is_first(&mut self, first: Option<(Option<i64>, Option<i64>, usize)>) -> bool {
        self.losses = Losses::default();
        self.reader.forgive();
        self.n_packets = 0;
        let packet = self.next_packet();
        let is_first = packet.as_ref().map(|packet| (packet.pts(), packet.dts(), packet.size())) == first;
        self.met = packet;
        is_first
    }
}
