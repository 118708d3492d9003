//! Moments of a video as text.

/// Formats a moment as `h:mm:ss`; smaller units are dropped.
pub fn moment(ms: u64) -> String {
    let s = ms / 1000;
    format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

/// Formats a moment with tenths of a second: `h:mm:ss.t`.
pub fn exact(ms: u64) -> String {
    format!("{}.{}", moment(ms), ms % 1000 / 100)
}

/// Formats a range between two moments. The end is rounded up, so the range shown includes the actual one.
pub fn range(start_ms: u64, end_ms: u64) -> String {
    format!("{} – {}", moment(start_ms), moment(end_ms.div_ceil(1000) * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_hours_minutes_seconds() {
        for (ms, shown) in [
            (0, "0:00:00"),
            (999, "0:00:00"),
            (192_000, "0:03:12"),
            (3_723_999, "1:02:03"),
            (360_000_000, "100:00:00"),
        ] {
            assert_eq!(moment(ms), shown);
        }
        assert_eq!(exact(192_460), "0:03:12.4");
    }

    #[test]
    fn a_range_holds_what_is_meant() {
        assert_eq!(range(192_900, 199_000), "0:03:12 – 0:03:19");
        assert_eq!(range(3200, 3800), "0:00:03 – 0:00:04");
        assert_eq!(range(0, 0), "0:00:00 – 0:00:00");
    }
}
