//! Reopens a transport stream in its middle, if another codec continues under the same name.
//!
//! FFmpeg keeps the first codec of a stream and passes on the other codec's pictures as garbage. So the rest of the file is opened as a
//! file of its own.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use ffmpeg_next::format;
use ffmpeg_next::format::context::{Input, StreamIo};

use super::allowed::Allowed;
use super::track::Track;
use super::{input, streams};

/// A file from an offset on.
struct UnreadPart {
    file: File,
    from: u64,
    at: u64,
}

impl Read for UnreadPart {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.file.read_at(into, self.from + self.at)?;
        self.at += n_bytes as u64;
        Ok(n_bytes)
    }
}

impl Seek for UnreadPart {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length = self.file.metadata()?.len().saturating_sub(self.from);
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(offset) => length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Opens a file from an offset on. Returns the input and its best video stream. The file's own position does not change.
pub(super) fn open_from(file: File, from: u64, allowed: &Allowed) -> Option<(Input, Track)> {
    let rest = StreamIo::from_read_seek(UnreadPart { file, from, at: 0 }).ok()?;
    let mut input = format::input_from_stream(rest, None, Some(input::options(allowed))).ok()?;
    let index = streams::choose_stream(&input, allowed).ok()?;
    streams::discard_others(&mut input, index, false);
    let track = Track::of(&input.stream(index)?);
    Some((input, track))
}
