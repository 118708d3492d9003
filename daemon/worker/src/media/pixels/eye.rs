//! Leaves one eye's picture of stereo videos. Side by side or one above the other, a model would see everything twice and squeezed.
//!
//! Videos that alternate the eyes from frame to frame already show one eye in each frame.

#![expect(unsafe_code, reason = "ffmpeg-next can neither read what FFmpeg says of two eyes nor crop a frame")]

use ffmpeg_next::codec::packet::side_data::Type as PacketSideData;
use ffmpeg_next::frame::{self, Video};
use ffmpeg_next::{Stream, ffi};

/// Aspect ratios, width by height, beyond which both eyes' pictures have their full size. A landscape video for one eye is neither that
/// wide nor that narrow.
const TWO_WIDE: f64 = 2.8;
const TWO_HIGH: f64 = 1.15;

/// How one frame holds the pictures of two eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    SideBySide,
    TopBottom,
}

impl Packing {
    pub(crate) fn of_stream(stream: &Stream<'_>) -> Option<Self> {
        let data = stream.side_data().find(|data| data.kind() == PacketSideData::Stereo3d)?;
        Self::read(data.data())
    }

    fn of_frame(frame: &Video) -> Option<Self> {
        Self::read(frame.side_data(frame::side_data::Type::Stereo3D)?.data())
    }

    /// **Source**: FFmpeg's `AVStereo3D`, whose first number is the type.
    fn read(bytes: &[u8]) -> Option<Self> {
        const SIDE_BY_SIDE: i32 = ffi::AVStereo3DType::AV_STEREO3D_SIDEBYSIDE as i32;
        const TOP_BOTTOM: i32 = ffi::AVStereo3DType::AV_STEREO3D_TOPBOTTOM as i32;
        match i32::from_ne_bytes(*bytes.first_chunk()?) {
            SIDE_BY_SIDE => Some(Self::SideBySide),
            TOP_BOTTOM => Some(Self::TopBottom),
            _ => None,
        }
    }
}

/// Crops a frame to the first eye's picture. `said`: the packing that the stream or an earlier frame states, since encoders state it only
/// with keyframes. Returns the factors by which to stretch the picture, across and down.
pub(crate) fn leave_one(frame: &mut Video, said: &mut Option<Packing>, aspect: (i32, i32)) -> (i32, i32) {
    *said = Packing::of_frame(frame).or(*said);
    let Some(packing) = *said else {
        return (1, 1);
    };
    let (width, height) = (frame.width(), frame.height());
    let pixel = if aspect.0 > 0 && aspect.1 > 0 {
        f64::from(aspect.0) / f64::from(aspect.1)
    } else {
        1.0
    };
    let shape = f64::from(width) * pixel / f64::from(height.max(1));
    let (right, below, stretch) = match packing {
        Packing::SideBySide => (width / 2, 0, if shape >= TWO_WIDE { (1, 1) } else { (2, 1) }),
        Packing::TopBottom => (0, height / 2, if shape <= TWO_HIGH { (1, 1) } else { (1, 2) }),
    };
    // SAFETY: `frame` is live; FFmpeg checks the cropping against the frame's size, and changes only sizes.
    let code = unsafe {
        let raw = frame.as_mut_ptr();
        (*raw).crop_right = (*raw).crop_right.saturating_add(right as usize);
        (*raw).crop_bottom = (*raw).crop_bottom.saturating_add(below as usize);
        ffi::av_frame_apply_cropping(raw, ffi::AV_FRAME_CROP_UNALIGNED as i32)
    };
    if code < 0 { (1, 1) } else { stretch }
}
