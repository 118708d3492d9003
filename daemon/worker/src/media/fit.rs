//! Sizes: how a film's frame becomes a model's picture or a thumbnail. Pure.

use scened::domain::{ImageSpec, ResizeMode};

use super::orientation::Orientation;

/// Longest side a frame is ever scaled to before it is cropped; only strips longer than 4:1 at the largest size meet it.
const MAX_SCALED_PX: u32 = 4096;
/// Pixels more oblong than this are taken for a mistake in the file.
const MAX_PIXEL_ASPECT: f64 = 20.0;

/// What to do with a frame as displayed: scale it to `scaled`, then cut out `size` from `offset`. Pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    pub(crate) scaled: (u32, u32),
    pub(crate) offset: (u32, u32),
    pub(crate) size: (u32, u32),
}

impl Fit {
    /// What to do with the frame as stored, so that turning the result gives what this one says.
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
        // A quarter turn is its own inverse where sizes are concerned.
        Self {
            scaled: orientation.turned_size(self.scaled),
            offset: orientation.turned_size(offset),
            size: orientation.turned_size(self.size),
        }
    }
}

/// The size a frame is shown at: its pixels made square, before it is turned. **Units**: pixels.
pub(crate) fn square_pixels(width: u32, height: u32, aspect: (i32, i32)) -> (u32, u32) {
    let ratio = f64::from(aspect.0) / f64::from(aspect.1);
    if aspect.0 <= 0 || aspect.1 <= 0 || !(1.0 / MAX_PIXEL_ASPECT..=MAX_PIXEL_ASPECT).contains(&ratio) {
        return (width, height);
    }
    (((f64::from(width) * ratio).round() as u32).max(1), height)
}

/// Fits a frame of the displayed size to a model's input, as the model's reference processor does.
///
/// **Source**: transformers `CLIPImageProcessor` (`get_resize_output_image_size`, `center_crop`): the long side is rounded down.
pub(crate) fn to_model((width, height): (u32, u32), image: &ImageSpec) -> Fit {
    let size = (image.width_px, image.height_px);
    match image.resize {
        ResizeMode::Squash => Fit {
            scaled: size,
            offset: (0, 0),
            size,
        },
        ResizeMode::ShortestSideCrop => {
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
    let size = (scaled(width).max(1), scaled(height).max(1));
    Fit {
        scaled: size,
        offset: (0, 0),
        size,
    }
}

/// Longest side of a keyframe picture: strips longer than 4:1 lose some of their height.
const MAX_KEYFRAME_PX: u32 = 1024;

/// Fits a frame of the displayed size so that its shorter side has `shorter_px`; it is never enlarged.
pub(crate) fn to_keyframe((width, height): (u32, u32), shorter_px: u32) -> Fit {
    let (longer, shorter) = (width.max(height).max(1), width.min(height).max(1));
    let longer_px = (u64::from(longer) * u64::from(shorter_px) + u64::from(shorter) / 2) / u64::from(shorter);
    to_thumbnail((width, height), longer_px.min(u64::from(MAX_KEYFRAME_PX)) as u32)
}

/// Cuts `size` from `offset` out of a picture of the size `scaled`. **Shape**: `[height, width, 3]` u8 without padding, before and
/// after.
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
    use scened::domain::Resample;

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
            let fit = to_model(display, &clip(224, ResizeMode::ShortestSideCrop));
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
        let fit = to_model((1920, 800), &clip(256, ResizeMode::Squash));
        assert_eq!((fit.scaled, fit.offset), ((256, 256), (0, 0)));
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
