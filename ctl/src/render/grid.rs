//! Pictures in rows that fit the width, each with two lines of text beneath it.

use super::color::Color;
use super::picture::{Cells, Picture, blocks};
use super::screen::{Protocol, Screen};
use super::{Out, text};
use std::io;

/// Wide enough to recognize something, narrow enough for three on 80 columns.
const PICTURE_COLUMNS: usize = 24;
const GAP_COLUMNS: usize = 2;

/// Used if standard output has no width, which is rare: pictures are requested on terminals only.
const USUAL_COLUMNS: usize = 80;

/// One picture and its two lines of text, already escaped.
#[derive(Debug)]
pub(crate) struct Tile {
    /// `None` if there is no picture: its space stays empty.
    pub(crate) picture: Option<Picture>,
    pub(crate) title: String,
    /// A path, shortened in its middle.
    pub(crate) name: String,
}

/// The number of columns, and the space for each picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) n_columns: usize,
    room: Cells,
}

impl Grid {
    pub(crate) fn new(width: Option<usize>, cell_px: (u16, u16)) -> Self {
        let width = width.unwrap_or(USUAL_COLUMNS).max(1);
        let n_columns = ((width + GAP_COLUMNS) / (PICTURE_COLUMNS + GAP_COLUMNS)).max(1);
        // Leftover columns make the pictures larger.
        let columns = (width - GAP_COLUMNS.min(width - 1) * (n_columns - 1)) / n_columns;
        let columns = columns.clamp(1, PICTURE_COLUMNS * 3 / 2);
        // 16:9, like most videos.
        let rows = columns * usize::from(cell_px.0) * 9 / 16 / usize::from(cell_px.1);
        Self {
            n_columns,
            room: Cells {
                columns: columns as u16,
                rows: rows.max(1) as u16,
            },
        }
    }

    /// Prints up to `n_columns` tiles side by side. `first_id` numbers the pictures, for terminals that keep them.
    pub(crate) fn row(&self, out: &mut Out, tiles: &[Tile], screen: Screen, first_id: u32) -> io::Result<()> {
        if screen.protocol == Protocol::Blocks {
            self.text_pictures(out, tiles, screen)?;
        } else {
            self.drawn_pictures(out, tiles, screen, first_id)?;
        }
        let columns = usize::from(self.room.columns);
        self.words(out, tiles.iter().map(|tile| (text::shorten(&tile.title, columns), Color::Bold)))?;
        self.words(out, tiles.iter().map(|tile| (text::shorten(&tile.name, columns), Color::Dim)))
    }

    fn words(&self, out: &mut Out, cells: impl Iterator<Item = (String, Color)>) -> io::Result<()> {
        let mut line = String::new();
        let mut column = 0;
        for (i, (words, color)) in cells.enumerate() {
            let start = i * (usize::from(self.room.columns) + GAP_COLUMNS);
            line.push_str(&" ".repeat(start - column));
            line.push_str(&out.paint(color, &words));
            column = start + text::width(&words);
        }
        out.line(&line)
    }

    fn text_pictures(&self, out: &mut Out, tiles: &[Tile], screen: Screen) -> io::Result<()> {
        let drawn: Vec<Vec<Vec<blocks::Block>>> = tiles
            .iter()
            .map(|tile| match &tile.picture {
                Some(picture) => blocks::rows(picture, picture.fitted(self.room, screen.cell_px), screen.has_true_colour),
                None => Vec::new(),
            })
            .collect();
        for row in 0..usize::from(self.room.rows) {
            let mut line = String::new();
            let mut column = 0;
            for (i, rows) in drawn.iter().enumerate() {
                let Some(row) = rows.get(row) else { continue };
                let start = i * (usize::from(self.room.columns) + GAP_COLUMNS);
                line.push_str(&" ".repeat(start - column));
                line.push_str(&blocks::line(row));
                column = start + row.len();
            }
            out.bytes(line.as_bytes())?;
            out.bytes(b"\n")?;
        }
        Ok(())
    }

    /// Makes space by printing empty lines, moves back up, and draws each picture from the same corner. Terminals move the cursor
    /// differently after a picture, so its position is restored.
    fn drawn_pictures(&self, out: &mut Out, tiles: &[Tile], screen: Screen, first_id: u32) -> io::Result<()> {
        if tiles.iter().all(|tile| tile.picture.is_none()) {
            return Ok(());
        }
        let rows = self.room.rows;
        out.bytes("\n".repeat(usize::from(rows)).as_bytes())?;
        out.bytes(format!("\u{1b}[{rows}A\r").as_bytes())?;
        for (i, tile) in tiles.iter().enumerate() {
            let Some(picture) = &tile.picture else { continue };
            let start = i * (usize::from(self.room.columns) + GAP_COLUMNS);
            out.bytes(b"\x1b7")?;
            if start > 0 {
                out.bytes(format!("\u{1b}[{start}C").as_bytes())?;
            }
            let cells = picture.fitted(self.room, screen.cell_px);
            out.bytes(&picture.drawn(cells, screen, first_id.wrapping_add(i as u32).max(1)))?;
            out.bytes(b"\x1b8")?;
        }
        out.bytes(format!("\u{1b}[{rows}B\r").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_fits_the_width() {
        let check = |width: usize, n_columns: usize, columns: u16, rows: u16| {
            let grid = Grid::new(Some(width), (10, 20));
            assert_eq!((grid.n_columns, grid.room), (n_columns, Cells { columns, rows }), "{width}");
            assert!(n_columns * usize::from(columns) + (n_columns - 1) * GAP_COLUMNS <= width.max(1));
        };
        check(80, 3, 25, 7);
        check(120, 4, 28, 7);
        check(200, 7, 26, 7);
        check(30, 1, 30, 8);
        check(49, 1, 36, 10);
        check(20, 1, 20, 5);
        check(3, 1, 3, 1);
        check(1, 1, 1, 1);
        check(0, 1, 1, 1);
        for width in 1..400 {
            let grid = Grid::new(Some(width), (9, 17));
            assert!(
                grid.n_columns * usize::from(grid.room.columns) + (grid.n_columns - 1) * GAP_COLUMNS <= width,
                "{width}"
            );
        }
    }
}
