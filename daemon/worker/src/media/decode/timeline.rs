//! Clocks that begin anew, leap, or are wrong for a few frames, made one that runs on.
//!
//! Most videos have an ordinary clock and are never more than looked at ([`Watch`]). At the first packet that does not follow the others
//! the whole video's stamps are read once ([`Scan`]), because only what comes after a leap tells what it was: stamps that come back were
//! wrong, stamps that stay belong to another recording or to a pause. What came of it ([`Timeline`]) is told packet by packet.

mod scan;
mod watch;

use scened_common::domain::ClockPart;
use scened_common::media::wire::MAX_TIME_MS;

pub(super) use scan::Scan;
pub(super) use watch::{Follows, Tick, Watch};

/// Parts that are told of; nobody puts more recordings together.
const MAX_PARTS: usize = 256;
/// Wrong stamps that lie closer together are told of as one stretch.
const NEAR_MS: u64 = 10_000;

/// Packets whose stamps cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stray {
    first: u64,
    n: u64,
    /// Where they belong, by the clock of the packets around them.
    at_us: i64,
    length_us: i64,
}

/// Packets whose stamps are wrong by the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    first: u64,
    /// What is to be added to its stamps.
    shift_us: i64,
    offset_bytes: u64,
    stream: u32,
    /// What its stamps are.
    low_us: i64,
    end_us: i64,
}

/// What is to be done with the stamp of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mended {
    Moved {
        by_us: i64,
    },
    /// It is wrong: the picture follows the one before.
    Gone,
}

/// What is to be done with the stamps of a video.
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

    /// By a packet's number, from 0.
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

    /// Where frames are whose stamps are wrong: from, to. Milliseconds.
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

    /// As other programs find them; empty where the file's own stamps are right but for a few.
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
            // No video goes on that long.
            if start_ms >= MAX_TIME_MS - MAX_PARTS as u64 {
                break;
            }
            let file_ms = if at == 0 { to_ms(-part.shift_us) } else { to_ms(part.low_us) };
            let file_end_ms = to_ms(part.end_us);
            let is_far = |ms: i64| ms.unsigned_abs() > MAX_TIME_MS;
            // No program looks for it by such a time.
            let cannot_be_found = is_last || is_far(file_ms) || is_far(file_end_ms);
            parts.push(ClockPart {
                start_ms: parts.last().map_or(0, |before| start_ms.max(before.start_ms + 1)),
                // What is behind so many parts cannot be found by time.
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
