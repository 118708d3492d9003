//! `FILE@START-END` and `FILE@TIME`: the part of a video that the user means.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::input::{file_at, span};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The scene at this moment.
    SceneAt {
        ms: u64,
    },
    Between {
        start_ms: u64,
        end_ms: u64,
    },
}

/// **Errors**: a sentence: the time is missing or invalid, or the end is before the start.
pub(crate) fn parse(word: &OsStr, is_there: impl Fn(&Path) -> bool) -> Result<(PathBuf, Part), String> {
    let none = || "give a part: FILE@START-END, or FILE@TIME for the scene there".to_owned();
    if is_there(Path::new(word)) {
        return Err(none());
    }
    let (file, time) = file_at::split_at_last(word).ok_or_else(none)?;
    let read = |text: &str| {
        span::parse(text.trim())
            .map(|span| span.ms)
            .map_err(|forms| format!("`{text}` is not a time: {forms}"))
    };
    let stretch = match time.split_once(['-', '–']) {
        None => Part::SceneAt { ms: read(&time)? },
        Some((start, end)) => {
            let (start_ms, end_ms) = (read(start)?, read(end)?);
            if end_ms <= start_ms {
                return Err(format!("`{time}` ends before it begins"));
            }
            Part::Between { start_ms, end_ms }
        }
    };
    Ok((PathBuf::from(file), stretch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_read_and_anything_else_is_a_sentence() {
        let parse = |word: &str| parse(OsStr::new(word), |path| path == Path::new("me@home.mp4"));
        let between = |start_ms, end_ms| Part::Between { start_ms, end_ms };
        for (word, file, stretch) in [
            ("a.mp4@1:30-1:45", "a.mp4", between(90_000, 105_000)),
            ("a.mp4@90.5-1m45s", "a.mp4", between(90_500, 105_000)),
            ("-a-b.mp4@0:01:30 – 0:01:45", "-a-b.mp4", between(90_000, 105_000)),
            ("me@home.mp4@5", "me@home.mp4", Part::SceneAt { ms: 5000 }),
        ] {
            assert_eq!(parse(word), Ok((PathBuf::from(file), stretch)), "{word}");
        }
        for (word, why) in [
            ("a.mp4", "give a part"),
            ("me@home.mp4", "give a part"),
            ("a.mp4@soon", "`soon` is not a time"),
            ("a.mp4@5-", "`` is not a time"),
            ("a.mp4@5-3", "ends before it begins"),
            ("a.mp4@5-5", "ends before it begins"),
        ] {
            let error = parse(word).unwrap_err();
            assert!(error.contains(why), "{word}: {error}");
        }
    }
}
