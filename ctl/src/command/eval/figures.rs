//! Recall, precision, ranks and calibration of answered queries.

use std::path::PathBuf;

use scened_shared::message::Hit;
use serde::Serialize;

use crate::command::eval::queries::Query;
use crate::command::moments;
use crate::failure::Failure;
use crate::input::limit::{Figure, Limit};

/// Ranks at which recall is reported.
const RANKS: [usize; 3] = [1, 5, 10];
/// Bins of the calibration table.
const N_BINS: usize = 10;
/// Random samples of the queries from which the intervals are taken.
const N_SAMPLES: usize = 2000;

/// A query and its hits, best first.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) query: Query,
    pub(super) hits: Vec<Hit>,
    /// For each hit the number of the right moment that it shows.
    right: Vec<Option<usize>>,
}

impl Answered {
    /// **Errors**: the daemon sent an invalid path.
    pub(super) fn new(query: Query, hits: Vec<Hit>) -> Result<Self, Failure> {
        let paths = hits
            .iter()
            .map(|hit| moments::path(&hit.file))
            .collect::<Result<Vec<PathBuf>, _>>()?;
        let right = hits.iter().zip(&paths).map(|(hit, path)| {
            let is_right = |right: &&super::queries::Right| right.is_in(path, hit.start_ms, hit.end_ms);
            query.right.iter().position(|right| is_right(&right))
        });
        Ok(Self {
            right: right.collect(),
            query,
            hits,
        })
    }

    /// Returns the rank of the first right hit, from 1.
    pub(super) fn rank(&self) -> Option<usize> {
        self.right.iter().position(Option::is_some).map(|index| index + 1)
    }

    fn has_right(&self) -> bool {
        !self.query.right.is_empty()
    }

    /// Returns the average precision: the mean over all right moments of the precision at the hit that shows it first, or 0. A second hit of a
    /// moment that was found already counts neither as right nor as wrong.
    fn average_precision(&self) -> f64 {
        let (mut found, mut n_counted, mut sum) = (vec![false; self.query.right.len()], 0_u32, 0.0);
        let mut n_found = 0_u32;
        for right in &self.right {
            match right {
                Some(moment) if found[*moment] => {}
                Some(moment) => {
                    found[*moment] = true;
                    n_counted += 1;
                    n_found += 1;
                    sum += f64::from(n_found) / f64::from(n_counted);
                }
                None => n_counted += 1,
            }
        }
        sum / found.len() as f64
    }

    fn confidence(&self) -> Option<f64> {
        self.hits.first().and_then(|hit| hit.confidence).map(f64::from)
    }
}

/// A mean over queries, and the interval that holds 95 of 100 means of as many queries drawn at random from these.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Estimate {
    /// Returns the mean of `values`, which must not be empty, with a bootstrap interval. The same values give the same interval.
    fn of(values: &[f64]) -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let mean = |sum: f64| sum / values.len() as f64;
        let mut means: Vec<f64> = (0..N_SAMPLES)
            .map(|_| mean((0..values.len()).map(|_| values[random.usize(..values.len())]).sum()))
            .collect();
        means.sort_by(f64::total_cmp);
        Self {
            value: mean(values.iter().sum()),
            low: means[N_SAMPLES / 40],
            high: means[N_SAMPLES - 1 - N_SAMPLES / 40],
        }
    }
}

/// First hits whose confidence is in a range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Bin {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) n: usize,
    /// Their mean confidence.
    pub(super) confidence: f64,
    /// The share of them that is right.
    pub(super) right: f64,
}

