//! Finds where shots begin in frames that are decoded one after the other.

use ffmpeg_next::frame::Video;
use scened_common::domain::Resample;
use scened_common::media::request::Detector;
use scened_shots::{Found, ShotDetector};

use crate::media::pixels::glimpse::Glimpse;
use crate::media::pixels::scale::{Colours, ScaleError, Scaler, Wanted};
use crate::media::pyscenedetect::CutDetector;
use crate::media::pyscenedetect::shrink::{Shrinker, working_size};
use crate::media::scenes::writer::Scenes;

/// The detector that finds where shots begin.
pub(super) enum Finder {
    Shot(Box<ShotDetector>),
    /// One of PySceneDetect's detectors, which see larger pictures than glimpses.
    PySceneDetect {
        detector: Box<CutDetector>,
        view: Option<Box<OpenCvView>>,
    },
}

impl Finder {
    pub(super) fn new(kind: Detector) -> Self {
        match kind {
            Detector::Shot => Self::Shot(Box::new(ShotDetector::new())),
            Detector::Content => Self::pyscenedetect(CutDetector::content()),
            Detector::Adaptive => Self::pyscenedetect(CutDetector::adaptive()),
        }
    }

    fn pyscenedetect(detector: CutDetector) -> Self {
        Self::PySceneDetect {
            detector: Box::new(detector),
            view: None,
        }
    }

    pub(super) fn push(&mut self, frame: &Video, time_us: i64, glimpse: &Glimpse, scenes: &mut Scenes) -> Result<(), ScaleError> {
        match self {
            Self::Shot(detector) => {
                detector.push(time_us, glimpse);
                while let Some(found) = detector.next_found() {
                    scenes.found(found);
                }
            }
            Self::PySceneDetect { detector, view } => {
                let (width, height) = (frame.width(), frame.height());
                // The working size of the first frame stays, so that scores stay comparable.
                let size = view.as_ref().map_or_else(|| working_size(width, height), |view| view.size);
                let view = match view {
                    Some(view) if view.shrinker.is_for(width, height) => view,
                    view => view.insert(Box::new(OpenCvView::new(width, height, size))),
                };
                let (rows, stride) = view.scaler.scale(frame)?;
                if let Some(time_us) = detector.push(time_us, view.shrinker.shrink(rows, stride)) {
                    scenes.found(Found::Cut { time_us });
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, scenes: &mut Scenes) {
        if let Self::Shot(detector) = self {
            detector.finish();
            while let Some(found) = detector.next_found() {
                scenes.found(found);
            }
        }
    }

    /// Returns the time before which no new boundary will begin. Microseconds.
    pub(super) fn settled_us(&self) -> i64 {
        match self {
            Self::Shot(detector) => detector.settled_us(),
            Self::PySceneDetect { detector, .. } => detector.settled_us(),
        }
    }
}

/// The input of PySceneDetect's detectors: the frame as OpenCV decodes it, then as OpenCV shrinks it.
pub(super) struct OpenCvView {
    scaler: Scaler,
    shrinker: Shrinker,
    size: (u32, u32),
}

impl OpenCvView {
    fn new(width: u32, height: u32, size: (u32, u32)) -> Self {
        Self {
            scaler: Scaler::new(Wanted {
                size: (width, height),
                bgr: true,
                colours: Colours::OpenCv,
                resample: Resample::Bicubic,
            }),
            shrinker: Shrinker::new(width, height, size),
            size,
        }
    }
}
