//! Moments of a video and lengths of time as text.

/// A moment: `h:mm:ss`, what is smaller dropped.
pub(crate) fn moment(ms: u64) -> String {
    let s = ms / 1000;
    format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

/// A moment with tenths of a second: `h:mm:ss.t`.
pub(crate) fn exact(ms: u64) -> String {
    format!("{}.{}", moment(ms), ms % 1000 / 100)
}

/// From one moment to another; the end is rounded up, so that the range shown holds the range meant.
pub(crate) fn range(start_ms: u64, end_ms: u64) -> String {
    format!("{} – {}", moment(start_ms), moment(end_ms.div_ceil(1000) * 1000))
}

/// A rough length of time, such as one that is left: `45 s`, `12 min`, `3 h 20 min`, `2 days`.
pub(crate) fn rough(ms: u64) -> String {
    let s = ms.div_ceil(1000);
    let min = s.div_ceil(60);
    match s {
        0..90 => format!("{s} s"),
        90..7200 => format!("{min} min"),
        7200..172_800 if min.is_multiple_of(60) => format!("{} h", min / 60),
        7200..172_800 => format!("{} h {} min", min / 60, min % 60),
        _ => format!("{} days", s / 86_400),
    }
}

/// [`date`] of this moment.
pub(crate) fn now() -> String {
    date(jiff::Timestamp::now().as_millisecond())
}

/// A point in time, as the clock on the wall shows it here: `2026-11-23 01:16`.
pub(crate) fn date(unix_ms: i64) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(unix_ms).unwrap_or_default();
    timestamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%F %H:%M").to_string()
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

    #[test]
    fn rough_lengths_have_the_unit_that_fits() {
        for (ms, shown) in [
            (0, "0 s"),
            (44_100, "45 s"),
            (90_000, "2 min"),
            (700_000, "12 min"),
            (12_000_000, "3 h 20 min"),
            (10_800_000, "3 h"),
            (200_000_000, "2 days"),
        ] {
            assert_eq!(rough(ms), shown);
        }
    }
}
