//! Space on the disk of the data folder. Indexing stops while some is left: a store on a full disk accepts no more changes until it is
//! opened again, and other programs need the rest too.

use std::path::PathBuf;

/// The space that has to stay free.
#[derive(Clone, Debug)]
pub struct DiskSpace {
    pub data_dir: PathBuf,
    pub min_free_bytes: u64,
}

impl DiskSpace {
    /// Returns why nothing may be written now, in words for `status`; `None` if there is room, or the system does not tell.
    pub fn lack(&self) -> Option<String> {
        if let Some(n_left) = files_left(&self.data_dir)
            && n_left < FEWEST_FILES
        {
            return Some(format!(
                "the disk of {} is nearly out of inodes ({n_left} left): indexing waits until files are deleted there; search works",
                self.data_dir.display()
            ));
        }
        let free = free_bytes(&self.data_dir)?;
        (free < self.min_free_bytes).then(|| {
            format!(
                "the disk of {} is nearly full ({} MiB free): indexing waits until {} MiB are free (min-free-mib); search works",
                self.data_dir.display(),
                free >> 20,
                self.min_free_bytes >> 20
            )
        })
    }
}

/// Indexing waits below this number of free inodes. The store, an index and the pictures of a few videos need fewer.
const FEWEST_FILES: u64 = 100;

/// Returns the number of files that can still be created there; `None` if the file system keeps no such number (btrfs) or cannot be asked.
pub fn files_left(folder: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    (stat.f_files > 0).then_some(stat.f_favail)
}

/// Returns the number of bytes that this user may still write there; `None` if the file system cannot be asked.
pub fn free_bytes(folder: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_folder_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let disk_space = |min_free_bytes| DiskSpace {
            data_dir: folder.path().to_owned(),
            min_free_bytes,
        };
        assert_eq!(disk_space(0).lack(), None);
        let reason = disk_space(u64::MAX).lack().unwrap();
        assert!(
            reason.contains(folder.path().to_str().unwrap()) && reason.contains("min-free-mib"),
            "{reason}"
        );
    }
}
