//! Text from file names and daemons, made safe and short enough for a terminal.

pub(crate) use scened_shared::quantity::{count, number, size};
pub(crate) use scened_shared::terminal::{escape, path};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Returns the columns that a string takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Shortens a path in its middle to at most `max` columns; the file's name is shortened last.
pub(crate) fn shorten(path: &str, max: usize) -> String {
    if width(path) <= max {
        return path.to_owned();
    }
    let name = path.rfind(['/', '\\']).map_or(path, |at| &path[at..]);
    let name_width = width(name);
    if name.len() < path.len() && name_width < max {
        return format!("{}…{name}", prefix(&path[..path.len() - name.len()], max - name_width - 1));
    }
    if max == 0 {
        return String::new();
    }
    let name = name.trim_start_matches(['/', '\\']);
    let tail = suffix(name, (max - 1) / 2);
    format!("{}…{tail}", prefix(name, max - 1 - width(tail)))
}

/// Returns the longest prefix of at most `max` columns.
fn prefix(text: &str, max: usize) -> &str {
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let mut best = 0;
    for end in ends {
        if width(&text[..end]) > max {
            break;
        }
        best = end;
    }
    text[..best].trim_end_matches('\u{200d}')
}

/// Returns the longest suffix of at most `max` columns that does not begin within a combined character.
fn suffix(text: &str, max: usize) -> &str {
    let mut best = text.len();
    for (start, c) in text.char_indices().rev() {
        if width(&text[start..]) > max {
            break;
        }
        if c.width() != Some(0) {
            best = start;
        }
    }
    &text[best..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shortened_in_the_middle() {
        let long = "~/Videos/2024/summer/holiday in Rome.mp4";
        for (max, shown) in [
            (40, "~/Videos/2024/summer/holiday in Rome.mp4"),
            (39, "~/Videos/2024/summ…/holiday in Rome.mp4"),
            (30, "~/Videos/…/holiday in Rome.mp4"),
            (22, "~…/holiday in Rome.mp4"),
            (21, "…/holiday in Rome.mp4"),
            (20, "holiday in… Rome.mp4"),
            (11, "holid…e.mp4"),
            (1, "…"),
            (0, ""),
        ] {
            assert_eq!(shorten(long, max), shown, "{max}");
        }
    }

    #[test]
    fn no_shortened_text_is_wider_than_asked() {
        for text in [
            "/films/日本語の長い名前の映画.mp4",
            "/a/👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧.mp4",
            "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}",
            "/////",
        ] {
            for max in 0..40 {
                let short = shorten(text, max);
                assert!(width(&short) <= max, "{text} to {max}: {short} has {}", width(&short));
            }
        }
    }
}
