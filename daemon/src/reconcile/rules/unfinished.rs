//! Names of unfinished files. Some programs mark the end of the name (`film.mp4.part`): these files are not videos, and get another name
//! when they are done. Others keep a video's extension (`film.temp.mp4`, `_UNPACK_film/film.mkv`, `film.mp4` beside `film.mp4.aria2`).
//! These files wait until they have not been written to for a long time. A program may have abandoned them, and the rest may be worth
//! finding.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Suffixes of unfinished files, in lower case. The finished file is renamed, or is beside one of these.
const SUFFIXES: &[&str] = &[
    ".part",
    ".partial",
    ".crdownload",
    ".download",
    ".opdownload",
    ".tmp",
    ".temp",
    "~",
    ".!qb",
    ".!ut",
    ".!bt",
    ".!sync",
    ".bts",
    ".bc!",
    ".aria2",
    ".ytdl",
    ".filepart",
    ".unfinished",
    ".incomplete",
    ".fdmdownload",
    ".xltd",
    ".dctmp",
];

/// Suffixes of the control files that programs write beside a file while they fill it, in the programs' spelling.
const CONTROLS: &[&str] = &[
    ".part",
    ".partial",
    ".crdownload",
    ".download",
    ".opdownload",
    ".tmp",
    ".!qB",
    ".!ut",
    ".!bt",
    ".!sync",
    ".bts",
    ".bc!",
    ".aria2",
    ".ytdl",
    ".filepart",
    ".st",
    ".lftp-pget-status",
    ".td.cfg",
];

/// Last component of the name before the extension (yt-dlp, ffmpeg, downloaders).
const INNER: &[&str] = &[
    "temp",
    "tmp",
    "part",
    "partial",
    "download",
    "downloading",
    "crdownload",
    "incomplete",
    "unfinished",
    "upload",
    "uploading",
    "filepart",
];

/// Prefixes of folders and files, in lower case (SABnzbd, Soulseek, µTorrent, Android).
const PREFIXES: &[&str] = &["_unpack_", "incomplete~", "~utorrentpartfile", ".pending-", ".~tmp~"];

/// Names of folders, in lower case (NZBGet, SABnzbd, qBittorrent, rsync, and names that people use).
const FOLDERS: &[&str] = &[
    "_unpack",
    "__admin__",
    ".unwanted",
    ".rsync-partial",
    ".rsync-tmp",
    ".~tmp~",
    "incomplete",
    ".incomplete",
];

/// Nicotine+ writes `INCOMPLETE`, 32 hexadecimal digits and the name.
const HASHED_PREFIX: &str = "incomplete";

/// Returns whether the name alone shows that the file is unfinished and will get another name.
pub(super) fn is_partial(name: &OsStr) -> bool {
    strip(name, SUFFIXES).is_some()
}

/// Returns the name of the file that a program fills while it writes a control file of this name.
pub(in crate::reconcile) fn controlled(name: &OsStr) -> Option<OsString> {
    strip(name, CONTROLS)
}

/// Returns the possible names of a control file beside this file while it is filled.
pub(in crate::reconcile) fn controls(name: &OsStr) -> impl Iterator<Item = OsString> {
    let name = name.to_owned();
    CONTROLS.iter().map(move |suffix| {
        let mut control = name.clone();
        control.push(suffix);
        control
    })
}

fn strip(name: &OsStr, suffixes: &[&str]) -> Option<OsString> {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let bytes = name.as_bytes();
    let length = suffixes.iter().map(|suffix| suffix.as_bytes()).find_map(|suffix| {
        let at = bytes.len().checked_sub(suffix.len())?;
        bytes[at..].eq_ignore_ascii_case(suffix).then_some(at)
    })?;
    Some(OsString::from_vec(bytes[..length].to_vec()))
}

/// Decides whether a file at this path below its watched folder may be unfinished, although it has a video's extension.
pub(in crate::reconcile) fn may_be_unfinished(below: &Path) -> bool {
    let lower = |name: &OsStr| name.to_string_lossy().to_ascii_lowercase();
    let begins = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || is_hashed(name);
    let is_unfinished_folder = |folder: &OsStr| {
        let name = lower(folder);
        begins(&name) || FOLDERS.contains(&name.as_str()) || is_partial(folder)
    };
    let mut folders = below.parent().into_iter().flat_map(Path::iter);
    if folders.any(is_unfinished_folder) {
        return true;
    }
    let Some(name) = below.file_name().map(lower) else { return false };
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let inner = stem.rsplit_once('.').map(|(_, inner)| inner);
    begins(&name) || inner.is_some_and(|inner| INNER.contains(&inner) || is_format(inner))
}

/// Recognises yt-dlp's `f137`, `f251-drc`, `fhls-720p`: one of the streams that it will merge.
fn is_format(inner: &str) -> bool {
    inner
        .strip_prefix('f')
        .is_some_and(|id| id.len() <= 40 && id.bytes().any(|byte| byte.is_ascii_digit()))
}

fn is_hashed(name: &str) -> bool {
    let hash = name.strip_prefix(HASHED_PREFIX).and_then(|rest| rest.get(..32));
    hash.is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_what_a_downloader_has_not_finished_are_known() {
        for path in [
            "x.temp.mp4",
            "a/x.f137.mp4",
            "x.F251-drc.webm",
            "x.fhls-720p.mp4",
            "_UNPACK_film/film.mkv",
            "a/_unpack_film/sub/film.mkv",
            "_unpack/film.mkv",
            "_UNPACK_film.mkv",
            "INCOMPLETE~film.mp4",
            "INCOMPLETE~album/film.mp4",
            "INCOMPLETE0123456789abcdef0123456789ABCDEFfilm.mp4",
            "film.mp4.download/film.mp4",
            "film.part.mp4",
            "film.crdownload.mp4",
            ".unwanted/film.mkv",
            "incomplete/film.mkv",
        ] {
            assert!(may_be_unfinished(Path::new(path)), "{path}");
        }
        for path in [
            "x.mp4",
            "x.final.mp4",
            "x.part1.mkv",
            "unpack/x.mp4",
            "incomplete love.mp4",
            "x.fr.mkv",
            "temp.mp4",
            "The.Part.Time.mp4",
            "2024.06/x.mp4",
        ] {
            assert!(!may_be_unfinished(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_control_file_names_what_it_controls() {
        for (name, expected) in [
            ("film.mkv.aria2", Some("film.mkv")),
            ("film.mkv.!QB", Some("film.mkv")),
            ("film.mkv", None),
        ] {
            assert_eq!(controlled(OsStr::new(name)), expected.map(OsString::from), "{name}");
        }
        assert!(controls(OsStr::new("film.mkv")).any(|name| name == "film.mkv.!qB"));
    }
}
