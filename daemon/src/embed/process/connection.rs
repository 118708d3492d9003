//! One embed worker: its process and its pipes, with a deadline on every answer.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use scened_common::embed::protocol::{self, Failed, LoadRequest, Loaded};
use scened_common::pipe::{self, PipeError, RawFrame};

use crate::embed::EmbedError;
use crate::worker::timeout::ResponseTimeout;
use crate::worker::{self, OwnedChild, StderrTail, describe_exit};

/// A big model on a slow disk takes a while, but nothing should take this long.
const ANSWER_LIMIT: Duration = Duration::from_mins(2);
/// Time that a worker may take to end when asked.
const END_LIMIT: Duration = Duration::from_secs(2);

/// A running worker that has loaded ONNX Runtime.
#[derive(Debug)]
pub(super) struct Connection {
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    child: OwnedChild,
    stderr: Option<StderrTail>,
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The worker died; another one may succeed.
    Died { detail: String, is_from_outside: bool },
    /// The worker refused the request, with its reason.
    Refused(Failed),
    /// The worker must not be used any more, and another attempt would not help.
    Broken(EmbedError),
}

impl Connection {
    /// Starts `program` and makes it load ONNX Runtime. `wake` becomes readable when everything must stop. `tell_pid` gets the process id
    /// before the process has sent anything.
    pub(super) fn open(
        program: &Path,
        request: &LoadRequest,
        wake: BorrowedFd<'_>,
        tell_pid: impl FnOnce(u32),
    ) -> Result<(Self, Loaded), RequestError> {
        let mut connection = Self::spawn(program).map_err(|source| {
            RequestError::Broken(EmbedError::Unavailable {
                reason: format!("cannot start {}: {source}", program.display()),
                hint: Some("check the installation: scened-worker must be in the folder of scened".to_owned()),
            })
        })?;
        tell_pid(connection.pid());
        let frame = connection.exchange(wake, |pipe| {
            pipe::write_hello(pipe, protocol::ROLE, protocol::VERSION)?;
            pipe::read_hello(pipe, protocol::ROLE, protocol::VERSION)?;
            pipe::write_frame(pipe, protocol::KIND_LOAD, request, &[])?;
            pipe::read_frame(pipe, protocol::MAX_ANSWER_BYTES)
        })?;
        if frame.kind != protocol::KIND_DONE {
            return Err(unexpected(frame.kind));
        }
        let loaded: Loaded = frame.header().map_err(|error| broken(&error))?;
        Ok((connection, loaded.cleaned()))
    }

