//! Renders a decoded frame as a small RGB picture the way a player shows it, before it is turned.
//!
//! Planes are scaled directly to the needed size, as Pillow scales, and only then converted to RGB. That is a fifth of the work of
//! converting the whole frame first. Frames whose planes cannot be read go through libswscale.
//!
//! - Interlaced frames use one field if it has enough lines. Two fields show two moments, so their mean would show a moving object twice.
//! - Transparent pixels are drawn on black, as in players.
//! - HDR and wide colours are mapped to those of common screens ([`super::tone`]).
//! - Chroma samples are assumed to be at the centre of their pixels. In most videos they are half a pixel further left; after scaling that
//!   is a tenth of a pixel.

use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::{U8, U8x2, U16, U16x2};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use ffmpeg_next::frame::Video;
use scened_common::domain::Resample;

use super::colour::{Colour, Gamut, Matrix3, Transfer};
use super::dovi::Dovi;
use super::fit::{self, Fit};
use super::light::Light;
use super::planes::{Component, Field, Layout, Rows, has_alpha};
use super::scale::{Colours, ScaleError, Scaler, Wanted};
use super::tone::{Mastering, ToneMap, pq_to_nits};

/// Renders frames of a video at one size.
pub(crate) struct Renderer {
    fit: Fit,
    resample: Resample,
    resizer: Resizer,
    tone_map: Option<ToneMap>,
    /// Created when first needed: without and with transparency.
    opaque: Option<Scaler>,
    transparent: Option<Scaler>,
}

/// A sample of a plane.
trait Sample: Copy + Into<f32> + Default {
    /// The resizer's type for one sample, and for two that are interleaved.
    type One: PixelTrait;
    type Two: PixelTrait;
    fn one(pixel: &Self::One) -> Self;
    fn two(pixel: &Self::Two) -> [Self; 2];
}

impl Sample for u8 {
    type One = U8;
    type Two = U8x2;

    fn one(pixel: &U8) -> Self {
        pixel.0
    }

    fn two(pixel: &U8x2) -> [Self; 2] {
        pixel.0
    }
}

impl Sample for u16 {
    type One = U16;
    type Two = U16x2;

    fn one(pixel: &U16) -> Self {
        pixel.0
    }

    fn two(pixel: &U16x2) -> [Self; 2] {
        pixel.0
    }
}

/// The planes of a frame, scaled to the needed size.
struct Small<S> {
    luma: Vec<S>,
    chroma: Option<[Vec<S>; 2]>,
    alpha: Option<Vec<S>>,
}

impl Renderer {
    /// Creates a renderer. `fit` is in pixels of the frame as stored.
    pub(crate) fn new(fit: Fit, resample: Resample) -> Self {
        Self {
            fit,
            resample,
            resizer: Resizer::new(),
            tone_map: None,
            opaque: None,
            transparent: None,
        }
    }

    /// Renders one frame. **Shape**: `[height, width, 3]` u8 of the fit's size, RGB.
    pub(crate) fn render(&mut self, frame: &Video, light: &Light) -> Result<Vec<u8>, ScaleError> {
        match self.render_planes(frame, light) {
            Some(rgb) => Ok(rgb),
            None => self.render_anything(frame, light),
        }
    }

    fn render_planes(&mut self, frame: &Video, light: &Light) -> Option<Vec<u8>> {
        let layout = Layout::of(frame)?;
        let mut colour = Colour::of(frame, light.fallback);
        let mut lms = colour.matrix.lms_to_bt2020();
        let mut peak_nits = light.peak_nits;
        if let Some(dovi) = &light.dovi {
            colour = Colour {
                is_full_range: true,
                transfer: Transfer::Pq,
                gamut: Gamut::Bt2020,
                ..colour
            };
            lms = Some(dovi.to_bt2020);
            peak_nits = dovi.peak_pq.map_or(peak_nits, pq_to_nits);
        }
        self.prepare(colour, lms, peak_nits);
        let mix = Mix::new(&layout, colour);
        if layout.is_wide {
            let small = self.shrink::<u16>(frame, &layout)?;
            Some(mix.apply(&small, light.dovi.as_ref(), self.tone_map.as_ref()))
        } else {
            let small = self.shrink::<u8>(frame, &layout)?;
            Some(mix.apply(&small, light.dovi.as_ref(), self.tone_map.as_ref()))
        }
    }

