//! `cv2.resize(…, INTER_LINEAR)` of 8-bit BGR, bit for bit, to PySceneDetect's working size.
//!
//! **Source**: OpenCV `modules/imgproc/src/resize.cpp` (`HResizeLinear`, `VResizeLinear<uchar, int, short>`: 11-bit weights;
//! halving in both directions takes the mean of four); PySceneDetect 0.7.2 `compute_downscale_factor`.

/// PySceneDetect's working size: the larger side of the frame is shrunk to it. Pixels.
const WORKING_PX: u32 = 256;
const WEIGHT_ONE: f32 = 2048.0;

/// A plan for shrinking frames of one size, with its buffers.
#[derive(Debug)]
pub(crate) struct Shrinker {
    source: (usize, usize),
    target: (usize, usize),
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    /// Two source rows, shrunk horizontally, and the index of the source row that each holds.
    lines: [Vec<i32>; 2],
    held: [Option<usize>; 2],
    output: Vec<u8>,
}

/// Source of a target pixel: `weights[0]` of `index`, `weights[1]` of `next`.
#[derive(Clone, Copy, Debug)]
struct Tap {
    index: usize,
    next: usize,
    weights: [i32; 2],
}

/// Returns the size at which PySceneDetect scores a video of this size.
pub(crate) fn working_size(width_px: u32, height_px: u32) -> (u32, u32) {
    let larger = width_px.max(height_px);
    if larger < WORKING_PX {
        return (width_px, height_px);
    }
    let factor = f64::from(larger) / f64::from(WORKING_PX);
    let side = |px: u32| ((f64::from(px) / factor).round_ties_even() as u32).max(1);
    (side(width_px), side(height_px))
}

impl Shrinker {
    pub(crate) fn new(width_px: u32, height_px: u32, target: (u32, u32)) -> Self {
        let source = (width_px as usize, height_px as usize);
        let target = (target.0 as usize, target.1 as usize);
        Self {
            source,
            target,
            columns: taps(source.0, target.0),
            rows: taps(source.1, target.1),
            lines: [vec![0; target.0 * 3], vec![0; target.0 * 3]],
            held: [None; 2],
            output: vec![0; target.0 * target.1 * 3],
        }
    }

    pub(crate) fn is_for(&self, width_px: u32, height_px: u32) -> bool {
        self.source == (width_px as usize, height_px as usize)
    }

    /// Shrinks one frame. **Shape**: `bgr` is `[height, width, 3]` u8 with `stride` bytes from row to row; the result is
    /// `[height, width, 3]` of the target size without padding.
    pub(crate) fn shrink(&mut self, bgr: &[u8], stride: usize) -> &[u8] {
        let row_bytes = self.target.0 * 3;
        if self.source == self.target {
            for (y, line) in self.output.chunks_exact_mut(row_bytes).enumerate() {
                line.copy_from_slice(&bgr[y * stride..y * stride + row_bytes]);
            }
        } else if self.source == (self.target.0 * 2, self.target.1 * 2) {
            for (y, line) in self.output.chunks_exact_mut(row_bytes).enumerate() {
                let (upper, lower) = (&bgr[2 * y * stride..], &bgr[(2 * y + 1) * stride..]);
                for (x, value) in line.iter_mut().enumerate() {
                    let at = x / 3 * 6 + x % 3;
                    let sum = u32::from(upper[at]) + u32::from(upper[at + 3]) + u32::from(lower[at]) + u32::from(lower[at + 3]);
                    *value = ((sum + 2) >> 2) as u8;
                }
            }
        } else {
            self.held = [None; 2];
            for y in 0..self.target.1 {
                let row = self.rows[y];
                let first = self.line(row.index, None, bgr, stride);
                let second = self.line(row.next, Some(first), bgr, stride);
                let [b0, b1] = row.weights;
                let line = &mut self.output[y * row_bytes..(y + 1) * row_bytes];
                for ((value, s0), s1) in line.iter_mut().zip(&self.lines[first]).zip(&self.lines[second]) {
                    *value = ((((b0 * (s0 >> 4)) >> 16) + ((b1 * (s1 >> 4)) >> 16) + 2) >> 2) as u8;
                }
            }
        }
        &self.output
    }

    /// Ensures that one of the two buffers, not `use_not`, holds source row `y` shrunk horizontally. Returns its index.
    fn line(&mut self, y: usize, use_not: Option<usize>, bgr: &[u8], stride: usize) -> usize {
        if let Some(slot) = self.held.iter().position(|held| *held == Some(y)) {
            return slot;
        }
        // Row numbers only increase, so the lower of the two is dropped.
        let slot = match use_not {
            Some(taken) => 1 - taken,
            None => usize::from(self.held[0] > self.held[1]),
        };
        self.held[slot] = Some(y);
        let row = &bgr[y * stride..y * stride + self.source.0 * 3];
        for (pixel, column) in self.lines[slot].as_chunks_mut::<3>().0.iter_mut().zip(&self.columns) {
            let [a0, a1] = column.weights;
            let (left, right) = (
                &row[column.index * 3..column.index * 3 + 3],
                &row[column.next * 3..column.next * 3 + 3],
            );
            for channel in 0..3 {
                pixel[channel] = i32::from(left[channel]) * a0 + i32::from(right[channel]) * a1;
            }
        }
        slot
    }
}

fn taps(source: usize, target: usize) -> Vec<Tap> {
    let scale = 1.0 / (target as f64 / source as f64);
    (0..target)
        .map(|position| {
            let exact = ((position as f64 + 0.5) * scale - 0.5) as f32;
            let mut index = exact.floor() as i64;
            let mut fraction = exact - index as f32;
            if index < 0 {
                (index, fraction) = (0, 0.0);
            }
            let last = source as i64 - 1;
            if index >= last {
                (index, fraction) = (last, 0.0);
            }
            let weight = |part: f32| (part * WEIGHT_ONE).round_ties_even() as i32;
            Tap {
                index: index as usize,
                next: (index + 1).min(last) as usize,
                weights: [weight(1.0 - fraction), weight(fraction)],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_side_becomes_256_pixels() {
        for (size, expected) in [
            ((1920, 1080), (256, 144)),
            ((1080, 1920), (144, 256)),
            ((255, 100), (255, 100)),
            ((256, 2), (256, 2)),
            ((854, 480), (256, 144)),
            ((10_000, 4), (256, 1)),
            ((1, 1), (1, 1)),
        ] {
            assert_eq!(working_size(size.0, size.1), expected, "{size:?}");
        }
    }

    /// Returns a picture that both this test and `cv2.resize` can make. The checksums were printed by opencv-python 5.0.0.93.
    fn picture(width: usize, height: usize) -> Vec<u8> {
        let mut state = 12_345_u32;
        (0..width * height * 3)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    fn checksum(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        })
    }

    #[test]
    fn shrinking_equals_opencv() {
        for (width, height, target, expected) in include!("shrink_golden.in") {
            let bgr = picture(width, height);
            let mut shrinker = Shrinker::new(width as u32, height as u32, target);
            // Twice, so that leftovers in the buffers would show.
            shrinker.shrink(&bgr, width * 3);
            let small = shrinker.shrink(&bgr, width * 3);
            assert_eq!(checksum(small), expected, "{width}×{height} → {target:?}");
        }
    }
}
