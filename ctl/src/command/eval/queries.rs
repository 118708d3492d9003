//! The file of queries: which text should find which moments.
//!
//! As TSV, each line has a query, a file, and from and to as times; the last two may be missing, and then any scene of the file is right.
//! Lines with the same query add right moments to it. A query without a file has nothing to find. As JSON, it is a list of objects with the
//! same names. Relative paths begin at the folder of the file.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use scened_shared::message::Hit;
use serde::{Deserialize, Serialize};

use crate::command::moments;
use crate::failure::Failure;
use crate::input::{place, span};
use crate::render::{text, time};

/// Names of the columns, in the order that a file without a heading has.
const COLUMNS: [&str; 4] = ["query", "file", "from", "to"];
/// A larger file is surely not a list of queries. Bytes.
const MAX_BYTES: u64 = 64 << 20;

/// A text and the moments that it should find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) text: String,
    /// Empty if the library has nothing that it should find.
    pub(super) right: Vec<Right>,
}

/// A part of a video that is right. Milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Right {
    pub(super) file: PathBuf,
    pub(super) from_ms: Option<u64>,
    pub(super) to_ms: Option<u64>,
}

impl Right {
    /// Returns whether a hit of this file, from `start_ms` up to `end_ms`, shows some of this part.
    pub(super) fn is_in(&self, file: &Path, start_ms: u64, end_ms: u64) -> bool {
        // A moment without a length is in the scene that begins with it.
        let to_ms = self.to_ms.map(|to| to.max(self.from_ms.unwrap_or(0) + 1));
        self.file == file && self.from_ms.is_none_or(|from| from < end_ms.max(start_ms + 1)) && to_ms.is_none_or(|to| start_ms < to)
    }
}

/// One row of the file, before it is checked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    query: String,
    #[serde(default)]
    file: String,
    #[serde(default, alias = "start")]
    from: Time,
    #[serde(default, alias = "end")]
    to: Time,
}

/// A time as text, or as a number of seconds in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum Time {
    #[default]
    Missing,
    Seconds(f64),
    Text(String),
}

impl Time {
    fn ms(&self) -> Result<Option<u64>, String> {
        let text = match self {
            Self::Missing => return Ok(None),
            Self::Seconds(seconds) => format!("{seconds}"),
            Self::Text(text) => text.clone(),
        };
        if text.trim().is_empty() {
            return Ok(None);
        }
        span::parse(&text)
            .map(|span| Some(span.ms))
            .map_err(|why| format!("{text:?} is not a time: {why}"))
    }
}

/// Reads the queries in the order in which each appears first.
///
/// **Errors**: the file cannot be read, or has a mistake; the message names its line or its number in the list.
pub(super) fn read(file: &Path) -> Result<Vec<Query>, Failure> {
    let shown = text::path(file, None);
    let failed = |why: String| Failure::new(format!("cannot read the queries in {shown}")).cause(why);
    let size = fs::metadata(file).map_err(|error| failed(error.to_string()))?;
    if !size.is_file() || size.len() > MAX_BYTES {
        return Err(failed("it is not a list of queries".to_owned()));
    }
    let content = fs::read(file).map_err(|error| failed(error.to_string()))?;
    let content = String::from_utf8(content).map_err(|_| failed("it is not UTF-8".to_owned()))?;
    let content = content.strip_prefix('\u{feff}').unwrap_or(&content);
    let home = place::absolute(file).map_err(|error| failed(error.to_string()))?;
    let folder = home.parent().unwrap_or(Path::new("/"));
    let queries = parse(content, folder).map_err(|why| {
        failed(why)
            .hint("each line has a query, a file, and from and to as times, with tabs between them; `scenectl eval --help` shows one")
    })?;
    if queries.is_empty() {
        return Err(failed("it has no query".to_owned()));
    }
    Ok(queries)
}

