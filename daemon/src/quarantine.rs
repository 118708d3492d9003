//! Renames damaged data to a dated name, so that a fresh start never deletes what a person might still want.
//!
//! [`damage`] decides whether a file is missing; `scened_common::damage` decides which errors mean damage. None of these knows the meaning
//! of the data.

pub(crate) mod damage;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::failpoint;

/// Renames `path` to `path.damaged-20261122T130501` (UTC), followed by a number if that name is taken.
pub(crate) fn move_away(path: &Path) -> io::Result<PathBuf> {
    let stamp = utc_now();
    for attempt in 0..1_000_u32 {
        let mut name = OsString::from(path);
        name.push(".damaged-");
        name.push(&stamp);
        if attempt > 0 {
            name.push(format!("-{attempt}"));
        }
        let target = PathBuf::from(name);
        if target
            .symlink_metadata()
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        {
            failpoint::hit("aside.begin")?;
            std::fs::rename(path, &target)?;
            failpoint::hit("aside.end")?;
            return Ok(target);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "a thousand damaged copies are there already",
    ))
}

/// Returns the current time in the form used in names.
pub(crate) fn utc_now() -> String {
    utc_stamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()))
}

/// Returns `20261122T130501` for seconds since the Unix epoch.
fn utc_stamp(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days, proleptic Gregorian calendar. Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_utc_dates() {
        for (seconds, expected) in [
            (0, "19700101T000000"),
            (951_782_399, "20000228T235959"),
            (951_782_400, "20000229T000000"),
            (1_795_352_701, "20261122T130501"),
        ] {
            assert_eq!(utc_stamp(seconds), expected);
        }
    }

    #[test]
    fn two_in_one_second_get_two_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut names = Vec::new();
        for _ in 0..3 {
            std::fs::write(&path, b"x").unwrap();
            names.push(move_away(&path).unwrap());
        }
        names.dedup();
        assert_eq!(names.len(), 3, "{names:?}");
    }
}
