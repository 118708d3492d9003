//! Opening a transport stream anew in its middle, where another codec goes on under the same name.
//!
//! FFmpeg keeps the codec that a stream had first and hands on the other one's pictures as rubbish. From there on the file is one of its own.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use ffmpeg_next::format;
use ffmpeg_next::format::context::{Input, StreamIo};

use super::allowed::Allowed;
use super::track::Track;
use super::{input, streams};

/// A file from some byte on.
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

/// Opens a file from some byte on; gives the input and its best stream of pictures. The file's own place stays where it is.
pub(super) fn open_from(file: File, from: u64, allowed: &Allowed) -> Option<(Input, Track)> {
    let rest = StreamIo::from_read_seek(UnreadPart { file, from, at: 0 }).ok()?;
    let mut input = format::input_from_stream(rest, None, Some(input::options(allowed))).ok()?;
    let index = streams::choose_stream(&input, allowed).ok()?;
    streams::discard_others(&mut input, index, false);
    let track = Track::of(&input.stream(index)?);
    Some((input, track))
}
