//! What `search` and `similar` write into files besides: a page, a playlist, a timeline.

use std::path::{Path, PathBuf};

use scened_shared::client::Client;
use scened_shared::message::{Hit, SearchAnswer};
use scened_shared::wire_path::WirePath;
use serde::Serialize;

use crate::cli::Files;
use crate::command::open::Opened;
use crate::command::{clocks, hits, moments};
use crate::failure::Failure;
use crate::moment::{Moment, Reach};
use crate::page::{Card, Sheet};
use crate::playlist::Form;
use crate::render::{Out, text, time};
use crate::target::Target;
use crate::timeline;

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
pub(super) struct Shown<'a> {
    #[serde(flatten)]
    pub(super) answer: &'a SearchAnswer,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) files: &'a [Written],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) opened: Option<Opened>,
}

/// What is written: hits, and what is said of them.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    pub(super) title: &'a str,
    /// Beneath the title of a page.
    pub(super) lead: String,
    pub(super) remarks: Vec<String>,
    pub(super) hits: &'a [Hit],
}

impl<'a> Contents<'a> {
    pub(super) fn of_answer(answer: &'a SearchAnswer) -> Self {
        let n_hits = answer.hits.len() as u64;
        Self {
            title: &answer.query,
            lead: format!("{}, best first · model {}", text::count(n_hits, "scene"), answer.model),
            remarks: hits::completeness(&answer.coverage, false)
                .into_iter()
                .chain(answer.notices.iter().cloned())
                .collect(),
            hits: &answer.hits,
        }
    }
}

/// Writes what was asked for; nothing where nothing was found. `notes` gets what is to be said besides, also where it fails.
pub(super) fn write(
    contents: &Contents<'_>,
    home: Option<&Path>,
    client: &mut Client,
    files: &Files,
    notes: &mut Vec<String>,
) -> Result<Vec<Written>, Failure> {
    let form = files.playlist.as_deref().map(form).transpose()?;
    if contents.hits.is_empty() || files.is_empty() {
        return Ok(Vec::new());
    }
    let moments = moments::of_hits(client, contents.hits)?;
    let sources: Vec<&Path> = moments.iter().map(|moment| moment.path.as_path()).collect();
    // All targets are looked at before any is written.
    let target = |path: &PathBuf| Target::new(path, files.force, sources.iter().copied());
    let html = files.html.as_ref().map(target).transpose()?;
    let playlist = files.playlist.as_ref().map(target).transpose()?.zip(form);
    let edl = files.edl.as_ref().map(target).transpose()?;
    let otio = files.otio.as_ref().map(target).transpose()?;
    let all = [
        html.as_ref(),
        playlist.as_ref().map(|(target, _)| target),
        edl.as_ref(),
        otio.as_ref(),
    ];
    Target::all_differ(&all.into_iter().flatten().collect::<Vec<_>>())?;
    let mut written = Vec::new();
    let mut put = |kind, target: &Target, text: String, n_scenes| -> Result<(), Failure> {
        let size_bytes = target.write(text.as_bytes())?;
        written.push(Written::new(kind, target.path(), n_scenes, size_bytes));
        Ok(())
    };
    if let Some(target) = html {
        put("html", &target, page(home, client, contents, &moments)?, moments.len())?;
    }
    if let Some((target, form)) = playlist {
        let there = playable(home, &moments, notes)?;
        put("playlist", &target, form.write(contents.title, &there), there.len())?;
    }
    if edl.is_some() || otio.is_some() {
        let shots = clocks::of(&moments, files.rate, notes);
        if let Some(target) = otio {
            put("otio", &target, timeline::otio::write(contents.title, &shots), shots.len())?;
        }
        if let Some(target) = edl {
            let rate = clocks::one_rate(&shots, files.rate, notes);
            let n_events = shots.len().min(timeline::edl::MAX_EVENTS);
            if n_events < shots.len() {
                notes.push(format!("an edit list holds {n_events} scenes; the others are left out of it"));
            }
            put("edl", &target, timeline::edl::write(contents.title, rate, &shots), n_events)?;
        }
    }
    Ok(written)
}

fn form(path: &Path) -> Result<Form, Failure> {
    Form::of_extension(&Target::extension(path)).ok_or_else(|| {
        Failure::new(format!("{} names no form of playlist", text::path(path, None)))
            .hint("end the name in .m3u8 or .xspf (VLC keeps to their times), or in .mpv (mpv does)")
    })
}

/// The moments that a player can open now; says which are left out and where they are.
fn playable(home: Option<&Path>, moments: &[Moment], notes: &mut Vec<String>) -> Result<Vec<Moment>, Failure> {
    let mut last: Option<&Path> = None;
    for moment in moments {
        let Some(obstacle) = moment.reach.obstacle().filter(|_| last != Some(&moment.path)) else {
            continue;
        };
        notes.push(format!("left out of the playlist: {} ({obstacle})", text::path(&moment.path, home)));
        last = Some(&moment.path);
    }
    let there: Vec<Moment> = moments.iter().filter(|moment| moment.reach == Reach::There).cloned().collect();
    if there.is_empty() {
        return Err(Failure::new("no film of the playlist can be opened now; it was not written"));
    }
    Ok(there)
}

fn page(home: Option<&Path>, client: &mut Client, contents: &Contents<'_>, moments: &[Moment]) -> Result<String, Failure> {
    let pictures = moments::pictures(client, moments)?;
    let cards = moments
        .iter()
        .zip(pictures)
        .zip(contents.hits)
        .map(|((moment, picture), hit)| Card {
            moment,
            picture,
            label: Some(format!("{:.2}", hits::shown_score(hit))),
        });
    let sheet = Sheet {
        title: contents.title.to_owned(),
        lead: contents.lead.clone(),
        notes: contents.remarks.clone(),
        cards: cards.collect(),
        is_one_film: false,
        home,
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

pub(super) fn line(out: &Out, file: &Written) -> String {
    let scenes = text::count(file.n, "scene");
    format!("{}: {scenes}, {}", out.path(&file.file), text::size(file.size_bytes))
}
