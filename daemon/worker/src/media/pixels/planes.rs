//! Provides the planes of a decoded frame as plain slices, for code that reads them directly instead of through libswscale.
//!
//! Only planar frames of luma and chroma are supported (8 to 16 bits, little-endian, including interleaved chroma). Everything else (RGB,
//! palettes, packed formats, a picture stored upside down) is left to swscale.

#![expect(
    unsafe_code,
    reason = "ffmpeg-next shows neither a format's components nor planes of cropped frames"
)]

use std::marker::PhantomData;

use fast_image_resize::pixels::InnerPixel;
use fast_image_resize::{ImageView, PixelTrait};
use ffmpeg_next::ffi;
use ffmpeg_next::frame::Video;

/// Formats whose samples are not plain little-endian luma and chroma: big-endian, palettes, bit streams, on a graphics card, RGB, Bayer,
/// floats.
const REFUSED: u64 = (ffi::AV_PIX_FMT_FLAG_BE
    | ffi::AV_PIX_FMT_FLAG_PAL
    | ffi::AV_PIX_FMT_FLAG_BITSTREAM
    | ffi::AV_PIX_FMT_FLAG_HWACCEL
    | ffi::AV_PIX_FMT_FLAG_RGB
    | ffi::AV_PIX_FMT_FLAG_BAYER
    | ffi::AV_PIX_FMT_FLAG_FLOAT) as u64;

/// Returns whether pixels of this frame may be transparent.
pub(crate) fn has_alpha(frame: &Video) -> bool {
    flags(frame) & u64::from(ffi::AV_PIX_FMT_FLAG_ALPHA as u32) != 0
}

/// Returns whether the samples of this frame are red, green and blue, or indexes into a palette. No matrix applies to these.
pub(crate) fn is_rgb(frame: &Video) -> bool {
    flags(frame) & u64::from((ffi::AV_PIX_FMT_FLAG_RGB | ffi::AV_PIX_FMT_FLAG_PAL) as u32) != 0
}

fn flags(frame: &Video) -> u64 {
    // SAFETY: format descriptors are static tables.
    let flags = frame
        .format()
        .descriptor()
        .map(|descriptor| unsafe { (*descriptor.as_ptr()).flags });
    flags.unwrap_or(0)
}

/// The position of one component's samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    plane: usize,
    /// Distance between two samples of this component: 2 if two components are interleaved. Samples.
    pub(crate) step: usize,
    /// Samples before the first of this component.
    pub(crate) first: usize,
    /// How many bits are below the value in each sample.
    pub(crate) shift: u32,
}

impl Component {
    /// Returns whether the two are interleaved with each other.
    pub(crate) fn is_beside(self, other: Self) -> bool {
        self.plane == other.plane && self.step == other.step
    }
}

/// One of the two fields of an interlaced frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Top,
    Bottom,
}

/// The layout of a pixel format's components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Whether samples have two bytes.
    pub(crate) is_wide: bool,
    /// Bits per value.
    pub(crate) depth: u32,
    /// Chroma subsampling across and down, as powers of two.
    pub(crate) chroma_shift: (u32, u32),
    pub(crate) luma: Component,
    /// Cb and Cr; `None` for a picture without colour.
    pub(crate) chroma: Option<[Component; 2]>,
    pub(crate) alpha: Option<Component>,
}

/// The rows of one component of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    bytes: &'a [u8],
    stride: usize,
    row_bytes: usize,
    pub(crate) is_wide: bool,
    pub(crate) step: usize,
    pub(crate) first: usize,
    /// Columns and rows. Never 0.
    pub(crate) size: (usize, usize),
}

impl Layout {
    /// Describes a frame's format; `None` if its planes cannot be read directly.
    pub(crate) fn of(frame: &Video) -> Option<Self> {
        let descriptor = frame.format().descriptor()?;
        // SAFETY: format descriptors are static tables.
        let (flags, n_components, components) = unsafe {
            let descriptor = &*descriptor.as_ptr();
            (descriptor.flags, usize::from(descriptor.nb_components), descriptor.comp)
        };
        let is_planar = flags & u64::from(ffi::AV_PIX_FMT_FLAG_PLANAR as u32) != 0 || n_components == 1;
        // No flag marks XYZ formats.
        if flags & REFUSED != 0 || !is_planar || descriptor.name().starts_with("xyz") {
            return None;
        }
        let depth = u32::try_from(components[0].depth).ok()?;
        if !(8..=16).contains(&depth) {
            return None;
        }
        let sample_bytes = if depth > 8 { 2 } else { 1 };
        // The resizer expects wide samples in the processor's byte order.
        if sample_bytes == 2 && cfg!(target_endian = "big") {
            return None;
        }
        let component = |index: usize| {
            let raw = components[index];
            let at = |bytes: i32| {
                usize::try_from(bytes)
                    .ok()
                    .filter(|bytes| bytes % sample_bytes == 0)
                    .map(|bytes| bytes / sample_bytes)
            };
            let component = Component {
                plane: usize::try_from(raw.plane).ok()?,
                step: at(raw.step)?,
                first: at(raw.offset)?,
                shift: u32::try_from(raw.shift).ok()?,
            };
            let fits = raw.depth as u32 == depth && (1..=2).contains(&component.step) && component.first < component.step;
            (fits && component.shift + depth <= 8 * sample_bytes as u32).then_some(component)
        };
        let has_colour = n_components >= 3;
        Some(Self {
            is_wide: sample_bytes == 2,
            depth,
            chroma_shift: (u32::from(descriptor.log2_chroma_w()), u32::from(descriptor.log2_chroma_h())),
            luma: component(0).filter(|luma| luma.step == 1)?,
            chroma: if has_colour { Some([component(1)?, component(2)?]) } else { None },
            alpha: if n_components == 4 {
                Some(component(3).filter(|alpha| alpha.step == 1)?)
            } else {
                None
            },
        })
    }

