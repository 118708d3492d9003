//! Measures how much of a picture changed; sampling and the division of shots depend on it.
//!
//! A signature is a glimpse in 16 × 12 blocks. Two signatures are compared by the number of blocks that changed, not by their mean change:
//! somebody who enters a room changes a few blocks a lot and most not at all. A change of exposure shifts all blocks equally and counts as
//! none. Sensor noise and compression stay below [`LEVELS`].

use crate::media::pixels::glimpse::{CHROMA, Glimpse, LUMA};

const COLUMNS: usize = 16;
const ROWS: usize = 12;
/// How many blocks a signature has.
pub(crate) const BLOCKS: usize = COLUMNS * ROWS;

/// A block has changed if its mean luma changed by more than this, in levels of 8-bit colour. On real fixed cameras the empty room differs
/// from itself, minutes later, by at most 8 in its worst block; a person changes blocks by 50 to 200.
const LEVELS: u16 = 12;
/// Weight of a change of chroma compared with one of luma, as a fraction: its range in real pictures is smaller.
const COLOUR_WEIGHT: (u16, u16) = (3, 2);
/// Largest change of exposure that is compensated; a larger one is an event that a viewer sees.
const MAX_EXPOSURE: i16 = 24;

/// Brightest value that still counts as black.
const BLACK: u8 = 40;
/// A picture that differs from one flat colour by no more than this shows nothing.
const FLAT: u8 = 10;
/// How many values of a glimpse must not be black, and how many must not be flat, for a picture to show something: a title on black does.
const MIN_PIXELS: u32 = (LUMA.0 * LUMA.1 / 100) as u32;

/// A change with less strength than this counts as none. Two blocks that changed a lot, as for a small object, reach it, or four that
/// changed a little.
const SAME: u32 = 4;

/// The difference between two signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// How many of the [`BLOCKS`] changed.
    pub(crate) n_blocks: u32,
    /// The same, but blocks that changed a lot count up to three times.
    strength: u32,
}

impl Change {
    /// Returns whether both show the same for a viewer.
    pub(crate) fn is_none(self) -> bool {
        self.strength < SAME
    }
}

/// The mean colours of the blocks of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    luma: [u8; BLOCKS],
    blue: [u8; BLOCKS],
    red: [u8; BLOCKS],
}

impl Signature {
    pub(crate) fn of(glimpse: &Glimpse) -> Self {
        Self {
            luma: block_means::<{ LUMA.0 }, { LUMA.1 }>(&glimpse.luma),
            blue: block_means::<{ CHROMA.0 }, { CHROMA.1 }>(&glimpse.blue),
            red: block_means::<{ CHROMA.0 }, { CHROMA.1 }>(&glimpse.red),
        }
    }

    /// Returns the change between two signatures, whichever came first.
    pub(crate) fn change(&self, other: &Self) -> Change {
        let mut differences = [0_i16; BLOCKS];
        let mut largest = 0;
        for (difference, (a, b)) in differences.iter_mut().zip(self.luma.iter().zip(&other.luma)) {
            *difference = i16::from(*a) - i16::from(*b);
            largest = largest.max(difference.unsigned_abs());
        }
        // Such a small change stays below the limit, whatever the exposure.
        let exposure = if largest <= LEVELS / 2 { 0 } else { median(&differences) };
        let (mut n_blocks, mut strength) = (0_u16, 0_u16);
        for (at, difference) in differences.iter().enumerate() {
            let brighter = difference.abs_diff(exposure);
            let bluer = u16::from(self.blue[at].abs_diff(other.blue[at]));
            let redder = u16::from(self.red[at].abs_diff(other.red[at]));
            let difference = brighter.max(bluer.max(redder) * COLOUR_WEIGHT.0 / COLOUR_WEIGHT.1);
            n_blocks += u16::from(difference > LEVELS);
            strength += u16::from(difference > LEVELS) + u16::from(difference > 2 * LEVELS) + u16::from(difference > 3 * LEVELS);
        }
        Change {
            n_blocks: u32::from(n_blocks),
            strength: u32::from(strength),
        }
    }
}

/// Returns the median, limited to the exposure changes that are compensated.
fn median(differences: &[i16; BLOCKS]) -> i16 {
    let mut counts = [0_u16; 2 * MAX_EXPOSURE as usize + 1];
    for difference in differences {
        counts[(difference.clamp(&-MAX_EXPOSURE, &MAX_EXPOSURE) + MAX_EXPOSURE) as usize] += 1;
    }
    // Takes the midpoint of the two medians of an even number, so that the order of the signatures does not matter.
    let (mut n_before, mut lower) = (0, None);
    for (at, count) in counts.iter().enumerate() {
        n_before += count;
        let level = at as i16 - MAX_EXPOSURE;
        if usize::from(n_before) * 2 >= BLOCKS {
            let lower = *lower.get_or_insert(level);
            if usize::from(n_before) * 2 > BLOCKS {
                return i16::midpoint(lower, level);
            }
        }
    }
    0
}

fn block_means<const WIDTH: usize, const HEIGHT: usize>(plane: &[u8]) -> [u8; BLOCKS] {
    let (across, down) = (WIDTH / COLUMNS, HEIGHT / ROWS);
    let mut means = [0; BLOCKS];
    for (row, means) in means.chunks_exact_mut(COLUMNS).enumerate() {
        let mut sums = [0_u16; WIDTH];
        for line in plane[row * down * WIDTH..(row + 1) * down * WIDTH].chunks_exact(WIDTH) {
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum += u16::from(*value);
            }
        }
        for (mean, sums) in means.iter_mut().zip(sums.chunks_exact(across)) {
            *mean = (sums.iter().sum::<u16>() / (across * down) as u16) as u8;
        }
    }
    means
}

/// Returns whether a picture shows almost nothing: black, or one flat colour.
pub(crate) fn is_blank(glimpse: &Glimpse) -> bool {
    let n_bright: u32 = glimpse.luma.iter().map(|value| u32::from(*value > BLACK)).sum();
    if n_bright < MIN_PIXELS {
        return true;
    }
    let n_apart: u32 = [&glimpse.luma[..], &glimpse.blue, &glimpse.red]
        .iter()
        .map(|plane| {
            let sum: u32 = plane.iter().map(|value| u32::from(*value)).sum();
            let mean = (sum / plane.len() as u32) as u8;
            plane.iter().map(|value| u32::from(value.abs_diff(mean) > FLAT)).sum::<u32>()
        })
        .sum();
    n_apart < MIN_PIXELS
}

/// Measures the fine structure of a glimpse: a weak indication of sharpness, for frames whose own pixels cannot be read.
pub(crate) fn structure(glimpse: &Glimpse) -> u32 {
    let squares = |a: &[u8], b: &[u8]| -> u32 { a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum() };
    let (across, down) = (&glimpse.luma[1..], &glimpse.luma[LUMA.0..]);
    squares(&glimpse.luma, across) + squares(&glimpse.luma, down)
}

#[cfg(test)]
mod tests;
