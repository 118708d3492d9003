//! What one stream says of its pictures, as long as the video is in it.

#![expect(unsafe_code, reason = "ffmpeg-next does not show the field of a frame that is its owner's")]

use std::ptr;

use ffmpeg_next::frame::Video;
use ffmpeg_next::{Stream, codec};

use super::properties;

/// Frame rate assumed where a file has neither times nor a rate.
const ASSUMED_FPS: f64 = 25.0;
use crate::media::pixels::colour::Transfer;
use crate::media::pixels::dovi::{self, Dovi};
use crate::media::pixels::eye::{self, Packing};
use crate::media::pixels::fit;
use crate::media::pixels::light::Light;
use crate::media::pixels::orientation::Orientation;
use crate::media::pixels::tone::USUAL_PEAK_NITS;

/// A stream that the video is, or was, in.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) stream: usize,
    pub(super) codec: codec::Id,
    /// Units of time stamps: seconds as a fraction.
    pub(super) time_base: (i64, i64),
    pub(super) rate: Option<f64>,
    pub(super) orientation: Orientation,
    pub(super) pixel_aspect: (i32, i32),
    pub(super) peak_nits: Option<f32>,
    pub(super) dovi: Option<dovi::Configuration>,
    pub(super) packing: Option<Packing>,
    /// The container says that it is encrypted.
    pub(super) marked_encrypted: bool,
}

impl Track {
    /// How long a frame is shown that does not say. Microseconds.
    pub(super) fn frame_us(&self) -> i64 {
        (1e6 / self.rate.unwrap_or(ASSUMED_FPS)) as i64
    }

    /// How a frame of it is to be turned.
    pub(super) fn orientation(&self, frame: &Video) -> Orientation {
        properties::frame_orientation(frame).unwrap_or(self.orientation)
    }

    /// The size at which a frame of it is shown, before it is turned: with square pixels.
    pub(super) fn square_size(&self, frame: &Video) -> (u32, u32) {
        let aspect = frame.aspect_ratio();
        // The container's word counts before the codec's, as in FFmpeg's own `av_guess_sample_aspect_ratio`.
        let said = self.pixel_aspect;
        let aspect = if said.0 > 0 && said.1 > 0 { said } else { (aspect.0, aspect.1) };
        let aspect = if aspect.0 > 0 && aspect.1 > 0 { aspect } else { (1, 1) };
        let stretch = Note::of(frame).stretch;
        let stretched = (aspect.0.saturating_mul(stretch.0), aspect.1.saturating_mul(stretch.1));
        fit::square_pixels(frame.width(), frame.height(), stretched)
    }

    /// What is to be known of a frame's light beyond its numbers. The brightest: what the frame says, else the container, else what most
    /// videos are made for.
    pub(super) fn light(&self, frame: &Video) -> Light {
        let fallback = match self.dovi {
            Some(dovi) if dovi.is_hdr10() => Some(Transfer::Pq),
            Some(dovi) if dovi.is_hlg() => Some(Transfer::Hlg),
            _ => None,
        };
        Light {
            peak_nits: properties::frame_peak_nits(frame).or(self.peak_nits).unwrap_or(USUAL_PEAK_NITS),
            dovi: self.dovi.filter(|dovi| dovi.is_ipt()).map(|_| Dovi::of(frame)),
            fallback,
        }
    }

    pub(super) fn of(stream: &Stream<'_>) -> Self {
        let time_base = stream.time_base();
        Self {
            stream: stream.index(),
            codec: stream.parameters().id(),
            time_base: (i64::from(time_base.0), i64::from(time_base.1)),
            rate: properties::frame_rate(stream),
            orientation: properties::stream_orientation(stream),
            pixel_aspect: properties::stream_aspect(stream),
            peak_nits: properties::stream_peak_nits(stream),
            dovi: dovi::Configuration::of(stream),
            packing: Packing::of_stream(stream),
            marked_encrypted: properties::is_marked_encrypted(stream),
        }
    }
}

/// Gets a decoded frame ready to be looked at, by what is known of its stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer {
    /// The number of the track.
    pub(super) track: usize,
    pub(super) packing: Option<Packing>,
    pub(super) pixel_aspect: (i32, i32),
}

/// What is noted on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) track: usize,
    /// By how much the picture of one eye is to be stretched, across and down: 1 or 2.
    pub(super) stretch: (i32, i32),
}

/// Bits of a note behind the number of the track.
const TWICE_ACROSS: usize = 1 << 30;
const TWICE_DOWN: usize = 1 << 31;

impl Viewer {
    /// Leaves one eye's picture, and notes on the frame which track it is of: it may be looked at when the video is in another one.
    pub(crate) fn prepare(&mut self, frame: &mut Video) {
        let stretch = eye::leave_one(frame, &mut self.packing, self.pixel_aspect);
        let across = if stretch.0 > 1 { TWICE_ACROSS } else { 0 };
        let down = if stretch.1 > 1 { TWICE_DOWN } else { 0 };
        // SAFETY: `frame` is a live AVFrame. The field is for whoever decodes: FFmpeg copies it with a frame and never follows it.
        unsafe { (*frame.as_mut_ptr()).opaque = ptr::without_provenance_mut(self.track | across | down) };
    }
}

impl Note {
    /// What was noted; the first track where nothing was.
    pub(super) fn of(frame: &Video) -> Self {
        // SAFETY: as in `Viewer::prepare`.
        let bits = unsafe { (*frame.as_ptr()).opaque }.addr();
        let times = |bit| if bits & bit == 0 { 1 } else { 2 };
        Self {
            track: bits & (TWICE_ACROSS - 1),
            stretch: (times(TWICE_ACROSS), times(TWICE_DOWN)),
        }
    }
}
