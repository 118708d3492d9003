//! What one stream says about its pictures, for as long as the video is in it.

#![expect(unsafe_code, reason = "ffmpeg-next does not show the field of a frame that is its owner's")]

use std::ptr;

use ffmpeg_next::frame::Video;
use ffmpeg_next::{Stream, codec};

use super::properties;

/// Frame rate assumed if a file has neither times nor a rate.
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
    /// Unit of time stamps: seconds as a fraction.
    pub(super) time_base: (i64, i64),
    pub(super) rate: Option<f64>,
    pub(super) orientation: Orientation,
    pub(super) pixel_aspect: (i32, i32),
    pub(super) peak_nits: Option<f32>,
    pub(super) dovi: Option<dovi::Configuration>,
    pub(super) packing: Option<Packing>,
    /// The container marks it as encrypted.
    pub(super) marked_encrypted: bool,
}

impl Track {
    /// Returns how long to show a frame without a duration. Microseconds.
    pub(super) fn frame_us(&self) -> i64 {
        (1e6 / self.rate.unwrap_or(ASSUMED_FPS)) as i64
    }

    /// Returns how a frame of this track must be turned.
    pub(super) fn orientation(&self, frame: &Video) -> Orientation {
        properties::frame_orientation(frame).unwrap_or(self.orientation)
    }

    /// Returns the size at which a frame of this track is shown, with square pixels and before it is turned.
    pub(super) fn square_size(&self, frame: &Video) -> (u32, u32) {
        let aspect = frame.aspect_ratio();
        // The container takes precedence over the codec, as in FFmpeg's own `av_guess_sample_aspect_ratio`.
        let said = self.pixel_aspect;
        let aspect = if said.0 > 0 && said.1 > 0 { said } else { (aspect.0, aspect.1) };
        let aspect = if aspect.0 > 0 && aspect.1 > 0 { aspect } else { (1, 1) };
        let stretch = Note::of(frame).stretch;
        let stretched = (aspect.0.saturating_mul(stretch.0), aspect.1.saturating_mul(stretch.1));
        fit::square_pixels(frame.width(), frame.height(), stretched)
    }

    /// Returns what must be known about a frame's light beyond its pixel values. The peak brightness comes from the frame, else from the
    /// container, else from what most videos are made for.
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

/// Prepares decoded frames for use, by what is known of their stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer {
    /// The number of the track.
    pub(super) track: usize,
    pub(super) packing: Option<Packing>,
    pub(super) pixel_aspect: (i32, i32),
}

/// A note attached to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) track: usize,
    /// Factors by which the picture of one eye must be stretched, across and down: 1 or 2.
    pub(super) stretch: (i32, i32),
}

/// Bits of a note above the number of the track.
const TWICE_ACROSS: usize = 1 << 30;
const TWICE_DOWN: usize = 1 << 31;

impl Viewer {
    /// Crops the frame to one eye's picture, and notes on it the track that it is from. The frame may be used after the video moved to
    /// another track.
    pub(crate) fn prepare(&mut self, frame: &mut Video) {
        let stretch = eye::leave_one(frame, &mut self.packing, self.pixel_aspect);
        let across = if stretch.0 > 1 { TWICE_ACROSS } else { 0 };
        let down = if stretch.1 > 1 { TWICE_DOWN } else { 0 };
        // SAFETY: `frame` is a live AVFrame. `opaque` is for the caller: FFmpeg copies it with a frame and never dereferences it.
        unsafe { (*frame.as_mut_ptr()).opaque = ptr::without_provenance_mut(self.track | across | down) };
    }
}

impl Note {
    /// Returns the note on a frame; without one, that of the first track.
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
