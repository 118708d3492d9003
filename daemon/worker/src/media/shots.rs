//! Finds where shots begin: cuts to the frame, and gradual transitions (dissolves, fades, wipes) with their range.
//!
//! Pure: sees glimpses and times, knows neither FFmpeg nor pipes. Boundaries are told late, because a transition is known only by
//! what follows it; [`ShotDetector::settled_us`] says which past will not change any more.

use std::collections::VecDeque;

use super::glimpse::Glimpse;

/// Where a shot begins. Times are those of frames, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// `time_us`: the first frame of the new shot.
    Cut { time_us: i64 },
    /// The pictures from `start_us` to `end_us` belong to both shots or to none; the new shot begins at `time_us`: the middle of
    /// a dissolve, the darkest moment of a fade.
    #[expect(dead_code, reason = "found with the next commits")]
    Gradual { start_us: i64, time_us: i64, end_us: i64 },
}

impl Found {
    pub(crate) fn time_us(self) -> i64 {
        match self {
            Self::Cut { time_us } | Self::Gradual { time_us, .. } => time_us,
        }
    }
}

/// Mean change at which a frame may begin a shot.
const MIN_CHANGE: f32 = 12.0;
/// How many times the neighbours' change a cut has.
const RATIO: f32 = 3.0;
const NEIGHBOURS: usize = 2;

/// Looks at consecutive frames of one film or of one part of it.
#[derive(Debug, Default)]
pub(crate) struct ShotDetector {
    before: Option<Glimpse>,
    recent: VecDeque<(i64, f32)>,
    found: VecDeque<Found>,
}

impl ShotDetector {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the next frame. Times do not decrease.
    pub(crate) fn push(&mut self, time_us: i64, glimpse: &Glimpse) {
        let change = self.before.as_ref().map_or(0.0, |before| change(before, glimpse));
        match &mut self.before {
            Some(before) => before.clone_from(glimpse),
            none => *none = Some(glimpse.clone()),
        }
        self.judge(time_us, change);
    }

    /// No frame follows: what is still open is decided now.
    pub(crate) fn finish(&mut self) {
        let last_us = self.recent.back().map_or(0, |(time, _)| *time);
        for _ in 0..NEIGHBOURS {
            self.judge(last_us, 0.0);
        }
    }

    /// The next boundary that is certain, in order of time.
    pub(crate) fn next(&mut self) -> Option<Found> {
        self.found.pop_front()
    }

    /// No boundary will be told any more that begins before this time.
    pub(crate) fn settled_us(&self) -> i64 {
        self.recent.front().map_or(i64::MIN, |(time, _)| *time)
    }

    fn judge(&mut self, time_us: i64, change: f32) {
        self.recent.push_back((time_us, change));
        if self.recent.len() <= 2 * NEIGHBOURS {
            return;
        }
        let (target_us, target) = self.recent[NEIGHBOURS];
        let sum: f32 = self.recent.iter().map(|(_, change)| change).sum();
        let mean = (sum - target) / (2 * NEIGHBOURS) as f32;
        if target >= MIN_CHANGE && target >= RATIO * mean {
            self.found.push_back(Found::Cut { time_us: target_us });
        }
        self.recent.pop_front();
    }
}

fn change(before: &Glimpse, after: &Glimpse) -> f32 {
    let sum = |a: &[u8], b: &[u8]| -> u32 { a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum() };
    let luma = sum(&before.luma, &after.luma) as f32 / before.luma.len() as f32;
    let chroma = (sum(&before.blue, &after.blue) + sum(&before.red, &after.red)) as f32 / (2 * before.blue.len()) as f32;
    luma + chroma
}