    /// Returns the rows of the luma or the alpha.
    pub(crate) fn full_rows<'a>(&self, frame: &'a Video, component: Component) -> Option<Rows<'a>> {
        self.rows(frame, component, (0, 0))
    }

    /// Returns the rows of a chroma component.
    pub(crate) fn chroma_rows<'a>(&self, frame: &'a Video, component: Component) -> Option<Rows<'a>> {
        self.rows(frame, component, self.chroma_shift)
    }

    fn rows<'a>(&self, frame: &'a Video, component: Component, shift: (u32, u32)) -> Option<Rows<'a>> {
        let size = (
            (frame.width() as usize).div_ceil(1 << shift.0),
            (frame.height() as usize).div_ceil(1 << shift.1),
        );
        // SAFETY: `frame` is a live AVFrame; these fields are plain values.
        let (data, stride) = unsafe {
            let frame = frame.as_ptr();
            ((*frame).data[component.plane], (*frame).linesize[component.plane])
        };
        // A picture stored upside down has a negative stride.
        let stride = usize::try_from(stride).ok()?;
        let row_bytes = size.0 * component.step * if self.is_wide { 2 } else { 1 };
        if data.is_null() || size.0 == 0 || size.1 == 0 || stride < row_bytes {
            return None;
        }
        // SAFETY: FFmpeg allocated `size.1` rows of at least `row_bytes`, `stride` apart, and keeps them while `frame` lives. The last row
        // is taken without the padding after it, since a cropped frame may have less there.
        let bytes = unsafe { std::slice::from_raw_parts(data, (size.1 - 1) * stride + row_bytes) };
        Some(Rows {
            bytes,
            stride,
            row_bytes,
            is_wide: self.is_wide,
            step: component.step,
            first: component.first,
            size,
        })
    }
}

impl<'a> Rows<'a> {
    /// Returns the samples of one row, including interleaved ones of another component.
    pub(crate) fn row(&self, y: usize) -> &'a [u8] {
        let start = y * self.stride;
        &self.bytes[start..start + self.row_bytes]
    }

    /// Returns the same row as two-byte samples.
    pub(crate) fn wide_row(&self, y: usize) -> &'a [[u8; 2]] {
        self.row(y).as_chunks::<2>().0
    }

    /// Returns the rows of one field of an interlaced frame, as a picture of half the height. `field` = `None`: all rows.
    pub(crate) fn only(self, field: Option<Field>) -> Option<Self> {
        let first = match field {
            None => return Some(self),
            Some(Field::Top) => 0,
            Some(Field::Bottom) => 1,
        };
        let height = self.size.1.checked_sub(first)?.div_ceil(2);
        (height > 0).then_some(Self {
            bytes: &self.bytes[first * self.stride..],
            stride: self.stride * 2,
            size: (self.size.0, height),
            ..self
        })
    }

    /// Returns the same rows for the resizer, if its pixels have exactly the size and alignment of the samples.
    pub(crate) fn view<P: PixelTrait>(self) -> Option<View<'a, P>> {
        let fits = size_of::<P>() * self.size.0 == self.row_bytes
            && self.bytes.as_ptr().addr().is_multiple_of(align_of::<P>())
            && self.stride.is_multiple_of(align_of::<P>());
        fits.then_some(View {
            rows: self,
            pixels: PhantomData,
        })
    }
}

/// The rows of a frame in the form that the resizer reads.
#[derive(Debug)]
pub(crate) struct View<'a, P> {
    rows: Rows<'a>,
    pixels: PhantomData<P>,
}

// SAFETY: every row has exactly `width` pixels, since `Rows::view` compared the bytes.
unsafe impl<P: InnerPixel> ImageView for View<'_, P> {
    type Pixel = P;

    fn width(&self) -> u32 {
        self.rows.size.0 as u32
    }

    fn height(&self) -> u32 {
        self.rows.size.1 as u32
    }

    fn iter_rows(&self, start_row: u32) -> impl Iterator<Item = &[P]> {
        (start_row as usize..self.rows.size.1).map(|y| {
            let row = self.rows.row(y);
            // SAFETY: `Rows::view` checked that the row is aligned and as long as its pixels. The resizer's pixels (integers and floats)
            // may have any bits.
            unsafe { std::slice::from_raw_parts(row.as_ptr().cast(), self.rows.size.0) }
        })
    }
}
