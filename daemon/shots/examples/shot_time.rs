//! Measures what the shot detector costs: the median time of a frame over many short runs, on one thread.
//!
//! `shot_time [still|moving]`: the pictures are a texture with noise that keeps still, or slides by a pixel a frame.

use std::io::{self, Write};
use std::time::Instant;

use scened_shots::{CHROMA, Glimpse, LUMA, ShotDetector};

const FRAMES: usize = 250;
const RUNS: usize = 40;

fn main() -> io::Result<()> {
    let kind = std::env::args().nth(1).unwrap_or_else(|| "moving".to_owned());
    let frames: Vec<_> = (0..FRAMES).map(|n| texture(if kind == "still" { 0 } else { n }, n)).collect();
    let mut detector = ShotDetector::new();
    let mut costs = Vec::with_capacity(RUNS);
    let mut time_us = 0;
    for _ in 0..RUNS {
        let started = Instant::now();
        for frame in &frames {
            time_us += 40_000;
            detector.push(time_us, frame);
            while detector.next_found().is_some() {}
        }
        costs.push(started.elapsed().as_secs_f64() * 1e6 / FRAMES as f64);
    }
    costs.sort_by(f64::total_cmp);
    writeln!(
        io::stdout(),
        "{{\"pictures\": \"{kind}\", \"median_us\": {:.2}, \"best_us\": {:.2}, \"n_frames\": {}}}",
        costs[RUNS / 2],
        costs[0],
        RUNS * FRAMES
    )
}

fn texture(shift: usize, seed: usize) -> Glimpse {
    let value = |x: usize, y: usize| ((x + shift) * 7 % 61 * (y * 5 % 43) / 12 + (x * 31 + y * 17 + seed * 13) % 5) as u8;
    let mut glimpse = Glimpse::default();
    for (at, luma) in glimpse.luma.iter_mut().enumerate() {
        *luma = value(at % LUMA.0, at / LUMA.0);
    }
    for (at, blue) in glimpse.blue.iter_mut().enumerate() {
        *blue = 100 + value(2 * (at % CHROMA.0), 2 * (at / CHROMA.0)) / 8;
    }
    glimpse
}
