//! The finder as cells: two lines of what is asked, the hits, pictures beside them where there is room, a line of what can be done.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use scened_shared::message::Hit;

use super::finder::{Field, Finder};
use crate::render::picture::{Cells, Picture, blocks};
use crate::render::screen::{Protocol, Screen};
use crate::render::{text, time};

/// Below these there is no room for pictures.
const MIN_COLUMNS: u16 = 60;
const MIN_ROWS: u16 = 10;
const MAX_PICTURE_COLUMNS: u16 = 40;

const KEYS: &str = "Enter open  Tab mark  ^F folder  ^Y copy  ^E FILE@TIME  Esc leave";

/// A picture's place, for terminals that draw it themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) scene: String,
    pub(super) area: Rect,
}

/// What is to be done after the cells are drawn.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    pub(super) placed: Vec<Placed>,
    /// Scenes in sight whose pictures are missing.
    pub(super) wanted: Vec<String>,
}

pub(super) fn draw(frame: &mut Frame<'_>, finder: &mut Finder, screen: Screen) -> Drawn {
    let area = frame.area();
    let row = |y: u16| Rect::new(area.x, y, area.width, u16::from(y < area.bottom()));
    let cursor = fields(frame.buffer_mut(), finder, [row(0), row(1)]);
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
    let has_footer = area.height > 3;
    let bottom = area.bottom().saturating_sub(u16::from(has_footer));
    let body = Rect::new(area.x, 2.min(bottom), area.width, bottom.saturating_sub(2));
    if has_footer {
        footer(frame.buffer_mut(), finder, row(bottom));
    }
    let has_room = body.width >= MIN_COLUMNS && body.height >= MIN_ROWS && screen.protocol != Protocol::None;
    let picture_columns = if has_room {
        (body.width * 2 / 5).min(MAX_PICTURE_COLUMNS)
    } else {
        0
    };
    let list_width = body.width - picture_columns - if has_room { 2 } else { 0 };
    list(frame.buffer_mut(), finder, Rect { width: list_width, ..body });
    if !has_room {
        return Drawn::default();
    }
    let beside = Rect {
        x: body.x + list_width + 2,
        width: picture_columns,
        ..body
    };
    pictures(frame.buffer_mut(), finder, screen, beside)
}

fn put(buffer: &mut Buffer, area: Rect, words: &str, style: Style) {
    if area.width > 0 && area.height > 0 {
        buffer.set_stringn(area.x, area.y, words, usize::from(area.width), style);
    }
}

/// Both lines; where the cursor is.
fn fields(buffer: &mut Buffer, finder: &Finder, rows: [Rect; 2]) -> Option<Position> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    let mut cursor = None;
    let lines = [(Field::Query, "> ", &finder.query), (Field::Folder, "in ", &finder.folder)];
    for ((field, label, line), row) in lines.into_iter().zip(rows) {
        let is_active = finder.field == field;
        let label_width = text::width(label) as u16;
        let inside = Rect {
            x: row.x + label_width.min(row.width),
            width: row.width.saturating_sub(label_width),
            ..row
        };
        put(buffer, row, label, if is_active { Style::new().fg(Color::Cyan) } else { dim });
        // The end that is typed at is what is seen.
        let before = text::escape(&line.text[..line.cursor]);
        let skipped = text::width(&before).saturating_sub(usize::from(inside.width.saturating_sub(1)));
        let whole = before.clone() + &text::escape(&line.text[line.cursor..]);
        let (shown, columns_skipped) = without_columns(&whole, skipped);
        let anywhere = field == Field::Folder && whole.is_empty() && !is_active;
        put(
            buffer,
            inside,
            if anywhere { "anywhere" } else { shown },
            if anywhere { dim } else { Style::new() },
        );
        if is_active && inside.width > 0 && inside.height > 0 {
            let column = text::width(&before).saturating_sub(columns_skipped) as u16;
            cursor = Some(Position::new(inside.x + column.min(inside.width - 1), inside.y));
        }
    }
    cursor
}

/// What is left when at least so many columns are left out at the beginning, and how many were.
fn without_columns(words: &str, n_columns: usize) -> (&str, usize) {
    let mut starts = words.char_indices().map(|(at, _)| at).chain([words.len()]);
    let start = starts.find(|at| text::width(&words[..*at]) >= n_columns).unwrap_or(words.len());
    (&words[start..], text::width(&words[..start]))
}

fn footer(buffer: &mut Buffer, finder: &Finder, row: Rect) {
    let width = usize::from(row.width);
    let (words, style) = if let Some(why) = &finder.lost {
        (text::escape(why), Style::new().fg(Color::Red))
    } else if !finder.message.is_empty() {
        (text::escape(&finder.message), Style::new().fg(Color::Yellow))
    } else {
        let mut words = match (finder.hits.len() as u64, &finder.coverage) {
            (0, None) => String::new(),
            (n, Some(coverage)) if coverage.pending + coverage.failed + coverage.offline > 0 => {
                let missing = coverage.pending + coverage.failed + coverage.offline;
                format!(
                    "{} ({} not searched or away)  ",
                    text::count(n, "hit"),
                    text::count(missing, "video")
                )
            }
            (n, _) => format!("{}  ", text::count(n, "hit")),
        };
        if !finder.marked().is_empty() {
            write!(words, "{} marked  ", finder.marked().len()).expect("a string takes any text");
        }
        (words + KEYS, Style::new().add_modifier(Modifier::DIM))
    };
    // What is too long loses its end, not its middle: the beginning says what it is about.
    let (shown, _) = words.char_indices().fold((String::new(), 0), |(mut shown, columns), (_, c)| {
        let columns = columns + text::width(c.encode_utf8(&mut [0; 4]));
        if columns <= width {
            shown.push(c);
        }
        (shown, columns)
    });
    put(buffer, row, &shown, style);
}

