//! The content score: OpenCV's 8-bit BGR→HSV, and the mean change of each channel.
//!
//! **Source**: OpenCV `modules/imgproc/src/color_hsv.simd.hpp` (`RGB2HSV_b`, fixed point with 12 bits, hue in 0..180);
//! PySceneDetect 0.7.2 `ContentDetector._calculate_frame_score`.

const SHIFT: u32 = 12;
const HALF: i32 = 1 << (SHIFT - 1);
/// The hue of 8-bit pictures is in steps of two degrees.
const HUE_RANGE: i32 = 180;

/// Scores each frame against the one before.
#[derive(Debug)]
pub(crate) struct HsvScorer {
    saturation_divisor: [i32; 256],
    hue_divisor: [i32; 256],
    last: Vec<[u8; 3]>,
}

impl Default for HsvScorer {
    fn default() -> Self {
        let mut saturation_divisor = [0; 256];
        let mut hue_divisor = [0; 256];
        for i in 1..256_usize {
            saturation_divisor[i] = (f64::from(255 << SHIFT) / i as f64).round_ties_even() as i32;
            hue_divisor[i] = (f64::from(HUE_RANGE << SHIFT) / (6.0 * i as f64)).round_ties_even() as i32;
        }
        Self {
            saturation_divisor,
            hue_divisor,
            last: Vec::new(),
        }
    }
}

impl HsvScorer {
    /// Returns the content score of this frame: 0 for the first, and after a change of size.
    ///
    /// **Shape**: `bgr` is `[height, width, 3]` u8 without padding.
    pub(crate) fn score(&mut self, bgr: &[u8]) -> f64 {
        let n_pixels = bgr.len() / 3;
        let mut last = std::mem::take(&mut self.last);
        let fresh = last.len() != n_pixels;
        if fresh {
            last.clear();
            last.extend(bgr.as_chunks::<3>().0.iter().map(|pixel| self.hsv(*pixel)));
            self.last = last;
            return 0.0;
        }
        let mut sums = [0_u64; 3];
        // The sums of 4096 pixels fit 32 bits, and let the compiler use wider lanes.
        for (pixels, before) in bgr.chunks(3 * 4096).zip(last.chunks_mut(4096)) {
            let mut partial = [0_u32; 3];
            for (pixel, before) in pixels.as_chunks::<3>().0.iter().zip(before) {
                let now = self.hsv(*pixel);
                for channel in 0..3 {
                    partial[channel] += u32::from(now[channel].abs_diff(before[channel]));
                }
                *before = now;
            }
            for channel in 0..3 {
                sums[channel] += u64::from(partial[channel]);
            }
        }
        self.last = last;
        let n = n_pixels as f64;
        let [hue, saturation, value] = sums.map(|sum| sum as f64 / n);
        (hue + saturation + value) / 3.0
    }

    /// Converts one pixel as `cv2.cvtColor(…, COLOR_BGR2HSV)` does.
    fn hsv(&self, [b, g, r]: [u8; 3]) -> [u8; 3] {
        let (b, g, r) = (i32::from(b), i32::from(g), i32::from(r));
        let value = b.max(g).max(r);
        let difference = value - b.min(g).min(r);
        let saturation = (difference * self.saturation_divisor[value as usize] + HALF) >> SHIFT;
        let sector = if value == r {
            g - b
        } else if value == g {
            b - r + 2 * difference
        } else {
            r - g + 4 * difference
        };
        let mut hue = (sector * self.hue_divisor[difference as usize] + HALF) >> SHIFT;
        if hue < 0 {
            hue += HUE_RANGE;
        }
        [hue as u8, saturation as u8, value as u8]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values were printed by `cv2.cvtColor` of opencv-python 5.0.0.93.
    #[test]
    fn hsv_equals_opencv() {
        let scorer = HsvScorer::default();
        for (bgr, hsv) in include!("hsv_golden.in") {
            assert_eq!(scorer.hsv(bgr), hsv, "{bgr:?}");
        }
    }

    #[test]
    fn the_first_frame_and_equal_frames_score_nothing() {
        let mut scorer = HsvScorer::default();
        let frame = vec![90; 3 * 100];
        assert!(scorer.score(&frame).abs() < f64::EPSILON);
        assert!(scorer.score(&frame).abs() < f64::EPSILON);
    }

    #[test]
    fn black_to_white_scores_a_third_of_the_range() {
        let mut scorer = HsvScorer::default();
        scorer.score(&[0; 300]);
        assert!((scorer.score(&[255; 300]) - 85.0).abs() < 1e-9);
        // A change of size starts over.
        assert!(scorer.score(&[0; 600]).abs() < f64::EPSILON);
    }
}
