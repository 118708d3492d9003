//! Small JPEGs of scenes.

use jpeg_encoder::{ColorType, Encoder};

const QUALITY: u8 = 82;

/// A picture at thumbnail size. **Shape**: `rgb` is `[height, width, 3]` u8 without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Small {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) rgb: Vec<u8>,
}

impl Small {
    /// Encodes the picture as JPEG; `None` if that fails, which costs only a thumbnail.
    pub(crate) fn to_jpeg(&self) -> Option<Vec<u8>> {
        let (width, height) = (u16::try_from(self.width).ok()?, u16::try_from(self.height).ok()?);
        let mut jpeg = Vec::new();
        Encoder::new(&mut jpeg, QUALITY)
            .encode(&self.rgb, width, height, ColorType::Rgb)
            .ok()?;
        Some(jpeg)
    }
}
