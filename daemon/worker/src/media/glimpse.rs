//! The small picture of a frame that the detector and the sampler look at: every frame of a film is seen only this way.
//!
//! A glimpse is the whole stored picture squashed to one fixed size: neither turned nor stretched to its shown aspect, since only
//! changes from frame to frame matter. Its size is a constant so that everything behind it needs no allocation.
//!
//! Every frame of a film passes through here, so planes are read straight, and only as much of them as tells the mean of a cell:
//! four rows, in blocks as long as a processor's register. What has no such planes goes through libswscale. Alpha is not looked at.

use ffmpeg_next::frame::Video;
use scened_common::domain::Resample;
pub(crate) use scened_shots::{CHROMA, Glimpse, LUMA};

use super::colour::is_full_range;
use super::planes::{Layout, Rows};
use super::scale::{Colours, ScaleError, Scaler, Wanted};

/// Rows of a cell that are read. More would cost time and tell little: the mean of a cell of a 1080p frame has 128 samples.
const N_ROWS: usize = 4;
/// Samples that are summed at once.
const BLOCK: usize = 16;
/// The same in cells too narrow for that, and where samples are two bytes.
const SHORT_BLOCK: usize = 8;

/// Makes glimpses of decoded frames.
pub(crate) struct Glimpser {
    luma: Grid,
    chroma: Grid,
    slow: SlowGlimpser,
}

impl Glimpser {
    pub(crate) fn new() -> Self {
        Self {
            luma: Grid::new(LUMA),
            chroma: Grid::new(CHROMA),
            slow: SlowGlimpser::new(),
        }
    }

    /// Looks at one frame.
    pub(crate) fn look(&mut self, frame: &Video, into: &mut Glimpse) -> Result<(), ScaleError> {
        match self.look_straight(frame, into) {
            Some(()) => Ok(()),
            None => self.slow.look(frame, into),
        }
    }

    fn look_straight(&mut self, frame: &Video, into: &mut Glimpse) -> Option<()> {
        let layout = Layout::of(frame)?;
        let is_full = is_full_range(frame);
        let luma = layout.full_rows(frame, layout.luma)?;
        let chroma = match layout.chroma {
            Some([blue, red]) => Some([layout.chroma_rows(frame, blue)?, layout.chroma_rows(frame, red)?]),
            None => None,
        };
        self.luma.shrink(&luma, Levels::of_luma(&layout, is_full), &mut into.luma);
        if let Some([blue, red]) = chroma {
            let levels = Levels::of_chroma(&layout, is_full);
            self.chroma.shrink(&blue, levels, &mut into.blue);
            self.chroma.shrink(&red, levels, &mut into.red);
        } else {
            into.blue.fill(128);
            into.red.fill(128);
        }
        Some(())
    }
}

/// How a mean of samples becomes a value of a glimpse: `mean * gain + offset`.
#[derive(Clone, Copy)]
struct Levels {
    gain: f32,
    offset: f32,
}

impl Levels {
    fn of_luma(layout: &Layout, is_full: bool) -> Self {
        let unit = f32::from(1_u16 << (layout.depth - 8));
        let (black, range) = if is_full {
            (0.0, 256.0 * unit - 1.0)
        } else {
            (16.0 * unit, 219.0 * unit)
        };
        Self::new(layout.luma.shift, 255.0 / range, black, 0.0)
    }

    fn of_chroma(layout: &Layout, is_full: bool) -> Self {
        let unit = f32::from(1_u16 << (layout.depth - 8));
        let range = if is_full { 256.0 * unit - 1.0 } else { 224.0 * unit };
        let shift = layout.chroma.map_or(0, |[blue, _]| blue.shift);
        Self::new(shift, 255.0 / range, 128.0 * unit, 128.0)
    }

    /// `gain` and `middle` count in values, which lie `shift` bits up in their samples.
    fn new(shift: u32, gain: f32, middle: f32, becomes: f32) -> Self {
        Self {
            gain: gain / f32::from(1_u16 << shift),
            // Half a step more, since the result is cut off.
            offset: becomes - middle * gain + 0.5,
        }
    }

    /// The value for a sum of samples. Casts of floats saturate.
    fn value(self, sum: u32, per_sample: f32) -> u8 {
        (sum as f32 * (self.gain * per_sample) + self.offset) as u8
    }
}

/// Shrinks planes of one width to a fixed number of cells; keeps its plan and its buffers from frame to frame.
struct Grid {
    /// Columns and rows of cells.
    cells: (usize, usize),
    /// What the plan was made for: samples in a row, and whether they are wide.
    source: (usize, bool),
    /// First sample of each cell in a row and the one after its last.
    bounds: Vec<(usize, usize)>,
    /// Where whole blocks fit into every cell.
    blocks: Option<Blocks>,
    narrow_sums: Vec<u16>,
    wide_sums: Vec<u32>,
}

