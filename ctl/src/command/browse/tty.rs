//! The terminal as long as the finder has it: raw, another screen, and as it was afterwards, whatever ends us.
//!
//! Beside `render` the only place that writes to a terminal. It is the terminal itself and not standard output, which may be a pipe that
//! waits for what is marked.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{MoveTo, Show};
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::crossterm::{execute, queue};
use ratatui::layout::{Position, Rect};

use super::Event;
use super::finder::Finder;
use super::view::{self, Drawn, Placed};
use crate::render::picture::{Cells, kitty};
use crate::render::screen::{Protocol, Screen};

#[cfg(unix)]
const TERMINAL: &str = "/dev/tty";
#[cfg(not(unix))]
const TERMINAL: &str = "CONOUT$";

/// Terminals with a smaller clipboard limit cut or refuse; a path is never that long.
const MAX_CLIPBOARD_BYTES: usize = 64 << 10;

fn open() -> io::Result<File> {
    File::options().read(true).write(true).open(TERMINAL)
}

/// Whether there is a terminal to draw on and keys to read.
pub(super) fn is_there() -> bool {
    open().is_ok()
}

type Hook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>;

pub(super) struct Tty {
    terminal: Terminal<CrosstermBackend<BufWriter<File>>>,
    /// The pictures that the terminal shows.
    placed: Vec<Placed>,
    protocol: Protocol,
}

impl Tty {
    /// Takes the terminal. From now on a signal or a panic puts it back before anything is said or ended.
    pub(super) fn take(tell: &SyncSender<Event>) -> io::Result<Self> {
        let file = open()?;
        let for_signals = tell.clone();
        // A full channel means that the finder is awake; it will hear of the next signal.
        ctrlc::set_handler(move || drop(for_signals.try_send(Event::End))).map_err(io::Error::other)?;
        let for_panics = tell.clone();
        let drawer = std::thread::current().id();
        let before: Hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            {
                // What is being drawn comes first, and nothing after it: it would cover what is told. Unless it is the drawing itself that
                // panics, and will not go on.
                let _drawn = (std::thread::current().id() != drawer).then(drawing);
                put_back();
            }
            before(info);
            drop(for_panics.try_send(Event::Panicked));
        }));
        // From here on dropping puts it back.
        let tty = Self {
            terminal: Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(64 << 10, file)))?,
            placed: Vec::new(),
            protocol: Protocol::None,
        };
        IS_TAKEN.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        execute!(open()?, EnterAlternateScreen, EnableBracketedPaste)?;
        Ok(tty)
    }

    /// Draws; what pictures are missing.
    pub(super) fn draw(&mut self, finder: &mut Finder, screen: Screen) -> io::Result<Vec<String>> {
        let _drawing = drawing();
        if !IS_TAKEN.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        self.protocol = screen.protocol;
        let mut drawn = Drawn::default();
        self.terminal.draw(|frame| drawn = view::draw(frame, finder, screen))?;
        if drawn.placed != self.placed {
            // As pictures come in one after the other, those that stand where they stood are not sent again.
            let n_kept = if drawn.placed.starts_with(&self.placed) {
                self.placed.len()
            } else {
                0
            };
            match screen.protocol {
                Protocol::Kitty if n_kept == 0 => self.terminal.backend_mut().write_all(kitty::ALL_GONE)?,
                // Their pictures are gone when something is written over them, and nothing else takes them away.
                Protocol::Iterm2 | Protocol::Sixel if n_kept == 0 && !self.placed.is_empty() => {
                    self.blank()?;
                    self.terminal.draw(|frame| drawn = view::draw(frame, finder, screen))?;
                }
                _ => {}
            }
            self.place(&drawn.placed, n_kept, finder, screen)?;
            self.placed = drawn.placed;
        }
        Ok(drawn.wanted)
    }

    fn place(&mut self, placed: &[Placed], n_kept: usize, finder: &Finder, screen: Screen) -> io::Result<()> {
        let out = self.terminal.backend_mut();
        for (i, Placed { scene, area }) in placed.iter().enumerate().skip(n_kept) {
            let Some(Some(picture)) = finder.pictures.get(scene) else {
                continue;
            };
            let cells = Cells {
                columns: area.width,
                rows: area.height,
            };
            // The cursor is kept where the text field has it.
            out.write_all(b"\x1b7")?;
            queue!(out, MoveTo(area.x, area.y))?;
            out.write_all(&picture.drawn(cells, screen, i as u32 + 1))?;
            out.write_all(b"\x1b8")?;
        }
        io::Write::flush(out)
    }

    /// Everything is drawn anew at the new size.
    pub(super) fn resized(&mut self) -> io::Result<()> {
        let _drawing = drawing();
        if !IS_TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.placed.clear();
        if self.protocol == Protocol::Kitty {
            self.terminal.backend_mut().write_all(kitty::ALL_GONE)?;
        }
        self.blank()
    }

    /// Clears the screen, so that everything is drawn anew. Not `Terminal::clear`: it asks the terminal where the cursor is, and the
    /// answer would be read by the thread that reads the keys.
    fn blank(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// Sends bytes to the clipboard of whoever looks, also over ssh (OSC 52). Terminals may refuse, and say nothing.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> io::Result<()> {
        let _drawing = drawing();
        if bytes.len() > MAX_CLIPBOARD_BYTES || !IS_TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        let out = self.terminal.backend_mut();
        write!(out, "\x1b]52;c;{}\x07", STANDARD.encode(bytes))?;
        io::Write::flush(out)
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        if self.protocol == Protocol::Kitty {
            self.terminal.backend_mut().write_all(kitty::ALL_GONE).unwrap_or_default();
            io::Write::flush(self.terminal.backend_mut()).unwrap_or_default();
        }
        put_back();
    }
}

/// Whether the terminal is ours. A panic puts it back before it is told, and once more would put the cursor over what was told.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Held while something is written to the terminal. There is nothing in it to spoil.
fn drawing() -> MutexGuard<'static, ()> {
    static DRAWING: Mutex<()> = Mutex::new(());
    DRAWING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts the terminal back, once. Where it is gone nothing can be done.
fn put_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    if let Ok(mut terminal) = open() {
        execute!(terminal, DisableBracketedPaste, LeaveAlternateScreen, Show).unwrap_or_default();
    }
    disable_raw_mode().unwrap_or_default();
}
