//! Which files count as videos of the library: names, globs, hidden files, links, `.nomedia` and `.scenedignore`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// A folder that has it is ignored with everything below.
pub const NOMEDIA: &str = ".nomedia";
/// Patterns in gitignore syntax for its folder and everything below.
pub const SCENEDIGNORE: &str = ".scenedignore";

/// A larger file is no list of patterns; reading it would only cost memory.
const MAX_SCENEDIGNORE_BYTES: u64 = 1 << 20;

/// Endings of names that programs give to files they have not finished; the finished file is renamed.
const PARTIAL_SUFFIXES: [&str; 16] = [
    ".part",
    ".partial",
    ".crdownload",
    ".download",
    ".opdownload",
    ".tmp",
    ".temp",
    "~",
    ".!qb",
    ".!ut",
    ".!bt",
    ".bc!",
    ".aria2",
    ".ytdl",
    ".filepart",
    ".unfinished",
];

/// The checked rules of the configuration. Cheap to share; knows no folder of its own.
#[derive(Debug)]
pub struct Rules {
    extensions: Vec<String>,
    ignore: GlobSet,
    ignore_texts: Vec<String>,
    hidden: bool,
    follow_symlinks: bool,
}

/// A glob of the configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("ignore pattern {glob:?} cannot be read")]
pub struct RulesError {
    glob: String,
    source: globset::Error,
}

/// The rule that keeps a path out of the index, in the user's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// Not one of the configured `extensions`.
    Extension,
    /// A download or copy that is not finished.
    PartialName,
    /// The name of this file or folder begins with a dot.
    Hidden(PathBuf),
    /// A pattern of `ignore` matches this file or folder.
    Ignored {
        pattern: String,
        at: PathBuf,
    },
    NoMedia(PathBuf),
    /// A pattern in this `.scenedignore` matches.
    ScenedIgnore {
        file: PathBuf,
        pattern: String,
    },
    Symlink(PathBuf),
    /// Neither a file nor a folder, such as a pipe.
    NotAFile,
}

impl std::fmt::Display for Exclusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Extension => write!(f, "its extension is not one of `extensions`"),
            Self::PartialName => write!(f, "its name is that of an unfinished download or copy"),
            Self::Hidden(path) => write!(f, "{} is hidden (`hidden = false`)", path.display()),
            Self::Ignored { pattern, at } => write!(f, "`ignore` has {pattern:?}, which matches {}", at.display()),
            Self::NoMedia(file) => write!(f, "{} is there", file.display()),
            Self::ScenedIgnore { file, pattern } => write!(f, "{} has {pattern:?}", file.display()),
            Self::Symlink(path) => write!(f, "{} is a symbolic link (`follow-symlinks = false`)", path.display()),
            Self::NotAFile => write!(f, "it is not a regular file"),
        }
    }
}

impl Rules {
    /// Checks the globs. `extensions` are lower case and without the dot.
    pub fn new(extensions: Vec<String>, ignore: &[String], hidden: bool, follow_symlinks: bool) -> Result<Self, RulesError> {
        let mut globs = GlobSetBuilder::new();
        for glob in ignore {
            let error = |source| RulesError {
                glob: glob.clone(),
                source,
            };
            // `*` stays inside one folder's names, `**` crosses them; names are matched alone as well, so `*.trailer.*` works anywhere.
            globs.add(
                GlobBuilder::new(glob.trim_end_matches('/'))
                    .literal_separator(true)
                    .build()
                    .map_err(error)?,
            );
        }
        let set = globs.build().map_err(|source| RulesError {
            glob: ignore.join(", "),
            source,
        })?;
        Ok(Self {
            extensions,
            ignore: set,
            ignore_texts: ignore.to_vec(),
            hidden,
            follow_symlinks,
        })
    }

    pub fn follow_symlinks(&self) -> bool {
        self.follow_symlinks
    }

    /// Whether the name alone could be a video's: the cheap question, asked before any stat.
    pub fn is_video_name(&self, name: &OsStr) -> bool {
        !is_partial(name) && self.has_extension(name)
    }

    fn has_extension(&self, name: &OsStr) -> bool {
        Path::new(name)
            .extension()
            .and_then(OsStr::to_str)
            .is_some_and(|extension| self.extensions.iter().any(|known| known.eq_ignore_ascii_case(extension)))
    }

    /// Why a file of this name in a folder that counts is left out; `folder_rules` are those of the folder.
    pub fn excludes_file(&self, root: &Path, path: &Path, folder: &FolderRules) -> Option<Exclusion> {
        let name = path.file_name()?;
        if is_partial(name) {
            return Some(Exclusion::PartialName);
        }
        if !self.has_extension(name) {
            return Some(Exclusion::Extension);
        }
        self.excludes_name(root, path, false, folder)
    }

