//! The dialogue with the terminal: raw mode for a moment, a deadline on every wait, and the old mode restored afterwards.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{self, OptionalActions, Termios};

use super::{Answers, is_multiplexer};

/// A login over a slow line takes half a second; a terminal that is silent for longer will not answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Queries its name (XTVERSION), the size of a cell, and its attributes (DA1).
const WHO: &[u8] = b"\x1b[>0q\x1b[16t\x1b[c";

/// Queries whether one pixel of RGB could be shown (without showing it), and again the attributes, which end the answer.
const KITTY: &[u8] = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c";

/// More than all answers together; megabytes pasted meanwhile are not read.
const MAX_BYTES: usize = 16 << 10;

pub(super) fn ask(term: &str, about_kitty: bool) -> Answers {
    let Some(terminal) = Terminal::open() else {
        return Answers::default();
    };
    let mut bytes = terminal.answer(WHO, 1);
    let answers = Answers::read(&bytes);
    if about_kitty && answers.attributes.is_some() && !is_multiplexer(&answers.version, term) {
        bytes.extend(terminal.answer(KITTY, 1));
    }
    Answers::read(&bytes)
}

/// The controlling terminal, in raw mode while this value lives.
struct Terminal {
    file: File,
    before: Termios,
}

impl Terminal {
    /// Returns `None` if there is no terminal, or another process group has it: a background job would be stopped.
    fn open() -> Option<Self> {
        let file = File::options().read(true).write(true).open("/dev/tty").ok()?;
        if termios::tcgetpgrp(&file).ok()? != rustix::process::getpgrp() {
            return None;
        }
        let before = termios::tcgetattr(&file).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&file, OptionalActions::Drain, &raw).ok()?;
        Some(Self { file, before })
    }

    /// Sends a query, and reads until `n_attributes` answers to DA1 have come or the time is up.
    fn answer(&self, question: &[u8], n_attributes: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        if (&self.file).write_all(question).is_err() {
            return bytes;
        }
        let deadline = Instant::now() + TIMEOUT;
        while count_attributes(&bytes) < n_attributes && bytes.len() < MAX_BYTES {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                break;
            };
            let left = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&left)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => break,
            }
            let mut piece = [0; 1024];
            match (&self.file).read(&mut piece) {
                // In raw mode Ctrl-C is a byte: it ends the wait.
                Ok(n) if n > 0 && !piece[..n].contains(&3) => bytes.extend_from_slice(&piece[..n]),
                _ => break,
            }
        }
        bytes
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A late answer would be typed into the shell, so pending input is discarded. A failure here cannot be handled.
        termios::tcsetattr(&self.file, OptionalActions::Flush, &self.before).unwrap_or_default();
    }
}

/// Counts sequences `ESC [ ? … c`.
fn count_attributes(bytes: &[u8]) -> usize {
    let after_start = bytes.windows(3).enumerate().filter(|(_, window)| *window == b"\x1b[?");
    let ends = after_start.filter_map(|(at, _)| bytes[at + 3..].iter().find(|byte| !byte.is_ascii_digit() && **byte != b';'));
    ends.filter(|byte| **byte == b'c').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_is_known_when_it_is_whole() {
        assert_eq!(count_attributes(b"\x1b[?62;4"), 0);
        assert_eq!(count_attributes(b"x\x1b[?62;4c"), 1);
        assert_eq!(count_attributes(b"\x1b[?2026;2$y\x1b[?62;4cc\x1b[?6c"), 2);
    }
}
