//! The planes of a decoded frame as plain slices, for whoever reads them straight instead of through libswscale.
//!
//! Only frames of brightness and colour differences in planes are shown (8 to 16 bits, little-endian, interleaved colour
//! differences too). Anything else (RGB, palettes, packed formats, a picture stored upside down) is swscale's work.

#![expect(
    unsafe_code,
    reason = "ffmpeg-next shows neither a format's components nor planes of cropped frames"
)]

use std::marker::PhantomData;

use fast_image_resize::pixels::InnerPixel;
use fast_image_resize::{ImageView, PixelTrait};
use ffmpeg_next::ffi;
use ffmpeg_next::frame::Video;

/// Formats whose samples do not lie as their description says: not YUV at all, or below the top bits.
const REFUSED: u64 = (ffi::AV_PIX_FMT_FLAG_BE
    | ffi::AV_PIX_FMT_FLAG_PAL
    | ffi::AV_PIX_FMT_FLAG_BITSTREAM
    | ffi::AV_PIX_FMT_FLAG_HWACCEL
    | ffi::AV_PIX_FMT_FLAG_RGB
    | ffi::AV_PIX_FMT_FLAG_BAYER
    | ffi::AV_PIX_FMT_FLAG_FLOAT) as u64;

/// Whether pixels of this frame may be transparent.
pub(crate) fn has_alpha(frame: &Video) -> bool {
    flags(frame) & u64::from(ffi::AV_PIX_FMT_FLAG_ALPHA as u32) != 0
}

/// Whether the samples of this frame are red, green and blue, or numbers of colours in a palette, and no matrix says what they mean.
pub(crate) fn is_rgb(frame: &Video) -> bool {
    flags(frame) & u64::from((ffi::AV_PIX_FMT_FLAG_RGB | ffi::AV_PIX_FMT_FLAG_PAL) as u32) != 0
}

fn flags(frame: &Video) -> u64 {
    // SAFETY: descriptions of formats are static tables.
    let flags = frame
        .format()
        .descriptor()
        .map(|descriptor| unsafe { (*descriptor.as_ptr()).flags });
    flags.unwrap_or(0)
}

/// Where the samples of one component lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    plane: usize,
    /// Samples from one to the next of this component: 2 where two are interleaved.
    pub(crate) step: usize,
    /// Samples before the first of this component.
    pub(crate) first: usize,
    /// Bits below the value in each sample.
    pub(crate) shift: u32,
}

impl Component {
    /// Whether the two are interleaved with each other.
    pub(crate) fn is_beside(self, other: Self) -> bool {
        self.plane == other.plane && self.step == other.step
    }
}

/// One of the two pictures of an interlaced frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Top,
    Bottom,
}

/// How a pixel format lays out its components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Samples are two bytes.
    pub(crate) is_wide: bool,
    /// Bits of each value.
    pub(crate) depth: u32,
    /// Powers of two by which the colour differences are coarser, across and down.
    pub(crate) chroma_shift: (u32, u32),
    pub(crate) luma: Component,
    /// Cb and Cr; none in a picture without colour.
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
    /// Describes a format; none when its planes cannot be read straight.
    pub(crate) fn of(frame: &Video) -> Option<Self> {
        let descriptor = frame.format().descriptor()?;
        // SAFETY: descriptions of formats are static tables.
        let (flags, n_components, components) = unsafe {
            let descriptor = &*descriptor.as_ptr();
            (descriptor.flags, usize::from(descriptor.nb_components), descriptor.comp)
        };
        let is_planar = flags & u64::from(ffi::AV_PIX_FMT_FLAG_PLANAR as u32) != 0 || n_components == 1;
        // XYZ is marked as nothing at all.
        if flags & REFUSED != 0 || !is_planar || descriptor.name().starts_with("xyz") {
            return None;
        }
        let depth = u32::try_from(components[0].depth).ok()?;
        if !(8..=16).contains(&depth) {
            return None;
        }
        let sample_bytes = if depth > 8 { 2 } else { 1 };
        // The resizer takes wide samples as the processor has them.
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

    /// The rows of the brightness, or of the alpha.
    pub(crate) fn full_rows<'a>(&self, frame: &'a Video, component: Component) -> Option<Rows<'a>> {
        self.rows(frame, component, (0, 0))
    }

    /// The rows of a colour difference.
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
        // Rows that go upwards have a negative distance.
        let stride = usize::try_from(stride).ok()?;
        let row_bytes = size.0 * component.step * if self.is_wide { 2 } else { 1 };
        if data.is_null() || size.0 == 0 || size.1 == 0 || stride < row_bytes {
            return None;
        }
        // SAFETY: FFmpeg allocated `size.1` rows of at least `row_bytes`, `stride` apart, and keeps them while `frame` lives. The
        // last row is taken without what follows it, since a cropped frame may have less there.
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
    /// The samples of one row, interleaved ones of another component included.
    pub(crate) fn row(&self, y: usize) -> &'a [u8] {
        let start = y * self.stride;
        &self.bytes[start..start + self.row_bytes]
    }

    /// The same row of samples of two bytes.
    pub(crate) fn wide_row(&self, y: usize) -> &'a [[u8; 2]] {
        self.row(y).as_chunks::<2>().0
    }

    /// Of an interlaced frame the rows of one field, as a picture of half the height; `None`: all rows.
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

    /// The same rows for the resizer, as pixels that are exactly as large as the samples and aligned like them.
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

/// Rows of a frame as the resizer reads them.
#[derive(Debug)]
pub(crate) struct View<'a, P> {
    rows: Rows<'a>,
    pixels: PhantomData<P>,
}

// SAFETY: every row has as many pixels as `width` says, since `Rows::view` compared the bytes.
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
            // SAFETY: `Rows::view` checked that the row is aligned and as long as its pixels, and pixels of the resizer (integers
            // and floats) may have any bits.
            unsafe { std::slice::from_raw_parts(row.as_ptr().cast(), self.rows.size.0) }
        })
    }
}
