//! Judges from a GOP's keyframe, the next keyframe and the sizes of its packets whether a shot may begin in it. Pure.
//!
//! There are two kinds of evidence. A frame unlike all frames before it costs as much as a keyframe, wherever it is. So a packet far larger
//! than its neighbours is a cut inside a GOP. Slow changes show in the keyframes on both sides. If an encoder places keyframes at cuts, an
//! early keyframe with a new picture may be the cut. But flashes, fast pans and exposure jumps make such keyframes too. [`super::odds`]
//! weighs all this. The decision is the one that costs least, decoding included.

use super::odds;
use crate::media::pixels::glimpse::{CHROMA, Glimpse, LUMA};

/// What to do with a GOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// No shot begins in it, nor with the next keyframe.
    Quiet,
    /// A shot begins with the next keyframe, and none before.
    CutAtEnd,
    /// It must be examined frame by frame.
    Doubtful,
    /// Only its beginning must be examined, up to `after_us` after the keyframe. Nothing suggests a shot between there and the next
    /// keyframe. A shot may begin with that keyframe. Microseconds.
    DoubtfulUntil { after_us: i64, cut_at_end: bool },
}

/// A packet that is not a keyframe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size {
    pub(crate) bytes: usize,
    /// Presentation time, counted from the keyframe. Microseconds.
    pub(crate) after_us: i64,
    /// Shown later than all before it: later pictures reference it, and B-frames don't do that.
    pub(crate) is_anchor: bool,
}

/// A keyframe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) bytes: usize,
    pub(crate) glimpse: &'a Glimpse,
}

/// What is known about a GOP before it is decoded.
pub(crate) struct Evidence<'a> {
    pub(crate) key: Key<'a>,
    /// `None` at the end of the video.
    pub(crate) next: Option<Key<'a>>,
    /// In display order.
    pub(crate) sizes: &'a [Size],
    /// The first packets after the next keyframe.
    pub(crate) next_sizes: &'a [Size],
    /// The first packets after the next keyframe.
    pub(crate) after_next: Option<&'a Glimpse>,
    pub(crate) length_us: i64,
    pub(crate) next_length_us: Option<i64>,
    pub(crate) frame_us: i64,
    /// The next keyframe is where it is because the picture changed there.
    pub(crate) ended_by_content: bool,
    /// Keyframes come after a fixed number of packets, whatever the content.
    pub(crate) is_clock: bool,
}

/// Log-odds from which a packet may be a cut: even odds in the fit.
const SPIKE: f32 = 0.0;
/// Ratio of the quietest range of packets to the usual one at which the picture counts as faded.
const DIP: f32 = 0.15;
/// Cost of decoding a second of video, in wrong boundaries: the smaller, the more is decoded.
const LOSS_A_SECOND: f32 = 0.1;
/// Share of the chance of a shot inside a GOP that remains once the GOP was examined to just after its last unusual packet.
const REST: f32 = 0.25;
/// Assumed length of the next GOP if it is the video's last, whose length is unknown. Microseconds.
const USUAL_US: i64 = 5_000_000;

/// How much the detector must see after a possible cut to decide whether it is one. Microseconds.
const LOOK_ON_US: i64 = 1_000_000;

/// Judges a GOP.
pub(crate) fn judge(evidence: &Evidence<'_>) -> Decision {
    let (spikes, dip) = (spikes(evidence), dip(evidence));
    let last = spikes.iter().rfind(|(odds, _)| *odds > SPIKE).map(|(_, size)| size);
    if dip < DIP {
        return Decision::Doubtful;
    }
    let Some(features) = features(evidence, &spikes, dip) else {
        // Nothing follows to judge the end by. There is one such GOP in a video.
        return if last.is_some() { Decision::Doubtful } else { Decision::Quiet };
    };
    let odds = odds::of(&features);
    let cut_at_end = odds.at_end > 0.5;
    let mistaken_end = odds.at_end.min(1.0 - odds.at_end);
    let decoding = |us: i64| LOSS_A_SECOND * us as f32 / 1e6;
    let (mut loss, mut decision) = (
        odds.inside + mistaken_end,
        if cut_at_end { Decision::CutAtEnd } else { Decision::Quiet },
    );
    if let Some(after_us) = last.map(|size| size.after_us + LOOK_ON_US).filter(|us| *us < evidence.length_us) {
        let partial = decoding(after_us) + REST * odds.inside + mistaken_end;
        if partial < loss {
            (loss, decision) = (partial, Decision::DoubtfulUntil { after_us, cut_at_end });
        }
    }
    if decoding(evidence.length_us) < loss {
        Decision::Doubtful
    } else {
        decision
    }
}

