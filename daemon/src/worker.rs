//! The daemon's worker processes: finding their program, watching a child process, and describing how it ended.
//!
//! FFmpeg and ONNX Runtime run in `scened-worker`, so that their memory and their crashes stay out of the daemon. This module owns what
//! both kinds of worker share. It does not know the content of their requests and answers; the bytes on the pipes are
//! [`scened_common::pipe`]'s. Each [`StderrTail`] has one thread, which ends when the child closes its standard error.

pub mod throttle;
pub(crate) mod timeout;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::Timespec;

/// Environment variable that names the worker's program.
pub const WORKER_VARIABLE: &str = "SCENED_WORKER";
/// File name of the worker's program.
const PROGRAM: &str = if cfg!(windows) { "scened-worker.exe" } else { "scened-worker" };

/// Interval of checks while waiting for a worker to end.
const END_TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

/// Limits of the kept part of a worker's standard error, for the text of an incident.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 4096;
/// A longer line is cut here, because a worker must not fill the log.
const LINE_BYTES: usize = 1024;
/// Further lines are kept for the tail but not logged.
const LOGGED_LINES: u64 = 1000;

/// The worker's program was not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {PROGRAM} found (looked at {looked_at}); set {WORKER_VARIABLE} to its path", looked_at = .looked_at.join(", "))]
pub struct WorkerNotFound {
    pub looked_at: Vec<String>,
}

/// Finds `scened-worker`: the program named by the environment, else one beside this executable (for tests: above `deps`), else in
/// `../libexec/scened`, else on `PATH`.
pub fn find_worker() -> Result<PathBuf, WorkerNotFound> {
    let named = std::env::var_os(WORKER_VARIABLE).filter(|value| !value.is_empty());
    find_worker_from(
        named.as_deref(),
        scened_shared::program::own().as_deref(),
        std::env::var_os("PATH").as_deref(),
    )
}

/// Returns the processor time that a process and all its threads have used; `None` if the system does not tell (only Linux does here).
pub(crate) fn processor_time(pid: u32) -> Option<std::time::Duration> {
    let (user, system) = processor_ticks(pid)?;
    Some(std::time::Duration::from_millis((user + system) * 10))
}

/// Returns whether a process is stopped, by a signal or a debugger. False if the system does not tell.
pub(crate) fn is_stopped(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_stopped_state(&stat))
}

/// Returns whether any thread of a process runs, or would run if it had a processor. False if the system does not tell.
pub(crate) fn is_runnable(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut stats = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    stats.any(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('R')))
}

/// Returns whether the state in `stat` is a stopped one. **Source**: proc_pid_stat(5): the third field.
fn is_stopped_state(stat: &str) -> bool {
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| rest.trim_start().starts_with(['T', 't']))
}

/// See [`processor_ticks_of`].
fn processor_ticks(pid: u32) -> Option<(u64, u64)> {
    processor_ticks_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Returns the processor time in user mode and in the kernel. **Source**: proc_pid_stat(5): fields 14 and 15, in clock ticks of 10 ms; the
/// name before them may contain spaces and brackets.
fn processor_ticks_of(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let user = fields.nth(11)?.parse().ok()?;
    let system = fields.next()?.parse().ok()?;
    Some((user, system))
}

/// Returns the version line of the worker (scened's and FFmpeg's versions), or why the worker cannot be started.
pub fn version() -> Result<String, String> {
    answer_to(&["--version".to_owned()])
}

/// Returns the parts of the media worker's sandbox, or why there is none.
pub fn sandbox() -> Result<String, String> {
    answer_to(&["--sandbox".to_owned()])
}

/// Returns what a media worker with these arguments decodes, or what is wrong with the arguments.
pub fn allowed(arguments: Vec<String>) -> Result<String, String> {
    answer_to(&[vec!["--allowed".to_owned()], arguments].concat())
}

fn answer_to(question: &[String]) -> Result<String, String> {
    let program = find_worker().map_err(|error| error.to_string())?;
    let output = std::process::Command::new(&program)
        .args(question)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} {}: {}", program.display(), describe_exit(output.status), said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn find_worker_from(named: Option<&OsStr>, executable: Option<&Path>, path: Option<&OsStr>) -> Result<PathBuf, WorkerNotFound> {
    let mut candidates = Vec::new();
    if let Some(named) = named {
        // A named program that is missing is an error: silently running another one would be worse.
        candidates.push(PathBuf::from(named));
    } else {
        if let Some(folder) = executable.and_then(Path::parent) {
            candidates.push(folder.join(PROGRAM));
            if folder.file_name() == Some(OsStr::new("deps"))
                && let Some(above) = folder.parent()
            {
                candidates.push(above.join(PROGRAM));
            }
            candidates.push(folder.join("../libexec/scened").join(PROGRAM));
        }
        candidates.extend(path.into_iter().flat_map(std::env::split_paths).map(|folder| folder.join(PROGRAM)));
    }
    match candidates.iter().find(|candidate| is_program(candidate)) {
        Some(found) => Ok(found.clone()),
        None => Err(WorkerNotFound {
            looked_at: candidates.iter().map(|candidate| candidate.display().to_string()).collect(),
        }),
    }
}

