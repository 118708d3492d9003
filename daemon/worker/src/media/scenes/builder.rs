//! Turns boundaries into scenes: divides long shots, and hands out each scene with the frames that may represent it. Pure: knows neither
//! FFmpeg nor pipes.
//!
//! Scenes tile the video: each begins where the previous one ended. A shot is divided where something happens in a still picture, where the
//! picture has come to rest, where it shows another view than at its beginning, and at the latest after the longest time allowed. A still
//! picture is never divided, however long it stays. Memory is bounded: [`MAX_CANDIDATES`](super::candidates::MAX_CANDIDATES) limits the
//! pictures, and [`LOOK_BACK_US`] and the detector's delay limit the signatures.

use std::collections::VecDeque;

use scened_common::domain::Boundary;
use scened_shots::Found;

use super::candidates::{Candidate, Candidates, Source};
use super::signature::{BLOCKS, Signature};
use crate::media::pixels::glimpse::Glimpse;

/// Shortest part of a shot. Microseconds.
const MIN_PART_US: i64 = 3_000_000;
/// A shot shows another view if this many blocks changed since its beginning.
const OTHER_VIEW: u32 = BLOCKS as u32 * 4 / 10;
/// Shortest change that counts. A shorter one is a flash, or something that passes close to the camera. Microseconds.
const LASTING_US: i64 = 300_000;
/// A picture that stays the same for this long has come to rest. Microseconds.
const RESTED_US: i64 = 5_000_000;
/// After the longest time allowed, a shot is divided where it came to rest, if that was at least this long ago. Microseconds.
const RESTING_US: i64 = 1_000_000;
/// A division may be this long before the frame that decides it. Microseconds.
const LOOK_BACK_US: i64 = RESTED_US + MIN_PART_US;
/// With more signatures than this, the oldest judged ones are dropped, whatever the frame rate.
const MAX_SIGNATURES: usize = 2048;
/// How many frames at each end of a shot codecs leave blurred.
const EDGE_FRAMES: i64 = 2;
/// Longest time from frame to frame that is assumed for these frames. Microseconds.
const MAX_FRAME_US: i64 = 50_000;

/// A finished scene with its candidates in order of time.
#[derive(Debug, PartialEq)]
pub(crate) struct FinishedScene<P> {
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
    pub(crate) boundary: Boundary,
    /// Frames before the first and after the second of these times also show another scene.
    pub(crate) mixed_until_us: i64,
    pub(crate) mixed_from_us: i64,
    /// Frames before the first and from the second of these times on are next to a cut.
    pub(crate) clear_from_us: i64,
    pub(crate) clear_until_us: i64,
    pub(crate) candidates: Vec<Candidate<P>>,
}

/// The history of a part's picture up to the last frame judged.
#[derive(Debug)]
struct PictureHistory {
    /// The picture at the beginning of the part.
    opening: Signature,
    /// Whether no change has lasted long enough to count.
    still: bool,
    /// The resting picture and when it began; `left_us` is when it changed, if it did.
    rest: Signature,
    rest_us: i64,
    left_us: Option<i64>,
    /// When another view began.
    elsewhere_us: Option<i64>,
}

impl PictureHistory {
    fn begun(time_us: i64, signature: &Signature) -> Self {
        Self {
            opening: signature.clone(),
            still: true,
            rest: signature.clone(),
            rest_us: time_us,
            left_us: None,
            elsewhere_us: None,
        }
    }

    /// Takes the next frame of the part. Returns when something began to happen in a still picture.
    fn follow(&mut self, time_us: i64, signature: &Signature) -> Option<i64> {
        let change = self.opening.change(signature);
        self.elsewhere_us = (change.n_blocks >= OTHER_VIEW).then(|| self.elsewhere_us.unwrap_or(time_us));
        let change = if self.still { change } else { self.rest.change(signature) };
        if change.is_none() {
            self.left_us = None;
            return None;
        }
        let left_us = *self.left_us.get_or_insert(time_us);
        if time_us - left_us < LASTING_US {
            return None;
        }
        self.rest = signature.clone();
        self.rest_us = time_us;
        self.left_us = None;
        std::mem::take(&mut self.still).then_some(left_us)
    }

    /// Returns when the picture came to rest; `None` if it changes, or if this rest is already taken into account.
    fn rests_since(&self) -> Option<i64> {
        (!self.still && self.left_us.is_none()).then_some(self.rest_us)
    }