fn list(buffer: &mut Buffer, finder: &mut Finder, area: Rect) {
    let n_rows = usize::from(area.height);
    finder.n_rows = n_rows.max(1);
    finder.first_seen = finder
        .first_seen
        .clamp((finder.selected + 1).saturating_sub(finder.n_rows), finder.selected);
    for (row, (i, hit)) in finder.hits.iter().enumerate().skip(finder.first_seen).take(n_rows).enumerate() {
        let line = Rect::new(area.x, area.y + row as u16, area.width, 1);
        let mut style = Style::new();
        if i == finder.selected {
            style = style.add_modifier(Modifier::REVERSED);
        }
        if finder.is_waiting() {
            style = style.add_modifier(Modifier::DIM);
        }
        if finder.is_marked(hit) {
            style = style.fg(Color::Green);
        }
        put(buffer, line, &row_of(finder, i, hit, usize::from(area.width)), style);
    }
    if finder.hits.is_empty() && !finder.query.text.trim().is_empty() && !finder.is_waiting() && finder.lost.is_none() {
        put(buffer, area, "nothing found", Style::new().add_modifier(Modifier::DIM));
    }
}

/// Mark, number, score, name, time; the name gives way, and then the score.
fn row_of(finder: &Finder, i: usize, hit: &Hit, width: usize) -> String {
    let mark = if finder.is_marked(hit) { '*' } else { ' ' };
    let score = hit.confidence.unwrap_or(hit.score);
    let offline = if hit.offline { " offline" } else { "" };
    let start = if width >= 40 {
        format!("{mark}{:>2} {score:>5.2} ", i + 1)
    } else {
        format!("{mark}{:>2} ", i + 1)
    };
    let end = format!(" {}{offline}", time::moment(hit.best_ms));
    let room = width.saturating_sub(text::width(&start) + text::width(&end));
    let name = text::shorten(&name_of(hit), room);
    let padding = " ".repeat(room.saturating_sub(text::width(&name)));
    format!("{start}{name}{padding}{end}")
}

/// The film's name and the folder it lies in, which is what people know it by.
fn name_of(hit: &Hit) -> String {
    let home = std::env::home_dir();
    hit.file
        .to_path()
        .map_or_else(|_| text::escape(&hit.file.path), |path| text::path(&path, home.as_deref()))
}

/// The pictures of the selected hit and of those after it, as many as there is room for.
fn pictures(buffer: &mut Buffer, finder: &Finder, screen: Screen, area: Rect) -> Drawn {
    let mut drawn = Drawn::default();
    let rows = u32::from(area.width) * u32::from(screen.cell_px.0) * 9 / 16 / u32::from(screen.cell_px.1);
    let room = Cells {
        columns: area.width,
        rows: (rows.max(1) as u16).min(area.height.saturating_sub(1)),
    };
    let mut y = area.y;
    for (i, hit) in finder.hits.iter().enumerate().skip(finder.selected) {
        if y + room.rows + 1 > area.bottom() {
            break;
        }
        let known = finder.pictures.get(&hit.scene);
        if known.is_none() {
            drawn.wanted.push(hit.scene.clone());
        }
        let picture = known.and_then(Option::as_ref);
        let mut used = room.rows;
        if let Some(picture) = picture {
            let cells = picture.fitted(room, screen.cell_px);
            let place = Rect::new(area.x, y, cells.columns, cells.rows);
            if screen.protocol == Protocol::Blocks {
                in_blocks(buffer, picture, place, screen);
            } else {
                let scene = hit.scene.clone();
                drawn.placed.push(Placed { scene, area: place });
            }
            used = cells.rows;
        }
        let title = format!("{}  {}", i + 1, time::range(hit.start_ms, hit.end_ms));
        let under = Rect::new(area.x, y + used, area.width, 1);
        put(buffer, under, &title, Style::new().add_modifier(Modifier::BOLD));
        y += used + 1;
    }
    drawn
}

fn in_blocks(buffer: &mut Buffer, picture: &Picture, area: Rect, screen: Screen) {
    let cells = Cells {
        columns: area.width,
        rows: area.height,
    };
    let color = |shade: blocks::Shade| match shade {
        blocks::Shade::Rgb(red, green, blue) => Color::Rgb(red, green, blue),
        blocks::Shade::Indexed(index) => Color::Indexed(index),
    };
    for (y, row) in blocks::rows(picture, cells, screen.has_true_colour).iter().enumerate() {
        for (x, (upper, lower)) in row.iter().enumerate() {
            if let Some(cell) = buffer.cell_mut((area.x + x as u16, area.y + y as u16)) {
                cell.set_char(blocks::SIGN).set_fg(color(*upper)).set_bg(color(*lower));
            }
        }
    }
}

#[cfg(test)]
mod tests;
