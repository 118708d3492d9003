//! `scened-worker`: the process that decodes one video (`media`) or owns the model sessions (`embed`).
//!
//! Started by the daemon, which speaks [`scened::worker::pipe`] with it over standard input and output and reads its log from
//! standard error. It dies with its parent, and a crash here is an incident there, never the daemon's end.

mod embed;
mod manners;
mod media;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let allow_unsandboxed = arguments
        .next()
        .is_some_and(|argument| argument == media::sandbox::ALLOW_UNSANDBOXED);
    let ended = match role.as_str() {
        "media" => media::run(allow_unsandboxed),
        "embed" => embed::run(),
        "--version" => {
            print_version();
            Ok(())
        }
        "--sandbox" => media::sandbox::try_out(),
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

#[expect(clippy::print_stderr, reason = "standard error is where the daemon reads a worker's last words")]
fn complain(error: &anyhow::Error) {
    eprintln!("scened-worker: {error:#}");
}

/// One line that changes when anything that decodes changes: incidents are tried again then.
#[expect(clippy::print_stdout, reason = "the answer to --version")]
fn print_version() {
    println!("scened-worker {}, {}", env!("CARGO_PKG_VERSION"), media::ffmpeg_version());
}
