//! `browse`: a full-screen finder. It searches while the user types, and shows the results with pictures.
//!
//! `finder` holds the state and what keys do to it, without a terminal. `connection` talks to the daemon on its own thread, because one
//! connection answers one request at a time and an answer may be slow. `view` draws cells, and `tty` owns the terminal and restores it. All
//! events go through one bounded channel, and the screen is drawn once for all that arrive together.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use ratatui::crossterm::event::{Event as Input, read};
use scened_shared::message::{Hit, SearchAnswer};
use serde::Serialize;

use crate::cli::Browse;
use crate::command::{Context, open};
use crate::failpoint;
use crate::failure::{Failure, Outcome};
use crate::render::Out;
use crate::render::picture::Picture;
use crate::render::screen::{Protocol, Screen};

mod connection;
mod exporter;
mod finder;
mod tty;
mod view;

use connection::Connection;
use exporter::Exporter;
use finder::{Action, Finder, Leaving};
use tty::Tty;

/// Full if the user holds a key down and the terminal is slow: then the keyboard's thread waits, and keys stay in the kernel.
const MAX_EVENTS: usize = 256;

/// Everything that can happen.
#[derive(Debug)]
enum Event {
    Input(Input),
    /// The answer to the question with this number.
    Answer(u64, Result<SearchAnswer, String>),
    /// The picture of a scene; `None` if there is none.
    Picture(String, Option<Picture>),
    /// The daemon cannot be reached, with the reason; we keep trying.
    Lost(String),
    Connected,
    /// The result of opening a hit.
    Opened(String),
    /// How many percent of the file are done.
    ExportedSoFar(u8),
    /// The result of an export.
    Exported(String),
    /// A signal, or the terminal is gone.
    End,
    /// A thread panicked.
    Panicked,
}

pub(super) fn run(context: &mut Context, args: &Browse) -> Result<Outcome, Failure> {
    let (finder, leaving) = browse(context, args)?;
    finish(&mut context.out, &finder, leaving, args.null)
}

/// Lets the user search and mark hits. Returns them with the questions that found them; none if the user broke off.
pub(super) fn choose(context: &Context) -> Result<Vec<(String, Hit)>, Failure> {
    let (finder, leaving) = browse(context, &Browse::default())?;
    match leaving {
        Leaving::Aborted | Leaving::Ended => Ok(Vec::new()),
        Leaving::Panicked => Err(panicked()),
        Leaving::WithPaths | Leaving::WithMoments => Ok(finder.marked_with_questions()),
    }
}

/// Runs the finder until the user leaves it.
fn browse(context: &Context, args: &Browse) -> Result<(Finder, Leaving), Failure> {
    let endpoint = context.endpoint()?;
    // Before the screen is taken over: if the daemon is off, the message stays readable, with its exit status.
    let client = context.connect()?;
    if !tty::is_there() {
        return Err(
            Failure::new("browse needs a terminal").hint("`scenectl search` prints what it finds, and `--json` prints it for programs")
        );
    }
    let screen = Screen::ask().map_err(Failure::new)?;
    let (tell, events) = sync_channel(MAX_EVENTS);
    let connection = Connection::start(client, endpoint.clone(), tell.clone());
    let finder = Finder::new(args.query.join(" "), args.within.as_deref());
    let mut tty = Tty::take(&tell).map_err(|e| Failure::new("the terminal cannot be used").cause(e.to_string()))?;
    listen_to_keys(tell.clone());
    let mut browsing = Browsing {
        finder,
        connection,
        screen,
        tell,
        endpoint,
        exporter: None,
    };
    let leaving = browsing.run(&mut tty, &events);
    // Restore the terminal first: stopping an export may take a moment.
    drop(tty);
    drop(browsing.exporter);
    let leaving = leaving.map_err(|e| Failure::new("the terminal cannot be drawn on").cause(e.to_string()))?;
    Ok((browsing.finder, leaving))
}

fn panicked() -> Failure {
    Failure::new("the finder failed (a bug: please report it); the message above says where")
}

/// Reads keys on a thread that ends with the program: a read from the terminal cannot be cancelled.
fn listen_to_keys(tell: SyncSender<Event>) {
    std::thread::spawn(move || {
        loop {
            let event = read().map_or(Event::End, Event::Input);
            let is_end = matches!(event, Event::End);
            if tell.send(event).is_err() || is_end {
                return;
            }
        }
    });
}

