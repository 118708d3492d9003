//! Attempts of a hostile video, made on purpose. Only for tests, under the feature `malice`, which no release has.

#![expect(unsafe_code, reason = "malice keeps to no safe wrapper")]

use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::CommandExt;

use scened_common::media::budget::Budget;

use super::Layers;

/// What to try, and which layers of the sandbox are active.
#[derive(Debug)]
pub(crate) struct Plan {
    attempt: String,
    layers: Option<Layers>,
    parent: libc::pid_t,
}

impl Plan {
    /// Reads `SCENED_MALICE`, what to try, as `what` or `what=on what`; and `SCENED_MALICE_LAYERS`, `none` or the active layers.
    pub(crate) fn from_environment() -> Option<Self> {
        let attempt = std::env::var("SCENED_MALICE").ok()?;
        let layers = std::env::var("SCENED_MALICE_LAYERS").unwrap_or_else(|_| "landlock seccomp".to_owned());
        let parent = std::os::unix::process::parent_id() as libc::pid_t;
        let layers = (layers != "none").then(|| Layers {
            landlock: layers.contains("landlock"),
            seccomp: layers.contains("seccomp"),
        });
        Some(Self { attempt, layers, parent })
    }

    /// Sets up those layers and makes the attempt. Ends the worker in any case, with the result.
    pub(crate) fn carry_out(&self) -> anyhow::Error {
        if let Some(layers) = self.layers {
            super::enter(layers, Budget::of_bytes(0), false);
        }
        self.attempt()
    }

    /// Returns whether to leave out the sandbox.
    pub(crate) fn is_outside(&self) -> bool {
        self.layers.is_none()
    }

    /// Makes the attempt and returns the result.
    pub(crate) fn attempt(&self) -> anyhow::Error {
        let (what, on) = self.attempt.split_once('=').unwrap_or((&self.attempt, ""));
        let done = match what {
            "open" => std::fs::File::open(on).map(drop),
            "write" => std::fs::File::create(on).and_then(|mut file| file.write_all(b"malice")),
            "exec" => Err(std::process::Command::new(on).exec()),
            "fork" => fork(),
            "tcp" => std::net::TcpStream::connect(on).map(drop),
            "udp" => std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"malice", on).map(drop)),
            "abstract" => SocketAddr::from_abstract_name(on)
                .and_then(|address| UnixStream::connect_addr(&address))
                .map(drop),
            // SAFETY: seizing stops nothing, and ends with this process.
            "ptrace" => succeeded(unsafe { libc::ptrace(libc::PTRACE_SEIZE, self.parent, 0, 0) } as libc::c_int),
            // SAFETY: signal 0 only checks whether another could be sent.
            "signal" => succeeded(unsafe { libc::kill(self.parent, 0) }),
            "code" => new_code(),
            "memory" => {
                let mut bytes = Vec::<u8>::new();
                bytes.try_reserve_exact(1 << 40).map_err(io::Error::other)
            }
            _ => return anyhow::anyhow!("malice knows no {what:?}"),
        };
        match done {
            Ok(()) => anyhow::anyhow!("malice succeeded"),
            Err(error) => anyhow::anyhow!("malice failed: {error}"),
        }
    }
}

fn succeeded(code: libc::c_int) -> io::Result<()> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn fork() -> io::Result<()> {
    // SAFETY: the child ends at once and touches nothing.
    match unsafe { libc::fork() } {
        // SAFETY: takes an integer, and runs none of our code.
        0 => unsafe { libc::_exit(0) },
        child => succeeded(child),
    }
}

/// Maps memory that can be written and executed.
fn new_code() -> io::Result<()> {
    let rights = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    // SAFETY: a new anonymous mapping, at no given address.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 4096, rights, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Beginning of a video that does harm by itself. The kind of harm follows, up to the end of the line.
const HARMFUL: &[u8] = b"scened-malice ";

/// Does the harm that a video names, as if a decoder had a bug. Tests use it to see how such videos are handled.
pub(crate) fn obey(video: &mut std::fs::File) {
    use std::io::{Read, Seek};
    let mut head = [0; 64];
    let n = video.read(&mut head).unwrap_or(0);
    video.rewind().ok();
    let Some(harm) = head[..n].strip_prefix(HARMFUL) else { return };
    match harm.split(|byte| *byte == b'\n').next() {
        Some(b"crash") => {
            // SAFETY: none; this is the requested crash.
            unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };
        }
        Some(b"abort") => std::process::abort(),
        // SAFETY: the sandbox ends the process for it.
        Some(b"fork") => drop(fork()),
        Some(b"memory") => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1_u8; 64 << 20]);
            }
        }
        Some(b"garbage") => {
            std::io::stdout().write_all(&[0xff; 64]).ok();
        }
        Some(b"panic") => panic!("a video asked for it"),
        Some(b"silence") => loop {
            std::hint::spin_loop();
        },
        _ => {}
    }
}
