//! One media file opened with FFmpeg: its streams, its picture's orientation, and its frames in order with their times.
//!
//! The file comes as a descriptor, never as a path; FFmpeg may open nothing else.

#![expect(unsafe_code, reason = "ffmpeg-next does not show what kind of clock a container has")]

mod hardware;
mod streams;

use std::fs::File;

use ffmpeg_next::codec::packet::side_data::Type as PacketSideData;
use ffmpeg_next::format::context::{Input, StreamIo};
use ffmpeg_next::frame::Video;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Dictionary, Discard, Error, Packet, decoder, ffi, format};
use scened::media::wire::MAX_TIME_MS;
use scened::media::{Hardware, Probe};

use super::allowed::Allowed;
use super::evidence::{self, Watched};
use super::fit;
use super::orientation::Orientation;
use super::tone::USUAL_PEAK_NITS;
use hardware::Device;
use streams::to_us;

/// Packets in a row that cannot be read, before the rest of the file is given up.
const MAX_READ_ERRORS: u32 = 1000;
/// A file with fewer bytes for each second it claims to last does not last so long.
const MIN_BYTES_PER_SECOND: i64 = 50;
/// Frame rate assumed where a file has neither times nor a rate.
const ASSUMED_FPS: f64 = 25.0;
/// A step in time longer than this is a broken clock, not a still picture. Microseconds.
pub(crate) const MAX_STEP_US: i64 = 12 * 3600 * 1_000_000;

/// No film is longer: a year. Microseconds.
const MAX_END_US: i64 = MAX_TIME_MS as i64 * 1000;

/// A reason for the user why the file gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unusable(pub(crate) String);

/// When a frame is shown, from the start of the video as a player counts. Microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
}

/// What was lost on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// The demuxer found them damaged; they are decoded all the same.
    pub(crate) damaged_packets: u64,
    pub(crate) bad_packets: u64,
    pub(crate) corrupt_frames: u64,
    /// Reading ended with an error before the end of the file.
    pub(crate) broke_off: bool,
    /// Packets that need a key.
    pub(crate) n_encrypted: u64,
}

/// How time stamps become times of the film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Units of time stamps: seconds as a fraction.
    time_base: (i64, i64),
    /// What a player calls zero, in microseconds.
    origin_us: i64,
    /// How long a frame is shown that does not say.
    frame_us: i64,
}

impl Clock {
    /// When a picture with this stamp is shown; before the player's zero is negative.
    pub(crate) fn time_us(self, stamp: i64) -> i64 {
        to_us(stamp, self.time_base).saturating_sub(self.origin_us)
    }

    pub(crate) fn duration_us(self, duration: i64) -> i64 {
        let said = Some(to_us(duration, self.time_base)).filter(|us| *us > 0 && *us < MAX_STEP_US);
        said.unwrap_or(self.frame_us).max(1)
    }

    pub(crate) fn frame_us(self) -> i64 {
        self.frame_us.max(1)
    }
}

/// What reading on gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The frame given is filled.
    Frame(Shown),
    /// A packet was read, and no frame is ready yet.
    Packet,
    End,
}

/// What reading one packet gave.
enum Read {
    /// `packet` holds one to be decoded.
    Packet,
    Nothing,
    End,
}

/// A file with a picture, ready to be decoded from its beginning.
pub(crate) struct Film {
    input: Input,
    decoder: decoder::Video,
    device: Option<Device>,
    /// Whether the device gave a frame.
    device_works: bool,
    /// Why a device that was wanted is not used, in words.
    device_refusals: Vec<String>,
    threads: u32,
    allowed: Allowed,
    stream: usize,
    clock: Clock,
    orientation: Orientation,
    pixel_aspect: (i32, i32),
    peak_nits: Option<f32>,
    probe: Probe,
    stream_duration_us: Option<i64>,
    packet: Packet,
    /// Read already, and next all the same.
    pushed_back: Option<Packet>,
    n_packets: u64,
    /// Set where nothing but keyframes is decoded: the end of the last packet's picture. Microseconds.
    keyframes_to_us: Option<i64>,
    /// The container says that the stream is encrypted.
    marked_encrypted: bool,
    file_bytes: i64,
    draining: bool,
    read_errors: u32,
    last: Option<Shown>,
    pub(crate) losses: Losses,
}

