//! What the detector remembers of a frame: its glimpse in blocks, with the sums that every comparison needs.

use crate::{CHROMA, Glimpse, LUMA};

/// Number of blocks in a glimpse: 8 columns by 6 rows of 8 × 8 pixels.
pub const N_BLOCKS: usize = 48;
/// Number of pixels in a block.
pub const BLOCK: usize = 64;
const BLOCK_PX: usize = 8;
const BLOCK_COLUMNS: usize = LUMA.0 / BLOCK_PX;
/// Columns and rows of the picture for the motion search.
pub const SMALL: (usize, usize) = (32, 24);
const LUMA_BINS: usize = 32;
const CHROMA_BINS: usize = 64;
/// Luma below 24 is black, and from 232 on white, however the video was encoded.
const BLACK_BINS: usize = 3;
const WHITE_BINS: usize = 29;
/// Contrast of the picture for the motion search after it is adjusted, in steps of luma.
const SMALL_DEVIATION: f32 = 48.0;

/// One frame as the detector remembers it.
#[derive(Clone, Debug)]
pub struct Sketch {
    /// Luma, one block after another.
    pub blocks: [[u8; BLOCK]; N_BLOCKS],
    pub chroma: [[u8; CHROMA.0 * CHROMA.1]; 2],
    /// Each block's sum, and the root of its summed squares about its mean.
    pub sums: [u32; N_BLOCKS],
    pub deviations: [f32; N_BLOCKS],
    /// The picture at half size with normalised mean and contrast, so that a change of exposure does not alter it.
    pub small: [u8; SMALL.0 * SMALL.1],
    pub luma_bins: [u16; LUMA_BINS],
    pub chroma_bins: [u16; CHROMA_BINS],
    /// Values of the whole picture: mean, standard deviation, mean step between neighbours, shares that are black and white. All but the
    /// mean step are in [0, 1].
    pub mean: f32,
    pub deviation: f32,
    pub detail: f32,
    pub black: f32,
    pub white: f32,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            blocks: [[0; BLOCK]; N_BLOCKS],
            chroma: [[128; CHROMA.0 * CHROMA.1]; 2],
            sums: [0; N_BLOCKS],
            deviations: [0.0; N_BLOCKS],
            small: [128; SMALL.0 * SMALL.1],
            luma_bins: [0; LUMA_BINS],
            chroma_bins: [0; CHROMA_BINS],
            mean: 0.0,
            deviation: 0.0,
            detail: 0.0,
            black: 1.0,
            white: 0.0,
        }
    }
}

impl Sketch {
    /// Replaces this sketch by that of another frame.
    pub fn redraw(&mut self, glimpse: &Glimpse) {
        let mut total = 0_u32;
        let mut total_squares = 0_u32;
        for (at, block) in self.blocks.iter_mut().enumerate() {
            let corner = at / BLOCK_COLUMNS * BLOCK_PX * LUMA.0 + at % BLOCK_COLUMNS * BLOCK_PX;
            for (row, line) in block.as_chunks_mut::<BLOCK_PX>().0.iter_mut().enumerate() {
                let from = corner + row * LUMA.0;
                line.copy_from_slice(&glimpse.luma[from..from + BLOCK_PX]);
            }
            let sum: u32 = block.iter().map(|value| u32::from(*value)).sum();
            // These are products of 16-bit numbers, the only ones that every x86-64 multiplies eight at a time.
            let squares: i32 = block
                .iter()
                .map(|value| i32::from(i16::from(*value)) * i32::from(i16::from(*value)))
                .sum();
            self.sums[at] = sum;
            self.deviations[at] = (squares as f32 - sum as f32 * sum as f32 / BLOCK as f32).max(0.0).sqrt();
            total += sum;
            total_squares += squares as u32;
        }
        let n_pixels = glimpse.luma.len() as f32;
        let mean = total as f32 / n_pixels;
        let deviation = (total_squares as f32 / n_pixels - mean * mean).max(0.0).sqrt();
        self.mean = mean / 255.0;
        self.deviation = deviation / 128.0;
        self.chroma[0] = glimpse.blue;
        self.chroma[1] = glimpse.red;
        self.count(glimpse);
        self.shrink(glimpse, mean, deviation);
    }

    fn count(&mut self, glimpse: &Glimpse) {
        let n_pixels = glimpse.luma.len() as f32;
        // Two histograms are counted side by side, because the processor waits if neighbours fall into the same bin.
        let mut bins = [[0_u16; LUMA_BINS]; 2];
        for [a, b] in glimpse.luma.as_chunks::<2>().0 {
            bins[0][usize::from(*a >> 3)] += 1;
            bins[1][usize::from(*b >> 3)] += 1;
        }
        for (bin, (a, b)) in self.luma_bins.iter_mut().zip(bins[0].iter().zip(bins[1])) {
            *bin = a + b;
        }
        self.chroma_bins = [0; CHROMA_BINS];
        for (blue, red) in glimpse.blue.iter().zip(&glimpse.red) {
            // Most colours are near grey, so the middle half of the range gets all the bins.
            let bin = |value: u8| usize::from(value.saturating_sub(64).min(127) >> 4);
            self.chroma_bins[bin(*blue) * 8 + bin(*red)] += 1;
        }
        let part = |bins: &[u16]| f32::from(bins.iter().sum::<u16>()) / n_pixels;
        self.black = part(&self.luma_bins[..BLACK_BINS]);
        self.white = part(&self.luma_bins[WHITE_BINS..]);
        let mut steps = 0_u32;
        for row in glimpse.luma.as_chunks::<{ LUMA.0 }>().0 {
            steps += row[1..].iter().zip(row).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
        }
        let below = &glimpse.luma[LUMA.0..];
        steps += below.iter().zip(&glimpse.luma).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
        self.detail = steps as f32 / n_pixels / 64.0;
    }

    fn shrink(&mut self, glimpse: &Glimpse, mean: f32, deviation: f32) {
        // This does not amplify the noise of a nearly uniform picture.
        let gain = SMALL_DEVIATION / deviation.max(12.0);
        // 16-bit fixed point: sums of four pixels with four fractional bits, times the gain with ten.
        let factor = (gain * 1024.0) as i16;
        let middle = (mean * 4.0) as i16;
        let mut sums = [0_i16; SMALL.0];
        for (y, line) in self.small.as_chunks_mut::<{ SMALL.0 }>().0.iter_mut().enumerate() {
            let upper = &glimpse.luma[2 * y * LUMA.0..][..LUMA.0];
            let lower = &glimpse.luma[(2 * y + 1) * LUMA.0..][..LUMA.0];
            let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            for (sum, (above, below)) in sums.iter_mut().zip(pairs) {
                *sum = i16::from(above[0]) + i16::from(above[1]) + i16::from(below[0]) + i16::from(below[1]);
            }
            for (value, sum) in line.iter_mut().zip(&sums) {
                let shown = ((i32::from((sum - middle) << 4) * i32::from(factor)) >> 16) as i16;
                *value = (shown + 128).clamp(0, 255) as u8;
            }
        }
    }
}
