//! One media file opened with FFmpeg: its streams, its picture's orientation, and its frames in order with their times.
//!
//! The file comes as a descriptor, never as a path; FFmpeg may open nothing else.

#![expect(
    unsafe_code,
    reason = "ffmpeg-next shows neither the disposition of streams to the demuxer, nor side data of frames by kind"
)]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use ffmpeg_next::codec::packet::side_data::Type as PacketSideData;
use ffmpeg_next::format::context::{Input, StreamIo};
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::frame::{self, Video};
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Dictionary, Error, Packet, Stream, codec, decoder, ffi, format, media};
use scened::media::wire::MAX_STREAMS;
use scened::media::{Probe, StreamInfo};

use super::fit;
use super::orientation::Orientation;

/// Demuxers that may be used. Playlists (HLS, DASH, concat) are not here: they open other files.
const FORMATS: &str = "mov,matroska,avi,flv,mpegts,mpeg,mpegvideo,asf,ogg,rm,wtv,dv,mxf,nut,ivf,h264,hevc,av1,obu,m4v,vc1,gif,apng,\
                       nsv,gxf,roq,smk,bink,3dostr,pmp,psxstr,vivo,cavsvideo,yuv4mpegpipe,swf,mp3,wav,flac,aac,aiff,amr,ape,caf,ac3,\
                       eac3,dts,w64,wv,tta,au,mpc,mpc8,tak,opus,\
                       png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,gif_pipe,jpegxl_pipe,j2k_pipe,pgm_pipe,ppm_pipe,pbm_pipe,qoi_pipe";
/// Packets in a row that cannot be read, before the rest of the file is given up.
const MAX_READ_ERRORS: u32 = 1000;
/// A file with fewer bytes for each second it claims to last does not last so long.
const MIN_BYTES_PER_SECOND: i64 = 50;
/// Frame rate assumed where a file has neither times nor a rate.
const ASSUMED_FPS: f64 = 25.0;
/// A step in time longer than this is a broken clock, not a still picture. Microseconds.
const MAX_STEP_US: i64 = 12 * 3600 * 1_000_000;

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

/// What reading on gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The frame given is filled.
    Frame(Shown),
    /// A packet was read, and no frame is ready yet.
    Packet,
    End,
}

