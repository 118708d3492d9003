//! The desktop's default application for a file, and how its `.desktop` file says to run it.
//!
//! **Source**: XDG Base Directory Specification, MIME Applications Associations 1.0.1, Desktop Entry Specification 1.5. We read the files
//! ourselves because `xdg-mime` is a shell script that may be missing, and names only one application, even if that is not installed.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use montage::quote;

use super::table::Known;
use super::{Environment, Moment, Plan, add_start, mime, words};

/// The folders in which desktops keep their settings, the most important first.
#[derive(Clone, Debug, Default)]
pub(super) struct Folders {
    /// `~/.config` and the system's folders.
    config: Vec<PathBuf>,
    /// `~/.local/share` and the system's folders.
    data: Vec<PathBuf>,
    /// Names of the running desktop in lower case, as they appear in file names.
    desktops: Vec<String>,
}

impl Folders {
    pub(super) fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let home = variable("HOME").map(PathBuf::from);
        // The specification says to ignore a path that is not absolute.
        let folders = |own: &str, own_default: &str, shared: &str, shared_default: &str| -> Vec<PathBuf> {
            let own = variable(own).map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(own_default)));
            let shared = variable(shared).unwrap_or_else(|| shared_default.into());
            let all = own.into_iter().chain(std::env::split_paths(&shared));
            all.filter(|folder| folder.is_absolute()).collect()
        };
        Self {
            config: folders("XDG_CONFIG_HOME", ".config", "XDG_CONFIG_DIRS", "/etc/xdg"),
            data: folders("XDG_DATA_HOME", ".local/share", "XDG_DATA_DIRS", "/usr/local/share:/usr/share"),
            desktops: variable("XDG_CURRENT_DESKTOP")
                .map(|names| names.to_string_lossy().to_lowercase().split(':').map(str::to_owned).collect())
                .unwrap_or_default(),
        }
    }

    /// Returns the applications for a file's type, the default first. Applications that are not installed are left out.
    pub(super) fn applications_for(&self, file: &Path) -> Vec<Application> {
        let types = mime::types_of(file, &self.data);
        let lists = self.association_lists();
        let mut ids: Vec<String> = Vec::new();
        for kind in &types {
            for list in &lists {
                ids.extend(list.of("Default Applications", kind));
            }
            let removed: Vec<String> = lists.iter().flat_map(|list| list.of("Removed Associations", kind)).collect();
            let added = lists
                .iter()
                .flat_map(|list| list.of("Added Associations", kind).into_iter().chain(list.of("MIME Cache", kind)));
            ids.extend(added.filter(|id| !removed.contains(id)));
        }
        let mut seen = std::collections::BTreeSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        ids.iter().filter_map(|id| self.application(id)).collect()
    }

    /// Reads every `mimeapps.list`, followed by the caches of what applications say they open.
    fn association_lists(&self) -> Vec<Entries> {
        let applications = self.data.iter().map(|folder| folder.join("applications"));
        let mut paths = Vec::new();
        for folder in self.config.iter().cloned().chain(applications.clone()) {
            paths.extend(self.desktops.iter().map(|name| folder.join(format!("{name}-mimeapps.list"))));
            paths.push(folder.join("mimeapps.list"));
        }
        paths.extend(applications.map(|folder| folder.join("mimeinfo.cache")));
        paths.iter().filter_map(|path| Entries::read(path)).collect()
    }

    fn application(&self, id: &str) -> Option<Application> {
        // An id is a name; as a path it could lead anywhere.
        let name = id
            .strip_suffix(".desktop")
            .filter(|name| !name.contains('/') && !name.starts_with('.'))?;
        for folder in &self.data {
            // `a-b-c` may be in `a/b-c` and `a/b/c` as well.
            let mut place = id.to_owned();
            loop {
                let path = folder.join("applications").join(&place);
                if let Some(entries) = Entries::read(&path) {
                    // The first file of that name counts, even if it says that the application does not exist.
                    return Application::new(name, path, &entries);
                }
                if !place.contains('-') {
                    break;
                }
                place = place.replacen('-', "/", 1);
            }
        }
        None
    }
}

/// An application as its desktop file describes it.
#[derive(Debug)]
pub(super) struct Application {
    id: String,
    path: PathBuf,
    name: String,
    words: Vec<String>,
    try_exec: Option<String>,
    folder: Option<PathBuf>,
}

