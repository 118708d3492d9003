//! Pictures on a terminal: decoded, scaled to cells, and encoded in the terminal's protocol.
//!
//! Owns the four ways of drawing. `screen` decides which of them a terminal supports; `grid` and the finder decide where pictures go.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, Resizer};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

pub(crate) mod blocks;
mod iterm2;
pub(crate) mod kitty;
mod sixel;

use super::screen::{Protocol, Screen};

/// Far above the size that the daemon keeps, far below one that could do harm.
const MAX_SIDE_PX: usize = 4096;

/// A decoded picture. **Shape**: `rgb` is `[height_px, width_px, 3]` u8 without padding, neither side 0.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) width_px: u32,
    pub(crate) height_px: u32,
    pub(crate) rgb: Vec<u8>,
    /// The JPEG that it was decoded from, for terminals that decode it themselves.
    jpeg: Vec<u8>,
}

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cells {
    pub(crate) columns: u16,
    pub(crate) rows: u16,
}

impl Picture {
    /// Decodes a JPEG; `None` if it is not one, or larger than any thumbnail.
    pub(crate) fn decode(jpeg: Vec<u8>) -> Option<Self> {
        let options = DecoderOptions::default()
            .set_max_width(MAX_SIDE_PX)
            .set_max_height(MAX_SIDE_PX)
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&jpeg), options);
        let rgb = decoder.decode().ok()?;
        let info = decoder.info()?;
        let (width_px, height_px) = (u32::from(info.width), u32::from(info.height));
        let is_whole = rgb.len() == width_px as usize * height_px as usize * 3 && !rgb.is_empty();
        is_whole.then_some(Self {
            width_px,
            height_px,
            rgb,
            jpeg,
        })
    }

    /// Returns the largest size in whole cells, at least one, that fits `room` and keeps the proportions as well as cells allow.
    pub(crate) fn fitted(&self, room: Cells, cell_px: (u16, u16)) -> Cells {
        let (cell_width, cell_height) = (f64::from(cell_px.0), f64::from(cell_px.1));
        let scale = (f64::from(room.columns) * cell_width / f64::from(self.width_px))
            .min(f64::from(room.rows) * cell_height / f64::from(self.height_px));
        let cells = |px: u32, cell: f64, most: u16| ((f64::from(px) * scale / cell).round() as u16).clamp(1, most.max(1));
        Cells {
            columns: cells(self.width_px, cell_width, room.columns),
            rows: cells(self.height_px, cell_height, room.rows),
        }
    }

    /// **Shape**: `[height_px, width_px, 3]`.
    pub(crate) fn scaled(&self, width_px: u32, height_px: u32) -> Vec<u8> {
        let source = ImageRef::new(self.width_px, self.height_px, &self.rgb, PixelType::U8x3).expect("a picture is as large as it says");
        let mut scaled = Image::new(width_px, height_px, PixelType::U8x3);
        Resizer::new()
            .resize(&source, &mut scaled, None)
            .expect("both have pixels of one type");
        scaled.into_vec()
    }

    /// Returns the bytes that draw it at the cursor over `cells`, for every protocol except half blocks, which are text. The cursor may be
    /// anywhere afterwards.
    pub(crate) fn drawn(&self, cells: Cells, screen: Screen, id: u32) -> Vec<u8> {
        let width_px = u32::from(cells.columns) * u32::from(screen.cell_px.0);
        let height_px = u32::from(cells.rows) * u32::from(screen.cell_px.1);
        match screen.protocol {
            Protocol::Kitty => kitty::drawn(&self.scaled(width_px, height_px), (width_px, height_px), cells, id),
            Protocol::Iterm2 => iterm2::drawn(&self.jpeg, cells),
            Protocol::Sixel => sixel::drawn(&self.scaled(width_px, height_px), width_px as usize, height_px as usize),
            Protocol::Blocks | Protocol::None => Vec::new(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A JPEG of 8 × 8 red pixels, made with FFmpeg.
    pub(crate) const RED_JPEG: &str = include_str!("picture/red.b64");

    pub(crate) fn red() -> Picture {
        use base64::Engine as _;
        let jpeg = base64::engine::general_purpose::STANDARD.decode(RED_JPEG.trim()).unwrap();
        Picture::decode(jpeg).unwrap()
    }

    #[test]
    fn a_thumbnail_is_decoded_and_anything_else_is_refused() {
        let red = red();
        assert_eq!((red.width_px, red.height_px, red.rgb.len()), (8, 8, 192));
        for pixel in red.rgb.chunks(3).chain(red.scaled(3, 5).chunks(3)) {
            assert!(pixel[0] > 240 && pixel[1] < 20 && pixel[2] < 20, "{pixel:?}");
        }
        assert!(Picture::decode(Vec::new()).is_none());
        assert!(Picture::decode(b"GIF89a".to_vec()).is_none());
        // Truncated at every length, and with every bit flipped: it never panics, and never returns pixels that are not there.
        for end in 0..red.jpeg.len() {
            drop(Picture::decode(red.jpeg[..end].to_vec()));
            for bit in 0..8 {
                let mut bad = red.jpeg.clone();
                bad[end] ^= 1 << bit;
                if let Some(picture) = Picture::decode(bad) {
                    assert_eq!(picture.rgb.len(), (picture.width_px * picture.height_px * 3) as usize);
                }
            }
        }
    }

    #[test]
    fn a_picture_fits_its_room_and_keeps_its_shape() {
        let check = |size: (u32, u32), room: (u16, u16), expected: (u16, u16)| {
            let picture = Picture {
                width_px: size.0,
                height_px: size.1,
                rgb: Vec::new(),
                jpeg: Vec::new(),
            };
            let (columns, rows) = room;
            let cells = picture.fitted(Cells { columns, rows }, (10, 20));
            assert_eq!((cells.columns, cells.rows), expected, "{size:?} in {room:?}");
        };
        check((320, 180), (24, 7), (24, 7));
        check((320, 180), (24, 20), (24, 7));
        check((180, 320), (24, 7), (8, 7));
        check((320, 10), (24, 7), (24, 1));
        check((1, 4000), (24, 7), (1, 7));
        check((320, 180), (1, 1), (1, 1));
        check((320, 180), (0, 0), (1, 1));
    }
}
