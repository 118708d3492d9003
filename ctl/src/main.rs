//! `scenectl`, the client of scened: words in, one request, an answer out.
//!
//! `cli` defines what the user can type, and `input` turns text into values. `command` sends requests to the daemon (one file per verb).
//! `render` is the only place that prints (with `command/browse/tty`, which draws). `failure` decides the exit status, and `player` knows
//! how to play videos. Two other packages know neither the daemon nor the terminal: `montage` makes pages, playlists, timelines and clips,
//! and `scened-hub` downloads models.
//!
//! Before the connection is made, only the verb's own work happens: people type one search after another, and scripts run thousands.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;
mod command;
#[cfg(feature = "browse")]
mod failpoint;
mod failure;
mod input;
mod player;
mod render;

fn main() -> ExitCode {
    let cli = cli::Cli::try_parse().unwrap_or_else(|error| explain(&error));
    let mut context = command::Context::new(cli.global);
    let outcome = command::run(&mut context, cli.verb).and_then(|outcome| {
        context.out.flush()?;
        Ok(outcome)
    });
    match outcome {
        Ok(outcome) => outcome.status().into(),
        Err(failure) => {
            context.out.failure(&failure);
            failure.status().into()
        }
    }
}

/// Prints a command line error or the requested help (`--help`), and exits.
///
/// The message repeats the user's words, which may be file names that a shell expanded (`scenectl scenes *`). It is therefore built again
/// from escaped words.
fn explain(error: &clap::Error) -> ! {
    let words = scened_shared::terminal::escape_words(std::env::args_os());
    match cli::Cli::try_parse_from(words) {
        Err(error) => error.exit(),
        // The escaped words are valid: show the message for the original words, without the words.
        Ok(_) => clap::Error::new(error.kind()).exit(),
    }
}
