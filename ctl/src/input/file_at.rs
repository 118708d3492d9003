//! `FILE[@TIME]`: which part of a word is the file.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::input::span;

/// A file, or a moment in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileAt {
    pub(crate) file: PathBuf,
    pub(crate) at_ms: Option<u64>,
}

/// Splits at the last `@`, unless the whole word is an existing file.
///
/// **Errors**: a sentence, if the part after the `@` of an existing file is not a time.
pub(crate) fn parse(word: &OsStr, is_there: impl Fn(&Path) -> bool) -> Result<FileAt, String> {
    let whole = Path::new(word);
    let plain = || FileAt {
        file: whole.to_path_buf(),
        at_ms: None,
    };
    let Some((file, time)) = split_at_last(word) else {
        return Ok(plain());
    };
    if is_there(whole) {
        return Ok(plain());
    }
    let file = PathBuf::from(file);
    match span::parse(&time) {
        Ok(span) => Ok(FileAt {
            file,
            at_ms: Some(span.ms),
        }),
        Err(forms) if is_there(&file) => Err(format!("`{time}` is not a time: {forms}")),
        Err(_) => Ok(plain()),
    }
}

#[cfg(unix)]
pub(super) fn split_at_last(word: &OsStr) -> Option<(&OsStr, String)> {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = word.as_bytes();
    let at = bytes.iter().rposition(|&b| b == b'@')?;
    let time = String::from_utf8_lossy(&bytes[at + 1..]).into_owned();
    (at > 0 && !time.contains('/')).then(|| (OsStr::from_bytes(&bytes[..at]), time))
}

#[cfg(not(unix))]
pub(super) fn split_at_last(word: &OsStr) -> Option<(&OsStr, String)> {
    let (file, time) = word.to_str()?.rsplit_once('@')?;
    (!file.is_empty() && !time.contains(['/', '\\'])).then(|| (OsStr::new(file), time.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_at_sign_is_a_time_only_where_no_such_file_is() {
        let check = |word: &str, files: &[&str], file: &str, at_ms: Option<u64>| {
            let found = parse(OsStr::new(word), |p| files.iter().any(|f| Path::new(f) == p)).unwrap();
            assert_eq!((found.file.to_str().unwrap(), found.at_ms), (file, at_ms), "{word}");
        };
        check("a.mp4", &[], "a.mp4", None);
        check("a.mp4@1:30", &["a.mp4"], "a.mp4", Some(90_000));
        check("a.mp4@1:30", &[], "a.mp4", Some(90_000));
        check("a.mp4@1:30", &["a.mp4", "a.mp4@1:30"], "a.mp4@1:30", None);
        check("me@home.mp4", &["me@home.mp4"], "me@home.mp4", None);
        check("me@home.mp4", &[], "me@home.mp4", None);
        check("me@home.mp4@5", &["me@home.mp4"], "me@home.mp4", Some(5000));
        check("me@5/film.mp4", &[], "me@5/film.mp4", None);
        check("@5", &[], "@5", None);
    }

    #[test]
    fn a_bad_time_of_a_file_is_named() {
        let error = parse(OsStr::new("a.mp4@soon"), |p| p == Path::new("a.mp4")).unwrap_err();
        assert!(error.contains("`soon` is not a time"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_may_have_any_bytes() {
        use std::os::unix::ffi::OsStrExt as _;
        let found = parse(OsStr::from_bytes(b"caf\xe9.mp4@2"), |_| false).unwrap();
        assert_eq!((found.file.as_os_str().as_bytes(), found.at_ms), (&b"caf\xe9.mp4"[..], Some(2000)));
    }
}
