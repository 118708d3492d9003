//! Shrinks planes to a fixed number of cells, reading four rows of each. Pure.

use crate::media::pixels::planes::{Layout, Rows};

/// How many rows of a cell are read. More would cost time and add little: the mean of a cell of a 1080p frame has 128 samples.
const N_ROWS: usize = 4;
/// How many samples are summed at once.
const BLOCK: usize = 16;
/// The same for cells too narrow for that, and for two-byte samples.
const SHORT_BLOCK: usize = 8;

/// The conversion of a mean of samples to a value of a glimpse: `mean * gain + offset`.
#[derive(Clone, Copy)]
pub(super) struct Levels {
    gain: f32,
    offset: f32,
}

impl Levels {
    pub(super) fn of_luma(layout: &Layout, is_full: bool) -> Self {
        let unit = f32::from(1_u16 << (layout.depth - 8));
        let (black, range) = if is_full {
            (0.0, 256.0 * unit - 1.0)
        } else {
            (16.0 * unit, 219.0 * unit)
        };
        Self::new(layout.luma.shift, 255.0 / range, black, 0.0)
    }

    pub(super) fn of_chroma(layout: &Layout, is_full: bool) -> Self {
        let unit = f32::from(1_u16 << (layout.depth - 8));
        let range = if is_full { 256.0 * unit - 1.0 } else { 224.0 * unit };
        let shift = layout.chroma.map_or(0, |[blue, _]| blue.shift);
        Self::new(shift, 255.0 / range, 128.0 * unit, 128.0)
    }

    /// `gain` and `middle` refer to values, which are shifted up by `shift` bits in their samples.
    fn new(shift: u32, gain: f32, middle: f32, becomes: f32) -> Self {
        Self {
            gain: gain / f32::from(1_u16 << shift),
            // Half a step is added because the cast truncates.
            offset: becomes - middle * gain + 0.5,
        }
    }

    /// Returns the value for a sum of samples. Float casts saturate.
    fn value(self, sum: u32, per_sample: f32) -> u8 {
        (sum as f32 * (self.gain * per_sample) + self.offset) as u8
    }
}

/// Shrinks planes of one width to a fixed number of cells. It keeps its plan and its buffers from frame to frame.
pub(super) struct Grid {
    /// Columns and rows of cells.
    cells: (usize, usize),
    /// The source that the plan was made for: samples in a row, and whether they have two bytes.
    source: (usize, bool),
    /// First sample of each cell in a row, and the one after its last.
    bounds: Vec<(usize, usize)>,
    /// Set if whole blocks fit into every cell.
    blocks: Option<Blocks>,
    narrow_sums: Vec<u16>,
    wide_sums: Vec<u32>,
}

/// The blocks in which each cell of a row is read, spread evenly over the cell. Samples count twice if blocks overlap, and not at all in
/// gaps between them. Both effects are too small to matter compared with the rows that are left out.
struct Blocks {
    n_samples: usize,
    n_per_cell: usize,
    /// First sample of each block, cell after cell.
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
        // With this assertion, one bounds check per block is enough.
        let width = rows[0].len();
        assert!(rows.iter().all(|row| row.len() == width), "the rows of a plane are equally long");
        let per_sample = 1.0 / (self.n_per_cell * self.n_samples * N_ROWS) as f32;
        for (value, starts) in line.iter_mut().zip(self.starts.chunks_exact(self.n_per_cell)) {
            *value = levels.value(starts.iter().map(|start| sum(rows, *start)).sum(), per_sample);
        }
    }
}

impl Grid {
    pub(super) fn new(cells: (usize, usize)) -> Self {
        Self {
            cells,
            source: (0, false),
            bounds: Vec::new(),
            blocks: None,
            narrow_sums: Vec::new(),
            wide_sums: Vec::new(),
        }
    }

    pub(super) fn shrink(&mut self, rows: &Rows<'_>, levels: Levels, cells: &mut [u8]) {
        let (width, height) = rows.size;
        if self.source != (width, rows.is_wide) {
            self.bounds = (0..self.cells.0).map(|x| cell(x, self.cells.0, width)).collect();
            self.blocks = Blocks::plan(width, &self.bounds, rows.is_wide);
            self.source = (width, rows.is_wide);
        }
        let blocks = self.blocks.as_ref().filter(|_| rows.step == 1);
        for (y, line) in cells.chunks_exact_mut(self.cells.0).enumerate() {
            let (first, end) = cell(y, self.cells.1, height);
            // Takes the middle of each of equal parts of the cell; a row of a low picture may be read more than once.
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

/// Returns the range of `length` samples that one of `n` cells covers. It is never empty, so that small pictures are enlarged.
fn cell(index: usize, n: usize, length: usize) -> (usize, usize) {
    let first = index * length / n;
    (first, ((index + 1) * length / n).max(first + 1))
}

/// Sums a block of each row. It is written so that a compiler turns it into operations on whole registers.
fn sum_block([a, b, c, d]: [&[u8]; N_ROWS], start: usize) -> u32 {
    let end = start + BLOCK;
    let (a, b, c, d) = (&a[start..end], &b[start..end], &c[start..end], &d[start..end]);
    let lanes: [u16; BLOCK] = std::array::from_fn(|at| u16::from(a[at]) + u16::from(b[at]) + u16::from(c[at]) + u16::from(d[at]));
    let lanes: [u16; BLOCK / 2] = std::array::from_fn(|at| lanes[at] + lanes[at + BLOCK / 2]);
    let lanes: [u16; BLOCK / 4] = std::array::from_fn(|at| lanes[at] + lanes[at + BLOCK / 4]);
    u32::from(lanes[0] + lanes[1] + lanes[2] + lanes[3])
}

/// Sums a short block of each row, eight samples of a machine word at once.
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

/// Sums a block of each row of two-byte samples.
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

/// Sums columns cell by cell, taking one component if two are interleaved.
fn sum_cells<S: Copy + Into<u32>>(sums: &[S], bounds: &[(usize, usize)], rows: &Rows<'_>, levels: Levels, line: &mut [u8]) {
    for (value, (first, end)) in line.iter_mut().zip(bounds) {
        let part = &sums[first * rows.step..end * rows.step];
        let sum = part.iter().skip(rows.first).step_by(rows.step).map(|sum| (*sum).into()).sum();
        *value = levels.value(sum, 1.0 / ((end - first) * N_ROWS) as f32);
    }
}
