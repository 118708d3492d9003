//! `rescan` and `retry`: the daemon scans again, everywhere or in one place.

use std::path::Path;

use scened_shared::message::{DoneAnswer, ScopeRequest};
use scened_shared::method;

use crate::cli::Rescan;
use crate::command::{Context, wire};
use crate::failure::{Failure, Outcome};
use crate::render::text;

pub(super) fn rescan(context: &mut Context, args: &Rescan) -> Result<Outcome, Failure> {
    let scope = args.scope.as_deref().map(wire).transpose()?;
    let force = args.force;
    let answer = context.ask::<method::Rescan>(&ScopeRequest { scope, force })?;
    if force {
        if !answer.forced {
            return Err(
                Failure::new("this daemon is older than scenectl and does not know --force; it scanned without it")
                    .hint("restart it: systemctl --user restart scened"),
            );
        }
        return show(context, &answer, "decoding it again; until then search uses the old scenes");
    }
    let line = format!("scanning {} again", text::count(answer.n, "folder"));
    show(context, &answer, &line)
}

pub(super) fn retry(context: &mut Context, scope: Option<&Path>) -> Result<Outcome, Failure> {
    let scope = scope.map(wire).transpose()?;
    let answer = context.ask::<method::Retry>(&ScopeRequest { scope, force: false })?;
    let line = if answer.n == 0 {
        "no file had failed".to_owned()
    } else {
        format!("trying {} again", text::count(answer.n, "file"))
    };
    show(context, &answer, &line)
}

fn show(context: &mut Context, answer: &DoneAnswer, line: &str) -> Result<Outcome, Failure> {
    if context.out.json {
        context.out.json(answer)?;
    } else {
        context.out.line(line)?;
    }
    Ok(Outcome::Done)
}
