//! The program `scened-worker`. The library beside it has all the code.

use std::process::ExitCode;

fn main() -> ExitCode {
    scened_worker::run(std::env::args().skip(1))
}