/// The result. A figure is absent if no query can tell it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) n_queries: usize,
    /// Queries that have nothing to find.
    pub(super) n_without_right: usize,
    /// Number of hits that were asked for.
    pub(super) depth: u32,
    pub(super) r1: Option<Estimate>,
    pub(super) r5: Option<Estimate>,
    pub(super) r10: Option<Estimate>,
    /// Mean average precision.
    pub(super) map: Option<Estimate>,
    /// Mean rank of the first right hit; one that is not among the hits counts as the rank after the last.
    pub(super) mean_rank: Option<f64>,
    pub(super) median_rank: Option<f64>,
    /// How probable it is that a right first hit has a higher confidence than a wrong one, among queries that have something to find.
    pub(super) first_hit_auc: Option<f64>,
    /// How probable it is that the first hit of a query with something to find has a higher confidence than one of a query without.
    pub(super) no_match_auc: Option<f64>,
    /// Mean distance between the confidence of first hits and how often they are right, weighted by the number in each bin.
    pub(super) calibration_error: Option<f64>,
    pub(super) calibration: Vec<Bin>,
}

impl Figures {
    pub(super) fn of(answered: &[Answered], depth: u32) -> Self {
        let with_right: Vec<&Answered> = answered.iter().filter(|one| one.has_right()).collect();
        let estimate = |figure: &dyn Fn(&Answered) -> f64| {
            let values: Vec<f64> = with_right.iter().map(|one| figure(one)).collect();
            (!values.is_empty()).then(|| Estimate::of(&values))
        };
        let [r1, r5, r10] = RANKS.map(|k| estimate(&|one| f64::from(u8::from(one.rank().is_some_and(|rank| rank <= k)))));
        let mut ranks: Vec<f64> = with_right
            .iter()
            .map(|one| one.rank().map_or(f64::from(depth) + 1.0, |rank| rank as f64))
            .collect();
        ranks.sort_by(f64::total_cmp);
        let n = ranks.len();
        let confidences = |of: &dyn Fn(&Answered) -> bool| -> Vec<f64> {
            answered.iter().filter(|one| of(one)).filter_map(Answered::confidence).collect()
        };
        let is_right = |one: &Answered| one.rank() == Some(1);
        let calibration = calibration(answered);
        let n_first: usize = calibration.iter().map(|bin| bin.n).sum();
        let error = calibration
            .iter()
            .map(|bin| (bin.confidence - bin.right).abs() * bin.n as f64)
            .sum::<f64>()
            / n_first as f64;
        Self {
            n_queries: answered.len(),
            n_without_right: answered.len() - n,
            depth,
            r1,
            r5,
            r10,
            map: estimate(&Answered::average_precision),
            mean_rank: (n > 0).then(|| ranks.iter().sum::<f64>() / n as f64),
            median_rank: (n > 0).then(|| f64::midpoint(ranks[(n - 1) / 2], ranks[n / 2])),
            first_hit_auc: auc(
                &confidences(&|one| one.has_right() && is_right(one)),
                &confidences(&|one| one.has_right() && !is_right(one)),
            ),
            no_match_auc: auc(&confidences(&Answered::has_right), &confidences(&|one| !one.has_right())),
            calibration_error: (n_first > 0).then_some(error),
            calibration,
        }
    }

    /// Returns name, value and remark of each figure that is known.
    pub(super) fn lines(&self, model: &str) -> Vec<(String, String, String)> {
        let n_with = self.n_queries - self.n_without_right;
        let mut lines = vec![
            ("model".to_owned(), model.to_owned(), String::new()),
            (
                "queries".to_owned(),
                self.n_queries.to_string(),
                format!("{n_with} with right moments, {} without", self.n_without_right),
            ),
        ];
        let estimates = [
            ("recall@1", self.r1),
            ("recall@5", self.r5),
            ("recall@10", self.r10),
            ("mAP", self.map),
        ];
        for (name, estimate) in estimates {
            let Some(estimate) = estimate else { continue };
            let interval = format!("{:.2} to {:.2} (95 %)", estimate.low, estimate.high);
            lines.push((name.to_owned(), format!("{:.3}", estimate.value), interval));
        }
        let mut plain = |name: &str, value: Option<f64>, digits: usize, remark: &str| {
            if let Some(value) = value {
                lines.push((name.to_owned(), format!("{value:.digits$}"), remark.to_owned()));
            }
        };
        let beyond = format!("beyond the first {}: {}", self.depth, self.depth + 1);
        plain("mean rank", self.mean_rank, 1, &beyond);
        plain("median rank", self.median_rank, 1, "");
        plain(
            "first-hit AUC",
            self.first_hit_auc,
            3,
            "confidence of right first hits above wrong ones",
        );
        plain(
            "no-match AUC",
            self.no_match_auc,
            3,
            "confidence with something to find above without",
        );
        plain("calibration error", self.calibration_error, 3, "of the confidence of first hits");
        lines
    }

