//! Turns pictures the way a player shows them. Pure.

/// One of the eight orientations of a picture. The picture is transposed first, then flipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orientation {
    /// Whether rows become columns.
    pub(crate) transposed: bool,
    pub(crate) flipped_x: bool,
    pub(crate) flipped_y: bool,
}

impl Orientation {
    /// Reads a display matrix (ISO 14496-12, 16.16 fixed point, row vectors); odd angles become the nearest right angle.
    pub(crate) fn from_display_matrix(matrix: &[i32; 9]) -> Self {
        let [a, b, _, c, d, ..] = matrix.map(i64::from);
        if a.abs() + d.abs() >= b.abs() + c.abs() {
            Self {
                transposed: false,
                flipped_x: a < 0,
                flipped_y: d < 0,
            }
        } else {
            Self {
                transposed: true,
                flipped_x: c < 0,
                flipped_y: b < 0,
            }
        }
    }

    /// Reads EXIF's orientation, 1 to 8.
    pub(crate) fn from_exif(value: u32) -> Option<Self> {
        let (transposed, flipped_x, flipped_y) = match value {
            1 => (false, false, false),
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => return None,
        };
        Some(Self {
            transposed,
            flipped_x,
            flipped_y,
        })
    }

    /// Returns how many degrees clockwise a player turns the picture. A mirror image counts as the nearest pure turn.
    pub(crate) fn degrees(self) -> i32 {
        match (self.transposed, self.flipped_x, self.flipped_y) {
            (false, _, false) => 0,
            (false, _, true) => 180,
            (true, true, _) => 90,
            (true, false, _) => 270,
        }
    }

    /// Returns the size after turning.
    pub(crate) fn turned_size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.transposed { (height, width) } else { (width, height) }
    }

    /// Turns a picture. **Shape**: `[height, width, 3]` u8 without padding, before and after.
    pub(crate) fn turn(self, rgb: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
        if self == Self::default() {
            return rgb;
        }
        let (width, height) = (width as usize, height as usize);
        let (to_width, to_height) = if self.transposed { (height, width) } else { (width, height) };
        let pixels = rgb.as_chunks::<3>().0;
        let mut turned = Vec::with_capacity(rgb.len());
        for y in 0..to_height {
            for x in 0..to_width {
                let x = if self.flipped_x { to_width - 1 - x } else { x };
                let y = if self.flipped_y { to_height - 1 - y } else { y };
                let from = if self.transposed { x * width + y } else { y * width + x };
                turned.extend_from_slice(&pixels[from]);
            }
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: i32 = 1 << 16;

    /// Turns a 3×2 picture with the letters `abc/def` and compares the rows of the result.
    fn check(orientation: Orientation, expected: &str, degrees: i32) {
        let rgb: Vec<u8> = b"abcdef".iter().flat_map(|letter| [*letter; 3]).collect();
        let turned = orientation.turn(rgb, 3, 2);
        let width = orientation.turned_size((3, 2)).0 as usize;
        let letters: Vec<u8> = turned.chunks(3).map(|pixel| pixel[0]).collect();
        let rows: Vec<String> = letters.chunks(width).map(|row| String::from_utf8(row.to_vec()).unwrap()).collect();
        assert_eq!(rows.join("/"), expected, "{orientation:?}");
        assert_eq!(orientation.degrees(), degrees, "{orientation:?}");
    }

    #[test]
    fn display_matrices_turn_as_players_do() {
        let matrix = |a, b, c, d| Orientation::from_display_matrix(&[a, b, 0, c, d, 0, 0, 0, 1 << 30]);
        check(matrix(ONE, 0, 0, ONE), "abc/def", 0);
        check(matrix(0, ONE, -ONE, 0), "da/eb/fc", 90);
        check(matrix(-ONE, 0, 0, -ONE), "fed/cba", 180);
        check(matrix(0, -ONE, ONE, 0), "cf/be/ad", 270);
        check(matrix(-ONE, 0, 0, ONE), "cba/fed", 0);
        // A few degrees off, and a matrix of zeros.
        check(matrix(65_000, 5_000, -5_000, 65_000), "abc/def", 0);
        check(matrix(0, 0, 0, 0), "abc/def", 0);
    }

    #[test]
    fn exif_orientations_turn_as_viewers_do() {
        for (value, expected, degrees) in [
            (1, "abc/def", 0),
            (2, "cba/fed", 0),
            (3, "fed/cba", 180),
            (4, "def/abc", 180),
            (5, "ad/be/cf", 270),
            (6, "da/eb/fc", 90),
            (7, "fc/eb/da", 90),
            (8, "cf/be/ad", 270),
        ] {
            check(Orientation::from_exif(value).unwrap(), expected, degrees);
        }
        assert_eq!(Orientation::from_exif(0), None);
        assert_eq!(Orientation::from_exif(9), None);
    }
}
