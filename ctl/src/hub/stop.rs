//! Ctrl-C: one flag that a waiting thread hears at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, Default)]
struct State {
    asked: bool,
    finished: bool,
}

/// Shared by the signal handler, the command and the thread that downloads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Stop {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is two flags that are only ever set: a thread that died holding the lock has left them sound.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.shared.1.notify_all();
    }

    /// Asks everybody to end.
    pub(crate) fn ask(&self) {
        self.change(|state| state.asked = true);
    }

    /// Says that another piece of work begins.
    pub(crate) fn begin(&self) {
        self.change(|state| state.finished = false);
    }

    /// Says that the work is over, one way or the other.
    pub(crate) fn finish(&self) {
        self.change(|state| state.finished = true);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.state().asked
    }

    /// Waits so long, or until it is asked to end; says whether it was.
    pub(crate) fn wait(&self, duration: Duration) -> bool {
        self.until(Some(duration), |state| state.asked).asked
    }

    /// Waits until the work is over or has been told to end, and then a moment longer for it to obey; says whether it is over.
    pub(crate) fn wait_for_end(&self, moment: Duration) -> bool {
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
