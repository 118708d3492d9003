//! Who may look into the data folder: its owner alone. Everything in it tells which videos there are and what is seen in them.
//!
//! A data folder is closed as a whole (0700) where it holds nothing but what scened keeps there. One that holds other things as well, because
//! the user chose it, keeps its mode; then what scened keeps in it is closed, each by itself. Models are no secret and stay as they are.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What scened and scenectl keep in a data folder, by the part of the name before its first dot.
const PRIVATE: [&str; 9] = [
    "store",
    "index",
    "cache",
    "keyframes",
    "decisions",
    "format",
    "lock",
    "config",
    "closed",
];
/// What is theirs as well, and no secret; the socket is closed when it is made.
const HARMLESS: [&str; 3] = ["models", "onnxruntime", "scened"];
/// Says that everything which an earlier version left open was closed.
const MARKER: &str = "closed";
/// What others may do.
const OTHERS: u32 = 0o077;

/// Whether others may look into a data folder, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Privacy {
    Closed,
    /// It holds other things as well and keeps this mode; what scened keeps in it is closed.
    Shared {
        mode: u32,
    },
    /// Others may look at this, which could not be closed.
    Open {
        path: PathBuf,
        mode: u32,
    },
}

/// Looks at the data folder as it is now.
///
/// **Errors**: it cannot be looked at.
pub fn check(data_dir: &Path) -> io::Result<Privacy> {
    let mode = fs::metadata(data_dir)?.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(Privacy::Closed);
    }
    if holds_other_things(data_dir)? {
        for path in private_in(data_dir)? {
            // A link that leads nowhere hides nothing.
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

/// Closes the data folder as a whole where it is scened's alone. Gives the mode that it has then.
pub(super) fn close_folder(data_dir: &Path, found: &fs::Metadata) -> io::Result<u32> {
    let mode = found.mode() & 0o7777;
    if mode & OTHERS == 0 || holds_other_things(data_dir)? {
        return Ok(mode);
    }
    // A file system without modes (FAT, some shares) refuses or pretends: `doctor` says what came of it.
    match fs::set_permissions(data_dir, Permissions::from_mode(0o700)) {
        Ok(()) => tracing::info!(path = %data_dir.display(), "closed the data folder to other users"),
        Err(error) => tracing::warn!(path = %data_dir.display(), %error, "the data folder cannot be closed to other users"),
    }
    Ok(fs::metadata(data_dir)?.mode() & 0o7777)
}

/// Closes what lies in the data folder: all of it once, because earlier versions left files open, and later whatever is open again
/// (a backup that was put back). What cannot be closed is told by the log and by `doctor`.
pub(super) fn close_content(data_dir: &Path) {
    let marker = data_dir.join(MARKER);
    let was_closed = fs::symlink_metadata(&marker).is_ok_and(|marker| marker.is_file());
    let mut is_closed = true;
    for path in private_in(data_dir).unwrap_or_default() {
        // Whoever keeps the store on another disk has a link here.
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
        // Without it everything is looked at again at the next start.
        let made = fs::File::options().write(true).create_new(true).open(&marker);
        if let Err(error) = made.and_then(|made| made.set_permissions(Permissions::from_mode(0o600))) {
            tracing::debug!(%error, "no note could be left that the data folder is closed");
        }
    }
}

/// Takes others' rights off a file, or off a folder and what lies in it. Links are left alone: what they lead to is not ours.
fn close_all(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        // Caches come and go.
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
    // One that cannot be closed does not leave the others open.
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

/// `store` of `store.damaged-20261122T130501`.
fn stem(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == b'.').next().unwrap_or_default()
}
