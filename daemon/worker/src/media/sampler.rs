//! Makes pictures of frames: at the model's size and at thumbnail size, turned as a player shows them.

use ffmpeg_next::frame::Video;
use scened::domain::{ImageSpec, Resample};

use super::film::Film;
use super::fit::{self, Fit};
use super::orientation::Orientation;
use super::scale::{Colours, ScaleError, Scaler, Wanted};
use super::thumbnail::Small;

/// Scales frames for the model and for thumbnails; keeps its scalers as long as the film stays the same.
pub(crate) struct Sampler {
    image: ImageSpec,
    thumbnail_px: u32,
    prepared: Option<Prepared>,
}

struct Prepared {
    /// Displayed size before turning, and how to turn.
    source: ((u32, u32), Orientation),
    model: Target,
    small: Option<Target>,
}

struct Target {
    fit: Fit,
    scaler: Scaler,
}

impl Target {
    fn new(fit: Fit, orientation: Orientation, resample: Resample) -> Self {
        let scaler = Scaler::new(Wanted {
            // A quarter turn is its own inverse where sizes are concerned.
            size: orientation.turned_size(fit.scaled),
            bgr: false,
            colours: Colours::Shown,
            resample,
        });
        Self { fit, scaler }
    }

    fn take(&mut self, frame: &Video, orientation: Orientation) -> Result<Vec<u8>, ScaleError> {
        let (width, height) = self.scaler.size();
        let turned = orientation.turn(self.scaler.scale_packed(frame)?, width, height);
        Ok(fit::crop(turned, self.fit.scaled.0, &self.fit))
    }
}

impl Sampler {
    /// `thumbnail_px`: 0 = no thumbnails.
    pub(crate) fn new(image: ImageSpec, thumbnail_px: u32) -> Self {
        Self {
            image,
            thumbnail_px,
            prepared: None,
        }
    }

    /// **Shape**: `[height, width, 3]` u8 at the model's size.
    pub(crate) fn model(&mut self, film: &Film, frame: &Video) -> Result<Vec<u8>, ScaleError> {
        let prepared = self.prepared_for(film, frame);
        prepared.model.take(frame, prepared.source.1)
    }

    /// `None` when no thumbnails are wanted.
    pub(crate) fn thumbnail(&mut self, film: &Film, frame: &Video) -> Result<Option<Small>, ScaleError> {
        let prepared = self.prepared_for(film, frame);
        let Some(target) = &mut prepared.small else {
            return Ok(None);
        };
        let rgb = target.take(frame, prepared.source.1)?;
        let (width, height) = target.fit.size;
        Ok(Some(Small { width, height, rgb }))
    }

    fn prepared_for(&mut self, film: &Film, frame: &Video) -> &mut Prepared {
        let source = (film.square_size(frame), film.orientation(frame));
        if self.prepared.as_ref().is_none_or(|prepared| prepared.source != source) {
            self.prepared = Some(self.prepare(source));
        }
        self.prepared.as_mut().expect("it was just prepared")
    }

    fn prepare(&self, source: ((u32, u32), Orientation)) -> Prepared {
        let (square, orientation) = source;
        let display = orientation.turned_size(square);
        let model = Target::new(fit::to_model(display, &self.image), orientation, self.image.resample);
        let small =
            (self.thumbnail_px > 0).then(|| Target::new(fit::to_thumbnail(display, self.thumbnail_px), orientation, Resample::Bilinear));
        Prepared { source, model, small }
    }
}
