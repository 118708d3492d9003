//! The bytes between the daemon and a worker: framed, versioned and limited in size. Each side reads them as if the other were hostile.
//!
//! A frame is `length: u32 LE | kind: u8 | header length: u32 LE | header: JSON | body: raw bytes`; `length` counts everything after
//! itself. Standard input carries requests, standard output answers. The first frame in each direction is a [`Hello`]. `media` and `embed`
//! define the other kinds. Blocking; no threads.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Largest size of a frame, whatever its kind. Bytes.
pub const MAX_FRAME_BYTES: usize = 64 << 20;
/// Largest size of a frame's JSON header: only the body may be large. Bytes.
pub const MAX_HEADER_BYTES: usize = 1 << 20;
/// Kind of the first frame in each direction; no other frame may use it.
pub const KIND_HELLO: u8 = 0;

const MAGIC: &str = "scened-worker";
const MAX_HELLO_BYTES: usize = 4096;
/// Bytes of `kind` and the header's length.
const FIXED_BYTES: usize = 5;

/// A frame whose header has not been parsed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// Determines the meaning of header and body; each role defines its own.
    pub kind: u8,
    /// JSON, at most [`MAX_HEADER_BYTES`].
    pub header: Vec<u8>,
    /// Raw bytes.
    pub body: Vec<u8>,
}

impl RawFrame {
    /// Parses the header.
    pub fn header<T: DeserializeOwned>(&self) -> Result<T, PipeError> {
        serde_json::from_slice(&self.header).map_err(|source| PipeError::Header { kind: self.kind, source })
    }
}

/// The first message of each side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    magic: String,
    /// `media` or `embed`.
    pub role: String,
    /// Version of that role's requests and answers; both sides must have the same one.
    pub version: u32,
}

/// Why the pipe gave nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// The system reported an error.
    #[error("the pipe failed: {0}")]
    Io(#[from] io::Error),
    /// The other side ended within a frame.
    #[error("the pipe ended in the middle of a frame")]
    Truncated,
    /// The frame, or its header, is larger than allowed.
    #[error("a frame of {length} bytes (the limit is {limit})")]
    TooLarge {
        /// Bytes that were received, or were to be written.
        length: usize,
        /// Largest number of bytes allowed.
        limit: usize,
    },
    /// The header's length is larger than the frame's.
    #[error("a frame whose lengths contradict each other")]
    Malformed,
    /// The header is not the JSON that this kind requires.
    #[error("the header of a frame of kind {kind} is not understood: {source}")]
    Header {
        /// The frame's kind.
        kind: u8,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The other side ended before it sent anything.
    #[error("the pipe ended before the hello")]
    NoHello,
    /// The first bytes are not a hello: another program, or text on the pipe.
    #[error("the other side did not begin with a hello of scened-worker")]
    NotAWorker,
    /// The other side has another role, or another version of the same role.
    #[error("the other side is {found} version {found_version}, wanted {wanted} version {wanted_version}")]
    OtherVersion {
        /// The other side's role.
        found: String,
        /// Its version.
        found_version: u32,
        /// This side's role.
        wanted: String,
        /// Its version.
        wanted_version: u32,
    },
}

/// Writes one frame and flushes it.
pub fn write_frame(to: &mut impl Write, kind: u8, header: &impl Serialize, body: &[u8]) -> Result<(), PipeError> {
    let header = serde_json::to_vec(header).map_err(|source| PipeError::Header { kind, source })?;
    let length = FIXED_BYTES + header.len() + body.len();
    if length > MAX_FRAME_BYTES {
        return Err(PipeError::TooLarge {
            length,
            limit: MAX_FRAME_BYTES,
        });
    }
    if header.len() > MAX_HEADER_BYTES {
        return Err(PipeError::TooLarge {
            length: header.len(),
            limit: MAX_HEADER_BYTES,
        });
    }
    let mut start = Vec::with_capacity(4 + FIXED_BYTES + header.len());
    start.extend_from_slice(&(length as u32).to_le_bytes());
    start.push(kind);
    start.extend_from_slice(&(header.len() as u32).to_le_bytes());
    start.extend_from_slice(&header);
    to.write_all(&start)?;
    to.write_all(body)?;
    to.flush()?;
    Ok(())
}

/// Reads one frame of at most `max` bytes (and never more than [`MAX_FRAME_BYTES`]); `None` at a clean end of the pipe.
pub fn read_frame(from: &mut impl Read, max: usize) -> Result<Option<RawFrame>, PipeError> {
    let mut length = [0_u8; 4];
    if !read_start(from, &mut length)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length) as usize;
    let limit = max.min(MAX_FRAME_BYTES);
    if length > limit {
        return Err(PipeError::TooLarge { length, limit });
    }
    let Some(rest) = length.checked_sub(FIXED_BYTES) else {
        return Err(PipeError::Malformed);
    };
    let mut fixed = [0_u8; FIXED_BYTES];
    read_all(from, &mut fixed)?;
    let [kind, a, b, c, d] = fixed;
    let header_length = u32::from_le_bytes([a, b, c, d]) as usize;
    if header_length > MAX_HEADER_BYTES {
        return Err(PipeError::TooLarge {
            length: header_length,
            limit: MAX_HEADER_BYTES,
        });
    }
    let Some(body_length) = rest.checked_sub(header_length) else {
        return Err(PipeError::Malformed);
    };
    let header = read_exactly(from, header_length)?;
    let body = read_exactly(from, body_length)?;
    Ok(Some(RawFrame { kind, header, body }))
}

