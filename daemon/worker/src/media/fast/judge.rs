//! Says of one GOP, from its keyframe, the next one and the sizes of its packets, whether a shot may begin in it. Pure.
//!
//! Two kinds of evidence. A frame that nothing before it resembles costs as much as a keyframe, wherever it stands: a packet far above
//! its neighbours is a cut inside a GOP. And what changed slowly shows in the keyframes on both sides. Where an encoder puts
//! keyframes at cuts by itself, a keyframe before its time whose picture is new *is* the cut, if nothing else speaks against it.
//!
//! **Source**: thresholds and weights were fitted on the tuning half of the benchmark's corpus (`tests/bench`) and checked on nothing
//! else; they are for 8-bit colour of glimpses.

use super::super::glimpse::{CHROMA, Glimpse, LUMA};

/// What is to be done about a GOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// No shot begins in it, nor with the next keyframe.
    Quiet,
    /// A shot begins with the next keyframe, and none before.
    CutAtEnd,
    /// It must be looked at, frame by frame.
    Doubtful,
    /// Only its beginning must be looked at, up to so long after the keyframe; nothing speaks for a shot between there and the next
    /// keyframe, with which one begins or not. Microseconds.
    DoubtfulUntil { after_us: i64, cut_at_end: bool },
}

/// One packet that is no keyframe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    pub(super) bytes: usize,
    /// When it is shown, counted from the keyframe. Microseconds.
    pub(super) after_us: i64,
    /// Shown later than all before it: later pictures lean on it, and B-frames don't do that.
    pub(super) is_anchor: bool,
}

/// A keyframe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub(super) bytes: usize,
    pub(super) glimpse: &'a Glimpse,
}

/// What is known of a GOP before it is decoded.
pub(super) struct Evidence<'a> {
    pub(super) key: Key<'a>,
    /// `None` at the end of the film.
    pub(super) next: Option<Key<'a>>,
    /// In the order in which they are shown.
    pub(super) sizes: &'a [Size],
    /// The first packets after the next keyframe.
    pub(super) next_sizes: &'a [Size],
    pub(super) length_us: i64,
    pub(super) frame_us: i64,
    /// The next keyframe stands where it does because the picture changed there.
    pub(super) ended_by_content: bool,
}

/// Logarithm of the odds from which a packet may be a cut: even in the fit.
const SPIKE: f32 = 0.0;
/// The quietest stretch of packets against the usual one at which the picture is taken to have faded.
const DIP: f32 = 0.15;
/// Mean brightness below and above which a keyframe may stand in a fade.
const NEARLY_BLACK: f32 = 24.0;
const NEARLY_WHITE: f32 = 232.0;
/// Change from keyframe to keyframe at which a GOP of a clock is looked at: this much of both [`Change::cells`] and
/// [`Change::histogram`], for what only moves keeps its histogram, or so much of the first alone.
const CLOCK_CELLS: f32 = 12.0;
const CLOCK_HISTOGRAM: f32 = 0.3;
const OTHER_CELLS: f32 = 50.0;
/// Below this change a keyframe before its time is no cut.
const END_CELLS: f32 = 12.0;
const END_HISTOGRAM: f32 = 0.45;
/// Packets around a cut cost this part of a keyframe at most; where they cost more everything moves, and the keyframe may not be a cut.
const BUSY: f32 = 0.45;
/// Keyframes before their time that follow one another this closely are flashes as often as cuts, and cheap to look at. Microseconds.
const SHORT_US: i64 = 500_000;

/// What the detector must see after a possible cut to know whether it is one. Microseconds.
const LOOK_ON_US: i64 = 1_000_000;

