//! Spans of time, which are also moments of a video: `90`, `90.5`, `1:30`, `0:01:30.5`, `1h2m3s`.

/// A length of time, or a place in a video counted from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) ms: u64,
}

const FORMS: &str = "give a time such as 90, 90.5, 1:30, 0:01:30.5 or 1h2m3s";

/// The longest accepted span: a hundred years. Anything longer is probably a typo, and sums could overflow.
const MAX_MS: u64 = 100 * 366 * 24 * 3_600_000;

pub(crate) fn parse(text: &str) -> Result<Span, String> {
    let text = text.trim();
    let ms = if text.contains(':') {
        clock(text)
    } else {
        number(text, 1000).or_else(|| units(text))
    };
    match ms {
        Some(ms) if ms <= MAX_MS => Ok(Span { ms }),
        _ => Err(FORMS.to_owned()),
    }
}

/// Parses a decimal number of units of `unit_ms`; fractions of a millisecond are dropped.
fn number(text: &str, unit_ms: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut ms = whole.checked_mul(unit_ms)?;
    let mut part = unit_ms * 1_000_000;
    for digit in fraction.bytes().take(9) {
        part /= 10;
        ms = ms.checked_add(u64::from(digit - b'0') * part / 1_000_000)?;
    }
    Some(ms)
}

/// Parses `m:ss` or `h:mm:ss`; the seconds may have a fraction.
fn clock(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split(':').collect();
    let units: &[u64] = match parts.len() {
        2 => &[60_000, 1000],
        3 => &[3_600_000, 60_000, 1000],
        _ => return None,
    };
    let mut ms = 0_u64;
    for (i, (part, &unit)) in parts.iter().zip(units).enumerate() {
        let last = i + 1 == parts.len();
        if part.is_empty() || part.starts_with('.') || (!last && part.contains('.')) {
            return None;
        }
        let value = number(part, unit)?;
        if i > 0 && value >= 60 * unit {
            return None;
        }
        ms = ms.checked_add(value)?;
    }
    Some(ms)
}

/// Parses numbers with units, largest first, each unit once.
fn units(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut ms = 0_u64;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        let unit = match unit {
            "d" => 24 * 3_600_000,
            "h" => 3_600_000,
            "m" | "min" => 60_000,
            "s" | "sec" => 1000,
            "ms" => 1,
            _ => return None,
        };
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        ms = ms.checked_add(number(digits, unit)?)?;
        rest = next.trim_start();
    }
    (last_unit != u64::MAX).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        for (text, ms) in [
            ("0", 0),
            ("90", 90_000),
            ("90.5", 90_500),
            (".5", 500),
            ("0.0019", 1),
            ("1:30", 90_000),
            ("90:00", 5_400_000),
            ("0:01:30.5", 90_500),
            ("1:00:00", 3_600_000),
            ("100:00:00", 360_000_000),
            ("1h2m3s", 3_723_000),
            ("1h 30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("90s", 90_000),
            ("2m", 120_000),
            ("2min", 120_000),
            ("7d", 604_800_000),
            ("250ms", 250),
            (" 5 ", 5000),
        ] {
            assert_eq!(parse(text), Ok(Span { ms }), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            ".",
            "5.",
            "-5",
            "1e3",
            "abc",
            "1:",
            ":30",
            "1:60",
            "1:2:3:4",
            "1:60:00",
            "1.5:00",
            "1:.5",
            "1m2h",
            "1m1m",
            "5x",
            "h",
            "1h2",
            "99999999999999999999",
            "1:99999999999999999999",
            "9999999999999",
            "１",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
