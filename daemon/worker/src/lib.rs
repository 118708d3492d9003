//! `scened-worker`: the process that decodes one video (`media`) or owns the model sessions (`embed`).
//!
//! The daemon starts it, speaks [`scened_common::pipe`] with it over standard input and output, and reads its log from standard error. It
//! ends with its parent. A crash here is an incident for the daemon, never its end. The library has one function, [`run`], and `main.rs`
//! only calls it.

mod embed;
mod media;
mod priority;

/// Private items that the programs in `examples/` measure.
#[cfg(feature = "examples")]
pub mod doors {
    pub use crate::media::decode::gops::rows;
    pub use crate::media::picture_times;
}

use std::io::Write as _;
use std::process::ExitCode;

use scened_common::media::extras::Extras;

/// Runs the role that the arguments name, with its options, and returns the exit status. The program's name is not among the arguments.
pub fn run(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let role = arguments.next().unwrap_or_default();
    let (mut allow_unsandboxed, mut extras) = (false, Extras::default());
    for argument in arguments {
        allow_unsandboxed |= argument == media::sandbox::ALLOW_UNSANDBOXED;
        extras.take_argument(&argument);
    }
    let ended = match role.as_str() {
        "media" => media::run(allow_unsandboxed, &extras),
        "embed" => embed::run(),
        "--version" => print_version(),
        "--sandbox" => media::sandbox::try_out(),
        "--allowed" => print_allowed(&extras),
        _ => Err(anyhow::anyhow!(
            "scened-worker is started by scened, as `scened-worker media` or `scened-worker embed`"
        )),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

/// Writes an error to standard error, where the daemon reads a worker's last words.
fn complain(error: &anyhow::Error) {
    // Standard error may be closed, and there is nobody else to tell.
    let _written = writeln!(std::io::stderr(), "scened-worker: {error:#}");
}

/// Prints the containers and codecs that videos may consist of.
fn print_allowed(extras: &Extras) -> anyhow::Result<()> {
    let allowed = media::decode::allowed::describe(extras).map_err(anyhow::Error::msg)?;
    Ok(writeln!(std::io::stdout(), "{allowed}")?)
}

/// Prints a line that changes whenever a part that decodes changes. The daemon then tries incidents again.
fn print_version() -> anyhow::Result<()> {
    let (ours, ffmpeg) = (env!("CARGO_PKG_VERSION"), media::ffmpeg_version());
    Ok(writeln!(std::io::stdout(), "scened-worker {ours}, {ffmpeg}")?)
}
