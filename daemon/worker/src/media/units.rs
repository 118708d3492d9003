//! Conversions to milliseconds, the daemon's unit.

use std::time::Instant;

/// Converts a time of the video and rounds it. A time before the beginning becomes the beginning.
pub(crate) fn us_to_ms(us: i64) -> u64 {
    ((us.max(0) + 500) / 1000) as u64
}

/// Returns how long a stage has taken since it began.
pub(crate) fn elapsed_ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
