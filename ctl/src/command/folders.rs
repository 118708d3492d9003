use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use scened_shared::message::{AddRequest, Folder, NoParams, RemoveAnswer, RemoveRequest};
use scened_shared::method;
use scened_shared::wire_path::WirePath;

use crate::cli::Remove;
use crate::command::{Context, wire};
use crate::failure::{Failure, Outcome};
use crate::render::color::Color;
use crate::render::table::{Cell, Column, Table};
use crate::render::{Out, progress, text, time};

pub(super) fn list(context: &mut Context) -> Result<Outcome, Failure> {
    let answer = context.ask::<method::Folders>(&NoParams {})?;
    let out = &mut context.out;
    if out.json {
        out.json(&answer)?;
    } else if answer.folders.is_empty() {
        out.note("no folder is watched: add one with `scenectl add DIR`")?;
    } else {
        show(out, &answer.folders)?;
    }
    Ok(Outcome::Done)
}

/// Adds one folder after the other. The first that cannot be watched ends the command; those before it stay watched.
pub(super) fn add(context: &mut Context, folders: &[PathBuf]) -> Result<Outcome, Failure> {
    let requests: Vec<AddRequest> = folders
        .iter()
        .map(|folder| wire(folder).map(|file| AddRequest { file }))
        .collect::<Result<_, _>>()?;
    let mut client = context.connect()?;
    for request in requests {
        let answer = client.call::<method::Add>(&request)?;
        let out = &mut context.out;
        if out.json {
            out.json(&answer)?;
        } else {
            let line = format!("watching {}", out.path(&request.file));
            out.line(&line)?;
        }
    }
    Ok(Outcome::Done)
}

/// Removes one folder after the other. If the user declines one, it and those after it are kept.
pub(super) fn remove(context: &mut Context, args: &Remove) -> Result<Outcome, Failure> {
    let folders: Vec<WirePath> = args.folders.iter().map(|folder| wire(folder)).collect::<Result<_, _>>()?;
    for file in folders {
        if remove_one(context, args, &file)? == Outcome::Nothing {
            return Ok(Outcome::Nothing);
        }
    }
    Ok(Outcome::Done)
}

fn remove_one(context: &mut Context, args: &Remove, file: &WirePath) -> Result<Outcome, Failure> {
    let request = |dry_run| RemoveRequest {
        file: file.clone(),
        keep: args.keep,
        dry_run,
    };
    let mut client = context.connect()?;
    if !args.yes && !args.keep {
        let would = client.call::<method::Remove>(&request(true))?;
        if !confirmed(&mut context.out, &request(true), &would)? {
            context.out.note("nothing was removed")?;
            return Ok(Outcome::Nothing);
        }
    }
    let answer = client.call::<method::Remove>(&request(false))?;
    let out = &mut context.out;
    if out.json {
        out.json(&answer)?;
        return Ok(Outcome::Done);
    }
    let videos = text::count(answer.n_videos, "video");
    let fate = if args.keep {
        format!("{videos} kept, offline")
    } else {
        format!("{videos} dropped from the index")
    };
    let line = format!("no longer watching {}: {fate}", out.path(file));
    out.line(&line)?;
    Ok(Outcome::Done)
}

fn confirmed(out: &mut Out, request: &RemoveRequest, would: &RemoveAnswer) -> Result<bool, Failure> {
    if would.n_videos == 0 {
        return Ok(true);
    }
    let folder = out.path(&request.file);
    let videos = text::count(would.n_videos, "video");
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::new(format!(
            "{folder}: {videos} would be dropped from the index, and scenectl cannot ask, because this is not a terminal"
        ))
        .hint("use --yes to drop them, or --keep to keep them"));
    }
    let question = format!("Stop watching {folder} and drop {videos} from the index? The files stay.");
    Ok(out.confirm(&question)?)
}

pub(super) fn show(out: &mut Out, folders: &[Folder]) -> io::Result<()> {
    let mut table = Table::new(&[Column::Path, Column::Left, Column::Left, Column::Left]);
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64);
    for folder in folders {
        let color = if folder.state == "watched" { Color::Green } else { Color::Yellow };
        table.row(vec![
            Cell::new(out.path(&folder.file)),
            Cell::colored(text::escape(&folder.state), color),
            Cell::new(progress::coverage(&folder.videos)),
            Cell::colored(text::escape(&detail(folder, now_ms)), Color::Dim),
        ]);
    }
    out.table(table)
}

/// Explains why a folder is not watched, names its drive, and lists the drives missing from it, with the time each was last seen.
fn detail(folder: &Folder, now_ms: i64) -> String {
    let since = |volume: &str, last_seen_ms: i64| {
        let ago = time::rough(now_ms.saturating_sub(last_seen_ms).max(0) as u64);
        format!("{volume}, last seen {ago} ago")
    };
    let own = folder
        .volume
        .as_deref()
        .zip(folder.last_seen_ms)
        .map(|(volume, seen)| since(volume, seen));
    let away = folder
        .away
        .iter()
        .map(|away| format!("away: {}", since(&away.volume, away.last_seen_ms)));
    let parts: Vec<String> = folder.detail.clone().into_iter().chain(own).chain(away).collect();
    parts.join("; ")
}
