//! `scenectl`, the client of scened: words in, one request, an answer out.
//!
//! `cli` says what can be typed, `input` turns text into values, `command` asks the daemon (one file a verb), `render` is the only place
//! that prints, `failure` decides the exit status, `hub` downloads models. Nothing but the verb's own work happens before the connection is made: people type
//! searches one after another, and scripts run thousands.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;
mod command;
mod failure;
mod hub;
mod input;
mod render;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
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
