//! Drafts of files and folders, next to what they will become. The process that makes one holds a lock on it while it lives. An unlocked
//! draft was left by a killed writer, and the next writer in that folder removes it.
//!
//! On a file system without locks, nothing is claimed and nothing is removed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

/// Only names with this prefix are ours: drafts of earlier versions were not locked.
const PREFIX: &str = ".scenectl-draft-";
/// How often a draft is made again if it was removed before it could be claimed.
const MAX_TRIES: u32 = 100;

pub(super) fn builder<'a>() -> tempfile::Builder<'a, 'a> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    builder
}

/// Makes drafts until one can be claimed.
pub(super) fn claimed<T>(make: impl Fn() -> io::Result<T>, claim: impl Fn(&T) -> bool) -> io::Result<T> {
    for _ in 0..MAX_TRIES {
        match make() {
            Ok(draft) if claim(&draft) => return Ok(draft),
            // Another process's sweep was faster: the draft is gone, or will be.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    make()
}

/// Locks a draft and returns whether it still exists.
pub(super) fn claim(draft: &File, path: &Path) -> bool {
    match draft.try_lock() {
        Err(TryLockError::WouldBlock) => false,
        Ok(()) | Err(TryLockError::Error(_)) => is_same(draft, path),
    }
}

/// Removes unlocked drafts. Any that cannot be read or removed stays: the folder belongs to the user.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            remove_if_left(&entry.path());
        }
    }
}

#[cfg(unix)]
fn remove_if_left(path: &Path) {
    use std::os::unix::fs::MetadataExt as _;

    let is_ours = |found: &fs::Metadata| (found.is_file() || found.is_dir()) && found.uid() == rustix::process::geteuid().as_raw();
    let Some(found) = path.symlink_metadata().ok().filter(is_ours) else {
        return;
    };
    let Ok(left) = File::open(path) else { return };
    if left.try_lock().is_err() || !is_same(&left, path) {
        return;
    }
    let removed = if found.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.unwrap_or_default();
}

/// On these systems an open file cannot be removed anyway.
#[cfg(not(unix))]
fn remove_if_left(_path: &Path) {}

#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    matches!((file.metadata(), path.symlink_metadata()), (Ok(ours), Ok(there)) if (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

#[cfg(not(unix))]
fn is_same(_file: &File, path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
