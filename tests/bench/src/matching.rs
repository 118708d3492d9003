//! Pairs the true boundaries with the reported ones: one-to-one, and as many pairs as possible.

use crate::detections::Report;
use crate::manifest::{BenchVideo, Cut, Gradual};

/// Half a millisecond for reports that are rounded to milliseconds, and a little for the arithmetic.
const ROUNDING_MS: f64 = 0.51;

/// A range of time in which a report is right. Both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub low_ms: f64,
    pub high_ms: f64,
}

impl Window {
    /// Returns where a report of a cut is right within `tolerance` frames: up to half-way to the first frame that is too far.
    pub fn of_cut(video: &BenchVideo, cut: &Cut, tolerance: isize) -> Self {
        let between = |near, far| f64::midpoint(video.frame_ms(cut, near), video.frame_ms(cut, far));
        Self {
            low_ms: between(-tolerance, -tolerance - 1) - ROUNDING_MS,
            high_ms: between(tolerance, tolerance + 1) + ROUNDING_MS,
        }
    }

    /// Returns where a report of a gradual transition is right: within it, or a frame beside it.
    pub fn of_gradual(video: &BenchVideo, gradual: &Gradual) -> Self {
        let frame_ms = video.mean_frame_ms();
        Self {
            low_ms: gradual.start_ms - frame_ms - ROUNDING_MS,
            high_ms: gradual.end_ms + frame_ms + ROUNDING_MS,
        }
    }

    pub fn contains(&self, time_ms: f64) -> bool {
        (self.low_ms..=self.high_ms).contains(&time_ms)
    }

    /// Decides whether a report is right here: a point within the window or, for graduals only, a range that overlaps it.
    pub fn accepts(&self, report: &Report, by_overlap: bool) -> bool {
        match report.range_ms {
            Some((start_ms, end_ms)) if by_overlap => start_ms <= self.high_ms && end_ms >= self.low_ms,
            _ => self.contains(report.time_ms),
        }
    }
}

/// Pairs as many wanted things with candidates as possible, each with at most one (augmenting paths).
///
/// `fits[wanted]` lists the suitable candidates, best first. A wanted thing that has a candidate never loses its place in the pairing to a
/// later one. Returns the candidate of each wanted thing.
pub fn pair(fits: &[Vec<usize>], n_candidates: usize) -> Vec<Option<usize>> {
    let mut taken_by = vec![None; n_candidates];
    for wanted in 0..fits.len() {
        let mut seen = vec![false; n_candidates];
        assign(wanted, fits, &mut seen, &mut taken_by);
    }
    let mut paired = vec![None; fits.len()];
    for (candidate, wanted) in taken_by.iter().enumerate() {
        if let Some(wanted) = *wanted {
            paired[wanted] = Some(candidate);
        }
    }
    paired
}

fn assign(wanted: usize, fits: &[Vec<usize>], seen: &mut [bool], taken_by: &mut [Option<usize>]) -> bool {
    for &candidate in &fits[wanted] {
        if seen[candidate] {
            continue;
        }
        seen[candidate] = true;
        let is_free = match taken_by[candidate] {
            None => true,
            Some(other) => assign(other, fits, seen, taken_by),
        };
        if is_free {
            taken_by[candidate] = Some(wanted);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_paired_as_can_be() {
        // A greedy search would give candidate 0 to the first, and leave the second without one.
        assert_eq!(pair(&[vec![0, 1], vec![0]], 2), vec![Some(1), Some(0)]);
        assert_eq!(pair(&[vec![0, 1], vec![0], vec![1, 2]], 3), vec![Some(1), Some(0), Some(2)]);
    }

    #[test]
    fn nothing_is_paired_twice() {
        assert_eq!(pair(&[vec![0], vec![0]], 1), vec![Some(0), None]);
        assert_eq!(pair(&[vec![], vec![2]], 3), vec![None, Some(2)]);
    }

    #[test]
    fn as_many_pairs_as_an_exhaustive_search_finds() {
        // Every bipartite graph of three wanted things and three candidates.
        for graph in 0_u32..512 {
            let fits: Vec<Vec<usize>> = (0..3)
                .map(|wanted| (0..3).filter(|c| graph >> (3 * wanted + c) & 1 == 1).collect())
                .collect();
            let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
            let best = orders
                .iter()
                .map(|order| (0..3).filter(|wanted| fits[*wanted].contains(&order[*wanted])).count())
                .max();
            let paired = pair(&fits, 3);
            assert_eq!(paired.iter().flatten().count(), best.unwrap(), "{fits:?}");
            assert!(
                paired
                    .iter()
                    .enumerate()
                    .all(|(wanted, c)| c.is_none_or(|c| fits[wanted].contains(&c)))
            );
        }
    }
}
