//! Private mounts for a test, and a file system that hangs: a FUSE server of a few calls that shows another folder and can stop answering.
//!
//! Requests then wait in the kernel, as for a network server that is gone. A process that accesses the mount blocks, and can only be
//! killed.

#![expect(unsafe_code, reason = "a thread with mounts of its own")]

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Gives this thread, and what it starts from now on, mounts that no other process sees. Returns false if the system refuses.
pub fn own_mounts() -> bool {
    use rustix::mount::{MountPropagationFlags, mount_change};
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: only this thread's view of mounts and its working directory are separated from the others'. Memory and descriptors stay
    // shared.
    let is_alone = unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.is_ok();
    is_alone && mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE).is_ok()
}

/// Calls [`own_mounts`], and prints that the test does nothing if it is refused.
#[expect(clippy::print_stderr, reason = "what was not run is told to who runs the tests")]
pub fn own_mounts_or_say(test: &str) -> bool {
    let are_there = own_mounts();
    if !are_there {
        eprintln!("{test}: NOT TESTED HERE: only root may mount (unshare of the mount namespace was refused)");
    }
    are_there
}

/// The kernel's number for the top folder.
const TOP: u64 = 1;

/// Shows `source` at `point` until dropped.
pub struct HungMount {
    point: PathBuf,
    gate: Arc<Gate>,
    server: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Gate {
    is_frozen: Mutex<bool>,
    /// Whether a request has arrived since the freeze.
    has_asker: AtomicBool,
    opened: Condvar,
    read_error: AtomicI32,
    error_below: AtomicI32,
}

impl HungMount {
    /// Mounts a file system that can hang.
    ///
    /// **Errors**: if there is no `/dev/fuse`, or mounting is not allowed.
    pub fn new(source: &Path, point: &Path) -> io::Result<Self> {
        Self::serve(source, point, false)
    }

    /// Mounts one that is case-insensitive, as FAT, NTFS and APFS are. Changes are made in `source`.
    pub fn blind_to_capitals(source: &Path, point: &Path) -> io::Result<Self> {
        Self::serve(source, point, true)
    }

    fn serve(source: &Path, point: &Path, is_blind: bool) -> io::Result<Self> {
        let device = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            std::os::fd::AsRawFd::as_raw_fd(&device)
        );
        let options = std::ffi::CString::new(options)?;
        mount(
            "nas:/films",
            point,
            "fuse.hung",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(options.as_c_str()),
        )?;
        let gate = Arc::new(Gate::default());
        let mut server = Server {
            device: File::from(device),
            nodes: HashMap::from([(1, source.to_owned())]),
            is_blind,
        };
        let for_server = Arc::clone(&gate);
        let server = std::thread::spawn(move || while server.answer_one(&for_server).is_ok() {});
        Ok(Self {
            point: point.to_owned(),
            gate,
            server: Some(server),
        })
    }

    /// Answers every read of a file with this error from now on; 0 = reads work. Names and stats still work.
    pub fn fail_reads(&self, errno: i32) {
        self.gate.read_error.store(errno, Ordering::SeqCst);
    }

    /// Answers every request about the contents of its folders with this error from now on; 0 = they work. Entries at the top still work.
    pub fn fail_below(&self, errno: i32) {
        self.gate.error_below.store(errno, Ordering::SeqCst);
    }

