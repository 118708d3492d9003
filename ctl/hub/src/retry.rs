//! What did not work and may work yet: how often it is tried again, and after which pause.

use std::time::{Duration, Instant};

use scened_shared::stop::Stop;

use crate::Watcher;
use crate::error::HubError;

/// Without anything new for so long an installation is given up, however many tries are left.
const FRUITLESS_LIMIT: Duration = Duration::from_mins(2);
/// Tries of one request that all fail, before it is given up.
const MAX_TRIES: u32 = 6;
/// The first pause between tries; each one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A server that asks to wait longer than this is not waited for.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// Why a try brought nothing.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Worth another try, after the pause that the server asks for.
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

/// Counts tries of one request that fail in a row, and waits between them.
pub(crate) struct Retries<'a> {
    stop: &'a Stop,
    watcher: &'a dyn Watcher,
    n_failures: u32,
    /// When something worth having came last, or might have come first.
    fruitful_at: Instant,
    /// How long the server had us wait since then.
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

    /// Waits before another try, or hands the error back when there have been enough.
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

    /// Something worth having has come: failures before it count no more.
    pub(crate) fn renew(&mut self) {
        *self = Self::new(self.stop, self.watcher);
    }
}
