//! The real [`FrameSource`]: one `scened-worker media` process per call.
//!
//! The calling thread starts the process, reads its pipe, and ends it; a second thread collects its standard error. A worker is never
//! trusted: every message is checked against the request, and a violation is [`MediaError::Protocol`]. The process is killed and reaped on
//! every path out.

mod check;
#[cfg(feature = "fuzzing")]
pub mod fuzz;

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use scened_common::domain::{Frame, ImageSpec, Resample, ResizeMode};
use scened_common::media::budget::Budget;
use scened_common::media::extras::Extras;
use scened_common::media::wire;
use scened_common::media::wire::Confinement;
use scened_common::pipe::{self, PipeError, RawFrame};
use serde::Serialize;

use self::check::Checker;
use super::{
    AnalyseRequest, Analysis, Cancel, Detector, FrameSource, Hardware, KeyframesRequest, MediaError, MediaEvent, PictureRequest, Poster,
    PosterRequest, SceneMode,
};
use crate::worker::throttle::{Throttle, ThrottledWorker};
use crate::worker::timeout::ResponseTimeout;
use crate::worker::{self, OwnedChild, StderrTail};

/// Three frames of 32 × 32 in Motion JPEG, which every FFmpeg decodes.
const CONTROL: &[u8] = include_bytes!("control.mkv");

/// Creates a file without a name that is not on a disk, if the system has such files.
fn tempfile_in_memory() -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        Ok(File::from(rustix::fs::memfd_create("control", rustix::fs::MemfdFlags::CLOEXEC)?))
    }
    #[cfg(not(target_os = "linux"))]
    tempfile::tempfile()
}

/// Interval at which a wait checks for cancellation.
const CANCEL_TICK: Duration = Duration::from_millis(50);
/// Time that a worker may take to end after its last message.
const GOODBYE: Duration = Duration::from_secs(2);

/// Decodes in worker processes, as many at once as there are callers.
#[derive(Clone, Debug)]
pub struct MediaProcess {
    program: PathBuf,
    silence: Duration,
    allow_unsandboxed: bool,
    extras: Extras,
    throttle: Throttle,
}

impl MediaProcess {
    /// A worker that sends nothing for this long counts as hung.
    pub const DEFAULT_SILENCE: Duration = Duration::from_mins(1);

    /// Uses the worker found by [`worker::find_worker`].
    pub fn find() -> Result<Self, MediaError> {
        let program = worker::find_worker().map_err(|error| MediaError::Start {
            program: "scened-worker".to_owned(),
            source_text: error.to_string(),
        })?;
        Ok(Self::new(program))
    }

    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            silence: Self::DEFAULT_SILENCE,
            allow_unsandboxed: false,
            extras: Extras::default(),
            throttle: Throttle::default(),
        }
    }

    /// Sets the formats and codecs that may be read besides the worker's own lists.
    #[must_use]
    pub fn with_extras(mut self, extras: Extras) -> Self {
        self.extras = extras;
        self
    }

    /// Sets whether a worker may decode without a sandbox, if there is none or if a graphics card decodes.
    #[must_use]
    pub fn with_unsandboxed_allowed(mut self, allowed: bool) -> Self {
        self.allow_unsandboxed = allowed;
        self
    }

    /// Sets the throttle of background workers, which no client waits for.
    #[must_use]
    pub fn with_courtesy(mut self, throttle: Throttle) -> Self {
        self.throttle = throttle;
        self
    }

    /// Sets how long a worker may send nothing before it is killed.
    #[must_use]
    pub fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Finds the most informative frame of a video, among a few dozen; blocks.
    pub fn poster(&self, video: File, request: &PosterRequest, cancel: &Cancel) -> Result<Poster, MediaError> {
        let mut worker = self.start(video, wire::KIND_POSTER, request)?;
        worker.read_start(cancel)?;
        let frame = worker.read(cancel)?;
        check::poster(&frame, request)
    }

    fn start(&self, video: File, kind: u8, request: &impl Serialize) -> Result<Worker, MediaError> {
        let cannot_start = |error: &dyn std::fmt::Display| MediaError::Start {
            program: self.program.display().to_string(),
            source_text: error.to_string(),
        };
        let mut command = Command::new(&self.program);
        command
            .arg(wire::ROLE)
            .args(self.allow_unsandboxed.then_some(wire::ALLOW_UNSANDBOXED))
            .args(self.extras.to_arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mapping = FdMapping {
            parent_fd: OwnedFd::from(video),
            child_fd: wire::VIDEO_FD,
        };
        command.fd_mappings(vec![mapping]).map_err(|error| cannot_start(&error))?;
        let mut child = OwnedChild::new(command.spawn().map_err(|error| cannot_start(&error))?);
        // Otherwise the video stays open in `command`.
        drop(command);
        let inner = child.child();
        let (Some(mut requests), Some(answers), Some(stderr)) = (inner.stdin.take(), inner.stdout.take(), inner.stderr.take()) else {
            return Err(cannot_start(&"its pipes are missing"));
        };
        let stderr = StderrTail::collect(stderr, wire::ROLE).map_err(|error| cannot_start(&error))?;
        // A request is far smaller than a pipe's buffer, so this cannot block. If the worker is already dead, how it died says more than
        // the broken pipe.
        let asked =
            pipe::write_hello(&mut requests, wire::ROLE, wire::VERSION).and_then(|()| pipe::write_frame(&mut requests, kind, request, &[]));
        if let Err(error) = asked {
            tracing::debug!(%error, "cannot ask a media worker");
        }
        drop(requests);
        // A client waits for a picture.
        let throttled = match kind {
            wire::KIND_PICTURE | wire::KIND_POSTER => None,
            _ => self.throttle.keep(child.id()),
        };
        Ok(Worker {
            child,
            _throttled: throttled,
            answers,
            stderr: Some(stderr),
            silence: self.silence,
            allow_unsandboxed: self.allow_unsandboxed || !cfg!(target_os = "linux"),
        })
    }
}

