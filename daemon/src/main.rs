//! `scened`, for now only `scened inspect FILE`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use scened::media::Detector;
use scened::media::inspect::{self, InspectOptions, Mode};

#[derive(Parser)]
#[command(name = "scened", version)]
enum Arguments {
    /// Runs the media worker on one file without a daemon and shows what it found.
    Inspect {
        file: PathBuf,
        /// How carefully to look for cuts: exact (fast is not built yet).
        #[arg(long, default_value = "exact")]
        mode: Mode,
        /// Which rule finds cuts: content or adaptive.
        #[arg(long, default_value = "content", value_parser = parse_detector)]
        detector: Detector,
        /// Decoder threads; 0 = one for each core allowed.
        #[arg(long, default_value_t = 0)]
        threads: u32,
        /// One JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
}

fn parse_detector(text: &str) -> Result<Detector, String> {
    match text {
        "content" => Ok(Detector::Content),
        "adaptive" => Ok(Detector::Adaptive),
        _ => Err(format!("{text:?} is no detector (content, adaptive)")),
    }
}

#[expect(clippy::print_stderr, reason = "a command line program says on standard error why it failed")]
fn main() -> ExitCode {
    let Arguments::Inspect {
        file,
        mode,
        detector,
        threads,
        json,
    } = Arguments::parse();
    let options = InspectOptions {
        mode,
        detector,
        json,
        threads,
        ..InspectOptions::default()
    };
    match inspect::run(&file, &options, &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scened: {error}");
            ExitCode::from(2)
        }
    }
}