/// How each cell of a row is read in blocks. They are spread evenly over their cell; where they overlap, samples count twice, and
/// where they leave gaps, samples count for nothing: weights too small to matter beside the rows that are left out.
struct Blocks {
    n_samples: usize,
    n_per_cell: usize,
    /// First sample of each block, those of one cell after those of the cell before.
    starts: Vec<usize>,
}

impl Blocks {
    fn plan(width: usize, bounds: &[(usize, usize)], is_wide: bool) -> Option<Self> {
        let narrowest = width / bounds.len();
        let n_samples = match narrowest {
            BLOCK.. if !is_wide => BLOCK,
            SHORT_BLOCK.. => SHORT_BLOCK,
            _ => return None,
        };
        let n_per_cell = (narrowest + n_samples / 2) / n_samples;
        let start = |(first, end): (usize, usize), block: usize| {
            let spare = end - first - n_samples;
            first + (spare * block).checked_div(n_per_cell - 1).unwrap_or(spare / 2)
        };
        let starts = bounds.iter().flat_map(|cell| (0..n_per_cell).map(move |block| start(*cell, block)));
        Some(Self {
            n_samples,
            n_per_cell,
            starts: starts.collect(),
        })
    }

    fn shrink<T>(&self, rows: [&[T]; N_ROWS], sum: impl Fn([&[T]; N_ROWS], usize) -> u32, levels: Levels, line: &mut [u8]) {
        // Said once here, one check of bounds a block is enough.
        let width = rows[0].len();
        assert!(rows.iter().all(|row| row.len() == width), "the rows of a plane are equally long");
        let per_sample = 1.0 / (self.n_per_cell * self.n_samples * N_ROWS) as f32;
        for (value, starts) in line.iter_mut().zip(self.starts.chunks_exact(self.n_per_cell)) {
            *value = levels.value(starts.iter().map(|start| sum(rows, *start)).sum(), per_sample);
        }
    }
}

impl Grid {
    fn new(cells: (usize, usize)) -> Self {
        Self {
            cells,
            source: (0, false),
            bounds: Vec::new(),
            blocks: None,
            narrow_sums: Vec::new(),
            wide_sums: Vec::new(),
        }
    }

    fn shrink(&mut self, rows: &Rows<'_>, levels: Levels, cells: &mut [u8]) {
        let (width, height) = rows.size;
        if self.source != (width, rows.is_wide) {
            self.bounds = (0..self.cells.0).map(|x| cell(x, self.cells.0, width)).collect();
            self.blocks = Blocks::plan(width, &self.bounds, rows.is_wide);
            self.source = (width, rows.is_wide);
        }
        let blocks = self.blocks.as_ref().filter(|_| rows.step == 1);
        for (y, line) in cells.chunks_exact_mut(self.cells.0).enumerate() {
            let (first, end) = cell(y, self.cells.1, height);
            // From the middle of each of equal parts of the cell; a row of a low picture may come more than once.
            let at = |index: usize| first + (end - first) * (2 * index + 1) / (2 * N_ROWS);
            if rows.is_wide {
                let rows_of_cell = std::array::from_fn(|index| rows.wide_row(at(index)));
                if let Some(blocks) = blocks {
                    blocks.shrink(rows_of_cell, sum_wide, levels, line);
                } else {
                    sum_columns(&mut self.wide_sums, rows_of_cell, |sample| u32::from(u16::from_le_bytes(*sample)));
                    sum_cells(&self.wide_sums, &self.bounds, rows, levels, line);
                }
            } else {
                let rows_of_cell = std::array::from_fn(|index| rows.row(at(index)));
                match blocks {
                    Some(blocks) if blocks.n_samples == BLOCK => blocks.shrink(rows_of_cell, sum_block, levels, line),
                    Some(blocks) => blocks.shrink(rows_of_cell, sum_short_block, levels, line),
                    None => {
                        sum_columns(&mut self.narrow_sums, rows_of_cell, |sample| u16::from(*sample));
                        sum_cells(&self.narrow_sums, &self.bounds, rows, levels, line);
                    }
                }
            }
        }
    }
}

/// The part of `length` samples that one of `n` cells covers; never empty, so that small pictures are enlarged.
fn cell(index: usize, n: usize, length: usize) -> (usize, usize) {
    let first = index * length / n;
    (first, ((index + 1) * length / n).max(first + 1))
}

