//! Which files count as videos of the library: names, globs, hidden files, links, `.nomedia` and `.scenedignore`.

mod built_in;
pub(super) mod content;
pub(super) mod unfinished;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use scened_shared::spelling;
use unfinished::is_partial;

/// A folder that contains this file is ignored with everything below it.
pub const NOMEDIA: &str = ".nomedia";
/// Contains patterns in gitignore syntax for its folder and everything below it.
pub const SCENEDIGNORE: &str = ".scenedignore";

/// A larger file is not a list of patterns; reading it would only cost memory.
const MAX_SCENEDIGNORE_BYTES: u64 = 1 << 20;

/// The checked rules of the configuration. Cheap to share; contains no rules of folders.
#[derive(Debug)]
pub struct Rules {
    extensions: Vec<String>,
    ignore: GlobSet,
    ignore_texts: Vec<String>,
    hidden: bool,
    follow_symlinks: bool,
}

/// A glob of the configuration that cannot be parsed.
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
    /// An unfinished download or copy.
    PartialName,
    /// Its extension has other meanings as well, and its content is not that of a video.
    NotVideo,
    /// A NAS, a file system or a desktop keeps it for itself.
    BuiltIn {
        at: PathBuf,
        why: &'static str,
    },
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
            Self::NotVideo => write!(
                f,
                "its content is not a video's: files with this extension are often something else"
            ),
            Self::BuiltIn { at, why } => write!(
                f,
                "a built-in rule excludes {}: {why} (a line `!{}` in a {SCENEDIGNORE} above it includes it again)",
                at.display(),
                at.file_name().unwrap_or_default().to_string_lossy()
            ),
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
            // `*` stays inside one folder's names, `**` crosses them. Names are also matched alone, so `*.trailer.*` works anywhere.
            globs.add(
                GlobBuilder::new(&spelling::plain_text(glob.trim_end_matches('/')))
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

    /// Decides whether the name alone could be that of a video: the cheap check before any `stat`.
    pub fn is_video_name(&self, name: &OsStr) -> bool {
        !is_partial(name) && self.has_extension(name)
    }

    fn has_extension(&self, name: &OsStr) -> bool {
        Path::new(name)
            .extension()
            .and_then(OsStr::to_str)
            .is_some_and(|extension| self.extensions.iter().any(|known| known.eq_ignore_ascii_case(extension)))
    }

    /// Returns why a file of this name is excluded from a folder that counts. `folder` has the rules of that folder.
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

    /// Returns why a sub-folder of a folder that counts is excluded, as far as its name shows.
    pub fn excludes_folder(&self, root: &Path, path: &Path, parent: &FolderRules) -> Option<Exclusion> {
        self.excludes_name(root, path, true, parent)
    }

    fn excludes_name(&self, root: &Path, path: &Path, is_folder: bool, folder: &FolderRules) -> Option<Exclusion> {
        let name = path.file_name()?;
        let verdict = folder.verdict(path, is_folder);
        if verdict != Verdict::Wanted
            && let Some(why) = built_in::what_is(name, is_folder)
        {
            return Some(Exclusion::BuiltIn { at: path.to_owned(), why });
        }
        // `._x` are macOS's resource forks and never videos, whatever `hidden` says.
        if name.as_bytes().starts_with(b"._") || (!self.hidden && name.as_bytes().starts_with(b".")) {
            return Some(Exclusion::Hidden(path.to_owned()));
        }
        // Patterns are matched in the spelling in which they were read.
        let (below, name) = (
            spelling::plain(path.strip_prefix(root).unwrap_or(path)),
            spelling::plain(Path::new(name)),
        );
        let matched = self.ignore.matches(&*below).into_iter().chain(self.ignore.matches(&*name)).next();
        if let Some(index) = matched {
            return Some(Exclusion::Ignored {
                pattern: self.ignore_texts[index].clone(),
                at: path.to_owned(),
            });
        }
        match verdict {
            Verdict::Unwanted(exclusion) => Some(exclusion),
            Verdict::Wanted | Verdict::Silent => None,
        }
    }
}

