//! Dates as people write them: a year, a month, a day, a time, or how long ago.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, Unit, Zoned};

/// The time that a date covers, with an exclusive end; for an exact time both ends are equal.
///
/// **Units**: Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
}

const FORMS: &str = "give a date such as 2024, 2024-05, 2024-05-01, 2024-05-01T12:00:00Z, yesterday, `3 days ago` or 7d";

pub(crate) fn parse(text: &str) -> Result<Period, String> {
    parse_at(text, &Zoned::now())
}

fn parse_at(text: &str, now: &Zoned) -> Result<Period, String> {
    period(text.trim(), now).ok_or_else(|| FORMS.to_owned())
}

fn period(text: &str, now: &Zoned) -> Option<Period> {
    match text {
        "now" => return Some(moment(now.timestamp())),
        "today" => return days(now.date(), 1, Unit::Day, now),
        "yesterday" => return days(now.date().yesterday().ok()?, 1, Unit::Day, now),
        _ => {}
    }
    let numbers: Option<Vec<i16>> = text.split('-').map(digits).collect();
    if let Some(numbers) = numbers {
        let narrow = |n: i16| i8::try_from(n).ok();
        return match numbers[..] {
            [year] if text.len() == 4 => days(Date::new(year, 1, 1).ok()?, 1, Unit::Year, now),
            [year, month] if year > 999 => days(Date::new(year, narrow(month)?, 1).ok()?, 1, Unit::Month, now),
            [year, month, day] if year > 999 => days(Date::new(year, narrow(month)?, narrow(day)?).ok()?, 1, Unit::Day, now),
            _ => None,
        };
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(moment(timestamp));
    }
    if let Ok(local) = text.parse::<jiff::civil::DateTime>() {
        return Some(moment(local.to_zoned(now.time_zone().clone()).ok()?.timestamp()));
    }
    let span: jiff::Span = text.parse().ok()?;
    let ago = now.checked_sub(span.abs()).ok()?;
    Some(moment(ago.timestamp()))
}

fn digits(text: &str) -> Option<i16> {
    let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn moment(timestamp: Timestamp) -> Period {
    let ms = timestamp.as_millisecond();
    Period { start_ms: ms, end_ms: ms }
}

/// Returns the period of `n` units from the first moment of a day, in local time.
fn days(first: Date, n: i64, unit: Unit, now: &Zoned) -> Option<Period> {
    let span = match unit {
        Unit::Year => n.years(),
        Unit::Month => n.months(),
        _ => n.days(),
    };
    let zone: TimeZone = now.time_zone().clone();
    let start = first.to_zoned(zone.clone()).ok()?;
    let end = first.checked_add(span).ok()?.to_zoned(zone).ok()?;
    let ms = |z: &Zoned| z.timestamp().as_millisecond();
    debug_assert!(start.duration_until(&end) > SignedDuration::ZERO);
    Some(Period {
        start_ms: ms(&start),
        end_ms: ms(&end),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        "2026-11-22T13:00:00Z".parse::<Timestamp>().unwrap().to_zoned(zone)
    }

    fn check(text: &str, start: &str, end: &str) {
        let ms = |t: &str| t.parse::<Timestamp>().unwrap().as_millisecond();
        let expected = Period {
            start_ms: ms(start),
            end_ms: ms(end),
        };
        assert_eq!(parse_at(text, &now()), Ok(expected), "{text}");
    }

    #[test]
    fn a_year_a_month_a_day_are_periods_of_local_time() {
        check("2024", "2023-12-31T23:00:00Z", "2024-12-31T23:00:00Z");
        check("2024-05", "2024-04-30T22:00:00Z", "2024-05-31T22:00:00Z");
        check("2024-12", "2024-11-30T23:00:00Z", "2024-12-31T23:00:00Z");
        check("2024-05-01", "2024-04-30T22:00:00Z", "2024-05-01T22:00:00Z");
        check("2024-03-31", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z");
        check("today", "2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z");
        check("yesterday", "2026-11-20T23:00:00Z", "2026-11-21T23:00:00Z");
    }

    #[test]
    fn exact_times_are_moments() {
        for (text, moment) in [
            ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z"),
            ("2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00Z"),
            ("2024-05-01 12:00", "2024-05-01T10:00:00Z"),
            ("now", "2026-11-22T13:00:00Z"),
            ("3 days ago", "2026-11-19T13:00:00Z"),
            ("7d", "2026-11-15T13:00:00Z"),
            ("2 months ago", "2026-09-22T12:00:00Z"),
            ("1 year ago", "2025-11-22T13:00:00Z"),
            ("90 minutes ago", "2026-11-22T11:30:00Z"),
        ] {
            check(text, moment, moment);
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "soon",
            "20",
            "20245",
            "2024-13",
            "2024-02-30",
            "24-05-01",
            "2024-5-",
            "-5",
            "99999 years ago",
        ] {
            assert!(parse_at(text, &now()).is_err(), "{text}");
        }
    }
}
