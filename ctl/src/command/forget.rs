use std::io::{self, IsTerminal as _};

use scened_shared::message::{ForgetAnswer, ForgetRequest};
use scened_shared::method;

use crate::cli::Forget;
use crate::command::{Context, wire};
use crate::failure::{Failure, Outcome};
use crate::render::{text, time};

pub(super) fn run(context: &mut Context, args: &Forget) -> Result<Outcome, Failure> {
    let file = wire(&args.folder)?;
    let request = |dry_run| ForgetRequest {
        file: file.clone(),
        dry_run,
    };
    let mut client = context.connect()?;
    let folder = context.out.path(&file);
    if !args.yes {
        let would = client.call::<method::Forget>(&request(true))?;
        if would.n_videos > 0 {
            if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
                return Err(Failure::new(format!(
                    "{folder}: {} would be dropped from the index, and scenectl cannot ask, because this is not a terminal",
                    amount(&would)
                ))
                .hint("use --yes to drop them"));
            }
            let question = format!("Forget {} of {folder}?{} The files stay.", amount(&would), kept(&would));
            if !context.out.confirm(&question)? {
                context.out.note("nothing was forgotten")?;
                return Ok(Outcome::Nothing);
            }
        }
    }
    let answer = client.call::<method::Forget>(&request(false))?;
    let out = &mut context.out;
    if out.json {
        out.json(&answer)?;
    } else if answer.n_videos > 0 {
        let line = format!("forgot {} of {folder}.{}", amount(&answer), kept(&answer));
        out.line(&line)?;
    } else {
        let note = format!("nothing to forget in {folder}.{}", kept(&answer));
        out.note(&note)?;
    }
    Ok(if answer.n_videos > 0 { Outcome::Done } else { Outcome::Nothing })
}

/// Describes what is dropped: videos, scenes, length, and how many of them are offline.
fn amount(answer: &ForgetAnswer) -> String {
    let offline = if answer.n_offline == answer.n_videos {
        "offline".to_owned()
    } else {
        format!("{} offline, the others in no watched folder", text::number(answer.n_offline))
    };
    format!(
        "{} ({}, {}; {offline})",
        text::count(answer.n_videos, "video"),
        text::count(answer.n_scenes, "scene"),
        time::rough(answer.duration_ms)
    )
}

fn kept(answer: &ForgetAnswer) -> String {
    match answer.n_kept {
        0 => String::new(),
        1 => " 1 video is there and watched, and stays.".to_owned(),
        n => format!(" {} videos are there and watched, and stay.", text::number(n)),
    }
}
