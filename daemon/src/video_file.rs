//! Opens a video without trusting its name or changing anything about it. Also its stamp, and the hash of all its bytes.

pub mod whole;

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use scened_common::domain::FileStamp;

/// Returns the stamp of a file from its metadata.
pub fn stamp_of(metadata: &Metadata) -> FileStamp {
    FileStamp {
        size_bytes: metadata.len(),
        mtime_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
        inode: metadata.ino(),
    }
}

/// Opens a regular file for reading. Follows no link in its last component (unless `follow`), does not wait on a pipe, and keeps its access
/// time if the system allows that.
pub fn open_video(path: &Path, follow: bool) -> io::Result<File> {
    // This check comes before opening, because opening a device may already have an effect. Links are handled below, according to `follow`.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(not_regular());
    }
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    #[cfg(target_os = "linux")]
    let file = match rustix::fs::open(path, flags | OFlags::NOATIME, Mode::empty()) {
        // Only the owner may suppress updates of the access time.
        Err(rustix::io::Errno::PERM) => rustix::fs::open(path, flags, Mode::empty())?,
        other => other?,
    };
    #[cfg(not(target_os = "linux"))]
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let file = File::from(file);
    if !file.metadata()?.is_file() {
        return Err(not_regular());
    }
    Ok(file)
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// Reads a little from the middle of a file, bypassing the page cache, which may still hold the data of a drive that is gone.
pub(crate) fn read_uncached(path: &Path) -> io::Result<()> {
    /// More than the read-ahead of the system.
    const LOOK_BYTES: u64 = 64 << 10;
    let file = open_video(path, true)?;
    let middle = file.metadata()?.len() / 2;
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&file, middle, std::num::NonZero::new(LOOK_BYTES), rustix::fs::Advice::DontNeed)?;
    let mut bytes = vec![0; LOOK_BYTES as usize];
    file.read_at(&mut bytes, middle)?;
    Ok(())
}

/// Works like [`open_video`], and also returns the stamp of the opened file. Whether links are followed was decided when the path was
/// chosen.
///
/// **Errors**: besides those of opening, [`crate::machine::with_timeout::is_timeout`] if the video is on a mount that hangs. The first byte
/// is read, so that this shows before a worker waits for the file.
pub fn open_stamped(path: &Path) -> io::Result<(File, FileStamp)> {
    let at = path.to_owned();
    crate::machine::with_timeout::run(path, move |_| {
        let video = open_video(&at, true)?;
        let stamp = stamp_of(&video.metadata()?);
        video.read_at(&mut [0], 0)?;
        Ok((video, stamp))
    })
}
