//! Reads single values from the file: the type, range and line of each.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use scened_common::media::extras;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Allows, KEYS};
use super::{DEFAULT_TOML, Problem, paths};

/// The values of a file on top of the defaults, and the mistakes found so far.
pub(super) struct Values {
    by_key: BTreeMap<&'static str, Value>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// A value and its line (0 for defaults, which have no mistakes).
struct Value {
    line: usize,
    value: Plain,
}

/// The part of TOML that our keys use.
enum Plain {
    Whole(i128),
    Switch(bool),
    Text(String),
    List(Vec<Value>),
    /// Anything else: "a table", "a date".
    Other(&'static str),
}

impl Plain {
    /// Returns the value as messages show it.
    fn describe(&self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Switch(on) => on.to_string(),
            Self::Text(text) => shortened(text),
            Self::List(_) => "a list".to_owned(),
            Self::Other(what) => (*what).to_owned(),
        }
    }
}

/// Returns a text in quotes, cut if it would make a message unreadable.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(LONGEST).collect();
    format!("{head:?}…")
}

impl Values {
    pub(super) fn read(text: &str) -> Self {
        let mut values = Self {
            by_key: BTreeMap::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        values.lay_over(DEFAULT_TOML, |_| 0);
        values.lay_over(text, |place| line_of(text, place.start));
        values
    }

    pub(super) fn into_findings(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems, self.warnings)
    }

    fn lay_over(&mut self, text: &str, line: impl Fn(Range<usize>) -> usize) {
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(e) => {
                let line = e.span().map_or(1, &line);
                self.problem(line, format!("not valid TOML: {}", e.message().trim_end().replace('\n', "; ")));
                return;
            }
        };
        for (name, value) in table {
            let at = line(name.span());
            match keys::find(name.get_ref()) {
                Some(key) => {
                    let value = plain(value.get_ref(), &|place| line(place));
                    self.by_key.insert(key.name, Value { line: at, value });
                }
                None => self.problem(at, unknown_key(name.get_ref())),
            }
        }
    }

    fn problem(&mut self, line: usize, message: String) {
        self.problems.push(Problem { line, message });
    }

    fn must_be(&mut self, key: &'static str, line: usize, found: &str) {
        let allows = &keys::find(key).expect("fields are read by keys of the table").allows;
        self.problem(line, format!("`{key}` is {found}, but must be {allows}"));
    }

    /// Reports an entry of a list that has the right type but is wrong; `why` completes the sentence.
    fn has(&mut self, key: &str, line: usize, text: &str, why: &str) {
        self.problem(line, format!("`{key}` has {}, {why}", shortened(text)));
    }

    fn take(&mut self, key: &'static str) -> Value {
        self.by_key.remove(key).expect("default.toml has every key, and each is read once")
    }

    pub(super) fn whole(&mut self, key: &'static str) -> u64 {
        let taken = self.take(key);
        let Some(Allows::Whole { min, max, .. }) = keys::find(key).map(|k| &k.allows) else {
            unreachable!("`{key}` is a whole number in the table of keys")
        };
        if let Plain::Whole(number) = taken.value
            && (i128::from(*min)..=i128::from(*max)).contains(&number)
        {
            return number as u64;
        }
        self.must_be(key, taken.line, &taken.value.describe());
        *min
    }

    pub(super) fn switch(&mut self, key: &'static str) -> bool {
        let taken = self.take(key);
        if let Plain::Switch(on) = taken.value {
            return on;
        }
        self.must_be(key, taken.line, &taken.value.describe());
        false
    }

    /// Reads a text and its line; the line is 0 for a default.
    fn text(&mut self, key: &'static str) -> Option<(String, usize)> {
        let taken = self.take(key);
        if let Plain::Text(text) = taken.value {
            return Some((text, taken.line));
        }
        self.must_be(key, taken.line, &taken.value.describe());
        None
    }

    /// Reads the texts of a list, each with its line.
    fn texts(&mut self, key: &'static str) -> Vec<(String, usize)> {
        let taken = self.take(key);
        let Plain::List(list) = taken.value else {
            self.must_be(key, taken.line, &taken.value.describe());
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(list.len());
        for entry in list {
            match entry.value {
                Plain::Text(text) => texts.push((text, entry.line)),
                other => self.must_be(key, entry.line, &format!("a list with {} in it", other.describe())),
            }
        }
        texts
    }

    pub(super) fn choice(&mut self, key: &'static str) -> String {
        let Some((text, line)) = self.text(key) else {
            return String::new();
        };
        if !is_choice(key, &text) {
            self.must_be(key, line, &shortened(&text));
        }
        text
    }

    pub(super) fn choices(&mut self, key: &'static str) -> Vec<String> {
        let line = self.by_key.get(key).map_or(0, |v| v.line);
        let is_list = self.by_key.get(key).is_some_and(|v| matches!(v.value, Plain::List(_)));
        let mut chosen = Vec::new();
        let texts = self.texts(key);
        if texts.is_empty() && is_list {
            self.must_be(key, line, "an empty list");
        }
        for (text, line) in texts {
            if !is_choice(key, &text) {
                self.must_be(key, line, &format!("a list with {} in it", shortened(&text)));
            } else if !chosen.contains(&text) {
                chosen.push(text);
            }
        }
        chosen
    }

    pub(super) fn folders(&mut self, key: &'static str) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for (text, line) in self.texts(key) {
            let path = match paths::absolute(&text) {
                Ok(path) => path,
                Err(why) => {
                    self.has(key, line, &text, &why);
                    continue;
                }
            };
            if folders.contains(&path) {
                let message = format!("`{key}` has {} twice", shortened(&text));
                self.warnings.push(Problem { line, message });
                continue;
            }
            if let Some(why) = unusable_folder(&path) {
                let message = format!("`{key}` has {}, {why}", shortened(&text));
                self.warnings.push(Problem { line, message });
            }
            folders.push(path);
        }
        folders
    }

    pub(super) fn extensions(&mut self, key: &'static str) -> Vec<String> {
        let mut extensions = Vec::new();
        for (text, line) in self.texts(key) {
            let extension = text.strip_prefix('.').unwrap_or(&text).to_lowercase();
            if extension.is_empty() || extension.contains(['.', '/', '*', '?']) {
                self.has(key, line, &text, "which is not a file name ending; write it like \"mp4\"");
            } else if !extensions.contains(&extension) {
                extensions.push(extension);
            }
        }
        extensions
    }

    /// Reads names of FFmpeg's formats or codecs. Only the worker knows whether FFmpeg has them.
    pub(super) fn ffmpeg_names(&mut self, key: &'static str) -> Vec<String> {
        let mut names = Vec::new();
        for (name, line) in self.texts(key) {
            if !extras::is_name(&name) {
                self.has(
                    key,
                    line,
                    &name,
                    "which is not an FFmpeg name; write it as FFmpeg does, like \"cinepak\"",
                );
            } else if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    pub(super) fn globs(&mut self, key: &'static str) -> Vec<String> {
        let mut globs = Vec::new();
        for (text, line) in self.texts(key) {
            match globset::Glob::new(&text) {
                Ok(_) => globs.push(text),
                Err(e) => self.has(key, line, &text, &format!("which is not a glob: {}", e.kind())),
            }
        }
        globs
    }

    pub(super) fn model(&mut self, key: &'static str) -> String {
        let Some((text, line)) = self.text(key) else {
            return String::new();
        };
        // A folder's name is a model's name, so nearly every text can be one.
        let is_name = !text.is_empty() && !text.starts_with(['.', '~']) && !text.contains(|c: char| c == '/' || c.is_control());
        if is_name {
            return text;
        }
        if !text.contains('/') {
            self.must_be(key, line, &shortened(&text));
            return text;
        }
        match paths::absolute(&text).map(|path| path.to_str().map(str::to_owned)) {
            Ok(path) => path.expect("a path made of a text and the home folder's is UTF-8 if that is"),
            Err(why) => {
                self.problem(line, format!("`{key}` is {}, {why}", shortened(&text)));
                text
            }
        }
    }

    pub(super) fn log_filter(&mut self, key: &'static str) -> String {
        let Some((text, line)) = self.text(key) else {
            return String::new();
        };
        if !is_log_filter(&text) {
            self.must_be(key, line, &shortened(&text));
        }
        text
    }

    pub(super) fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        let (text, line) = self.text(key)?;
        if text.is_empty() {
            return None;
        }
        match paths::absolute(&text) {
            Ok(path) => Some(path),
            Err(why) => {
                self.problem(line, format!("`{key}` is {}, {why}", shortened(&text)));
                None
            }
        }
    }
}