/// A file with a picture, ready to be decoded from its beginning.
pub(crate) struct Film {
    input: Input,
    decoder: decoder::Video,
    stream: usize,
    /// Units of time stamps: seconds as a fraction.
    time_base: (i64, i64),
    /// What a player calls zero, in microseconds.
    origin_us: i64,
    frame_us: i64,
    orientation: Orientation,
    pixel_aspect: (i32, i32),
    probe: Probe,
    stream_duration_us: Option<i64>,
    packet: Packet,
    n_packets: u64,
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
    pub(crate) fn open(mut file: File, threads: u32) -> Result<Self, Unusable> {
        let head = read_head(&mut file)?;
        let stream_io = StreamIo::from_read_seek(file).map_err(|error| Unusable(format!("cannot read the file: {error}")))?;
        let mut options = Dictionary::new();
        // A custom reader takes FFmpeg's own default away, and with it a playlist could open files and sockets.
        options.set("protocol_whitelist", "none");
        options.set("format_whitelist", FORMATS);
        let mut input = format::input_from_stream(stream_io, None, Some(options)).map_err(|error| cannot_open(error, &head))?;
        let stream = choose_stream(&input)?;
        discard_others(&mut input, stream);
        let chosen = input.stream(stream).expect("the stream was just chosen");
        let parameters = chosen.parameters();
        let id = parameters.id();
        let time_base = chosen.time_base();
        let rate = frame_rate(&chosen);
        let orientation = stream_orientation(&chosen);
        let origin_us = origin_us(&input, &chosen);
        let stream_duration_us = Some(chosen.duration())
            .filter(|duration| *duration > 0)
            .map(|duration| to_us(duration, (i64::from(time_base.0), i64::from(time_base.1))));
        let pixel_aspect = stream_aspect(&chosen);
        let marked_encrypted = is_marked_encrypted(&chosen);
        let file_bytes = input.io_size().unwrap_or(i64::MAX);
        let probe = probe(&input, stream);
        if decoder::find(id).is_none() {
            return Err(Unusable(format!("this FFmpeg has no decoder for the codec {}", id.name())));
        }
        let decoder = open_decoder(parameters, threads, time_base)
            .map_err(|error| Unusable(format!("the decoder for {} cannot be opened: {error}", id.name())))?;
        Ok(Self {
            input,
            decoder,
            stream,
            time_base: (i64::from(time_base.0), i64::from(time_base.1)),
            origin_us,
            frame_us: (1e6 / rate.unwrap_or(ASSUMED_FPS)) as i64,
            orientation,
            pixel_aspect,
            probe,
            stream_duration_us,
            packet: Packet::empty(),
            n_packets: 0,
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
        frame_orientation(frame).unwrap_or(self.orientation)
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

    /// Whether the file has a clock at all: a bare stream of pictures can only be decoded from its beginning.
    pub(crate) fn can_seek(&self) -> bool {
        // SAFETY: `input` is open, and its format is a static description.
        let flags = unsafe { (*(*self.input.as_ptr()).iformat).flags };
        flags & ffi::AVFMT_NOTIMESTAMPS == 0
    }

    /// Goes to the keyframe before a moment, so that the next frames lead up to it. Fails softly: the film stays where it was.
    pub(crate) fn seek(&mut self, time_us: i64) {
        let target = time_us.saturating_add(self.origin_us);
        if self.input.seek(target, ..target).is_ok() || self.input.seek(target, ..).is_ok() {
            self.decoder.flush();
            self.draining = false;
            self.last = None;
        }
    }

    /// Goes back to the beginning, after [`Step::End`] too.
    pub(crate) fn rewind(&mut self) {
        // Where streams count in decoding time, the first keyframe lies before the player's zero; aiming at zero would miss it.
        self.seek(-10_000_000);
    }

    /// Reads on by one packet or one frame.
    pub(crate) fn step(&mut self, frame: &mut Video) -> Step {
        match self.decoder.receive_frame(frame) {
            Ok(()) => return Step::Frame(self.shown(frame)),
            Err(Error::Eof) => return Step::End,
            Err(Error::Other { errno: EAGAIN }) => {}
            Err(_) => {
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
        match self.packet.read(&mut self.input) {
            Ok(()) => {
                self.read_errors = 0;
                if self.packet.stream() == self.stream {
                    self.n_packets += 1;
                    self.decode_packet();
                }
            }
            Err(Error::Eof) => self.drain(),
            Err(error) => {
                self.read_errors += 1;
                self.losses.bad_packets += 1;
                // A demuxer can find its way again after invalid data, and after nothing else.
                if error != Error::InvalidData || self.read_errors > MAX_READ_ERRORS {
                    self.losses.broke_off = true;
                    self.drain();
                }
            }
        }
        Step::Packet
    }

    fn decode_packet(&mut self) {
        if self.packet.side_data().any(|data| data.kind() == PacketSideData::EncryptionInfo) {
            self.losses.n_encrypted += 1;
            return;
        }
        if self.packet.is_corrupt() {
            self.losses.damaged_packets += 1;
        }
        if self.decoder.send_packet(&self.packet).is_err() {
            self.losses.bad_packets += 1;
        }
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
        let mut start_us = frame
            .timestamp()
            .map_or(expected, |stamp| to_us(stamp, self.time_base).saturating_sub(self.origin_us));
        if let Some(last) = self.last
            && (start_us < last.start_us || start_us - last.start_us > MAX_STEP_US)
        {
            // The clock jumped: the stamps from here on count from where we are.
            self.origin_us = self.origin_us.saturating_add(start_us.saturating_sub(expected));
            start_us = expected;
        }
        let start_us = start_us.max(0);
        let duration = frame.packet().duration;
        let duration_us = Some(to_us(duration, self.time_base)).filter(|us| *us > 0 && *us < MAX_STEP_US);
        let shown = Shown {
            start_us,
            end_us: start_us + duration_us.unwrap_or(self.frame_us).max(1),
        };
        self.last = Some(shown);
        shown
    }
}

/// The first bytes of the file, for the words of an error; the file is rewound.
fn read_head(file: &mut File) -> Result<Vec<u8>, Unusable> {
    let cannot_read = |error| Unusable(format!("cannot read the file: {error}"));
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(cannot_read)?;
    Read::by_ref(file).take(64).read_to_end(&mut head).map_err(cannot_read)?;
    file.seek(SeekFrom::Start(0)).map_err(cannot_read)?;
    if head.is_empty() {
        return Err(Unusable("the file is empty (0 bytes)".to_owned()));
    }
    Ok(head)
}

fn cannot_open(error: Error, head: &[u8]) -> Unusable {
    let is_mp4 = head
        .get(4..8)
        .is_some_and(|kind| [&b"ftyp"[..], b"mdat", b"wide", b"skip", b"free"].contains(&kind));
    Unusable(match error {
        Error::InvalidData if is_mp4 => {
            "the file is truncated or was never finished: the index of its frames (moov) is missing or damaged".to_owned()
        }
        Error::InvalidData => "not a media file, or damaged at its beginning".to_owned(),
        // FFmpeg answers so when the format is known but not in FORMATS.
        Error::Other {
            errno: ffmpeg_next::util::error::EINVAL,
        } => "its format is not one that scened reads (a playlist is not a film)".to_owned(),
        Error::Eof => "the file ends before its first frame".to_owned(),
        error => format!("cannot be opened: {error}"),
    })
}

/// Chooses the video stream to look at: with a decoder before without, then as the ffmpeg command does, by size with a bonus
/// for the default stream. Cover pictures and thumbnails are no film.
fn choose_stream(input: &Input) -> Result<usize, Unusable> {
    let (mut n_audio, mut n_pictures) = (0, 0);
    let mut best: Option<((bool, u64), usize)> = None;
    for stream in input.streams() {
        match stream.parameters().medium() {
            media::Type::Audio => n_audio += 1,
            media::Type::Video if is_cover(&stream) => n_pictures += 1,
            media::Type::Video => {
                let (width, height) = stream_size(&stream);
                let bonus = if stream.disposition().contains(Disposition::DEFAULT) {
                    5_000_000
                } else {
                    0
                };
                let score = (
                    decoder::find(stream.parameters().id()).is_some(),
                    u64::from(width) * u64::from(height) + bonus,
                );
                if best.is_none_or(|(best, _)| score > best) {
                    best = Some((score, stream.index()));
                }
            }
            _ => {}
        }
    }
    match (best, n_pictures > 0, n_audio > 0) {
        (Some((_, index)), ..) => Ok(index),
        (None, true, true) => Err(Unusable("has sound and a cover picture, but no film".to_owned())),
        (None, true, false) => Err(Unusable("has a cover picture, but no film".to_owned())),
        (None, false, true) => Err(Unusable("has sound but no picture".to_owned())),
        (None, false, false) => Err(Unusable("has neither picture nor sound".to_owned())),
    }
}

/// Whether a stream is a cover picture or a track of thumbnails.
fn is_cover(stream: &Stream<'_>) -> bool {
    // SAFETY: as in `stream_size`.
    let disposition = unsafe { (*stream.as_ptr()).disposition };
    disposition & (ffi::AV_DISPOSITION_ATTACHED_PIC | ffi::AV_DISPOSITION_TIMED_THUMBNAILS) != 0
}

/// Spares the demuxer the packets of other streams.
fn discard_others(input: &mut Input, chosen: usize) {
    // SAFETY: `input` is open; `streams` has `nb_streams` valid entries, and `discard` is meant to be set by its user.
    unsafe {
        let context = input.as_mut_ptr();
        for index in 0..(*context).nb_streams as usize {
            if index != chosen {
                (*(*(*context).streams.add(index))).discard = ffi::AVDiscard::AVDISCARD_ALL;
            }
        }
    }
}

fn open_decoder(parameters: codec::Parameters, threads: u32, time_base: ffmpeg_next::Rational) -> Result<decoder::Video, Error> {
    let mut context = codec::Context::from_parameters(parameters)?;
    // SAFETY: the context is ours and not open yet; 0 lets FFmpeg count the cores allowed.
    unsafe { (*context.as_mut_ptr()).thread_count = threads.min(64) as i32 };
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(time_base);
    decoder.video()
}

/// What a player calls zero: where the container starts, sound included.
fn origin_us(input: &Input, stream: &Stream<'_>) -> i64 {
    // SAFETY: `input` is open; `start_time` is a plain number in microseconds (AV_TIME_BASE).
    let container = unsafe { (*input.as_ptr()).start_time };
    if container != ffi::AV_NOPTS_VALUE {
        return container;
    }
    match stream.start_time() {
        ffi::AV_NOPTS_VALUE => 0,
        start => to_us(start, (i64::from(stream.time_base().0), i64::from(stream.time_base().1))),
    }
}

fn to_us(stamp: i64, (numerator, denominator): (i64, i64)) -> i64 {
    if denominator <= 0 {
        return 0;
    }
    let scaled = i128::from(stamp) * i128::from(numerator) * 1_000_000;
    let half = i128::from(denominator) / 2;
    // Stays far from the ends of i64, so that sums of times cannot overflow.
    (scaled + half)
        .div_euclid(i128::from(denominator))
        .clamp(i128::from(i64::MIN / 8), i128::from(i64::MAX / 8)) as i64
}

fn frame_rate(stream: &Stream<'_>) -> Option<f64> {
    [stream.avg_frame_rate(), stream.rate()]
        .into_iter()
        .filter(|rate| rate.0 > 0 && rate.1 > 0)
        .map(f64::from)
        .find(|rate| (0.01..=1000.0).contains(rate))
}

fn stream_size(stream: &Stream<'_>) -> (u32, u32) {
    // SAFETY: the parameters are valid while the stream is; both fields are plain numbers.
    let (width, height) = unsafe {
        let parameters = stream.parameters();
        ((*parameters.as_ptr()).width, (*parameters.as_ptr()).height)
    };
    (width.max(0) as u32, height.max(0) as u32)
}

fn stream_aspect(stream: &Stream<'_>) -> (i32, i32) {
    // SAFETY: as in `stream_size`.
    let aspect = unsafe { (*stream.as_ptr()).sample_aspect_ratio };
    (aspect.num, aspect.den)
}

/// Whether the container marks a stream as encrypted: MP4 by its sample entry or key ids, Matroska by a key id.
fn is_marked_encrypted(stream: &Stream<'_>) -> bool {
    // SAFETY: as in `stream_size`.
    let tag = unsafe { (*stream.parameters().as_ptr()).codec_tag };
    tag == u32::from_le_bytes(*b"encv")
        || stream.side_data().any(|data| data.kind() == PacketSideData::EncryptionInitInfo)
        || stream.metadata().get("enc_key_id").is_some()
}

fn stream_orientation(stream: &Stream<'_>) -> Orientation {
    let matrix = stream.side_data().find(|data| data.kind() == PacketSideData::DisplayMatrix);
    matrix.and_then(|data| read_matrix(data.data())).unwrap_or_default()
}

fn frame_orientation(frame: &Video) -> Option<Orientation> {
    if let Some(data) = frame.side_data(frame::side_data::Type::DisplayMatrix) {
        return read_matrix(data.data());
    }
    // JPEG decoders of FFmpeg hand EXIF on as text.
    frame
        .metadata()
        .get("Orientation")
        .and_then(|text| text.trim().parse().ok())
        .and_then(Orientation::from_exif)
}

fn read_matrix(bytes: &[u8]) -> Option<Orientation> {
    let (numbers, _) = bytes.as_chunks::<4>();
    let matrix: Vec<i32> = numbers.iter().map(|number| i32::from_ne_bytes(*number)).collect();
    Some(Orientation::from_display_matrix(matrix.first_chunk::<9>()?))
}

fn probe(input: &Input, chosen: usize) -> Probe {
    let streams = input.streams().take(MAX_STREAMS).map(|stream| {
        let parameters = stream.parameters();
        let is_video = parameters.medium() == media::Type::Video;
        let (width_px, height_px) = if is_video { stream_size(&stream) } else { (0, 0) };
        StreamInfo {
            kind: match parameters.medium() {
                media::Type::Video => "video",
                media::Type::Audio => "audio",
                media::Type::Subtitle => "subtitle",
                media::Type::Attachment => "attachment",
                _ => "data",
            }
            .to_owned(),
            codec: parameters.id().name().to_owned(),
            width_px,
            height_px,
            rotation: if is_video { stream_orientation(&stream).degrees() } else { 0 },
            fps: if is_video { frame_rate(&stream).unwrap_or(0.0) } else { 0.0 },
            chosen: stream.index() == chosen,
        }
    });
    Probe {
        container: input.format().name().to_owned(),
        duration_ms: u64::try_from(input.duration() / 1000).unwrap_or(0),
        streams: streams.collect(),
    }
}
