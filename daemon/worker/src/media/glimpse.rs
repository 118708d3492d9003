//! The small picture of a frame that the detector and the sampler look at: every frame of a film is seen only this way.
//!
//! A glimpse is the whole stored picture squashed to one fixed size: neither turned nor stretched to its shown aspect, since only
//! changes from frame to frame matter. Its size is a constant so that everything behind it needs no allocation.

use ffmpeg_next::frame::Video;
use scened::domain::Resample;

use super::scale::{Colours, ScaleError, Scaler, Wanted};

/// Columns and rows of the brightness of a glimpse.
pub(crate) const LUMA: (usize, usize) = (64, 48);
/// Columns and rows of each colour difference of a glimpse.
pub(crate) const CHROMA: (usize, usize) = (32, 24);

/// A frame in small. Full range: black is 0, white 255, no colour 128.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glimpse {
    /// **Shape**: `[48, 64]`.
    pub(crate) luma: [u8; LUMA.0 * LUMA.1],
    /// Cb. **Shape**: `[24, 32]`.
    pub(crate) blue: [u8; CHROMA.0 * CHROMA.1],
    /// Cr. **Shape**: `[24, 32]`.
    pub(crate) red: [u8; CHROMA.0 * CHROMA.1],
}

impl Default for Glimpse {
    fn default() -> Self {
        Self {
            luma: [0; LUMA.0 * LUMA.1],
            blue: [128; CHROMA.0 * CHROMA.1],
            red: [128; CHROMA.0 * CHROMA.1],
        }
    }
}

/// Makes glimpses of decoded frames.
pub(crate) struct Glimpser {
    scaler: Scaler,
}

impl Glimpser {
    pub(crate) fn new() -> Self {
        Self {
            scaler: Scaler::new(Wanted {
                size: (LUMA.0 as u32, LUMA.1 as u32),
                bgr: false,
                colours: Colours::Shown,
                resample: Resample::Bilinear,
            }),
        }
    }

    /// Looks at one frame.
    pub(crate) fn look(&mut self, frame: &Video, into: &mut Glimpse) -> Result<(), ScaleError> {
        let (rows, stride) = self.scaler.scale(frame)?;
        let pixel = |x: usize, y: usize| {
            let at = y * stride + x * 3;
            [i32::from(rows[at]), i32::from(rows[at + 1]), i32::from(rows[at + 2])]
        };
        for y in 0..LUMA.1 {
            for x in 0..LUMA.0 {
                let [r, g, b] = pixel(x, y);
                into.luma[y * LUMA.0 + x] = ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8;
            }
        }
        for y in 0..CHROMA.1 {
            for x in 0..CHROMA.0 {
                let mut sum = [0; 3];
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    for (total, value) in sum.iter_mut().zip(pixel(2 * x + dx, 2 * y + dy)) {
                        *total += value;
                    }
                }
                let [r, g, b] = sum;
                let at = y * CHROMA.0 + x;
                into.blue[at] = (128 + (-169 * r - 331 * g + 500 * b) / 4000).clamp(0, 255) as u8;
                into.red[at] = (128 + (500 * r - 419 * g - 81 * b) / 4000).clamp(0, 255) as u8;
            }
        }
        Ok(())
    }
}