    fn spawn(program: &Path) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .arg(OsStr::new(protocol::ROLE))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // NVML counts cards by their place on the bus. The card whose memory it reports must be the one that CUDA takes first.
            .env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
        // Ctrl+C at a terminal goes to the whole process group, but the daemon decides when its worker ends.
        command.process_group(0);
        let mut child = OwnedChild::new(command.spawn()?);
        let missing = || io::Error::other("a pipe to the worker is missing");
        let stdin = child.child().stdin.take().ok_or_else(missing)?;
        let stdout = child.child().stdout.take().ok_or_else(missing)?;
        let stderr = StderrTail::collect(child.child().stderr.take().ok_or_else(missing)?, "embed")?;
        rustix::io::ioctl_fionbio(&stdin, true)?;
        rustix::io::ioctl_fionbio(&stdout, true)?;
        Ok(Self {
            stdin: Some(stdin),
            stdout,
            child,
            stderr: Some(stderr),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends one request and waits for its answer. An answer of [`protocol::KIND_FAILED`] becomes an error.
    pub(super) fn request(
        &mut self,
        kind: u8,
        header: &impl serde::Serialize,
        body: &[u8],
        wake: BorrowedFd<'_>,
    ) -> Result<RawFrame, RequestError> {
        self.exchange(wake, |pipe| {
            pipe::write_frame(pipe, kind, header, body)?;
            pipe::read_frame(pipe, protocol::MAX_ANSWER_BYTES)
        })
    }

    fn exchange(
        &mut self,
        wake: BorrowedFd<'_>,
        talk: impl FnOnce(&mut TimedPipe<'_>) -> Result<Option<RawFrame>, PipeError>,
    ) -> Result<RawFrame, RequestError> {
        let Some(stdin) = &mut self.stdin else {
            return Err(self.died());
        };
        let mut pipe = TimedPipe {
            stdin,
            stdout: &mut self.stdout,
            wake,
            timeout: ResponseTimeout::new(self.child.id(), ANSWER_LIMIT),
        };
        match talk(&mut pipe) {
            Ok(Some(frame)) if frame.kind == protocol::KIND_FAILED => match frame.header::<Failed>() {
                Ok(failed) => Err(RequestError::Refused(failed.cleaned())),
                Err(error) => Err(broken(&error)),
            },
            Ok(Some(frame)) => Ok(frame),
            Ok(None) | Err(PipeError::Truncated | PipeError::NoHello) => Err(self.died()),
            Err(PipeError::Io(error)) => Err(match error.kind() {
                io::ErrorKind::TimedOut if worker::is_stopped(self.child.id()) => RequestError::Broken(EmbedError::Killed {
                    detail: "a signal stopped it, and nothing continued it".to_owned(),
                }),
                io::ErrorKind::TimedOut => RequestError::Broken(EmbedError::TimedOut {
                    seconds: ANSWER_LIMIT.as_secs(),
                }),
                io::ErrorKind::Other if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Woken>) => {
                    RequestError::Broken(EmbedError::ShuttingDown)
                }
                _ => self.died(),
            }),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Reports the end of the worker and its last output. Ends it if it still lives.
    fn died(&mut self) -> RequestError {
        self.stdin = None;
        let how = match self.child.child().try_wait() {
            // Its pipes are closed but it has not ended yet, so it gets some time.
            Ok(None) => self.wait_for_end(),
            Ok(Some(status)) => Some(status),
            Err(_) => None,
        };
        let is_from_outside = how.is_some_and(worker::is_ended_from_outside);
        let mut detail = how.map_or_else(|| "it closed its pipes and did not end".to_owned(), describe_exit);
        if let Some(stderr) = self.stderr.take() {
            let said = stderr.finish();
            if !said.is_empty() {
                detail = format!("{detail}; it said: {said}");
            }
        }
        RequestError::Died { detail, is_from_outside }
    }

    /// Waits until the worker has closed its standard output (which it does by ending) and has ended, at most [`END_LIMIT`]. Then kills it
    /// if it still lives.
    fn wait_for_end(&mut self) -> Option<std::process::ExitStatus> {
        let deadline = Instant::now() + END_LIMIT;
        let mut left = [0_u8; 4096];
        loop {
            match self.stdout.read(&mut left) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(&self.stdout, PollFlags::IN)];
                    match wait(&mut fds, deadline) {
                        Ok(true) => {}
                        Ok(false) | Err(_) => break,
                    }
                }
                Err(_) => break,
            }
        }
        self.wait_for_exit(deadline);
        self.child.kill().ok()
    }

    /// Waits for the exit. A process closes its pipes shortly before it ends; killing it in between would be reported as the reason for its
    /// end.
    #[cfg(target_os = "linux")]
    fn wait_for_exit(&self, deadline: Instant) {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // Without a process descriptor (an old kernel), the reported reason may be our own signal. Nothing else changes.
        if let Some(process) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
            let ended = wait(&mut [PollFd::new(&process, PollFlags::IN)], deadline);
            tracing::trace!(?ended, "waited for the end of the embed worker");
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn wait_for_exit(&self, _deadline: Instant) {}

    /// Asks the worker to end by closing its standard input, and kills it if it does not.
    pub(super) fn close(mut self) {
        self.stdin = None;
        let status = self.wait_for_end();
        tracing::debug!(?status, "the embed worker ended");
        if let Some(stderr) = self.stderr.take() {
            stderr.finish();
        }
    }
}

fn broken(error: &PipeError) -> RequestError {
    RequestError::Broken(EmbedError::Protocol { detail: error.to_string() })
}

pub(super) fn unexpected(kind: u8) -> RequestError {
    RequestError::Broken(EmbedError::Protocol {
        detail: format!("an answer of kind {kind} was not expected here"),
    })
}

/// Everything must stop, although an answer is still pending.
#[derive(Debug, thiserror::Error)]
#[error("woken to stop")]
struct Woken;

/// Both pipes of a worker, read and written with one time limit for a whole request and its answer.
struct TimedPipe<'a> {
    stdin: &'a mut ChildStdin,
    stdout: &'a mut ChildStdout,
    wake: BorrowedFd<'a>,
    timeout: ResponseTimeout,
}

impl Read for TimedPipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stdout.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_for(self.stdout.as_fd(), PollFlags::IN, self.wake, &mut self.timeout)?;
                }
                other => return other,
            }
        }
    }
}

impl Write for TimedPipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.stdin.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_for(self.stdin.as_fd(), PollFlags::OUT, self.wake, &mut self.timeout)?;
                }
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdin.flush()
    }
}

fn wait_for(pipe: BorrowedFd<'_>, event: PollFlags, wake: BorrowedFd<'_>, timeout: &mut ResponseTimeout) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(pipe, event), PollFd::from_borrowed_fd(wake, PollFlags::IN)];
    while !wait(&mut fds, timeout.deadline())? {
        if timeout.is_over() {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    if fds[1].revents().is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(Woken))
    }
}

/// Waits until one of `fds` is ready. Returns false if the deadline passed.
fn wait(fds: &mut [PollFd<'_>], deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(fds, Some(&timeout)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}
