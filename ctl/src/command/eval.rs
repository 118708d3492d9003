//! `eval`: asks queries whose right moments are known, and reports how well they were found.
//!
//! `queries` reads and writes the file, `figures` computes without a daemon. It asks as any client does, so that it measures what a user
//! gets: the daemon's settings, its model and its ranking.

mod figures;
mod queries;
#[cfg(test)]
mod tests;

use std::path::Path;

use montage::output_file::OutputFile;
use montage::page::{Card, Sheet};
use scened_shared::client::Client;
use scened_shared::message::{Filters, GroupBy, Hit, SearchRequest};
use scened_shared::method;
use serde::Serialize;

use crate::cli;
#[cfg(feature = "browse")]
use crate::command::browse;
use crate::command::files::Written;
use crate::command::{Context, files, moments};
use crate::failure::{Failure, Outcome};
use crate::render::color::Color;
use crate::render::table::{Cell, Column, Table};
use crate::render::{text, time};
use figures::{Answered, Figures};

/// Number of the worst queries that are shown.
const N_WORST: usize = 10;

pub(super) fn run(context: &mut Context, args: &cli::Eval) -> Result<Outcome, Failure> {
    #[cfg(feature = "browse")]
    if args.record {
        return record(context, &args.file);
    }
    let queries = queries::read(&args.file)?;
    let page = match &args.html {
        Some(page) => {
            let keep = [args.file.as_path()];
            Some(OutputFile::new(page, args.force, keep)?)
        }
        None => None,
    };
    let mut client = context.connect()?;
    let mut model = String::new();
    let mut answered = Vec::with_capacity(queries.len());
    for query in queries {
        let request = SearchRequest {
            query: query.text.clone(),
            n: args.n,
            not: Vec::new(),
            by: GroupBy::Scene,
            min_confidence: None,
            filters: Filters::default(),
        };
        let answer = client.call::<method::Search>(&request)?;
        if !model.is_empty() && model != answer.model {
            return Err(Failure::new(format!(
                "the model changed from {model} to {} while the queries were asked",
                answer.model
            ))
            .hint("try again; `scenectl status` shows when a model takes over"));
        }
        model = answer.model;
        answered.push(Answered::new(query, answer.hits)?);
    }
    let figures = Figures::of(&answered, args.n);
    let missed = figures.below(&args.at_least)?;
    let worst = figures::worst(&answered, N_WORST);
    let written = match page {
        Some(page) => vec![write_page(context, &mut client, &page, &model, &figures, &worst)?],
        None => Vec::new(),
    };
    if context.out.json {
        let worst = worst.iter().map(|one| Worst::of(one)).collect();
        context.out.json(&Report {
            model: &model,
            figures: &figures,
            worst,
            missed: &missed,
            files: &written,
        })?;
    } else {
        print(context, &model, &figures, &worst)?;
        files::note(&mut context.out, &written)?;
    }
    for line in &missed {
        context.out.note(line)?;
    }
    Ok(Outcome::found(missed.is_empty()))
}

/// Lets the user mark right hits in the finder, and adds them to the file.
#[cfg(feature = "browse")]
fn record(context: &mut Context, file: &Path) -> Result<Outcome, Failure> {
    // A file that cannot be read must not be found out after the marking.
    queries::check_to_record(file)?;
    let marked = browse::choose(context)?;
    let n = queries::record(file, &marked)?;
    let shown = text::path(file, context.out.home());
    context
        .out
        .note(&format!("{} added to {shown}", text::count(n as u64, "right moment")))?;
    Ok(Outcome::found(n > 0))
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    model: &'a str,
    #[serde(flatten)]
    figures: &'a Figures,
    worst: Vec<Worst<'a>>,
    /// The limits of `--at-least` that were not reached, in words.
    missed: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    files: &'a [Written],
}

#[derive(Debug, Serialize)]
struct Worst<'a> {
    query: &'a str,
    /// Rank of the first right hit; `null` if there is none.
    rank: Option<usize>,
    /// What came first.
    first: Option<&'a Hit>,
    right: &'a [queries::Right],
}

impl<'a> Worst<'a> {
    fn of(answered: &'a Answered) -> Self {
        Self {
            query: &answered.query.text,
            rank: answered.rank(),
            first: answered.hits.first(),
            right: &answered.query.right,
        }
    }
}

fn print(context: &mut Context, model: &str, figures: &Figures, worst: &[&Answered]) -> Result<(), Failure> {
    let out = &mut context.out;
    let mut table = Table::new(&[Column::Left, Column::Right, Column::Left]);
    for (name, value, remark) in figures.lines(model) {
        table.row(vec![
            Cell::new(name),
            Cell::colored(value, Color::Bold),
            Cell::colored(remark, Color::Dim),
        ]);
    }
    out.table(table)?;
    if !figures.calibration.is_empty() {
        out.line("")?;
        out.line("Confidence of first hits, and how many of them are right:")?;
        let n_first: usize = figures.calibration.iter().map(|bin| bin.n).sum();
        let mut table = Table::new(&[Column::Left, Column::Right, Column::Right]);
        for bin in &figures.calibration {
            table.row(vec![
                Cell::new(format!("{:.1} to {:.1}", bin.from, bin.to)),
                Cell::new(format!("{} of {n_first} first hits", bin.n)),
                Cell::new(format!("{:.2} right", bin.right)),
            ]);
        }
        out.table(table)?;
    }
    if worst.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.line("The worst, and what came first:")?;
    let mut table = Table::new(&[Column::Right, Column::Left, Column::Path, Column::Left]);
    for answered in worst {
        let (path, range) = match answered.hits.first() {
            Some(hit) => (out.path(&hit.file), time::range(hit.start_ms, hit.end_ms)),
            None => (String::from("nothing"), String::new()),
        };
        table.row(vec![
            Cell::colored(rank_in_words(answered), Color::Dim),
            Cell::new(text::escape(&answered.query.text)),
            Cell::colored(path, Color::Bold),
            Cell::new(range),
        ]);
    }
    out.table(table)?;
    Ok(())
}

fn rank_in_words(answered: &Answered) -> String {
    match answered.rank() {
        Some(rank) => format!("rank {rank}"),
        None => "not found".to_owned(),
    }
}

fn write_page(
    context: &Context,
    client: &mut Client,
    page: &OutputFile,
    model: &str,
    figures: &Figures,
    worst: &[&Answered],
) -> Result<Written, Failure> {
    let shown: Vec<&Answered> = worst.iter().copied().filter(|answered| !answered.hits.is_empty()).collect();
    let hits: Vec<Hit> = shown.iter().map(|answered| answered.hits[0].clone()).collect();
    let moments = moments::of_hits(client, &hits)?;
    let pictures = moments::pictures(client, &moments)?;
    let notes = figures
        .lines(model)
        .into_iter()
        .map(|(name, value, remark)| format!("{name}: {value} {remark}").trim_end().to_owned())
        .collect();
    let sheet = Sheet {
        title: "Evaluation".to_owned(),
        lead: format!("the worst {} of {} queries, with what came first", shown.len(), figures.n_queries),
        notes,
        cards: shown
            .iter()
            .zip(&moments)
            .zip(pictures)
            .map(|((answered, moment), picture)| Card {
                moment,
                picture,
                label: Some(format!("{} ({})", answered.query.text, rank_in_words(answered))),
            })
            .collect(),
        is_one_video: false,
        home: context.out.home(),
        made_at: time::now(),
    };
    let size_bytes = page.write(sheet.to_html().as_bytes())?;
    Ok(Written::new("html", page.path(), shown.len(), size_bytes))
}
