//! Measures how two or three frames differ: the numbers that the network reads. All are roughly in [0, 1], and computing them takes a
//! microsecond.

use multiversion::multiversion;

use crate::sketch::{BLOCK, N_BLOCKS, SMALL, Sketch};

/// Mean change of a block's luma above which the block counts as changed. 8-bit steps.
const CHANGED: u32 = 10;
/// Correlation of a block below which its structure counts as different.
const BROKEN: f32 = 0.5;
/// Summed squares of a block that noise alone causes.
const NOISE: f32 = 64.0 * 6.0;
/// Farthest motion that is searched, in pixels of the small picture.
const REACH: usize = 4;
/// Distance up to which every position is tried.
const NEAR: usize = 2;
/// Side of a block in the motion search.
const SMALL_BLOCK: usize = 4;
const SMALL_BLOCKS: (usize, usize) = (SMALL.0 / SMALL_BLOCK, SMALL.1 / SMALL_BLOCK);
const N_SMALL_BLOCKS: usize = SMALL_BLOCKS.0 * SMALL_BLOCKS.1;
/// Mean change of luma up to which nothing can have moved, so the search is skipped. 8-bit steps.
const STILL: f32 = 1.0;

/// Changes that map to 1: steps of luma and of chroma.
pub const LUMA_STEPS: f32 = 64.0;
pub const CHROMA_STEPS: f32 = 24.0;

/// Number of values that [`compare`] writes.
pub const N_COMPARED: usize = 8;

/// Compares two frames. Writes the change of luma, of chroma and of structure; the shares of blocks that changed and that have another
/// structure; the change of the histograms of luma and of chroma; and the change of the most changed quarter.
#[multiversion(targets("x86_64+avx2"))]
pub fn compare(a: &Sketch, b: &Sketch, into: &mut [f32]) {
    let mut total = 0_u32;
    let mut n_changed = 0_u32;
    let (mut distance, mut weight, mut broken, mut textured) = (0.0_f32, 1e-3_f32, 0.0_f32, 1.0_f32);
    let mut changes = [0_u32; N_BLOCKS];
    for (at, block_change) in changes.iter_mut().enumerate() {
        let (x, y) = (&a.blocks[at], &b.blocks[at]);
        let change: u32 = x.iter().zip(y).map(|(x, y)| u32::from(x.abs_diff(*y))).sum();
        let dot: i32 = x
            .iter()
            .zip(y)
            .map(|(x, y)| i32::from(i16::from(*x)) * i32::from(i16::from(*y)))
            .sum();
        let covariance = dot as f32 - a.sums[at] as f32 * b.sums[at] as f32 / BLOCK as f32;
        let product = a.deviations[at] * b.deviations[at];
        let strongest = a.deviations[at].max(b.deviations[at]);
        // Without texture on either side the correlation means nothing, and hardly counts. With texture on one side only it says
        // "different".
        let correlation = (covariance + NOISE) / (product.max(strongest * strongest * 0.1) + NOISE);
        let importance = strongest / (strongest + 64.0);
        distance += importance * (1.0 - correlation).clamp(0.0, 2.0);
        weight += importance;
        let counts = f32::from(u8::from(strongest > 48.0));
        textured += counts;
        broken += counts * f32::from(u8::from(correlation < BROKEN));
        *block_change = change;
        total += change;
        n_changed += u32::from(change > CHANGED * BLOCK as u32);
    }
    // The blocks above the mean are close enough to the most changed quarter, and need no sorting.
    let mean = total / N_BLOCKS as u32;
    let (mut above, mut n_above) = (0_u32, 1_u32);
    for change in changes {
        let is_above = u32::from(change > mean);
        above += change * is_above;
        n_above += is_above;
    }
    let chroma: u32 = (0..2)
        .map(|plane| {
            let pairs = a.chroma[plane].iter().zip(&b.chroma[plane]);
            pairs.map(|(x, y)| u32::from(x.abs_diff(*y))).sum::<u32>()
        })
        .sum();
    let bins = |x: &[u16], y: &[u16]| x.iter().zip(y).map(|(x, y)| u32::from(x.abs_diff(*y))).sum::<u32>() as f32;
    let n_pixels = (N_BLOCKS * BLOCK) as f32;
    let n_chroma = (2 * a.chroma[0].len()) as f32;
    into[0] = soft(total as f32 / n_pixels / LUMA_STEPS);
    into[1] = soft(chroma as f32 / n_chroma / CHROMA_STEPS);
    into[2] = distance / weight;
    into[3] = n_changed as f32 / N_BLOCKS as f32;
    into[4] = broken / textured;
    into[5] = bins(&a.luma_bins, &b.luma_bins) / n_pixels / 2.0;
    into[6] = bins(&a.chroma_bins, &b.chroma_bins) / n_chroma;
    into[7] = soft(above as f32 / n_above as f32 / BLOCK as f32 / LUMA_STEPS);
}

/// Number of values that [`follow_motion`] writes.
pub const N_FOLLOWED: usize = 4;

