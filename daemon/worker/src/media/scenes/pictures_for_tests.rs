//! Draws glimpses for tests: views with structure, things in them, noise, light.

use super::candidates::Source;
use crate::media::pixels::glimpse::{Glimpse, LUMA};

pub(crate) const SECOND: i64 = 1_000_000;

fn hash(value: u64) -> u64 {
    let mixed = (value ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 29)
}

/// Draws the view of a camera along an endless wall of painted fields. `position` is in glimpse columns.
pub(crate) fn wall(position: usize) -> Glimpse {
    let mut glimpse = Glimpse::default();
    for y in 0..LUMA.1 {
        for x in 0..LUMA.0 {
            let field = ((x + position) / 6 * 100 + y / 6) as u64;
            glimpse.luma[y * LUMA.0 + x] = 40 + (hash(field) % 150) as u8;
        }
    }
    glimpse
}

/// Draws a view that has nothing in common with the others.
pub(crate) fn view(number: usize) -> Glimpse {
    wall(number * 10_000)
}

pub(crate) fn flat(level: u8) -> Glimpse {
    Glimpse {
        luma: [level; LUMA.0 * LUMA.1],
        ..Glimpse::default()
    }
}

/// Paints a thing that covers some columns and rows.
pub(crate) fn with_thing(mut glimpse: Glimpse, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) -> Glimpse {
    for y in rows {
        for x in columns.clone() {
            let value = &mut glimpse.luma[y * LUMA.0 + x];
            *value = if *value < 110 { 220 } else { 20 };
        }
    }
    glimpse
}

/// Changes the exposure: every pixel becomes brighter or darker.
pub(crate) fn lit(mut glimpse: Glimpse, levels: i16) -> Glimpse {
    for value in &mut glimpse.luma {
        *value = (i16::from(*value) + levels).clamp(0, 255) as u8;
    }
    glimpse
}

/// Adds sensor noise of up to this many levels either way, half as much in colour.
pub(crate) fn noisy(mut glimpse: Glimpse, seed: i64, levels: u64) -> Glimpse {
    let mut at = seed as u64 * 1_000_003;
    let mut add = |plane: &mut [u8], levels: u64| {
        for value in plane {
            at += 1;
            *value = (i16::from(*value) + (hash(at) % (2 * levels + 1)) as i16 - levels as i16).clamp(0, 255) as u8;
        }
    };
    add(&mut glimpse.luma, levels);
    add(&mut glimpse.blue, levels / 2);
    add(&mut glimpse.red, levels / 2);
    glimpse
}

/// A frame with only its number as its picture.
pub(crate) struct Numbered {
    pub(crate) number: i64,
    pub(crate) sharpness: u32,
}

impl Source for Numbered {
    type Picture = i64;

    fn sharpness(&mut self) -> u32 {
        self.sharpness
    }

    fn picture(&mut self) -> Option<i64> {
        Some(self.number)
    }
}