/// The verdict on a name by the files of a folder and of those above it.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Unwanted(Exclusion),
    /// A pattern with `!` includes it.
    Wanted,
    Silent,
}

/// The patterns of one `.scenedignore`.
#[derive(Debug)]
struct ScenedIgnore {
    file: PathBuf,
    /// All its paths are in one spelling, see [`spelling::plain`].
    patterns: Gitignore,
}

/// The contents of the files `.nomedia` and `.scenedignore` of a folder and of those above it, up to the watched one.
#[derive(Clone, Debug, Default)]
pub struct FolderRules {
    no_media: Option<PathBuf>,
    /// Innermost last.
    scenedignores: Vec<std::sync::Arc<ScenedIgnore>>,
}

impl FolderRules {
    /// Adds the two files of `folder` to the rules of its parent.
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

    /// Reads the rules of `folder`, from `root` downwards.
    pub fn of(root: &Path, folder: &Path) -> Self {
        folders_between(root, folder)
            .iter()
            .fold(Self::default(), |rules, folder| rules.enter(folder))
    }

    pub fn no_media(&self) -> Option<Exclusion> {
        self.no_media.clone().map(Exclusion::NoMedia)
    }

    fn verdict(&self, path: &Path, is_folder: bool) -> Verdict {
        if let Some(no_media) = self.no_media() {
            return Verdict::Unwanted(no_media);
        }
        let path = spelling::plain(path);
        // As in git, the innermost file with a matching pattern wins.
        for ScenedIgnore { file, patterns } in self.scenedignores.iter().rev().map(|rules| &**rules) {
            match patterns.matched(&*path, is_folder) {
                ignore::Match::Ignore(glob) => {
                    return Verdict::Unwanted(Exclusion::ScenedIgnore {
                        file: file.clone(),
                        pattern: glob.original().to_owned(),
                    });
                }
                ignore::Match::Whitelist(_) => return Verdict::Wanted,
                ignore::Match::None => {}
            }
        }
        Verdict::Silent
    }
}

/// Returns `root`, …, `folder`: every folder on the way, both included. Empty if `folder` is not below `root`.
pub fn folders_between(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = folder
        .ancestors()
        .take_while(|ancestor| ancestor.starts_with(root))
        .map(Path::to_owned)
        .collect();
    folders.reverse();
    folders
}

fn read_scenedignore(folder: &Path) -> Option<ScenedIgnore> {
    let file = folder.join(SCENEDIGNORE);
    let metadata = file.symlink_metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MAX_SCENEDIGNORE_BYTES {
        return None;
    }
    let text = text_of(&std::fs::read(&file).ok()?);
    let mut builder = GitignoreBuilder::new(spelling::plain(folder));
    for line in text.lines() {
        let line = line.trim_start_matches(BYTE_ORDER_MARK);
        if let Err(error) = builder.add_line(Some(file.clone()), &spelling::plain_text(line)) {
            tracing::warn!(file = %file.display(), line, %error, "a pattern cannot be read and is passed over");
        }
    }
    let patterns = builder.build().ok()?;
    Some(ScenedIgnore { file, patterns })
}