/// Sums a block of each row. Written so that a compiler turns it into operations on whole registers.
fn sum_block([a, b, c, d]: [&[u8]; N_ROWS], start: usize) -> u32 {
    let end = start + BLOCK;
    let (a, b, c, d) = (&a[start..end], &b[start..end], &c[start..end], &d[start..end]);
    let lanes: [u16; BLOCK] = std::array::from_fn(|at| u16::from(a[at]) + u16::from(b[at]) + u16::from(c[at]) + u16::from(d[at]));
    let lanes: [u16; BLOCK / 2] = std::array::from_fn(|at| lanes[at] + lanes[at + BLOCK / 2]);
    let lanes: [u16; BLOCK / 4] = std::array::from_fn(|at| lanes[at] + lanes[at + BLOCK / 4]);
    u32::from(lanes[0] + lanes[1] + lanes[2] + lanes[3])
}

/// Sums a short block of each row, eight samples of a word at once.
fn sum_short_block(rows: [&[u8]; N_ROWS], start: usize) -> u32 {
    const EVERY_OTHER: u64 = 0x00ff_00ff_00ff_00ff;
    const SUM_OF_ALL: u64 = 0x0001_0001_0001_0001;
    let mut lanes = 0;
    for row in rows {
        let mut word = [0; SHORT_BLOCK];
        word.copy_from_slice(&row[start..start + SHORT_BLOCK]);
        let word = u64::from_ne_bytes(word);
        lanes += (word & EVERY_OTHER) + (word >> 8 & EVERY_OTHER);
    }
    (lanes.wrapping_mul(SUM_OF_ALL) >> 48) as u32
}

/// Sums a block of each row of samples of two bytes.
fn sum_wide(rows: [&[[u8; 2]]; N_ROWS], start: usize) -> u32 {
    let mut lanes = [0_u32; SHORT_BLOCK];
    for row in rows {
        for (lane, sample) in lanes.iter_mut().zip(&row[start..start + SHORT_BLOCK]) {
            *lane += u32::from(u16::from_le_bytes(*sample));
        }
    }
    lanes.iter().sum()
}

/// Adds up rows sample by sample.
fn sum_columns<T, S>(sums: &mut Vec<S>, [a, b, c, d]: [&[T]; N_ROWS], value: impl Fn(&T) -> S)
where
    S: Copy + Default + std::ops::Add<Output = S>,
{
    sums.resize(a.len(), S::default());
    for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *sum = value(a) + value(b) + value(c) + value(d);
    }
}

/// Sums columns cell by cell, taking one component where two are interleaved.
fn sum_cells<S: Copy + Into<u32>>(sums: &[S], bounds: &[(usize, usize)], rows: &Rows<'_>, levels: Levels, line: &mut [u8]) {
    for (value, (first, end)) in line.iter_mut().zip(bounds) {
        let part = &sums[first * rows.step..end * rows.step];
        let sum = part.iter().skip(rows.first).step_by(rows.step).map(|sum| (*sum).into()).sum();
        *value = levels.value(sum, 1.0 / ((end - first) * N_ROWS) as f32);
    }
}

/// Makes glimpses of any frame that libswscale can convert.
struct SlowGlimpser {
    scaler: Scaler,
}

impl SlowGlimpser {
    fn new() -> Self {
        Self {
            scaler: Scaler::new(Wanted {
                size: (LUMA.0 as u32, LUMA.1 as u32),
                bgr: false,
                colours: Colours::Shown,
                resample: Resample::Bilinear,
            }),
        }
    }

