//! `scenectl`, the client of scened: words in, one request, an answer out.
//!
//! `cli` says what can be typed, `input` turns text into values, `command` asks the daemon (one file a verb), `render` is the only place
//! that prints (with `command/browse/tty`, which draws), `failure` decides the exit status, `player` knows how videos are shown. Two
//! packages beside this one know neither the daemon nor the terminal: `montage` makes pages, playlists, timelines and clips, and
//! `scened-hub` fetches models.
//!
//! Nothing but the verb's own work happens before the connection is made: people type searches one after another, and scripts run
//! thousands.

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

/// Says what is wrong with the command line, or what was asked for (`--help`), and ends.
///
/// The message repeats words, and words may be names of files that a shell put there (`scenectl scenes *`): it is made again of words
/// that can be shown.
fn explain(error: &clap::Error) -> ! {
    let words = scened_shared::terminal::escape_words(std::env::args_os());
    match cli::Cli::try_parse_from(words) {
        Err(error) => error.exit(),
        // Escaped it is right: then the message of the true words is shown without them.
        Ok(_) => clap::Error::new(error.kind()).exit(),
    }
}
