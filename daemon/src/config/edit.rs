//! Changes the list of folders or the model in the file, and leaves everything else as its owner wrote it.
//!
//! The file is replaced as a whole (temporary file, fsync, rename), so that a reader sees the old or the new one. If it is a symbolic link,
//! the link stays and its target is replaced. A file with mistakes is never written.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use scened_shared::spelling;
use tempfile::NamedTempFile;
use toml_edit::{Array, DocumentMut, Item, Value};

use super::{Config, ConfigError, paths, read_text};

/// The first lines of a new file.
const HEADER: &str = "# Configuration of scened. Every key, its default and its range: docs/config.md, or `scened --help`.\n\n";

/// The reason why the file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("the configuration was not changed, because it has errors:\n{0}")]
    Invalid(#[from] ConfigError),
    #[error("{path:?} cannot be written into the configuration, because its name is not UTF-8")]
    NotUtf8 { path: PathBuf },
    #[error("{}", .0)]
    Path(String),
    #[error("cannot write the configuration {}: {source}", .file.display())]
    Write { file: PathBuf, source: io::Error },
}

/// The effect of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    Changed,
    /// The file already had this content, and was not touched.
    Unchanged,
}

/// Adds `folder`, an absolute path, to the end of the list. Creates the file if it does not exist.
pub fn add_folder(file: &Path, folder: &Path) -> Result<Edited, EditError> {
    let text = text_of(folder)?;
    let wanted = paths::absolute(text).map_err(|why| EditError::Path(format!("cannot watch {text:?}, {why}")))?;
    edit_folders(file, |folders| {
        if position(folders, &wanted).is_some() {
            return false;
        }
        append(folders, &wanted.to_string_lossy());
        true
    })
}

/// Removes `folder` from the list, however it is spelt there (`~/Videos`, a trailing slash).
pub fn remove_folder(file: &Path, folder: &Path) -> Result<Edited, EditError> {
    let text = text_of(folder)?;
    let Ok(unwanted) = paths::absolute(text) else {
        return Ok(Edited::Unchanged);
    };
    edit_folders(file, |folders| {
        let mut removed = false;
        while let Some(index) = position(folders, &unwanted) {
            remove(folders, index);
            removed = true;
        }
        removed
    })
}

/// Sets the model: a name, or the absolute path of a model's folder. A comment after the old value stays.
pub fn set_model(file: &Path, model: &str) -> Result<Edited, EditError> {
    edit(file, |document| {
        let chosen = document.entry("model").or_insert_with(|| Item::Value(Value::from("")));
        let chosen = chosen.as_value_mut().expect("the configuration was checked: the model is a text");
        if chosen.as_str() == Some(model) {
            return false;
        }
        let decor = chosen.decor().clone();
        *chosen = Value::from(model);
        *chosen.decor_mut() = decor;
        true
    })
}

fn edit_folders(file: &Path, change: impl FnOnce(&mut Array) -> bool) -> Result<Edited, EditError> {
    edit(file, |document| {
        let folders = document.entry("folders").or_insert_with(|| Item::Value(Value::Array(Array::new())));
        change(
            folders
                .as_array_mut()
                .expect("the configuration was checked: the folders are a list"),
        )
    })
}

fn text_of(folder: &Path) -> Result<&str, EditError> {
    folder.to_str().ok_or_else(|| EditError::NotUtf8 { path: folder.to_owned() })
}

fn edit(file: &Path, change: impl FnOnce(&mut DocumentMut) -> bool) -> Result<Edited, EditError> {
    let failed = |source| EditError::Write {
        file: file.to_owned(),
        source,
    };
    let (text, is_new) = match read_text(file).map_err(EditError::Invalid)? {
        Some(text) => (text, false),
        None => (String::new(), true),
    };
    Config::parse(&text, file)?;
    let mut document: DocumentMut = text.parse().expect("a text that was just parsed as TOML is TOML");
    if !change(&mut document) {
        return Ok(Edited::Unchanged);
    }
    let mut text = document.to_string();
    if is_new {
        text.insert_str(0, HEADER);
    }
    Config::parse(&text, file)?;
    replace(file, &text, is_new).map_err(failed)?;
    Ok(Edited::Changed)
}

