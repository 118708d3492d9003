//! The scorer as a program: reads truth and answers, prints tables.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use scened_bench::detections::Detector;
use scened_bench::manifest::Manifest;
use scened_bench::{manifest, score, table};

/// Scores scene detectors against videos whose edits are known.
#[derive(Parser)]
struct Arguments {
    /// The truth: manifests of rendered videos and of real clips
    #[arg(long, required = true, num_args = 1..)]
    manifest: Vec<PathBuf>,
    /// Refuse everything that is not of the tuning half
    #[arg(long)]
    for_tuning: bool,
    /// Also write every count as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also write the tables as Markdown
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// What detectors said: one file for each
    #[arg(required = true)]
    answers: Vec<PathBuf>,
}

/// Returns the overview again, over only those videos that all detectors could open. A video that a detector cannot open shows nothing
/// about its scenes. Empty if there is no such difference.
fn common(manifests: &[Manifest], detectors: &[Detector]) -> String {
    let able: Vec<Detector> = detectors
        .iter()
        .filter(|detector| detector.answers.values().any(|answer| answer.failed.is_none()))
        .cloned()
        .collect();
    let opened = score::opened_by_all(manifests, &able);
    let (n_all, n_opened) = (n_videos(manifests), n_videos(&opened));
    if n_all == n_opened || able.len() < 2 {
        return String::new();
    }
    let scored = |tolerance| {
        able.iter()
            .map(|detector| score::score(&opened, detector, tolerance))
            .collect::<Vec<_>>()
    };
    let title = format!("The same over the {n_opened} of {n_all} videos that all of these could open");
    table::overview(&title, &scored(0), &scored(1))
}

fn n_videos(manifests: &[Manifest]) -> usize {
    manifests.iter().map(|manifest| manifest.files.len()).sum()
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let manifests = arguments
        .manifest
        .iter()
        .map(|path| manifest::load(path))
        .collect::<Result<Vec<_>, _>>()?;
    manifest::check_together(&manifests, arguments.for_tuning)?;
    let mut detectors: Vec<Detector> = Vec::new();
    for path in &arguments.answers {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read the answers {}", path.display()))?;
        detectors.push(serde_json::from_str(&text).with_context(|| format!("{} does not hold a detector's answers", path.display()))?);
    }
    let scored = |tolerance| {
        detectors
            .iter()
            .map(|detector| score::score(&manifests, detector, tolerance))
            .collect::<Vec<_>>()
    };
    let (strict, near) = (scored(0), scored(1));
    let mut tables = table::markdown(&strict, &near);
    tables.push_str(&common(&manifests, &detectors));
    if let Some(path) = &arguments.json {
        let all: Vec<_> = strict.iter().chain(&near).collect();
        fs::write(path, serde_json::to_vec_pretty(&all)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &arguments.markdown {
        fs::write(path, &tables).with_context(|| format!("cannot write {}", path.display()))?;
    }
    std::io::stdout().write_all(tables.as_bytes())?;
    Ok(())
}