    /// Creates the tone map that these colours need.
    fn prepare(&mut self, colour: Colour, lms: Option<Matrix3>, peak_nits: f32) {
        let mastering = Mastering {
            transfer: colour.transfer,
            gamut: colour.gamut,
            lms,
            peak_nits,
        };
        if colour.is_common() && lms.is_none() {
            self.tone_map = None;
        } else if self.tone_map.as_ref().is_none_or(|map| !map.is_for(mastering)) {
            self.tone_map = Some(ToneMap::new(mastering));
        }
    }

    /// Scales all planes.
    fn shrink<S: Sample>(&mut self, frame: &Video, layout: &Layout) -> Option<Small<S>> {
        let one_field = frame.is_interlaced() && frame.height() / 2 >= self.fit.scaled.1;
        let first_field = one_field.then(|| if frame.is_top_first() { Field::Top } else { Field::Bottom });
        let luma = layout.full_rows(frame, layout.luma)?.only(first_field)?;
        // Chroma planes may cover a little more than the picture, if its size is odd.
        let whole = (luma.size.0 as f64, luma.size.1 as f64);
        let coarse = (
            whole.0 / f64::from(1 << layout.chroma_shift.0),
            whole.1 / f64::from(1 << layout.chroma_shift.1),
        );
        let chroma = match layout.chroma {
            None => None,
            Some([blue, red]) if blue.step == 2 && blue.is_beside(red) => {
                let pairs = self.resize::<S::Two>(layout.chroma_rows(frame, blue)?.only(first_field)?, coarse)?;
                let every = |index: usize| pairs.pixels().iter().map(|pair| S::two(pair)[index]).collect();
                Some([every(blue.first), every(red.first)])
            }
            Some(components) => {
                let [blue, red] = components.map(|component| -> Option<Vec<S>> {
                    let rows = layout.chroma_rows(frame, component)?.only(first_field)?;
                    Some(self.resize::<S::One>(rows, coarse)?.pixels().iter().map(S::one).collect())
                });
                Some([blue?, red?])
            }
        };
        let mut full = |component: Component| -> Option<Vec<S>> {
            let rows = layout.full_rows(frame, component)?.only(first_field)?;
            Some(self.resize::<S::One>(rows, whole)?.pixels().iter().map(S::one).collect())
        };
        let luma = full(layout.luma)?;
        let alpha = match layout.alpha {
            Some(component) => Some(full(component)?),
            None => None,
        };
        Some(Small { luma, chroma, alpha })
    }

    /// Scales the needed part of one plane. `whole`: the size of the picture in the plane's own pixels.
    fn resize<P: PixelTrait>(&mut self, rows: Rows<'_>, whole: (f64, f64)) -> Option<TypedImage<'static, P>> {
        let Fit { scaled, offset, size } = self.fit;
        let (x, y) = (whole.0 / f64::from(scaled.0), whole.1 / f64::from(scaled.1));
        let part = |size: u32, scaled: u32, whole: f64| f64::from(size) * whole / f64::from(scaled);
        let filter = match self.resample {
            Resample::Bilinear => FilterType::Bilinear,
            // Pillow's bicubic filter has a = -0.5.
            Resample::Bicubic => FilterType::CatmullRom,
        };
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(filter))
            // Pairs are two chroma samples here, not grey with transparency.
            .use_alpha(false)
            .crop(
                f64::from(offset.0) * x,
                f64::from(offset.1) * y,
                part(size.0, scaled.0, whole.0),
                part(size.1, scaled.1, whole.1),
            );
        let mut small = TypedImage::new(size.0, size.1);
        self.resizer.resize_typed(&rows.view::<P>()?, &mut small, &options).ok()?;
        Some(small)
    }

