//! Asks work on other threads to stop: one flag that wakes a waiting thread at once. In `scenectl`, Ctrl-C sets it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, Default)]
struct State {
    asked: bool,
    finished: bool,
}

/// Shared by the signal handler that asks, the command that waits, and the thread that downloads or runs a program. Clones share one flag.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Stop {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is two flags, so a thread that panicked while holding the lock has left it sound.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.shared.1.notify_all();
    }

    /// Asks all work to stop.
    pub fn ask(&self) {
        self.change(|state| state.asked = true);
    }

    /// Marks the beginning of another piece of work.
    pub fn begin(&self) {
        self.change(|state| state.finished = false);
    }

    /// Marks the end of the work, whether it succeeded or not.
    pub fn finish(&self) {
        self.change(|state| state.finished = true);
    }

    /// Returns whether all work was asked to stop.
    pub fn is_asked(&self) -> bool {
        self.state().asked
    }

    /// Waits for `duration`, or until all work is asked to stop; returns whether it was.
    pub fn wait(&self, duration: Duration) -> bool {
        self.until(Some(duration), |state| state.asked).asked
    }

    /// Waits until the work is over or was asked to stop, and then up to `moment` longer for it to end. Returns whether it is over.
    pub fn wait_for_end(&self, moment: Duration) -> bool {
        self.until(None, |state| state.asked || state.finished);
        self.until(Some(moment), |state| state.finished).finished
    }

    fn until(&self, limit: Option<Duration>, met: impl Fn(&State) -> bool) -> State {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut state = self.state();
        while !met(&state) {
            let left = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => break,
                Some(left) => left,
                None => Duration::from_hours(1),
            };
            state = self.shared.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_hears_at_once_that_it_shall_end() {
        let stop = Stop::default();
        let other = stop.clone();
        let waiting = std::thread::spawn(move || {
            let start = Instant::now();
            (other.wait(Duration::from_mins(1)), start.elapsed())
        });
        stop.ask();
        let (asked, waited) = waiting.join().unwrap();
        assert!(asked && waited < Duration::from_secs(30), "{waited:?}");
        assert!(!stop.wait_for_end(Duration::ZERO), "nobody has finished");
        stop.finish();
        assert!(stop.wait_for_end(Duration::ZERO));
        assert!(!Stop::default().wait(Duration::from_millis(1)));
    }
}