    /// Returns the same if the picture has rested long enough.
    fn came_to_rest(&self, time_us: i64) -> Option<i64> {
        self.rests_since().filter(|rest_us| time_us - rest_us >= RESTED_US)
    }

    fn rests_from_its_beginning(&mut self) {
        self.still = true;
        self.opening = self.rest.clone();
        self.elsewhere_us = None;
    }

    /// Returns when another view began, if it has been shown long enough.
    fn went_elsewhere(&self, time_us: i64) -> Option<i64> {
        self.elsewhere_us.filter(|since_us| time_us - since_us >= LASTING_US)
    }
}

/// Builds scenes from frames and boundaries. Times are microseconds from the start of the video.
#[derive(Debug)]
pub(crate) struct SceneBuilder<P> {
    max_us: i64,
    min_part_us: i64,
    start_us: i64,
    boundary: Boundary,
    mixed_until_us: i64,
    clear_from_us: i64,
    /// Recent frames, including all of the past that is not settled.
    frames: VecDeque<(i64, Signature)>,
    /// How many of `frames` were already checked for a division.
    n_judged: usize,
    /// `None` until the part's first frame that is clear of a transition.
    history: Option<PictureHistory>,
    /// Where the part will be divided if the shot lasts long enough.
    division_us: Option<i64>,
    candidates: Candidates<P>,
    finished: Vec<FinishedScene<P>>,
}

impl<P> SceneBuilder<P> {
    /// Creates a builder. `max_us`: a moving shot is divided at the latest after this long.
    pub(crate) fn new(max_us: i64) -> Self {
        let max_us = max_us.max(2);
        Self {
            max_us,
            min_part_us: MIN_PART_US.min(max_us / 2),
            start_us: 0,
            boundary: Boundary::Start,
            mixed_until_us: 0,
            clear_from_us: 0,
            frames: VecDeque::new(),
            n_judged: 0,
            history: None,
            division_us: None,
            candidates: Candidates::new(),
            finished: Vec::new(),
        }
    }

    /// Takes the next frame. Times do not decrease. Returns whether one more picture is kept.
    pub(crate) fn frame(&mut self, time_us: i64, glimpse: &Glimpse, source: &mut impl Source<Picture = P>) -> bool {
        let signature = Signature::of(glimpse);
        let is_kept = self.candidates.offer(time_us, &signature, glimpse, source);
        self.frames.push_back((time_us, signature));
        is_kept
    }

    /// Takes a boundary: a new shot begins, perhaps some frames back.
    pub(crate) fn found(&mut self, found: Found) {
        let time_us = found.time_us();
        if time_us <= self.start_us {
            return;
        }
        let edge_us = EDGE_FRAMES * self.frame_us();
        let (from_us, until_us, edge_us, boundary) = match found {
            Found::Cut { .. } => (time_us, time_us, edge_us, Boundary::Cut),
            // The edges of a transition are part of it.
            Found::Gradual { start_us, end_us, .. } => (start_us, end_us, 1, Boundary::Gradual),
        };
        self.end_shot(time_us, from_us, edge_us);
        self.begin(time_us, boundary);
        self.mixed_until_us = until_us;
        self.clear_from_us = until_us.saturating_add(edge_us);
    }

    /// Divides the settled past: no boundary will come for a frame before `settled_us`.
    pub(crate) fn settled(&mut self, settled_us: i64) {
        self.judge(settled_us);
        self.candidates.settle(settled_us);
        let judged_us = self.frames.get(self.n_judged).map_or(settled_us, |(time_us, _)| *time_us);
        while self.n_judged > 0 && (self.frames.len() > MAX_SIGNATURES || self.frames[0].0 < judged_us - LOOK_BACK_US) {
            self.frames.pop_front();
            self.n_judged -= 1;
        }
    }

    /// Ends the last scene with the video.
    pub(crate) fn end(&mut self, end_us: i64) {
        let end_us = end_us.max(self.start_us + 1);
        self.end_shot(end_us, end_us, 0);
    }

