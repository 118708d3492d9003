//! Sixel graphics (DEC STD 070; VT330/VT340 Programmer Reference): bands of six rows, one colour after the other.
//!
//! The palette is fixed at six steps per primary, and an ordered dither spreads the error. That is enough: thumbnails are small, every
//! terminal with sixel has 256 colours, and the libraries that choose palettes pull in twenty crates.

use std::io::Write as _;

/// Steps per primary.
const N_STEPS: usize = 6;

/// The 4 × 4 Bayer matrix: the order in which pixels go up to the next step.
const ORDER: [[u16; 4]; 4] = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]];

pub(super) fn drawn(rgb: &[u8], width_px: usize, height_px: usize) -> Vec<u8> {
    let indices = quantised(rgb, width_px);
    let mut bytes = Vec::with_capacity(width_px * height_px / 2 + 4096);
    // P2 = 1: pixels that no colour sets stay unchanged. The raster attributes give the size, so nothing is guessed.
    write!(bytes, "\x1bP0;1;0q\"1;1;{width_px};{height_px}").expect("memory takes any bytes");
    let mut used = [false; N_STEPS * N_STEPS * N_STEPS];
    for index in &indices {
        used[usize::from(*index)] = true;
    }
    for (index, _) in used.iter().enumerate().filter(|(_, used)| **used) {
        let percent = |step: usize| step * 100 / (N_STEPS - 1);
        let (red, green, blue) = (index / 36, index / 6 % 6, index % 6);
        write!(bytes, "#{index};2;{};{};{}", percent(red), percent(green), percent(blue)).expect("memory takes any bytes");
    }
    for band in indices.chunks(width_px * 6) {
        let mut colours = used.map(|_| None::<Vec<u8>>);
        for (row, line) in band.chunks(width_px).enumerate() {
            for (column, index) in line.iter().enumerate() {
                colours[usize::from(*index)].get_or_insert_with(|| vec![0; width_px])[column] |= 1 << row;
            }
        }
        for (index, columns) in colours.iter().enumerate() {
            if let Some(columns) = columns {
                write!(bytes, "#{index}").expect("memory takes any bytes");
                push_runs(&mut bytes, columns);
                bytes.push(b'$');
            }
        }
        bytes.push(b'-');
    }
    bytes.extend_from_slice(b"\x1b\\");
    bytes
}

/// Returns the palette index of every pixel.
fn quantised(rgb: &[u8], width_px: usize) -> Vec<u8> {
    let step = |value: u8, order: u16| {
        // 255 / 5 = 51 between two steps, divided into sixteen thresholds.
        let scaled = u16::from(value) * 16 / 51 * 2 + order * 2 + 1;
        ((scaled / 32) as usize).min(N_STEPS - 1)
    };
    rgb.chunks_exact(3)
        .enumerate()
        .map(|(at, pixel)| {
            let order = ORDER[at / width_px % 4][at % width_px % 4];
            (step(pixel[0], order) * 36 + step(pixel[1], order) * 6 + step(pixel[2], order)) as u8
        })
        .collect()
}

/// Writes six dots per character; runs of four or more equal ones are written as a count.
fn push_runs(bytes: &mut Vec<u8>, columns: &[u8]) {
    for run in columns.chunk_by(|a, b| a == b) {
        let sign = run[0] + b'?';
        if run.len() < 4 {
            bytes.extend(std::iter::repeat_n(sign, run.len()));
        } else {
            write!(bytes, "!{}", run.len()).expect("memory takes any bytes");
            bytes.push(sign);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes what a terminal would show, for the subset written here.
    fn shown(bytes: &[u8], width_px: usize, height_px: usize) -> Vec<[usize; 3]> {
        let text = std::str::from_utf8(bytes).unwrap();
        let (head, body) = text.strip_suffix("\x1b\\").unwrap().split_once('q').unwrap();
        assert_eq!(head, "\x1bP0;1;0");
        let mut pixels = vec![[999; 3]; width_px * height_px];
        let (mut palette, mut colour, mut x, mut y) = (vec![[999; 3]; 256], 0, 0, 0);
        let mut rest = body.strip_prefix(&format!("\"1;1;{width_px};{height_px}")).unwrap();
        let number = |rest: &mut &str| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let value: usize = rest[..end].parse().unwrap();
            *rest = &rest[end..];
            value
        };
        while let Some(sign) = rest.chars().next() {
            rest = &rest[1..];
            let mut n_times = 1;
            let sign = match sign {
                '#' => {
                    colour = number(&mut rest);
                    if let Some(after) = rest.strip_prefix(";2;") {
                        rest = after;
                        palette[colour] = [0; 3].map(|_| {
                            let value = number(&mut rest);
                            rest = rest.strip_prefix(';').unwrap_or(rest);
                            value
                        });
                    }
                    continue;
                }
                '$' => {
                    x = 0;
                    continue;
                }
                '-' => {
                    (x, y) = (0, y + 6);
                    continue;
                }
                '!' => {
                    n_times = number(&mut rest);
                    let sign = rest.chars().next().unwrap();
                    rest = &rest[1..];
                    sign
                }
                other => other,
            };
            let dots = sign as u8 - b'?';
            for _ in 0..n_times {
                for row in (0..6).filter(|row| dots >> row & 1 == 1) {
                    pixels[(y + row) * width_px + x] = palette[colour];
                }
                x += 1;
            }
        }
        pixels
    }

    #[test]
    fn a_terminal_shows_the_pixels_again() {
        let (width, height) = (37, 17);
        let rgb: Vec<u8> = (0..width * height)
            .flat_map(|at| [(at % width * 6) as u8, (at / width * 14) as u8, 0])
            .collect();
        let shown = shown(&drawn(&rgb, width, height), width, height);
        for (at, (pixel, wanted)) in shown.iter().zip(rgb.chunks(3)).enumerate() {
            for (percent, value) in pixel.iter().zip(wanted) {
                let value = usize::from(*value) * 100 / 255;
                assert!(percent.abs_diff(value) <= 20, "pixel {at}: {pixel:?} for {wanted:?}");
            }
        }
        // With dithering the mean is right, although no single step would be.
        let grey = vec![128; 48 * 48 * 3];
        let shown = self::shown(&drawn(&grey, 48, 48), 48, 48);
        let mean = shown.iter().map(|pixel| pixel[1]).sum::<usize>() / shown.len();
        assert!(mean.abs_diff(50) <= 2, "{mean}");
    }

    #[test]
    fn plain_colours_stay_plain() {
        for (rgb, percent) in [
            ([0, 0, 0], [0, 0, 0]),
            ([255, 255, 255], [100, 100, 100]),
            ([255, 0, 51], [100, 0, 20]),
        ] {
            let shown = shown(&drawn(&rgb.repeat(12), 4, 3), 4, 3);
            assert_eq!(shown, vec![percent; 12]);
        }
    }
}
