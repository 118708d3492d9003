//! Which stream of a file the picture is in, and the description of the streams.

#![expect(unsafe_code, reason = "ffmpeg-next shows neither dispositions to set nor ids of streams")]

use std::collections::VecDeque;

use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::{Packet, Stream, codec, ffi, media};
use scened_common::domain::PictureTrack;
use scened_common::media::answer::{Probe, StreamInfo};
use scened_common::media::wire::MAX_STREAMS;

use super::allowed::Allowed;
use super::index::span_in_index;
use super::properties::{frame_rate, stream_orientation, stream_size};
use crate::media::ended::Unusable;
use crate::media::pixels::dovi;

/// Describes the analysed stream, for programs that open the file themselves.
pub(super) fn picture(input: &Input, chosen: usize) -> PictureTrack {
    let pictures = || input.streams().filter(|stream| stream.parameters().medium() == media::Type::Video);
    let id = input.stream(chosen).map(|stream| {
        // SAFETY: a stream is valid while its input is; the field is a plain number.
        unsafe { (*stream.as_ptr()).id }
    });
    PictureTrack {
        stream: chosen as u32,
        // Containers without stream ids leave it 0.
        id: id.filter(|id| *id > 0).map(i64::from),
        track: pictures().filter(|stream| stream.index() <= chosen).count() as u32,
        n_tracks: pictures().count() as u32,
        clock: Vec::new(),
        wrong: Vec::new(),
    }
}

/// Chooses the video stream to analyse. Streams with a decoder come first. Then the choice is that of the ffmpeg command: by size, with a
/// bonus for the default stream. Cover pictures and thumbnails do not count as video.
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
        (None, true, true) => Err(Unusable("has sound and a cover picture, but no video".to_owned())),
        (None, true, false) => Err(Unusable("has a cover picture, but no video".to_owned())),
        (None, false, true) => Err(Unusable("has sound but no video".to_owned())),
        (None, false, false) => Err(Unusable("has neither video nor sound".to_owned())),
    }
}

/// Ranks a stream: whether it can be decoded, then its size.
pub(super) fn rank(stream: &Stream<'_>, allowed: &Allowed) -> (bool, u64) {
    let (width, height) = stream_size(stream);
    let bonus = if stream.disposition().contains(Disposition::DEFAULT) {
        5_000_000
    } else {
        0
    };
    // A Dolby Vision layer that only adds to another stream is not a picture.
    let is_picture = dovi::Configuration::of(stream).is_none_or(|dovi| dovi.has_base_layer);
    (
        is_picture && allowed.decoder(stream.parameters().id()).is_some(),
        u64::from(width) * u64::from(height) + bonus,
    )
}

/// Chooses the stream. If a container announces its streams only as they come, reads on until a video stream comes. Its packets are added
/// to `read`.
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
        if input.stream(packet.stream()).is_some_and(|stream| is_video(&stream)) {
            read.push_back(packet);
        }
    }
}

/// Returns whether a stream has pictures that may be a video.
pub(super) fn is_video(stream: &Stream<'_>) -> bool {
    stream.parameters().medium() == media::Type::Video && !is_cover(stream)
}

/// Returns the codec of a stream, which may change within a transport stream.
pub(super) fn codec_of(input: &Input, index: usize) -> Option<codec::Id> {
    input.stream(index).map(|stream| stream.parameters().id())
}

/// Returns whether a stream is a cover picture or a track of thumbnails.
fn is_cover(stream: &Stream<'_>) -> bool {
    // SAFETY: a stream is valid while its input is; the field is a plain number.
    let disposition = unsafe { (*stream.as_ptr()).disposition };
    disposition & (ffi::AV_DISPOSITION_ATTACHED_PIC | ffi::AV_DISPOSITION_TIMED_THUMBNAILS) != 0
}

/// Spares the demuxer the packets of other streams, except those that the picture may continue in. `asks_all`: keep all tracks, to learn
/// how long they are.
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

/// Decides whether the picture may begin in, or move to, a stream that was not chosen. If an index lists all pictures of both, it decides.
fn may_go_on_in(input: &mut Input, index: usize, chosen: usize) -> bool {
    const BEYOND_US: i64 = 1_000_000;
    if !input.stream(index).is_some_and(|stream| is_video(&stream)) {
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