    /// Why a sub-folder of a folder that counts is left out, as far as its name tells.
    pub fn excludes_folder(&self, root: &Path, path: &Path, parent: &FolderRules) -> Option<Exclusion> {
        self.excludes_name(root, path, true, parent)
    }

    fn excludes_name(&self, root: &Path, path: &Path, is_folder: bool, folder: &FolderRules) -> Option<Exclusion> {
        let name = path.file_name()?;
        // `._x` are macOS's resource forks, never videos, whatever `hidden` says.
        if name.as_bytes().starts_with(b"._") || (!self.hidden && name.as_bytes().starts_with(b".")) {
            return Some(Exclusion::Hidden(path.to_owned()));
        }
        let below = path.strip_prefix(root).unwrap_or(path);
        let matched = self
            .ignore
            .matches(below)
            .into_iter()
            .chain(self.ignore.matches(Path::new(name)))
            .next();
        if let Some(index) = matched {
            return Some(Exclusion::Ignored {
                pattern: self.ignore_texts[index].clone(),
                at: path.to_owned(),
            });
        }
        folder.excludes(path, is_folder)
    }
}

fn is_partial(name: &OsStr) -> bool {
    let name = name.as_bytes();
    PARTIAL_SUFFIXES
        .iter()
        .any(|suffix| name.len() >= suffix.len() && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix.as_bytes()))
}

/// What the files `.nomedia` and `.scenedignore` of a folder and of those above it (up to the watched one) say.
#[derive(Clone, Debug, Default)]
pub struct FolderRules {
    no_media: Option<PathBuf>,
    /// Innermost last.
    scenedignores: Vec<std::sync::Arc<Gitignore>>,
}

impl FolderRules {
    /// Reads the two files of `folder` on top of what its parent says.
    #[must_use]
    pub fn enter(&self, folder: &Path) -> Self {
        let mut rules = self.clone();
        let no_media = folder.join(NOMEDIA);
        if rules.no_media.is_none() && no_media.symlink_metadata().is_ok() {
            rules.no_media = Some(no_media);
        }
        if let Some(scenedignore) = read_scenedignore(folder) {
            rules.scenedignores.push(std::sync::Arc::new(scenedignore));
        }
        rules
    }

    /// The rules of `folder`, read from `root` downwards.
    pub fn of(root: &Path, folder: &Path) -> Self {
        folders_between(root, folder)
            .iter()
            .fold(Self::default(), |rules, folder| rules.enter(folder))
    }

    pub fn no_media(&self) -> Option<Exclusion> {
        self.no_media.clone().map(Exclusion::NoMedia)
    }

    fn excludes(&self, path: &Path, is_folder: bool) -> Option<Exclusion> {
        if let Some(no_media) = self.no_media() {
            return Some(no_media);
        }
        // As in git: the innermost file that has an opinion wins.
        for scenedignore in self.scenedignores.iter().rev() {
            match scenedignore.matched(path, is_folder) {
                ignore::Match::Ignore(glob) => {
                    return Some(Exclusion::ScenedIgnore {
                        file: scenedignore.path().join(SCENEDIGNORE),
                        pattern: glob.original().to_owned(),
                    });
                }
                ignore::Match::Whitelist(_) => return None,
                ignore::Match::None => {}
            }
        }
        None
    }
}

/// `root`, …, `folder`: every folder on the way, both included. Empty when `folder` is not below `root`.
pub fn folders_between(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = folder
        .ancestors()
        .take_while(|ancestor| ancestor.starts_with(root))
        .map(Path::to_owned)
        .collect();
    folders.reverse();
    folders
}

fn read_scenedignore(folder: &Path) -> Option<Gitignore> {
    let file = folder.join(SCENEDIGNORE);
    let metadata = file.symlink_metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MAX_SCENEDIGNORE_BYTES {
        return None;
    }
    let bytes = std::fs::read(&file).ok()?;
    let mut builder = GitignoreBuilder::new(folder);
    for line in String::from_utf8_lossy(&bytes).lines() {
        if let Err(error) = builder.add_line(Some(file.clone()), line) {
            tracing::warn!(file = %file.display(), line, %error, "a pattern cannot be read and is passed over");
        }
    }
    builder.build().ok()
}

