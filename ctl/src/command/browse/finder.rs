//! The finder's state, and what keys do to it: no terminal, no daemon.

use std::collections::BTreeMap;
use std::path::Path;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use scened_shared::message::{Coverage, Filters, GroupBy, Hit, SearchAnswer, SearchRequest};
use scened_shared::shell;

use super::exporter::FinderExport;
use crate::command::wire;
use crate::render::picture::blocks::{self, Block};
use crate::render::picture::{Cells, Picture};

mod line;

use line::Line;

/// More than anyone scrolls through before typing another word.
const N_HITS: u32 = 50;

/// Pictures of 320 × 180 pixels: 40 MB at most. Beyond that all are dropped, and the visible ones fetched again.
const MAX_PICTURES: usize = 200;

/// What a key requests beyond the finder's own state.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Nothing,
    Ask,
    Open(Hit),
    /// Bytes for the clipboard.
    Copy(Vec<u8>),
    Export(FinderExport),
    StopExport,
    Leave(Leaving),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Print the paths of the marked hits.
    WithPaths,
    /// Print `FILE@TIME` of the marked hits.
    WithMoments,
    Aborted,
    /// A signal, or the terminal was closed.
    Ended,
    /// A thread panicked, and reported why.
    Panicked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Query,
    Folder,
    /// The name of the export file; replaces the folder field while the user types it.
    Target,
}

/// Pictures by scene; `None` if the daemon has none.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    known: BTreeMap<String, Option<Picture>>,
    /// Their last rendering: scaling one takes longer than the rest of a redraw.
    drawn: BTreeMap<String, (Cells, Vec<Vec<Block>>)>,
}

impl Pictures {
    pub(super) fn put(&mut self, scene: String, picture: Option<Picture>) {
        if self.known.len() >= MAX_PICTURES {
            self.known.clear();
            self.drawn.clear();
        }
        self.drawn.remove(&scene);
        self.known.insert(scene, picture);
    }

    pub(super) fn get(&self, scene: &str) -> Option<&Option<Picture>> {
        self.known.get(scene)
    }

    /// Returns the picture of a scene in half blocks; empty if there is none.
    pub(super) fn blocks(&mut self, scene: &str, cells: Cells, has_true_colour: bool) -> &[Vec<Block>] {
        let Some(Some(picture)) = self.known.get(scene) else {
            return &[];
        };
        let draw = || (cells, blocks::rows(picture, cells, has_true_colour));
        let drawn = self.drawn.entry(scene.to_owned()).or_insert_with(draw);
        if drawn.0 != cells {
            *drawn = draw();
        }
        &drawn.1
    }
}

/// A running export.
#[derive(Debug)]
pub(super) struct Exporting {
    pub(super) target: String,
    pub(super) percent: u8,
}

#[derive(Debug)]
pub(super) struct Finder {
    pub(super) query: Line,
    pub(super) folder: Line,
    pub(super) target: Line,
    /// Whether videos are cut at the exact frame.
    pub(super) is_exact: bool,
    pub(super) exporting: Option<Exporting>,
    pub(super) field: Field,
    pub(super) hits: Vec<Hit>,
    pub(super) selected: usize,
    /// First visible row; the view moves it to keep the selected one visible.
    pub(super) first_seen: usize,
    /// Rows of the list in the last drawing.
    pub(super) n_rows: usize,
    pub(super) coverage: Option<Coverage>,
    pub(super) pictures: Pictures,
    /// Why the daemon cannot be reached.
    pub(super) lost: Option<String>,
    pub(super) message: String,
    marked: Vec<Hit>,
    /// For each marked hit the question that found it.
    marked_for: Vec<String>,
    /// The question whose answer is shown.
    shown_for: String,
    /// Number of the newest question, and of the one whose answer is shown.
    asked: u64,
    answered: u64,
}

