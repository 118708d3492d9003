//! Formats the scores as tables in Markdown: an overview, then one table per detailed question.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::score::{Counts, Score};

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

fn row(into: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    writeln!(into, "| {} |", cells.join(" | ")).expect("writing to a string does not fail");
}

fn head(into: &mut String, title: &str, columns: &[String]) {
    write!(into, "\n### {title}\n\n").expect("writing to a string does not fail");
    row(into, columns.iter().cloned());
    row(
        into,
        std::iter::once("---".to_owned()).chain(columns.iter().skip(1).map(|_| "---:".to_owned())),
    );
}

/// Writes a table with one column per detector, and a row for each key that any of them has.
fn by_detector<T>(
    into: &mut String,
    title: &str,
    scores: &[&Score],
    pick: impl Fn(&Score) -> Vec<(String, T)>,
    show: impl Fn(&Score, &str, &T) -> String,
) {
    let keys: BTreeSet<String> = scores.iter().flat_map(|score| pick(score)).map(|(key, _)| key).collect();
    let columns: Vec<String> = std::iter::once(String::new())
        .chain(scores.iter().map(|score| score.name.clone()))
        .collect();
    head(into, title, &columns);
    for key in keys {
        let cells = scores.iter().map(|score| {
            pick(score)
                .iter()
                .find(|(own, _)| *own == key)
                .map_or_else(|| "–".to_owned(), |(_, value)| show(score, &key, value))
        });
        row(into, std::iter::once(key.clone()).chain(cells));
    }
}

fn listed<T: Clone>(map: &std::collections::BTreeMap<String, T>) -> Vec<(String, T)> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Returns the F1 of one class: its own recall, with the precision of all cuts or all graduals, because a false alarm has no class.
pub fn class_f1(score: &Score, class: &str, counts: &Counts) -> f64 {
    let precision = if class.starts_with("cut") {
        score.cuts.precision()
    } else {
        score.graduals.precision()
    };
    let recall = counts.recall();
    if precision + recall == 0.0 {
        0.0
    } else {
        2.0 * precision * recall / (precision + recall)
    }
}

/// Returns the overview, with a row for each detector. `strict` and `near` are the same detectors at tolerance 0 and 1.
pub fn overview(title: &str, strict: &[Score], near: &[Score]) -> String {
    let mut text = String::new();
    let columns = [
        "detector",
        "cuts F1",
        "P",
        "R",
        "cuts F1, same frame",
        "graduals F1",
        "P",
        "R",
        "all F1",
        "P on trap videos",
        "traps fooled by",
        "calm false",
        "wall s",
        "CPU s",
        "no answer",
    ];
    head(&mut text, title, &columns.map(str::to_owned));
    for (exact, score) in strict.iter().zip(near) {
        let (n_fooled, n_traps) = score
            .by_trap
            .values()
            .fold((0, 0), |(f, n), trap| (f + trap.n_fooled, n + trap.n_traps));
        row(
            &mut text,
            [
                score.name.clone(),
                percent(score.cuts.f1()),
                percent(score.cuts.precision()),
                percent(score.cuts.recall()),
                percent(exact.cuts.f1()),
                percent(score.graduals.f1()),
                percent(score.graduals.precision()),
                percent(score.graduals.recall()),
                percent(score.all.f1()),
                percent(score.trap_videos.precision()),
                format!("{n_fooled} of {n_traps}"),
                score.n_false_in_calm.to_string(),
                format!("{:.1}", score.wall_s),
                format!("{:.1}", score.cpu_s),
                format!("{} of {}", score.failed.len(), score.n_videos),
            ],
        );
    }
    text
}

/// Returns every table. `strict` and `near` are the same detectors at tolerance 0 and 1.
pub fn markdown(strict: &[Score], near: &[Score]) -> String {
    let mut text = overview("Detectors (cuts at tolerance 1 frame)", strict, near);
    let scores: Vec<&Score> = near.iter().collect();
    by_detector(
        &mut text,
        "F1 per class (recall in brackets, hits/there)",
        &scores,
        |s| listed(&s.by_class),
        |score, class, counts| {
            let n = counts.n_hits + counts.n_misses;
            format!(
                "{} ({}, {}/{n})",
                percent(class_f1(score, class, counts)),
                percent(counts.recall()),
                counts.n_hits
            )
        },
    );
    by_detector(
        &mut text,
        "Traps: how many drew a false alarm",
        &scores,
        |s| listed(&s.by_trap),
        |_, _, trap| format!("{} of {}", trap.n_fooled, trap.n_traps),
    );
    let f1 = |_: &Score, _: &str, counts: &Counts| percent(counts.f1());
    by_detector(
        &mut text,
        "F1 of cuts and graduals together, by set",
        &scores,
        |s| listed(&s.by_half),
        f1,
    );
    by_detector(
        &mut text,
        "F1 of cuts and graduals together, by codec",
        &scores,
        |s| listed(&s.by_codec),
        f1,
    );
    by_detector(
        &mut text,
        "F1 of cuts and graduals together, by size",
        &scores,
        |s| listed(&s.by_size),
        f1,
    );
    by_detector(
        &mut text,
        "Median distance of the boundary from the middle (fades: the darkest), ms",
        &scores,
        |s| listed(&s.middle_off_ms),
        |_, _, off| format!("{off:.0}"),
    );
    if near.iter().any(|score| !score.failed.is_empty()) {
        text.push_str("\n### Videos without an answer\n\n");
        for score in near {
            for (video, reason) in &score.failed {
                writeln!(text, "- {}: {video}: {reason}", score.name).expect("writing to a string does not fail");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(name: &str, hits: usize) -> Score {
        let cuts = Counts {
            n_hits: hits,
            n_misses: 10 - hits,
            n_false: 0,
        };
        Score {
            name: name.into(),
            cuts,
            all: cuts,
            by_class: [("cut: jump".to_owned(), cuts)].into(),
            ..Score::default()
        }
    }

    #[test]
    fn every_detector_has_a_row_and_a_column() {
        let scores = [score("ours", 10), score("theirs", 5)];
        let text = markdown(&scores, &scores);
        assert!(text.contains("| ours | 100.0 | 100.0 | 100.0 |"), "{text}");
        assert!(text.contains("| theirs | 66.7 | 100.0 | 50.0 |"), "{text}");
        assert!(text.contains("| cut: jump | 100.0 (100.0, 10/10) | 66.7 (50.0, 5/10) |"), "{text}");
    }

    #[test]
    fn a_failure_is_shown_with_its_reason() {
        let mut failing = score("theirs", 0);
        failing.failed.push(("a.mp4".into(), "cannot open".into()));
        let text = markdown(&[failing.clone()], &[failing]);
        assert!(text.contains("- theirs: a.mp4: cannot open"), "{text}");
    }
}
