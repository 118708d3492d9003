//! The small picture of a frame that the detector and the sampler look at: every frame of a film is seen only this way.

use ffmpeg_next::frame::Video;
use scened::domain::Resample;
pub(crate) use scened_shots::{CHROMA, Glimpse, LUMA};

use super::scale::{Colours, ScaleError, Scaler, Wanted};

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
