//! Milliseconds, as the daemon is sent them.

use std::time::Instant;

/// A time of the video, rounded; what lies before its beginning is its beginning.
pub(crate) fn us_to_ms(us: i64) -> u64 {
    ((us.max(0) + 500) / 1000) as u64
}

/// How long a stage has taken since it began.
pub(crate) fn elapsed_ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
