//! `model list --available`: the catalog, and what of it is installed; needs no daemon.

use std::path::Path;

use scened_hub::catalog::{Catalog, CatalogRow, Entry};
use scened_hub::staging;
use serde::Serialize;

use crate::command::Context;
use crate::failure::{Failure, Outcome};
use crate::render::color::Color;
use crate::render::{Out, text};

#[derive(Serialize)]
struct Available {
    available: Vec<CatalogRow>,
}

pub(super) fn run(context: &mut Context) -> Result<Outcome, Failure> {
    let models = super::folder_of_models(context)?;
    let catalog = Catalog::read();
    let available: Vec<CatalogRow> = catalog.models.iter().map(|entry| entry.shown(state(entry, &models))).collect();
    let out = &mut context.out;
    if out.json {
        out.json(&Available { available })?;
    } else {
        show(out, &available)?;
    }
    Ok(Outcome::Done)
}

fn state(entry: &Entry, models: &Path) -> &'static str {
    if models.join(&entry.name).join("config.json").is_file() {
        "installed"
    } else if staging::is_begun(models, &entry.name) {
        "unfinished"
    } else if entry.unavailable.is_some() {
        "unavailable"
    } else {
        "available"
    }
}

/// Prints two lines per model, because one is too short.
fn show(out: &mut Out, available: &[CatalogRow]) -> Result<(), Failure> {
    for model in available {
        let color = match model.state {
            "installed" => Color::Green,
            "available" => Color::Dim,
            _ => Color::Yellow,
        };
        let research = if model.research_only { ", research only" } else { "" };
        let line = format!(
            "{}  {}  {}{}",
            out.paint(Color::Bold, &model.name),
            out.paint(color, model.state),
            model.licence,
            out.paint(Color::Yellow, research),
        );
        out.line(&line)?;
        let mut parts = vec![
            model.note.as_ref().unwrap_or(&model.purpose).clone(),
            model.languages.clone(),
            format!("{} numbers", model.dimensions),
            format!("{} px", model.image_px),
        ];
        parts.extend(model.size_bytes.iter().map(|(precision, bytes)| match bytes {
            Some(bytes) => format!("{precision} {}", text::size(*bytes)),
            None => precision.to_string(),
        }));
        let line = format!("    {}", parts.join(" · "));
        let line = out.paint(Color::Dim, &line);
        out.line(&line)?;
    }
    out.note("`scenectl model install NAME` downloads one; `scenectl model install OWNER/REPO` installs any other in these layouts")?;
    Ok(())
}
