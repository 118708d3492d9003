//! Computes how a video's frame is scaled and cropped to a model's picture or a thumbnail. Pure.

use scened_common::domain::{ImageSpec, ResizeMode};

use super::orientation::Orientation;

/// Longest side to which a frame is scaled before it is cropped. Only strips longer than 4:1 at the largest size reach it.
const MAX_SCALED_PX: u32 = 4096;
/// Divisor of a crop's size: if one crop in the middle loses less than this part, no second crop is made.
const ONE_CROP_LOSES: u32 = 10;
/// Pixels more oblong than this are considered a mistake in the file.
const MAX_PIXEL_ASPECT: f64 = 20.0;

/// The steps for a frame as displayed: scale it to `scaled`, then cut out `size` from `offset`. Pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    pub(crate) scaled: (u32, u32),
    pub(crate) offset: (u32, u32),
    pub(crate) size: (u32, u32),
}

impl Fit {
    /// Returns the steps for the frame as stored, so that turning the result gives the same picture.
    pub(crate) fn before(self, orientation: Orientation) -> Self {
        let from_end = |axis: fn((u32, u32)) -> u32| axis(self.scaled) - axis(self.size) - axis(self.offset);
        let offset = (
            if orientation.flipped_x {
                from_end(|(x, _)| x)
            } else {
                self.offset.0
            },
            if orientation.flipped_y {
                from_end(|(_, y)| y)
            } else {
                self.offset.1
            },
        );
        // For sizes, a quarter turn is its own inverse.
        Self {
            scaled: orientation.turned_size(self.scaled),
            offset: orientation.turned_size(offset),
            size: orientation.turned_size(self.size),
        }
    }
}

/// Returns the size a frame is shown at: with square pixels, before it is turned. **Units**: pixels.
pub(crate) fn square_pixels(width: u32, height: u32, aspect: (i32, i32)) -> (u32, u32) {
    let ratio = f64::from(aspect.0) / f64::from(aspect.1);
    if aspect.0 <= 0 || aspect.1 <= 0 || !(1.0 / MAX_PIXEL_ASPECT..=MAX_PIXEL_ASPECT).contains(&ratio) {
        return (width, height);
    }
    (((f64::from(width) * ratio).round() as u32).max(1), height)
}

/// The part of a frame to render, and the layout of a model's pictures made from it. All as displayed, in pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) fit: Fit,
    /// Size of every picture.
    size: (u32, u32),
    /// The position of the rendered part's upper left corner in each picture: outside the picture if that is a crop.
    corners: Vec<(i32, i32)>,
}

impl Plan {
    /// Creates the plan for the one picture that `fit` renders.
    pub(crate) fn of(fit: Fit) -> Self {
        Self {
            fit,
            size: fit.size,
            corners: vec![(0, 0)],
        }
    }

    /// Lays out the rendered part on black. **Shape**: `[n, height, width, 3]` u8, `n` pictures one after the other.
    pub(crate) fn lay(&self, rendered: Vec<u8>) -> Vec<u8> {
        if self.corners == [(0, 0)] && self.fit.size == self.size {
            return rendered;
        }
        let row_bytes = |width: u32| width as usize * 3;
        // Along one side: the start of the visible part in the rendered picture and in the new one, and its length.
        let shared = |corner: i32, rendered: u32, size: u32| {
            let (from, to) = (corner.min(0).unsigned_abs(), corner.max(0).unsigned_abs());
            (from, to, rendered.saturating_sub(from).min(size.saturating_sub(to)))
        };
        let mut laid = Vec::with_capacity(self.corners.len() * row_bytes(self.size.0) * self.size.1 as usize);
        for corner in &self.corners {
            let start = laid.len();
            laid.resize(start + row_bytes(self.size.0) * self.size.1 as usize, 0);
            let (from_x, to_x, width) = shared(corner.0, self.fit.size.0, self.size.0);
            let (from_y, to_y, height) = shared(corner.1, self.fit.size.1, self.size.1);
            let lines = rendered
                .chunks_exact(row_bytes(self.fit.size.0))
                .skip(from_y as usize)
                .take(height as usize);
            let places = laid[start..].chunks_exact_mut(row_bytes(self.size.0)).skip(to_y as usize);
            for (line, place) in lines.zip(places) {
                place[row_bytes(to_x)..][..row_bytes(width)].copy_from_slice(&line[row_bytes(from_x)..][..row_bytes(width)]);
            }
        }
        laid
    }
}

