//! Limits what callers can start: a few at a time, a few in a row, and then one by one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct RateLimit {
    /// How many may run at once, and how many may start in a row.
    handful: u32,
    /// Interval after which one more may start.
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    n_running: u32,
    n_left: u32,
    counted_at: Instant,
}

/// The right to do one thing, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<RateLimit>);

impl RateLimit {
    pub(crate) fn new(handful: u32, every: Duration) -> Arc<Self> {
        let state = Mutex::new(State {
            n_running: 0,
            n_left: handful,
            counted_at: Instant::now(),
        });
        Arc::new(Self { handful, every, state })
    }

    /// Takes a permit if one is free now; never waits for one.
    pub(crate) fn take(self: &Arc<Self>, now: Instant) -> Option<Permit> {
        let mut state = self.state();
        let n_more = (now.saturating_duration_since(state.counted_at).as_millis() / self.every.as_millis().max(1)) as u32;
        if state.n_left + n_more >= self.handful {
            (state.n_left, state.counted_at) = (self.handful, now);
        } else {
            state.n_left += n_more;
            state.counted_at += self.every * n_more;
        }
        if state.n_left == 0 || state.n_running >= self.handful {
            return None;
        }
        state.n_left -= 1;
        state.n_running += 1;
        Some(Permit(Arc::clone(self)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.state().n_running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handful_at_once_a_handful_in_a_row_and_then_one_by_one() {
        let every = Duration::from_secs(8);
        let rate_limit = RateLimit::new(3, every);
        let start = Instant::now();
        let n_of = |n: usize, now: Instant| (0..n).filter_map(|_| rate_limit.take(now)).count();
        assert_eq!(n_of(1_000, start), 3, "each has ended at once");
        assert_eq!(n_of(1_000, start + every / 2), 0);
        assert_eq!(n_of(1_000, start + every * 3 / 2), 1);
        assert_eq!(n_of(1_000, start + every * 2), 1, "what was begun of a pause counts");
        assert_eq!(n_of(1_000, start + every * 100), 3, "no more than a handful is saved up");
        let held: Vec<Permit> = (0..9).filter_map(|n| rate_limit.take(start + every * (200 + n))).collect();
        assert_eq!(held.len(), 3, "none has ended");
        drop(held);
        assert!(rate_limit.take(start + every * 300).is_some());
    }
}
