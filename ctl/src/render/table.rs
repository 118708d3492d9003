//! Rows in columns that fit a width: the path column is shortened, the others keep their text.

use super::color::{Color, Painter};
use super::text;

/// How a column behaves; a note comes after the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Left,
    Right,
    /// A path, shortened in its middle if the row would be too wide. At most one per table.
    Path,
    /// Left out if the row would be too wide even with the shortest path.
    Note,
}

#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    color: Option<Color>,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            color: None,
        }
    }

    pub(crate) fn colored(text: impl Into<String>, color: Color) -> Self {
        Self {
            text: text.into(),
            color: Some(color),
        }
    }
}

/// **Invariants**: every row has as many cells as there are columns; cells are already escaped.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

const GAP: &str = "  ";

/// A path is never shortened below this, even if that makes the row too wide.
pub(super) const MIN_PATH_COLUMNS: usize = 10;

impl Table {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Lays the rows out; `max` is the terminal's width, or `None` without a terminal.
    pub(crate) fn lines(mut self, max: Option<usize>, painter: Painter) -> Vec<String> {
        self.drop_empty_columns();
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|i| self.rows.iter().map(|row| text::width(&row[i].text)).max().unwrap_or(0))
            .collect();
        if let (Some(max), Some(path)) = (max, self.columns.iter().position(|c| *c == Column::Path)) {
            let others = |widths: &[usize]| widths.iter().sum::<usize>() + GAP.len() * (widths.len() - 1) - widths[path];
            let note = self.columns.iter().position(|c| *c == Column::Note);
            if let Some(note) = note.filter(|_| others(&widths) + widths[path].min(MIN_PATH_COLUMNS) > max) {
                self.drop_column(note);
                widths.remove(note);
            }
            widths[path] = widths[path].min(max.saturating_sub(others(&widths)).max(MIN_PATH_COLUMNS));
        }
        self.rows.iter().map(|row| self.line(row, &widths, painter)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], painter: Painter) -> String {
        let mut line = String::new();
        let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
        for (i, cell) in row.iter().enumerate().take(last + 1) {
            let shown = if self.columns[i] == Column::Path {
                text::shorten(&cell.text, widths[i])
            } else {
                cell.text.clone()
            };
            let padding = " ".repeat(widths[i].saturating_sub(text::width(&shown)));
            let colored = cell.color.map_or_else(|| shown.clone(), |color| painter.paint(color, &shown));
            if i > 0 {
                line.push_str(GAP);
            }
            match self.columns[i] {
                Column::Right => line.extend([padding, colored]),
                _ if i == last => line.push_str(&colored),
                _ => line.extend([colored, padding]),
            }
        }
        line
    }

    fn drop_empty_columns(&mut self) {
        for i in (0..self.columns.len()).rev() {
            if self.rows.iter().all(|row| row[i].text.is_empty()) {
                self.drop_column(i);
            }
        }
    }

    fn drop_column(&mut self, i: usize) {
        self.columns.remove(i);
        for row in &mut self.rows {
            row.remove(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[Column::Right, Column::Right, Column::Path, Column::Left, Column::Note]);
        for (rank, score, path, note) in [
            ("1", "0.93", "~/Videos/2024/summer in the mountains/holiday.mp4", ""),
            ("10", "0.7", "~/Videos/日本.mp4", "offline"),
        ] {
            table.row(vec![
                Cell::new(rank),
                Cell::colored(score, Color::Dim),
                Cell::new(path),
                Cell::new("0:03:12 – 0:03:19"),
                Cell::new(note),
            ]);
        }
        table
    }

    #[test]
    fn tables_fit_the_width() {
        let check = |max: Option<usize>, expected: [&str; 2]| assert_eq!(table().lines(max, Painter::OFF), expected, "{max:?}");
        check(
            None,
            [
                " 1  0.93  ~/Videos/2024/summer in the mountains/holiday.mp4  0:03:12 – 0:03:19",
                "10   0.7  ~/Videos/日本.mp4                                  0:03:12 – 0:03:19  offline",
            ],
        );
        check(
            Some(120),
            [
                " 1  0.93  ~/Videos/2024/summer in the mountains/holiday.mp4  0:03:12 – 0:03:19",
                "10   0.7  ~/Videos/日本.mp4                                  0:03:12 – 0:03:19  offline",
            ],
        );
        check(
            Some(80),
            [
                " 1  0.93  ~/Videos/2024/summer in the m…/holiday.mp4  0:03:12 – 0:03:19",
                "10   0.7  ~/Videos/日本.mp4                           0:03:12 – 0:03:19  offline",
            ],
        );
        check(
            Some(40),
            [
                " 1  0.93  holid…y.mp4  0:03:12 – 0:03:19",
                "10   0.7  ~…/日本.mp4  0:03:12 – 0:03:19",
            ],
        );
        for max in [39, 46, 47, 48, 60, 80, 100, 120] {
            for line in table().lines(Some(max), Painter::OFF) {
                assert!(text::width(&line) <= max, "{max}: {line}");
            }
        }
    }

    #[test]
    fn colour_takes_no_columns() {
        let lines = table().lines(Some(80), Painter::of_stream(false));
        assert_eq!(lines, table().lines(Some(80), Painter::OFF));
    }

    #[test]
    fn a_column_nobody_uses_takes_no_room() {
        let mut table = Table::new(&[Column::Left, Column::Left, Column::Left]);
        table.row(vec![Cell::new("a"), Cell::new(""), Cell::new("b")]);
        assert_eq!(table.lines(None, Painter::OFF), ["a  b"]);
        assert!(Table::new(&[Column::Path]).lines(Some(80), Painter::OFF).is_empty());
    }
}
