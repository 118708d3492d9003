//! The picture of a scene in the form that shells accept: raw pixels, small.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, Resizer};
use scened_shared::endpoint::Endpoint;
use scened_shared::message::ThumbnailRequest;
use scened_shared::method;
use zbus::Variant;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::daemon::Daemon;

/// Longest side of the picture for a shell: twice what GNOME and KDE show, for dense displays. Pixels.
const SIDE_PX: u32 = 128;
/// Longest side of a JPEG that is decoded; the daemon's pictures have 320. Pixels.
const MAX_SIDE_PX: usize = 2_048;
/// Pictures kept: a refined search finds the same scenes again and again.
const N_KEPT: usize = 64;

/// RGB, 8 bits each, row after row without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    width_px: u32,
    height_px: u32,
    pixels: Vec<u8>,
}

impl Picture {
    /// Decodes a JPEG and scales it down. Returns `None` if it is damaged or too large.
    fn from_jpeg(jpeg: &[u8]) -> Option<Self> {
        let options = DecoderOptions::default()
            .jpeg_set_out_colorspace(ColorSpace::RGB)
            .set_max_width(MAX_SIDE_PX)
            .set_max_height(MAX_SIDE_PX);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
        let pixels = decoder.decode().ok()?;
        let info = decoder.info()?;
        let (width_px, height_px) = (u32::from(info.width), u32::from(info.height));
        let whole = ImageRef::new(width_px, height_px, &pixels, PixelType::U8x3).ok()?;
        let longest = width_px.max(height_px);
        let fit = |side: u32| (side * SIDE_PX.min(longest) / longest).max(1);
        let mut small = Image::new(fit(width_px), fit(height_px), PixelType::U8x3);
        Resizer::new().resize(&whole, &mut small, None).ok()?;
        Some(Self {
            width_px: small.width(),
            height_px: small.height(),
            pixels: small.into_vec(),
        })
    }

    /// `(iiibiiay)`: width, height, bytes per row, has alpha, bits per sample, channels, pixels.
    pub(crate) fn to_variant(&self) -> Variant<'static> {
        let (width, height) = (self.width_px as i32, self.height_px as i32);
        Variant::new((width, height, width * 3, false, 8_i32, 3_i32, self.pixels.clone()))
    }
}

/// Fetches pictures from the daemon on its own connection: they must not wait behind a question that wakes the model.
#[derive(Clone)]
pub(crate) struct Pictures {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    daemon: Daemon,
    kept: VecDeque<(String, Arc<Picture>)>,
}

impl Pictures {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                daemon: Daemon::new(endpoint),
                kept: VecDeque::new(),
            })),
        }
    }

    /// Returns the picture of each scene that has one. Blocks.
    pub(crate) fn of(&self, scenes: &[String]) -> Vec<Option<Arc<Picture>>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        scenes.iter().map(|scene| shared.of(scene)).collect()
    }
}

impl Shared {
    fn of(&mut self, scene: &str) -> Option<Arc<Picture>> {
        if let Some((_, picture)) = self.kept.iter().find(|(of, _)| of == scene) {
            return Some(Arc::clone(picture));
        }
        let request = ThumbnailRequest { scene: scene.to_owned() };
        // A scene without a picture is shown without one; if the daemon is off, the search has already logged that.
        let answer = self.daemon.call::<method::Thumbnail>(&request).ok()?;
        let jpeg = STANDARD.decode(answer.jpeg).ok()?;
        let picture = Arc::new(Picture::from_jpeg(&jpeg)?);
        self.kept.truncate(N_KEPT - 1);
        self.kept.push_front((scene.to_owned(), Arc::clone(&picture)));
        Some(picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns 320 × 180 pixels, all red.
    fn jpeg() -> Vec<u8> {
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/red-320x180.jpg")).unwrap()
    }

    #[test]
    fn a_picture_becomes_small_and_keeps_shape_and_colour() {
        let picture = Picture::from_jpeg(&jpeg()).unwrap();
        assert_eq!((picture.width_px, picture.height_px), (128, 72));
        assert_eq!(picture.pixels.len(), 128 * 72 * 3);
        let middle = &picture.pixels[(36 * 128 + 64) * 3..][..3];
        assert!(middle[0] > 200 && middle[1] < 60 && middle[2] < 60, "{middle:?}");
        assert_eq!(picture.to_variant().value_signature().to_string(), "(iiibiiay)");
    }

    #[test]
    fn what_is_no_picture_gives_none() {
        let whole = jpeg();
        assert_eq!(Picture::from_jpeg(b""), None);
        assert_eq!(Picture::from_jpeg(b"GIF89a"), None);
        assert_eq!(Picture::from_jpeg(&whole[..40]), None);
        // A header that claims 65,535 × 65,535 pixels.
        let mut huge = whole;
        let size = huge.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap() + 5;
        huge[size..size + 4].fill(0xff);
        assert_eq!(Picture::from_jpeg(&huge), None);
    }
}