impl Finder {
    pub(super) fn new(query: String, folder: Option<&Path>) -> Self {
        Self {
            query: Line::new(query),
            folder: Line::new(folder.map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default()),
            target: Line::default(),
            is_exact: false,
            exporting: None,
            field: Field::Query,
            hits: Vec::new(),
            selected: 0,
            first_seen: 0,
            n_rows: 1,
            coverage: None,
            pictures: Pictures::default(),
            lost: None,
            message: String::new(),
            marked: Vec::new(),
            marked_for: Vec::new(),
            shown_for: String::new(),
            asked: 0,
            answered: 0,
        }
    }

    /// Returns the current question with a number; `None` if nothing is typed.
    pub(super) fn question(&mut self) -> (u64, Option<SearchRequest>) {
        self.asked += 1;
        self.message.clear();
        if self.query.text.trim().is_empty() {
            self.answered = self.asked;
            self.show(Vec::new(), None);
            return (self.asked, None);
        }
        let within = match self.folder.text.trim() {
            "" => Vec::new(),
            text => wire(&with_home(text)).into_iter().collect(),
        };
        let request = SearchRequest {
            query: self.query.text.trim().to_owned(),
            n: N_HITS,
            not: Vec::new(),
            by: GroupBy::Scene,
            min_confidence: None,
            filters: Filters {
                within,
                ..Filters::default()
            },
        };
        (self.asked, Some(request))
    }

    /// Applies an answer, unless it belongs to an outdated question.
    pub(super) fn answered(&mut self, number: u64, answer: Result<SearchAnswer, String>) {
        if number < self.asked {
            return;
        }
        self.answered = number;
        match answer {
            Ok(answer) => {
                self.shown_for = answer.query;
                self.show(answer.hits, Some(answer.coverage));
            }
            Err(why) => {
                self.show(Vec::new(), None);
                self.message = why;
            }
        }
    }

    fn show(&mut self, hits: Vec<Hit>, coverage: Option<Coverage>) {
        self.hits = hits;
        self.coverage = coverage;
        self.selected = 0;
        self.first_seen = 0;
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.answered < self.asked
    }

    pub(super) fn marked(&self) -> &[Hit] {
        &self.marked
    }

    /// Returns the marked hits with the questions that found them.
    pub(super) fn marked_with_questions(&self) -> Vec<(String, Hit)> {
        self.marked_for.iter().cloned().zip(self.marked.iter().cloned()).collect()
    }

    pub(super) fn is_marked(&self, hit: &Hit) -> bool {
        self.marked.iter().any(|marked| marked.scene == hit.scene)
    }

    /// Inserts pasted text; returns whether the question changed.
    pub(super) fn paste(&mut self, text: &str) -> bool {
        self.line().insert(text) && self.field != Field::Target
    }

    /// Returns the hits to export: the marked ones, otherwise the selected one.
    pub(super) fn chosen(&self) -> &[Hit] {
        if self.marked.is_empty() {
            let selected = self.selected.min(self.hits.len());
            &self.hits[selected..(selected + 1).min(self.hits.len())]
        } else {
            &self.marked
        }
    }

