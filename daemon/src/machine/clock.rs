//! Wall-clock time for records. Intervals are measured with `Instant` instead.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the time in Unix milliseconds; 0 before 1970.
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Returns the age of a moment in words, in the largest unit that fits.
pub fn ago(then_ms: i64) -> String {
    let minutes = now_ms().saturating_sub(then_ms).max(0) / 60_000;
    let (n, unit) = match minutes {
        0 => return "less than a minute ago".to_owned(),
        1..120 => (minutes, "minute"),
        120..2880 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    format!("{n} {unit}{} ago", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_the_unit_that_fits() {
        for (minutes, text) in [
            (0, "less than a minute ago"),
            (1, "1 minute ago"),
            (119, "119 minutes ago"),
            (120, "2 hours ago"),
            (2880, "2 days ago"),
        ] {
            assert_eq!(ago(now_ms() - minutes * 60_000 - 1000), text);
        }
    }
}