    fn render_anything(&mut self, frame: &Video, light: &Light) -> Result<Vec<u8>, ScaleError> {
        let wanted = Wanted {
            size: self.fit.scaled,
            bgr: false,
            colours: Colours::Player,
            resample: self.resample,
        };
        self.prepare(Colour::of(frame, light.fallback), None, light.peak_nits);
        let mut rgb = if has_alpha(frame) {
            let scaler = self.transparent.get_or_insert_with(|| Scaler::with_alpha(wanted));
            on_black(&scaler.scale_packed(frame)?)
        } else {
            self.opaque.get_or_insert_with(|| Scaler::new(wanted)).scale_packed(frame)?
        };
        if let Some(tone_map) = &self.tone_map {
            for pixel in rgb.as_chunks_mut::<3>().0 {
                *pixel = tone_map.map(pixel.map(|value| f32::from(value) / 255.0));
            }
        }
        Ok(fit::crop(rgb, &self.fit))
    }
}

/// Draws RGBA on black.
fn on_black(rgba: &[u8]) -> Vec<u8> {
    let dim = |value: u8, alpha: u8| ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8;
    rgba.as_chunks::<4>()
        .0
        .iter()
        .flat_map(|[r, g, b, a]| [dim(*r, *a), dim(*g, *a), dim(*b, *a)])
        .collect()
}

/// The conversion of samples to red, green and blue from 0 to 1.
struct Mix {
    luma_gain: f32,
    chroma_gain: f32,
    /// The factors of the first and the second chroma component in red, green and blue.
    from_blue: [f32; 3],
    from_red: [f32; 3],
    /// Added to red, green and blue.
    offsets: [f32; 3],
    /// The chroma sample that means no colour.
    neutral: f32,
    opaque: f32,
}

/// How many pixels are processed at once.
const LANES: usize = 128;

/// The samples of a few pixels as floats, in blocks long enough for the compiler to use whole registers.
struct Lanes {
    luma: [f32; LANES],
    blue: [f32; LANES],
    red: [f32; LANES],
    alpha: [f32; LANES],
}

impl Mix {
    fn new(layout: &Layout, colour: Colour) -> Self {
        let value = f32::from(1_u16 << (layout.depth - 8));
        let at = |component: Component| value * f32::from(1_u16 << component.shift);
        let luma_unit = at(layout.luma);
        let chroma_unit = layout.chroma.map_or(luma_unit, |[blue, _]| at(blue));
        // Full range ends at the largest possible value, not at a multiple of 255.
        let full = (256.0 * value - 1.0) / value;
        let (black, luma_range, chroma_range) = if colour.is_full_range {
            (0.0, full, full)
        } else {
            (16.0, 219.0, 224.0)
        };
        let luma_gain = 1.0 / (luma_range * luma_unit);
        let chroma_gain = 1.0 / (chroma_range * chroma_unit);
        let rows = colour.matrix.rows(colour.transfer);
        let from_blue = rows.map(|row| row[1] * chroma_gain);
        let from_red = rows.map(|row| row[2] * chroma_gain);
        let neutral = 128.0 * chroma_unit;
        let dark = -black * luma_unit * luma_gain;
        Self {
            luma_gain,
            chroma_gain,
            from_blue,
            from_red,
            offsets: std::array::from_fn(|at| dark - neutral * (from_blue[at] + from_red[at])),
            neutral,
            opaque: full * luma_unit,
        }
    }