/// Judges a GOP.
pub(super) fn judge(evidence: &Evidence<'_>) -> Decision {
    if dip(evidence) < DIP {
        return Decision::Doubtful;
    }
    let Some(spike) = last_spike(evidence) else {
        return judge_keys(evidence, evidence.key.bytes);
    };
    let after_us = spike.after_us + LOOK_ON_US;
    let at_end = if evidence.ended_by_content || evidence.next.is_none() {
        judge_keys(evidence, evidence.key.bytes.max(spike.bytes))
    } else {
        Decision::Doubtful
    };
    match at_end {
        Decision::Quiet | Decision::CutAtEnd if after_us < evidence.length_us => Decision::DoubtfulUntil {
            after_us,
            cut_at_end: at_end == Decision::CutAtEnd,
        },
        _ => Decision::Doubtful,
    }
}

/// Judges a GOP by the keyframes around it and what is near them. `key_bytes`: what a keyframe costs of what is seen last in it.
fn judge_keys(evidence: &Evidence<'_>, key_bytes: usize) -> Decision {
    let Some(next) = evidence.next else { return Decision::Quiet };
    let change = Change::between(evidence.key.glimpse, next.glimpse);
    if !evidence.ended_by_content {
        let differs = (change.cells > CLOCK_CELLS && change.histogram > CLOCK_HISTOGRAM) || change.cells > OTHER_CELLS;
        return if differs { Decision::Doubtful } else { Decision::Quiet };
    }
    if change.cells < END_CELLS {
        return if change.histogram > END_HISTOGRAM {
            Decision::Doubtful
        } else {
            Decision::Quiet
        };
    }
    let fading = [evidence.key, next].iter().any(|key| {
        let brightness = brightness(key.glimpse);
        !(NEARLY_BLACK..=NEARLY_WHITE).contains(&brightness)
    });
    if fading || evidence.length_us < SHORT_US || is_busy(evidence, key_bytes, next) {
        return Decision::Doubtful;
    }
    Decision::CutAtEnd
}

/// The last packet that may well be a cut.
fn last_spike(evidence: &Evidence<'_>) -> Option<Size> {
    let anchors: Vec<Size> = evidence.sizes.iter().copied().filter(|size| size.is_anchor).collect();
    let key = evidence.key.bytes as f32;
    let next_key = evidence.next.map_or(key, |next| next.bytes as f32);
    // Next to nothing: a still picture's packets differ by a factor of ten without meaning.
    let floor = key * 0.01 + 20.0;
    let log = |ratio: f32| ratio.clamp(0.02, 50.0).ln();
    let mut last = None;
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
        if odds > SPIKE {
            last = Some(*anchor);
        }
    }
    last
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

/// The quietest 0.4 s over the median ones: black frames cost next to nothing.
fn dip(evidence: &Evidence<'_>) -> f32 {
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

/// Whether the packets just before or after the next keyframe cost nearly as much as a keyframe.
fn is_busy(evidence: &Evidence<'_>, key_bytes: usize, next: Key<'_>) -> bool {
    let largest = |sizes: &mut dyn Iterator<Item = &Size>| sizes.filter(|size| size.is_anchor).take(3).map(|size| size.bytes).max();
    let tail = largest(&mut evidence.sizes.iter().rev()).unwrap_or(0) as f32;
    let head = largest(&mut evidence.next_sizes.iter()).unwrap_or(0) as f32;
    tail > BUSY * key_bytes.min(next.bytes) as f32 || head > BUSY * next.bytes as f32
}

/// How different two pictures are.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    /// Mean change of the colours of 8 × 6 cells, in steps of 8-bit colour.
    cells: f32,
    /// Part of the brightness histogram that is not common to both. 0 to 1.
    histogram: f32,
}

impl Change {
    fn between(a: &Glimpse, b: &Glimpse) -> Self {
        const BINS: usize = 32;
        let mut bins = [0_i32; BINS];
        for (a, b) in a.luma.iter().zip(&b.luma) {
            bins[usize::from(*a) * BINS / 256] += 1;
            bins[usize::from(*b) * BINS / 256] -= 1;
        }
        Self {
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

fn brightness(glimpse: &Glimpse) -> f32 {
    glimpse.luma.iter().map(|luma| u32::from(*luma)).sum::<u32>() as f32 / glimpse.luma.len() as f32
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
