//! The packets of a file in order, of any stream.
//!
//! Knows the reading position in the file, and the packets read ahead. Does not know which stream the picture is in, what stamps mean, nor
//! what decoding costs.

use std::collections::VecDeque;
use std::fs::File;

use ffmpeg_next::format::context::Input;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Error, Packet};

use super::input;
use crate::media::evidence;

/// Unreadable packets in a row after which the rest of the file is given up.
const MAX_ERRORS: u32 = 1000;
/// Packets after a leap that show whether the stamps come back.
const N_PEEKED: usize = 128;

/// Result of reading one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A packet that was handed back: it was examined before.
    HandedBack,
    New,
    /// No packet: the file ends.
    End,
    /// No packet of this video: another one begins in the same file.
    AnotherVideo,
    /// No packet: it cannot be read, but the following ones may be.
    Damaged,
    /// No packet: the rest of the file cannot be read.
    BrokeOff,
}

/// Reads the packets of a file.
pub(super) struct PacketReader {
    input: Input,
    /// The input that the file was first opened with, if the file was reopened in its middle.
    first_input: Option<Input>,
    /// Offset in the file at which `input` begins.
    bytes_before: i64,
    /// A second handle to the same file, for the parts that FFmpeg does not read.
    file: Option<File>,
    file_bytes: i64,
    /// Offset at which another video begins in the same file.
    next_video_at: Option<u64>,
    /// Packets that were examined already and come next.
    handed_back: VecDeque<Packet>,
    /// Packets read ahead, of any stream.
    ahead: VecDeque<Packet>,
    /// Offset in the file at which the last packet ends.
    read_to: i64,
    /// Errors in a row.
    n_errors: u32,
}

impl PacketReader {
    /// Creates a reader. `handed_back`: packets that were read during the search for streams.
    pub(super) fn new(input: Input, file: Option<File>, next_video_at: Option<u64>, handed_back: VecDeque<Packet>) -> Self {
        Self {
            file_bytes: input.io_size().unwrap_or(i64::MAX),
            input,
            first_input: None,
            bytes_before: 0,
            file,
            next_video_at,
            handed_back,
            ahead: VecDeque::new(),
            read_to: 0,
            n_errors: 0,
        }
    }

    pub(super) fn input(&self) -> &Input {
        &self.input
    }

    pub(super) fn input_mut(&mut self) -> &mut Input {
        &mut self.input
    }

    /// Returns a second handle to the same file. Reading it by offsets disturbs nothing.
    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    pub(super) fn file_bytes(&self) -> i64 {
        self.file_bytes
    }

    /// Returns the offset in the file at which the last packet ends. Bytes.
    pub(super) fn read_to(&self) -> i64 {
        self.read_to
    }

    /// Converts an offset in the current input to one in the file. Bytes.
    pub(super) fn place_in_file(&self, position: i64) -> i64 {
        self.bytes_before + position
    }

    /// Returns whether the file has a clock at all. A bare stream of pictures can only be decoded from its beginning.
    pub(super) fn has_clock(&self) -> bool {
        input::has_clock(&self.input)
    }

    /// Reads one packet of any stream.
    pub(super) fn next(&mut self, packet: &mut Packet) -> Next {
        if let Some(handed_back) = self.handed_back.pop_front() {
            *packet = handed_back;
            return Next::HandedBack;
        }
        let read = match self.ahead.pop_front() {
            Some(ahead) => {
                *packet = ahead;
                Ok(())
            }
            None => packet.read(&mut self.input),
        };
        match read {
            Ok(()) => self.met(packet),
            Err(Error::Eof) => Next::End,
            Err(error) => {
                self.n_errors += 1;
                // A demuxer can resynchronise after invalid data (a transport stream says "again"), but not after other errors.
                let goes_on = matches!(error, Error::InvalidData | Error::Other { errno: EAGAIN });
                if goes_on && self.n_errors <= MAX_ERRORS {
                    return Next::Damaged;
                }
                if !goes_on {
                    evidence::note_error(error);
                }
                Next::BrokeOff
            }
        }
    }

    fn met(&mut self, packet: &Packet) -> Next {
        self.n_errors = 0;
        let position = u64::try_from(packet.position()).unwrap_or(0);
        if self.next_video_at.is_some_and(|at| position >= at) {
            return Next::AnotherVideo;
        }
        let ends_at = self.place_in_file(packet.position() as i64 + packet.size() as i64);
        self.read_to = self.read_to.max(ends_at);
        Next::New
    }

    /// Restarts the count of errors.
    pub(super) fn forgive(&mut self) {
        self.n_errors = 0;
    }

    /// Reads some packets ahead.
    pub(super) fn read_ahead(&mut self) {
        while self.ahead.len() < N_PEEKED {
            let mut packet = Packet::empty();
            if packet.read(&mut self.input).is_err() {
                break;
            }
            self.ahead.push_back(packet);
        }
    }

    /// Returns the packets that were read but not processed yet.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Packet> {
        self.handed_back.iter().chain(&self.ahead)
    }

    /// Queues these packets to come next, behind those handed back before.
    pub(super) fn hand_back(&mut self, packets: VecDeque<Packet>) {
        self.handed_back.extend(packets);
    }

    pub(super) fn drop_handed_back(&mut self) {
        self.handed_back.clear();
    }

    /// Forgets the packets read ahead.
    pub(super) fn forget(&mut self) {
        self.handed_back.clear();
        self.ahead.clear();
    }

    /// Seeks to the keyframe before a time. Microseconds by the file's clock. Returns `false` if the position stays unchanged.
    pub(super) fn seek(&mut self, target_us: i64) -> bool {
        self.input.seek(target_us, ..target_us).is_ok() || self.input.seek(target_us, ..).is_ok()
    }

    /// Seeks to the first byte, if possible. Returns `false` if it is not.
    pub(super) fn seek_to_first_byte(&mut self) -> bool {
        input::seek_to_first_byte(&mut self.input)
    }

    /// Continues with an input that begins in the middle of the file.
    pub(super) fn go_on_with(&mut self, input: Input, bytes_before: i64) {
        let before = std::mem::replace(&mut self.input, input);
        self.first_input.get_or_insert(before);
        self.bytes_before = bytes_before;
        self.forget();
    }

    /// Returns to the input that the file was opened with.
    pub(super) fn return_to_first_input(&mut self) {
        if let Some(first) = self.first_input.take() {
            self.input = first;
            self.bytes_before = 0;
        }
    }

    /// Takes over the position of another reader of the same file.
    pub(super) fn take_over(&mut self, other: Self) {
        self.input = other.input;
        self.handed_back = other.handed_back;
        self.ahead.clear();
    }
}
