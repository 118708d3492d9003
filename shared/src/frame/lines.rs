//! Splits bytes into lines, with a limit from the first byte on.

use std::io::{self, BufRead};

use crate::frame::RpcError;
use crate::message::ErrorKind;

/// Capacity that an empty splitter keeps.
const KEPT_BYTES: usize = 64 << 10;

/// The other side sent a line that exceeds the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line has more than {max} bytes")]
pub struct LineTooLong {
    /// The limit. Bytes.
    pub max: usize,
}

impl LineTooLong {
    /// Returns the error that a daemon answers before it closes the connection.
    pub fn to_rpc(self) -> RpcError {
        RpcError::new(ErrorKind::TooLarge, format!("the request has more than {} bytes", self.max)).hint("the connection is closed now")
    }
}

/// Splits bytes that arrive in arbitrary pieces into lines; skips blank lines.
///
/// **Invariants**: never holds more than `max` bytes of an unfinished line; after the first error it only repeats that error.
#[derive(Debug)]
pub struct LineSplitter {
    max: usize,
    buffer: Vec<u8>,
    /// Where the unfinished line begins.
    start: usize,
    /// End of the bytes already searched for a line feed.
    searched: usize,
    failed: bool,
}

impl LineSplitter {
    /// Creates a splitter for lines of at most `max` bytes, without their line feed.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            failed: false,
        }
    }

    /// Takes the next piece. Call [`Self::next_line`] until it returns `None` before pushing again.
    pub fn push(&mut self, piece: &[u8]) {
        if !self.failed {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
            // The capacity of a long line is not kept for the short ones that follow.
            if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
                self.buffer = Vec::new();
            }
            self.buffer.extend_from_slice(piece);
        }
    }

    /// Returns the next whole line, without its line feed; `None` if more bytes are needed.
    pub fn next_line(&mut self) -> Option<Result<Vec<u8>, LineTooLong>> {
        loop {
            if self.failed {
                return Some(Err(LineTooLong { max: self.max }));
            }
            let found = self.buffer[self.searched..].iter().position(|&b| b == b'\n');
            let end = found.map_or(self.buffer.len(), |at| at + self.searched);
            if end - self.start > self.max {
                self.failed = true;
                self.buffer = Vec::new();
                continue;
            }
            if found.is_none() {
                self.searched = end;
                return None;
            }
            let line = &self.buffer[self.start..end];
            self.start = end + 1;
            self.searched = self.start;
            if !line.trim_ascii().is_empty() {
                return Some(Ok(line.to_vec()));
            }
        }
    }

    /// Returns the number of bytes that were pushed and not yet returned in a line.
    pub fn n_buffered_bytes(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Decides whether the bytes so far end in the middle of a line.
    pub fn is_mid_line(&self) -> bool {
        self.buffer.len() > self.start
    }
}

/// Why no line could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadLineError {
    /// The line is over its limit.
    #[error(transparent)]
    TooLong(#[from] LineTooLong),
    /// The stream ended in the middle of a line.
    #[error("the connection ended in the middle of a line")]
    Truncated,
    /// The system reported an error.
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

/// Reads one line, without its line feed, of at most `max` bytes; `None` at the end of the stream. Skips blank lines.
pub fn read_line<R: BufRead>(reader: &mut R, max: usize) -> Result<Option<Vec<u8>>, ReadLineError> {
    let mut line = Vec::new();
    loop {
        let piece = match reader.fill_buf() {
            Ok(piece) => piece,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.into()),
        };
        if piece.is_empty() {
            return if line.is_empty() { Ok(None) } else { Err(ReadLineError::Truncated) };
        }
        let end = piece.iter().position(|&b| b == b'\n');
        let part = &piece[..end.unwrap_or(piece.len())];
        if line.len() + part.len() > max {
            return Err(LineTooLong { max }.into());
        }
        line.extend_from_slice(part);
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
            line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_splitter_cuts_lines_whatever_the_pieces() {
        let input = b"one\n\n \r\ntwo\r\nthree";
        for size in 1..=input.len() {
            let mut splitter = LineSplitter::new(100);
            let mut lines = Vec::new();
            for piece in input.chunks(size) {
                splitter.push(piece);
                while let Some(line) = splitter.next_line() {
                    lines.push(String::from_utf8(line.unwrap()).unwrap());
                }
            }
            assert_eq!(lines, ["one", "two\r"], "pieces of {size}");
            assert!(splitter.is_mid_line());
        }
    }

    #[test]
    fn splitter_and_reader_agree_on_random_input() {
        // A small linear congruential generator: the same input every run.
        let mut seed = 1_u32;
        let mut random = |n: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % n
        };
        for round in 0..500 {
            let input: Vec<u8> = (0..random(60)).map(|_| b"ab \r\n\n"[random(6) as usize]).collect();
            let max = 1 + random(8) as usize;
            let mut reader = &input[..];
            let mut expected = Vec::new();
            let too_long = loop {
                match read_line(&mut reader, max) {
                    Ok(Some(line)) => expected.push(line),
                    Err(ReadLineError::TooLong(_)) => break true,
                    Ok(None) | Err(_) => break false,
                }
            };
            let mut splitter = LineSplitter::new(max);
            let mut lines = Vec::new();
            let mut rest = &input[..];
            let mut failed = false;
            while !rest.is_empty() && !failed {
                let (piece, next) = rest.split_at((1 + random(9) as usize).min(rest.len()));
                rest = next;
                splitter.push(piece);
                while let Some(line) = splitter.next_line() {
                    let Ok(line) = line else {
                        failed = true;
                        break;
                    };
                    lines.push(line);
                }
            }
            assert_eq!(
                (lines, failed),
                (expected, too_long),
                "round {round}: {:?} at {max}",
                String::from_utf8_lossy(&input)
            );
        }
    }

    #[test]
    fn the_splitter_refuses_a_long_line_before_it_ends() {
        let mut splitter = LineSplitter::new(4);
        splitter.push(b"1234\n12345");
        assert_eq!(splitter.next_line(), Some(Ok(b"1234".to_vec())));
        assert_eq!(splitter.next_line(), Some(Err(LineTooLong { max: 4 })));
        splitter.push(b"\n1\n");
        assert_eq!(splitter.next_line(), Some(Err(LineTooLong { max: 4 })));
    }

    #[test]
    fn lines_are_read_with_a_cap() {
        let mut input = &b"one\n\ntwo\nthr"[..];
        assert_eq!(read_line(&mut input, 3).unwrap().unwrap(), b"one");
        assert_eq!(read_line(&mut input, 3).unwrap().unwrap(), b"two");
        assert!(matches!(read_line(&mut input, 3), Err(ReadLineError::Truncated)));
        assert!(read_line(&mut &b""[..], 3).unwrap().is_none());
        let endless = io::BufReader::new(io::repeat(b'x'));
        assert!(matches!(read_line(&mut { endless }, 1000), Err(ReadLineError::TooLong(_))));
    }
}