impl Film {
    /// Opens a file and its best video stream. `threads`: of the decoder; 0 = one a core.
    pub(crate) fn open(file: File, threads: u32, allowed: Allowed) -> Result<Self, Unusable> {
        Self::open_on(file, threads, Hardware::None, allowed)
    }

    /// As [`Film::open`], decoding on a graphics card where that is possible.
    pub(crate) fn open_on(file: File, threads: u32, hardware: Hardware, allowed: Allowed) -> Result<Self, Unusable> {
        let mut file = Watched(file);
        let head = streams::read_head(&mut file)?;
        let stream_io = StreamIo::from_read_seek(file).map_err(|error| Unusable(format!("cannot read the file: {error}")))?;
        let mut options = Dictionary::new();
        // A custom reader takes FFmpeg's own default away, and with it a playlist could open files and sockets.
        options.set("protocol_whitelist", "none");
        options.set("format_whitelist", &allowed.format_list());
        options.set("codec_whitelist", &allowed.codec_list());
        let mut input =
            format::input_from_stream(stream_io, None, Some(options)).map_err(|error| streams::cannot_open(error, &head, &allowed))?;
        let stream = streams::choose_stream(&input, &allowed)?;
        streams::discard_others(&mut input, stream);
        let chosen = input.stream(stream).expect("the stream was just chosen");
        let id = chosen.parameters().id();
        let time_base = chosen.time_base();
        let rate = streams::frame_rate(&chosen);
        let orientation = streams::stream_orientation(&chosen);
        let origin_us = streams::origin_us(&input, &chosen);
        let stream_duration_us = Some(chosen.duration())
            .filter(|duration| *duration > 0)
            .map(|duration| to_us(duration, (i64::from(time_base.0), i64::from(time_base.1))));
        // FFmpeg shortens the duration of an AVI file to what is there; the number of its frames stays what it was meant to be.
        let announced_us = rate
            .filter(|_| input.format().name() == "avi")
            .map(|rate| (chosen.frames() as f64 / rate * 1e6) as i64);
        let stream_duration_us = stream_duration_us.max(announced_us);
        let pixel_aspect = streams::stream_aspect(&chosen);
        let peak_nits = streams::stream_peak_nits(&chosen);
        let marked_encrypted = streams::is_marked_encrypted(&chosen);
        let file_bytes = input.io_size().unwrap_or(i64::MAX);
        let probe = streams::probe(&input, stream);
        if allowed.decoder(id).is_none() {
            return Err(Unusable(Allowed::why_not(id)));
        }
        streams::check_size(&chosen)?;
        let mut device_refusals = Vec::new();
        let on_device = hardware::open_decoder(&chosen, threads, hardware, &allowed, &mut device_refusals);
        let (decoder, device) = match on_device {
            Some((decoder, device)) => (decoder, Some(device)),
            None => (streams::open_in_software(&chosen, threads, &allowed)?, None),
        };
        Ok(Self {
            input,
            decoder,
            device,
            device_works: false,
            device_refusals,
            threads,
            allowed,
            stream,
            clock: Clock {
                time_base: (i64::from(time_base.0), i64::from(time_base.1)),
                origin_us,
                frame_us: (1e6 / rate.unwrap_or(ASSUMED_FPS)) as i64,
            },
            orientation,
            pixel_aspect,
            peak_nits,
            probe,
            stream_duration_us,
            packet: Packet::empty(),
            pushed_back: None,
            n_packets: 0,
            keyframes_to_us: None,
            marked_encrypted,
            file_bytes,
            draining: false,
            read_errors: 0,
            last: None,
            losses: Losses::default(),
        })
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// How long the file says its picture is, unless it cannot be true. Microseconds.
    pub(crate) fn claimed_us(&self) -> Option<i64> {
        let claimed = self
            .stream_duration_us
            .or((self.probe.duration_ms > 0).then_some(self.probe.duration_ms as i64 * 1000))?;
        let possible = self.file_bytes / MIN_BYTES_PER_SECOND;
        (claimed / 1_000_000 <= possible.max(60)).then_some(claimed)
    }

    /// Why decoding it all gave no frame.
    pub(crate) fn why_nothing(&self) -> String {
        let codec = self.decoder.id().name();
        if self.losses.n_encrypted > 0 || self.marked_encrypted {
            "the film is encrypted".to_owned()
        } else if self.n_packets == 0 {
            format!("it announces a picture ({codec}) but holds no frame of it")
        } else {
            format!("no frame of its picture ({codec}) can be decoded")
        }
    }

    /// How this frame is to be turned.
    pub(crate) fn orientation(&self, frame: &Video) -> Orientation {
        streams::frame_orientation(frame).unwrap_or(self.orientation)
    }

    /// The size at which this frame is shown, before it is turned: with square pixels.
    pub(crate) fn square_size(&self, frame: &Video) -> (u32, u32) {
        let aspect = frame.aspect_ratio();
        // The container's word counts before the codec's, as in FFmpeg's own `av_guess_sample_aspect_ratio`.
        let aspect = if self.pixel_aspect.0 > 0 && self.pixel_aspect.1 > 0 {
            self.pixel_aspect
        } else {
            (aspect.0, aspect.1)
        };
        fit::square_pixels(frame.width(), frame.height(), aspect)
    }

    /// The brightest light of an HDR film: what the frame says, else the container, else what most are made for.
    pub(crate) fn peak_nits(&self, frame: &Video) -> f32 {
        streams::frame_peak_nits(frame).or(self.peak_nits).unwrap_or(USUAL_PEAK_NITS)
    }

    /// Whether the file has a clock at all: a bare stream of pictures can only be decoded from its beginning.
    pub(crate) fn can_seek(&self) -> bool {
        // SAFETY: `input` is open, its format is a static description, and `start_time` is a plain number.
        let (flags, start) = unsafe {
            let context = self.input.as_ptr();
            ((*(*context).iformat).flags, (*context).start_time)
        };
        flags & ffi::AVFMT_NOTIMESTAMPS == 0 && start != ffi::AV_NOPTS_VALUE
    }

    /// Goes to the keyframe before a moment, so that the next frames lead up to it. Fails softly: the film stays where it was.
    pub(crate) fn seek(&mut self, time_us: i64) {
        let target = time_us.saturating_add(self.clock.origin_us);
        if self.input.seek(target, ..target).is_ok() || self.input.seek(target, ..).is_ok() {
            self.decoder.flush();
            self.pushed_back = None;
            self.draining = false;
            self.last = None;
        }
    }

    /// Goes back to the beginning, after [`Step::End`] too.
    pub(crate) fn rewind(&mut self) {
        // Where streams count in decoding time, the first keyframe lies before the player's zero; aiming at zero would miss it.
        self.seek(-10_000_000);
    }

    /// Goes back to the beginning after packets were read, and forgets what was lost on the way. `first`: the first packet's time
    /// stamps and size, which must be met again.
    pub(crate) fn begin_again(&mut self, first: Option<(Option<i64>, Option<i64>, usize)>) -> bool {
        self.rewind();
        self.losses = Losses::default();
        self.read_errors = 0;
        self.n_packets = 0;
        let packet = self.next_packet();
        let is_first = packet.as_ref().map(|packet| (packet.pts(), packet.dts(), packet.size())) == first;
        self.pushed_back = packet;
        is_first
    }

    /// Reads on by one packet or one frame.
    pub(crate) fn step(&mut self, frame: &mut Video) -> Step {
        match self.decoder.receive_frame(frame) {
            Ok(()) => {
                if !self.fetch(frame) {
                    return Step::Packet;
                }
                let shown = self.shown(frame);
                if shown.end_us > MAX_END_US {
                    self.losses.broke_off = true;
                    return Step::End;
                }
                return Step::Frame(shown);
            }
            Err(Error::Eof) => return Step::End,
            Err(Error::Other { errno: EAGAIN }) => {}
            Err(error) => {
                evidence::look_at(error);
                self.losses.bad_packets += 1;
                if self.draining {
                    self.read_errors += 1;
                    return if self.read_errors > MAX_READ_ERRORS {
                        Step::End
                    } else {
                        Step::Packet
                    };
                }
            }
        }
        if self.draining {
            return Step::End;
        }
        match self.read() {
            Read::Packet if self.leaves_out() => {}
            Read::Packet => {
                if let Err(error) = self.decoder.send_packet(&self.packet) {
                    evidence::look_at(error);
                    self.losses.bad_packets += 1;
                }
            }
            Read::Nothing => {}
            Read::End => self.drain(),
        }
        Step::Packet
    }

    /// Decodes nothing but keyframes from here on: what else is wrong with a film does no harm then.
    pub(crate) fn take_only_keyframes(&mut self) {
        // Other packets are not even handed to the decoder; this is for formats whose packets say "keyframe" too often.
        self.decoder.skip_frame(Discard::NonKey);
        self.keyframes_to_us = Some(0);
    }

    /// Where only keyframes are decoded, the end of the last picture all the same. Microseconds.
    pub(crate) fn keyframes_to_us(&self) -> Option<i64> {
        self.keyframes_to_us
    }

    /// Whether the packet just read is not to be decoded.
    fn leaves_out(&mut self) -> bool {
        let Some(end_us) = &mut self.keyframes_to_us else {
            return false;
        };
        if let Some(stamp) = self.packet.pts().or(self.packet.dts()) {
            let shown_us = self.clock.time_us(stamp);
            let is_later = shown_us > *end_us && shown_us - *end_us < MAX_STEP_US;
            if is_later {
                *end_us = shown_us.saturating_add(self.clock.duration_us(self.packet.duration()));
            }
        }
        !self.packet.is_key()
    }

    /// The next packet of the picture that can be decoded; `None` at the end of what can be read.
    pub(crate) fn next_packet(&mut self) -> Option<Packet> {
        loop {
            match self.read() {
                Read::Packet => return Some(std::mem::replace(&mut self.packet, Packet::empty())),
                Read::Nothing => {}
                Read::End => return None,
            }
        }
    }

    /// Reads on by one packet of any stream.
    fn read(&mut self) -> Read {
        if let Some(packet) = self.pushed_back.take() {
            self.packet = packet;
            return Read::Packet;
        }
        match self.packet.read(&mut self.input) {
            Ok(()) => {
                self.read_errors = 0;
                if self.packet.stream() != self.stream {
                    return Read::Nothing;
                }
                self.n_packets += 1;
                if self.packet.side_data().any(|data| data.kind() == PacketSideData::EncryptionInfo) {
                    self.losses.n_encrypted += 1;
                    return Read::Nothing;
                }
                if self.packet.is_corrupt() {
                    self.losses.damaged_packets += 1;
                }
                Read::Packet
            }
            Err(Error::Eof) => Read::End,
            Err(error) => {
                self.read_errors += 1;
                self.losses.bad_packets += 1;
                // A demuxer can find its way again after invalid data (a transport stream says "again"), and after nothing else.
                let goes_on = matches!(error, Error::InvalidData | Error::Other { errno: EAGAIN });
                if !goes_on || self.read_errors > MAX_READ_ERRORS {
                    if !goes_on {
                        evidence::look_at(error);
                    }
                    self.losses.broke_off = true;
                    return Read::End;
                }
                Read::Nothing
            }
        }
    }

    /// What decodes this film: `software`, the name of a device, or `software (why no device)`.
    pub(crate) fn decoder_name(&self) -> String {
        match &self.device {
            Some(device) if self.device_works => device.hardware().name().to_owned(),
            Some(device) => format!("software ({}: it does not decode this film)", device.hardware().name()),
            None if self.device_refusals.is_empty() => "software".to_owned(),
            None => format!("software ({})", self.device_refusals.join("; ")),
        }
    }

    /// Whether a device decodes it, or is yet to be tried.
    pub(crate) fn uses_device(&self) -> bool {
        self.device.is_some()
    }

    /// Brings a frame from the device to memory. `false`: there is no frame.
    fn fetch(&mut self, frame: &mut Video) -> bool {
        let Some(device) = &self.device else { return true };
        match device.fetch(frame) {
            Ok(on_device) => {
                self.device_works |= on_device;
                true
            }
            // A device that never gave a frame is given up, and the film begun again without it.
            Err(error) if !self.device_works => {
                self.device_refusals
                    .push(format!("{}: its frames cannot be copied: {error}", device.hardware().name()));
                self.begin_again_in_software();
                false
            }
            Err(_) => {
                self.losses.corrupt_frames += 1;
                false
            }
        }
    }

    fn begin_again_in_software(&mut self) {
        let chosen = self
            .input
            .stream(self.stream)
            .expect("the stream was chosen when the film was opened");
        match streams::open_in_software(&chosen, self.threads, &self.allowed) {
            Ok(decoder) => {
                self.decoder = decoder;
                self.device = None;
                self.rewind();
            }
            // Nothing can decode it: reading on ends with the film.
            Err(_) => self.losses.bad_packets += 1,
        }
    }

    /// Another decoder for the same stream, of one thread: it holds no frame back that it need not. `rough`: without smoothing the
    /// edges of blocks, which saves a fifth and does not show where pictures are made small.
    pub(crate) fn single_decoder(&self, rough: bool) -> Result<decoder::Video, Unusable> {
        let stream = self
            .input
            .stream(self.stream)
            .expect("the stream was chosen when the film was opened");
        let mut decoder = streams::open_in_software(&stream, 1, &self.allowed)?;
        decoder.skip_loop_filter(if rough { Discard::All } else { Discard::NonReference });
        Ok(decoder)
    }

    /// Leaves out the deblocking of frames that no other is made from: a twelfth of the work, and no error grows from it. What is
    /// looked at is far smaller than a block.
    pub(crate) fn spare_filtering(&mut self) {
        self.decoder.skip_loop_filter(Discard::NonReference);
    }

    pub(crate) fn codec(&self) -> ffmpeg_next::codec::Id {
        self.decoder.id()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    fn drain(&mut self) {
        self.draining = true;
        self.read_errors = 0;
        if self.decoder.send_eof().is_err() {
            self.losses.bad_packets += 1;
        }
    }

    /// When the frame is shown. Times never go back; a frame without one follows the frame before.
    fn shown(&mut self, frame: &Video) -> Shown {
        if frame.is_corrupt() || frame.has_decode_errors() {
            self.losses.corrupt_frames += 1;
        }
        let expected = self.last.map_or(0, |last| last.end_us);
        let mut start_us = frame.timestamp().map_or(expected, |stamp| self.clock.time_us(stamp));
        if let Some(last) = self.last
            && (start_us < last.start_us || start_us - last.start_us > MAX_STEP_US)
        {
            // The clock jumped: the stamps from here on count from where we are.
            self.clock.origin_us = self.clock.origin_us.saturating_add(start_us.saturating_sub(expected));
            start_us = expected;
        }
        let start_us = start_us.max(0);
        let shown = Shown {
            start_us,
            end_us: start_us + self.clock.duration_us(frame.packet().duration),
        };
        self.last = Some(shown);
        shown
    }
}
