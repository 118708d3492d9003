//! Wall-clock time for records. Intervals are measured with `Instant`, never with this.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix milliseconds; 0 before 1970.
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
