//! PySceneDetect's two detectors, bit for bit. A configuration may ask for them, and tests compare with them.
//!
//! The room knows no FFmpeg types, no clock and no I/O, and nothing of the other rooms.
//!
//! A frame is a small BGR picture, as OpenCV would have scaled it ([`shrink`]); its content score is the mean change of H, S and
//! V against the frame before ([`hsv`]); a rule ([`flash`], [`adaptive`]) turns scores into cuts. A cut may be told some frames
//! late, so a detector also says which past is settled.
//!
//! **Source**: PySceneDetect 0.7.2, `scenedetect/detectors/{content,adaptive}_detector.py`, `detector.py`, `scene_manager.py`.

pub(crate) mod adaptive;
pub(crate) mod flash;
pub(crate) mod hsv;
pub(crate) mod shrink;

use adaptive::AdaptiveRule;
use flash::FlashFilter;
use hsv::HsvScorer;

/// ContentDetector's threshold on the content score.
const CONTENT_THRESHOLD: f64 = 27.0;
/// Shortest scene both detectors allow (the command line's default). Microseconds.
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
    /// PySceneDetect's `ContentDetector`.
    pub(crate) fn content() -> Self {
        Self::with(Rule::Content(FlashFilter::new(MIN_SCENE_US)))
    }

    /// PySceneDetect's `AdaptiveDetector`.
    pub(crate) fn adaptive() -> Self {
        Self::with(Rule::Adaptive(AdaptiveRule::new(MIN_SCENE_US)))
    }

    fn with(rule: Rule) -> Self {
        Self {
            scorer: HsvScorer::default(),
            rule,
        }
    }

    /// Takes the next frame: BGR, the same size every time. Returns the time of a cut when one is certain now: the first frame
    /// of the new shot, not necessarily this one. **Units**: microseconds, not decreasing.
    pub(crate) fn push(&mut self, time_us: i64, bgr: &[u8]) -> Option<i64> {
        let score = self.scorer.score(bgr);
        match &mut self.rule {
            Rule::Content(filter) => filter.push(time_us, score >= CONTENT_THRESHOLD),
            Rule::Adaptive(rule) => rule.push(time_us, score),
        }
    }

    /// No cut will be told any more for a frame before this time. Microseconds.
    pub(crate) fn settled_us(&self) -> i64 {
        match &self.rule {
            Rule::Content(filter) => filter.settled_us(),
            Rule::Adaptive(rule) => rule.settled_us(),
        }
    }
}
