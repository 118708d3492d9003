//! How much of a picture is another picture: what sampling and the division of shots are decided by.
//!
//! A signature is a glimpse in 16 × 12 blocks. Two signatures are compared by the number of blocks that changed, not by their mean change:
//! somebody who enters a room changes a few blocks a lot and most not at all. A change of exposure moves all blocks alike and
//! counts as none; sensor noise and compression stay below [`LEVELS`].

use crate::media::pixels::glimpse::{CHROMA, Glimpse, LUMA};

const COLUMNS: usize = 16;
const ROWS: usize = 12;
/// How many blocks a signature has.
pub(crate) const BLOCKS: usize = COLUMNS * ROWS;

/// A block has changed when its mean brightness did by more than this, in steps of 8-bit colour. On real fixed cameras the empty
/// room differs from itself, minutes later, by at most 8 in its worst block; a person changes blocks by 50 to 200.
const LEVELS: u16 = 12;
/// What a change of colour counts against one of brightness, as a fraction: its range in real pictures is smaller.
const COLOUR_WEIGHT: (u16, u16) = (3, 2);
/// The largest change of exposure that is taken out; more is an event that a viewer sees.
const MAX_EXPOSURE: i16 = 24;

/// Brightest value that still counts as black.
const BLACK: u8 = 40;
/// A picture that differs from one flat colour by no more than this has nothing to see in it.
const FLAT: u8 = 10;
/// A picture needs this many pixels of a glimpse that are not black or flat: a title on black has them.
const MIN_PIXELS: u32 = (LUMA.0 * LUMA.1 / 100) as u32;

/// Less strength than this is the same picture. Two blocks that changed a lot, as a small object does, or four that changed little.
const SAME: u32 = 4;

/// How one signature differs from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// How many of the [`BLOCKS`] show something else.
    pub(crate) n_blocks: u32,
    /// The same, blocks that changed a lot counting up to three times.
    strength: u32,
}

impl Change {
    /// Whether both show the same, as far as a viewer cares.
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

    /// What has changed from one to the other, whichever came first.
    pub(crate) fn change(&self, other: &Self) -> Change {
        let mut differences = [0_i16; BLOCKS];
        let mut largest = 0;
        for (difference, (a, b)) in differences.iter_mut().zip(self.luma.iter().zip(&other.luma)) {
            *difference = i16::from(*a) - i16::from(*b);
            largest = largest.max(difference.unsigned_abs());
        }
        // So small a change stays under the limit whatever the exposure is found to be.
        let exposure = if largest <= LEVELS / 2 { 0 } else { median(&differences) };
        let (mut n_blocks, mut strength) = (0_u16, 0_u16);
        for (at, difference) in differences.iter().enumerate() {
            let brighter = difference.abs_diff(exposure);
            let bluer = u16::from(self.blue[at].abs_diff(other.blue[at]));
            let redder = u16::from(self.red[at].abs_diff(other.red[at]));
            // Colour differences have the smaller range in real pictures.
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

/// The median, as far as it lies within the exposure changes that are taken out.
fn median(differences: &[i16; BLOCKS]) -> i16 {
    let mut counts = [0_u16; 2 * MAX_EXPOSURE as usize + 1];
    for difference in differences {
        counts[(difference.clamp(&-MAX_EXPOSURE, &MAX_EXPOSURE) + MAX_EXPOSURE) as usize] += 1;
    }
    // The middle of both medians of an even number: the same whichever signature came first.
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

/// Whether a picture shows next to nothing: black, or one flat colour.
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

/// How much fine structure a glimpse has: a weak sign of sharpness, for frames whose own pixels cannot be read.
pub(crate) fn structure(glimpse: &Glimpse) -> u32 {
    let squares = |a: &[u8], b: &[u8]| -> u32 { a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum() };
    let (across, down) = (&glimpse.luma[1..], &glimpse.luma[LUMA.0..]);
    squares(&glimpse.luma, across) + squares(&glimpse.luma, down)
}

#[cfg(test)]
mod tests;
