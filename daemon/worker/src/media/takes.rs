//! From cuts to scenes: divides long takes, and keeps a few candidate pictures of each. Pure: knows neither FFmpeg nor pipes.
//!
//! Scenes tile the video: each begins where the one before ended. What is kept is bounded: the pictures by [`MAX_CANDIDATES`],
//! the signatures by the longest part and the detector's delay.

use std::collections::VecDeque;

use scened::domain::Boundary;

use super::glimpse::{CHROMA, Glimpse, LUMA};
use super::shots::Found;

/// Most pictures kept of a scene that is still going on.
const MAX_CANDIDATES: usize = 32;
/// The first frames of a scene are all kept, in case it has no more.
const FIRST_CANDIDATES: usize = 3;
/// Shortest time between two candidates, after the first ones. Microseconds.
const FIRST_INTERVAL_US: i64 = 80_000;
/// The same in the later parts of a take, which are known to be long.
const PART_INTERVAL_US: i64 = 250_000;
/// No part of a take is shorter. Microseconds.
const MIN_PART_US: i64 = 3_000_000;
/// Mean change of the signature, in steps of 8-bit colour, at which a take no longer shows what it began with.
/// A choice, not a measurement.
const DRIFTED: f64 = 24.0;
/// A scene longer than this gives five samples instead of three. Microseconds.
const LONG_SCENE_US: i64 = 8_000_000;

const CELLS: usize = 8;

/// The mean colours of 8 × 8 cells of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature([u8; CELLS * CELLS * 3]);

impl Signature {
    pub(crate) fn of(glimpse: &Glimpse) -> Self {
        let mut means = [0_u8; CELLS * CELLS * 3];
        for (channel, (plane, (width, height))) in [(&glimpse.luma[..], LUMA), (&glimpse.blue[..], CHROMA), (&glimpse.red[..], CHROMA)]
            .into_iter()
            .enumerate()
        {
            let mut sums = [0_u32; CELLS * CELLS];
            for (y, line) in plane.chunks_exact(width).enumerate() {
                for (x, value) in line.iter().enumerate() {
                    sums[y * CELLS / height * CELLS + x * CELLS / width] += u32::from(*value);
                }
            }
            let count = (width * height / (CELLS * CELLS)) as u32;
            for (at, sum) in sums.iter().enumerate() {
                means[at * 3 + channel] = (sum / count) as u8;
            }
        }
        Self(means)
    }

    fn distance(&self, other: &Self) -> f64 {
        let sum: u32 = self.0.iter().zip(&other.0).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        f64::from(sum) / self.0.len() as f64
    }
}

/// A picture that may stand for its scene.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate<P> {
    pub(crate) time_us: i64,
    /// Shows nothing: taken only when there is nothing better.
    pub(crate) dark: bool,
    pub(crate) picture: P,
}

/// A finished scene with the candidates that lie in it, in order of time.
#[derive(Debug, PartialEq)]
pub(crate) struct Take<P> {
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
    pub(crate) boundary: Boundary,
    pub(crate) candidates: Vec<Candidate<P>>,
}

/// Builds scenes from frames and cuts. Times are microseconds from the start of the video.
#[derive(Debug)]
pub(crate) struct Takes<P> {
    max_us: i64,
    min_part_us: i64,
    start_us: i64,
    boundary: Boundary,
    /// The frames of the part that is still going on.
    frames: VecDeque<(i64, Signature)>,
    /// How many of `frames` were looked at for a division.
    n_judged: usize,
    /// Where the part will be divided if the take goes on long enough.
    division_us: Option<i64>,
    candidates: Vec<Candidate<P>>,
    interval_us: i64,
    finished: Vec<Take<P>>,
}

impl<P> Takes<P> {
    /// `max_us`: a take is divided at the latest after this long.
    pub(crate) fn new(max_us: i64) -> Self {
        let max_us = max_us.max(2);
        Self {
            max_us,
            min_part_us: MIN_PART_US.min(max_us / 2),
            start_us: 0,
            boundary: Boundary::Start,
            frames: VecDeque::new(),
            n_judged: 0,
            division_us: None,
            candidates: Vec::with_capacity(MAX_CANDIDATES),
            interval_us: FIRST_INTERVAL_US,
            finished: Vec::new(),
        }
    }

    /// Takes the next frame. Times do not decrease.
    pub(crate) fn frame(&mut self, time_us: i64, glimpse: &Glimpse) {
        self.frames.push_back((time_us, Signature::of(glimpse)));
    }

    /// A new shot begins, perhaps some frames back.
    pub(crate) fn found(&mut self, found: Found) {
        let time_us = found.time_us();
        if time_us <= self.start_us {
            return;
        }
        self.end_take(time_us);
        let boundary = match found {
            Found::Cut { .. } => Boundary::Cut,
            Found::Gradual { .. } => Boundary::Gradual,
        };
        self.begin(time_us, boundary, FIRST_INTERVAL_US);
    }