struct Browsing {
    finder: Finder,
    connection: Connection,
    screen: Screen,
    tell: SyncSender<Event>,
    endpoint: scened_shared::endpoint::Endpoint,
    /// Waited for at exit, however the finder ends.
    exporter: Option<Exporter>,
}

impl Browsing {
    fn run(&mut self, tty: &mut Tty, events: &Receiver<Event>) -> std::io::Result<Leaving> {
        self.ask();
        loop {
            let wanted = tty.draw(&mut self.finder, self.screen)?;
            if self.screen.protocol != Protocol::None {
                self.connection.want(wanted);
            }
            // Wait for the first event; draw all that came with it together.
            let Ok(first) = events.recv() else {
                return Ok(Leaving::Ended);
            };
            for event in std::iter::once(first).chain(events.try_iter()) {
                if let Some(leaving) = self.happened(event, tty)? {
                    return Ok(leaving);
                }
            }
        }
    }

    fn happened(&mut self, event: Event, tty: &mut Tty) -> std::io::Result<Option<Leaving>> {
        match event {
            Event::Input(Input::Key(key)) => match self.finder.key(key) {
                Action::Nothing => {}
                Action::Ask => self.ask(),
                Action::Open(hit) => self.open(hit),
                Action::Copy(bytes) => {
                    failpoint::hit("browse-copy");
                    tty.copy(&bytes)?;
                }
                Action::Export(wanted) => self.exporter = Some(Exporter::start(wanted, self.endpoint.clone(), self.tell.clone())),
                Action::StopExport => {
                    if let Some(exporter) = &self.exporter {
                        exporter.stop();
                    }
                }
                Action::Leave(leaving) => return Ok(Some(leaving)),
            },
            Event::Input(Input::Paste(text)) => {
                if self.finder.paste(&text) {
                    self.ask();
                }
            }
            Event::Input(Input::Resize(..)) => tty.resized()?,
            Event::Input(_) => {}
            Event::Answer(number, answer) => self.finder.answered(number, answer),
            Event::Picture(scene, picture) => self.finder.pictures.put(scene, picture),
            Event::Lost(why) => self.finder.lost = Some(why),
            Event::Connected => self.finder.lost = None,
            Event::Opened(said) => self.finder.message = said,
            Event::ExportedSoFar(percent) => self.finder.exporting.iter_mut().for_each(|exporting| exporting.percent = percent),
            Event::Exported(said) => {
                self.exporter = None;
                self.finder.exported(said);
            }
            Event::End => return Ok(Some(Leaving::Ended)),
            Event::Panicked => return Ok(Some(Leaving::Panicked)),
        }
        Ok(None)
    }

    fn ask(&mut self) {
        let (number, request) = self.finder.question();
        self.connection.ask(number, request);
    }

    /// Opens a hit on its own thread: a video on a sleeping drive takes a while, and a new player is watched for a moment.
    fn open(&self, hit: Hit) {
        let (tell, endpoint) = (self.tell.clone(), self.endpoint.clone());
        std::thread::spawn(move || {
            failpoint::hit("browse-open");
            let said = match open::open(Some(&endpoint), &hit.file, Some(hit.best_ms), hit.picture.as_ref()) {
                Ok(opened) => opened.line(&Out::new(false)),
                Err(failure) => exporter::in_one_line(&failure),
            };
            // The receiver is gone once the finder has ended.
            drop(tell.send(Event::Opened(said)));
        });
    }
}

/// The marked hits, in the form that `--json` prints.
#[derive(Debug, Serialize)]
struct Chosen<'a> {
    marked: &'a [Hit],
}

fn finish(out: &mut Out, finder: &Finder, leaving: Leaving, with_nul: bool) -> Result<Outcome, Failure> {
    let end = if with_nul { 0 } else { b'\n' };
    let marked = match leaving {
        Leaving::Aborted | Leaving::Ended => return Ok(Outcome::Nothing),
        Leaving::Panicked => {
            return Err(panicked());
        }
        Leaving::WithPaths | Leaving::WithMoments => finder.marked(),
    };
    if out.json {
        out.json(&Chosen { marked })?;
        return Ok(Outcome::Done);
    }
    let mut seen = BTreeSet::new();
    for hit in marked {
        let path = hit
            .file
            .to_path()
            .map_err(|e| Failure::new("the daemon sent an invalid path").cause(e.to_string()))?;
        if leaving == Leaving::WithMoments {
            out.bare_moment(&path, hit.best_ms, end)?;
        } else if seen.insert(path.clone()) {
            out.bare_path(&path, end)?;
        }
    }
    Ok(Outcome::Done)
}
