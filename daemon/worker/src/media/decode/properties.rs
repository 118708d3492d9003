//! What a stream, or a frame of it, says about its pictures: size, shape, rate, orientation and brightness.

#![expect(unsafe_code, reason = "ffmpeg-next shows neither sizes nor tags of streams")]

use ffmpeg_next::Stream;
use ffmpeg_next::codec::packet::side_data::Type as PacketSideData;
use ffmpeg_next::frame::{self, Video};

use crate::media::pixels::orientation::Orientation;

pub(super) fn frame_rate(stream: &Stream<'_>) -> Option<f64> {
    [stream.avg_frame_rate(), stream.rate()]
        .into_iter()
        .filter(|rate| rate.0 > 0 && rate.1 > 0)
        .map(f64::from)
        .find(|rate| (0.01..=1000.0).contains(rate))
}

pub(super) fn stream_size(stream: &Stream<'_>) -> (u32, u32) {
    // SAFETY: the parameters are valid while the stream is; both fields are plain numbers.
    let (width, height) = unsafe {
        let parameters = stream.parameters();
        ((*parameters.as_ptr()).width, (*parameters.as_ptr()).height)
    };
    (width.max(0) as u32, height.max(0) as u32)
}

pub(super) fn stream_aspect(stream: &Stream<'_>) -> (i32, i32) {
    // SAFETY: as in `stream_size`.
    let aspect = unsafe { (*stream.as_ptr()).sample_aspect_ratio };
    (aspect.num, aspect.den)
}

/// Returns whether the container marks a stream as encrypted: MP4 by its sample entry or key ids, Matroska by a key id.
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
    // FFmpeg's JPEG decoders pass on EXIF as text.
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

/// Reads the brightest pixel of the video: the first number of FFmpeg's `AVContentLightMetadata`. Nits.
fn read_light_level(bytes: &[u8]) -> Option<f32> {
    let max_cll = u32::from_ne_bytes(*bytes.first_chunk()?);
    (max_cll > 0).then_some(max_cll as f32)
}

/// Reads the peak brightness of the screen that the video was mastered on. Nits.
///
/// **Source**: FFmpeg's `AVMasteringDisplayMetadata`. It has nine fractions of two 32-bit numbers, the last of which is this brightness.
/// Two flags follow: whether the primaries are known, and whether the brightness is.
fn read_mastering(bytes: &[u8]) -> Option<f32> {
    let number = |index: usize| bytes.as_chunks::<4>().0.get(index).map(|number| i32::from_ne_bytes(*number));
    let (above, below, is_known) = (number(18)?, number(19)?, number(21)?);
    (is_known != 0 && above > 0 && below > 0).then(|| above as f32 / below as f32)
}
