//! Escapes text before it reaches a terminal: file names, and texts that contain them, are arbitrary.
//!
//! Everything that prints or logs uses the same test ([`is_unsafe`]). Escape sequences, line breaks, and characters that reverse the text
//! or are invisible are shown as escapes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Decides whether a terminal might obey this character, show what follows as something else, or show nothing at all.
///
/// Joiners (U+200C, U+200D) and variation selectors are safe: scripts and emoji are written with them.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Invisible characters: soft hyphen, grapheme joiner, fillers, zero-width spaces, word joiners, the byte order mark.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{2060}'..='\u{2065}'
            | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
            // Characters that change the text's direction, and line breaks that are not control characters.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        )
}

/// Replaces every unsafe character with an escape.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    text.chars().for_each(|c| push_escaped(&mut safe, c));
    safe
}

/// Returns the beginning and the end of a text longer than `max` characters, with a mark between: a path ends with the name.
pub fn shorten(text: &str, max: usize) -> String {
    // A text never has more characters than bytes, so most texts need no counting.
    let n_chars = if text.len() <= max {
        return text.to_owned();
    } else {
        text.chars().count()
    };
    if n_chars <= max {
        return text.to_owned();
    }
    let n_end = max / 3;
    let n_begin = max - n_end;
    let begin: String = text.chars().take(n_begin).collect();
    let end: String = text.chars().skip(n_chars - n_end).collect();
    format!("{begin}…{end}")
}

/// Appends one character, escaped if it is unsafe.
pub fn push_escaped(safe: &mut String, c: char) {
    match c {
        '\n' => safe.push_str("\\n"),
        '\t' => safe.push_str("\\t"),
        '\r' => safe.push_str("\\r"),
        '\u{1b}' => safe.push_str("\\e"),
        c if is_unsafe(c) => safe.extend(c.escape_unicode()),
        c => safe.push(c),
    }
}

/// Formats a path: `~` for the home folder, escapes as in [`escape`], and `\xE9` for bytes that are not UTF-8.
pub fn path(path: &Path, home: Option<&Path>) -> String {
    let short = home
        .and_then(|home| path.strip_prefix(home).ok())
        .map(|rest| Path::new("~").join(rest));
    let path = short.unwrap_or_else(|| PathBuf::from(path));
    let mut safe = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut safe, c);
        }
        for byte in chunk.invalid() {
            write!(safe, "\\x{byte:02X}").expect("a string takes any text");
        }
    }
    safe
}

/// Escapes what is still unsafe in the program's own lines, as a last check before they are printed. Line ends stay, and with
/// `with_colours` so do sequences that only set a colour.
pub fn guard(lines: &str, with_colours: bool) -> String {
    let mut safe = String::with_capacity(lines.len());
    let mut rest = lines.chars();
    while let Some(c) = rest.next() {
        if c == '\n' || (c == '\u{1b}' && with_colours && starts_with_colour(rest.as_str())) {
            safe.push(c);
        } else {
            push_escaped(&mut safe, c);
        }
    }
    safe
}

/// Decides whether the text after an escape character only sets a colour.
fn starts_with_colour(text: &str) -> bool {
    text.strip_prefix('[')
        .is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}

/// Returns the same JSON with every unsafe character written as `\uXXXX`. JSON strings already escape control characters below a space.
pub fn guard_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if c >= '\u{7f}' && is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(safe, "\\u{unit:04x}").expect("a string takes any text");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Escapes the words of a command line, for a message about them.
pub fn escape_words(words: impl IntoIterator<Item = std::ffi::OsString>) -> Vec<String> {
    words.into_iter().map(|word| escape(&word.to_string_lossy())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_shown_by_its_beginning_and_its_end() {
        for (text, shown) in [
            ("", ""),
            ("123456789", "123456789"),
            ("äöüäöüäöü", "äöüäöüäöü"),
            ("1234567890", "123456…890"),
            ("äöüäöüäöüß", "äöüäöü…öüß"),
        ] {
            assert_eq!(shorten(text, 9), shown);
        }
    }

    #[test]
    fn a_name_cannot_command_the_terminal() {
        for (name, shown) in [
            ("plain name.mp4", "plain name.mp4"),
            ("Füße 日本 👩‍👩‍👧 ❤️ नमस्‍ते.mp4", "Füße 日本 👩‍👩‍👧 ❤️ नमस्‍ते.mp4"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{1b}[31mred\u{7}", "\\e[31mred\\u{7}"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{202e}4pm.exe", "\\u{202e}4pm.exe"),
            (
                "\u{61c}\u{2067}\u{200b}\u{feff}\u{ad}\u{3164}",
                "\\u{61c}\\u{2067}\\u{200b}\\u{feff}\\u{ad}\\u{3164}",
            ),
            ("\u{7f}\u{8}", "\\u{7f}\\u{8}"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(escape(name), shown);
            assert_eq!(escape(shown), shown, "once is enough");
        }
    }

    #[test]
    fn the_last_look_leaves_line_ends_and_our_own_colours() {
        assert_eq!(guard("\u{1b}[31mred\u{1b}[0m\nnext", true), "\u{1b}[31mred\u{1b}[0m\nnext");
        assert_eq!(guard("\u{1b}[31mred\u{1b}[2J", false), "\\e[31mred\\e[2J");
        assert_eq!(guard("\u{1b}[2J\u{1b}]0;x\u{7}\r", true), "\\e[2J\\e]0;x\\u{7}\\r");
    }

    #[test]
    fn json_stays_the_same_json() {
        let text = "a\u{7f}\u{9b}\u{202e}\u{e0041}\u{200b}é🦊\u{1b}\n";
        let safe = guard_json(&serde_json::to_string(text).unwrap());
        assert!(!safe.chars().any(is_unsafe), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }

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
}
