//! Makes candidate pictures: one at the model's size, one at thumbnail size, turned as a player shows them.

use ffmpeg_next::frame::Video;
use scened::domain::{ImageSpec, Resample};

use super::film::Film;
use super::fit::{self, Fit};
use super::orientation::Orientation;
use super::render::Renderer;
use super::scale::ScaleError;
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

/// Makes pictures for the model and thumbnails; keeps what it prepared as long as the film stays the same.
pub(crate) struct Sampler {
    image: ImageSpec,
    thumbnail_px: u32,
    model: Option<Prepared>,
    thumbnail: Option<Prepared>,
}

/// One kind of picture of frames of one kind.
struct Prepared {
    source: Source,
    fit: Fit,
    renderer: Renderer,
}

/// What a film may change at any frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    /// Stored size.
    stored: (u32, u32),
    /// Size before turning, with square pixels.
    square: (u32, u32),
    orientation: Orientation,
}

impl Source {
    fn of(film: &Film, frame: &Video) -> Self {
        Self {
            stored: (frame.width(), frame.height()),
            square: film.square_size(frame),
            orientation: film.orientation(frame),
        }
    }
}

impl Prepared {
    /// Renders and turns one frame, preparing anew where the film changed.
    fn take(
        prepared: &mut Option<Self>,
        film: &Film,
        frame: &Video,
        fit_of: impl FnOnce((u32, u32)) -> Fit,
        resample: Resample,
    ) -> Result<Small, ScaleError> {
        let source = Source::of(film, frame);
        let orientation = source.orientation;
        let current = match prepared.take() {
            Some(current) if current.source == source => current,
            _ => {
                let fit = fit_of(orientation.turned_size(source.square));
                Self {
                    source,
                    fit,
                    renderer: Renderer::new(fit.before(orientation), resample),
                }
            }
        };
        let current = prepared.insert(current);
        let (width, height) = orientation.turned_size(current.fit.size);
        let rgb = current.renderer.render(frame, film.peak_nits(frame))?;
        Ok(Small {
            width: current.fit.size.0,
            height: current.fit.size.1,
            rgb: orientation.turn(rgb, width, height),
        })
    }
}

impl Sampler {
    /// `thumbnail_px`: 0 = no thumbnails.
    pub(crate) fn new(image: ImageSpec, thumbnail_px: u32) -> Self {
        Self {
            image,
            thumbnail_px,
            model: None,
            thumbnail: None,
        }
    }

    /// The picture for the model. **Shape**: `[height, width, 3]` u8 at the model's size.
    pub(crate) fn model(&mut self, film: &Film, frame: &Video) -> Result<Vec<u8>, ScaleError> {
        let fit_of = |display| fit::to_model(display, &self.image);
        Prepared::take(&mut self.model, film, frame, fit_of, self.image.resample).map(|picture| picture.rgb)
    }

    /// The picture of a thumbnail; none where none is wanted.
    pub(crate) fn thumbnail(&mut self, film: &Film, frame: &Video) -> Result<Option<Small>, ScaleError> {
        if self.thumbnail_px == 0 {
            return Ok(None);
        }
        let fit_of = |display| fit::to_thumbnail(display, self.thumbnail_px);
        Prepared::take(&mut self.thumbnail, film, frame, fit_of, Resample::Bilinear).map(Some)
    }

    /// Both.
    pub(crate) fn take(&mut self, film: &Film, frame: &Video) -> Result<Pictures, ScaleError> {
        Ok(Pictures {
            model: self.model(film, frame)?,
            small: self.thumbnail(film, frame)?,
        })
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
