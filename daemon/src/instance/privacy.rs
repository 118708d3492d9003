//! Only the owner may read the data folder: everything in it shows which videos there are and what is in them.
//!
//! A data folder that contains only scened's own files is closed as a whole (0700). One that contains other things as well, because the
//! user chose it, keeps its mode; then each of scened's own files in it is closed. Models are not secret and keep their modes.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Names of what scened and scenectl keep in a data folder, up to the first dot.
const PRIVATE: [&str; 10] = [
    "store",
    "index",
    "cache",
    "keyframes",
    "decisions",
    "format",
    "lock",
    "config",
    "closed",
    // Files that `scened set-aside-unreadable` moved away.
    "unreadable",
];
/// Names that are theirs too, but not secret; the socket is closed when it is created.
const HARMLESS: [&str; 3] = ["models", "onnxruntime", "scened"];
/// Marker file: everything that an earlier version left open was closed.
const MARKER: &str = "closed";
/// Permissions of the group and of others.
const OTHERS: u32 = 0o077;

/// Whether others can read a data folder, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Privacy {
    Closed,
    /// It contains other things as well and keeps this mode; scened's own files in it are closed.
    Shared {
        mode: u32,
    },
    /// Others can read this path, which could not be closed.
    Open {
        path: PathBuf,
        mode: u32,
    },
}

/// Checks the data folder in its present state.
///
/// **Errors**: if it cannot be read.
pub fn check(data_dir: &Path) -> io::Result<Privacy> {
    let mode = fs::metadata(data_dir)?.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(Privacy::Closed);
    }
    if holds_other_things(data_dir)? {
        for path in private_in(data_dir)? {
            // A link without a target hides nothing.
            if let Ok(found) = fs::metadata(&path)
                && found.mode() & OTHERS != 0
            {
                let mode = found.mode() & 0o7777;
                return Ok(Privacy::Open { path, mode });
            }
        }
        return Ok(Privacy::Shared { mode });
    }
    let path = data_dir.to_owned();
    Ok(Privacy::Open { path, mode })
}

/// Closes the data folder as a whole if it is scened's alone. Returns its mode afterwards.
pub(super) fn close_folder(data_dir: &Path, found: &fs::Metadata) -> io::Result<u32> {
    let mode = found.mode() & 0o7777;
    if mode & OTHERS == 0 || holds_other_things(data_dir)? {
        return Ok(mode);
    }
    // A file system without modes (FAT, some shares) refuses or only pretends: `doctor` reports the result.
    match fs::set_permissions(data_dir, Permissions::from_mode(0o700)) {
        Ok(()) => tracing::info!(path = %data_dir.display(), "closed the data folder to other users"),
        Err(error) => tracing::warn!(path = %data_dir.display(), %error, "the data folder cannot be closed to other users"),
    }
    Ok(fs::metadata(data_dir)?.mode() & 0o7777)
}

/// Closes the content of the data folder: all of it once, because earlier versions left files open; later only what is open again (a backup
/// that was put back). The log and `doctor` report what cannot be closed.
pub(super) fn close_content(data_dir: &Path) {
    let marker = data_dir.join(MARKER);
    let was_closed = fs::symlink_metadata(&marker).is_ok_and(|marker| marker.is_file());
    let mut is_closed = true;
    for path in private_in(data_dir).unwrap_or_default() {
        // A user who keeps the store on another disk has a link here.
        let Ok(real) = fs::canonicalize(&path) else { continue };
        let is_open = fs::symlink_metadata(&real).is_ok_and(|found| found.mode() & OTHERS != 0);
        if was_closed && !is_open {
            continue;
        }
        if let Err(error) = close_all(&real) {
            is_closed = false;
            tracing::warn!(path = %path.display(), %error, "cannot be closed to other users");
        }
    }
    if is_closed && !was_closed {
        // Without it the next start checks everything again.
        let made = fs::File::options().write(true).create_new(true).open(&marker);
        if let Err(error) = made.and_then(|made| made.set_permissions(Permissions::from_mode(0o600))) {
            tracing::debug!(%error, "no note could be left that the data folder is closed");
        }
    }
}

/// Removes others' rights from a file, or from a folder and its content. Skips links: their targets are not ours.
fn close_all(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        // A cache file may have been deleted meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if found.is_symlink() {
        return Ok(());
    }
    if found.mode() & OTHERS != 0 {
        fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o700))?;
    }
    if !found.is_dir() {
        return Ok(());
    }
    // An entry that cannot be closed must not leave the others open.
    let mut first_failure = Ok(());
    for entry in fs::read_dir(path)? {
        let closed = entry.and_then(|entry| close_all(&entry.path()));
        first_failure = first_failure.and(closed);
    }
    first_failure
}

fn holds_other_things(data_dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(data_dir)? {
        let name = entry?.file_name();
        let stem = stem(name.as_encoded_bytes());
        let is_draft = name.as_encoded_bytes().starts_with(b".tmp");
        if !is_draft && !PRIVATE.iter().chain(&HARMLESS).any(|ours| ours.as_bytes() == stem) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn private_in(data_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if PRIVATE.iter().any(|private| private.as_bytes() == stem(name.as_encoded_bytes())) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Returns `store` for `store.damaged-20261122T130501`, and `unreadable` for `unreadable-20261122T130501`.
fn stem(name: &[u8]) -> &[u8] {
    if name.starts_with(b"unreadable-") {
        return b"unreadable";
    }
    name.split(|byte| *byte == b'.').next().unwrap_or_default()
}