    fn apply<S: Sample>(&self, small: &Small<S>, dovi: Option<&Dovi>, tone_map: Option<&ToneMap>) -> Vec<u8> {
        let mut rgb = vec![0; small.luma.len() * 3];
        let mut lanes = Lanes {
            luma: [0.0; LANES],
            blue: [self.neutral; LANES],
            red: [self.neutral; LANES],
            alpha: [0.0; LANES],
        };
        for (block, pixels) in rgb.as_chunks_mut::<3>().0.chunks_mut(LANES).enumerate() {
            let samples = block * LANES..block * LANES + pixels.len();
            fill(&mut lanes.luma, &small.luma[samples.clone()]);
            if let Some([blue, red]) = &small.chroma {
                fill(&mut lanes.blue, &blue[samples.clone()]);
                fill(&mut lanes.red, &red[samples.clone()]);
            }
            let mut mixed = match dovi {
                Some(dovi) => self.bend(&lanes, dovi),
                None => self.mix(&lanes),
            };
            if let Some(alpha) = &small.alpha {
                fill(&mut lanes.alpha, &alpha[samples]);
                for channel in &mut mixed {
                    for (value, alpha) in channel.iter_mut().zip(&lanes.alpha) {
                        *value = value.max(0.0) * (alpha / self.opaque);
                    }
                }
            }
            let [red, green, blue] = &mixed;
            match tone_map {
                Some(tone_map) => {
                    for (((pixel, red), green), blue) in pixels.iter_mut().zip(red).zip(green).zip(blue) {
                        *pixel = tone_map.map([*red, *green, *blue]);
                    }
                }
                None => {
                    for (((pixel, red), green), blue) in pixels.iter_mut().zip(bytes(red)).zip(bytes(green)).zip(bytes(blue)) {
                        *pixel = [red, green, blue];
                    }
                }
            }
        }
        rgb
    }

    fn mix(&self, lanes: &Lanes) -> [[f32; LANES]; 3] {
        let mut mixed = [[0.0; LANES]; 3];
        let [red, green, blue] = &mut mixed;
        for at in 0..LANES {
            let light = lanes.luma[at] * self.luma_gain;
            red[at] = light + lanes.blue[at] * self.from_blue[0] + lanes.red[at] * self.from_red[0] + self.offsets[0];
            green[at] = light + lanes.blue[at] * self.from_blue[1] + lanes.red[at] * self.from_red[1] + self.offsets[1];
            blue[at] = light + lanes.blue[at] * self.from_blue[2] + lanes.red[at] * self.from_red[2] + self.offsets[2];
        }
        mixed
    }

    /// Returns L, M and S of Dolby Vision's own pictures.
    fn bend(&self, lanes: &Lanes, dovi: &Dovi) -> [[f32; LANES]; 3] {
        let mut bent = [[0.0; LANES]; 3];
        let difference = |sample: f32| (sample - self.neutral) * self.chroma_gain + 0.5;
        for at in 0..LANES {
            let samples = [
                lanes.luma[at] * self.luma_gain,
                difference(lanes.blue[at]),
                difference(lanes.red[at]),
            ];
            for (channel, value) in bent.iter_mut().zip(dovi.lms(samples)) {
                channel[at] = value;
            }
        }
        bent
    }
}

fn fill<S: Sample>(lanes: &mut [f32; LANES], samples: &[S]) {
    for (lane, sample) in lanes.iter_mut().zip(samples) {
        *lane = (*sample).into();
    }
}

/// Rounds values from 0 to 1 to bytes.
fn bytes(values: &[f32; LANES]) -> [u8; LANES] {
    // In a float of this size, the last bits are the whole number added to it. This avoids the slow cast.
    const WHOLE: f32 = 12_582_912.0;
    let mut bytes = [0; LANES];
    for (byte, value) in bytes.iter_mut().zip(values) {
        let whole = (value * 255.0 + WHOLE).to_bits().cast_signed() - WHOLE.to_bits().cast_signed();
        *byte = whole.clamp(0, 255) as u8;
    }
    bytes
}
