//! PySceneDetect's two detectors, with bit-for-bit the same results. A configuration may ask for them, and tests compare with them.
//!
//! This module knows no FFmpeg types, no clock and no I/O, and nothing of the neighbouring modules.
//!
//! A frame is a small BGR picture, scaled as OpenCV would scale it ([`shrink`]). Its content score is the mean change of H, S and V since
//! the previous frame ([`hsv`]). A rule ([`flash`], [`adaptive`]) turns scores into cuts. A rule may report a cut some frames late, so a
//! detector also reports up to which time its result is final.
//!
//! **Source**: PySceneDetect 0.7.2, `scenedetect/detectors/{content,adaptive}_detector.py`, `detector.py`, `scene_manager.py`.

pub(crate) mod adaptive;
pub(crate) mod flash;
pub(crate) mod hsv;
pub(crate) mod shrink;

use adaptive::AdaptiveRule;
use flash::FlashFilter;
use hsv::HsvScorer;

/// `ContentDetector`'s threshold for the content score.
const CONTENT_THRESHOLD: f64 = 27.0;
/// Shortest scene that both detectors allow (the command line's default). Microseconds.
const MIN_SCENE_US: i64 = 600_000;

/// Finds cuts in a sequence of frames.
#[derive(Debug)]
pub(crate) struct CutDetector {
    scorer: HsvScorer,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    Content(FlashFilter),
    Adaptive(AdaptiveRule),
}

impl CutDetector {
    /// Creates PySceneDetect's `ContentDetector`.
    pub(crate) fn content() -> Self {
        Self::with(Rule::Content(FlashFilter::new(MIN_SCENE_US)))
    }

    /// Creates PySceneDetect's `AdaptiveDetector`.
    pub(crate) fn adaptive() -> Self {
        Self::with(Rule::Adaptive(AdaptiveRule::new(MIN_SCENE_US)))
    }

    fn with(rule: Rule) -> Self {
        Self {
            scorer: HsvScorer::default(),
            rule,
        }
    }

    /// Takes the next frame: BGR, always the same size. Returns the time of a cut if one is now certain: the time of the first frame of the
    /// new shot, not necessarily this one. **Units**: microseconds, not decreasing.
    pub(crate) fn push(&mut self, time_us: i64, bgr: &[u8]) -> Option<i64> {
        let score = self.scorer.score(bgr);
        match &mut self.rule {
            Rule::Content(filter) => filter.push(time_us, score >= CONTENT_THRESHOLD),
            Rule::Adaptive(rule) => rule.push(time_us, score),
        }
    }

    /// Returns the time before which no new cut will be reported. Microseconds.
    pub(crate) fn settled_us(&self) -> i64 {
        match &self.rule {
            Rule::Content(filter) => filter.settled_us(),
            Rule::Adaptive(rule) => rule.settled_us(),
        }
    }
}