/// Fits a frame of the displayed size to a model's input.
pub(crate) fn to_model(display: (u32, u32), image: &ImageSpec) -> Plan {
    let size = (image.width_px, image.height_px);
    match image.resize {
        ResizeMode::Squash => Plan::of(whole(size)),
        ResizeMode::ShortestSideCrop => Plan::of(shortest_side_crop(display, image)),
        ResizeMode::Letterbox => letterbox(display, size),
        ResizeMode::TwoCrops => two_crops(display, size),
    }
}

/// Returns the fit that scales the whole frame to this size.
fn whole(size: (u32, u32)) -> Fit {
    Fit {
        scaled: size,
        offset: (0, 0),
        size,
    }
}

/// Fits a frame as the model's reference processor does.
///
/// **Source**: transformers `CLIPImageProcessor` (`get_resize_output_image_size`, `center_crop`): the long side is rounded down.
fn shortest_side_crop((width, height): (u32, u32), image: &ImageSpec) -> Fit {
    let size = (image.width_px, image.height_px);
    let shortest = image.shortest_side_px.max(size.0).max(size.1);
    let long = |long: u32, short: u32| {
        let exact = u64::from(shortest) * u64::from(long) / u64::from(short.max(1));
        exact.clamp(u64::from(shortest), u64::from(MAX_SCALED_PX)) as u32
    };
    let scaled = if width <= height {
        (shortest, long(height, width))
    } else {
        (long(width, height), shortest)
    };
    Fit {
        scaled,
        offset: ((scaled.0 - size.0) / 2, (scaled.1 - size.1) / 2),
        size,
    }
}

/// Returns whether a frame is wider than a size in proportion to its height.
fn is_wider((width, height): (u32, u32), size: (u32, u32)) -> bool {
    u64::from(width) * u64::from(size.1) > u64::from(height) * u64::from(size.0)
}

/// Returns `side` in the proportion of `a` to `b`, rounded.
fn in_proportion(side: u32, a: u32, b: u32) -> u32 {
    let b = u64::from(b.max(1));
    ((u64::from(side) * u64::from(a) + b / 2) / b).min(u64::from(u32::MAX)) as u32
}

fn letterbox(display: (u32, u32), size: (u32, u32)) -> Plan {
    let scaled = if is_wider(display, size) {
        (size.0, in_proportion(size.0, display.1, display.0).clamp(1, size.1))
    } else {
        (in_proportion(size.1, display.0, display.1).clamp(1, size.0), size.1)
    };
    let margin = |size: u32, scaled: u32| ((size - scaled) / 2) as i32;
    Plan {
        fit: whole(scaled),
        size,
        corners: vec![(margin(size.0, scaled.0), margin(size.1, scaled.1))],
    }
}

/// Fits a frame to one or two crops. The shorter side fills the picture, and the longer one fills at most two. A longer frame is squeezed,
/// so that nothing is left out between the two crops.
fn two_crops(display: (u32, u32), size: (u32, u32)) -> Plan {
    let scaled = if is_wider(display, size) {
        (in_proportion(size.1, display.0, display.1).clamp(size.0, 2 * size.0), size.1)
    } else {
        (size.0, in_proportion(size.0, display.1, display.0).clamp(size.1, 2 * size.1))
    };
    let over = (scaled.0 - size.0, scaled.1 - size.1);
    if over.0 < size.0 / ONE_CROP_LOSES && over.1 < size.1 / ONE_CROP_LOSES {
        return Plan::of(Fit {
            scaled,
            offset: (over.0 / 2, over.1 / 2),
            size,
        });
    }
    Plan {
        fit: whole(scaled),
        size,
        corners: vec![(0, 0), (-(over.0 as i32), -(over.1 as i32))],
    }
}

/// Fits a frame of the displayed size into a square of `longer_px`; it is never enlarged.
pub(crate) fn to_thumbnail((width, height): (u32, u32), longer_px: u32) -> Fit {
    let longer = width.max(height).max(1);
    let scaled = |px: u32| {
        if longer <= longer_px {
            px
        } else {
            ((u64::from(px) * u64::from(longer_px) + u64::from(longer) / 2) / u64::from(longer)) as u32
        }
    };
    whole((scaled(width).max(1), scaled(height).max(1)))
}

/// Longest side of a keyframe picture. Strips longer than 4.57:1 get a shorter side below the usual 224 px.
const MAX_KEYFRAME_PX: u32 = 1024;

