//! `scened-worker`: the process that decodes one video (`media`) or owns the model sessions (`embed`).
//!
//! Started by the daemon, which speaks [`scened_common::pipe`] with it over standard input and output and reads its log from
//! standard error. It dies with its parent, and a crash here is an incident there, never the daemon's end.
//! The library has one function, [`run`]: `main.rs` is nothing else.

mod embed;
mod media;
mod priority;

/// What the programs of `examples/` measure: it needs what is private here.
#[cfg(feature = "examples")]
pub mod doors {
    pub use crate::media::decode::gops::rows;
    pub use crate::media::picture_times;
}

use std::io::Write as _;
use std::process::ExitCode;

use scened_common::media::extras::Extras;

/// Does what the arguments ask for (the role and its options, without the program's name), and gives the exit status.
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

/// Standard error is where the daemon reads a worker's last words.
fn complain(error: &anyhow::Error) {
    // It may be closed; there is nobody else to tell.
    let _written = writeln!(std::io::stderr(), "scened-worker: {error:#}");
}

/// What videos may be made of.
fn print_allowed(extras: &Extras) -> anyhow::Result<()> {
    let allowed = media::decode::allowed::describe(extras).map_err(anyhow::Error::msg)?;
    Ok(writeln!(std::io::stdout(), "{allowed}")?)
}

/// One line that changes when anything that decodes changes: incidents are tried again then.
fn print_version() -> anyhow::Result<()> {
    let (ours, ffmpeg) = (env!("CARGO_PKG_VERSION"), media::ffmpeg_version());
    Ok(writeln!(std::io::stdout(), "scened-worker {ours}, {ffmpeg}")?)
}
