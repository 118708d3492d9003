//! Asking work on other threads to end: one flag that a waiting thread hears at once. In `scenectl` Ctrl-C asks.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, Default)]
struct State {
    asked: bool,
    finished: bool,
}

/// Shared by who asks (a signal handler), who waits (the command) and who works (a thread that downloads, or runs a program). Clones
/// are the same flag.
#[derive(Clone, Debug, Default)]
pub struct Stop {
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
    pub fn ask(&self) {
        self.change(|state| state.asked = true);
    }

    /// Says that another piece of work begins.
    pub fn begin(&self) {
        self.change(|state| state.finished = false);
    }

    /// Says that the work is over, one way or the other.
    pub fn finish(&self) {
        self.change(|state| state.finished = true);
    }

    /// Whether somebody has asked everybody to end.
    pub fn is_asked(&self) -> bool {
        self.state().asked
    }

    /// Waits so long, or until it is asked to end; says whether it was.
    pub fn wait(&self, duration: Duration) -> bool {
        self.until(Some(duration), |state| state.asked).asked
    }

    /// Waits until the work is over or has been told to end, and then a moment longer for it to obey; says whether it is over.
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