impl FrameSource for MediaProcess {
    fn analyse(
        &self,
        video: File,
        request: &AnalyseRequest,
        cancel: &Cancel,
        sink: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<Analysis, MediaError> {
        wire::check_image(&request.image).map_err(|reason| MediaError::Unusable { reason })?;
        let budget = Budget::of(&video).map_err(|error| MediaError::Unread {
            errno: error.raw_os_error().unwrap_or_else(|| rustix::io::Errno::IO.raw_os_error()),
        })?;
        let mut checker = Checker::new(request, budget);
        let mut worker = self.start(video, wire::KIND_ANALYSE, request)?;
        let last = worker.follow(&mut checker, cancel, sink)?;
        let analysis = checker.finished(&last)?;
        worker.say_goodbye(cancel)?;
        Ok(analysis)
    }

    fn replay(
        &self,
        keyframes: File,
        request: &KeyframesRequest,
        cancel: &Cancel,
        sink: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<u64, MediaError> {
        wire::check_image(&request.image).map_err(|reason| MediaError::Unusable { reason })?;
        let mut checker = Checker::for_keyframes(request);
        let mut worker = self.start(keyframes, wire::KIND_KEYFRAMES, request)?;
        let last = worker.follow(&mut checker, cancel, sink)?;
        let n_scenes = checker.replayed(&last)?;
        worker.say_goodbye(cancel)?;
        Ok(n_scenes)
    }

    fn prove(&self, threads: u32) -> Result<(), MediaError> {
        let request = AnalyseRequest {
            image: ImageSpec {
                width_px: 32,
                height_px: 32,
                shortest_side_px: 32,
                resize: ResizeMode::Squash,
                resample: Resample::Bilinear,
            },
            detector: Detector::Shot,
            mode: SceneMode::Exact,
            keyframes_only: false,
            max_scene_ms: 15_000,
            thumbnail_px: 0,
            keyframe_px: 0,
            threads,
            hardware: Hardware::None,
            label: "control".to_owned(),
        };
        let cannot_start = |error: io::Error| MediaError::Start {
            program: self.program.display().to_string(),
            source_text: format!("no room for a few kilobytes: {error}"),
        };
        let mut video = tempfile_in_memory().map_err(cannot_start)?;
        video.write_all(CONTROL).and_then(|()| video.rewind()).map_err(cannot_start)?;
        match self.analyse(video, &request, &Cancel::default(), &mut |_| ControlFlow::Continue(())) {
            // An FFmpeg that lacks this decoder reports so, and otherwise functions.
            Ok(_) | Err(MediaError::Unusable { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn picture(&self, video: File, request: &PictureRequest, cancel: &Cancel) -> Result<Vec<Frame>, MediaError> {
        wire::check_image(&request.image).map_err(|reason| MediaError::Unusable { reason })?;
        let mut worker = self.start(video, wire::KIND_PICTURE, request)?;
        worker.read_start(cancel)?;
        let frame = worker.read(cancel)?;
        check::picture(&frame, &request.image)
    }
}

/// One running worker, killed and reaped when dropped.
struct Worker {
    child: OwnedChild,
    _throttled: Option<ThrottledWorker>,
    answers: ChildStdout,
    stderr: Option<StderrTail>,
    silence: Duration,
    allow_unsandboxed: bool,
}

impl Worker {
    /// Reads the messages that a worker sends before it touches the video. An error until then is not the video's fault.
    fn read_start(&mut self, cancel: &Cancel) -> Result<(), MediaError> {
        self.try_start(cancel).map_err(MediaError::before_the_video)
    }

    fn try_start(&mut self, cancel: &Cancel) -> Result<(), MediaError> {
        self.read_hello(cancel)?;
        let frame = self.read(cancel)?;
        match check::confinement(&frame)? {
            Confinement::Sandboxed { .. } => Ok(()),
            Confinement::Unsandboxed { reason } if self.allow_unsandboxed => {
                tracing::debug!(reason, "a video is decoded without a sandbox");
                Ok(())
            }
            Confinement::Unsandboxed { .. } => Err(MediaError::Protocol {
                detail: "it decodes without a sandbox, and may not".to_owned(),
            }),
            Confinement::Refused { reason } => Err(MediaError::Unsandboxed { reason }),
        }
    }

    fn read_hello(&mut self, cancel: &Cancel) -> Result<(), MediaError> {
        let mut answers = Patient::new(&self.answers, self.child.id(), self.silence, cancel);
        match pipe::read_hello(&mut answers, wire::ROLE, wire::VERSION) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.why(error)),
        }
    }

    /// Passes on the worker's checked events. Returns its last message unchecked.
    fn follow(
        &mut self,
        checker: &mut Checker,
        cancel: &Cancel,
        sink: &mut dyn FnMut(MediaEvent) -> ControlFlow<()>,
    ) -> Result<RawFrame, MediaError> {
        self.read_start(cancel)?;
        let mut advance = Advance::new(self.child.id(), self.silence);
        loop {
            let frame = self.read(cancel)?;
            if frame.kind == wire::KIND_FINISHED {
                return Ok(frame);
            }
            let event = checker.event(&frame)?;
            if let Some(seconds) = advance.stuck_for(checker.reached_ms()) {
                return Err(MediaError::TimedOut { seconds });
            }
            let told = Instant::now();
            if sink(event).is_break() {
                return Err(MediaError::Cancelled);
            }
            advance.leave_out(told.elapsed());
        }
    }

    /// Reads the next frame. Fails if the worker is silent for too long, or on cancel.
    fn read(&mut self, cancel: &Cancel) -> Result<RawFrame, MediaError> {
        let mut answers = Patient::new(&self.answers, self.child.id(), self.silence, cancel);
        match pipe::read_frame(&mut answers, pipe::MAX_FRAME_BYTES) {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => Err(self.why(PipeError::Truncated)),
            Err(error) => Err(self.why(error)),
        }
    }

    /// Waits for a worker that is done. Its answer is complete, so how it ends only matters for the log.
    fn say_goodbye(&mut self, cancel: &Cancel) -> Result<(), MediaError> {
        let mut answers = Patient::new(&self.answers, self.child.id(), GOODBYE, cancel);
        match answers.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(MediaError::Protocol {
                detail: "it sent data after its last message".to_owned(),
            }),
            Err(error) => {
                tracing::debug!(%error, "a media worker is slow to end");
                Ok(())
            }
        }
    }

    /// Turns a pipe error into the worker's failure.
    fn why(&mut self, error: PipeError) -> MediaError {
        match error {
            PipeError::Io(error) => match error.kind() {
                io::ErrorKind::TimedOut if worker::is_stopped(self.child.id()) => MediaError::Killed {
                    detail: "a signal stopped it, and nothing continued it".to_owned(),
                },
                io::ErrorKind::TimedOut => MediaError::TimedOut {
                    seconds: self.silence.as_secs(),
                },
                io::ErrorKind::ConnectionAborted => MediaError::Cancelled,
                _ => MediaError::WorkerDied {
                    detail: format!("its pipe failed: {error}"),
                },
            },
            PipeError::Truncated | PipeError::NoHello => self.how_it_died(),
            error => MediaError::Protocol { detail: error.to_string() },
        }
    }

    fn how_it_died(&mut self) -> MediaError {
        // It closed its pipe, so it is ending by itself. Waiting shows how.
        let deadline = Instant::now() + GOODBYE;
        let mut is_from_outside = false;
        let status = match self.child.wait_until(deadline) {
            Ok(Some(status)) => {
                is_from_outside = worker::is_ended_from_outside(status);
                worker::describe_exit(status)
            }
            Ok(None) => "it closed its pipe and went on".to_owned(),
            Err(error) => format!("its end is unknown: {error}"),
        };
        if let Err(error) = self.child.kill() {
            tracing::debug!(%error, "cannot end a media worker");
        }
        let said = self.stderr.take().map(StderrTail::finish).unwrap_or_default();
        let detail = if said.is_empty() {
            status
        } else {
            format!("{status}; it said: {said}")
        };
        if is_from_outside {
            MediaError::Killed { detail }
        } else {
            MediaError::WorkerDied { detail }
        }
    }
}

/// Checks that a worker advances in its video: one that sends messages without advancing is as hung as a silent one.
struct Advance {
    worker: u32,
    silence: Duration,
    reached_ms: u64,
    since: Instant,
    processor_time: Option<Duration>,
}

/// Maximum number of silences without an advance (ten minutes by default), if the worker had the processor for a quarter of that time.
const STUCK_SILENCES: u32 = 10;
/// Maximum number of silences without an advance (an hour by default), however little processor time the worker had.
const STARVED_SILENCES: u32 = 60;

impl Advance {
    fn new(worker: u32, silence: Duration) -> Self {
        Self {
            worker,
            silence,
            reached_ms: 0,
            since: Instant::now(),
            processor_time: worker::processor_time(worker),
        }
    }

    /// Takes the worker's position. Returns for how many seconds it has been stuck, if that is too long.
    fn stuck_for(&mut self, reached_ms: u64) -> Option<u64> {
        if reached_ms > self.reached_ms {
            *self = Self {
                reached_ms,
                ..Self::new(self.worker, self.silence)
            };
            return None;
        }
        let elapsed = self.since.elapsed();
        if elapsed < self.silence * STUCK_SILENCES {
            return None;
        }
        let used = worker::processor_time(self.worker).zip(self.processor_time);
        let had_its_share = used.is_none_or(|(now, before)| now.saturating_sub(before) >= elapsed / 4);
        (had_its_share || elapsed >= self.silence * STARVED_SILENCES).then_some(elapsed.as_secs())
    }

    /// Leaves out the time that the worker waited for scened.
    fn leave_out(&mut self, waited: Duration) {
        self.since += waited;
    }
}

/// Reads a frame from a pipe within a time limit, and checks the cancel flag while it waits.
struct Patient<'a> {
    answers: &'a ChildStdout,
    timeout: ResponseTimeout,
    cancel: &'a Cancel,
}

impl<'a> Patient<'a> {
    fn new(answers: &'a ChildStdout, worker: u32, silence: Duration, cancel: &'a Cancel) -> Self {
        Self {
            answers,
            timeout: ResponseTimeout::new(worker, silence),
            cancel,
        }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let tick = Timespec::try_from(CANCEL_TICK).map_err(io::Error::other)?;
        loop {
            if self.cancel.is_cancelled() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            // The limit holds for a worker that sends data, too: one that sends a byte at a time is never silent.
            if self.timeout.is_over() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut waited = [PollFd::from_borrowed_fd(self.answers.as_fd(), PollFlags::IN)];
            match poll(&mut waited, Some(&tick)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(rustix::io::read(self.answers, buffer)?),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
