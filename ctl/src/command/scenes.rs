use scened_shared::message::{FileRequest, SceneRow};
use scened_shared::method;

use crate::cli::Scenes;
use crate::command::{Context, check_file, preview, wire};
use crate::failure::{Failure, Outcome};
use crate::render::color::Color;
use crate::render::table::{Cell, Column, Table};
use crate::render::{text, time};

pub(super) fn run(context: &mut Context, args: &Scenes) -> Result<Outcome, Failure> {
    check_file(&args.file)?;
    let mut client = context.connect()?;
    let answer = client.call::<method::Scenes>(&FileRequest { file: wire(&args.file)? })?;
    let outcome = Outcome::found(!answer.scenes.is_empty());
    if context.out.json {
        context.out.json(&answer)?;
        return Ok(outcome);
    }
    let screen = if args.preview { preview::screen(&context.out)? } else { None };
    match screen {
        Some(screen) => preview::scenes(context, &mut client, screen, &answer.scenes)?,
        None => context.out.table(table(&answer.scenes))?,
    }
    let scenes = text::count(answer.scenes.len() as u64, "scene");
    let offline = if answer.offline { ", offline" } else { "" };
    context
        .out
        .note(&format!("{scenes} in {}{offline}", time::moment(answer.duration_ms)))?;
    Ok(outcome)
}

fn table(scenes: &[SceneRow]) -> Table {
    let mut table = Table::new(&[Column::Right, Column::Right, Column::Right, Column::Left]);
    for (i, scene) in scenes.iter().enumerate() {
        table.row(vec![
            Cell::colored((i + 1).to_string(), Color::Dim),
            Cell::new(time::exact(scene.start_ms)),
            Cell::new(time::exact(scene.end_ms)),
            Cell::colored(text::escape(&scene.boundary), Color::Dim),
        ]);
    }
    table
}
