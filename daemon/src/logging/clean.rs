//! Keeps raw file names from reaching a terminal: a name may contain line breaks, escape sequences and characters that reverse the text.

use std::io::{self, Write};

use scened_shared::terminal;
use tracing_subscriber::fmt::MakeWriter;

/// Writes events with their control characters escaped. The subscriber passes one whole event at a time.
pub(super) struct Clean<W> {
    pub(super) writer: W,
    /// Whether the colours are ours, and stay.
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
        // One event is one line, whatever a name in it contains.
        let line = terminal::guard(&body.replace('\n', "\\n"), self.with_colours) + end;
        self.writer.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_reaches_a_terminal_as_a_command() {
        for (text, with_colours, expected) in [
            ("a\nb\u{7}\u{1b}[2Jc\n", true, "a\\nb\\u{7}\\e[2Jc\n"),
            ("\u{1b}[31mred\u{1b}[0m\n", true, "\u{1b}[31mred\u{1b}[0m\n"),
            ("\u{1b}[31mred", false, "\\e[31mred"),
            ("\u{202e}4pm \u{9b}31m é 🦊", false, "\\u{202e}4pm \\u{9b}31m é 🦊"),
        ] {
            let mut writer = CleanWriter {
                writer: Vec::new(),
                with_colours,
            };
            writer.write_all(text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(writer.writer).unwrap(), expected);
        }
    }
}
