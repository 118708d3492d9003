//! An editable line: the query, the folder, the name of a file.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The daemon refuses longer texts.
const MAX_TEXT_BYTES: usize = 2048;

/// An editable line; the cursor is a byte position between characters.
#[derive(Debug, Default)]
pub(in crate::command::browse) struct Line {
    pub(in crate::command::browse) text: String,
    pub(in crate::command::browse) cursor: usize,
}

impl Line {
    pub(super) fn new(text: String) -> Self {
        let cursor = text.len();
        Self { text, cursor }
    }

    pub(super) fn insert(&mut self, text: &str) -> bool {
        // Line ends and other control characters do not belong in a question.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if self.text.len() + text.len() > MAX_TEXT_BYTES {
            return false;
        }
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        !text.is_empty()
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.text[self.cursor..]
            .chars()
            .next()
            .map_or(self.cursor, |c| self.cursor + c.len_utf8())
    }

    fn remove(&mut self, from: usize, to: usize) -> bool {
        self.text.replace_range(from..to, "");
        self.cursor = from;
        from < to
    }

    fn word_start(&self) -> usize {
        let before = self.text[..self.cursor].trim_end();
        before.rfind(char::is_whitespace).map_or(0, |at| at + 1)
    }

    /// Handles a key; returns whether the text changed, or `None` if the key means nothing to a line.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<bool> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if control => Some(self.remove(0, self.cursor)),
            KeyCode::Char('w') if control => Some(self.remove(self.word_start(), self.cursor)),
            KeyCode::Char('a') if control => Some(self.go(0)),
            KeyCode::Char(c) if !control && !key.modifiers.contains(KeyModifiers::ALT) => Some(self.insert(c.encode_utf8(&mut [0; 4]))),
            KeyCode::Backspace => Some(self.remove(self.before(), self.cursor)),
            KeyCode::Delete => {
                let (from, to) = (self.cursor, self.after());
                Some(self.remove(from, to))
            }
            KeyCode::Left => Some(self.go(self.before())),
            KeyCode::Right => Some(self.go(self.after())),
            KeyCode::Home => Some(self.go(0)),
            KeyCode::End => Some(self.go(self.text.len())),
            _ => None,
        }
    }

    /// Moves the cursor; the text does not change.
    fn go(&mut self, to: usize) -> bool {
        self.cursor = to;
        false
    }
}
