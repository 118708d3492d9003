//! Writes to standard error without depending on its reader: for the log, and for the last words of a program.
//!
//! The reader may be gone or may have stopped reading without closing; a disk may be full or hang. That costs lines and nothing else.
//! [`say`] never fails and never panics. It waits only once, for [`TIMEOUT`], for a reader that does not read.
//!
//! **Threads**: one, started by the first line. Only this thread waits for the reader.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How long [`say`] waits for its line, so that the line is normally written when it returns. A slower reader is not waited for again until
/// it has read all queued lines.
pub const TIMEOUT: Duration = Duration::from_millis(250);
/// Limit of the lines that wait for the reader. Bytes; a line beyond it is lost, and counted.
const CAPACITY: usize = 1 << 20;

/// How long the end of a program waits for its last words: on a busy machine even a working reader needs a moment.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);

static OUTLET: OnceLock<Outlet> = OnceLock::new();

/// Writes a line, or loses it.
pub fn say(line: &[u8]) {
    OUTLET.get_or_init(|| Outlet::new(io::stderr())).say(line);
}

/// Waits until every line is written or lost; five seconds at most. Call it at the end of a program, which also ends the thread that
/// writes.
pub fn finish() {
    if let Some(outlet) = OUTLET.get() {
        outlet.finish(LAST_TIMEOUT);
    }
}

/// Reports panics with [`say`]: the standard library's own hook waits for the reader, for ever if need be.
pub fn report_panics(program: &'static str) {
    std::panic::set_hook(Box::new(move |info| {
        say(format!("{program}: {}\n", describe_panic(info)).as_bytes());
    }));
}

/// Describes a panic in words, with a backtrace if `RUST_BACKTRACE` asks for one.
pub fn describe_panic(info: &std::panic::PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name").to_owned();
    let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
    let reason = info.payload_as_str().unwrap_or("no reason given");
    let backtrace = std::backtrace::Backtrace::capture();
    let traced = match backtrace.status() {
        std::backtrace::BacktraceStatus::Captured => format!("\n{backtrace}"),
        _ => String::new(),
    };
    format!("the thread {name} panicked{place}: {reason}{traced}")
}

/// Passes each piece to [`say`], for callers that need a [`Write`].
#[derive(Clone, Copy, Debug, Default)]
pub struct StandardError;

impl Write for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        say(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader, and the lines that wait for it.
struct Outlet {
    shared: Arc<Shared>,
    /// Set if the system gave no thread: then the calling thread writes.
    direct: Option<Mutex<Box<dyn Write + Send>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    n_bytes: usize,
    /// Lines accepted so far. `n_done` of them are written or lost.
    n_given: u64,
    n_done: u64,
    /// Lines lost since the last one that was written.
    n_lost: u64,
    /// The reader took longer than [`TIMEOUT`] and has not caught up since.
    is_stuck: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the lines as they arrive, for ever.
    fn run(&self, mut to: impl Write) {
        let mut is_torn = false;
        loop {
            let (line, n_lost) = {
                let mut state = self.lock();
                let line = loop {
                    if let Some(line) = state.waiting.pop_front() {
                        break line;
                    }
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                };
                (line, state.n_lost)
            };
            let mut text = Vec::new();
            if is_torn {
                text.push(b'\n');
            }
            if n_lost > 0 {
                text.extend(format!("… {n_lost} lines of the log could not be written\n").as_bytes());
            }
            text.extend(&line);
            let written = write_patiently(&mut to, &text);
            let mut state = self.lock();
            match written {
                Ok(()) => {
                    is_torn = false;
                    state.n_lost -= n_lost;
                }
                Err(n_written) => {
                    is_torn |= n_written > 0;
                    state.n_lost += 1;
                }
            }
            state.n_bytes -= line.len();
            state.n_done += 1;
            state.is_stuck &= !state.waiting.is_empty();
            drop(state);
            self.changed.notify_all();
        }
    }
}

impl Outlet {
    fn new(to: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let (theirs, given) = (Arc::clone(&shared), Arc::new(Mutex::new(Some(to))));
        let taken = Arc::clone(&given);
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            let to = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(to) = to {
                theirs.run(to);
            }
        });
        let direct = match thread {
            Ok(_) => None,
            Err(_) => given
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .map(|to| Mutex::new(Box::new(to) as Box<dyn Write + Send>)),
        };
        Self { shared, direct }
    }

    fn say(&self, line: &[u8]) {
        if let Some(direct) = &self.direct {
            // A failure has nowhere left to be reported.
            let _written = direct.lock().unwrap_or_else(PoisonError::into_inner).write_all(line);
            return;
        }
        let mut state = self.shared.lock();
        if state.n_bytes + line.len() > CAPACITY {
            state.n_lost += 1;
            return;
        }
        state.waiting.push_back(line.to_vec());
        state.n_bytes += line.len();
        state.n_given += 1;
        let mine = state.n_given;
        self.shared.changed.notify_all();
        let is_on_its_way = |state: &mut State| state.n_done < mine && !state.is_stuck;
        let (mut state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, TIMEOUT, is_on_its_way)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            state.is_stuck = true;
            drop(state);
            // Other threads that wait for this reader need not wait any longer.
            self.shared.changed.notify_all();
        }
    }

    fn finish(&self, limit: Duration) {
        let is_on_its_way = |state: &mut State| state.n_done < state.n_given;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), limit, is_on_its_way);
        drop(waited);
    }
}