fn is_program(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else {
        return false;
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    metadata.is_file()
}

/// A child process that is killed and reaped when dropped, even if its owner returns early or panics.
#[derive(Debug)]
pub struct OwnedChild(Child);

impl OwnedChild {
    pub fn new(child: Child) -> Self {
        Self(child)
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for the child to end by itself. Returns `None` if it has not ended by `deadline`.
    pub fn wait_until(&mut self, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            // No notification of a child's end exists on every system. So this polls, and only while a worker ends.
            rustix::event::poll(&mut [], Some(&END_TICK))?;
        }
    }

    /// Kills the child and reaps it. Returns its status.
    pub fn kill(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(status) = self.0.try_wait()? {
            return Ok(status);
        }
        self.0.kill()?;
        self.0.wait()
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(pid = self.0.id(), %error, "cannot end a worker");
        }
    }
}

/// Collects a worker's standard error on its own thread: logs each line and keeps the last ones.
#[derive(Debug)]
pub struct StderrTail {
    lines: Arc<Mutex<VecDeque<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl StderrTail {
    /// Starts collecting. `worker` is the worker's name in the log, such as `media`.
    pub fn collect(stderr: ChildStderr, worker: &'static str) -> std::io::Result<Self> {
        Self::collect_from(stderr, worker)
    }

    fn collect_from(stderr: impl Read + Send + 'static, worker: &'static str) -> std::io::Result<Self> {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&lines);
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new()
            .name(format!("{worker}-stderr"))
            .spawn(move || span.in_scope(|| collect_lines(stderr, worker, &kept)))?;
        Ok(Self {
            lines,
            thread: Some(thread),
        })
    }

    /// Returns the last lines so far, joined by newlines; empty if there were none.
    pub fn tail(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Waits until the worker has closed its standard error, and returns the last lines. Call it after the worker has ended.
    pub fn finish(mut self) -> String {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that reads a worker's standard error panicked");
        }
        self.tail()
    }
}

fn collect_lines(mut stderr: impl Read, worker: &str, kept: &Mutex<VecDeque<String>>) {
    let mut buffer = [0_u8; 4096];
    let mut line = Vec::new();
    let mut n_lines = 0_u64;
    loop {
        let n = match stderr.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                tracing::debug!(worker, %error, "cannot read standard error of a worker");
                break;
            }
        };
        for byte in &buffer[..n] {
            if *byte == b'\n' {
                n_lines += 1;
                keep_line(&line, worker, n_lines, kept);
                line.clear();
            } else if line.len() < LINE_BYTES {
                line.push(*byte);
            }
        }
    }
    if !line.is_empty() {
        keep_line(&line, worker, n_lines + 1, kept);
    }
}

fn keep_line(line: &[u8], worker: &str, n_lines: u64, kept: &Mutex<VecDeque<String>>) {
    let text: String = String::from_utf8_lossy(line)
        .trim_end()
        .chars()
        .map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c })
        .collect();
    if n_lines <= LOGGED_LINES {
        tracing::debug!(worker, "{text}");
    } else if n_lines == LOGGED_LINES + 1 {
        tracing::debug!(worker, "the worker says too much; the rest is not logged");
    }
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.push_back(text);
    while kept.len() > TAIL_LINES || kept.iter().map(String::len).sum::<usize>() > TAIL_BYTES {
        kept.pop_front();
    }
}

/// Describes how a process ended, for people, such as `killed by signal 9 (SIGKILL), perhaps out of memory`.
pub fn describe_exit(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return describe_signal(signal);
        }
    }
    match status.code() {
        Some(0) => "ended before it was done".to_owned(),
        Some(101) => "panicked (exit status 101)".to_owned(),
        Some(code) => format!("ended with exit status {code}"),
        None => "ended for an unknown reason".to_owned(),
    }
}

