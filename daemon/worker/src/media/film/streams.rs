//! Opening a film: the words for what cannot be opened, the choice of the stream, and what its container says.

#![expect(
    unsafe_code,
    reason = "ffmpeg-next shows neither dispositions to set, nor sizes, tags and start times of streams"
)]

use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};

use ffmpeg_next::codec::packet::side_data::Type as PacketSideData;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::frame::{self, Video};
use ffmpeg_next::{Codec, Dictionary, Error, Packet, Stream, codec, decoder, ffi, media};
use scened_common::domain::PictureTrack;
use scened_common::media::answer::{Probe, StreamInfo};
use scened_common::media::wire::MAX_STREAMS;

use super::super::allowed::Allowed;
use super::super::dovi;
use super::super::evidence::{self, Watched};
use super::super::orientation::Orientation;
use super::Unusable;
use super::hardware::Device;

/// Larger pictures are no film but an attack on memory: 16K of a headset has so many. Pixels.
const MAX_PIXELS: i64 = 16_384 * 8192;
/// As much as tells a format. Bytes.
const HEAD_BYTES: u64 = 16 << 10;

/// The first bytes of the file, for the words of an error; the file is rewound.
pub(super) fn read_head(file: &mut Watched) -> Result<Vec<u8>, Unusable> {
    let cannot_read = |error| Unusable(format!("cannot read the file: {error}"));
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(cannot_read)?;
    Read::by_ref(file).take(HEAD_BYTES).read_to_end(&mut head).map_err(cannot_read)?;
    file.seek(SeekFrom::Start(0)).map_err(cannot_read)?;
    if head.is_empty() {
        return Err(Unusable("the file is empty (0 bytes)".to_owned()));
    }
    Ok(head)
}

/// How every input is opened.
pub(super) fn options(allowed: &Allowed) -> Dictionary<'static> {
    let mut options = Dictionary::new();
    // A custom reader takes FFmpeg's own default away, and with it a playlist could open files and sockets.
    options.set("protocol_whitelist", "none");
    options.set("format_whitelist", &allowed.format_list());
    options.set("codec_whitelist", &allowed.codec_list());
    options
}

/// Whether the file has a clock at all: a bare stream of pictures can only be decoded from its beginning.
pub(super) fn has_clock(input: &Input) -> bool {
    // SAFETY: `input` is open, its format is a static description, and `start_time` is a plain number.
    let (flags, start) = unsafe {
        let context = input.as_ptr();
        ((*(*context).iformat).flags, (*context).start_time)
    };
    flags & ffi::AVFMT_NOTIMESTAMPS == 0 && start != ffi::AV_NOPTS_VALUE
}

/// What of the file is looked at, for programs that open it themselves.
pub(super) fn picture(input: &Input, chosen: usize) -> PictureTrack {
    let pictures = || input.streams().filter(|stream| stream.parameters().medium() == media::Type::Video);
    let id = input.stream(chosen).map(|stream| {
        // SAFETY: as in `stream_size`.
        unsafe { (*stream.as_ptr()).id }
    });
    PictureTrack {
        stream: chosen as u32,
        // Containers that name no streams leave it 0.
        id: id.filter(|id| *id > 0).map(i64::from),
        track: pictures().filter(|stream| stream.index() <= chosen).count() as u32,
        n_tracks: pictures().count() as u32,
        clock: Vec::new(),
        wrong: Vec::new(),
    }
}

pub(super) fn cannot_open(error: Error, head: &[u8], allowed: &Allowed) -> Unusable {
    evidence::look_at(error);
    let is_mp4 = head
        .get(4..8)
        .is_some_and(|kind| [&b"ftyp"[..], b"mdat", b"wide", b"skip", b"free"].contains(&kind));
    Unusable(match error {
        Error::InvalidData if is_mp4 => {
            "the file is truncated or was never finished: the index of its frames (moov) is missing or damaged".to_owned()
        }
        Error::InvalidData => "not a media file, or damaged at its beginning".to_owned(),
        // FFmpeg answers so when the format is known but not allowed.
        Error::Other {
            errno: ffmpeg_next::util::error::EINVAL,
        } => allowed
            .why_not_format(head)
            .unwrap_or_else(|| "its format is not one that scened reads, or it contradicts itself".to_owned()),
        Error::Eof => "the file ends before its first frame".to_owned(),
        error => format!("cannot be opened: {error}"),
    })
}

