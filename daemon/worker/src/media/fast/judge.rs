//! Says of one GOP, from its keyframe, the next one and the sizes of its packets, whether a shot may begin in it. Pure.

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
}

/// Columns and rows of the cells whose mean colours are compared.
const CELLS: (usize, usize) = (8, 6);

/// What is known of a GOP before it is decoded.
pub(super) struct Evidence<'a> {
    pub(super) from: &'a Glimpse,
    /// `None` at the end of the film.
    pub(super) to: Option<&'a Glimpse>,
    /// Bytes of its packets but the keyframe, in the order in which they are shown.
    pub(super) sizes: &'a [usize],
    pub(super) key_bytes: usize,
    /// The next keyframe stands where it does because the picture changed there.
    pub(super) ended_by_content: bool,
}

/// How different two pictures are and how uneven the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Features {
    /// Mean change of the colours of 8 × 6 cells, in steps of 8-bit colour.
    pub(super) cells: f32,
    /// Part of the brightness histogram that is not common to both. 0 to 1.
    pub(super) histogram: f32,
    /// The largest packet over the median.
    pub(super) spike: f32,
    /// The largest mean of eleven packets over the median.
    pub(super) bump: f32,
    /// The median packet over the keyframe.
    pub(super) busy: f32,
}

impl Features {
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        let mut sorted = evidence.sizes.to_vec();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0).max(1) as f32;
        let key = evidence.key_bytes.max(1) as f32;
        let floor = median.max(key / 400.0);
        let windows = evidence.sizes.windows(11.min(evidence.sizes.len().max(1)));
        let bump = windows
            .map(|window| window.iter().sum::<usize>() as f32 / window.len() as f32)
            .fold(0.0, f32::max);
        let (cells, histogram) = evidence
            .to
            .map_or((0.0, 0.0), |to| (cells(evidence.from, to), histogram(evidence.from, to)));
        Self {
            cells,
            histogram,
            spike: sorted.last().copied().unwrap_or(0) as f32 / floor,
            bump: bump / floor,
            busy: median / key,
        }
    }
}

/// Judges a GOP.
pub(super) fn judge(evidence: &Evidence<'_>) -> Decision {
    let features = Features::of(evidence);
    let quiet_inside = features.spike < 8.0 && features.bump < 3.0;
    let alike = features.cells < 10.0 && features.histogram < 0.25;
    if evidence.to.is_none() {
        return if quiet_inside { Decision::Quiet } else { Decision::Doubtful };
    }
    if evidence.ended_by_content {
        if !quiet_inside {
            return Decision::Doubtful;
        }
        let different = features.cells > 18.0 || features.histogram > 0.45;
        return match (different, alike) {
            (true, _) => Decision::CutAtEnd,
            (false, true) => Decision::Quiet,
            (false, false) => Decision::Doubtful,
        };
    }
    if alike && quiet_inside {
        Decision::Quiet
    } else {
        Decision::Doubtful
    }
}

fn cells(a: &Glimpse, b: &Glimpse) -> f32 {
    let plane = |a: &[u8], b: &[u8], (width, height): (usize, usize)| -> f32 {
        let mut sums = [[0_i32; CELLS.0]; CELLS.1];
        for (y, (a, b)) in a.chunks_exact(width).zip(b.chunks_exact(width)).enumerate() {
            for (x, (a, b)) in a.iter().zip(b).enumerate() {
                sums[y * CELLS.1 / height][x * CELLS.0 / width] += i32::from(*a) - i32::from(*b);
            }
        }
        let total: i32 = sums.iter().flatten().map(|sum| sum.abs()).sum();
        total as f32 / (width * height) as f32
    };
    plane(&a.luma, &b.luma, LUMA) + plane(&a.blue, &b.blue, CHROMA) + plane(&a.red, &b.red, CHROMA)
}

fn histogram(a: &Glimpse, b: &Glimpse) -> f32 {
    const BINS: usize = 32;
    let mut bins = [0_i32; BINS];
    for (a, b) in a.luma.iter().zip(&b.luma) {
        bins[usize::from(*a) * BINS / 256] += 1;
        bins[usize::from(*b) * BINS / 256] -= 1;
    }
    bins.iter().map(|bin| bin.abs()).sum::<i32>() as f32 / (2 * a.luma.len()) as f32
}
