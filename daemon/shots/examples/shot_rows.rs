//! Writes the rows on which the shot detector decides, for its training.
//!
//! `shot_rows` reads sequences from standard input. Each is the number of its frames (u32, little endian), then for every frame its time
//! (i64, microseconds) and its glimpse (luma 48 × 64, Cb 24 × 32, Cr 24 × 32 bytes). For each sequence it writes to standard output the
//! rows about its frames (f32), the number of its steps (u32), the frame of each step (u32), and the rows about its steps (f32).

use std::io::{self, BufReader, BufWriter, Read, Write};

use scened_shots::Glimpse;
use scened_shots::features::{Frames, N_CUT, N_GRADUAL, Steps};

fn main() -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, io::stdin().lock());
    let mut output = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut count = [0; 4];
    while input.read_exact(&mut count).is_ok() {
        sequence(u32::from_le_bytes(count), &mut input, &mut output)?;
    }
    output.flush()
}

fn sequence(n_frames: u32, input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let mut frames = Frames::default();
    let mut steps = Steps::default();
    let mut glimpse = Glimpse::default();
    let (mut row, mut step_row) = ([0.0; N_CUT], [0.0; N_GRADUAL]);
    let (mut step_frames, mut step_rows) = (Vec::new(), Vec::new());
    for n in 0..n_frames {
        let mut time = [0; 8];
        input.read_exact(&mut time)?;
        let time_us = i64::from_le_bytes(time);
        input.read_exact(&mut glimpse.luma)?;
        input.read_exact(&mut glimpse.blue)?;
        input.read_exact(&mut glimpse.red)?;
        frames.blank().redraw(&glimpse);
        let sketch = frames.push(time_us, &mut row);
        write_row(output, &row)?;
        if steps.wants(time_us) {
            step_frames.push(n);
            if steps.push(time_us, sketch, &mut step_row).is_some() {
                step_rows.push(step_row);
            }
        }
    }
    while steps.finish(&mut step_row).is_some() {
        step_rows.push(step_row);
    }
    output.write_all(&(step_frames.len() as u32).to_le_bytes())?;
    for n in step_frames {
        output.write_all(&n.to_le_bytes())?;
    }
    step_rows.iter().try_for_each(|row| write_row(output, row))
}

fn write_row(output: &mut impl Write, row: &[f32]) -> io::Result<()> {
    row.iter().try_for_each(|value| output.write_all(&value.to_le_bytes()))
}
