use std::path::Path;

use scened_shared::message::FileRequest;
use scened_shared::method;

use crate::command::{Context, wire};
use crate::failure::{Failure, Outcome};
use crate::render::color::Color;
use crate::render::table::{Cell, Column, Table};
use crate::render::{text, time};

pub(super) fn run(context: &mut Context, file: &Path) -> Result<Outcome, Failure> {
    let answer = context.ask::<method::Scenes>(&FileRequest { file: wire(file)? })?;
    let out = &mut context.out;
    let outcome = Outcome::found(!answer.scenes.is_empty());
    if out.json {
        out.json(&answer)?;
        return Ok(outcome);
    }
    let mut table = Table::new(&[Column::Right, Column::Right, Column::Right, Column::Left]);
    for (i, scene) in answer.scenes.iter().enumerate() {
        table.row(vec![
            Cell::colored((i + 1).to_string(), Color::Dim),
            Cell::new(time::exact(scene.start_ms)),
            Cell::new(time::exact(scene.end_ms)),
            Cell::colored(text::escape(&scene.boundary), Color::Dim),
        ]);
    }
    out.table(table)?;
    let scenes = text::count(answer.scenes.len() as u64, "scene");
    let offline = if answer.offline { ", offline" } else { "" };
    out.note(&format!("{scenes} in {}{offline}", time::moment(answer.duration_ms)))?;
    Ok(outcome)
}
