//! Text that came from file names and daemons, made safe and short enough for a terminal.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use scened_shared::terminal;
pub(crate) use scened_shared::terminal::escape;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns that a string takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// A path as text: `~` for the home folder, escapes as in [`escape`], and `\xE9` for bytes that are not UTF-8.
pub(crate) fn path(path: &Path, home: Option<&Path>) -> String {
    let short = home
        .and_then(|home| path.strip_prefix(home).ok())
        .map(|rest| Path::new("~").join(rest));
    let path = short.unwrap_or_else(|| PathBuf::from(path));
    let mut safe = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            terminal::push_escaped(&mut safe, c);
        }
        for byte in chunk.invalid() {
            write!(safe, "\\x{byte:02X}").expect("a string takes any text");
        }
    }
    safe
}

/// Shortens a path in its middle to at most `max` columns; the file's name goes last.
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

/// The longest beginning of at most `max` columns.
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

/// The longest end of at most `max` columns that doesn't begin within a character made of several.
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

/// A number with its thousands divided.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 video`, `2 videos`.
pub(crate) fn count(n: u64, what: &str) -> String {
    format!("{} {what}{}", number(n), if n == 1 { "" } else { "s" })
}

/// Bytes in powers of 1,000.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_text_are_shown_as_such() {
        use std::os::unix::ffi::OsStrExt as _;
        let name = Path::new(std::ffi::OsStr::from_bytes(b"/films/caf\xe9\n.mp4"));
        assert_eq!(path(name, None), "/films/caf\\xE9\\n.mp4");
    }

    #[test]
    fn the_home_folder_is_a_tilde() {
        let home = Some(Path::new("/home/u"));
        assert_eq!(path(Path::new("/home/u/Videos/a.mp4"), home), "~/Videos/a.mp4");
        assert_eq!(path(Path::new("/home/ua.mp4"), home), "/home/ua.mp4");
        assert_eq!(path(Path::new("/home/u"), home), "~/");
    }

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

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1000, 12_345, 1_234_567].map(number),
            ["0", "999", "1,000", "12,345", "1,234,567"]
        );
        assert_eq!([count(1, "video"), count(0, "video")], ["1 video", "0 videos"]);
        assert_eq!(
            [size(999), size(12_000), size(11_800_000), size(2_500_000_000)],
            ["999 B", "12 kB", "11.8 MB", "2.5 GB"]
        );
    }
}
