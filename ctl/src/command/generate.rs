//! Completions and manual pages, generated from the definition of the command line.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::command::Context;
use crate::failure::{Failure, Outcome};

pub(super) fn completions(context: &mut Context, shell: Shell) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "scenectl", &mut script);
    context.out.bytes(&script)?;
    Ok(Outcome::Done)
}

pub(super) fn man(context: &mut Context, folder: Option<&Path>) -> Result<Outcome, Failure> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        context.out.bytes(&page)?;
        return Ok(Outcome::Done);
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|e| Failure::new(format!("the manual pages could not be written into {}", folder.display())).cause(e.to_string()))?;
    Ok(Outcome::Done)
}
