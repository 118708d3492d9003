//! What `search` and `similar` write into files besides: a page, a playlist, a timeline.

use std::path::{Path, PathBuf};

use scened_shared::client::Client;
use scened_shared::message::SearchAnswer;
use scened_shared::wire_path::WirePath;
use serde::Serialize;

use crate::cli::Files;
use crate::command::{hits, moments};
use crate::failure::Failure;
use crate::moment::Moment;
use crate::page::{Card, Sheet};
use crate::render::{Out, text, time};
use crate::target::Target;

/// A file that was written, as `--json` tells it.
#[derive(Debug, Serialize)]
pub(super) struct Written {
    kind: &'static str,
    #[serde(flatten)]
    file: WirePath,
    /// Scenes in it.
    n: u64,
    size_bytes: u64,
}

impl Written {
    pub(super) fn new(kind: &'static str, path: &Path, n: usize, size_bytes: u64) -> Self {
        Self {
            kind,
            file: WirePath::new(path),
            n: n as u64,
            size_bytes,
        }
    }
}

/// An answer with what became of it.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    #[serde(flatten)]
    pub(super) answer: &'a SearchAnswer,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) files: &'a [Written],
}

/// Writes what was asked for; nothing where nothing was found.
pub(super) fn write(out: &Out, client: &mut Client, answer: &SearchAnswer, files: &Files) -> Result<Vec<Written>, Failure> {
    let mut written = Vec::new();
    if answer.hits.is_empty() || files.is_empty() {
        return Ok(written);
    }
    let moments = moments::of_hits(client, &answer.hits)?;
    let sources: Vec<&Path> = moments.iter().map(|moment| moment.path.as_path()).collect();
    // All targets are looked at before any is written.
    let target = |path: &PathBuf| Target::new(path, files.force, sources.iter().copied());
    let html = files.html.as_ref().map(target).transpose()?;
    if let Some(target) = html {
        let page = page(out, client, answer, &moments)?;
        let size_bytes = target.write(page.as_bytes())?;
        written.push(Written::new("html", target.path(), moments.len(), size_bytes));
    }
    Ok(written)
}

fn page(out: &Out, client: &mut Client, answer: &SearchAnswer, moments: &[Moment]) -> Result<String, Failure> {
    let pictures = moments::pictures(client, moments)?;
    let cards = moments.iter().zip(pictures).zip(&answer.hits).map(|((moment, picture), hit)| Card {
        moment,
        picture,
        label: Some(format!("{:.2}", hits::shown_score(hit))),
    });
    let notes = hits::completeness(&answer.coverage, false)
        .into_iter()
        .chain(answer.notices.iter().cloned());
    let sheet = Sheet {
        title: answer.query.clone(),
        lead: format!(
            "{}, best first · model {}",
            text::count(moments.len() as u64, "scene"),
            answer.model
        ),
        notes: notes.collect(),
        cards: cards.collect(),
        is_one_film: false,
        home: out.home(),
        made_at: time::now(),
    };
    Ok(sheet.to_html())
}

/// A line a file.
pub(super) fn tell(out: &mut Out, written: &[Written]) -> Result<(), Failure> {
    if out.json {
        for file in written {
            out.json(file)?;
        }
        return Ok(());
    }
    for file in written {
        let line = line(out, file);
        out.line(&line)?;
    }
    Ok(())
}

/// The same beside an answer that goes to standard output.
pub(super) fn note(out: &mut Out, written: &[Written]) -> Result<(), Failure> {
    for file in written {
        let line = format!("wrote {}", line(out, file));
        out.note(&line)?;
    }
    Ok(())
}

fn line(out: &Out, file: &Written) -> String {
    let scenes = text::count(file.n, "scene");
    format!("{}: {scenes}, {}", out.path(&file.file), text::size(file.size_bytes))
}
