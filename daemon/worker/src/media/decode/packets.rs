//! The packets of a file one after the other, of whichever stream.
//!
//! Knows where in the file reading is, and what was read before its turn. Does not know which stream the picture is in, what stamps
//! mean, nor what decoding costs.

use std::collections::VecDeque;
use std::fs::File;

use ffmpeg_next::format::context::Input;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Error, Packet};

use super::input;
use crate::media::evidence;

/// Packets in a row that cannot be read, before the rest of the file is given up.
const MAX_ERRORS: u32 = 1000;
/// Packets after a leap that tell whether the stamps come back.
const N_PEEKED: usize = 128;

/// What reading one packet gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// One that was handed back: it was looked at before.
    HandedBack,
    New,
    /// Nothing: the file ends.
    End,
    /// Nothing of this video: another one begins in the same file.
    AnotherVideo,
    /// Nothing: it cannot be read, and what follows perhaps can.
    Damaged,
    /// Nothing: the rest of the file cannot be read.
    BrokeOff,
}

/// Reads a file.
pub(super) struct PacketReader {
    input: Input,
    /// How it was opened first, where it was opened anew in its middle.
    first_input: Option<Input>,
    /// Where in the file `input` begins.
    bytes_before: i64,
    /// The same file once more, for what FFmpeg does not read of it.
    file: Option<File>,
    file_bytes: i64,
    /// Where another video begins in the same file.
    next_video_at: Option<u64>,
    /// Looked at already, and next all the same.
    handed_back: VecDeque<Packet>,
    /// Read before their turn, of whatever stream.
    ahead: VecDeque<Packet>,
    /// Where in the file the last packet ends.
    read_to: i64,
    /// In a row.
    n_errors: u32,
}

impl PacketReader {
    /// `handed_back`: packets that were read while streams were looked for.
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

    /// The same file once more; reading it by offsets disturbs nothing.
    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    pub(super) fn file_bytes(&self) -> i64 {
        self.file_bytes
    }

    /// Where in the file the last packet ends. Bytes.
    pub(super) fn read_to(&self) -> i64 {
        self.read_to
    }

    /// Where in the file a place of the present input lies. Bytes.
    pub(super) fn place_in_file(&self, position: i64) -> i64 {
        self.bytes_before + position
    }

    /// Whether the file has a clock at all: a bare stream of pictures can only be decoded from its beginning.
    pub(super) fn has_clock(&self) -> bool {
        input::has_clock(&self.input)
    }

    /// Reads on by one packet of any stream.
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
                // A demuxer can find its way again after invalid data (a transport stream says "again"), and after nothing else.
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

    /// Counts errors anew.
    pub(super) fn forgive(&mut self) {
        self.n_errors = 0;
    }

    /// Reads some packets before their turn.
    pub(super) fn read_ahead(&mut self) {
        while self.ahead.len() < N_PEEKED {
            let mut packet = Packet::empty();
            if packet.read(&mut self.input).is_err() {
                break;
            }
            self.ahead.push_back(packet);
        }
    }

    /// What was read and has not had its turn.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Packet> {
        self.handed_back.iter().chain(&self.ahead)
    }

    /// These come next, behind what was handed back before.
    pub(super) fn hand_back(&mut self, packets: VecDeque<Packet>) {
        self.handed_back.extend(packets);
    }

    pub(super) fn drop_handed_back(&mut self) {
        self.handed_back.clear();
    }

    /// Forgets what was read before its turn.
    pub(super) fn forget(&mut self) {
        self.handed_back.clear();
        self.ahead.clear();
    }

    /// Goes to the keyframe before a time. Microseconds by the file's clock. `false`: it stays where it was.
    pub(super) fn seek(&mut self, target_us: i64) -> bool {
        self.input.seek(target_us, ..target_us).is_ok() || self.input.seek(target_us, ..).is_ok()
    }

    /// Goes to the first byte, where that can be done. `false`: it cannot.
    pub(super) fn seek_to_first_byte(&mut self) -> bool {
        input::seek_to_first_byte(&mut self.input)
    }

    /// Goes on with an input that begins in the middle of the file.
    pub(super) fn go_on_with(&mut self, input: Input, bytes_before: i64) {
        let before = std::mem::replace(&mut self.input, input);
        self.first_input.get_or_insert(before);
        self.bytes_before = bytes_before;
        self.forget();
    }

    /// Takes the input that the file was opened with.
    pub(super) fn return_to_first_input(&mut self) {
        if let Some(first) = self.first_input.take() {
            self.input = first;
            self.bytes_before = 0;
        }
    }

    /// Reads what another reader of the same file would.
    pub(super) fn take_over(&mut self, other: Self) {
        self.input = other.input;
        self.handed_back = other.handed_back;
        self.ahead.clear();
    }
}