impl Application {
    /// Returns `None` if the entry is not an application, is hidden, or wants a terminal, which it would have to share with us.
    fn new(id: &str, path: PathBuf, entries: &Entries) -> Option<Self> {
        let value = |key: &str| entries.value("Desktop Entry", key).map(unescaped);
        let is_true = |key: &str| value(key).as_deref() == Some("true");
        if value("Type").as_deref() != Some("Application") || is_true("Hidden") || is_true("Terminal") {
            return None;
        }
        Some(Self {
            id: id.to_owned(),
            path,
            name: value("Name").filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_owned()),
            words: words::split(&value("Exec")?).ok().filter(|words| !words.is_empty())?,
            try_exec: value("TryExec"),
            folder: value("Path").map(PathBuf::from).filter(|folder| folder.is_absolute()),
        })
    }

    /// Returns how to run it; `None` if its program is not installed.
    pub(super) fn plan(&self, moment: Moment<'_>, environment: &Environment) -> Option<Plan> {
        if let Some(program) = &self.try_exec {
            environment.program(OsStr::new(program))?;
        }
        let (program, words) = self.words.split_first()?;
        let program = environment.program(OsStr::new(program))?;
        // A program that runs another one (flatpak, snap, env) is recognized by the name of the desktop file.
        let known = Known::by_desktop_id(&self.id).or_else(|| Known::by_program(&program));
        let mut arguments: Vec<OsString> = Vec::new();
        let mut file_at = None;
        for word in words {
            if moment.place.is_some() && known.is_some_and(|known| known.without.contains(&word.as_str())) {
                continue;
            }
            let holds_file = ["%f", "%F", "%u", "%U"].iter().any(|code| word.contains(code));
            if holds_file && file_at.is_none() {
                file_at = Some(arguments.len());
            }
            arguments.extend(self.expanded(word, moment.file));
        }
        let mut at = file_at.unwrap_or_else(|| {
            arguments.push(moment.file.as_os_str().to_owned());
            arguments.len() - 1
        });
        // Options must precede `--`, and the marks that announce a file to flatpak.
        while at > 0 && ["--", "@@", "@@u"].iter().any(|mark| arguments[at - 1] == *mark) {
            at -= 1;
        }
        let is_told_time = add_start(known, moment, &mut arguments, at);
        Some(Plan {
            player: self.name.clone(),
            program,
            arguments,
            is_told_time,
            folder: self.folder.clone(),
        })
    }

    /// Replaces the field codes of a word; `None` if nothing is left of it.
    fn expanded(&self, word: &str, file: &Path) -> Option<OsString> {
        let mut text = OsString::new();
        let mut had_code = false;
        let mut signs = word.chars();
        while let Some(sign) = signs.next() {
            if sign != '%' {
                text.push(sign.encode_utf8(&mut [0; 4]));
                continue;
            }
            had_code = true;
            match signs.next() {
                Some('f' | 'F') => text.push(file),
                Some('u' | 'U') => text.push(quote::file_url(file)),
                Some('c') => text.push(&self.name),
                Some('k') => text.push(&self.path),
                Some('%') => text.push("%"),
                // An icon, and obsolete codes.
                _ => {}
            }
        }
        (!had_code || !text.is_empty()).then_some(text)
    }
}

/// Resolves the escapes of a string in a desktop file.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut signs = value.chars();
    while let Some(sign) = signs.next() {
        match (sign, sign == '\\') {
            (_, true) => match signs.next() {
                Some('s') => text.push(' '),
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('\\') | None => text.push('\\'),
                Some(other) => text.extend(['\\', other]),
            },
            (sign, false) => text.push(sign),
        }
    }
    text
}

/// Groups of `key=value` lines: desktop files and lists of associations.
#[derive(Debug)]
struct Entries(Vec<(String, String, String)>);

impl Entries {
    fn read(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let mut group = String::new();
        let mut entries = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                name.clone_into(&mut group);
            } else if let Some((key, value)) = line.split_once('=')
                && !line.starts_with('#')
            {
                entries.push((group.clone(), key.trim_end().to_owned(), value.trim_start().to_owned()));
            }
        }
        Some(Self(entries))
    }

    fn value(&self, group: &str, key: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(in_group, name, _)| in_group == group && name == key);
        found.next().map(|(_, _, value)| value.as_str())
    }

    /// Returns a list of names that end with `;`.
    fn of(&self, group: &str, key: &str) -> Vec<String> {
        let names = self.value(group, key).unwrap_or_default().split(';').map(str::trim);
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}
