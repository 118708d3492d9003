//! Opening a transport stream anew in its middle, where another codec goes on under the same name.
//!
//! FFmpeg keeps the codec that a stream had first and hands on the other one's pictures as rubbish. From there on the file is one of its own.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use ffmpeg_next::format;
use ffmpeg_next::format::context::StreamIo;

use super::Film;
use crate::media::decode::follow::Follower;
use crate::media::decode::input;
use crate::media::decode::streams;
use crate::media::decode::track::Track;

/// With less behind its last picture a file is only damaged at its end. Bytes.
const MIN_BYTES: i64 = 16 << 10;
/// The old codec may still be announced a little behind its last picture: so many places are tried, so far apart. Bytes.
const N_PLACES: u64 = 16;
const PLACE_BYTES: u64 = 12 << 10;
/// A film that changes its codec more often is no film.
const MAX_TIMES: u32 = 100;

/// A file from some byte on.
struct Rest {
    file: File,
    from: u64,
    at: u64,
}

impl Read for Rest {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.file.read_at(into, self.from + self.at)?;
        self.at += n_bytes as u64;
        Ok(n_bytes)
    }
}

impl Seek for Rest {
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

impl Film {
    /// Whether this is a container in which a stream may change its codec without a word of FFmpeg's.
    pub(in super::super) fn may_change_codec(&self) -> bool {
        self.input.format().name() == "mpegts"
    }

    /// Whether reading goes on behind the last picture, in another codec than before.
    pub(super) fn goes_on_anew(&mut self) -> bool {
        let behind = self.file_bytes.saturating_sub(self.shown_to);
        let may_be = self.n_bad_since > 0 && self.shown_to > 0 && behind >= MIN_BYTES && self.n_anew < MAX_TIMES;
        if !may_be || !self.may_change_codec() {
            return false;
        }
        self.n_anew += 1;
        let from = u64::try_from(self.shown_to).unwrap_or(0);
        (0..N_PLACES).any(|place| self.open_anew(from + place * PLACE_BYTES).is_some())
    }

    fn open_anew(&mut self, from: u64) -> Option<()> {
        let bytes_before = i64::try_from(from).ok()?;
        let file = self.looked_through_later.as_ref()?.try_clone().ok()?;
        let rest = StreamIo::from_read_seek(Rest { file, from, at: 0 }).ok()?;
        let mut input = format::input_from_stream(rest, None, Some(input::options(&self.allowed))).ok()?;
        let index = streams::choose_stream(&input, &self.allowed).ok()?;
        streams::discard_others(&mut input, index, false);
        let track = Track::of(&input.stream(index)?);
        if track.codec == self.tracks[self.decoded_track].codec {
            return None;
        }
        let before = std::mem::replace(&mut self.input, input);
        self.first_input.get_or_insert(before);
        self.losses.bad_packets = self.losses.bad_packets.saturating_sub(u64::from(self.n_bad_since));
        self.n_bad_since = 0;
        self.n_moves += 1;
        self.bytes_before = bytes_before;
        self.pushed_back.clear();
        self.ahead.clear();
        // Nobody looked at what is there.
        self.number = None;
        self.follower = Follower::default();
        self.followed_stamp = None;
        self.drain.begun = false;
        self.drain.for_move = false;
        self.tracks.push(track);
        self.track = self.tracks.len() - 1;
        self.open_followed();
        Some(())
    }
}
