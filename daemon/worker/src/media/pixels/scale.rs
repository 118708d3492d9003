//! A safe wrapper of libswscale: takes a decoded frame, returns packed 8-bit RGB, BGR or RGBA.

#![expect(
    unsafe_code,
    reason = "ffmpeg-next's scaler cannot be told the colour matrix, range and filter parameters"
)]

use std::ptr;

use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use scened_common::domain::Resample;

use super::colour::{Matrix, is_full_range, is_full_range_format};
use super::planes::is_rgb;

/// Exact rounding, and chroma at full resolution.
const EXACT: i32 = ffi::SWS_ACCURATE_RND | ffi::SWS_FULL_CHR_H_INT | ffi::SWS_FULL_CHR_H_INP;

/// The colours of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    /// As a player shows them: matrix and range as the frame states them, guessed from its size if it states none.
    Player,
    /// As OpenCV decodes them: always BT.601, the range from the pixel format alone.
    OpenCv,
}

/// The output of a [`Scaler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) size: (u32, u32),
    pub(crate) bgr: bool,
    pub(crate) colours: Colours,
    pub(crate) resample: Resample,
}

/// Why a frame cannot be scaled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScaleError {
    #[error("pictures of {width} × {height} px in the pixel format {format} cannot be converted")]
    Unsupported { width: u32, height: u32, format: String },
    #[error("converting a picture failed (FFmpeg error {code})")]
    Failed { code: i32 },
}

/// The input that the context was made for; a video may change any of it at any frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    format: i32,
    size: (u32, u32),
    matrix: i32,
    full_range: bool,
}

/// Converts frames of a video to one kind of picture. It keeps its context and its buffer from frame to frame.
pub(crate) struct Scaler {
    wanted: Wanted,
    source: Option<Source>,
    context: *mut ffi::SwsContext,
    output: Video,
    format: Pixel,
}

