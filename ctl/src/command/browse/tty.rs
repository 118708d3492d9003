//! The terminal while the finder uses it: raw mode, the alternate screen, and the old state restored however the finder ends.
//!
//! Apart from `render`, this is the only place that writes to a terminal. It opens the terminal itself, because standard output may be a
//! pipe that waits for the marked hits.

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

/// Terminals with a smaller clipboard limit truncate or refuse; a path is never that long.
const MAX_CLIPBOARD_BYTES: usize = 64 << 10;

fn open() -> io::Result<File> {
    File::options().read(true).write(true).open(TERMINAL)
}

/// Returns whether there is a terminal to draw on and to read keys from.
pub(super) fn is_there() -> bool {
    open().is_ok()
}

type Hook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>;

pub(super) struct Tty {
    terminal: Terminal<CrosstermBackend<BufWriter<File>>>,
    /// The pictures on the screen.
    placed: Vec<Placed>,
    protocol: Protocol,
}

impl Tty {
    /// Takes over the terminal. From now on a signal or panic restores it before anything is printed or ends.
    pub(super) fn take(tell: &SyncSender<Event>) -> io::Result<Self> {
        let file = open()?;
        let for_signals = tell.clone();
        // If the channel is full, the finder is awake; it will receive the next signal.
        ctrlc::set_handler(move || drop(for_signals.try_send(Event::End))).map_err(io::Error::other)?;
        let for_panics = tell.clone();
        let drawer = std::thread::current().id();
        let before: Hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            {
                // Let the current drawing finish and allow none after it, which would cover the panic message. If the drawing itself
                // panicked, it will not continue, so do not wait for it.
                let _drawn = (std::thread::current().id() != drawer).then(drawing);
                put_back();
            }
            before(info);
            drop(for_panics.try_send(Event::Panicked));
        }));
        // From here on dropping restores it.
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

    /// Draws the finder; returns the scenes whose pictures are missing.
    pub(super) fn draw(&mut self, finder: &mut Finder, screen: Screen) -> io::Result<Vec<String>> {
        let _drawing = drawing();
        if !IS_TAKEN.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        self.protocol = screen.protocol;
        let mut drawn = Drawn::default();
        self.terminal.draw(|frame| drawn = view::draw(frame, finder, screen))?;
        if drawn.placed != self.placed {
            // While pictures arrive one after the other, those already in place are not sent again.
            let n_kept = if drawn.placed.starts_with(&self.placed) {
                self.placed.len()
            } else {
                0
            };
            match screen.protocol {
                Protocol::Kitty if n_kept == 0 => self.terminal.backend_mut().write_all(kitty::ALL_GONE)?,
                // In these protocols pictures vanish only when something is written over them.
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
            // Keep the cursor in the text field.
            out.write_all(b"\x1b7")?;
            queue!(out, MoveTo(area.x, area.y))?;
            out.write_all(&picture.drawn(cells, screen, i as u32 + 1))?;
            out.write_all(b"\x1b8")?;
        }
        io::Write::flush(out)
    }

    /// Redraws everything at the new size.
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

    /// Clears the screen, so that everything is drawn again. `Terminal::clear` would query the cursor position, and the thread that reads
    /// the keys would receive the reply.
    fn blank(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// Copies bytes to the user's clipboard, also over ssh (OSC 52). Terminals may refuse without saying so.
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

/// Whether the terminal is ours. A panic restores it before its message; a second time would put the cursor over the message.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Taken while something is written to the terminal. It protects no data, so a panic cannot corrupt it.
fn drawing() -> MutexGuard<'static, ()> {
    static DRAWING: Mutex<()> = Mutex::new(());
    DRAWING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Restores the terminal, once. If it is gone, nothing can be done.
fn put_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    if let Ok(mut terminal) = open() {
        execute!(terminal, DisableBracketedPaste, LeaveAlternateScreen, Show).unwrap_or_default();
    }
    disable_raw_mode().unwrap_or_default();
}