/// Returns why nothing can be watched at `path` now; `None` if it can.
fn unusable_folder(path: &std::path::Path) -> Option<String> {
    let at = path.to_owned();
    match crate::machine::with_timeout::run(path, move |_| std::fs::metadata(at)) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some("which is not a folder; it is watched as soon as it is one".to_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Some("a folder that does not exist; it is watched as soon as it does".to_owned())
        }
        Err(e) => Some(format!("which cannot be reached ({e}); it is watched as soon as it can")),
    }
}

/// Returns whether each part is a level or `target=level`. The filter's own parser takes any other word for the name of a module.
fn is_log_filter(text: &str) -> bool {
    let level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word.to_ascii_lowercase().as_str());
    let parts_known = text.split(',').all(|part| match part.trim().rsplit_once('=') {
        Some((_, word)) => level(word),
        None => level(part.trim()),
    });
    parts_known && tracing_subscriber::EnvFilter::try_new(text).is_ok()
}

fn is_choice(key: &str, text: &str) -> bool {
    match keys::find(key).map(|k| &k.allows) {
        Some(Allows::Choice(choices) | Allows::Choices(choices)) => choices.contains(&text),
        _ => false,
    }
}

fn unknown_key(name: &str) -> String {
    if let Some(key) = keys::nearest(name) {
        return format!("unknown key `{name}`; did you mean `{key}`?");
    }
    let known: Vec<_> = KEYS.iter().map(|k| k.name).collect();
    format!("unknown key `{name}`; the keys are {}", known.join(", "))
}

fn plain(value: &DeValue<'_>, line: &dyn Fn(Range<usize>) -> usize) -> Plain {
    match value {
        DeValue::String(text) => Plain::Text(text.to_string()),
        DeValue::Boolean(on) => Plain::Switch(*on),
        DeValue::Integer(number) => {
            // This fails only beyond 128 bits, and such a number is out of every range.
            Plain::Whole(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
        }
        DeValue::Array(list) => Plain::List(
            list.iter()
                .map(|entry| Value {
                    line: line(entry.span()),
                    value: plain(entry.get_ref(), line),
                })
                .collect(),
        ),
        DeValue::Float(_) => Plain::Other("a number with a point"),
        DeValue::Datetime(_) => Plain::Other("a date"),
        DeValue::Table(_) => Plain::Other("a table"),
    }
}

/// Returns the line, from 1, of a byte of `text`.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count()
}