/// Returns the numbers that the odds are computed from, or `None` for the last GOP.
pub(crate) fn features(evidence: &Evidence<'_>, spikes: &[(f32, Size)], dip: f32) -> Option<[f32; odds::N_FEATURES]> {
    let next = evidence.next?;
    let change = Change::between(evidence.key.glimpse, next.glimpse);
    let skipped = evidence
        .after_next
        .map_or(change, |after| Change::between(evidence.key.glimpse, after));
    let next_bytes = next.bytes.max(1) as f32;
    let log = |value: f32| value.max(1e-3).ln();
    let against_key = |bytes: f32| log(bytes / next_bytes + 0.01);
    let anchors = |sizes: &[Size]| -> Vec<usize> { sizes.iter().filter(|size| size.is_anchor).map(|size| size.bytes).collect() };
    let (tail, head) = (anchors(evidence.sizes), anchors(evidence.next_sizes));
    let largest = |bytes: &[usize]| bytes.iter().max().copied().unwrap_or(0) as f32;
    let mean = evidence.sizes.iter().map(|size| size.bytes).sum::<usize>() as f32 / evidence.sizes.len().max(1) as f32;
    let spike = spikes.iter().map(|(odds, _)| *odds).reduce(f32::max).unwrap_or(-9.0);
    let after = brightness(next.glimpse);
    let flag = |is: bool| f32::from(u8::from(is));
    Some([
        change.cells / 20.0,
        change.histogram,
        change.likeness,
        change.structure,
        skipped.cells / 20.0,
        skipped.structure,
        against_key(largest(&tail[tail.len().saturating_sub(3)..])),
        against_key(largest(&head[..head.len().min(3)])),
        against_key(tail.last().copied().unwrap_or(0) as f32),
        against_key(head.first().copied().unwrap_or(0) as f32),
        against_key(mean),
        log(next_bytes / evidence.key.bytes.max(1) as f32),
        log(evidence.length_us as f32 / 1e6 + 0.03),
        log(evidence.next_length_us.unwrap_or(USUAL_US) as f32 / 1e6 + 0.03),
        flag(evidence.ended_by_content),
        flag(evidence.is_clock),
        spike.min(4.0) / 4.0,
        dip.min(1.0),
        after.min(40.0) / 40.0,
        (after - 200.0).max(0.0) / 40.0,
    ])
}

/// Returns the packets that later pictures reference, each with the log-odds that it is a cut.
pub(crate) fn spikes(evidence: &Evidence<'_>) -> Vec<(f32, Size)> {
    let anchors: Vec<Size> = evidence.sizes.iter().copied().filter(|size| size.is_anchor).collect();
    let key = evidence.key.bytes as f32;
    let next_key = evidence.next.map_or(key, |next| next.bytes as f32);
    // A negligible size: in a still picture, packets may differ tenfold without meaning.
    let floor = key * 0.01 + 20.0;
    let log = |ratio: f32| ratio.clamp(0.02, 50.0).ln();
    let mut spikes = Vec::with_capacity(anchors.len());
    for (index, anchor) in anchors.iter().enumerate() {
        let mut before = Neighbours::of(&anchors[index.saturating_sub(5)..index]);
        if index == 0 {
            before = Neighbours::level(key * 0.3);
        }
        let after = &anchors[index + 1..];
        let after = match after.get(..after.len().min(5)) {
            Some(after) if !after.is_empty() => Neighbours::of(after),
            _ => before,
        };
        let bytes = anchor.bytes as f32;
        let before_us = index.checked_sub(1).map_or(0, |before| anchors[before].after_us);
        // Encoders end a run of B-frames just before a cut, so that two anchors follow each other.
        let adjacent = 2 * (anchor.after_us - before_us) < 3 * evidence.frame_us;
        let odds = 0.632 * log(bytes / (before.median + floor))
            + 0.186 * log(bytes / (after.median + floor))
            + 1.07 * log(bytes / (before.largest + floor))
            + 1.342 * log(bytes / (after.largest + floor))
            - 0.292 * log(bytes / key.max(1.0))
            + 0.849 * log(bytes / next_key.max(1.0))
            + if adjacent { 0.893 } else { 0.0 }
            - 2.387;
        spikes.push((odds, *anchor));
    }
    spikes
}

#[derive(Clone, Copy)]
struct Neighbours {
    median: f32,
    largest: f32,
}

impl Neighbours {
    fn of(sizes: &[Size]) -> Self {
        let mut bytes: Vec<usize> = sizes.iter().map(|size| size.bytes).collect();
        bytes.sort_unstable();
        let middle = bytes.len() / 2;
        let median = match bytes.len() {
            0 => 0.0,
            n if n % 2 == 0 => (bytes[middle - 1] + bytes[middle]) as f32 / 2.0,
            _ => bytes[middle] as f32,
        };
        Self {
            median,
            largest: bytes.last().copied().unwrap_or(0) as f32,
        }
    }

    fn level(bytes: f32) -> Self {
        Self {
            median: bytes,
            largest: bytes,
        }
    }
}

/// Returns the ratio of the quietest 0.4 s to the median 0.4 s: black frames cost next to nothing.
pub(crate) fn dip(evidence: &Evidence<'_>) -> f32 {
    let n = (400_000 / evidence.frame_us.max(1)).max(3) as usize;
    let mut means: Vec<f32> = evidence
        .sizes
        .windows(n)
        .map(|window| window.iter().map(|size| size.bytes).sum::<usize>() as f32 / n as f32)
        .collect();
    means.sort_unstable_by(f32::total_cmp);
    match (means.first(), means.get(means.len() / 2)) {
        (Some(least), Some(median)) => least / median.max(1.0),
        _ => 1.0,
    }
}

