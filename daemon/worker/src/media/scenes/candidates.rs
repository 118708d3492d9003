//! The frames that may represent a scene: few, sharp, spread over the scene, and bounded in number. Pure.
//!
//! Which scene a frame belongs to is known a second or two after it was seen. Until then, one frame is kept for each fifth of a second in
//! which the picture changes. One is also kept for each picture between two jumps, which may turn out to be a short shot. Settled frames
//! are thinned out.

use super::signature::{self, BLOCKS, Signature};
use crate::media::pixels::glimpse::Glimpse;

/// A frame may begin another shot if this many blocks changed.
const JUMP: u32 = BLOCKS as u32 * 3 / 10;
/// A picture that lasts less than this between two jumps is a flash, or passes too fast to be seen. Microseconds.
const FLASH_US: i64 = 100_000;
/// One frame is kept for each interval of this length while the picture changes. Microseconds.
const CHANGING_US: i64 = 200_000;
/// The same while the picture does not change. Microseconds.
const STILL_US: i64 = 1_000_000;
/// The same intervals once it is settled which scene the frames belong to. Microseconds.
const SETTLED_CHANGING_US: i64 = 500_000;
const SETTLED_STILL_US: i64 = 2_000_000;
/// Most frames kept. A scene gives at most 16; the others improve the choice.
pub(crate) const MAX_CANDIDATES: usize = 64;

/// Properties of a frame beyond its glimpse. They are computed on request, since that costs time.
pub(crate) trait Source {
    type Picture;

    /// Returns the sharpness, comparable only between frames near in time.
    fn sharpness(&mut self) -> u32;

    /// Returns the picture; `None` if it cannot be kept.
    fn picture(&mut self) -> Option<Self::Picture>;
}

/// A frame that may represent its scene.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate<P> {
    pub(crate) time_us: i64,
    pub(crate) signature: Signature,
    pub(crate) sharpness: u32,
    /// Whether it shows nothing. Such a frame is chosen only if there is no other.
    pub(crate) blank: bool,
    pub(crate) picture: P,
}

impl<P> Candidate<P> {
    fn of(time_us: i64, sharpness: u32, signature: &Signature, glimpse: &Glimpse, source: &mut impl Source<Picture = P>) -> Option<Self> {
        Some(Self {
            time_us,
            signature: signature.clone(),
            sharpness,
            blank: signature::is_blank(glimpse),
            picture: source.picture()?,
        })
    }

    fn is_better_than(&self, other: &Self) -> bool {
        (other.blank, self.sharpness) > (self.blank, other.sharpness.saturating_add(other.sharpness / 8))
    }
}

/// The candidates of the current scene, and of scenes that may have begun since.
#[derive(Debug)]
pub(crate) struct Candidates<P> {
    held: Vec<Candidate<P>>,
    /// How many of them are already thinned out.
    n_settled: usize,
    /// When the newest candidate's interval began.
    begun_us: i64,
    /// Whether the interval began with a jump and is still at its first frames, which codecs often leave blurred.
    fresh: bool,
}

impl<P> Candidates<P> {
    pub(crate) fn new() -> Self {
        Self {
            held: Vec::with_capacity(MAX_CANDIDATES + 1),
            n_settled: 0,
            begun_us: 0,
            fresh: true,
        }
    }

    /// Takes the next frame. Returns whether there is one more candidate.
    pub(crate) fn offer(&mut self, time_us: i64, signature: &Signature, glimpse: &Glimpse, source: &mut impl Source<Picture = P>) -> bool {
        let Some(newest) = self.held.last() else {
            return self.add(time_us, true, signature, glimpse, source);
        };
        let change = newest.signature.change(signature);
        let age_us = time_us - self.begun_us;
        if change.n_blocks >= JUMP {
            if age_us >= FLASH_US {
                return self.add(time_us, true, signature, glimpse, source);
            }
            self.fresh = true;
            self.replace(time_us, source.sharpness(), signature, glimpse, source);
        } else if age_us >= STILL_US || !change.is_none() && age_us >= CHANGING_US {
            return self.add(time_us, false, signature, glimpse, source);
        } else if age_us < CHANGING_US {
            let sharpness = source.sharpness();
            let margin = newest.sharpness / 8;
            let limit = if self.fresh {
                newest.sharpness - margin
            } else {
                newest.sharpness.saturating_add(margin)
            };
            // The second frame after a jump is still near it.
            self.fresh = self.fresh && newest.time_us == self.begun_us;
            if sharpness > limit {
                self.replace(time_us, sharpness, signature, glimpse, source);
            }
        }
        false
    }

    fn add(&mut self, time_us: i64, jumped: bool, signature: &Signature, glimpse: &Glimpse, source: &mut impl Source<Picture = P>) -> bool {
        let Some(candidate) = Candidate::of(time_us, source.sharpness(), signature, glimpse, source) else {
            return false;
        };
        self.begun_us = time_us;
        self.fresh = jumped;
        self.held.push(candidate);
        if self.held.len() > MAX_CANDIDATES {
            self.drop_least();
        }
        true
    }

    /// Replaces the newest candidate with a frame of the same interval.
    fn replace(&mut self, time_us: i64, sharpness: u32, signature: &Signature, glimpse: &Glimpse, source: &mut impl Source<Picture = P>) {
        let candidate = Candidate::of(time_us, sharpness, signature, glimpse, source);
        if let (Some(newest), Some(candidate)) = (self.held.last_mut(), candidate) {
            *newest = candidate;
        }
    }

    /// Thins out the candidates before this time, where no scene will begin any more.
    pub(crate) fn settle(&mut self, settled_us: i64) {
        while self.n_settled + 1 < self.held.len() && self.held[self.n_settled].time_us < settled_us {
            let Some(before) = self.n_settled.checked_sub(1) else {
                self.n_settled += 1;
                continue;
            };
            let (last, this) = (&self.held[before], &self.held[self.n_settled]);
            let change = last.signature.change(&this.signature);
            let spacing_us = if change.is_none() { SETTLED_STILL_US } else { SETTLED_CHANGING_US };
            if this.time_us - last.time_us >= spacing_us {
                self.n_settled += 1;
                continue;
            }
            let worse = if this.is_better_than(last) { before } else { self.n_settled };
            self.held.remove(worse);
        }
    }

    /// Drops the candidate that is missed least: one like the one before it, and with neighbours close to each other in time.
    fn drop_least(&mut self) {
        let least = (1..self.held.len() - 1).min_by_key(|at| {
            let (last, this) = (&self.held[at - 1], &self.held[*at]);
            // The gap that dropping it would leave.
            let gap_us = self.held[at + 1].time_us - last.time_us;
            (!last.signature.change(&this.signature).is_none(), gap_us)
        });
        if let Some(least) = least {
            self.held.remove(least);
            self.n_settled -= usize::from(least < self.n_settled);
        }
    }

    /// Removes and returns the candidates before a time, in order of time.
    pub(crate) fn take_until(&mut self, end_us: i64) -> Vec<Candidate<P>> {
        let n = self.held.partition_point(|candidate| candidate.time_us < end_us);
        self.n_settled = self.n_settled.saturating_sub(n);
        self.held.drain(..n).collect()
    }

    pub(crate) fn pictures_mut(&mut self) -> impl Iterator<Item = &mut P> {
        self.held.iter_mut().map(|candidate| &mut candidate.picture)
    }
}

#[cfg(test)]
mod tests;