/// Why `path` (a file, or a folder) below `root` is left out, looking at every folder above it; `None` = it counts.
pub fn exclusion(rules: &Rules, root: &Path, path: &Path, is_folder: bool) -> Option<Exclusion> {
    let parent = path.parent()?;
    let mut folder_rules = FolderRules::default();
    for folder in folders_between(root, parent) {
        if folder != root {
            let is_link = folder.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
            if is_link && !rules.follow_symlinks {
                return Some(Exclusion::Symlink(folder));
            }
            if let Some(exclusion) = rules.excludes_folder(root, &folder, &folder_rules) {
                return Some(exclusion);
            }
        }
        folder_rules = folder_rules.enter(&folder);
        if let Some(exclusion) = folder_rules.no_media() {
            return Some(exclusion);
        }
    }
    if is_folder {
        rules.excludes_folder(root, path, &folder_rules)
    } else {
        rules.excludes_file(root, path, &folder_rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(ignore: &[&str], hidden: bool) -> Rules {
        let ignore: Vec<String> = ignore.iter().map(|glob| (*glob).to_owned()).collect();
        Rules::new(vec!["mp4".into(), "mkv".into()], &ignore, hidden, false).unwrap()
    }

    fn check(rules: &Rules, path: &str, expected: Option<&str>) {
        let got = exclusion(rules, Path::new("/v"), Path::new(path), false).map(|exclusion| exclusion.to_string());
        match (&got, expected) {
            (None, None) => {}
            (Some(got), Some(expected)) if got.contains(expected) => {}
            _ => panic!("{path}: expected {expected:?}, got {got:?}"),
        }
    }

    #[test]
    fn names_decide() {
        let rules = rules(&[], false);
        check(&rules, "/v/a.mp4", None);
        check(&rules, "/v/A.MP4", None);
        check(&rules, "/v/line\nbreak \"x\".mkv", None);
        check(&rules, "/v/a.txt", Some("extension"));
        check(&rules, "/v/mp4", Some("extension"));
        check(&rules, "/v/.a.mp4", Some("hidden"));
        check(&rules, "/v/.b/a.mp4", Some("/v/.b is hidden"));
        for name in [
            "a.mp4.part",
            "a.mp4.crdownload",
            "a.mp4.!qB",
            "a.mp4~",
            "a.mp4.aria2",
            "a.TMP",
            "a.mp4.opdownload",
        ] {
            check(&rules, &format!("/v/{name}"), Some("unfinished"));
        }
    }

    #[test]
    fn hidden_files_count_when_configured_but_resource_forks_never() {
        let rules = rules(&[], true);
        check(&rules, "/v/.b/.a.mp4", None);
        check(&rules, "/v/._a.mp4", Some("hidden"));
    }

    #[test]
    fn globs_match_names_and_paths_below_the_root() {
        let rules = rules(&["*.trailer.*", "Extras", "old/*.mkv", "deep/**/raw"], false);
        check(&rules, "/v/x/a.trailer.mp4", Some("*.trailer.*"));
        check(&rules, "/v/x/Extras/a.mp4", Some("Extras"));
        check(&rules, "/v/old/a.mkv", Some("old/*.mkv"));
        check(&rules, "/v/old/x/a.mkv", None);
        check(&rules, "/v/deep/1/2/raw/a.mkv", Some("deep/**/raw"));
        check(&rules, "/v/a.mkv", None);
        assert!(
            Rules::new(vec![], &["a{".into()], false, false)
                .unwrap_err()
                .to_string()
                .contains("a{")
        );
    }

    #[test]
    fn nomedia_and_scenedignore_hold_for_everything_below() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir_all(root.join("c/d")).unwrap();
        std::fs::write(root.join("a/.nomedia"), "").unwrap();
        std::fs::write(root.join("c/.scenedignore"), "# raw takes\nraw-*\n!raw-keep.mp4\n/only-here.mp4\n").unwrap();
        std::fs::write(root.join("c/d/.scenedignore"), "!raw-2.mp4\n").unwrap();
        let rules = rules(&[], false);
        for (path, expected) in [
            ("a/x.mp4", Some(".nomedia is there")),
            ("a/b/x.mp4", Some(".nomedia is there")),
            ("c/raw-1.mp4", Some("raw-*")),
            ("c/d/raw-1.mp4", Some("raw-*")),
            ("c/d/raw-2.mp4", None),
            ("c/d/raw-keep.mp4", None),
            ("c/only-here.mp4", Some("/only-here.mp4")),
            ("c/d/only-here.mp4", None),
            ("x.mp4", None),
        ] {
            let got = exclusion(&rules, root, &root.join(path), false).map(|exclusion| exclusion.to_string());
            assert_eq!(got.is_some(), expected.is_some(), "{path}: {got:?}");
            if let (Some(got), Some(expected)) = (got, expected) {
                assert!(got.contains(expected), "{path}: {got}");
            }
        }
    }
}
