//! Makes candidate pictures: one at the model's size, one at thumbnail size, turned as a player shows them.

use ffmpeg_next::frame::Video;
use scened::domain::{ImageSpec, Resample};

use super::film::Film;
use super::fit::{self, Fit};
use super::orientation::Orientation;
use super::scale::{Colours, ScaleError, Scaler, Wanted};
use super::thumbnail::Small;

/// Brightest value that still counts as black. 8-bit luma.
const BLACK: u32 = 40;
/// A picture with fewer brighter pixels than one in this many shows nothing.
const DARK_FRACTION: usize = 100;

/// The picture of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pictures {
    /// **Shape**: `[height, width, 3]` u8 at the model's size.
    pub(crate) model: Vec<u8>,
    pub(crate) small: Option<Small>,
}

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

    pub(crate) fn take(&mut self, film: &Film, frame: &Video) -> Result<Pictures, ScaleError> {
        let orientation = film.orientation(frame);
        let source = (film.square_size(frame), orientation);
        if self.prepared.as_ref().is_none_or(|prepared| prepared.source != source) {
            self.prepared = Some(self.prepare(source));
        }
        let prepared = self.prepared.as_mut().expect("it was just prepared");
        let model = prepared.model.take(frame, orientation)?;
        let small = match &mut prepared.small {
            Some(target) => Some(Small {
                width: target.fit.size.0,
                height: target.fit.size.1,
                rgb: target.take(frame, orientation)?,
            }),
            None => None,
        };
        Ok(Pictures { model, small })
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

/// Whether a picture shows next to nothing. **Shape**: `rgb` is `[height, width, 3]` u8.
pub(crate) fn is_dark(rgb: &[u8]) -> bool {
    let pixels = rgb.as_chunks::<3>().0;
    let bright = pixels
        .iter()
        .filter(|[r, g, b]| (2 * u32::from(*r) + 5 * u32::from(*g) + u32::from(*b)) / 8 > BLACK)
        .count();
    bright * DARK_FRACTION < pixels.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_is_dark_and_a_title_on_black_is_not() {
        let mut rgb = vec![10; 100 * 100 * 3];
        assert!(is_dark(&rgb));
        rgb[..300 * 3].fill(255);
        assert!(!is_dark(&rgb));
    }
}
