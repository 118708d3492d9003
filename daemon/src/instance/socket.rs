//! The socket's path and folder, and who may call.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::StreamCommon;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use interprocess::os::unix::uds_local_socket::tokio::Listener as UnixListener;
use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::geteuid;
use scened_shared::shell;

use super::{Instance, InstanceError};

/// Longest path of a socket: `sun_path` without its closing NUL. Bytes.
const MAX_SOCKET_PATH_BYTES: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// A listening socket. Dropping it removes the path, if we created it and it is still ours.
#[derive(Debug)]
pub struct Listening {
    pub listener: Listener,
    /// `None` if the service manager made the socket, and owns its path.
    _path: Option<OwnedPath>,
}

/// The file that we created at the socket's path.
#[derive(Debug)]
struct OwnedPath {
    path: PathBuf,
    /// Device and inode. Another daemon may have put its own socket there since.
    identity: (u64, u64),
}

impl Drop for OwnedPath {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity)
            && let Err(e) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), error = %e, "the socket's path stays behind");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl Instance {
    /// Listens on `path`, or on the socket that the service manager handed over ([`crate::machine::systemd::inherited_socket`]).
    ///
    /// This belongs to [`Instance`] because a socket left behind may be removed only under the lock.
    ///
    /// **Errors**: [`InstanceError`]'s variants about the socket.
    /// **Panics** outside a tokio runtime.
    pub fn listen(&self, path: &Path, inherited: Option<OwnedFd>) -> Result<Listening, InstanceError> {
        match inherited {
            Some(descriptor) => adopt(descriptor),
            None => bind(path),
        }
    }
}

fn adopt(descriptor: OwnedFd) -> Result<Listening, InstanceError> {
    let refused = |why: &str| InstanceError::Inherited { why: why.to_owned() };
    let unreadable = |e: rustix::io::Errno| InstanceError::Inherited {
        why: io::Error::from(e).to_string(),
    };
    if socket_domain(&descriptor).map_err(unreadable)? != AddressFamily::UNIX {
        return Err(refused("it is not a Unix socket"));
    }
    if socket_type(&descriptor).map_err(unreadable)? != SocketType::STREAM {
        return Err(refused("it is not a stream socket (ListenStream=)"));
    }
    if !socket_acceptconn(&descriptor).map_err(unreadable)? {
        return Err(refused("it is not listening"));
    }
    let listener = UnixListener::try_from(descriptor).map_err(|e| InstanceError::Inherited { why: e.to_string() })?;
    Ok(Listening {
        listener: listener.into(),
        _path: None,
    })
}

fn bind(path: &Path) -> Result<Listening, InstanceError> {
    let owned = path.to_owned();
    if path.as_os_str().as_bytes().len() > MAX_SOCKET_PATH_BYTES {
        return Err(InstanceError::SocketPathTooLong {
            path: owned,
            limit: MAX_SOCKET_PATH_BYTES,
        });
    }
    let Some(folder) = path.parent().filter(|_| path.is_absolute()) else {
        return Err(InstanceError::SocketPathRelative { path: owned });
    };
    prepare_folder(folder)?;
    clear_path(path)?;
    let failed = |source| InstanceError::Listen {
        path: path.to_owned(),
        source,
    };
    let name = path.to_fs_name::<GenericFilePath>().map_err(failed)?;
    // On drop, interprocess would unlink the path even if another daemon's socket is there by then.
    let mut options = ListenerOptions::new().name(name).reclaim_name(false);
    if cfg!(not(target_os = "macos")) {
        options = options.mode(0o600);
    }
    let listener = options.create_tokio().map_err(failed)?;
    let identity = identity(path).map_err(failed)?;
    Ok(Listening {
        listener,
        _path: Some(OwnedPath { path: owned, identity }),
    })
}

/// Creates the socket's folder, or checks that nobody else can put anything into it.
fn prepare_folder(folder: &Path) -> Result<(), InstanceError> {
    let refused = |why: String| InstanceError::SocketDir {
        path: folder.to_owned(),
        why,
    };
    let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let found = fs::symlink_metadata(folder).map_err(|error| InstanceError::SocketDirUnusable {
        path: folder.to_owned(),
        source: created.err().unwrap_or(error),
    })?;
    if found.is_symlink() {
        return Err(refused("it is a symbolic link".to_owned()));
    }
    if !found.is_dir() {
        return Err(refused("it is not a folder".to_owned()));
    }
    if found.uid() != geteuid().as_raw() {
        return Err(refused(format!("it belongs to another user (uid {})", found.uid())));
    }
    let mode = found.mode() & 0o7777;
    // A folder that we create is 0700. A folder that a user chose may be readable by others: the socket itself is 0600, and every peer's
    // uid is checked. But if others can write to the folder, they can put their own socket there.
    if mode & 0o022 != 0 {
        let command = shell::word(folder).map_or_else(String::new, |word| format!(", or: chmod 700 {word}"));
        return Err(refused(format!(
            "other users may write to it (mode {mode:04o}); give the socket a folder of its own{command}"
        )));
    }
    Ok(())
}

/// Removes a socket on which nobody listens any more. Anything else at `path` is an error.
fn clear_path(path: &Path) -> Result<(), InstanceError> {
    let taken = |what| InstanceError::SocketPathTaken {
        path: path.to_owned(),
        what,
    };
    let failed = |source| InstanceError::Listen {
        path: path.to_owned(),
        source,
    };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed(e)),
    };
    if found.is_symlink() {
        return Err(taken("a symbolic link"));
    }
    if !found.is_socket() {
        return Err(taken(if found.is_dir() {
            "a folder"
        } else {
            "a file that is not a socket"
        }));
    }
    // A daemon with another data folder holds another lock, but may have chosen the same path.
    match answers(path) {
        Ok(()) => Err(taken("a program that answers there (another scened, with another data folder?)")),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(taken("a program that is busy (another scened?)")),
        Err(_) => {
            tracing::info!(path = %path.display(), "removing the socket that an earlier run left behind");
            fs::remove_file(path).map_err(failed)
        }
    }
}

/// Connects to see whether a program listens there. Never waits: a stopped program with a full backlog would block us for ever.
fn answers(path: &Path) -> io::Result<()> {
    use rustix::net::{SocketAddrUnix, SocketFlags, connect, socket_with};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(connect(&socket, &SocketAddrUnix::new(path)?)?)
}

/// The reason why a caller is rejected.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("cannot tell who is calling: {0}")]
    Unknown(#[source] io::Error),
    #[error("the caller is another user (uid {uid})")]
    Stranger { uid: u32 },
}

/// Checks that the other end of `stream` is the daemon's own user, and returns its process id (0 if unknown).
pub fn check_peer(stream: &Stream) -> Result<u32, PeerError> {
    let creds = stream.peer_creds().map_err(PeerError::Unknown)?;
    match creds.euid() {
        Some(uid) if uid == geteuid().as_raw() => Ok(creds.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default()),
        Some(uid) => Err(PeerError::Stranger { uid }),
        None => Err(PeerError::Unknown(io::ErrorKind::Unsupported.into())),
    }
}
