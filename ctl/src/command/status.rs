use scened_shared::client::ClientError;
use scened_shared::message::{Event, NoParams, Status};
use scened_shared::method;

use crate::command::Context;
use crate::failure::{Failure, Outcome};
use crate::render::color::Color;
use crate::render::progress::{self, Lines, Progress};
use crate::render::table::{Cell, Column, Table};
use crate::render::{Out, text, time};

pub(super) fn run(context: &mut Context, watch: bool) -> Result<Outcome, Failure> {
    if watch {
        return self::watch(context);
    }
    let status = context.ask::<method::Status>(&NoParams {})?;
    if context.out.json {
        context.out.json(&status)?;
    } else {
        show(&mut context.out, &status)?;
    }
    Ok(Outcome::Done)
}

/// Shows events until interrupted or until the daemon ends.
fn watch(context: &mut Context) -> Result<Outcome, Failure> {
    let mut events = context.connect()?.subscribe()?;
    let out = &mut context.out;
    if out.json {
        out.json(events.status())?;
    } else {
        show(out, events.status())?;
        out.flush()?;
    }
    let mut progress = Progress::new(out, Lines::Stdout);
    if out.is_interactive() && !out.json {
        progress.status(out, events.status())?;
    }
    let ended = events.try_for_each(|event| -> Result<(), Failure> {
        match event? {
            Event::Status { status } if out.json => out.json(&status)?,
            _ if out.json => {}
            event => progress.event(out, &event)?,
        }
        Ok(())
    });
    progress.clear();
    ended.and(Err(ClientError::Ended.into()))
}

fn show(out: &mut Out, status: &Status) -> Result<(), Failure> {
    let mut rows = Table::new(&[Column::Left, Column::Left]);
    let mut row = |label: &str, value: String| rows.row(vec![Cell::colored(label, Color::Dim), Cell::new(value)]);
    row("state", progress::activity(status));
    row("videos", progress::coverage(&status.videos));
    row("scenes", text::number(status.scenes));
    let provider = if status.provider == "none" {
        "not loaded".to_owned()
    } else {
        format!("on {}", text::escape(&status.provider))
    };
    row("model", format!("{}, {provider}", text::escape(&status.model)));
    if let Some(change) = &status.model_change {
        row("new model", progress::model_change(change));
    }
    // Software decoding is the expected case.
    if !status.decoder.is_empty() && status.decoder != "software" {
        row("decoder", text::escape(&status.decoder));
    }
    let queue = &status.queue;
    if queue.walks + queue.settling + queue.jobs > 0 {
        let parts = [(queue.walks, "folder walk"), (queue.settling, "settling file"), (queue.jobs, "job")];
        let parts: Vec<_> = parts
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| text::count(n, what))
            .collect();
        row("queue", parts.join(", "));
    }
    for current in &status.progress.current {
        let place = format!("{} of {}", time::moment(current.position_ms), time::moment(current.duration_ms));
        // Next to it: the widest label, and two gaps.
        let path = out.path_beside(&current.file, "daemon".len() + 4 + place.len());
        row("now", format!("{path}  {place}"));
    }
    if !status.version.is_empty() {
        row(
            "daemon",
            format!("scened {}, up {}", text::escape(&status.version), time::rough(status.uptime_ms)),
        );
    }
    out.table(rows)?;
    if !status.folders.is_empty() {
        out.line("")?;
        super::folders::show(out, &status.folders)?;
    }
    if status.n_incidents > 0 {
        let line = format!(
            "{} could not be indexed: `scenectl incidents` lists them",
            text::count(status.n_incidents, "file")
        );
        let line = out.paint(Color::Yellow, &line);
        out.line(&line)?;
    }
    for warning in &status.warnings {
        let label = out.paint(Color::Yellow, "warning:");
        out.line(&format!("{label} {}", text::escape(warning)))?;
    }
    for notice in &status.notices {
        out.line(&format!("note: {}", text::escape(notice)))?;
    }
    Ok(())
}