    fn look(&mut self, frame: &Video, into: &mut Glimpse) -> Result<(), ScaleError> {
        let (rows, stride) = self.scaler.scale(frame)?;
        let pixel = |x: usize, y: usize| {
            let at = y * stride + x * 3;
            [i32::from(rows[at]), i32::from(rows[at + 1]), i32::from(rows[at + 2])]
        };
        for y in 0..LUMA.1 {
            for x in 0..LUMA.0 {
                let [r, g, b] = pixel(x, y);
                into.luma[y * LUMA.0 + x] = ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8;
            }
        }
        for y in 0..CHROMA.1 {
            for x in 0..CHROMA.0 {
                let mut sum = [0; 3];
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    for (total, value) in sum.iter_mut().zip(pixel(2 * x + dx, 2 * y + dy)) {
                        *total += value;
                    }
                }
                let [r, g, b] = sum;
                let at = y * CHROMA.0 + x;
                into.blue[at] = (128 + (-169 * r - 331 * g + 500 * b) / 4000).clamp(0, 255) as u8;
                into.red[at] = (128 + (500 * r - 419 * g - 81 * b) / 4000).clamp(0, 255) as u8;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffmpeg_next::format::Pixel;

    const FORMATS: [Pixel; 16] = [
        Pixel::YUV420P,
        Pixel::YUV422P,
        Pixel::YUV444P,
        Pixel::YUV410P,
        Pixel::YUV411P,
        Pixel::YUV440P,
        Pixel::YUVJ420P,
        Pixel::YUVA420P,
        Pixel::NV12,
        Pixel::NV21,
        Pixel::P010LE,
        Pixel::YUV420P10LE,
        Pixel::YUV422P12LE,
        Pixel::YUV444P16LE,
        Pixel::GRAY8,
        Pixel::GRAY10LE,
    ];

    /// A picture of smooth slopes in any format: converted by libswscale from RGB, which knows all of them.
    fn slopes(format: Pixel, width: u32, height: u32) -> Video {
        let mut rgb = Video::new(Pixel::RGB24, width, height);
        let stride = rgb.stride(0);
        for (y, row) in rgb.data_mut(0).chunks_mut(stride).take(height as usize).enumerate() {
            for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().take(width as usize).enumerate() {
                let (across, down) = (x as u32 * 255 / width, y as u32 * 255 / height);
                *pixel = [across as u8, down as u8, (255 - across / 2 - down / 2) as u8];
            }
        }
        let mut converted = Video::empty();
        let flags = ffmpeg_next::software::scaling::Flags::ACCURATE_RND | ffmpeg_next::software::scaling::Flags::BILINEAR;
        ffmpeg_next::software::scaling::Context::get(Pixel::RGB24, width, height, format, width, height, flags)
            .unwrap()
            .run(&rgb, &mut converted)
            .unwrap();
        // What libswscale wrote without being told more.
        converted.set_color_space(ffmpeg_next::color::Space::BT470BG);
        converted
    }

    fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
        a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn every_planar_format_is_read_straight_and_gives_what_swscale_gives() {
        for format in FORMATS {
            for (width, height) in [(1920, 1080), (1280, 720), (640, 480), (320, 240), (500, 900), (2600, 300)] {
                let frame = slopes(format, width, height);
                let (mut straight, mut slow) = (Glimpse::default(), Glimpse::default());
                let mut glimpser = Glimpser::new();
                assert!(glimpser.look_straight(&frame, &mut straight).is_some(), "{format:?}");
                glimpser.slow.look(&frame, &mut slow).unwrap();
                let luma = largest_difference(&straight.luma, &slow.luma);
                let blue = largest_difference(&straight.blue, &slow.blue);
                let red = largest_difference(&straight.red, &slow.red);
                assert!(
                    luma <= 4 && blue <= 6 && red <= 6,
                    "{format:?} {width}×{height}: {luma} {blue} {red}"
                );
            }
        }
    }

    #[test]
    fn a_change_of_size_or_format_is_noticed() {
        let mut glimpser = Glimpser::new();
        for (format, width, height) in [
            (Pixel::YUV420P, 640, 480),
            (Pixel::YUV420P10LE, 640, 480),
            (Pixel::RGB24, 640, 480),
            (Pixel::YUV420P, 320, 480),
            (Pixel::NV12, 320, 480),
            (Pixel::YUV420P, 1920, 1080),
        ] {
            let frame = slopes(format, width, height);
            let (mut glimpse, mut expected) = (Glimpse::default(), Glimpse::default());
            glimpser.look(&frame, &mut glimpse).unwrap();
            Glimpser::new().look(&frame, &mut expected).unwrap();
            assert!(glimpse == expected, "{format:?} {width}×{height}");
        }
    }

    #[test]
    fn tiny_pictures_are_enlarged() {
        for (width, height) in [(1, 1), (2, 2), (3, 50), (70, 3)] {
            let mut frame = Video::new(Pixel::YUV420P, width, height);
            for (plane, value) in [(0, 235), (1, 16), (2, 240)] {
                frame.data_mut(plane).fill(value);
            }
            let mut glimpse = Glimpse::default();
            assert!(Glimpser::new().look_straight(&frame, &mut glimpse).is_some());
            assert!(glimpse.luma.iter().all(|value| *value == 255), "{width}×{height}");
            assert!(
                glimpse.blue.iter().all(|value| *value <= 1),
                "{width}×{height}: {}",
                glimpse.blue[0]
            );
            assert!(glimpse.red.iter().all(|value| *value == 255), "{width}×{height}");
        }
    }

    #[test]
    fn formats_without_such_planes_go_through_swscale() {
        for format in [Pixel::RGB24, Pixel::GBRP, Pixel::YUYV422, Pixel::YUV420P10BE, Pixel::BGRA] {
            let frame = slopes(format, 640, 480);
            let mut glimpse = Glimpse::default();
            assert!(Glimpser::new().look_straight(&frame, &mut glimpse).is_none(), "{format:?}");
            Glimpser::new().look(&frame, &mut glimpse).unwrap();
            let mut expected = Glimpse::default();
            Glimpser::new().look(&slopes(Pixel::YUV444P, 640, 480), &mut expected).unwrap();
            assert!(largest_difference(&glimpse.luma, &expected.luma) <= 4, "{format:?}");
        }
    }
}
