//! Pictures as text: each cell is an upper half block whose two colours are two pixels. Any terminal with colours shows them.

use super::{Cells, Picture};

/// A colour in a form that the terminal understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shade {
    Rgb(u8, u8, u8),
    /// One of xterm's 256 colours: from the cube or the greys.
    Indexed(u8),
}

/// One cell: the colours of its upper and lower half.
pub(crate) type Block = (Shade, Shade);

pub(crate) const SIGN: char = '▀';

/// **Shape**: `cells.rows` rows of `cells.columns` blocks.
pub(crate) fn rows(picture: &Picture, cells: Cells, has_true_colour: bool) -> Vec<Vec<Block>> {
    let (width, height) = (usize::from(cells.columns), usize::from(cells.rows) * 2);
    let rgb = picture.scaled(width as u32, height as u32);
    let shade = |x: usize, y: usize| {
        let at = (y * width + x) * 3;
        let (red, green, blue) = (rgb[at], rgb[at + 1], rgb[at + 2]);
        if has_true_colour {
            Shade::Rgb(red, green, blue)
        } else {
            Shade::Indexed(nearest(red, green, blue))
        }
    };
    let row = |y: usize| (0..width).map(|x| (shade(x, y), shade(x, y + 1))).collect();
    (0..height).step_by(2).map(row).collect()
}

/// Returns the nearest colour of the 6 × 6 × 6 cube and the 24 greys.
fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let distance = |a: [u8; 3]| -> u32 {
        let squares = a.iter().zip([red, green, blue]).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2));
        squares.sum()
    };
    let step = |value: u8| (0..6).min_by_key(|i| STEPS[usize::from(*i)].abs_diff(value)).unwrap_or(0_u8);
    let (r, g, b) = (step(red), step(green), step(blue));
    let grey = ((u16::from(red) + u16::from(green) + u16::from(blue)) / 3).saturating_sub(3) / 10;
    let grey = grey.min(23) as u8;
    let in_cube = distance([r, g, b].map(|i| STEPS[usize::from(i)]));
    if distance([8 + 10 * grey; 3]) < in_cube {
        232 + grey
    } else {
        16 + 36 * r + 6 * g + b
    }
}

/// Returns a row as a line of text, for terminals that are not drawn cell by cell.
pub(crate) fn line(row: &[Block]) -> String {
    use std::fmt::Write as _;
    let mut line = String::with_capacity(row.len() * 24);
    let mut last = None;
    for block @ (upper, lower) in row {
        if last != Some(block) {
            line.push_str("\u{1b}[");
            for (i, (layer, shade)) in [(38, upper), (48, lower)].into_iter().enumerate() {
                let semicolon = if i == 0 { "" } else { ";" };
                match shade {
                    Shade::Rgb(red, green, blue) => write!(line, "{semicolon}{layer};2;{red};{green};{blue}"),
                    Shade::Indexed(index) => write!(line, "{semicolon}{layer};5;{index}"),
                }
                .expect("a string takes any text");
            }
            line.push('m');
        }
        line.push(SIGN);
        last = Some(block);
    }
    line.push_str("\u{1b}[0m");
    line
}

#[cfg(test)]
mod tests {
    use super::super::tests::red;
    use super::*;

    #[test]
    fn two_pixels_are_a_cell() {
        let picture = Picture {
            width_px: 2,
            height_px: 2,
            rgb: vec![255, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 255],
            ..red()
        };
        let cells = Cells { columns: 2, rows: 1 };
        let (red, blue) = (Shade::Rgb(255, 0, 0), Shade::Rgb(0, 0, 255));
        assert_eq!(rows(&picture, cells, true), [[(red, blue), (red, blue)]]);
        assert_eq!(
            line(&rows(&picture, cells, true)[0]),
            "\u{1b}[38;2;255;0;0;48;2;0;0;255m▀▀\u{1b}[0m"
        );
        assert_eq!(line(&rows(&picture, cells, false)[0]), "\u{1b}[38;5;196;48;5;21m▀▀\u{1b}[0m");
    }

    #[test]
    fn the_nearest_of_256_colours_is_taken() {
        for (rgb, index) in [
            ([0, 0, 0], 16),
            ([255, 255, 255], 231),
            ([255, 0, 0], 196),
            ([8, 8, 8], 232),
            ([128, 128, 128], 244),
            ([238, 238, 238], 255),
            ([95, 135, 175], 67),
        ] {
            assert_eq!(nearest(rgb[0], rgb[1], rgb[2]), index, "{rgb:?}");
        }
    }
}
