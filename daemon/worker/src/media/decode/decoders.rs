//! Opens decoders: chooses the decoder, its threads and its largest picture.

#![expect(unsafe_code, reason = "ffmpeg-next cannot set threads and the largest picture")]

use ffmpeg_next::{Codec, Error, Stream, codec, decoder};

use super::allowed::Allowed;
use super::properties::stream_size;
use crate::media::ended::Unusable;
use crate::media::evidence;

/// A 16K headset video has this many pixels; larger pictures are not video but an attack on memory. Pixels.
const MAX_PIXELS: i64 = 16_384 * 8192;

/// Opens a software decoder.
pub(super) fn open_in_software(stream: &Stream<'_>, threads: u32, allowed: &Allowed) -> Result<decoder::Video, Unusable> {
    let codec = software_codec(stream, allowed).ok_or(Error::DecoderNotFound);
    codec
        .and_then(|codec| open_decoder(stream, codec, threads, |_| {}))
        .map_err(|error| {
            evidence::note_opening_error(error);
            Unusable(format!(
                "the decoder for {} cannot be opened: {error}",
                stream.parameters().id().name()
            ))
        })
}

/// Opens a decoder. `prepare` may change the context before it is opened.
pub(super) fn open_decoder(
    stream: &Stream<'_>,
    codec: Codec,
    threads: u32,
    prepare: impl FnOnce(&mut codec::Context),
) -> Result<decoder::Video, Error> {
    let mut context = codec::Context::from_parameters(stream.parameters())?;
    // SAFETY: the context is ours and not open yet; 0 lets FFmpeg count the cores allowed.
    unsafe {
        (*context.as_mut_ptr()).thread_count = threads.min(64) as i32;
        (*context.as_mut_ptr()).max_pixels = MAX_PIXELS;
    }
    prepare(&mut context);
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(stream.time_base());
    decoder.open_as(codec)?.video()
}

/// Returns the decoder for a stream: the first allowed one, except for VP8 and VP9 with transparency, which that decoder would lose.
pub(super) fn software_codec(stream: &Stream<'_>, allowed: &Allowed) -> Option<Codec> {
    let id = stream.parameters().id();
    let with_alpha = match (id, stream.metadata().get("alpha_mode")) {
        (codec::Id::VP8, Some("1")) => allowed.named("libvpx"),
        (codec::Id::VP9, Some("1")) => allowed.named("libvpx-vp9"),
        _ => None,
    };
    with_alpha.or_else(|| allowed.decoder(id))
}

/// Returns the decoder to use with a graphics card. Only FFmpeg's own decoders can use one, and for AV1 the first choice is another.
pub(super) fn hardware_codec(stream: &Stream<'_>, allowed: &Allowed) -> Option<Codec> {
    match stream.parameters().id() {
        codec::Id::AV1 => decoder::find_by_name("av1"),
        _ => software_codec(stream, allowed),
    }
}

/// Refuses pictures so large that they can only be an attack on memory. A decoder that finds them larger than the container says refuses
/// them, too.
pub(super) fn check_size(stream: &Stream<'_>) -> Result<(), Unusable> {
    let (width, height) = stream_size(stream);
    let n_pixels = u64::from(width) * u64::from(height);
    if n_pixels > MAX_PIXELS as u64 {
        return Err(Unusable(format!(
            "its picture of {width} × {height} has {n_pixels} pixels; the limit is {MAX_PIXELS}"
        )));
    }
    Ok(())
}
