//! Shared by `search` and `similar`: filters, and hits as lines.

use std::collections::BTreeSet;

use scened_shared::client::Client;
use scened_shared::message::{Coverage, Filters, GroupBy, Hit, NoParams, SearchAnswer};
use scened_shared::method;

use crate::cli::{By, Selection};
use crate::command::files::{self, AnswerWithFiles, Contents, Written};
use crate::command::{Context, answer, open, preview, wire};
use crate::failure::{Failure, Outcome};
use crate::render::color::Color;
use crate::render::table::{Cell, Column, Table};
use crate::render::{Out, time};

pub(super) fn filters(selection: &Selection) -> Result<Filters, Failure> {
    Ok(Filters {
        within: selection.within.iter().map(|path| wire(path)).collect::<Result<_, _>>()?,
        since_ms: selection.since.map(|period| period.start_ms),
        until_ms: selection.until.map(|period| period.end_ms),
        min_duration_ms: selection.min_duration.map(|span| span.ms),
        max_duration_ms: selection.max_duration.map(|span| span.ms),
    })
}

pub(super) fn group_by(selection: &Selection) -> GroupBy {
    match selection.by {
        By::Video => GroupBy::Video,
        By::Scene => GroupBy::Scene,
    }
}

/// Shows an answer, writes the requested files, and opens a hit.
pub(super) fn show(context: &mut Context, mut client: Client, answer: &SearchAnswer, selection: &Selection) -> Result<Outcome, Failure> {
    let outcome = Outcome::found(!answer.hits.is_empty());
    let mut said = Vec::new();
    let contents = Contents::of_answer(answer);
    let written = files::write(&contents, context.out.home(), &mut client, &selection.files, &mut said);
    for note in said {
        context.out.note(&note)?;
    }
    let written = written?;
    // If nothing was found, there is nothing to open; that was reported already.
    let to_open = selection.open.filter(|_| !answer.hits.is_empty());
    if context.out.json {
        let opened = to_open.map(|rank| open::hit(context, &answer.hits, rank)).transpose()?;
        let files = &written;
        context.out.json(&AnswerWithFiles { answer, files, opened })?;
        return Ok(outcome);
    }
    let screen = if selection.preview { preview::screen(&context.out)? } else { None };
    match screen {
        Some(screen) => {
            preview::hits(context, &mut client, screen, &answer.hits)?;
            files::note(&mut context.out, &written)?;
        }
        None => print(&mut context.out, answer, selection, &written)?,
    }
    notes(&mut context.out, answer)?;
    if has_no_folder(answer, &mut client) {
        context.out.note("no folder is watched: add one with `scenectl add DIR`")?;
    }
    if let Some(rank) = to_open {
        context.out.flush()?;
        let opened = open::hit(context, &answer.hits, rank)?;
        let line = opened.line(&context.out);
        context.out.note(&line)?;
    }
    Ok(outcome)
}

/// Returns whether there is nothing to find because no folder was added yet. If there are videos, the daemon is not asked.
fn has_no_folder(answer: &SearchAnswer, client: &mut Client) -> bool {
    let Coverage {
        indexed,
        pending,
        failed,
        offline,
    } = answer.coverage;
    indexed + pending + failed + offline == 0
        && client
            .call::<method::Folders>(&NoParams {})
            .is_ok_and(|answer| answer.folders.is_empty())
}

fn print(out: &mut Out, answer: &SearchAnswer, selection: &Selection, written: &[Written]) -> Result<(), Failure> {
    if selection.paths || selection.null {
        let mut seen = BTreeSet::new();
        for hit in &answer.hits {
            let path = hit
                .file
                .to_path()
                .map_err(|e| Failure::new("the daemon sent an invalid path").cause(e.to_string()))?;
            if seen.insert(path.clone()) {
                out.bare_path(&path, if selection.null { 0 } else { b'\n' })?;
            }
        }
        files::note(out, written)?;
    } else if !written.is_empty() {
        // The results went to the requested files.
        files::report(out, written)?;
    } else {
        let table = table(out, &answer.hits);
        out.table(table)?;
    }
    Ok(())
}

fn notes(out: &mut Out, answer: &SearchAnswer) -> Result<(), Failure> {
    if let Some(note) = answer::completeness(&answer.coverage, answer.hits.is_empty()) {
        out.note(&note)?;
    }
    if answer::is_doubtful(&answer.hits) {
        out.note("note: probably nothing matches; these are the nearest scenes (--min-confidence 0.5 hides them)")?;
    }
    for notice in &answer.notices {
        out.note(&format!("note: {notice}"))?;
    }
    Ok(())
}

fn table(out: &Out, hits: &[Hit]) -> Table {
    let mut table = Table::new(&[Column::Right, Column::Right, Column::Path, Column::Left, Column::Note]);
    for (i, hit) in hits.iter().enumerate() {
        table.row(vec![
            Cell::colored((i + 1).to_string(), Color::Dim),
            Cell::new(format!("{:.2}", answer::shown_score(hit))),
            Cell::colored(out.path(&hit.file), Color::Bold),
            Cell::new(time::range(hit.start_ms, hit.end_ms)),
            Cell::colored(if hit.offline { "offline" } else { "" }, Color::Yellow),
        ]);
    }
    table
}
