//! Prints what fast mode knows about each GOP of a video before it decodes it: `gop_rows VIDEO`.
//!
//! Each GOP is a line of JSON: its times, and the numbers that `decode/gops/skip/odds.rs` weighs. `training/gop_odds.py` fits that network.
//! `cargo build --release -p scened-worker --features examples --example gop_rows` builds this program.

#![expect(clippy::print_stdout, reason = "the rows are printed")]

use std::path::Path;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("the argument is a video")?;
    for row in scened_worker::doors::rows::rows(Path::new(&path))? {
        println!("{row}");
    }
    Ok(())
}
