use std::ffi::OsStr;
use std::path::PathBuf;

use scened_shared::endpoint;
use scened_shared::message::{ModelRequest, ModelRow, ModelsAnswer, NoParams};
use scened_shared::method;

use crate::cli::Model;
use crate::command::Context;
use crate::failure::{Failure, Outcome};
use crate::input::place;
use crate::render::color::Color;
use crate::render::table::{Cell, Column, Table};
use crate::render::{Out, text};

mod available;
mod install;
mod probe;
mod wanted;

pub(super) fn run(context: &mut Context, verb: Model) -> Result<Outcome, Failure> {
    match verb {
        Model::List { available: true } => available::run(context),
        Model::List { available: false } => {
            let answer = context.ask::<method::ModelList>(&NoParams {})?;
            show(&mut context.out, &answer, list)
        }
        Model::Install(args) => install::run(context, &args),
        Model::Use { model, reindex } => {
            let wanted = ModelRequest {
                reindex,
                ..request(&model)?
            };
            let answer = context.ask::<method::ModelUse>(&wanted)?;
            show(&mut context.out, &answer, list)?;
            context
                .out
                .note("videos are embedded with it now; until that is done the old model answers (`scenectl status --watch`)")?;
            Ok(Outcome::Done)
        }
        Model::Info { model: Some(model) } => {
            let answer = context.ask::<method::ModelInfo>(&request(&model)?)?;
            show(&mut context.out, &answer, info)
        }
        Model::Info { model: None } => {
            let mut answer = context.ask::<method::ModelList>(&NoParams {})?;
            answer.models.retain(|model| model.active);
            show(&mut context.out, &answer, info)
        }
        Model::Remove { model } => {
            let answer = context.ask::<method::ModelRemove>(&request(&model)?)?;
            show(&mut context.out, &answer, list)
        }
    }
}

fn request(word: &OsStr) -> Result<ModelRequest, Failure> {
    let model = place::model(word).map_err(Failure::new)?;
    Ok(ModelRequest { model, reindex: false })
}

/// Returns the `models` folder of the data folder, where installed models are.
fn folder_of_models(context: &Context) -> Result<PathBuf, Failure> {
    Ok(endpoint::data_dir(context.data_dir.as_deref())?.join("models"))
}

fn show(out: &mut Out, answer: &ModelsAnswer, text: fn(&mut Out, &[ModelRow]) -> Result<(), Failure>) -> Result<Outcome, Failure> {
    if out.json {
        out.json(answer)?;
    } else {
        text(out, &answer.models)?;
    }
    Ok(Outcome::Done)
}

fn list(out: &mut Out, models: &[ModelRow]) -> Result<(), Failure> {
    let mut table = Table::new(&[Column::Left, Column::Left, Column::Right, Column::Right, Column::Left, Column::Path]);
    for model in models {
        let usable = model.state == "usable";
        table.row(vec![
            Cell::colored(if model.active { "*" } else { "" }, Color::Green),
            Cell::colored(text::escape(&model.name), Color::Bold),
            Cell::new(text::size(model.size_bytes)),
            Cell::new(text::count(model.videos, "video")),
            Cell::colored(text::escape(&model.state), if usable { Color::Green } else { Color::Yellow }),
            Cell::colored(out.path(&model.folder), Color::Dim),
        ]);
    }
    Ok(out.table(table)?)
}

fn info(out: &mut Out, models: &[ModelRow]) -> Result<(), Failure> {
    for model in models {
        let mut rows = Table::new(&[Column::Left, Column::Left]);
        let mut row = |label: &str, value: String| rows.row(vec![Cell::colored(label, Color::Dim), Cell::new(value)]);
        row(
            "name",
            format!("{}{}", text::escape(&model.name), if model.active { ", in use" } else { "" }),
        );
        row("state", text::escape(&model.state));
        row("folder", out.path(&model.folder));
        row("layout", text::escape(&model.layout));
        let crop = if model.crop.is_empty() {
            String::new()
        } else {
            format!(", crop {}", text::escape(&model.crop))
        };
        row("pictures", format!("{0} × {0} pixels{crop}", model.image_px));
        if let Some(dimensions) = model.dimensions {
            row("vectors", format!("{dimensions} numbers"));
        }
        row("size", text::size(model.size_bytes));
        row("indexed", text::count(model.videos, "video"));
        out.table(rows)?;
    }
    Ok(())
}
