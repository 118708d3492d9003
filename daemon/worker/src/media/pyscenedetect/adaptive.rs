//! PySceneDetect's `AdaptiveDetector`: compares a frame's content score with the mean of its neighbours'.

use std::collections::VecDeque;

/// Number of neighbours on each side.
const WINDOW: usize = 2;
/// Minimum ratio of a cut's score to the neighbours' mean.
const RATIO: f64 = 3.0;
/// Minimum content score of a cut.
const MIN_CONTENT: f64 = 15.0;
const MAX_RATIO: f64 = 255.0;

#[derive(Debug)]
pub(crate) struct AdaptiveRule {
    min_scene_us: i64,
    /// The last `2 × WINDOW + 1` frames: time and content score.
    recent: VecDeque<(i64, f64)>,
    last_cut_us: Option<i64>,
}

impl AdaptiveRule {
    pub(crate) fn new(min_scene_us: i64) -> Self {
        Self {
            min_scene_us,
            recent: VecDeque::with_capacity(2 * WINDOW + 2),
            last_cut_us: None,
        }
    }

    /// Adds the next frame's content score. A cut is reported `WINDOW` frames late.
    pub(crate) fn push(&mut self, time_us: i64, score: f64) -> Option<i64> {
        let last_cut = *self.last_cut_us.get_or_insert(time_us);
        self.recent.push_back((time_us, score));
        if self.recent.len() <= 2 * WINDOW {
            return None;
        }
        let (target_us, target_score) = self.recent[WINDOW];
        let neighbours: f64 = self
            .recent
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != WINDOW)
            .map(|(_, (_, s))| s)
            .sum();
        self.recent.pop_front();
        let mean = neighbours / (2 * WINDOW) as f64;
        let ratio = if mean.abs() >= 0.00001 {
            (target_score / mean).min(MAX_RATIO)
        } else if target_score >= MIN_CONTENT {
            MAX_RATIO
        } else {
            0.0
        };
        if ratio >= RATIO && target_score >= MIN_CONTENT && target_us - last_cut >= self.min_scene_us {
            self.last_cut_us = Some(target_us);
            return Some(target_us);
        }
        None
    }

    /// Returns a time before which no more cuts will be reported.
    pub(crate) fn settled_us(&self) -> i64 {
        // The next candidate: after each decision the oldest frame was dropped, so it is again at `WINDOW`.
        self.recent.get(WINDOW).or(self.recent.front()).map_or(i64::MIN, |(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scores: &[f64], expected: &[i64]) {
        let mut rule = AdaptiveRule::new(600_000);
        let mut cuts = Vec::new();
        for (n, score) in scores.iter().enumerate() {
            let settled = rule.settled_us();
            if let Some(cut) = rule.push(n as i64 * 100_000, *score) {
                assert!(cut >= settled, "a cut at {cut} in the settled past before {settled}");
                cuts.push(cut / 100_000);
            }
        }
        assert_eq!(cuts, expected, "{scores:?}");
    }

    #[test]
    fn a_peak_over_quiet_neighbours_is_a_cut() {
        check(&[0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 20.0, 1.0, 1.0, 1.0], &[7]);
    }

    #[test]
    fn a_peak_in_motion_or_too_low_is_none() {
        check(&[9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 20.0, 9.0, 9.0, 9.0], &[]);
        check(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 14.9, 1.0, 1.0, 1.0], &[]);
    }

    #[test]
    fn a_still_picture_does_not_divide_by_zero() {
        check(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 30.0, 0.0, 0.0, 0.0], &[7]);
        check(&[0.0; 12], &[]);
    }

    #[test]
    fn cuts_nearer_than_the_shortest_scene_are_dropped() {
        check(
            &[1.0, 1.0, 1.0, 30.0, 1.0, 1.0, 1.0, 1.0, 30.0, 1.0, 1.0, 1.0, 30.0, 1.0, 1.0],
            &[8],
        );
    }
}
