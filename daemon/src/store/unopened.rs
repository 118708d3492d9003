//! `store.unopened`: number of starts in a row that could not open the store because of the machine, for `doctor`.
//!
//! Three lines: the number, the time of the first (Unix seconds), the last reason. `ctl/src/command/doctor.rs` reads it as well.

use std::path::{Path, PathBuf};

const NAME: &str = "store.unopened";

/// Counts one more failed start.
pub(super) fn note(data_dir: &Path, reason: &str) {
    let path = path(data_dir);
    let (n, since) = read(data_dir).unwrap_or((0, crate::machine::clock::now_ms() / 1_000));
    let reason = reason.replace(['\n', '\r'], " ");
    if let Err(error) = std::fs::write(&path, format!("{}\n{since}\n{reason}\n", n + 1)) {
        // If this file cannot be written either, only the log can show the failure.
        tracing::warn!(path = %path.display(), %error, "the start that failed is not counted");
    }
}

/// Deletes the count, because the store is open.
pub(super) fn forget(data_dir: &Path) {
    match std::fs::remove_file(path(data_dir)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the count of failed starts stays");
        }
        _ => {}
    }
}

fn read(data_dir: &Path) -> Option<(u32, i64)> {
    let text = std::fs::read_to_string(path(data_dir)).ok()?;
    let mut lines = text.lines();
    Some((lines.next()?.parse().ok()?, lines.next()?.parse().ok()?))
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}
