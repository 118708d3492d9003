//! The only place that prints: answers on standard output, everything about them on standard error.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufWriter, IsTerminal as _, Stdout, Write as _};
use std::path::{Path, PathBuf};

use scened_shared::terminal;
use scened_shared::wire_path::WirePath;
use serde::Serialize;

use crate::failure::{Failure, Kind};

pub(crate) mod color;
pub(crate) mod cutting;
pub(crate) mod grid;
pub(crate) mod picture;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod transfer;

use color::{Color, Painter};
use table::{MIN_PATH_COLUMNS, Table};

/// Both output streams of this process, and what is known about their readers.
#[derive(Debug)]
pub(crate) struct Out {
    stdout: BufWriter<Stdout>,
    painter: Painter,
    error_painter: Painter,
    /// Columns of the terminal, if standard output is one.
    width: Option<usize>,
    home: Option<PathBuf>,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    /// Whether answers are printed as JSON.
    pub(crate) json: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        let stdout_is_terminal = io::stdout().is_terminal();
        let stderr_is_terminal = io::stderr().is_terminal();
        Self {
            stdout: BufWriter::new(io::stdout()),
            painter: Painter::of_stream(stdout_is_terminal),
            error_painter: Painter::of_stream(stderr_is_terminal),
            width: stdout_is_terminal
                .then(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)))
                .flatten(),
            home: std::env::home_dir().filter(|home| home.is_absolute() && home.parent().is_some()),
            stdout_is_terminal,
            stderr_is_terminal,
            json,
        }
    }

    pub(crate) fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// Returns whether both streams are terminals, so that progress can be a bar and questions can be asked.
    pub(crate) fn is_interactive(&self) -> bool {
        self.stdout_is_terminal && self.stderr_is_terminal
    }

    /// Returns whether the answer goes to a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.stdout_is_terminal
    }

    /// Returns the columns of the terminal that the answer goes to.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Prints one object on one line, and flushes it.
    ///
    /// Characters that JSON allows but a terminal might interpret are written as `\uXXXX`: the JSON means the same, and is harmless to a
    /// terminal.
    pub(crate) fn json<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let safe = terminal::guard_json(&serde_json::to_string(value)?);
        writeln!(self.stdout, "{safe}")?;
        self.stdout.flush()
    }

    /// Prints a line of our own. The caller escapes foreign text in it; text that it forgot is escaped here.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.stdout, "{}", terminal::guard(line, self.painter.is_on()))
    }

    pub(crate) fn table(&mut self, table: Table) -> io::Result<()> {
        for line in table.lines(self.width, self.painter) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Prints bytes unchanged.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.write_all(bytes)
    }

    /// Prints a path for programs: its raw bytes, or escaped if the reader is a terminal.
    pub(crate) fn bare_path(&mut self, path: &Path, end: u8) -> io::Result<()> {
        if self.stdout_is_terminal {
            self.stdout.write_all(text::path(path, None).as_bytes())?;
        } else {
            self.stdout.write_all(path.as_os_str().as_encoded_bytes())?;
        }
        self.stdout.write_all(&[end])
    }

    /// Prints a moment for programs, in the form that `open` and `similar` accept: the path's raw bytes, `@`, seconds.
    #[cfg(feature = "browse")]
    pub(crate) fn bare_moment(&mut self, path: &Path, at_ms: u64, end: u8) -> io::Result<()> {
        self.bare_path(path, b'@')?;
        write!(self.stdout, "{}.{:03}", at_ms / 1000, at_ms % 1000)?;
        self.stdout.write_all(&[end])
    }

    /// Returns a path for people; a table shortens it if necessary.
    pub(crate) fn path(&self, path: &WirePath) -> String {
        match path.to_path() {
            Ok(path) => text::path(&path, self.home.as_deref()),
            Err(_) => text::escape(&path.path),
        }
    }

    /// Returns a path for people, shortened to fit a line on which `n_taken` columns are used.
    pub(crate) fn path_beside(&self, path: &WirePath, n_taken: usize) -> String {
        let path = self.path(path);
        match self.width {
            Some(width) => text::shorten(&path, width.saturating_sub(n_taken).max(MIN_PATH_COLUMNS)),
            None => path,
        }
    }

    pub(crate) fn paint(&self, color: Color, text: &str) -> String {
        self.painter.paint(color, text)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }

    /// Prints a remark about the answer on standard error, after everything printed so far.
    pub(crate) fn note(&mut self, note: &str) -> io::Result<()> {
        self.stdout.flush()?;
        let note = self.error_painter.paint(Color::Dim, &text::escape(note));
        to_stderr(&format!("{note}\n"), self.error_painter);
        Ok(())
    }

    /// Asks a question on the terminal; anything but yes is no.
    pub(crate) fn confirm(&mut self, question: &str) -> io::Result<bool> {
        self.stdout.flush()?;
        to_stderr(&format!("{question} [y/N] "), self.error_painter);
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Prints why the command failed.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        if failure.kind == Kind::ReaderLeft {
            return;
        }
        // Earlier output stays printed; a second write error adds nothing.
        self.stdout.flush().unwrap_or_default();
        to_stderr(&failure_text(failure, self.error_painter), self.error_painter);
    }
}

/// If standard error is closed, there is no way to report that.
fn to_stderr(text: &str, painter: Painter) {
    let text = terminal::guard(text, painter.is_on());
    io::stderr().write_all(text.as_bytes()).unwrap_or_default();
}

fn failure_text(failure: &Failure, painter: Painter) -> String {
    let mut text = format!("{} {}\n", painter.paint(Color::Red, "error:"), text::escape(&failure.message));
    for cause in &failure.causes {
        writeln!(text, "  because: {}", text::escape(cause)).expect("a string takes any text");
    }
    for hint in &failure.hints {
        writeln!(text, "{} {}", painter.paint(Color::Green, "hint:"), text::escape(hint)).expect("a string takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_message_causes_hints() {
        let failure = Failure::new("no such video: a\u{1b}[2J.mp4")
            .cause("it was never seen")
            .cause("no folder holds it")
            .hint("add one");
        let expected = "error: no such video: a\\e[2J.mp4\n  because: it was never seen\n  because: no folder holds it\nhint: add one\n";
        assert_eq!(failure_text(&failure, Painter::OFF), expected);
    }
}