    /// Returns the scenes finished since the last call, in order of time.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = FinishedScene<P>> + '_ {
        self.finished.drain(..)
    }

    /// Returns every picture kept, in order of time.
    pub(crate) fn pictures_mut(&mut self) -> impl Iterator<Item = &mut P> {
        self.candidates.pictures_mut()
    }

    /// Returns the time between the last two frames, at most [`MAX_FRAME_US`].
    fn frame_us(&self) -> i64 {
        match (self.frames.len().checked_sub(2).map(|at| self.frames[at].0), self.frames.back()) {
            (Some(before_us), Some((last_us, _))) => (last_us - before_us).clamp(0, MAX_FRAME_US),
            _ => 0,
        }
    }

    fn judge(&mut self, settled_us: i64) {
        while let Some((time_us, signature)) = self.frames.get(self.n_judged) {
            let time_us = *time_us;
            if time_us >= settled_us {
                return;
            }
            if let Some(division_us) = self.division_us {
                if time_us - division_us >= self.min_part_us {
                    self.finish(division_us, division_us, 0);
                    self.begin(division_us, Boundary::Part);
                    continue;
                }
            } else if time_us > self.mixed_until_us || self.boundary != Boundary::Gradual {
                let gap_us = self.n_judged.checked_sub(1).map_or(0, |before| time_us - self.frames[before].0);
                let history = self.history.get_or_insert_with(|| PictureHistory::begun(time_us, signature));
                let is_old_enough = |at_us: i64| at_us - self.start_us >= self.min_part_us;
                let happened = history.follow(time_us, signature).filter(|at_us| is_old_enough(*at_us));
                let rested = history.came_to_rest(time_us);
                if happened.is_some() {
                    self.division_us = happened;
                } else if rested.is_some_and(is_old_enough) {
                    self.division_us = rested;
                } else if rested.is_some() {
                    history.rests_from_its_beginning();
                } else if let Some(since_us) = history.went_elsewhere(time_us)
                    && is_old_enough(time_us)
                {
                    self.division_us = Some(since_us.max(self.start_us + self.min_part_us));
                } else if !history.still && time_us + gap_us - self.start_us > self.max_us {
                    // The picture may have come to rest too recently for that to be known.
                    let rest_us = history
                        .rests_since()
                        .filter(|rest_us| time_us - rest_us >= RESTING_US && is_old_enough(*rest_us));
                    self.division_us = Some(rest_us.unwrap_or(time_us));
                }
            }
            self.n_judged += 1;
        }
    }

    fn end_shot(&mut self, end_us: i64, mixed_from_us: i64, edge_us: i64) {
        // Every frame not judged yet is now in the settled past.
        self.judge(end_us);
        let division_us = self
            .division_us
            .take()
            .filter(|division_us| end_us - division_us >= self.min_part_us);
        // Too little may remain after a division that is required. The division then moves back, so that the rest is long enough.
        let division_us = division_us.or_else(|| {
            let moves = self.history.as_ref().is_some_and(|history| !history.still);
            let latest_us = end_us - self.min_part_us;
            let times = self.frames.iter().map(|(time_us, _)| *time_us);
            let mut inside = times.filter(|time_us| *time_us > self.start_us && *time_us <= latest_us);
            if moves && end_us - self.start_us > self.max_us {
                inside.next_back()
            } else {
                None
            }
        });
        if let Some(division_us) = division_us {
            self.finish(division_us, division_us, 0);
            self.begin(division_us, Boundary::Part);
        }
        self.finish(end_us, mixed_from_us, edge_us);
    }

    /// Hands out the part as a scene that ends here.
    fn finish(&mut self, end_us: i64, mixed_from_us: i64, edge_us: i64) {
        let candidates = self.candidates.take_until(end_us);
        self.finished.push(FinishedScene {
            start_us: self.start_us,
            end_us,
            boundary: self.boundary,
            mixed_until_us: self.mixed_until_us,
            mixed_from_us,
            clear_from_us: self.clear_from_us,
            clear_until_us: mixed_from_us - edge_us,
            candidates,
        });
    }

    fn begin(&mut self, start_us: i64, boundary: Boundary) {
        while self.frames.front().is_some_and(|(time_us, _)| *time_us < start_us) {
            self.frames.pop_front();
        }
        self.start_us = start_us;
        self.boundary = boundary;
        self.mixed_until_us = start_us;
        self.clear_from_us = start_us;
        self.n_judged = 0;
        self.history = None;
        self.division_us = None;
    }
}

#[cfg(test)]
mod tests;