    /// Divides what is settled: no cut will come for a frame before `settled_us`.
    pub(crate) fn divide(&mut self, settled_us: i64) {
        while let Some((time_us, signature)) = self.frames.get(self.n_judged) {
            let time_us = *time_us;
            if time_us >= settled_us {
                return;
            }
            let elapsed = time_us - self.start_us;
            match self.division_us {
                Some(division) if time_us - division >= self.min_part_us => {
                    self.finish(division);
                    self.begin(division, Boundary::Part, PART_INTERVAL_US);
                    continue;
                }
                None if elapsed >= self.min_part_us => {
                    let gap = self.n_judged.checked_sub(1).map_or(0, |before| time_us - self.frames[before].0);
                    let drifted = self.frames.front().is_some_and(|(_, first)| first.distance(signature) > DRIFTED);
                    if drifted || elapsed + gap > self.max_us {
                        self.division_us = Some(time_us);
                    }
                }
                _ => {}
            }
            self.n_judged += 1;
        }
    }

    /// Whether a picture of this frame would be kept. `doubtful`: a cut may still be found in the recent past, so that these
    /// frames may turn out to be the first of a scene.
    pub(crate) fn wants(&self, time_us: i64, doubtful: bool) -> bool {
        let Some(last) = self.candidates.last() else {
            return true;
        };
        let interval = if doubtful {
            FIRST_INTERVAL_US.min(self.interval_us)
        } else {
            self.interval_us
        };
        self.candidates.len() < FIRST_CANDIDATES || time_us - last.time_us >= interval
    }

    /// Keeps a candidate; when there are too many, every other one goes.
    pub(crate) fn keep(&mut self, candidate: Candidate<P>) {
        self.candidates.push(candidate);
        while self.candidates.len() >= MAX_CANDIDATES {
            self.interval_us *= 2;
            let mut last = None;
            self.candidates.retain(|candidate| {
                let keep = last.is_none_or(|last| candidate.time_us - last >= self.interval_us);
                if keep {
                    last = Some(candidate.time_us);
                }
                keep
            });
        }
    }

    /// Ends the last scene with the video.
    pub(crate) fn end(&mut self, end_us: i64) {
        self.end_take(end_us.max(self.start_us + 1));
    }

    /// The scenes finished since the last call, in order of time.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Take<P>> + '_ {
        self.finished.drain(..)
    }

    fn end_take(&mut self, end_us: i64) {
        // Whatever was not judged yet lies in the settled past now.
        self.divide(end_us);
        let middle = self.start_us.midpoint(end_us);
        let division = match self.division_us.take() {
            Some(division) if end_us - division >= self.min_part_us => Some(division),
            // Too little would be left behind the division: two equal halves, if it must be divided at all.
            Some(_) if end_us - self.start_us > self.max_us => {
                let frames = self.frames.iter().map(|(time, _)| *time);
                frames
                    .filter(|time| *time > self.start_us && *time < end_us)
                    .min_by_key(|time| time.abs_diff(middle))
            }
            _ => None,
        };
        if let Some(division) = division {
            self.finish(division);
            self.begin(division, Boundary::Part, PART_INTERVAL_US);
        }
        self.finish(end_us);
    }

    /// Hands the part out as a scene that ends here.
    fn finish(&mut self, end_us: i64) {
        let n = self.candidates.partition_point(|candidate| candidate.time_us < end_us);
        let candidates = self.candidates.drain(..n).collect();
        self.finished.push(Take {
            start_us: self.start_us,
            end_us,
            boundary: self.boundary,
            candidates,
        });
    }

    fn begin(&mut self, start_us: i64, boundary: Boundary, interval_us: i64) {
        while self.frames.front().is_some_and(|(time, _)| *time < start_us) {
            self.frames.pop_front();
        }
        self.start_us = start_us;
        self.boundary = boundary;
        self.n_judged = 0;
        self.division_us = None;
        self.interval_us = interval_us;
    }
}

/// Picks the candidates to embed: spread evenly and away from the edges, dark ones only when there is nothing else. Returns
/// their indexes in order of time.
pub(crate) fn choose<P>(take: &Take<P>) -> Vec<usize> {
    let duration = take.end_us - take.start_us;
    let wanted = if duration > LONG_SCENE_US { 5 } else { 3 };
    let mut chosen: Vec<usize> = Vec::with_capacity(wanted);
    for position in 0..wanted as i64 {
        let target = take.start_us + duration * (2 * position + 1) / (2 * wanted as i64);
        let free = take.candidates.iter().enumerate().filter(|(i, _)| !chosen.contains(i));
        if let Some((best, _)) = free.min_by_key(|(_, candidate)| (candidate.dark, candidate.time_us.abs_diff(target))) {
            chosen.push(best);
        }
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
#[path = "takes_tests.rs"]
mod tests;
