//! What `search` and `similar` share: filters, and hits as lines.

use std::collections::BTreeSet;

use scened_shared::client::Client;
use scened_shared::message::{Coverage, Filters, GroupBy, Hit, NoParams, SearchAnswer};
use scened_shared::method;

use crate::cli::{By, Selection};
use crate::command::files::{self, Contents, Shown, Written};
use crate::command::{Context, open, preview, wire};
use crate::failure::{Failure, Outcome};
use crate::render::color::Color;
use crate::render::table::{Cell, Column, Table};
use crate::render::{Out, text, time};

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

/// Shows an answer, writes what was asked for besides, and opens a hit.
pub(super) fn show(context: &mut Context, mut client: Client, answer: &SearchAnswer, selection: &Selection) -> Result<Outcome, Failure> {
    let outcome = Outcome::found(!answer.hits.is_empty());
    let mut said = Vec::new();
    let contents = Contents::of_answer(answer);
    let written = files::write(&contents, context.out.home(), &mut client, &selection.files, &mut said);
    for note in said {
        context.out.note(&note)?;
    }
    let written = written?;
    // Where nothing was found there is nothing to open, and that has been said.
    let to_open = selection.open.filter(|_| !answer.hits.is_empty());
    if context.out.json {
        let opened = to_open.map(|rank| open::hit(context, &answer.hits, rank)).transpose()?;
        let files = &written;
        context.out.json(&Shown { answer, files, opened })?;
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

/// Whether there is nothing to be found because nothing was added yet. Whoever has videos is not asked about.
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
        // What was found went where it was asked for.
        files::tell(out, written)?;
    } else {
        let table = table(out, &answer.hits);
        out.table(table)?;
    }
    Ok(())
}

fn notes(out: &mut Out, answer: &SearchAnswer) -> Result<(), Failure> {
    if let Some(note) = completeness(&answer.coverage, answer.hits.is_empty()) {
        out.note(&note)?;
    }
    if is_doubtful(&answer.hits) {
        out.note("note: what was asked for is probably not there; these come nearest (--min-confidence 0.5 leaves them out)")?;
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
            Cell::new(format!("{:.2}", shown_score(hit))),
            Cell::colored(out.path(&hit.file), Color::Bold),
            Cell::new(time::range(hit.start_ms, hit.end_ms)),
            Cell::colored(if hit.offline { "offline" } else { "" }, Color::Yellow),
        ]);
    }
    table
}

/// What ranks the videos, where they are the rows; else how sure the hit is, where that is known.
pub(super) fn shown_score(hit: &Hit) -> f32 {
    hit.video_score.or(hit.confidence).unwrap_or(hit.score)
}

/// Less is more likely wrong than right.
const SURE: f32 = 0.5;

/// Whether every hit is more likely wrong than right.
fn is_doubtful(hits: &[Hit]) -> bool {
    let surest = hits.iter().filter_map(|hit| hit.confidence).max_by(f32::total_cmp);
    surest.is_some_and(|confidence| confidence < SURE)
}

/// What a user should know about an answer that is empty or incomplete.
pub(super) fn completeness(coverage: &Coverage, is_empty: bool) -> Option<String> {
    let mut parts = Vec::new();
    if is_empty {
        parts.push(format!("nothing found in {}", text::count(coverage.indexed, "indexed video")));
    }
    let missing = [
        (coverage.pending, "pending"),
        (coverage.failed, "failed"),
        (coverage.offline, "offline"),
    ];
    for (n, what) in missing.into_iter().filter(|(n, _)| *n > 0) {
        let first = parts.len() == usize::from(is_empty);
        parts.push(if first {
            format!("{} {what}", text::count(n, "video"))
        } else {
            format!("{} {what}", text::number(n))
        });
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_answer_says_so() {
        let check = |numbers: [u64; 4], is_empty: bool, expected: Option<&str>| {
            let [indexed, pending, failed, offline] = numbers;
            let coverage = Coverage {
                indexed,
                pending,
                failed,
                offline,
            };
            assert_eq!(completeness(&coverage, is_empty).as_deref(), expected);
        };
        check([97, 0, 0, 0], false, None);
        check([97, 2, 0, 1], false, Some("2 videos pending, 1 offline"));
        check([97, 0, 1, 0], false, Some("1 video failed"));
        check([97, 0, 0, 0], true, Some("nothing found in 97 indexed videos"));
        check([1, 2, 0, 0], true, Some("nothing found in 1 indexed video, 2 videos pending"));
    }
}
