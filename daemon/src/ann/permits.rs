//! A counting semaphore that allows as many simultaneous searches as usearch has threads for.

use std::sync::{Condvar, Mutex, PoisonError};

pub(super) struct Permits {
    free: Mutex<usize>,
    freed: Condvar,
    total: usize,
}

/// Gives its permit back when dropped.
pub(super) struct Permit<'a>(&'a Permits);

impl Permits {
    pub(super) fn new(total: usize) -> Self {
        Self {
            free: Mutex::new(total),
            freed: Condvar::new(),
            total,
        }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Waits for a permit; searches are short.
    pub(super) fn acquire(&self) -> Permit<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
