//! Scores how well a frame represents its video, for the choice of a poster frame. Pure.
//!
//! No model is involved. A good frame shows something: light, contrast, colours and detail, and no plain ground as in title cards and
//! credits. It looks like a large part of the video and not like an exception. What it shows lasts, and it is not where videos have logos
//! and credits. Each of these is a factor; a frame that lacks one is chosen only if the others are no better.

use super::signature::{self, BLOCKS, Signature};
use crate::media::pixels::glimpse::{CHROMA, Glimpse, LUMA};

/// A frame shows another view if this many blocks changed.
pub(crate) const OTHER_VIEW: u32 = BLOCKS as u32 * 4 / 10;

const N_LUMA: usize = LUMA.0 * LUMA.1;
const N_CHROMA: usize = CHROMA.0 * CHROMA.1;
/// Histogram bins for luma, and for each chroma component.
const LUMA_BINS: usize = 16;
const CHROMA_BINS: usize = 16;
/// How many adjacent luma levels look like one on a plain ground.
const PLAIN_LEVELS: usize = 20;

/// A frame that may become the poster frame.
#[derive(Clone, Debug)]
pub(crate) struct PosterFrame {
    pub(crate) time_us: i64,
    pub(crate) signature: Signature,
    /// Comparable between frames of one video; 0 = unknown.
    sharpness: u32,
    /// The score of the picture alone.
    worth: f32,
    /// Shares of the picture by luma.
    luma: [f32; LUMA_BINS],
    /// Shares of the picture by chroma, blue first.
    chroma: [f32; CHROMA_BINS * CHROMA_BINS],
}

impl PosterFrame {
    pub(crate) fn of(time_us: i64, sharpness: u32, glimpse: &Glimpse) -> Self {
        let mut luma = [0.0; LUMA_BINS];
        for value in &glimpse.luma {
            luma[usize::from(*value) * LUMA_BINS / 256] += 1.0 / N_LUMA as f32;
        }
        let mut chroma = [0.0; CHROMA_BINS * CHROMA_BINS];
        for (blue, red) in glimpse.blue.iter().zip(&glimpse.red) {
            chroma[fine_bin(*blue) * CHROMA_BINS + fine_bin(*red)] += 1.0 / N_CHROMA as f32;
        }
        Self {
            time_us,
            signature: Signature::of(glimpse),
            sharpness,
            worth: worth(glimpse),
            luma,
            chroma,
        }
    }

    /// Returns how different two frames are, wherever in the picture things are: from 0 to 1.
    fn distance(&self, other: &Self) -> f32 {
        let half_l1 = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / 2.0;
        f32::midpoint(half_l1(&self.luma, &other.luma), half_l1(&self.chroma, &other.chroma))
    }
}

/// Most chroma values of real pictures are near the middle: bins there are 6 levels wide (the middle one 11), and the outermost take the
/// rest.
fn fine_bin(value: u8) -> usize {
    let from_middle = i32::from(value) - 128;
    (from_middle / 6 + CHROMA_BINS as i32 / 2).clamp(0, CHROMA_BINS as i32 - 1) as usize
}

/// Rises linearly from 0 at `low` to 1 at `high`.
fn ramp(value: f32, low: f32, high: f32) -> f32 {
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}

/// Rises linearly from `least` at 0 to 1 at 1.
fn at_least(least: f32, share: f32) -> f32 {
    least + (1.0 - least) * share
}

/// Scores the content of a picture from 0 to 1.
fn worth(glimpse: &Glimpse) -> f32 {
    let mut levels = [0_u32; 256];
    for value in &glimpse.luma {
        levels[usize::from(*value)] += 1;
    }
    let mean = glimpse.luma.iter().map(|value| f32::from(*value)).sum::<f32>() / N_LUMA as f32;
    let variance = glimpse.luma.iter().map(|value| (f32::from(*value) - mean).powi(2)).sum::<f32>() / N_LUMA as f32;
    let plain = levels
        .windows(PLAIN_LEVELS)
        .map(|window| window.iter().sum::<u32>())
        .max()
        .unwrap_or(0);
    let plain = plain as f32 / N_LUMA as f32;
    let from_grey = |plane: &[u8]| plane.iter().map(|value| f32::from(value.abs_diff(128))).sum::<f32>() / N_CHROMA as f32;
    let colour = from_grey(&glimpse.blue) + from_grey(&glimpse.red);
    let detail = (signature::structure(glimpse) as f32 / N_LUMA as f32).sqrt();
    let light = ramp(mean, 16.0, 70.0) * at_least(0.4, 1.0 - ramp(mean, 190.0, 245.0));
    let nothing = if signature::is_blank(glimpse) { 0.01 } else { 1.0 };
    nothing
        * at_least(0.02, light)
        * at_least(0.03, 1.0 - ramp(plain, 0.5, 0.9))
        * at_least(0.3, ramp(variance.sqrt(), 6.0, 45.0))
        * at_least(0.5, ramp(detail, 4.0, 24.0))
        * at_least(0.8, ramp(colour, 2.0, 30.0))
}