    /// Returns in words which limits are not reached.
    ///
    /// **Errors**: a limit for a figure that these queries cannot tell.
    pub(super) fn below(&self, limits: &[Limit]) -> Result<Vec<String>, Failure> {
        let mut missed = Vec::new();
        for Limit { figure, least } in limits {
            let value = match figure {
                Figure::R1 => self.r1.map(|estimate| estimate.value),
                Figure::R5 => self.r5.map(|estimate| estimate.value),
                Figure::R10 => self.r10.map(|estimate| estimate.value),
                Figure::Map => self.map.map(|estimate| estimate.value),
                Figure::FirstHitAuc => self.first_hit_auc,
                Figure::NoMatchAuc => self.no_match_auc,
            };
            let name = figure.name();
            let value = value.ok_or_else(|| {
                Failure::new(format!("--at-least {name}: these queries cannot tell it")).hint(match figure {
                    Figure::NoMatchAuc => "it needs queries without a file, and a model with a confidence",
                    Figure::FirstHitAuc => "it needs right and wrong first hits, and a model with a confidence",
                    _ => "it needs queries with right moments",
                })
            })?;
            if value < *least {
                missed.push(format!("{name} is {value:.3}, below {least}"));
            }
        }
        Ok(missed)
    }
}

/// Returns how probable it is that one of `high` is above one of `low`; equal ones count half.
fn auc(high: &[f64], low: &[f64]) -> Option<f64> {
    if high.is_empty() || low.is_empty() {
        return None;
    }
    let wins = |x: &f64| {
        low.iter()
            .map(|y| {
                if x > y {
                    1.0
                } else if x < y {
                    0.0
                } else {
                    0.5
                }
            })
            .sum::<f64>()
    };
    Some(high.iter().map(wins).sum::<f64>() / (high.len() * low.len()) as f64)
}

/// Returns the bins of the confidence that have first hits. A first hit of a query with nothing to find is wrong.
fn calibration(answered: &[Answered]) -> Vec<Bin> {
    let mut sums = [(0_usize, 0.0, 0_usize); N_BINS];
    for one in answered {
        let Some(confidence) = one.confidence() else { continue };
        // The last bin includes 1.
        let bin = &mut sums[((confidence * N_BINS as f64) as usize).min(N_BINS - 1)];
        bin.0 += 1;
        bin.1 += confidence;
        bin.2 += usize::from(one.rank() == Some(1));
    }
    let bins = sums.iter().enumerate().filter(|(_, (n, ..))| *n > 0);
    bins.map(|(index, &(n, confidence, n_right))| Bin {
        from: index as f64 / N_BINS as f64,
        to: (index + 1) as f64 / N_BINS as f64,
        n,
        confidence: confidence / n as f64,
        right: n_right as f64 / n as f64,
    })
    .collect()
}

/// Returns the queries whose right moments were found latest, worst first; those whose first hit is right are none.
pub(super) fn worst(answered: &[Answered], n: usize) -> Vec<&Answered> {
    let mut worst: Vec<&Answered> = answered.iter().filter(|one| one.has_right() && one.rank() != Some(1)).collect();
    worst.sort_by_key(|one| std::cmp::Reverse(one.rank().unwrap_or(usize::MAX)));
    worst.truncate(n);
    worst
}
