//! The reports of detectors about videos, and their cost: the JSON that `peers.py` writes.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A detector's name for a boundary that it reports, if it distinguishes kinds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Cut,
    Gradual,
}

/// One boundary that a detector reports.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// Presentation time from the start of the container.
    pub time_ms: f64,
    /// The first and the last moment of a gradual transition, if the detector reports them.
    pub range_ms: Option<(f64, f64)>,
    pub kind: Option<Kind>,
}

/// The answer of one detector about one video.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Answer {
    #[serde(default)]
    pub reports: Vec<Report>,
    /// Why there is no answer; then every boundary of the video counts as missed.
    pub failed: Option<String>,
    #[serde(default)]
    pub wall_s: f64,
    #[serde(default)]
    pub cpu_s: f64,
    #[serde(default)]
    pub n_frames: usize,
    /// How long each stage took, if the detector reports it. **Units** milliseconds.
    #[serde(default)]
    pub times: BTreeMap<String, f64>,
    /// How many frames would be embedded.
    #[serde(default)]
    pub n_sampled: usize,
}

/// One detector and its answers, by `half/path`.
#[derive(Clone, Debug, Deserialize)]
pub struct Detector {
    pub name: String,
    pub answers: BTreeMap<String, Answer>,
}
