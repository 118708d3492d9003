//! The program `scened-worker`. What it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    scened_worker::run(std::env::args().skip(1))
}
