//! The small picture of a frame for the detector and the sampler: every frame of a video is analysed only in this form.
//!
//! A glimpse is the whole stored picture squashed to one fixed size. It is neither turned nor stretched to its displayed aspect, since only
//! changes from frame to frame matter. Its size is a constant, so that later stages need no allocation.
//!
//! Every frame of a video passes through here, so planes are read directly, and only the part that gives the mean of a cell: four rows, in
//! blocks as long as a processor's register. Frames without such planes go through libswscale. Alpha is ignored.

mod grid;

use ffmpeg_next::frame::Video;
use scened_common::domain::Resample;
pub(crate) use scened_shots::{CHROMA, Glimpse, LUMA};

use super::colour::is_full_range;
use super::planes::Layout;
use super::scale::{Colours, ScaleError, Scaler, Wanted};
use grid::{Grid, Levels};

/// Makes glimpses of decoded frames.
pub(crate) struct Glimpser {
    luma: Grid,
    chroma: Grid,
    slow: SlowGlimpser,
}

impl Glimpser {
    pub(crate) fn new() -> Self {
        Self {
            luma: Grid::new(LUMA),
            chroma: Grid::new(CHROMA),
            slow: SlowGlimpser::new(),
        }
    }

    /// Shrinks one frame.
    pub(crate) fn shrink(&mut self, frame: &Video, into: &mut Glimpse) -> Result<(), ScaleError> {
        match self.shrink_planes(frame, into) {
            Some(()) => Ok(()),
            None => self.slow.shrink(frame, into),
        }
    }

    fn shrink_planes(&mut self, frame: &Video, into: &mut Glimpse) -> Option<()> {
        let layout = Layout::of(frame)?;
        let is_full = is_full_range(frame);
        let luma = layout.full_rows(frame, layout.luma)?;
        let chroma = match layout.chroma {
            Some([blue, red]) => Some([layout.chroma_rows(frame, blue)?, layout.chroma_rows(frame, red)?]),
            None => None,
        };
        self.luma.shrink(&luma, Levels::of_luma(&layout, is_full), &mut into.luma);
        if let Some([blue, red]) = chroma {
            let levels = Levels::of_chroma(&layout, is_full);
            self.chroma.shrink(&blue, levels, &mut into.blue);
            self.chroma.shrink(&red, levels, &mut into.red);
        } else {
            into.blue.fill(128);
            into.red.fill(128);
        }
        Some(())
    }
}

/// Makes glimpses of any frame that libswscale can convert.
struct SlowGlimpser {
    scaler: Scaler,
}

impl SlowGlimpser {
    fn new() -> Self {
        Self {
            scaler: Scaler::new(Wanted {
                size: (LUMA.0 as u32, LUMA.1 as u32),
                bgr: false,
                colours: Colours::Player,
                resample: Resample::Bilinear,
            }),
        }
    }

    fn shrink(&mut self, frame: &Video, into: &mut Glimpse) -> Result<(), ScaleError> {
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

#[cfg(test)]
mod tests;