    /// Leaves every request without an answer from now on.
    pub fn freeze(&self) {
        *self.gate.is_frozen.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Returns whether a request has arrived since the freeze.
    pub fn has_asker(&self) -> bool {
        self.gate.has_asker.load(Ordering::SeqCst)
    }

    /// Answers all requests again.
    pub fn thaw(&self) {
        self.gate.has_asker.store(false, Ordering::SeqCst);
        *self.gate.is_frozen.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.gate.opened.notify_all();
    }
}

impl Drop for HungMount {
    fn drop(&mut self) {
        self.thaw();
        // It may be unmounted already; the server ends in either case.
        unmount(&self.point, UnmountFlags::DETACH).unwrap_or_default();
        if let Some(server) = self.server.take()
            && !std::thread::panicking()
        {
            drop(server.join());
        }
    }
}

struct Server {
    device: File,
    nodes: HashMap<u64, PathBuf>,
    is_blind: bool,
}

/// The calls that are answered (linux/fuse.h); all others are "not implemented".
mod opcode {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const STATFS: u32 = 17;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const INIT: u32 = 26;
    pub(super) const OPENDIR: u32 = 27;
    pub(super) const READDIR: u32 = 28;
    pub(super) const RELEASEDIR: u32 = 29;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const BATCH_FORGET: u32 = 42;
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl Server {
    fn answer_one(&mut self, gate: &Gate) -> io::Result<()> {
        // While frozen, requests stay in the kernel: the caller of a request that was taken out could not even be killed.
        poll(&mut [PollFd::new(&self.device, PollFlags::IN)], None)?;
        let mut is_frozen = gate.is_frozen.lock().unwrap_or_else(PoisonError::into_inner);
        while *is_frozen {
            gate.has_asker.store(true, Ordering::SeqCst);
            is_frozen = gate.opened.wait(is_frozen).unwrap_or_else(PoisonError::into_inner);
        }
        drop(is_frozen);
        // More than the longest write that was negotiated.
        let mut request = vec![0; 128 << 10];
        let n_bytes = match self.device.read(&mut request) {
            Ok(n_bytes) => n_bytes,
            // The caller was killed.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        };
        let request = &request[..n_bytes];
        let (code, unique, node) = (u32_at(request, 4), u64_at(request, 8), u64_at(request, 16));
        if [opcode::FORGET, opcode::BATCH_FORGET, opcode::INTERRUPT].contains(&code) {
            return Ok(());
        }
        let (of_reads, below) = (gate.read_error.load(Ordering::SeqCst), gate.error_below.load(Ordering::SeqCst));
        let result = if of_reads != 0 && code == opcode::READ {
            Err(io::Error::from_raw_os_error(of_reads))
        } else if below != 0 && node > TOP {
            Err(io::Error::from_raw_os_error(below))
        } else {
            self.answer(code, node, &request[40..])
        };
        let (error, body) = match result {
            Ok(body) => (0, body),
            Err(error) => (-error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error()), vec![]),
        };
        let mut reply = Vec::with_capacity(16 + body.len());
        reply.extend(((16 + body.len()) as u32).to_ne_bytes());
        reply.extend(error.to_ne_bytes());
        reply.extend(unique.to_ne_bytes());
        reply.extend(body);
        // The caller may be gone.
        self.device.write_all(&reply).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
    }

    fn answer(&mut self, code: u32, node: u64, body: &[u8]) -> io::Result<Vec<u8>> {
        let path = self.nodes.get(&node).cloned().unwrap_or_default();
        match code {
            opcode::INIT => {
                let mut reply = vec![0; 64];
                reply[0..4].copy_from_slice(&7_u32.to_ne_bytes());
                reply[4..8].copy_from_slice(&31_u32.to_ne_bytes());
                reply[8..12].copy_from_slice(&(128_u32 << 10).to_ne_bytes());
                reply[20..24].copy_from_slice(&(64_u32 << 10).to_ne_bytes());
                Ok(reply)
            }
            opcode::LOOKUP => {
                let name = body.split(|byte| *byte == 0).next().unwrap_or_default();
                let mut path = path.join(std::ffi::OsStr::from_bytes(name));
                if self.is_blind {
                    path = as_spelled(path)?;
                }
                let attributes = attributes(&path)?;
                let node = u64_at(&attributes, 0);
                self.nodes.insert(node, path);
                // Number and generation; the zero times keep the kernel from caching anything.
                let mut reply = node.to_ne_bytes().to_vec();
                reply.extend([0; 32]);
                reply.extend(attributes);
                Ok(reply)
            }
            opcode::GETATTR => {
                let mut reply = vec![0; 16];
                reply.extend(attributes(&path)?);
                Ok(reply)
            }
            opcode::OPEN | opcode::OPENDIR => Ok(vec![0; 16]),
            opcode::READ => {
                let (offset, size) = (u64_at(body, 8), u32_at(body, 16));
                let mut content = vec![0; size as usize];
                let n_bytes = File::open(path)?.read_at(&mut content, offset)?;
                content.truncate(n_bytes);
                Ok(content)
            }
            opcode::READDIR => entries(&path, u64_at(body, 8), u32_at(body, 16)),
            opcode::STATFS => Ok(vec![0; 80]),
            opcode::RELEASE | opcode::RELEASEDIR => Ok(vec![]),
            _ => Err(rustix::io::Errno::NOSYS.into()),
        }
    }
}

/// Returns the path that a case-insensitive file system finds under this name.
fn as_spelled(path: PathBuf) -> io::Result<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(path);
    };
    if path.symlink_metadata().is_ok() {
        return Ok(path);
    }
    let mut names = std::fs::read_dir(folder)?.flatten().map(|entry| entry.file_name());
    let found = names.find(|other| other.eq_ignore_ascii_case(name));
    Ok(found.map_or_else(|| path.clone(), |found| folder.join(found)))
}

fn attributes(path: &Path) -> io::Result<Vec<u8>> {
    let of = path.symlink_metadata()?;
    let mut bytes = Vec::with_capacity(88);
    for value in [
        of.ino(),
        of.len(),
        of.blocks(),
        of.atime() as u64,
        of.mtime() as u64,
        of.ctime() as u64,
    ] {
        bytes.extend(value.to_ne_bytes());
    }
    let nanoseconds = [of.atime_nsec(), of.mtime_nsec(), of.ctime_nsec()].map(|value| value as u32);
    let rest = [of.mode(), of.nlink() as u32, of.uid(), of.gid(), 0, 4096, 0];
    for value in nanoseconds.into_iter().chain(rest) {
        bytes.extend(value.to_ne_bytes());
    }
    Ok(bytes)
}

fn entries(folder: &Path, offset: u64, size: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    for (at, entry) in std::fs::read_dir(folder)?.enumerate().skip(offset as usize) {
        let entry = entry?;
        let (name, of) = (entry.file_name(), entry.metadata()?);
        let padded = (24 + name.len()).next_multiple_of(8);
        if bytes.len() + padded > size as usize {
            break;
        }
        let end = bytes.len() + padded;
        bytes.extend(of.ino().to_ne_bytes());
        bytes.extend((at as u64 + 1).to_ne_bytes());
        bytes.extend((name.len() as u32).to_ne_bytes());
        bytes.extend((of.mode() >> 12).to_ne_bytes());
        bytes.extend(name.as_bytes());
        bytes.resize(end, 0);
    }
    Ok(bytes)
}