/// The difference between two pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    /// Mean change of the colours of 8 × 6 cells, in steps of 8-bit colour.
    cells: f32,
    /// Share of the brightness histogram that the two do not have in common. 0 to 1.
    histogram: f32,
    /// Correlation of the brightness of both. -1 to 1.
    likeness: f32,
    /// Mean over blocks with texture of one minus the correlation of both. 0 to 2.
    structure: f32,
}

impl Change {
    fn between(a: &Glimpse, b: &Glimpse) -> Self {
        const BINS: usize = 32;
        let mut bins = [0_i32; BINS];
        for (a, b) in a.luma.iter().zip(&b.luma) {
            bins[usize::from(*a) * BINS / 256] += 1;
            bins[usize::from(*b) * BINS / 256] -= 1;
        }
        let (small_a, small_b) = (small(a), small(b));
        let (together, alone_a, alone_b) = covariances(small_a.as_flattened(), small_b.as_flattened());
        Self {
            likeness: together / ((alone_a * alone_b).sqrt() + 200.0),
            structure: structure(&small_a, &small_b),
            cells: cells(&a.luma, &b.luma, LUMA) + cells(&a.blue, &b.blue, CHROMA) + cells(&a.red, &b.red, CHROMA),
            histogram: bins.iter().map(|bin| bin.abs()).sum::<i32>() as f32 / (2 * a.luma.len()) as f32,
        }
    }
}

fn cells(a: &[u8], b: &[u8], (width, height): (usize, usize)) -> f32 {
    const CELLS: (usize, usize) = (8, 6);
    let mut sums = [[0_i32; CELLS.0]; CELLS.1];
    for (y, (a, b)) in a.chunks_exact(width).zip(b.chunks_exact(width)).enumerate() {
        for (x, (a, b)) in a.iter().zip(b).enumerate() {
            sums[y * CELLS.1 / height][x * CELLS.0 / width] += i32::from(*a) - i32::from(*b);
        }
    }
    let total: i32 = sums.iter().flatten().map(|sum| sum.abs()).sum();
    total as f32 / (width * height) as f32
}

/// Width and height of the picture used for likeness and structure, and the side of one of its blocks.
const SMALL: (usize, usize) = (LUMA.0 / 2, LUMA.1 / 2);
const BLOCK: usize = 4;

/// Returns the brightness at half size.
fn small(glimpse: &Glimpse) -> [[f32; SMALL.0]; SMALL.1] {
    let mut small = [[0.0; SMALL.0]; SMALL.1];
    for (y, row) in glimpse.luma.chunks_exact(LUMA.0).enumerate() {
        for (x, luma) in row.iter().enumerate() {
            small[y / 2][x / 2] += f32::from(*luma) / 4.0;
        }
    }
    small
}

/// Returns the sums of products of the deviations of two lists from their means: of both, of the first with itself, of the second.
fn covariances(a: &[f32], b: &[f32]) -> (f32, f32, f32) {
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    let (mean_a, mean_b) = (mean(a), mean(b));
    a.iter().zip(b).fold((0.0, 0.0, 0.0), |(together, alone_a, alone_b), (a, b)| {
        let (a, b) = (a - mean_a, b - mean_b);
        (together + a * b, alone_a + a * a, alone_b + b * b)
    })
}

fn structure(a: &[[f32; SMALL.0]; SMALL.1], b: &[[f32; SMALL.0]; SMALL.1]) -> f32 {
    let block = |of: &[[f32; SMALL.0]; SMALL.1], x: usize, y: usize| -> [f32; BLOCK * BLOCK] {
        std::array::from_fn(|at| of[y * BLOCK + at / BLOCK][x * BLOCK + at % BLOCK])
    };
    let (mut sum, mut weights) = (0.0, 0.01);
    for y in 0..SMALL.1 / BLOCK {
        for x in 0..SMALL.0 / BLOCK {
            let (together, alone_a, alone_b) = covariances(&block(a, x, y), &block(b, x, y));
            let (texture_a, texture_b) = (alone_a.sqrt(), alone_b.sqrt());
            let strongest = texture_a.max(texture_b);
            // With texture on one side only, the correlation says "different"; with none at all, nothing.
            let correlation = (together + 64.0) / ((texture_a * texture_b).max(0.1 * strongest * strongest) + 64.0);
            let weight = strongest / (strongest + 30.0);
            sum += weight * (1.0 - correlation);
            weights += weight;
        }
    }
    sum / weights
}

fn brightness(glimpse: &Glimpse) -> f32 {
    glimpse.luma.iter().map(|luma| u32::from(*luma)).sum::<u32>() as f32 / glimpse.luma.len() as f32
}

#[cfg(test)]
mod tests;