pub(super) fn parse(content: &str, folder: &Path) -> Result<Vec<Query>, String> {
    let rows = if content.trim_start().starts_with(['[', '{']) {
        let rows: Vec<Row> = serde_json::from_str(content).map_err(|error| error.to_string())?;
        rows.into_iter()
            .enumerate()
            .map(|(index, row)| (format!("entry {}", index + 1), row))
            .collect()
    } else {
        rows_of_tsv(content)?
    };
    let mut queries: Vec<Query> = Vec::new();
    let mut at = std::collections::BTreeMap::new();
    for (place, row) in rows {
        let text = row.query.trim().to_owned();
        if text.is_empty() {
            return Err(format!("{place}: the query is empty"));
        }
        let (from_ms, to_ms) = (row.from.ms(), row.to.ms());
        let (from_ms, to_ms) = from_ms
            .and_then(|from| Ok((from, to_ms?)))
            .map_err(|why| format!("{place}: {why}"))?;
        if from_ms.zip(to_ms).is_some_and(|(from, to)| to < from) {
            return Err(format!("{place}: the moment ends before it begins"));
        }
        if row.file.is_empty() && (from_ms.is_some() || to_ms.is_some()) {
            return Err(format!("{place}: a time needs a file"));
        }
        let index = *at.entry(text.clone()).or_insert_with(|| {
            queries.push(Query { text, right: Vec::new() });
            queries.len() - 1
        });
        if !row.file.is_empty() {
            queries[index].right.push(Right {
                file: folder.join(&row.file),
                from_ms,
                to_ms,
            });
        }
    }
    Ok(queries)
}

fn rows_of_tsv(content: &str) -> Result<Vec<(String, Row)>, String> {
    let mut columns: Vec<&str> = COLUMNS.to_vec();
    let mut rows = Vec::new();
    let mut is_first = true;
    for (index, line) in content.lines().enumerate() {
        let place = format!("line {}", index + 1);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let cells: Vec<&str> = line.split('\t').collect();
        if std::mem::take(&mut is_first) && cells.contains(&"query") {
            if let Some(unknown) = cells.iter().find(|name| !COLUMNS.contains(name)) {
                return Err(format!(
                    "{place}: there is no column {unknown:?}; the columns are {}",
                    COLUMNS.join(", ")
                ));
            }
            columns = cells;
            continue;
        }
        if cells.len() > columns.len() {
            return Err(format!("{place}: it has {} columns and not {}", cells.len(), columns.len()));
        }
        let cell = |name: &str| {
            let at = columns.iter().position(|column| *column == name)?;
            cells.get(at).map(|cell| (*cell).to_owned())
        };
        let row = Row {
            query: cell("query").unwrap_or_default(),
            file: cell("file").unwrap_or_default(),
            from: cell("from").map_or(Time::Missing, Time::Text),
            to: cell("to").map_or(Time::Missing, Time::Text),
        };
        rows.push((place, row));
    }
    Ok(rows)
}

/// **Errors**: the file is there but cannot be extended, because it is JSON or has mistakes.
pub(super) fn check_to_record(file: &Path) -> Result<(), Failure> {
    match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::new(format!("cannot read {}", text::path(file, None))).cause(error.to_string())),
        Ok(found) if found.is_file() && found.len() == 0 => Ok(()),
        Ok(_) => {
            let is_json = fs::read(file).is_ok_and(|content| content.trim_ascii_start().starts_with(b"["));
            if is_json {
                return Err(Failure::new("--record extends a TSV file, not JSON").hint("give another file; `eval` reads both"));
            }
            read(file).map(drop)
        }
    }
}

/// Adds marked hits as lines to a TSV file, and creates it if necessary. Returns how many.
///
/// **Errors**: a path or a query that a line cannot hold; the file cannot be written. Then nothing was added.
pub(super) fn record(file: &Path, marked: &[(String, Hit)]) -> Result<usize, Failure> {
    let mut lines = String::new();
    let is_new = fs::metadata(file).map_or(true, |found| found.len() == 0);
    if is_new {
        lines.push_str(&COLUMNS.join("\t"));
        lines.push('\n');
    } else if !fs::read(file).is_ok_and(|content| content.ends_with(b"\n")) {
        lines.push('\n');
    }
    for (query, hit) in marked {
        let path = moments::path(&hit.file)?;
        let shown = text::path(&path, None);
        let Some(path) = path.to_str().filter(|path| !path.contains(['\t', '\n', '\r'])) else {
            return Err(Failure::new(format!("a line of the file cannot hold the name {shown}")));
        };
        let query = query.split_whitespace().collect::<Vec<_>>().join(" ");
        let (from, to) = (time::exact(hit.start_ms), time::exact(hit.end_ms));
        writeln!(lines, "{query}\t{path}\t{from}\t{to}").expect("a string takes any text");
    }
    if marked.is_empty() {
        return Ok(0);
    }
    let written = fs::OpenOptions::new().create(true).append(true).open(file).and_then(|mut file| {
        file.write_all(lines.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| Failure::new(format!("cannot write {}", text::path(file, None))).cause(error.to_string()))?;
    Ok(marked.len())
}