impl Scaler {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self::to_format(wanted, if wanted.bgr { Pixel::BGR24 } else { Pixel::RGB24 })
    }

    /// Creates a scaler that keeps transparency: pixels of four bytes, RGBA.
    pub(crate) fn with_alpha(wanted: Wanted) -> Self {
        Self::to_format(wanted, Pixel::RGBA)
    }

    fn to_format(wanted: Wanted, format: Pixel) -> Self {
        Self {
            wanted,
            source: None,
            context: ptr::null_mut(),
            output: Video::new(format, wanted.size.0, wanted.size.1),
            format,
        }
    }

    /// Converts one frame. Returns the rows and the number of bytes from one row to the next; rows may end in padding.
    pub(crate) fn scale(&mut self, frame: &Video) -> Result<(&[u8], usize), ScaleError> {
        let source = self.describe(frame);
        if self.source != Some(source) {
            self.prepare(source, frame)?;
        }
        // SAFETY: `context` was made for the format and size of `frame`, whose planes FFmpeg allocated with its padding. FFmpeg allocated
        // `output` for the target's format and size.
        let rows = unsafe {
            let (from, to) = (frame.as_ptr(), self.output.as_mut_ptr());
            ffi::sws_scale(
                self.context,
                (*from).data.as_ptr().cast(),
                (*from).linesize.as_ptr(),
                0,
                source.size.1 as i32,
                (*to).data.as_ptr(),
                (*to).linesize.as_ptr(),
            )
        };
        if rows < 0 {
            return Err(ScaleError::Failed { code: rows });
        }
        Ok((self.output.data(0), self.output.stride(0)))
    }

    /// Converts one frame to rows without padding.
    pub(crate) fn scale_packed(&mut self, frame: &Video) -> Result<Vec<u8>, ScaleError> {
        let (width, height) = self.wanted.size;
        let row_bytes = width as usize * if self.format == Pixel::RGBA { 4 } else { 3 };
        let (rows, stride) = self.scale(frame)?;
        let mut packed = Vec::with_capacity(row_bytes * height as usize);
        for row in rows.chunks(stride).take(height as usize) {
            packed.extend_from_slice(&row[..row_bytes]);
        }
        Ok(packed)
    }

    fn describe(&self, frame: &Video) -> Source {
        // SAFETY: `frame` is a live AVFrame; the field is a plain number.
        let format = unsafe { (*frame.as_ptr()).format };
        let size = (frame.width(), frame.height());
        let (matrix, full_range) = match self.wanted.colours {
            Colours::OpenCv => (ffi::SWS_CS_DEFAULT, is_full_range_format(frame.format())),
            // RGB needs the output's matrix; another one on the input side would change the colours.
            Colours::Player if is_rgb(frame) => (ffi::SWS_CS_DEFAULT, true),
            Colours::Player => (coefficients(Matrix::of(frame)), is_full_range(frame)),
        };
        Source {
            format,
            size,
            matrix,
            full_range,
        }
    }

    fn prepare(&mut self, source: Source, frame: &Video) -> Result<(), ScaleError> {
        let unsupported = || ScaleError::Unsupported {
            width: source.size.0,
            height: source.size.1,
            format: frame
                .format()
                .descriptor()
                .map_or_else(|| "unknown".to_owned(), |format| format.name().to_owned()),
        };
        self.source = None;
        self.release();
        let default = f64::from(ffi::SWS_PARAM_DEFAULT);
        let (flags, parameters) = match (self.wanted.colours, self.wanted.resample) {
            (Colours::OpenCv, _) => (ffi::SWS_BICUBIC, [default; 2]),
            (Colours::Player, Resample::Bilinear) => (ffi::SWS_BILINEAR | EXACT, [default; 2]),
            // B = 0, C = 0.5 is Catmull-Rom, the bicubic filter of Pillow; FFmpeg's own default is sharper.
            (Colours::Player, Resample::Bicubic) => (ffi::SWS_BICUBIC | EXACT, [0.0, 0.5]),
        };
        let (width, height) = self.wanted.size;
        // SAFETY: sizes are positive and fit `c_int` (they come from FFmpeg's own decoders); `parameters` is valid during the call.
        self.context = unsafe {
            ffi::sws_getContext(
                source.size.0 as i32,
                source.size.1 as i32,
                frame.format().into(),
                width as i32,
                height as i32,
                self.format.into(),
                flags,
                ptr::null_mut(),
                ptr::null_mut(),
                parameters.as_ptr(),
            )
        };
        if self.context.is_null() {
            return Err(unsupported());
        }
        if self.wanted.colours == Colours::Player {
            // SAFETY: `context` is live; `sws_getCoefficients` returns static tables.
            unsafe {
                let neutral = 1 << 16;
                ffi::sws_setColorspaceDetails(
                    self.context,
                    ffi::sws_getCoefficients(source.matrix),
                    i32::from(source.full_range),
                    ffi::sws_getCoefficients(ffi::SWS_CS_DEFAULT),
                    1,
                    0,
                    neutral,
                    neutral,
                );
            }
        }
        self.source = Some(source);
        Ok(())
    }

    fn release(&mut self) {
        // SAFETY: `context` is null or was made by `sws_getContext`, and is not used again.
        unsafe { ffi::sws_freeContext(self.context) };
        self.context = ptr::null_mut();
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        self.release();
    }
}

fn coefficients(matrix: Matrix) -> i32 {
    match matrix {
        Matrix::Bt601 => ffi::SWS_CS_ITU601,
        Matrix::Bt709 | Matrix::Ycgco => ffi::SWS_CS_ITU709,
        // libswscale knows neither YCgCo nor ICtCp, and no common picture uses them.
        Matrix::Bt2020 | Matrix::Ictcp => ffi::SWS_CS_BT2020,
        Matrix::Fcc => ffi::SWS_CS_FCC,
        Matrix::Smpte240m => ffi::SWS_CS_SMPTE240M,
    }
}