fn position(folders: &Array, wanted: &Path) -> Option<usize> {
    let find = |is_it: &dyn Fn(&Path) -> bool| {
        let mut entries = folders.iter();
        entries.position(|entry| {
            entry
                .as_str()
                .and_then(|text| paths::absolute(text).ok())
                .is_some_and(|folder| is_it(&folder))
        })
    };
    // The typed path and the one on the disk may spell an accent differently.
    find(&|folder| folder == wanted).or_else(|| find(&|folder| spelling::on_disk(folder) == wanted))
}

/// Splits the text before an entry: the rest of the previous line (a comment on the previous entry), and the entry's own lines.
fn split_line(space: &str) -> (&str, &str) {
    space.find('\n').map_or(("", space), |at| space.split_at(at))
}

fn prefix(value: &Value) -> String {
    value.decor().prefix().and_then(|p| p.as_str()).unwrap_or_default().to_owned()
}

fn suffix(value: &Value) -> String {
    value.decor().suffix().and_then(|s| s.as_str()).unwrap_or_default().to_owned()
}

/// Adds an entry in the style of the list: on its own line if the last entry has its own line.
fn append(folders: &mut Array, text: &str) {
    let Some(last) = folders.iter_mut().last() else {
        // A comment inside an empty list stays after the new entry.
        folders.push(text);
        return;
    };
    let own_lines = prefix(last);
    let indent = split_line(&own_lines).1.rsplit('\n').next().unwrap_or_default().to_owned();
    let one_line = !own_lines.contains('\n');
    // Without a trailing comma, the comment on the last line belongs to the last entry; with one, to the list.
    let after_last = format!("{}{}", suffix(last), folders.trailing().as_str().unwrap_or_default());
    if let Some(last) = folders.iter_mut().last() {
        last.decor_mut().set_suffix("");
    }
    let mut entry = Value::from(text);
    if one_line && !after_last.contains('\n') {
        entry.decor_mut().set_prefix(if folders.is_empty() { "" } else { " " });
        folders.push_formatted(entry);
        folders.set_trailing(after_last);
        return;
    }
    // Comments after the last entry stay between it and the new one. The closing bracket keeps its own line.
    let (kept, closing) = after_last
        .rsplit_once('\n')
        .map_or(("", after_last.as_str()), |(kept, closing)| (kept, closing));
    entry.decor_mut().set_prefix(format!("{kept}\n{indent}"));
    folders.push_formatted(entry);
    folders.set_trailing(format!("\n{closing}"));
    folders.set_trailing_comma(true);
}

/// Removes an entry and the comment after it on its line. Comments above it and after the previous entry stay.
fn remove(folders: &mut Array, index: usize) {
    let removed = folders.remove(index);
    let before = prefix(&removed);
    let (behind_previous, own_lines) = split_line(&before);
    let comments_above = own_lines.rfind('\n').map_or("", |at| &own_lines[..at]);
    if let Some(next) = folders.get_mut(index) {
        let after = prefix(next);
        let kept = if after.contains('\n') {
            format!("{behind_previous}{comments_above}{}", split_line(&after).1)
        } else if before.contains('\n') || index == 0 {
            before.clone()
        } else {
            after
        };
        next.decor_mut().set_prefix(kept);
    } else {
        let trailing = format!("{}{}", suffix(&removed), folders.trailing().as_str().unwrap_or_default());
        let kept = if trailing.contains('\n') {
            format!("{behind_previous}{comments_above}{}", split_line(&trailing).1)
        } else {
            trailing
        };
        folders.set_trailing(kept);
        if folders.is_empty() {
            folders.set_trailing_comma(false);
        }
    }
}

/// Replaces the content of `file` by `text` in one step.
fn replace(file: &Path, text: &str, is_new: bool) -> io::Result<()> {
    // The target of a link is replaced; the link stays.
    let target = match fs::read_link(file) {
        Ok(link) if is_new => file.parent().unwrap_or(Path::new("")).join(link),
        _ if is_new => file.to_owned(),
        _ => fs::canonicalize(file)?,
    };
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let permissions = if is_new {
        Permissions::from_mode(0o644)
    } else {
        fs::metadata(&target)?.permissions()
    };
    let mut temporary = NamedTempFile::new_in(folder)?;
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().set_permissions(permissions)?;
    temporary.as_file().sync_all()?;
    temporary.persist(&target).map_err(|e| e.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
