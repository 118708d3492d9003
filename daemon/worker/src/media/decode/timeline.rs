//! Repairs clocks that start over, leap, or are wrong for a few frames, so that they run continuously.
//!
//! Most videos have an ordinary clock and only pass through [`Watch`]. At the first packet that does not follow the others, the stamps of
//! the whole video are read once ([`Scan`]). Only the packets after a leap show what the leap was. If the stamps come back, they were
//! wrong. If they stay, they belong to another recording or to a pause. The result ([`Timeline`]) is applied packet by packet.

mod scan;
mod watch;

use scened_common::domain::ClockPart;
use scened_common::media::wire::MAX_TIME_MS;

pub(super) use scan::Scan;
pub(super) use watch::{Follows, Tick, Watch};

/// Limit of reported parts; no real video joins more recordings.
const MAX_PARTS: usize = 256;
/// Wrong stamps that are closer together are reported as one range.
const NEAR_MS: u64 = 10_000;

/// Packets whose stamps cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stray {
    first: u64,
    n: u64,
    /// Their place by the clock of the surrounding packets.
    at_us: i64,
    length_us: i64,
}

/// Packets whose stamps are wrong by the same amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    first: u64,
    /// Added to its stamps.
    shift_us: i64,
    offset_bytes: u64,
    stream: u32,
    /// Range of its stamps.
    low_us: i64,
    end_us: i64,
}

/// Repair of a packet's stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mended {
    Moved {
        by_us: i64,
    },
    /// The stamp is wrong: the picture follows the one before.
    Gone,
}

/// Repair of the stamps of a video.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Timeline {
    parts: Vec<Part>,
    /// In order.
    strays: Vec<Stray>,
}

impl Timeline {
    fn new(parts: Vec<Part>, strays: Vec<Stray>) -> Self {
        Self { parts, strays }
    }

    /// Returns the repair of a packet by its number, from 0.
    pub(super) fn mended(&self, number: u64) -> Mended {
        let at = self.strays.partition_point(|stray| stray.first <= number);
        if at
            .checked_sub(1)
            .is_some_and(|at| number - self.strays[at].first < self.strays[at].n)
        {
            return Mended::Gone;
        }
        Mended::Moved {
            by_us: self.shift_us(number),
        }
    }

    fn shift_us(&self, number: u64) -> i64 {
        let at = self.parts.partition_point(|part| part.first <= number);
        at.checked_sub(1).map_or(0, |at| self.parts[at].shift_us)
    }

    /// Returns the ranges whose frames have wrong stamps: from, to. Milliseconds.
    pub(super) fn wrong(&self) -> Vec<(u64, u64)> {
        let mut stretches: Vec<(u64, u64)> = Vec::new();
        for stray in &self.strays {
            let begins_us = stray.at_us.saturating_add(self.shift_us(stray.first));
            let from_ms = begins_us.max(0) as u64 / 1000;
            let to_ms = begins_us.saturating_add(stray.length_us).max(0) as u64 / 1000 + 1;
            let is_full = stretches.len() == MAX_PARTS;
            match stretches.last_mut() {
                Some(last) if is_full || from_ms < last.1 + NEAR_MS => last.1 = last.1.max(to_ms),
                _ => stretches.push((from_ms, to_ms)),
            }
        }
        stretches
    }

    pub(super) fn is_plain(&self) -> bool {
        self.strays.is_empty() && self.parts.iter().all(|part| part.shift_us == 0)
    }

    /// Returns the parts as other programs find them, or nothing if all but a few of the file's own stamps are right.
    pub(super) fn clock_parts(&self) -> Vec<ClockPart> {
        let stream = self.parts.first().map(|part| part.stream);
        if self.parts.iter().all(|part| part.shift_us == 0 && Some(part.stream) == stream) {
            return Vec::new();
        }
        let to_ms = |us: i64| (us + 500).div_euclid(1000);
        let mut parts: Vec<ClockPart> = Vec::new();
        for (at, part) in self.parts.iter().take(MAX_PARTS).enumerate() {
            let is_last = at + 1 == MAX_PARTS && self.parts.len() > MAX_PARTS;
            let start_ms = to_ms(part.low_us.saturating_add(part.shift_us)).max(0) as u64;
            // No video is that long.
            if start_ms >= MAX_TIME_MS - MAX_PARTS as u64 {
                break;
            }
            let file_ms = if at == 0 { to_ms(-part.shift_us) } else { to_ms(part.low_us) };
            let file_end_ms = to_ms(part.end_us);
            let is_far = |ms: i64| ms.unsigned_abs() > MAX_TIME_MS;
            // No program can seek to such a time.
            let cannot_be_found = is_last || is_far(file_ms) || is_far(file_end_ms);
            parts.push(ClockPart {
                start_ms: parts.last().map_or(0, |before| start_ms.max(before.start_ms + 1)),
                // Beyond this many parts a part cannot be found by time.
                file_ms: if cannot_be_found { -1 } else { file_ms },
                file_end_ms: if cannot_be_found { -1 } else { file_end_ms },
                offset_bytes: if is_last { 0 } else { part.offset_bytes },
                first_frame: part.first,
                stream: Some(part.stream).filter(|_| Some(part.stream) != stream),
            });
        }
        parts
    }
}

#[cfg(test)]
mod tests;
