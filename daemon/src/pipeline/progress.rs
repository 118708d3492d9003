//! Measures how fast indexing is and estimates how long it will take.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The rate is measured over this period before now.
const WINDOW: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    pub path: PathBuf,
    pub position_ms: u64,
    pub duration_ms: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub current: Vec<Current>,
    /// Seconds of video per second of work; 0 = unknown.
    pub rate: f64,
    /// Estimated from the mean length of the videos done in the window.
    pub left_ms: Option<u64>,
    /// Indexed videos that get vectors of another model.
    pub catching_up: Option<CatchingUp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchingUp {
    pub n_left: u64,
    pub left_ms: Option<u64>,
}

/// The jobs that ended recently.
#[derive(Debug, Default)]
pub(super) struct Pace {
    since: Option<Instant>,
    /// The end of each job, and the length of its video in milliseconds; 0 if the job failed or decoded nothing. That counts as an end as
    /// well, because the next job then begins.
    done: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// Notes that a job began. After a long pause, the clock restarts.
    pub(super) fn began(&mut self, now: Instant) {
        self.forget(now);
        if self.done.is_empty() {
            self.since = Some(now);
        }
    }

    pub(super) fn finished(&mut self, duration_ms: u64, now: Instant) {
        self.done.push_back((now, duration_ms));
        self.forget(now);
    }

    fn forget(&mut self, now: Instant) {
        while self.done.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW) {
            self.done.pop_front();
        }
    }

    pub(super) fn report(&self, current: Vec<Current>, n_waiting: usize, now: Instant) -> Progress {
        let recent: Vec<u64> = self
            .done
            .iter()
            .filter(|(at, _)| now.saturating_duration_since(*at) <= WINDOW)
            .map(|(_, ms)| *ms)
            .collect();
        let finished_ms: u64 = recent.iter().sum();
        let partial_ms: u64 = current.iter().map(|job| job.position_ms).sum();
        let worked = self
            .since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
            .min(WINDOW);
        let rate = if worked.is_zero() {
            0.0
        } else {
            (finished_ms + partial_ms) as f64 / 1000.0 / worked.as_secs_f64()
        };
        let busy = n_waiting > 0 || !current.is_empty();
        let left_ms = (busy && !recent.is_empty()).then(|| {
            let current_ms: f64 = current
                .iter()
                .map(|job| job.duration_ms.saturating_sub(job.position_ms) as f64)
                .sum();
            let current_left_ms = if rate > 0.0 { current_ms / rate } else { 0.0 };
            // If all recent jobs failed, only their number says how long the others will take.
            let all_ms = if finished_ms > 0 {
                finished_ms as f64 / rate
            } else {
                worked.as_millis() as f64
            };
            (all_ms / recent.len() as f64 * n_waiting as f64 + current_left_ms) as u64
        });
        Progress {
            current,
            rate,
            left_ms,
            catching_up: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_video_time_over_wall_time() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.began(start);
        pace.finished(30_000, start + Duration::from_secs(5));
        pace.finished(30_000, start + Duration::from_secs(10));
        let progress = pace.report(Vec::new(), 4, start + Duration::from_secs(10));
        assert!((progress.rate - 6.0).abs() < 1e-9, "{progress:?}");
        assert_eq!(progress.left_ms, Some(20_000));
    }

    #[test]
    fn what_fails_at_once_takes_no_time_of_those_that_wait() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        pace.began(start);
        pace.finished(30_000, at(3));
        for second in 4..=30 {
            for _ in 0..10 {
                pace.finished(0, at(second));
            }
        }
        let left_ms = pace.report(Vec::new(), 2_000, at(30)).left_ms.unwrap();
        assert!((200_000..240_000).contains(&left_ms), "some 9 a second: {left_ms}");
        // All jobs fail.
        let mut pace = Pace::default();
        pace.began(start);
        (1..=10).for_each(|second| pace.finished(0, at(second)));
        assert_eq!(pace.report(Vec::new(), 30, at(10)).left_ms, Some(30_000));
    }

    #[test]
    fn nothing_is_promised_before_anything_is_done() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.began(start);
        assert_eq!(pace.report(Vec::new(), 4, start + Duration::from_secs(1)).left_ms, None);
    }

    #[test]
    fn the_past_beyond_the_window_is_forgotten() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.began(start);
        pace.finished(1_000, start);
        let later = start + Duration::from_hours(1);
        pace.began(later);
        pace.finished(20_000, later + Duration::from_secs(2));
        assert!((pace.report(Vec::new(), 0, later + Duration::from_secs(2)).rate - 10.0).abs() < 1e-9);
    }
}
