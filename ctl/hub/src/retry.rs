//! When a failed attempt is worth repeating: how often, and after which pause.

use std::time::{Duration, Instant};

use scened_shared::stop::Stop;

use crate::Watcher;
use crate::error::HubError;

/// After this long without progress an installation is given up, even if attempts are left.
const FRUITLESS_LIMIT: Duration = Duration::from_mins(2);
/// Consecutive failed attempts after which a request is given up.
const MAX_TRIES: u32 = 6;
/// The first pause between attempts; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// If a server asks for a longer wait than this, we give up instead.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Worth a retry, after the pause that the server asks for.
    Passing {
        error: HubError,
        pause: Option<Duration>,
    },
    Final(HubError),
}

impl From<HubError> for Trouble {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

/// Counts consecutive failures of one request, and waits between attempts.
pub(crate) struct Retries<'a> {
    stop: &'a Stop,
    watcher: &'a dyn Watcher,
    n_failures: u32,
    /// When the last progress was made, or the first attempt began.
    fruitful_at: Instant,
    /// How long the server made us wait since then.
    paused: Duration,
}

impl<'a> Retries<'a> {
    pub(crate) fn new(stop: &'a Stop, watcher: &'a dyn Watcher) -> Self {
        Self {
            stop,
            watcher,
            n_failures: 0,
            fruitful_at: Instant::now(),
            paused: Duration::ZERO,
        }
    }

    /// Waits before another attempt, or returns the error if there were enough.
    pub(crate) fn failed(&mut self, trouble: Trouble) -> Result<(), HubError> {
        let (error, pause) = match trouble {
            Trouble::Final(error) => return Err(error),
            Trouble::Passing { error, pause } => (error, pause),
        };
        self.n_failures += 1;
        let is_fruitless = self.fruitful_at.elapsed() >= FRUITLESS_LIMIT + self.paused;
        self.paused += pause.unwrap_or_default();
        if self.n_failures >= MAX_TRIES || is_fruitless || self.paused > LONGEST_PAUSE {
            return Err(error);
        }
        let pause = pause.unwrap_or(FIRST_PAUSE * 2_u32.pow(self.n_failures - 1));
        self.watcher.retry(&error.to_string());
        if self.stop.wait(pause) {
            return Err(HubError::Interrupted);
        }
        Ok(())
    }

    /// Resets the count: an attempt has made progress, so earlier failures no longer matter.
    pub(crate) fn renew(&mut self) {
        *self = Self::new(self.stop, self.watcher);
    }
}