/// Fits a frame of the displayed size so that its shorter side has `shorter_px`; it is never enlarged.
pub(crate) fn to_keyframe((width, height): (u32, u32), shorter_px: u32) -> Fit {
    let (longer, shorter) = (width.max(height).max(1), width.min(height).max(1));
    let longer_px = (u64::from(longer) * u64::from(shorter_px) + u64::from(shorter) / 2) / u64::from(shorter);
    to_thumbnail((width, height), longer_px.min(u64::from(MAX_KEYFRAME_PX)) as u32)
}

/// Cuts `size` from `offset` out of a picture of size `scaled`. **Shape**: `[height, width, 3]` u8 without padding, before and after.
pub(crate) fn crop(rgb: Vec<u8>, fit: &Fit) -> Vec<u8> {
    if fit.scaled == fit.size {
        return rgb;
    }
    let (row, kept) = (fit.scaled.0 as usize * 3, fit.size.0 as usize * 3);
    let start = fit.offset.0 as usize * 3;
    let mut cropped = Vec::with_capacity(kept * fit.size.1 as usize);
    for line in rgb.chunks_exact(row).skip(fit.offset.1 as usize).take(fit.size.1 as usize) {
        cropped.extend_from_slice(&line[start..start + kept]);
    }
    cropped
}

#[cfg(test)]
mod tests {
    use super::*;
    use scened_common::domain::Resample;

    fn clip(side: u32, resize: ResizeMode) -> ImageSpec {
        ImageSpec {
            width_px: side,
            height_px: side,
            shortest_side_px: side,
            resize,
            resample: Resample::Bicubic,
        }
    }

    #[test]
    fn shortest_side_crop_takes_the_middle() {
        let check = |display, scaled, offset| {
            let plan = to_model(display, &clip(224, ResizeMode::ShortestSideCrop));
            let fit = plan.fit;
            assert_eq!(plan, Plan::of(fit), "{display:?}");
            assert_eq!((fit.scaled, fit.offset, fit.size), (scaled, offset, (224, 224)), "{display:?}");
        };
        check((1920, 1080), (398, 224), (87, 0));
        check((1080, 1920), (224, 398), (0, 87));
        check((224, 224), (224, 224), (0, 0));
        check((1, 1), (224, 224), (0, 0));
        check((60_000, 2), (4096, 224), (1936, 0));
    }

    #[test]
    fn squash_keeps_the_whole_picture() {
        for display in [(1920, 800), (1080, 1920), (5, 5), (60_000, 2)] {
            let plan = to_model(display, &clip(256, ResizeMode::Squash));
            assert_eq!(plan, Plan::of(whole((256, 256))), "{display:?}");
        }
    }

    #[test]
    fn letterbox_keeps_the_whole_picture_and_its_shape() {
        for (display, scaled, corner) in [
            ((1920, 1080), (224, 126), (0, 49)),
            ((1080, 1920), (126, 224), (49, 0)),
            ((640, 480), (224, 168), (0, 28)),
            ((7, 7), (224, 224), (0, 0)),
            ((60_000, 2), (224, 1), (0, 111)),
            ((2, 60_000), (1, 224), (111, 0)),
        ] {
            let plan = to_model(display, &clip(224, ResizeMode::Letterbox));
            assert_eq!((plan.fit, &plan.corners[..]), (whole(scaled), &[corner][..]), "{display:?}");
            assert_eq!(plan.size, (224, 224));
        }
    }

    #[test]
    fn two_crops_show_all_of_a_long_picture_and_one_is_enough_for_a_square_one() {
        let two = |scaled: (u32, u32)| {
            let over = |scaled: u32| -(scaled as i32 - 224);
            (whole(scaled), vec![(0, 0), (over(scaled.0), over(scaled.1))])
        };
        let one = |scaled, offset| {
            let size = (224, 224);
            (Fit { scaled, offset, size }, vec![(0, 0)])
        };
        for (display, (fit, corners)) in [
            ((1920, 1080), two((398, 224))),
            ((1080, 1920), two((224, 398))),
            ((640, 480), two((299, 224))),
            // Two square crops would leave out the middle, so the picture is squeezed to two of them.
            ((1920, 800), two((448, 224))),
            ((60_000, 2), two((448, 224))),
            ((2, 60_000), two((224, 448))),
            ((224, 224), one((224, 224), (0, 0))),
            ((108, 100), one((242, 224), (9, 0))),
            ((100, 108), one((224, 242), (0, 9))),
        ] {
            let plan = to_model(display, &clip(224, ResizeMode::TwoCrops));
            assert_eq!((plan.fit, &plan.corners), (fit, &corners), "{display:?}");
            assert!(plan.corners.len() <= clip(224, ResizeMode::TwoCrops).most_views());
        }
    }