/// Fills `buffer`; returns `false` if the pipe ended before the first byte.
fn read_start(from: &mut impl Read, buffer: &mut [u8; 4]) -> Result<bool, PipeError> {
    loop {
        match from.read(&mut buffer[..1]) {
            Ok(0) => return Ok(false),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    read_all(from, &mut buffer[1..])?;
    Ok(true)
}

fn read_all(from: &mut impl Read, buffer: &mut [u8]) -> Result<(), PipeError> {
    from.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => PipeError::Truncated,
        _ => error.into(),
    })
}

/// Reads `length` bytes without trusting `length`: memory grows only with the bytes that arrive.
fn read_exactly(from: &mut impl Read, length: usize) -> Result<Vec<u8>, PipeError> {
    let mut bytes = Vec::with_capacity(length.min(1 << 20));
    from.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(PipeError::Truncated)
    }
}

/// Sends this side's hello.
pub fn write_hello(to: &mut impl Write, role: &str, version: u32) -> Result<(), PipeError> {
    let hello = Hello {
        magic: MAGIC.to_owned(),
        role: role.to_owned(),
        version,
    };
    write_frame(to, KIND_HELLO, &hello, &[])
}

/// Reads the other side's hello and rejects any other `role` or `version`.
pub fn read_hello(from: &mut impl Read, role: &str, version: u32) -> Result<Hello, PipeError> {
    let frame = match read_frame(from, MAX_HELLO_BYTES) {
        Ok(Some(frame)) => frame,
        Ok(None) => return Err(PipeError::NoHello),
        // Text on the pipe looks like an enormous length.
        Err(PipeError::TooLarge { .. } | PipeError::Malformed) => return Err(PipeError::NotAWorker),
        Err(error) => return Err(error),
    };
    let hello: Hello = frame.header().map_err(|_| PipeError::NotAWorker)?;
    if frame.kind != KIND_HELLO || hello.magic != MAGIC || !frame.body.is_empty() {
        return Err(PipeError::NotAWorker);
    }
    if hello.role != role || hello.version != version {
        return Err(PipeError::OtherVersion {
            found: hello.role,
            found_version: hello.version,
            wanted: role.to_owned(),
            wanted_version: version,
        });
    }
    Ok(hello)
}

