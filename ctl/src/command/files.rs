//! Extra files that `search` and `similar` can write: a page, a playlist, a timeline.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use montage::moment::{Availability, Moment};
use montage::output_file::OutputFile;
use montage::page::{Card, Sheet};
use montage::playlist::Form;
use montage::{clock, timeline};
use scened_shared::client::Client;
use scened_shared::message::{Hit, SearchAnswer};
use scened_shared::wire_path::WirePath;
use serde::Serialize;

use crate::cli::Files;
use crate::command::open::Opened;
use crate::command::{answer, clocks, moments};
use crate::failure::Failure;
use crate::render::{Out, text, time};

/// A written file, in the form that `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Written {
    kind: &'static str,
    #[serde(flatten)]
    file: WirePath,
    /// Number of scenes in it.
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

/// An answer, with the files written and the hit opened.
#[derive(Serialize)]
pub(super) struct AnswerWithFiles<'a> {
    #[serde(flatten)]
    pub(super) answer: &'a SearchAnswer,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) files: &'a [Written],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) opened: Option<Opened>,
}

/// What is written: hits, and remarks about them.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    pub(super) title: &'a str,
    /// The line beneath the title of a page.
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
            remarks: answer::completeness(&answer.coverage, false)
                .into_iter()
                .chain(answer.notices.iter().cloned())
                .collect(),
            hits: &answer.hits,
        }
    }
}

/// Writes the requested files, or none if nothing was found. `notes` receives remarks, even if writing fails.
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
    // Check all targets before writing any.
    let target = |path: &PathBuf| OutputFile::new(path, files.force, sources.iter().copied());
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
    OutputFile::all_differ(&all.into_iter().flatten().collect::<Vec<_>>())?;
    let mut written = Vec::new();
    let mut put = |kind, target: &OutputFile, text: String, n_scenes| -> Result<(), Failure> {
        let size_bytes = target.write(text.as_bytes())?;
        written.push(Written::new(kind, target.path(), n_scenes, size_bytes));
        Ok(())
    };
    if let Some(target) = html {
        put("html", &target, page(home, client, contents, &moments)?, moments.len())?;
    }
    if let Some((target, form)) = playlist {
        let there = by_time(home, playable(home, &moments, notes)?, notes)?;
        put("playlist", &target, form.write(contents.title, &there), there.len())?;
    }
    if edl.is_some() || otio.is_some() {
        let told = by_time(home, moments, notes)?;
        let shots = clocks::of(&told, files.rate, notes);
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
    Form::of_extension(&OutputFile::extension(path)).ok_or_else(|| {
        Failure::new(format!("the extension of {} is not that of a playlist", text::path(path, None)))
            .hint("use .m3u8 or .xspf for VLC, or .mpv for mpv")
    })
}

/// Returns the moments that a player can open now; notes which are left out and where they are.
fn playable(home: Option<&Path>, moments: &[Moment], notes: &mut Vec<String>) -> Result<Vec<Moment>, Failure> {
    let mut last: Option<&Path> = None;
    for moment in moments {
        let Some(obstacle) = moment.availability.obstacle().filter(|_| last != Some(&moment.path)) else {
            continue;
        };
        notes.push(format!("left out of the playlist: {} ({obstacle})", text::path(&moment.path, home)));
        last = Some(&moment.path);
    }
    let there: Vec<Moment> = moments
        .iter()
        .filter(|moment| moment.availability == Availability::Present)
        .cloned()
        .collect();
    if there.is_empty() {
        return Err(Failure::new("no video of the playlist can be opened now; it was not written"));
    }
    Ok(there)
}

/// Converts moments to the file's own time, the only one that players and editing programs use. Notes those that no such time leads to.
fn by_time(home: Option<&Path>, moments: Vec<Moment>, notes: &mut Vec<String>) -> Result<Vec<Moment>, Failure> {
    let n_wanted = moments.len();
    let mut told = Vec::with_capacity(n_wanted);
    let mut left_out: BTreeMap<PathBuf, u64> = BTreeMap::new();
    for moment in moments {
        let path = moment.path.clone();
        if let Some(picture) = moment.picture.as_ref().filter(|picture| picture.track > 1) {
            let note = format!(
                "{} has {} video tracks, and its scenes are from track {}: a list cannot say which track to show",
                text::path(&path, home),
                picture.n_tracks,
                picture.track
            );
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        match in_file_time(moment) {
            Some(moment) => told.push(moment),
            None => *left_out.entry(path).or_default() += 1,
        }
    }
    for (path, n) in left_out {
        let note = format!(
            "left out: {} of {}, because its time stamps restart and no time leads there; `scenectl export` can cut it",
            text::count(n, "scene"),
            text::path(&path, home)
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    if told.is_empty() && n_wanted > 0 {
        return Err(Failure::new("none of these scenes can be reached by a time; it was not written"));
    }
    Ok(told)
}

fn in_file_time(moment: Moment) -> Option<Moment> {
    let picture = moment.picture.as_ref();
    let start_ms = clock::time(picture, moment.start_ms)?;
    let [_] = clock::pieces(picture, moment.start_ms, moment.end_ms)[..] else {
        return None;
    };
    // A part's exclusive end may be the first moment of another part.
    clock::time(picture, moment.end_ms.saturating_sub(1).max(moment.start_ms))?;
    let is_odd = picture.is_some_and(|picture| !picture.clock.is_empty());
    Some(Moment {
        end_ms: start_ms + moment.length_ms(),
        at_ms: clock::time(picture, moment.at_ms).unwrap_or(start_ms),
        video_ms: moment.video_ms.filter(|_| !is_odd),
        start_ms,
        ..moment
    })
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
            label: Some(format!("{:.2}", answer::shown_score(hit))),
        });
    let sheet = Sheet {
        title: contents.title.to_owned(),
        lead: contents.lead.clone(),
        notes: contents.remarks.clone(),
        cards: cards.collect(),
        is_one_video: false,
        home,
        made_at: time::now(),
    };
    Ok(sheet.to_html())
}

/// Prints a line per file.
pub(super) fn report(out: &mut Out, written: &[Written]) -> Result<(), Failure> {
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

/// Prints the same on standard error, next to an answer on standard output.
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