/// Returns the scores of frames of one video, each from 0 to 1. Frames are in order of time. `length_us`: of the video, if known.
pub(crate) fn scores(seen: &[PosterFrame], length_us: Option<i64>) -> Vec<f32> {
    let mut sharpnesses: Vec<u32> = seen.iter().map(|one| one.sharpness).collect();
    sharpnesses.sort_unstable();
    let usual_sharpness = sharpnesses.get(sharpnesses.len() / 2).copied().unwrap_or(0);
    let distances: Vec<f32> = (0..seen.len()).map(|at| distance_to_video(seen, at)).collect();
    let nearest = distances.iter().copied().fold(f32::INFINITY, f32::min);
    let scores = seen.iter().enumerate().map(|(at, one)| {
        let sharp = match usual_sharpness {
            0 => 1.0,
            usual => ramp(one.sharpness as f32 / usual as f32, 0.05, 0.5),
        };
        // 1 near the frame most like the video, falling to 0 at a distance of 0.5 beyond it.
        let typical = 1.0 - ramp(distances[at] - nearest, 0.05, 0.5);
        one.worth * at_least(0.3, sharp) * at_least(0.4, typical) * at_least(0.85, lasting(seen, at)) * place(one.time_us, length_us)
    });
    scores.collect()
}

/// Returns how different a frame is from the third of the video that is most like it, since a video may have several settings.
fn distance_to_video(seen: &[PosterFrame], at: usize) -> f32 {
    let others = seen.iter().enumerate().filter(|(other, _)| *other != at);
    let mut distances: Vec<f32> = others.map(|(_, other)| seen[at].distance(other)).collect();
    distances.sort_unstable_by(f32::total_cmp);
    distances.truncate(seen.len().div_ceil(3));
    let n = distances.len().max(1) as f32;
    distances.iter().sum::<f32>() / n
}

/// Returns the share of the neighbours in time that show the same view.
fn lasting(seen: &[PosterFrame], at: usize) -> f32 {
    let neighbours = [at.checked_sub(1), Some(at + 1)];
    let (mut n_same, mut n) = (0_u8, 0_u8);
    for neighbour in neighbours.into_iter().flatten().filter_map(|at| seen.get(at)) {
        n += 1;
        n_same += u8::from(seen[at].signature.change(&neighbour.signature).n_blocks < OTHER_VIEW);
    }
    f32::from(n_same) / f32::from(n.max(1))
}

/// Lowers the score at the beginning and the end: videos begin with logos and titles, and end with credits.
fn place(time_us: i64, length_us: Option<i64>) -> f32 {
    let Some(length_us) = length_us.filter(|length_us| *length_us > 0) else {
        return 1.0;
    };
    let share = time_us as f32 / length_us as f32;
    at_least(0.6, ramp(share, 0.0, 0.05)) * at_least(0.5, 1.0 - ramp(share, 0.88, 0.97))
}

/// Scores how steady the frames after one moment are: a picture that disappears at once, or only fades in, scores less. `changed`: how many
/// blocks of the last frame differ from the first; `ended_early`: another shot began.
pub(crate) fn steadiness(changed: u32, ended_early: bool) -> f32 {
    let share = changed as f32 / BLOCKS as f32;
    at_least(0.6, 1.0 - share) * if ended_early { 0.6 } else { 1.0 }
}

/// Returns the score of one frame relative to another of the same shot: only the picture and its sharpness differ.
pub(crate) fn gain(frame: &PosterFrame, over: &PosterFrame) -> f32 {
    let sharp = f32::midpoint(1.0, (frame.sharpness + 1) as f32 / (over.sharpness + 1) as f32).clamp(0.5, 1.5);
    sharp * frame.worth.max(0.001) / over.worth.max(0.001)
}

#[cfg(test)]
mod tests;
