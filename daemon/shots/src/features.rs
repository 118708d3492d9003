//! Turns frames into rows of numbers: one row for each frame to find cuts, and one for each step to find gradual transitions.
//!
//! A step is at least [`STEP_US`] long, so that transitions look alike at every frame rate.

use crate::change::{CHROMA_STEPS, LUMA_STEPS, N_BETWEEN, N_COMPARED, N_FOLLOWED, between, compare, follow_motion};
use crate::sketch::Sketch;

/// Each frame is compared to the frames this far back.
const LAGS: [usize; 5] = [1, 2, 3, 5, 8];
const MAX_LAG: usize = 8;
const N_STATE: usize = 5;
/// Number of values in a row about one frame.
pub const N_CUT: usize = LAGS.len() * N_COMPARED + N_FOLLOWED + N_STATE + 2;

/// Each step is compared with the steps this far before and after it.
const REACHES: [usize; 4] = [2, 4, 8, 12];
/// Number of steps by which a row about a step is late.
pub const MAX_REACH: usize = 12;
/// Number of values in a row about one step.
pub const N_GRADUAL: usize = REACHES.len() * (N_COMPARED + N_BETWEEN) + N_COMPARED + N_STATE + 1;
/// Shortest time of a step. Microseconds.
pub const STEP_US: i64 = 58_000;

/// Usual durations of a frame and of a step; others are measured against them. Microseconds.
const USUAL_FRAME_US: f32 = 40_000.0;
const USUAL_STEP_US: f32 = 80_000.0;

/// The last frames. They relate the newest one to those before it.
#[derive(Debug)]
pub struct Frames {
    ring: Vec<Sketch>,
    n: usize,
    last_us: i64,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            ring: vec![Sketch::default(); MAX_LAG + 1],
            n: 0,
            last_us: 0,
        }
    }
}

impl Frames {
    /// Returns the place for the next frame's sketch.
    pub fn blank(&mut self) -> &mut Sketch {
        let at = self.n % self.ring.len();
        &mut self.ring[at]
    }

    /// Takes the frame drawn into [`Self::blank`] and writes its row.
    pub fn push(&mut self, time_us: i64, row: &mut [f32; N_CUT]) -> &Sketch {
        let newest = self.n;
        let back = |lag: usize| &self.ring[newest.saturating_sub(lag) % self.ring.len()];
        let now = back(0);
        let mut rest = Row(row);
        let mut luma_change = 0.0;
        for lag in LAGS {
            let numbers = rest.take(N_COMPARED);
            compare(back(lag), now, numbers);
            if lag == 1 {
                luma_change = numbers[0];
            }
        }
        let before = back(1);
        follow_motion(before, now, luma_change, rest.take(N_FOLLOWED));
        state(now, rest.take(N_STATE));
        let elapsed_us = if newest == 0 {
            USUAL_FRAME_US
        } else {
            (time_us - self.last_us) as f32
        };
        let pace_and_light = rest.take(2);
        pace_and_light[0] = (now.mean - before.mean) * 4.0;
        pace_and_light[1] = pace(elapsed_us, USUAL_FRAME_US);
        self.n += 1;
        self.last_us = time_us;
        &self.ring[newest % self.ring.len()]
    }
}

/// The last steps. They relate the middle one to those around it.
#[derive(Debug)]
pub struct Steps {
    ring: Vec<(i64, Sketch)>,
    n: usize,
    /// Number of steps whose row has been written.
    n_told: usize,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            ring: vec![(0, Sketch::default()); 2 * MAX_REACH + 1],
            n: 0,
            n_told: 0,
        }
    }
}

impl Steps {
    /// Returns whether a frame at this time begins a step.
    pub fn wants(&self, time_us: i64) -> bool {
        self.n == 0 || time_us - self.at(self.n - 1).0 >= STEP_US
    }

    /// Takes the next step. Writes the row about the step [`MAX_REACH`] back, if there is one, and returns that step's time.
    pub fn push(&mut self, time_us: i64, sketch: &Sketch, row: &mut [f32; N_GRADUAL]) -> Option<i64> {
        let at = self.n % self.ring.len();
        self.ring[at].0 = time_us;
        self.ring[at].1.clone_from(sketch);
        self.n += 1;
        (self.n > MAX_REACH).then(|| self.tell(row))
    }

    /// Writes the row about the next step after the last step has been pushed, and returns that step's time.
    pub fn finish(&mut self, row: &mut [f32; N_GRADUAL]) -> Option<i64> {
        (self.n_told < self.n).then(|| self.tell(row))
    }

    fn at(&self, n: usize) -> &(i64, Sketch) {
        &self.ring[n % self.ring.len()]
    }

    fn tell(&mut self, row: &mut [f32; N_GRADUAL]) -> i64 {
        let middle = self.n_told;
        self.n_told += 1;
        let sketch = |n: usize| &self.at(n.min(self.n - 1)).1;
        let now = sketch(middle);
        let mut rest = Row(row);
        for reach in REACHES {
            let (first, last) = (sketch(middle.saturating_sub(reach)), sketch(middle + reach));
            compare(first, last, rest.take(N_COMPARED));
            between(first, now, last, rest.take(N_BETWEEN));
        }
        compare(sketch(middle.saturating_sub(1)), now, rest.take(N_COMPARED));
        state(now, rest.take(N_STATE));
        let time_us = self.at(middle).0;
        let elapsed_us = middle
            .checked_sub(1)
            .map_or(USUAL_STEP_US, |before| (time_us - self.at(before).0) as f32);
        rest.take(1)[0] = pace(elapsed_us, USUAL_STEP_US);
        time_us
    }
}

/// Returns the mean change from the previous frame, as its row gives it, in 8-bit steps of luma and of chroma.
pub fn luma_and_chroma_change(row: &[f32; N_CUT]) -> (f32, f32) {
    (row[0] * row[0] * LUMA_STEPS, row[1] * row[1] * CHROMA_STEPS)
}

fn state(sketch: &Sketch, into: &mut [f32]) {
    into.copy_from_slice(&[sketch.mean, sketch.deviation, sketch.detail, sketch.black, sketch.white]);
}

/// Returns how long a frame or step is compared to the usual one, in doublings.
fn pace(elapsed_us: f32, usual_us: f32) -> f32 {
    (elapsed_us.max(1.0) / usual_us).log2().clamp(-3.0, 3.0)
}

/// A row while it is being written.
struct Row<'a>(&'a mut [f32]);

impl<'a> Row<'a> {
    /// Returns its next `n` numbers.
    fn take(&mut self, n: usize) -> &'a mut [f32] {
        let (head, tail) = std::mem::take(&mut self.0).split_at_mut(n);
        self.0 = tail;
        head
    }
}