    #[test]
    fn sizes_that_are_not_square_are_filled_the_same_way() {
        let image = |resize| ImageSpec {
            height_px: 112,
            ..clip(224, resize)
        };
        let plan = to_model((1920, 1080), &image(ResizeMode::TwoCrops));
        assert_eq!((plan.fit, &plan.corners[..]), (whole((224, 126)), &[(0, 0), (0, -14)][..]));
        let plan = to_model((1920, 1080), &image(ResizeMode::Letterbox));
        assert_eq!((plan.fit, &plan.corners[..]), (whole((199, 112)), &[(12, 0)][..]));
    }

    /// Returns the green of every pixel, picture after picture and row after row.
    fn laid(plan: &Plan, rendered: &[u8]) -> Vec<u8> {
        let rendered = rendered.iter().flat_map(|value| [100, *value, 200]).collect();
        plan.lay(rendered).as_chunks::<3>().0.iter().map(|[_, green, _]| *green).collect()
    }

    #[test]
    fn pictures_are_laid_out_of_what_was_rendered() {
        let wide = to_model((40, 20), &clip(2, ResizeMode::TwoCrops));
        assert_eq!(laid(&wide, &[1, 2, 3, 4, 5, 6, 7, 8]), [1, 2, 5, 6, 3, 4, 7, 8]);
        let tall = to_model((20, 30), &clip(2, ResizeMode::TwoCrops));
        assert_eq!(laid(&tall, &[1, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 3, 4, 5, 6]);
        let wide = to_model((40, 20), &clip(4, ResizeMode::Letterbox));
        assert_eq!(
            laid(&wide, &[1, 2, 3, 4, 5, 6, 7, 8]),
            [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]
        );
        let tall = to_model((10, 40), &clip(4, ResizeMode::Letterbox));
        assert_eq!(laid(&tall, &[1, 2, 3, 4]), [0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0]);
        assert_eq!(tall.lay(vec![7; 12])[..6], [0, 0, 0, 7, 7, 7], "the margin is black");
    }

    #[test]
    fn thumbnails_keep_their_shape_and_are_never_enlarged() {
        for (display, expected) in [
            ((1920, 1080), (320, 180)),
            ((1080, 1920), (180, 320)),
            ((100, 50), (100, 50)),
            ((9000, 1), (320, 1)),
        ] {
            assert_eq!(to_thumbnail(display, 320).size, expected, "{display:?}");
        }
    }

    #[test]
    fn keyframes_have_their_shorter_side_and_are_never_enlarged() {
        for (display, expected) in [
            ((1920, 1080), (398, 224)),
            ((1080, 1920), (224, 398)),
            ((720, 720), (224, 224)),
            ((300, 100), (300, 100)),
            ((9000, 300), (1024, 34)),
        ] {
            assert_eq!(to_keyframe(display, 224).size, expected, "{display:?}");
        }
    }

    #[test]
    fn oblong_pixels_are_made_square_unless_absurd() {
        for (aspect, expected) in [
            ((16, 11), (1047, 576)),
            ((1, 1), (720, 576)),
            ((0, 1), (720, 576)),
            ((100, 1), (720, 576)),
        ] {
            assert_eq!(square_pixels(720, 576, aspect), expected, "{aspect:?}");
        }
    }

    #[test]
    fn cropping_before_turning_is_cropping_after_turning() {
        let rgb: Vec<u8> = (0..5 * 3).flat_map(|n| [n; 3]).collect();
        for value in 1..=8 {
            let orientation = Orientation::from_exif(value).unwrap();
            let scaled = orientation.turned_size((5, 3));
            let fit = Fit {
                scaled,
                offset: (1, 0),
                size: (2, 2),
            };
            let after = crop(orientation.turn(rgb.clone(), 5, 3), &fit);
            let before = fit.before(orientation);
            let cropped = crop(rgb.clone(), &before);
            assert_eq!(orientation.turn(cropped, before.size.0, before.size.1), after, "{orientation:?}");
        }
    }

    #[test]
    fn cropping_keeps_the_wanted_pixels() {
        let rgb: Vec<u8> = (0..4 * 3).flat_map(|n| [n; 3]).collect();
        let fit = Fit {
            scaled: (4, 3),
            offset: (1, 1),
            size: (2, 2),
        };
        let cropped: Vec<u8> = crop(rgb, &fit).chunks(3).map(|pixel| pixel[0]).collect();
        assert_eq!(cropped, [5, 6, 9, 10]);
    }
}