/// Windows editors put this before the first character.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Decodes a text in UTF-8, or in UTF-16 if its first two bytes say so.
fn text_of(bytes: &[u8]) -> String {
    let of_units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => of_units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => of_units(rest, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Returns why `path` (a file, or a folder) below `root` is excluded. Reads every folder above it; `None` = it counts.
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
    fn what_a_nas_keeps_for_itself_is_left_out_whatever_the_configuration_says() {
        for hidden in [false, true] {
            let rules = rules(&["nothing"], hidden);
            for folder in [
                "@eaDir",
                "#recycle",
                "#Recycle",
                "#snapshot/daily",
                "@Recycle",
                "@Recently-Snapshot/s1",
                ".@__thumb",
                ".zfs/snapshot/a",
                ".snapshots/1/snapshot",
                ".snapshot",
                "~snapshot",
                "$RECYCLE.BIN/S-1-5",
                "$Recycle.Bin",
                "RECYCLER",
                "System Volume Information",
                ".Trashes/501",
                ".Trash-1000/files",
                ".recycle",
                ".Recycle.Bin",
                "Network Trash Folder",
                "Temporary Items",
                ".AppleDB",
                ".AppleDouble",
                "lost+found",
                "Recycle Bin - Volume_1",
                "trashbox",
                "@GMT-2026.11.30-00.00.00",
                ".stversions",
            ] {
                for folder in [folder.to_owned(), folder.to_ascii_uppercase(), format!("deep/er/{folder}")] {
                    check(&rules, &format!("/v/{folder}/a.mp4"), Some("a built-in rule"));
                }
            }
            for folder in ["recycle", "Snapshots", "Trash", "my @eaDir", "snapshot", "@home"] {
                check(&rules, &format!("/v/{folder}/a.mp4"), None);
            }
            check(&rules, "/v/#recycle.mp4", None);
        }
    }

    #[test]
    fn a_rule_that_is_built_in_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("a/#recycle/sub")).unwrap();
        std::fs::create_dir_all(root.join("b/#recycle")).unwrap();
        std::fs::write(root.join("a/.scenedignore"), "!#recycle\n").unwrap();
        let rules = rules(&[], false);
        let of = |path: &str| exclusion(&rules, root, &root.join(path), false);
        assert_eq!(of("a/#recycle/sub/x.mp4"), None);
        assert!(matches!(of("b/#recycle/x.mp4"), Some(Exclusion::BuiltIn { .. })));
    }

    #[test]
    fn a_scenedignore_is_read_in_the_encodings_of_windows() {
        let text = "Geheim-ä.mp4\r\n*.raw.mp4\r\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let encodings: [Vec<u8>; 5] = [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [b"\xef\xbb\xbf\xef\xbb\xbf", text.as_bytes()].concat(),
            [0xff, 0xfe]
                .into_iter()
                .chain(units.iter().flat_map(|unit| unit.to_le_bytes()))
                .collect(),
            [0xfe, 0xff]
                .into_iter()
                .chain(units.iter().flat_map(|unit| unit.to_be_bytes()))
                .collect(),
        ];
        for encoded in encodings {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(SCENEDIGNORE), &encoded).unwrap();
            let rules = rules(&[], false);
            let of = |name: &str| exclusion(&rules, folder.path(), &folder.path().join(name), false).is_some();
            assert!(of("Geheim-ä.mp4") && of("x.raw.mp4") && !of("x.mp4"), "{encoded:x?}");
        }
    }

    #[test]
    fn rules_mean_a_name_however_its_accents_are_spelled() {
        let (composed, decomposed) = ("Caf\u{e9}", "Cafe\u{301}");
        for (typed, named) in [
            (composed, decomposed),
            (decomposed, composed),
            (composed, composed),
            (decomposed, decomposed),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join(named);
            std::fs::create_dir_all(root.join("sub")).unwrap();
            std::fs::write(root.join(SCENEDIGNORE), format!("/sub/{typed}-a.mp4\n")).unwrap();
            let rules = rules(&[format!("**/{typed}-b.mp4").as_str()], false);
            let of = |name: &str| exclusion(&rules, &root, &root.join("sub").join(name), false);
            assert!(
                matches!(of(&format!("{named}-a.mp4")), Some(Exclusion::ScenedIgnore { .. })),
                "{typed:?} {named:?}"
            );
            assert!(
                matches!(of(&format!("{named}-b.mp4")), Some(Exclusion::Ignored { .. })),
                "{typed:?} {named:?}"
            );
            assert_eq!(of(&format!("{named}-c.mp4")), None);
        }
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
