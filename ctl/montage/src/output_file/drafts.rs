//! Drafts of files and folders, beside what they become. Whoever makes one holds a lock on it as long as it lives; what nobody holds was
//! left by a writer that was killed, and the next one in that folder takes it away.
//!
//! Where a file system has no locks nothing is claimed, and nothing is taken away.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

/// Only what is called so is ours: drafts of earlier versions were not locked.
const PREFIX: &str = ".scenectl-draft-";
/// A draft that was taken away between its birth and its claim is made again so often.
const MAX_TRIES: u32 = 100;

pub(super) fn builder<'a>() -> tempfile::Builder<'a, 'a> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    builder
}

/// Makes drafts until one could be claimed.
pub(super) fn claimed<T>(make: impl Fn() -> io::Result<T>, claim: impl Fn(&T) -> bool) -> io::Result<T> {
    for _ in 0..MAX_TRIES {
        match make() {
            Ok(draft) if claim(&draft) => return Ok(draft),
            // Somebody who sweeps was faster: it is gone, or will be.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    make()
}

/// Locks a draft; says whether it is still there.
pub(super) fn claim(draft: &File, path: &Path) -> bool {
    match draft.try_lock() {
        Err(TryLockError::WouldBlock) => false,
        Ok(()) | Err(TryLockError::Error(_)) => is_same(draft, path),
    }
}

/// Takes away what nobody holds. What cannot be looked at or removed stays: the folder is somebody's.
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

/// There an open file cannot be removed anyway.
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
