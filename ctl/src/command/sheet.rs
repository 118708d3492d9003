//! `sheet`: all scenes of a film on one page.

use std::path::{Path, PathBuf};

use scened_shared::message::FileRequest;
use scened_shared::method;

use crate::cli;
use crate::command::files::{self, Written};
use crate::command::{Context, moments, wire};
use crate::failure::{Failure, Outcome};
use crate::page::{Card, Sheet};
use crate::render::{text, time};
use crate::target::Target;

pub(super) fn run(context: &mut Context, args: &cli::Sheet) -> Result<Outcome, Failure> {
    let mut client = context.connect()?;
    let answer = client.call::<method::Scenes>(&FileRequest { file: wire(&args.file)? })?;
    let moments = moments::of_scenes(&mut client, &answer)?;
    let film = moments::path(&answer.file)?;
    let target = Target::new(
        &args.output.clone().unwrap_or_else(|| beside_us(&film)),
        args.force,
        [film.as_path()],
    )?;
    let pictures = moments::pictures(&mut client, &moments)?;
    let folder = film
        .parent()
        .map(|folder| text::path(folder, context.out.home()))
        .unwrap_or_default();
    let sheet = Sheet {
        title: film.file_name().map(|name| text::path(Path::new(name), None)).unwrap_or_default(),
        lead: format!(
            "{} in {} · {folder}",
            text::count(moments.len() as u64, "scene"),
            time::moment(answer.duration_ms)
        ),
        notes: moments.first().and_then(|moment| moment.reach.obstacle()).into_iter().collect(),
        cards: moments
            .iter()
            .zip(pictures)
            .map(|(moment, picture)| Card {
                moment,
                picture,
                label: None,
            })
            .collect(),
        is_one_film: true,
        home: context.out.home(),
        made_at: time::now(),
    };
    let size_bytes = target.write(sheet.to_html().as_bytes())?;
    let written = Written::new("html", target.path(), moments.len(), size_bytes);
    files::tell(&mut context.out, &[written])?;
    Ok(Outcome::Done)
}

/// Where the page goes unless somebody says otherwise: into the folder one stands in, named after the film.
fn beside_us(film: &Path) -> PathBuf {
    let mut name = film.file_name().unwrap_or_default().to_owned();
    name.push(".html");
    PathBuf::from(name)
}