/// Returns whether a process was ended by a signal that comes from outside: from another process, or from the system when out of memory.
pub fn is_ended_from_outside(status: ExitStatus) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        /// Signals for faults found by the processor, the C library or the kernel's sandbox (ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS), and for
        /// the limit of a file's size.
        const OWN: [i32; 8] = [4, 5, 6, 7, 8, 11, 25, 31];
        const XCPU: i32 = 24;
        status.signal().is_some_and(|signal| match signal {
            // The limit that scened sets is the video's budget. If the daemon has a hard limit too, which the worker inherits, an
            // administrator set it.
            XCPU => rustix::process::getrlimit(rustix::process::Resource::Cpu).maximum.is_some(),
            signal => !OWN.contains(&signal),
        })
    }
    #[cfg(not(unix))]
    false
}

#[cfg(unix)]
fn describe_signal(signal: i32) -> String {
    let (name, remark) = match signal {
        4 => ("SIGILL", ", it crashed"),
        6 => ("SIGABRT", ", it gave up"),
        7 => ("SIGBUS", ", it crashed or its file shrank"),
        8 => ("SIGFPE", ", it crashed"),
        9 => ("SIGKILL", ", perhaps out of memory"),
        11 => ("SIGSEGV", ", it crashed"),
        15 => ("SIGTERM", ""),
        24 => ("SIGXCPU", ", it used too much processor time"),
        25 => ("SIGXFSZ", ", it wrote too much"),
        31 => ("SIGSYS", ", it made a forbidden system call"),
        _ => return format!("killed by signal {signal}"),
    };
    format!("killed by signal {signal} ({name}){remark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 1 0 100 1000 100 18446744073709551615";
        assert_eq!(processor_ticks_of(stat), Some((250, 50)));
        assert_eq!(processor_ticks_of("nonsense"), None);
        assert!(!is_stopped_state(stat) && is_stopped_state(&stat.replace(") S ", ") T ")));
    }

    #[test]
    fn the_worker_is_found_beside_the_program_above_deps_and_on_path() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            path
        };
        let beside = put("a/scened-worker");
        let above = put("b/scened-worker");
        let libexec = put("c/libexec/scened/scened-worker");
        let on_path = put("d/scened-worker");
        std::fs::create_dir_all(folder.path().join("c/bin")).unwrap();
        let path = std::env::join_paths([folder.path().join("empty"), folder.path().join("d")]).unwrap();
        let found = |executable: &str| find_worker_from(None, Some(&folder.path().join(executable)), Some(&path)).unwrap();

        assert_eq!(found("a/scened"), beside);
        assert_eq!(found("b/deps/test-1"), above);
        assert_eq!(found("c/bin/scened").canonicalize().unwrap(), libexec.canonicalize().unwrap());
        assert_eq!(found("elsewhere/scened"), on_path);
    }

    #[test]
    fn a_named_worker_that_is_missing_is_an_error_that_says_so() {
        let error = find_worker_from(Some(OsStr::new("/nowhere/worker")), None, None).unwrap_err();
        assert!(error.to_string().contains("/nowhere/worker"), "{error}");
        assert!(error.to_string().contains("SCENED_WORKER"), "{error}");
    }

    #[test]
    fn the_tail_is_bounded_and_keeps_the_last_lines() {
        let mut said = Vec::new();
        for line in 0..5000 {
            said.extend_from_slice(format!("line {line}\n").as_bytes());
        }
        said.extend_from_slice(&vec![b'x'; 1 << 20]);
        let tail = StderrTail::collect_from(std::io::Cursor::new(said), "test").unwrap().finish();
        assert!(tail.len() <= TAIL_BYTES + TAIL_LINES, "{} bytes", tail.len());
        assert!(tail.contains("line 4999"), "{tail}");
        assert!(!tail.contains("line 4000"), "{tail}");
        assert_eq!(tail.lines().last().unwrap().len(), LINE_BYTES);
    }

    #[cfg(unix)]
    #[test]
    fn exits_are_told_in_words() {
        use std::os::unix::process::ExitStatusExt;
        for (raw, words) in [
            (9, "killed by signal 9 (SIGKILL), perhaps out of memory"),
            (11, "killed by signal 11 (SIGSEGV), it crashed"),
            (101 << 8, "panicked (exit status 101)"),
            (3 << 8, "ended with exit status 3"),
            (0, "ended before it was done"),
        ] {
            assert_eq!(describe_exit(ExitStatus::from_raw(raw)), words);
        }
    }
}
