//! How long a worker may take for an answer.

use std::time::{Duration, Instant};

use super::processor_time;

/// Half an hour with a limit of a minute.
const MAX_HALVES: u32 = 60;

/// A limit on waiting that tells a hung worker from a starved one.
///
/// Workers run at idle priority: on a busy machine one may get next to no processor for minutes, and what it works on is not to blame.
/// So the limit is counted in two halves. After the first the worker's processor time is noted; after the second it is hung if it
/// used none of it (it waits for something that does not come) or most of it (it works and gets nowhere), else it was starved and
/// gets another half, up to [`MAX_HALVES`].
#[derive(Debug)]
pub(crate) struct Patience {
    worker: u32,
    half: Duration,
    deadline: Instant,
    n_halves: u32,
    processor_time: Option<Duration>,
}

impl Patience {
    /// Begins to wait for the process `worker`.
    pub(crate) fn new(worker: u32, limit: Duration) -> Self {
        let half = limit / 2;
        Self {
            worker,
            half,
            deadline: Instant::now() + half,
            n_halves: 1,
            processor_time: None,
        }
    }

    /// When to ask again whether it [is over](Self::is_over).
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the worker has had all the time that it gets; looks at it where a half has passed.
    pub(crate) fn is_over(&mut self) -> bool {
        if Instant::now() < self.deadline {
            return false;
        }
        let now = processor_time(self.worker);
        let starved = match (self.processor_time, now) {
            (Some(before), Some(now)) => {
                let used = now.saturating_sub(before);
                !used.is_zero() && used < self.half / 2
            }
            (None, _) | (_, None) => self.n_halves == 1,
        };
        self.processor_time = now;
        self.n_halves += 1;
        self.deadline = Instant::now() + self.half;
        !starved || self.n_halves > MAX_HALVES
    }
}
