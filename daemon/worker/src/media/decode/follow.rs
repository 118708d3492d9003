//! Decides packet by packet which stream the picture is in. The stream chosen at the opening stays as long as it delivers packets.
//!
//! A recording across a change of programme continues under another PID. A live stream that changes its codec gets another stream. The
//! parts of an edited video may each have their own track. So while the followed stream is silent, packets of other video streams are kept,
//! from a keyframe on. If it stays silent, the other stream is followed, from its first picture.
//!
//! Two streams that deliver packets at the same time are two views, not one video. The chosen one stays, however seldom it shows something
//! new.

use std::collections::VecDeque;

use ffmpeg_next::Packet;

/// How long another stream must deliver packets while the followed one delivers none. Containers interleave within a second. Microseconds.
const TIMEOUT_US: i64 = 2_000_000;
/// The same for a stream that delivered packets alongside the followed one before.
const LONG_TIMEOUT_US: i64 = 10_000_000;
/// From this many packets alongside those of the followed stream on, a stream is another view. Fewer are the border between two parts.
const MANY: u32 = 8;
/// Limit for the packets that wait. Bytes.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// This many packets without a time count as long enough.
const MANY_WITHOUT_TIME: u32 = 50;
/// Number of other streams that are watched; more do not occur in a video.
const MAX_OTHERS: usize = 16;

/// A packet of a stream that is not followed, with the state of both streams.
pub(super) struct Met {
    pub(super) stream: usize,
    pub(super) followed: usize,
    /// Decoding time, or else presentation time, in microseconds of its own clock.
    pub(super) time_us: Option<i64>,
    /// Whether this stream is the better one: larger, or chosen at the opening.
    pub(super) is_better: bool,
    /// Whether the index lists more pictures of the followed stream ahead.
    pub(super) followed_goes_on: bool,
}

/// Where the picture continues.
pub(super) struct Moved {
    pub(super) stream: usize,
    /// The packets delivered so far, from a keyframe on.
    pub(super) packets: VecDeque<Packet>,
}

/// Watches the streams that are not followed.
#[derive(Default)]
pub(super) struct Follower {
    others: Vec<Other>,
}

struct Other {
    stream: usize,
    is_better: bool,
    /// From a keyframe on.
    waiting: VecDeque<Packet>,
    /// First and last time since the followed stream's last packet; for a better stream, since it began. Microseconds.
    span_us: Option<(i64, i64)>,
    n_without_time: u32,
    /// Packets of the followed stream in that span, and since the first waiting packet.
    n_followed: u32,
    n_followed_since: u32,
    /// How often it and the followed stream delivered packets in turns.
    n_turns: u32,
    told: bool,
    /// Set for another view of the same time, or a stream that cannot be decoded.
    is_barred: bool,
}

impl Other {
    fn new(stream: usize) -> Self {
        Self {
            stream,
            is_better: false,
            waiting: VecDeque::new(),
            span_us: None,
            n_without_time: 0,
            n_followed: 0,
            n_followed_since: 0,
            n_turns: 0,
            told: false,
            is_barred: false,
        }
    }

    fn is_another_view(&self) -> bool {
        self.n_turns >= MANY
    }

    fn has_told_enough(&self) -> bool {
        let timeout_us = if self.is_another_view() && !self.is_better {
            LONG_TIMEOUT_US
        } else {
            TIMEOUT_US
        };
        self.span_us.is_some_and(|(first, last)| last.saturating_sub(first) >= timeout_us) || self.n_without_time >= MANY_WITHOUT_TIME
    }

    fn forget(&mut self) {
        self.waiting.clear();
        self.span_us = None;
        self.n_without_time = 0;
        self.n_followed = 0;
        self.n_followed_since = 0;
    }

    fn take_time(&mut self, time_us: Option<i64>) {
        match (time_us, &mut self.span_us) {
            // Stamps that go back start over, and say nothing about how long this lasts.
            (Some(time_us), Some((first, last))) if time_us < *first => (*first, *last) = (time_us, time_us),
            (Some(time_us), Some((_, last))) => *last = time_us.max(*last),
            (Some(time_us), span) => *span = Some((time_us, time_us)),
            (None, _) => self.n_without_time += 1,
        }
    }
}

impl Follower {
    /// Notes a packet of the followed stream.
    pub(super) fn met_followed(&mut self) {
        for other in &mut self.others {
            other.n_turns += u32::from(std::mem::take(&mut other.told));
            if other.is_better {
                other.n_followed += 1;
                other.n_followed_since += 1;
            } else {
                other.forget();
            }
        }
    }

    /// Handles a packet of another stream. Returns where the picture continues if it has moved there.
    pub(super) fn met_other(&mut self, packet: &mut Packet, met: &Met) -> Option<Moved> {
        let at = match self.others.iter().position(|other| other.stream == met.stream) {
            Some(at) => at,
            None if self.others.len() >= MAX_OTHERS => return None,
            None => {
                self.others.push(Other::new(met.stream));
                self.others.len() - 1
            }
        };
        let n_bytes: usize = self.others.iter().flat_map(|other| &other.waiting).map(Packet::size).sum();
        let other = &mut self.others[at];
        other.told = true;
        other.is_better = met.is_better;
        if other.is_barred || (met.followed_goes_on && !met.is_better) {
            return None;
        }
        other.take_time(met.time_us);
        let is_full = n_bytes + packet.size() > MAX_WAITING_BYTES;
        let begins = packet.is_key() && (other.n_followed_since > 0 || other.waiting.is_empty());
        if begins || is_full && !other.is_another_view() && packet.is_key() {
            other.waiting.clear();
            other.n_followed_since = 0;
        }
        if begins || !other.waiting.is_empty() {
            other.waiting.push_back(std::mem::replace(packet, Packet::empty()));
        }
        if other.waiting.is_empty() || other.n_followed_since > 0 {
            return None;
        }
        if other.has_told_enough() || is_full && !other.is_another_view() {
            return Some(self.take(at, met.followed));
        }
        if is_full {
            other.waiting.clear();
        }
        None
    }

    /// Handles the end of the file. The picture's last part may have been too short to be followed so far.
    pub(super) fn met_end(&mut self, followed: usize) -> Option<Moved> {
        let is_part = |other: &Other| {
            // The last packet from a demuxer may hold a picture of long ago.
            other.waiting.len() > 2 && !other.is_barred && !other.is_another_view() && other.n_followed_since == 0
        };
        let at = self.others.iter().position(is_part)?;
        Some(self.take(at, followed))
    }

    /// Never follows this stream again.
    pub(super) fn bar(&mut self, stream: usize) {
        self.others.retain(|other| other.stream != stream);
        let mut barred = Other::new(stream);
        barred.is_barred = true;
        self.others.push(barred);
    }

    fn take(&mut self, at: usize, followed: usize) -> Moved {
        let mut taken = self.others.swap_remove(at);
        for other in &mut self.others {
            other.forget();
        }
        let mut left = Other::new(followed);
        // The stream left behind still delivers packets: it was the worse of two views.
        left.is_barred = taken.n_followed >= MANY;
        self.others.push(left);
        Moved {
            stream: taken.stream,
            packets: std::mem::take(&mut taken.waiting),
        }
    }
}

#[cfg(test)]
mod tests;
