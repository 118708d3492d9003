//! Moments of a video, lengths of time and dates as text.

pub(crate) use montage::time::{exact, moment, range};

/// Formats a rough duration, such as the time left: `45 s`, `12 min`, `3 h 20 min`, `2 days`.
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

/// Returns the [`date`] of the current moment.
pub(crate) fn now() -> String {
    date(jiff::Timestamp::now().as_millisecond())
}

/// Formats a point in time in local time: `2026-11-23 01:16`.
pub(crate) fn date(unix_ms: i64) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(unix_ms).unwrap_or_default();
    timestamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%F %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

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
