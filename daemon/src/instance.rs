//! One daemon for each data folder, and one socket for each daemon.
//!
//! Creates the data folder and locks it ([`Instance`]), owns the socket and its folder ([`Listening`]), and checks who is calling
//! ([`check_peer`]). The order matters. The lock comes first, for the daemon's whole life: before the store is opened, and before a socket
//! that a crash left behind is removed. Knows nothing of the messages on the socket. No threads.
//!
//! The socket is a path in a folder that only we can write to, and never in the abstract namespace (which has no permissions). A folder
//! that we create has mode 0700.

pub mod privacy;
mod socket;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::failpoint;

pub use socket::{Listening, PeerError, check_peer};

/// Name of the lock file in the data folder.
const LOCK_FILE: &str = "lock";

/// How often to check who holds the lock, and the pause between: two seconds in all.
const PID_LOOKS: usize = 100;
const PID_PAUSE: rustix::event::Timespec = rustix::event::Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// The reason why this daemon cannot run here. [`InstanceError::source_of_system`] returns errors that may pass by themselves; the user
/// must solve all others.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    #[error("cannot create the data folder {}: {source}", .path.display())]
    CreateDataDir { path: PathBuf, source: io::Error },
    #[error("the data folder {} is not a folder", .path.display())]
    DataDirNotAFolder { path: PathBuf },
    #[error("the data folder {} is not writable: {source}", .path.display())]
    DataDirNotWritable { path: PathBuf, source: io::Error },
    #[error("the data folder {} belongs to another user (uid {uid}), who could change everything in it; choose another one with --data-dir", .path.display())]
    DataDirNotOurs { path: PathBuf, uid: u32 },
    #[error("other users may write to the data folder {} (mode {mode:04o}); run chmod 700 on it, or choose another one with --data-dir", .path.display())]
    DataDirOpen { path: PathBuf, mode: u32 },
    #[error("cannot lock the data folder {}: {source} (is it on a network drive that has no locks?)", .path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("another scened{} uses the data folder {}; stop it, or choose another folder with --data-dir", with_pid(*.pid), .path.display())]
    AlreadyRunning { pid: Option<u32>, path: PathBuf },
    #[error("the socket path {} has {} bytes, but the system allows {limit}; choose a shorter one with --socket", .path.display(), .path.as_os_str().len())]
    SocketPathTooLong { path: PathBuf, limit: usize },
    #[error("the socket path {} is not absolute", .path.display())]
    SocketPathRelative { path: PathBuf },
    #[error("cannot use {} as the socket's folder: {why}", .path.display())]
    SocketDir { path: PathBuf, why: String },
    #[error("the socket path {} is taken by {what}; move that away, or choose another path with --socket", .path.display())]
    SocketPathTaken { path: PathBuf, what: &'static str },
    #[error("cannot listen on {}: {source}", .path.display())]
    Listen { path: PathBuf, source: io::Error },
    #[error("cannot use {} as the socket's folder: {source}", .path.display())]
    SocketDirUnusable { path: PathBuf, source: io::Error },
    #[error("cannot use the socket that the service manager handed over: {why}")]
    Inherited { why: String },
}

impl InstanceError {
    /// Returns the operating system's error, if there is one.
    pub fn source_of_system(&self) -> Option<&io::Error> {
        match self {
            Self::CreateDataDir { source, .. }
            | Self::DataDirNotWritable { source, .. }
            | Self::Lock { source, .. }
            | Self::SocketDirUnusable { source, .. }
            | Self::Listen { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Returns whether the disk has no room, in blocks, in inodes or in the user's quota. Searches are still answered, without writing
/// anything.
fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn with_pid(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// The right to use a data folder. It holds the folder's lock until dropped.
#[derive(Debug)]
pub struct Instance {
    data_dir: PathBuf,
    /// Closing it releases the lock. The kernel does so too when the process dies in any way.
    _lock: File,
}

impl Instance {
    /// Creates `data_dir` if it does not exist (mode 0700), checks that it can be written to, locks it, and closes it to other users
    /// ([`privacy`]). A full disk is only a warning.
    ///
    /// **Errors**: [`InstanceError`]'s variants about the data folder and [`InstanceError::AlreadyRunning`].
    pub fn acquire(data_dir: &Path) -> Result<Self, InstanceError> {
        let path = data_dir.to_owned();
        match failpoint::hit("instance.begin").and_then(|()| fs::metadata(data_dir)) {
            Ok(found) if !found.is_dir() => return Err(InstanceError::DataDirNotAFolder { path }),
            Ok(found) if found.uid() != geteuid().as_raw() => {
                let uid = found.uid();
                return Err(InstanceError::DataDirNotOurs { path, uid });
            }
            Ok(found) => {
                let mode = privacy::close_folder(data_dir, &found).map_err(|source| InstanceError::DataDirNotWritable {
                    path: path.clone(),
                    source,
                })?;
                if mode & 0o022 != 0 {
                    return Err(InstanceError::DataDirOpen { path, mode });
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let created = DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
                created.map_err(|source| InstanceError::CreateDataDir {
                    path: path.clone(),
                    source,
                })?;
            }
            Err(source) => return Err(InstanceError::CreateDataDir { path, source }),
        }
        // An old lock file may be writable where no new file can be created, so this tries a new file as well.
        match tempfile::tempfile_in(data_dir) {
            Err(error) if is_disk_full(&error) => tracing::warn!(%error, path = %path.display(), "nothing can be written now"),
            Err(source) => return Err(InstanceError::DataDirNotWritable { path, source }),
            Ok(_file) => {}
        }
        let lock_path = data_dir.join(LOCK_FILE);
        if fs::symlink_metadata(&lock_path).is_ok_and(|found| found.is_dir()) {
            crate::quarantine::move_away(&lock_path).map_err(|source| InstanceError::DataDirNotWritable {
                path: path.clone(),
                source,
            })?;
        }
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(&lock_path);
        let mut lock = opened.map_err(|source| InstanceError::DataDirNotWritable {
            path: path.clone(),
            source,
        })?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(InstanceError::AlreadyRunning {
                    pid: pid_of_holder(&mut lock),
                    path,
                });
            }
            Err(e) => return Err(InstanceError::Lock { path, source: e.into() }),
        }
        // The pid is only for a message, and the folder was tested for writing above.
        if let Err(error) = write_pid(&mut lock) {
            tracing::warn!(%error, "cannot write the lock file");
        }
        privacy::close_content(data_dir);
        Ok(Self {
            data_dir: path,
            _lock: lock,
        })
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }
}

/// Writes the pid, for the message of a second daemon; only the lock decides.
fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// Returns the process that holds the lock. Between taking the lock and writing the pid, the file is empty or names a dead process for a
/// moment. So this checks again for a while.
fn pid_of_holder(lock: &mut File) -> Option<u32> {
    for _ in 0..PID_LOOKS {
        if let Some(pid) = read_pid(lock).filter(|pid| is_alive(*pid)) {
            return Some(pid);
        }
        // `poll` without descriptors is a plain pause, and the lints allow it.
        let _paused = rustix::event::poll(&mut [], Some(&PID_PAUSE));
    }
    None
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(Errno::SRCH)))
}

fn read_pid(lock: &mut File) -> Option<u32> {
    lock.rewind().ok()?;
    let mut text = String::new();
    lock.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests;
