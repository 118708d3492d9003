//! Estimates how likely it is that a shot begins in a GOP, or with the keyframe after it. A small network judges by what is known before
//! the GOP is decoded. Pure.
//!
//! **Source**: fitted by `training/gop_odds.py` (rows from the example `gop_rows`). It used the tuning half of the benchmark's corpus and
//! 48 more videos rendered from tuning seeds and footage (`tests/bench`). These are 1,709 GOPs of 96 videos in x264, x265, VP9, AV1 and
//! MPEG-2. In six-fold cross-validation by video, at the same share of video decoded, it makes a third as many errors as rules with
//! hand-set thresholds.

/// Number of features that [`of`] decides on.
pub(super) const N_FEATURES: usize = 20;
const N_HIDDEN: usize = 6;

/// Probabilities of a new shot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Odds {
    /// A shot begins exactly with the next keyframe.
    pub(super) at_end: f32,
    /// A shot begins after the keyframe and before the next one, or a gradual change touches it.
    pub(super) inside: f32,
}

/// Computes the odds from the features of one GOP.
pub(super) fn of(features: &[f32; N_FEATURES]) -> Odds {
    let hidden = HIDDEN.map(|(weights, bias)| (dot(&weights, features) + bias).tanh());
    let [at_end, inside] = OUT.map(|(weights, bias)| 1.0 / (1.0 + (-dot(&weights, &hidden) - bias).exp()));
    Odds { at_end, inside }
}

fn dot<const N: usize>(a: &[f32; N], b: &[f32; N]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[expect(clippy::approx_constant, reason = "fitted numbers that happen to be near others")]
#[rustfmt::skip]
const HIDDEN: [([f32; N_FEATURES], f32); N_HIDDEN] = [
    ([0.0151, 1.7609, -0.4863, -0.8644, 0.1081, 0.2021, 0.4326, -0.3248, 0.1664, -0.2054, 0.5966, 0.1936, -0.1129, 0.3240, -0.7909, 0.6146, 0.8205, 0.3871, 0.7992, -0.7588], -0.2447),
    ([-0.1044, -0.1872, 0.5415, -1.8860, 0.0495, 1.1071, -0.5825, 0.3467, 0.3362, -0.1796, 0.3926, 0.4113, 0.1409, -0.6561, -0.9746, -0.3589, 0.4435, -3.3686, -1.4352, 0.5535], 6.9348),
    ([0.0042, 1.0216, -0.1715, 0.3790, 0.1300, 0.3882, 0.3067, 0.1867, 0.5824, 0.0070, -0.7377, -0.1625, 0.4008, 0.5986, 1.0737, -0.3270, -0.0359, 0.0763, -0.2112, -0.7389], -1.5783),
    ([-0.0695, 1.1057, -0.8010, 0.3999, 0.0044, 0.6789, -0.1313, 0.0359, -0.3933, -0.0896, 0.1426, -0.3055, -0.0889, -0.4482, 0.4182, 0.2799, 0.0948, -1.1970, -1.1622, 0.9660], -0.2330),
    ([-0.0037, 1.1010, 1.1267, -0.7896, -0.0383, 1.0930, -0.3596, 0.6657, -0.1378, 0.2591, 0.2707, -0.3180, -0.3672, 0.5594, -1.2974, 0.2184, -0.0952, -1.3148, 1.4001, 0.8451], 0.6942),
    ([0.0032, 0.9969, -0.2826, 0.7429, -0.0474, -0.1451, -0.2584, -0.1188, -0.4123, 0.1168, 0.1311, 0.8329, 0.6547, -0.1383, 0.2428, 0.1191, -0.9122, -0.6629, -0.5212, -0.4757], -1.8110),
];

#[rustfmt::skip]
const OUT: [([f32; N_HIDDEN], f32); 2] = [
    ([-0.0893, -1.4230, 1.1258, 0.7972, -0.9556, 0.7236], -0.5878),
    ([1.4162, 0.8720, 0.7170, 0.9858, 0.5948, 1.0839], -0.6682),
];
