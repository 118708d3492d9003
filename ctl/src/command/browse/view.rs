//! The finder as cells: two lines for the question, the hits, pictures next to them if they fit, and a line of keys.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use scened_shared::message::{Coverage, Hit};

use super::finder::{Exporting, Field, Finder};
use crate::render::picture::{Cells, blocks};
use crate::render::screen::{Protocol, Screen};
use crate::render::{text, time};

/// Below this size there is no space for pictures.
const MIN_COLUMNS: u16 = 60;
const MIN_ROWS: u16 = 10;
const MAX_PICTURE_COLUMNS: u16 = 40;
const MAX_FOOTER_LINES: usize = 3;
/// Lines for the counts and keys. On a wide screen one line is enough.
const MAX_KEY_LINES: usize = 2;

const KEYS: &str = "Enter open  Tab mark  ^F folder  ^Y copy  ^E export  Esc quit";

/// Shown while the user types a file name.
const TARGETS: &str = "Enter write  Esc back  .mp4 .mkv .webm … video  .m3u8 .xspf .mpv playlist  .html page  .edl .otio";

/// A picture's position, for terminals that draw it themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) scene: String,
    pub(super) area: Rect,
}

/// What to do after the cells are drawn.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    pub(super) placed: Vec<Placed>,
    /// Visible scenes whose pictures are missing.
    pub(super) wanted: Vec<String>,
}

pub(super) fn draw(frame: &mut Frame<'_>, finder: &mut Finder, screen: Screen) -> Drawn {
    let area = frame.area();
    let row = |y: u16| Rect::new(area.x, y, area.width, u16::from(y < area.bottom()));
    let cursor = fields(frame.buffer_mut(), finder, [row(0), row(1)]);
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
    let (words, style, n_lines) = footer(finder);
    let n_lines = match area.height {
        0..=3 => 0,
        4..MIN_ROWS => 1,
        _ => n_lines,
    };
    let lines = wrapped(&words, usize::from(area.width), n_lines);
    let bottom = area.bottom().saturating_sub(lines.len() as u16);
    let body = Rect::new(area.x, 2.min(bottom), area.width, bottom.saturating_sub(2));
    for (y, line) in (bottom..).zip(&lines) {
        put(frame.buffer_mut(), row(y), line, style);
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

/// Draws both lines, and returns the cursor's position.
fn fields(buffer: &mut Buffer, finder: &Finder, rows: [Rect; 2]) -> Option<Position> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    let mut cursor = None;
    let second = if finder.field == Field::Target {
        (Field::Target, target_label(finder), &finder.target)
    } else {
        (Field::Folder, "in ".to_owned(), &finder.folder)
    };
    let lines = [(Field::Query, "> ".to_owned(), &finder.query), second];
    for ((field, label, line), row) in lines.into_iter().zip(rows) {
        let is_active = finder.field == field;
        let label_width = text::width(&label) as u16;
        let inside = Rect {
            x: row.x + label_width.min(row.width),
            width: row.width.saturating_sub(label_width),
            ..row
        };
        put(buffer, row, &label, if is_active { Style::new().fg(Color::Cyan) } else { dim });
        // Scroll so that the cursor stays visible.
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

/// Returns `3 hits (copied, Tab) to `.
fn target_label(finder: &Finder) -> String {
    let hits = text::count(finder.chosen().len() as u64, "hit");
    let how = if finder.is_exact { "cut at the frame" } else { "copied" };
    format!("{hits} ({how}, Tab) to ")
}

/// Drops at least `n_columns` columns from the beginning; returns the rest, and how many columns were dropped.
fn without_columns(words: &str, n_columns: usize) -> (&str, usize) {
    let mut starts = words.char_indices().map(|(at, _)| at).chain([words.len()]);
    let start = starts.find(|at| text::width(&words[..*at]) >= n_columns).unwrap_or(words.len());
    (&words[start..], text::width(&words[..start]))
}

/// Returns the text of the footer and the most lines it may use: news get more than keys.
fn footer(finder: &Finder) -> (String, Style, usize) {
    if let Some(why) = &finder.lost {
        (text::escape(why), Style::new().fg(Color::Red), MAX_FOOTER_LINES)
    } else if let Some(Exporting { target, percent }) = &finder.exporting {
        let words = format!("{percent} % of {target}  ^C stops it  {}", finder.message);
        (text::escape(&words), Style::new().fg(Color::Cyan), MAX_FOOTER_LINES)
    } else if !finder.message.is_empty() {
        (text::escape(&finder.message), Style::new().fg(Color::Yellow), MAX_FOOTER_LINES)
    } else if finder.field == Field::Target {
        (TARGETS.to_owned(), Style::new().add_modifier(Modifier::DIM), MAX_FOOTER_LINES)
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
        (words + KEYS, Style::new().add_modifier(Modifier::DIM), MAX_KEY_LINES)
    }
}

/// Wraps words to the screen's width. Text beyond `n_lines` is cut off at the end, because the beginning says what it is about.
fn wrapped(words: &str, width: usize, n_lines: usize) -> Vec<String> {
    let mut lines = vec![String::new(); n_lines.min(1)];
    let mut columns = 0;
    for c in words.chars() {
        let more = text::width(c.encode_utf8(&mut [0; 4]));
        if columns + more > width {
            if lines.len() >= n_lines {
                break;
            }
            // Move a started word to the next line, unless it fills most of the line.
            let line = lines.last().map_or("", String::as_str);
            let begun = line.rfind(' ').map_or(line.len(), |at| at + 1);
            let begun = if begun < line.len() / 2 { line.len() } else { begun };
            let word = lines.last_mut().map(|line| line.split_off(begun)).unwrap_or_default();
            columns = text::width(&word);
            lines.push(word);
        }
        columns += more;
        if let Some(line) = lines.last_mut() {
            line.push(c);
        }
    }
    lines
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
        let is_elsewhere = !finder.folder.text.trim().is_empty() && finder.coverage == Some(Coverage::default());
        let words = if is_elsewhere {
            "no video in that folder is indexed"
        } else {
            "nothing found"
        };
        put(buffer, area, words, Style::new().add_modifier(Modifier::DIM));
    }
}

/// Formats a row: mark, number, score, name, time. If space is short, the name shrinks first, then the score is dropped.
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

/// Returns the video's path, as people know it.
fn name_of(hit: &Hit) -> String {
    let home = std::env::home_dir();
    hit.file
        .to_path()
        .map_or_else(|_| text::escape(&hit.file.path), |path| text::path(&path, home.as_deref()))
}

/// Draws the pictures of the selected hit and of those after it, as many as fit.
fn pictures(buffer: &mut Buffer, finder: &mut Finder, screen: Screen, area: Rect) -> Drawn {
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
                in_blocks(buffer, finder.pictures.blocks(&hit.scene, cells, screen.has_true_colour), place);
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

fn in_blocks(buffer: &mut Buffer, rows: &[Vec<blocks::Block>], area: Rect) {
    let color = |shade: blocks::Shade| match shade {
        blocks::Shade::Rgb(red, green, blue) => Color::Rgb(red, green, blue),
        blocks::Shade::Indexed(index) => Color::Indexed(index),
    };
    for (y, row) in rows.iter().enumerate() {
        for (x, (upper, lower)) in row.iter().enumerate() {
            if let Some(cell) = buffer.cell_mut((area.x + x as u16, area.y + y as u16)) {
                cell.set_char(blocks::SIGN).set_fg(color(*upper)).set_bg(color(*lower));
            }
        }
    }
}

#[cfg(test)]
mod tests;