/// Writes the whole text, however long that takes. The error is the number of bytes that were written.
fn write_patiently(to: &mut impl Write, text: &[u8]) -> Result<(), usize> {
    let mut n_written = 0;
    while n_written < text.len() {
        match to.write(&text[n_written..]) {
            Ok(0) => return Err(n_written),
            Ok(n) => n_written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another program set the shared descriptor to non-blocking mode.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_writable(),
            Err(_) => return Err(n_written),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn wait_for_writable() {
    use rustix::event::{PollFd, PollFlags, poll};
    // Writing is tried again whatever `poll` returns.
    let _ready = poll(&mut [PollFd::new(&io::stderr(), PollFlags::OUT)], None);
}

#[cfg(not(unix))]
fn wait_for_writable() {
    std::thread::yield_now();
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::time::Instant;

    use super::*;

    /// Far longer than anything here takes.
    const LIMIT: Duration = Duration::from_secs(20);

    /// Accepts a write each time the test permits one, and keeps everything that was written.
    struct Reader {
        may_read: Receiver<io::Result<()>>,
        read: Arc<Mutex<String>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.may_read.recv().unwrap_or(Ok(()))?;
            self.read.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn wait_for(read: &Mutex<String>, wanted: &str) {
        let deadline = Instant::now() + LIMIT;
        while !read.lock().unwrap().contains(wanted) {
            assert!(Instant::now() < deadline, "{wanted:?} did not come; {:?} did", read.lock().unwrap());
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_line_is_written_when_it_was_said() {
        let (mut reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::new(writer);
        outlet.say(b"one\n");
        let mut line = [0; 4];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"one\n");
    }

    #[test]
    fn a_reader_that_does_not_read_is_waited_for_once_and_what_is_lost_is_told() {
        let (go_on, may_read) = sync_channel(4);
        let read = Arc::new(Mutex::new(String::new()));
        let outlet = Outlet::new(Reader {
            may_read,
            read: Arc::clone(&read),
        });
        let begun = Instant::now();
        let line = [b"x".repeat(1023).as_slice(), b"\n"].concat();
        let n_lines = CAPACITY / line.len() + 100;
        for _ in 0..n_lines {
            outlet.say(&line);
        }
        assert!(begun.elapsed() < LIMIT, "every line waited: {:?}", begun.elapsed());
        drop(go_on);
        wait_for(&read, "lines of the log could not be written");
        // The reader has caught up: nothing is missing any more.
        let caught_up = Instant::now();
        while outlet.shared.lock().n_bytes > 0 {
            assert!(caught_up.elapsed() < LIMIT);
            std::thread::yield_now();
        }
        outlet.say(b"the end\n");
        wait_for(&read, "the end\n");
        assert!(!outlet.shared.lock().is_stuck && outlet.shared.lock().n_lost == 0);
    }

    #[test]
    fn the_end_of_a_program_waits_for_a_reader_that_was_slow() {
        let (go_on, may_read) = sync_channel(1);
        let read = Arc::new(Mutex::new(String::new()));
        let outlet = Outlet::new(Reader {
            may_read,
            read: Arc::clone(&read),
        });
        outlet.say(b"the last word\n");
        assert_eq!(*read.lock().unwrap(), "", "it was not waited for any longer");
        let reader = std::thread::spawn(move || {
            std::thread::yield_now();
            drop(go_on);
        });
        outlet.finish(LIMIT);
        assert_eq!(*read.lock().unwrap(), "the last word\n");
        reader.join().unwrap();
    }

    #[test]
    fn a_line_that_cannot_be_written_costs_the_line() {
        let (go_on, may_read) = sync_channel(8);
        let read = Arc::new(Mutex::new(String::new()));
        let outlet = Outlet::new(Reader {
            may_read,
            read: Arc::clone(&read),
        });
        for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::StorageFull] {
            go_on.send(Err(kind.into())).unwrap();
            outlet.say(b"lost\n");
        }
        go_on.send(Ok(())).unwrap();
        outlet.say(b"kept\n");
        wait_for(&read, "kept\n");
        assert_eq!(*read.lock().unwrap(), "… 2 lines of the log could not be written\nkept\n");
    }
}
