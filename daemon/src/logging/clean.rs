//! Keeps what files are named from reaching a terminal raw: a name may hold line breaks, escape sequences and signs that turn the text round.

use std::fmt::Write as _;
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// Writes events with their control characters escaped; the subscriber hands over one whole event at a time.
pub(super) struct Clean<W> {
    pub(super) writer: W,
    /// Colours are ours then, and stay.
    pub(super) with_colours: bool,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Clean<W> {
    type Writer = CleanWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        CleanWriter {
            writer: self.writer.make_writer(),
            with_colours: self.with_colours,
        }
    }
}

pub(super) struct CleanWriter<W> {
    writer: W,
    with_colours: bool,
}

impl<W: Write> Write for CleanWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (body, end) = match text.strip_suffix('\n') {
            Some(body) => (body, "\n"),
            None => (&*text, ""),
        };
        let line = clean(body, self.with_colours) + end;
        self.writer.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn clean(text: &str, with_colours: bool) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let is_colour = c == '\u{1b}' && with_colours && starts_with_colour(rest.as_str());
        let turns_text = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if !is_colour && (c.is_control() || turns_text) {
            write!(cleaned, "{}", c.escape_default()).expect("a string takes any text");
        } else {
            cleaned.push(c);
        }
    }
    cleaned
}

/// Whether what follows an escape character only sets a colour.
fn starts_with_colour(text: &str) -> bool {
    text.strip_prefix('[')
        .is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_reaches_a_terminal_as_a_command() {
        for (text, with_colours, expected) in [
            ("a\nb\u{7}\u{1b}[2Jc", true, "a\\nb\\u{7}\\u{1b}[2Jc"),
            ("\u{1b}[31mred\u{1b}[0m", true, "\u{1b}[31mred\u{1b}[0m"),
            ("\u{1b}[31mred", false, "\\u{1b}[31mred"),
            ("\u{202e}4pm \u{9b}31m é 🦊", false, "\\u{202e}4pm \\u{9b}31m é 🦊"),
        ] {
            assert_eq!(clean(text, with_colours), expected);
        }
    }
}