/// Chooses the video stream to look at: with a decoder before without, then as the ffmpeg command does, by size with a bonus
/// for the default stream. Cover pictures and thumbnails are no film.
pub(super) fn choose_stream(input: &Input, allowed: &Allowed) -> Result<usize, Unusable> {
    let (mut n_audio, mut n_pictures) = (0, 0);
    let mut best: Option<((bool, u64), usize)> = None;
    for stream in input.streams() {
        match stream.parameters().medium() {
            media::Type::Audio => n_audio += 1,
            media::Type::Video if is_cover(&stream) => n_pictures += 1,
            media::Type::Video => {
                let score = rank(&stream, allowed);
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

/// How good a stream is: whether it can be decoded, then its size.
pub(super) fn rank(stream: &Stream<'_>, allowed: &Allowed) -> (bool, u64) {
    let (width, height) = stream_size(stream);
    let bonus = if stream.disposition().contains(Disposition::DEFAULT) {
        5_000_000
    } else {
        0
    };
    // What Dolby Vision adds to another stream is no picture.
    let is_picture = dovi::Configuration::of(stream).is_none_or(|dovi| dovi.has_base_layer);
    (
        is_picture && allowed.decoder(stream.parameters().id()).is_some(),
        u64::from(width) * u64::from(height) + bonus,
    )
}

/// Chooses the stream; where a container tells of its streams as they come, it is read on until one of pictures came. `read` takes its
/// packets.
pub(super) fn find_stream(input: &mut Input, allowed: &Allowed, read: &mut VecDeque<Packet>) -> Result<usize, Unusable> {
    loop {
        let why = match choose_stream(input, allowed) {
            Ok(stream) => return Ok(stream),
            Err(why) => why,
        };
        // SAFETY: `input` is open; the field is a plain number.
        let tells_later = unsafe { (*input.as_ptr()).ctx_flags } & ffi::AVFMTCTX_NOHEADER != 0;
        let mut packet = Packet::empty();
        if !tells_later || packet.read(input).is_err() {
            return Err(why);
        }
        if input.stream(packet.stream()).is_some_and(|stream| is_film(&stream)) {
            read.push_back(packet);
        }
    }
}

/// Whether a stream has pictures that may be a film.
pub(super) fn is_film(stream: &Stream<'_>) -> bool {
    stream.parameters().medium() == media::Type::Video && !is_cover(stream)
}

/// The codec of a stream, which a transport stream may change on the way.
pub(super) fn codec_of(input: &Input, index: usize) -> Option<codec::Id> {
    input.stream(index).map(|stream| stream.parameters().id())
}

/// Whether the index says that a stream has pictures after a time stamp.
pub(super) fn goes_on(input: &mut Input, index: usize, stamp: Option<i64>) -> bool {
    last_in_index(input, index).is_some_and(|last| stamp.is_none_or(|stamp| last > stamp))
}

/// The time stamp of the last picture that the index has of a stream.
pub(super) fn last_in_index(input: &mut Input, index: usize) -> Option<i64> {
    // SAFETY: `input` is open, `streams` has `nb_streams` valid entries, and an entry of an index is null or lives until the next read.
    unsafe {
        let context = input.as_mut_ptr();
        if index >= (*context).nb_streams as usize {
            return None;
        }
        let stream = *(*context).streams.add(index);
        let last = ffi::avformat_index_get_entries_count(stream) - 1;
        let entry = ffi::avformat_index_get_entry(stream, last).as_ref()?;
        (last >= 0).then_some(entry.timestamp)
    }
}

/// Goes to the first byte of a container of a broadcast, whose stamps may begin anew and cannot be looked for. `false`: it is another one.
pub(super) fn seek_to_first_byte(input: &mut Input) -> bool {
    // SAFETY: `input` is open; its format is a static description.
    unsafe {
        let context = input.as_mut_ptr();
        let flags = (*(*context).iformat).flags;
        flags & ffi::AVFMT_TS_DISCONT != 0
            && flags & (ffi::AVFMT_NO_BYTE_SEEK | ffi::AVFMT_NOBINSEARCH) == 0
            && ffi::av_seek_frame(context, -1, 0, ffi::AVSEEK_FLAG_BYTE) >= 0
    }
}

/// Whether a stream is a cover picture or a track of thumbnails.
fn is_cover(stream: &Stream<'_>) -> bool {
    // SAFETY: as in `stream_size`.
    let disposition = unsafe { (*stream.as_ptr()).disposition };
    disposition & (ffi::AV_DISPOSITION_ATTACHED_PIC | ffi::AV_DISPOSITION_TIMED_THUMBNAILS) != 0
}

/// Spares the demuxer the packets of other streams, but for those that the picture may go on in.
/// `asks_all`: all tracks are to tell how long they are.
pub(super) fn discard_others(input: &mut Input, chosen: usize, asks_all: bool) {
    let is_needless: Vec<bool> = (0..input.streams().len())
        .map(|index| !asks_all && index != chosen && !may_go_on_in(input, index, chosen))
        .collect();
    // SAFETY: `input` is open; `streams` has `nb_streams` valid entries, and `discard` is meant to be set by its user.
    unsafe {
        let context = input.as_mut_ptr();
        for (index, is_needless) in is_needless.into_iter().enumerate() {
            if is_needless {
                (*(*(*context).streams.add(index))).discard = ffi::AVDiscard::AVDISCARD_ALL;
            }
        }
    }
}

/// How long a stream is by its own word alone. Microseconds.
pub(super) fn own_duration_us(input: &Input, index: usize) -> Option<i64> {
    let stream = input.stream(index)?;
    if is_matroska(input) {
        // Matroska's muxers tell it in a tag; one that a tool took along from a longer film contradicts the container.
        let tag_us = stream.metadata().get("DURATION").and_then(read_clock)?;
        return container_duration_us(input)
            .is_none_or(|container_us| tag_us <= container_us + 1_000_000)
            .then_some(tag_us);
    }
    // These know one duration for all tracks; others of FFmpeg's numbers are measured on what is there.
    if ["flv", "asf"].contains(&input.format().name()) || is_measured(input) {
        return None;
    }
    let base = stream.time_base();
    (stream.duration() > 0).then(|| to_us(stream.duration(), (i64::from(base.0), i64::from(base.1))))
}

/// What the container says, unless FFmpeg measured or guessed it. Microseconds.
pub(super) fn container_duration_us(input: &Input) -> Option<i64> {
    (!is_measured(input) && input.duration() > 0).then(|| input.duration())
}

/// Whether FFmpeg made durations of the last stamps in the file or of its size, so that they say nothing of what is missing.
fn is_measured(input: &Input) -> bool {
    const SAID: i32 = ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_STREAM as i32;
    // SAFETY: `input` is open; the field is read as the plain number it is.
    let method = unsafe { (&raw const (*input.as_ptr()).duration_estimation_method).cast::<i32>().read() };
    method != SAID
}

fn is_matroska(input: &Input) -> bool {
    input.format().name().contains("matroska")
}

/// When the index's last picture of a stream is shown, counted as a player counts. Microseconds.
pub(super) fn indexed_us(input: &mut Input, index: usize, origin_us: i64) -> Option<i64> {
    // Of what is read without an index FFmpeg makes one of its own.
    if is_measured(input) {
        return None;
    }
    span_in_index(input, index).map(|(_, last)| last.saturating_sub(origin_us))
}

/// Reads `00:01:02.500000000`. Microseconds.
fn read_clock(text: &str) -> Option<i64> {
    let mut parts = text.trim().split(':');
    let (hours, minutes): (i64, i64) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let seconds: f64 = parts.next()?.parse().ok()?;
    let is_clock = (0..100_000).contains(&hours) && (0..60).contains(&minutes) && (0.0..60.0).contains(&seconds);
    (is_clock && parts.next().is_none()).then(|| (hours * 3600 + minutes * 60) * 1_000_000 + (seconds * 1e6) as i64)
}

/// Whether the picture may begin in, or move to, a stream that was not chosen. Where an index has all pictures of both, it tells.
fn may_go_on_in(input: &mut Input, index: usize, chosen: usize) -> bool {
    const BEYOND_US: i64 = 1_000_000;
    if !input.stream(index).is_some_and(|stream| is_film(&stream)) {
        return false;
    }
    let name = input.format().name().to_owned();
    if !name.contains("mov") && name != "avi" {
        return true;
    }
    match (span_in_index(input, index), span_in_index(input, chosen)) {
        (Some(other), Some(chosen)) => other.0 < chosen.0 - BEYOND_US || other.1 > chosen.1 + BEYOND_US,
        _ => true,
    }
}

/// From when to when the index has pictures of a stream. Microseconds.
fn span_in_index(input: &mut Input, index: usize) -> Option<(i64, i64)> {
    let last = last_in_index(input, index)?;
    let base = input.stream(index)?.time_base();
    // SAFETY: as in `last_in_index`, which found an entry.
    let first = unsafe {
        let stream = *(*input.as_mut_ptr()).streams.add(index);
        ffi::avformat_index_get_entry(stream, 0).as_ref()?.timestamp
    };
    let us = |stamp| to_us(stamp, (i64::from(base.0), i64::from(base.1)));
    Some((us(first), us(last)))
}

/// Opens the decoder that needs no graphics card.
pub(super) fn open_in_software(stream: &Stream<'_>, threads: u32, allowed: &Allowed) -> Result<decoder::Video, Unusable> {
    let codec = software_codec(stream, allowed).ok_or(Error::DecoderNotFound);
    codec.and_then(|codec| open_decoder(stream, codec, threads, None)).map_err(|error| {
        evidence::look_at_opening(error);
        Unusable(format!(
            "the decoder for {} cannot be opened: {error}",
            stream.parameters().id().name()
        ))
    })
}

/// Opens a decoder; on `device` where one is given.
pub(super) fn open_decoder(stream: &Stream<'_>, codec: Codec, threads: u32, device: Option<&Device>) -> Result<decoder::Video, Error> {
    let mut context = codec::Context::from_parameters(stream.parameters())?;
    // SAFETY: the context is ours and not open yet; 0 lets FFmpeg count the cores allowed.
    unsafe {
        (*context.as_mut_ptr()).thread_count = threads.min(64) as i32;
        (*context.as_mut_ptr()).max_pixels = MAX_PIXELS;
    }
    if let Some(device) = device {
        device.give_to(&mut context);
    }
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(stream.time_base());
    decoder.open_as(codec)?.video()
}

/// The decoder for a stream: the first that is allowed, but for the one kind of film whose transparency it would lose.
pub(super) fn software_codec(stream: &Stream<'_>, allowed: &Allowed) -> Option<Codec> {
    let id = stream.parameters().id();
    let with_alpha = match (id, stream.metadata().get("alpha_mode")) {
        (codec::Id::VP8, Some("1")) => allowed.named("libvpx"),
        (codec::Id::VP9, Some("1")) => allowed.named("libvpx-vp9"),
        _ => None,
    };
    with_alpha.or_else(|| allowed.decoder(id))
}

/// The decoder to be used with a graphics card: only FFmpeg's own can, and for AV1 another one is its first choice.
pub(super) fn hardware_codec(stream: &Stream<'_>, allowed: &Allowed) -> Option<Codec> {
    match stream.parameters().id() {
        codec::Id::AV1 => decoder::find_by_name("av1"),
        _ => software_codec(stream, allowed),
    }
}

/// What a player calls zero: where the container starts, sound included.
pub(super) fn origin_us(input: &Input, stream: &Stream<'_>) -> i64 {
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

pub(super) fn to_us(stamp: i64, (numerator, denominator): (i64, i64)) -> i64 {
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

pub(super) fn frame_rate(stream: &Stream<'_>) -> Option<f64> {
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

/// Refuses pictures that only an attack on memory is made of. A decoder that finds them larger than the container says refuses them, too.
pub(super) fn check_size(stream: &Stream<'_>) -> Result<(), Unusable> {
    let (width, height) = stream_size(stream);
    let n_pixels = u64::from(width) * u64::from(height);
    if n_pixels > MAX_PIXELS as u64 {
        return Err(Unusable(format!(
            "its picture of {width} × {height} has {n_pixels} pixels, and {MAX_PIXELS} is the most that is decoded"
        )));
    }
    Ok(())
}

pub(super) fn stream_aspect(stream: &Stream<'_>) -> (i32, i32) {
    // SAFETY: as in `stream_size`.
    let aspect = unsafe { (*stream.as_ptr()).sample_aspect_ratio };
    (aspect.num, aspect.den)
}

/// Whether the container marks a stream as encrypted: MP4 by its sample entry or key ids, Matroska by a key id.
pub(super) fn is_marked_encrypted(stream: &Stream<'_>) -> bool {
    // SAFETY: as in `stream_size`.
    let tag = unsafe { (*stream.parameters().as_ptr()).codec_tag };
    tag == u32::from_le_bytes(*b"encv")
        || stream.side_data().any(|data| data.kind() == PacketSideData::EncryptionInitInfo)
        || stream.metadata().get("enc_key_id").is_some()
}

pub(super) fn stream_orientation(stream: &Stream<'_>) -> Orientation {
    let matrix = stream.side_data().find(|data| data.kind() == PacketSideData::DisplayMatrix);
    matrix.and_then(|data| read_matrix(data.data())).unwrap_or_default()
}

pub(super) fn frame_orientation(frame: &Video) -> Option<Orientation> {
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

pub(super) fn stream_peak_nits(stream: &Stream<'_>) -> Option<f32> {
    let find = |kind| stream.side_data().find(|data| data.kind() == kind);
    let light = find(PacketSideData::ContentLightLevel).and_then(|data| read_light_level(data.data()));
    light.or_else(|| find(PacketSideData::MasteringDisplayMetadata).and_then(|data| read_mastering(data.data())))
}

pub(super) fn frame_peak_nits(frame: &Video) -> Option<f32> {
    use frame::side_data::Type;
    let light = frame
        .side_data(Type::ContentLightLevel)
        .and_then(|data| read_light_level(data.data()));
    light.or_else(|| {
        frame
            .side_data(Type::MasteringDisplayMetadata)
            .and_then(|data| read_mastering(data.data()))
    })
}

/// The brightest pixel of the film: the first number of FFmpeg's `AVContentLightMetadata`. Nits.
fn read_light_level(bytes: &[u8]) -> Option<f32> {
    let max_cll = u32::from_ne_bytes(*bytes.first_chunk()?);
    (max_cll > 0).then_some(max_cll as f32)
}

/// The brightest light of the screen that the film was made on. Nits.
///
/// **Source**: FFmpeg's `AVMasteringDisplayMetadata`: nine fractions of two 32-bit numbers, the last of them this light, then
/// whether the primaries and whether the light are known.
fn read_mastering(bytes: &[u8]) -> Option<f32> {
    let number = |index: usize| bytes.as_chunks::<4>().0.get(index).map(|number| i32::from_ne_bytes(*number));
    let (above, below, is_known) = (number(18)?, number(19)?, number(21)?);
    (is_known != 0 && above > 0 && below > 0).then(|| above as f32 / below as f32)
}

pub(super) fn probe(input: &Input, chosen: usize) -> Probe {
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use scened_common::media::extras::Extras;

    use super::super::super::allowed::Allowed;
    use super::super::Film;

    /// While FFmpeg finds out what streams there are it tries decoders, and a decoder of sound that was tried tells the format of samples.
    #[test]
    fn no_decoder_of_sound_or_subtitles_is_ever_opened() {
        ffmpeg_next::init().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.mkv");
        let subtitles = folder.path().join("words.srt");
        std::fs::write(&subtitles, "1\n00:00:00,000 --> 00:00:01,000\nwords\n").unwrap();
        let made = Command::new("ffmpeg")
            .args([
                "-v",
                "error",
                "-nostdin",
                "-f",
                "lavfi",
                "-i",
                "testsrc=d=1",
                "-f",
                "lavfi",
                "-i",
                "sine=d=1",
                "-i",
            ])
            .arg(&subtitles)
            .args([
                "-map", "0", "-map", "1", "-map", "2", "-pix_fmt", "yuv420p", "-c:a", "aac", "-c:s", "ass",
            ])
            .arg(&path)
            .status();
        assert!(made.unwrap().success());
        let sample_format = |film: &Film| {
            let sound = film.input.stream(1).unwrap();
            // SAFETY: the parameters are valid while the stream is; the field is a plain number.
            unsafe { (*sound.parameters().as_ptr()).format }
        };
        let film = Film::open(File::open(&path).unwrap(), 1, Allowed::films(&Extras::default())).unwrap();
        assert_eq!(film.probe().streams[1].kind, "audio");
        assert_eq!(sample_format(&film), -1);
    }
}
