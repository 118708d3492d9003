//! Times the work on every frame of a video and on the frames that are kept: `picture_bench VIDEO [N_FRAMES]`.
//!
//! Decodes the first frames of a video once, then works on them in turn, so that each comes from memory and not from a cache. Prints one
//! object of JSON: microseconds of processor time for each frame, medians of seven rounds. Linux only.
//! `cargo run --release -p scened-worker --features examples --example picture_bench` runs it.

#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use std::path::Path;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("the first argument is a video")?;
    let n_frames: usize = arguments.next().map_or(Ok(24), |n| n.parse())?;
    println!("{}", scened_worker::doors::picture_times::measure(Path::new(&path), n_frames)?);
    Ok(())
}