/// Cuts a worker's text to its longest allowed length and replaces control characters, because it goes to a terminal.
pub fn clean(text: &str, max_bytes: usize) -> String {
    let mut cleaned: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cleaned.truncate(cleaned.floor_char_boundary(max_bytes));
    cleaned
}

#[cfg(feature = "fuzzing")]
pub mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: u8, header: &impl Serialize, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, kind, header, body).unwrap();
        bytes
    }

    #[test]
    fn frames_come_back_as_they_were_written() {
        let mut bytes = written(7, &("first", 1), b"raw\0bytes");
        bytes.extend(written(8, &(), &[]));
        let mut from = bytes.as_slice();
        let first = read_frame(&mut from, MAX_FRAME_BYTES).unwrap().unwrap();
        assert_eq!(first.kind, 7);
        assert_eq!(first.header::<(String, u32)>().unwrap(), ("first".to_owned(), 1));
        assert_eq!(first.body, b"raw\0bytes");
        assert_eq!(read_frame(&mut from, MAX_FRAME_BYTES).unwrap().unwrap().kind, 8);
        assert_eq!(read_frame(&mut from, MAX_FRAME_BYTES).unwrap(), None);
    }

    #[test]
    fn every_truncation_is_noticed() {
        let bytes = written(3, &"header", b"body");
        for n in 1..bytes.len() {
            let error = read_frame(&mut &bytes[..n], MAX_FRAME_BYTES).unwrap_err();
            assert!(matches!(error, PipeError::Truncated), "{n} bytes gave {error}");
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_read() {
        let mut bytes = u32::MAX.to_le_bytes().to_vec();
        bytes.extend([0; 64]);
        let error = read_frame(&mut bytes.as_slice(), usize::MAX).unwrap_err();
        assert!(
            matches!(
                error,
                PipeError::TooLarge {
                    limit: MAX_FRAME_BYTES,
                    ..
                }
            ),
            "{error}"
        );
        let error = read_frame(&mut written(1, &(), &[0; 100]).as_slice(), 50).unwrap_err();
        assert!(matches!(error, PipeError::TooLarge { limit: 50, .. }), "{error}");
    }

    #[test]
    fn contradicting_lengths_are_refused() {
        for (length, header_length) in [(4_u32, 0_u32), (0, 0), (5, 1), (10, 6), (10, MAX_HEADER_BYTES as u32)] {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.push(1);
            bytes.extend(header_length.to_le_bytes());
            bytes.extend([b' '; 64]);
            let error = read_frame(&mut bytes.as_slice(), MAX_FRAME_BYTES).unwrap_err();
            assert!(matches!(error, PipeError::Malformed), "{length}/{header_length} gave {error}");
        }
    }

    #[test]
    fn random_bytes_never_panic_and_never_pass_for_a_hello() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for n in 0..2000 {
            let garbage: Vec<u8> = (0..n % 97)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state as u8
                })
                .collect();
            assert!(read_hello(&mut garbage.as_slice(), "media", 1).is_err());
            drop(read_frame(&mut garbage.as_slice(), 1 << 16));
        }
    }

    #[test]
    fn a_hello_of_another_role_or_version_names_both() {
        let mut bytes = Vec::new();
        write_hello(&mut bytes, "media", 2).unwrap();
        assert_eq!(read_hello(&mut bytes.as_slice(), "media", 2).unwrap().version, 2);
        let error = read_hello(&mut bytes.as_slice(), "media", 1).unwrap_err().to_string();
        assert_eq!(error, "the other side is media version 2, wanted media version 1");
        assert!(read_hello(&mut bytes.as_slice(), "embed", 2).is_err());
        let error = read_hello(&mut b"Segmentation fault\n".as_slice(), "media", 1).unwrap_err();
        assert!(matches!(error, PipeError::NotAWorker), "{error}");
        assert!(matches!(read_hello(&mut [].as_slice(), "media", 1), Err(PipeError::NoHello)));
    }
}