/// Measures the change left if every block may have moved. Writes the mean rest, the share of blocks not found again, how far the blocks
/// moved on average, and how far they moved together.
#[multiversion(targets("x86_64+avx2"))]
pub fn follow_motion(a: &Sketch, b: &Sketch, luma_change: f32, into: &mut [f32]) {
    if luma_change <= soft(STILL / LUMA_STEPS) {
        into[..N_FOLLOWED].fill(0.0);
        return;
    }
    // The earlier frame, with its border repeated outwards.
    let mut padded = [[0_u8; SMALL.0 + 2 * REACH]; SMALL.1 + 2 * REACH];
    for (y, line) in padded.iter_mut().enumerate() {
        let source = y.saturating_sub(REACH).min(SMALL.1 - 1) * SMALL.0;
        let row = &a.small[source..source + SMALL.0];
        line[..REACH].fill(row[0]);
        line[REACH..REACH + SMALL.0].copy_from_slice(row);
        line[REACH + SMALL.0..].fill(row[SMALL.0 - 1]);
    }
    let mut best = [u16::MAX; N_SMALL_BLOCKS];
    let mut moved = [(0_i8, 0_i8); N_SMALL_BLOCKS];
    for dy in 0..=2 * REACH {
        for dx in 0..=2 * REACH {
            let (far_x, far_y) = (dx.abs_diff(REACH), dy.abs_diff(REACH));
            let away = far_x + far_y;
            // Near positions are all tried, farther ones only every other one in both directions.
            if far_x.max(far_y) > NEAR && (far_x % 2 == 1 || far_y % 2 == 1) {
                continue;
            }
            for block_row in 0..SMALL_BLOCKS.1 {
                let mut columns = [0_u16; SMALL.0];
                for row in 0..SMALL_BLOCK {
                    let y = block_row * SMALL_BLOCK + row;
                    let later = &b.small[y * SMALL.0..][..SMALL.0];
                    let earlier = &padded[y + dy][dx..dx + SMALL.0];
                    for ((column, x), y) in columns.iter_mut().zip(later).zip(earlier) {
                        *column += u16::from(x.abs_diff(*y));
                    }
                }
                for (block, four) in columns.as_chunks::<SMALL_BLOCK>().0.iter().enumerate() {
                    // A small cost for distance keeps flat blocks in place.
                    let rest = four[0] + four[1] + four[2] + four[3] + away as u16;
                    let at = block_row * SMALL_BLOCKS.0 + block;
                    if rest < best[at] {
                        best[at] = rest;
                        moved[at] = (dx as i8 - REACH as i8, dy as i8 - REACH as i8);
                    }
                }
            }
        }
    }
    let per_block = (SMALL_BLOCK * SMALL_BLOCK) as f32;
    let total: u32 = best.iter().map(|rest| u32::from(*rest)).sum();
    let lost = best.iter().filter(|rest| f32::from(**rest) > 20.0 * per_block).count();
    let (mut sum, mut length) = ((0.0_f32, 0.0_f32), 0.0_f32);
    for (dx, dy) in moved {
        let (dx, dy) = (f32::from(dx), f32::from(dy));
        sum = (sum.0 + dx, sum.1 + dy);
        length += (dx * dx + dy * dy).sqrt();
    }
    let coherent = (sum.0 * sum.0 + sum.1 * sum.1).sqrt();
    into[0] = soft(total as f32 / N_SMALL_BLOCKS as f32 / per_block / 48.0);
    into[1] = lost as f32 / N_SMALL_BLOCKS as f32;
    into[2] = length / N_SMALL_BLOCKS as f32 / REACH as f32;
    into[3] = coherent / N_SMALL_BLOCKS as f32 / REACH as f32;
}

/// Number of values that [`between`] writes.
pub const N_BETWEEN: usize = 4;

/// Measures whether a frame is a blend of two others, as in a dissolve. Writes how well the two halves of the change agree in direction
/// over the picture; the share of moving blocks whose halves agree; how far the middle frame is off; and the share of blocks that move in
/// both halves.
#[multiversion(targets("x86_64+avx2"))]
pub fn between(a: &Sketch, middle: &Sketch, b: &Sketch, into: &mut [f32]) {
    let (mut dots, mut firsts, mut seconds) = (0.0_f32, 1.0_f32, 1.0_f32);
    let (mut off, mut whole) = (0_u32, 0_u32);
    let (mut agreeing, mut moving) = (0.0_f32, 1.0_f32);
    for at in 0..N_BLOCKS {
        let (mut dot, mut first, mut second, mut bent, mut full) = (0_i32, 0_i32, 0_i32, 0_u32, 0_u32);
        for ((from, half), to) in a.blocks[at].iter().zip(&middle.blocks[at]).zip(&b.blocks[at]) {
            let (one, two) = (i16::from(*half) - i16::from(*from), i16::from(*to) - i16::from(*half));
            dot += i32::from(one) * i32::from(two);
            first += i32::from(one) * i32::from(one);
            second += i32::from(two) * i32::from(two);
            bent += u32::from((one - two).unsigned_abs());
            full += u32::from((one + two).unsigned_abs());
        }
        dots += dot as f32;
        firsts += first as f32;
        seconds += second as f32;
        off += bent;
        whole += full;
        let counts = f32::from(u8::from(first.min(second) > 64 * 4));
        moving += counts;
        agreeing += counts * f32::from(u8::from(dot as f32 > 0.5 * (first as f32 * second as f32).sqrt()));
    }
    into[0] = dots / (firsts * seconds).sqrt();
    into[1] = agreeing / moving;
    into[2] = (off as f32 / (whole as f32 + 2.0 * (N_BLOCKS * BLOCK) as f32)).min(2.0);
    into[3] = moving / N_BLOCKS as f32;
}

/// Spreads small values and limits large ones.
fn soft(value: f32) -> f32 {
    value.sqrt().min(2.0)
}