    fn line(&mut self) -> &mut Line {
        match self.field {
            Field::Query => &mut self.query,
            Field::Folder => &mut self.folder,
            Field::Target => &mut self.target,
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::Nothing;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if self.field == Field::Target {
            return self.key_of_target(key, control);
        }
        match key.code {
            KeyCode::Char('c') if control && self.exporting.is_some() => Action::StopExport,
            KeyCode::Char('c') if control => Action::Leave(Leaving::Aborted),
            KeyCode::Esc | KeyCode::Enter if self.field == Field::Folder => self.other_field(),
            KeyCode::Esc => self.leave(Leaving::WithPaths),
            KeyCode::Char('o') if control => {
                if self.marked.is_empty() && self.exporting.is_none() {
                    self.mark();
                }
                self.leave(Leaving::WithMoments)
            }
            KeyCode::Char('e') if control => self.ask_for_target(),
            KeyCode::Char('f') if control => self.other_field(),
            KeyCode::Enter => self.hits.get(self.selected).cloned().map_or(Action::Nothing, Action::Open),
            KeyCode::Char('y') if control => self.copy(),
            KeyCode::Tab => {
                self.mark();
                self.go(1)
            }
            KeyCode::Up => self.go(-1),
            KeyCode::Char('p') if control => self.go(-1),
            KeyCode::Down => self.go(1),
            KeyCode::Char('n') if control => self.go(1),
            KeyCode::PageUp => self.go(-(self.n_rows as isize)),
            KeyCode::PageDown => self.go(self.n_rows as isize),
            _ => match self.line().key(key) {
                Some(true) => Action::Ask,
                _ => Action::Nothing,
            },
        }
    }

    fn other_field(&mut self) -> Action {
        self.field = match self.field {
            Field::Query => Field::Folder,
            Field::Folder | Field::Target => Field::Query,
        };
        Action::Nothing
    }

    /// Leaves the finder, except during an export: its unfinished file would be lost without a word.
    fn leave(&mut self, leaving: Leaving) -> Action {
        if self.exporting.is_none() {
            return Action::Leave(leaving);
        }
        "an export is running".clone_into(&mut self.message);
        Action::Nothing
    }

    fn ask_for_target(&mut self) -> Action {
        self.message.clear();
        if self.exporting.is_some() {
            "one after the other".clone_into(&mut self.message);
        } else if self.chosen().is_empty() {
            "there is nothing to export".clone_into(&mut self.message);
        } else {
            self.field = Field::Target;
            self.target.cursor = self.target.text.len();
        }
        Action::Nothing
    }

    fn key_of_target(&mut self, key: KeyEvent, control: bool) -> Action {
        match key.code {
            KeyCode::Esc => self.other_field(),
            KeyCode::Char('c' | 'e') if control => self.other_field(),
            KeyCode::Tab => {
                self.is_exact = !self.is_exact;
                Action::Nothing
            }
            KeyCode::Enter => {
                self.field = Field::Query;
                let name = self.target.text.trim();
                if name.is_empty() {
                    return Action::Nothing;
                }
                let wanted = FinderExport {
                    hits: self.chosen().to_vec(),
                    target: with_home(name),
                    is_exact: self.is_exact,
                    title: self.query.text.trim().to_owned(),
                };
                self.exporting = Some(Exporting {
                    target: name.to_owned(),
                    percent: 0,
                });
                Action::Export(wanted)
            }
            _ => {
                self.target.key(key);
                Action::Nothing
            }
        }
    }

    pub(super) fn exported(&mut self, said: String) {
        self.exporting = None;
        self.message = said;
    }

    fn go(&mut self, by: isize) -> Action {
        self.selected = self.selected.saturating_add_signed(by).min(self.hits.len().saturating_sub(1));
        Action::Nothing
    }

    fn mark(&mut self) {
        let Some(hit) = self.hits.get(self.selected) else { return };
        if let Some(at) = self.marked.iter().position(|marked| marked.scene == hit.scene) {
            self.marked.remove(at);
            self.marked_for.remove(at);
        } else {
            self.marked.push(hit.clone());
            self.marked_for.push(self.shown_for.clone());
        }
    }

    fn copy(&mut self) -> Action {
        let Some(path) = self.hits.get(self.selected).and_then(|hit| hit.file.to_path().ok()) else {
            return Action::Nothing;
        };
        let raw = path.as_os_str().as_encoded_bytes();
        // A line break pasted into a terminal acts as the Enter key: the text before it would run as a command.
        if !raw.iter().any(|byte| b"\n\r".contains(byte)) {
            "the path was sent to the clipboard".clone_into(&mut self.message);
            return Action::Copy(raw.to_vec());
        }
        let Some(word) = shell::word(&path) else {
            "the name ends in a line break, which a shell cannot quote; nothing was copied".clone_into(&mut self.message);
            return Action::Nothing;
        };
        "the path was sent to the clipboard, quoted for a shell".clone_into(&mut self.message);
        Action::Copy(word.into_bytes())
    }
}

/// Expands `~` as a shell would.
fn with_home(text: &str) -> std::path::PathBuf {
    let rest = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match (rest, std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests;
