//! Files that are written completely or not at all, and never over something that was not meant.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use scened_shared::terminal;
use tempfile::{NamedTempFile, TempDir};

use crate::with_timeout;

mod drafts;

/// Why a file may not be written, or was not. In either case nothing of it exists.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// `-`, which elsewhere means standard output.
    #[error("the file has no name")]
    NoName,
    /// A path without a last component, such as `/` and `..`.
    #[error("{} is not the name of a file", shown(path))]
    NotAName {
        /// As the user typed it, like all paths below except that of [`OutputError::NotWritten`].
        path: PathBuf,
    },
    /// The path is a folder, a device or something else.
    #[error("{} cannot be replaced, because it is not a regular file", shown(path))]
    NotAFile {
        /// The existing path.
        path: PathBuf,
    },
    /// The path is one of the source videos, or a link to one.
    #[error("{} is the video {}", shown(path), shown(video))]
    IsVideo {
        /// The name that the user gave.
        path: PathBuf,
        /// The video's own name.
        video: PathBuf,
    },
    /// Something exists there, and the user did not ask to replace it.
    #[error("{} exists already", shown(path))]
    Exists {
        /// The existing path.
        path: PathBuf,
    },
    /// The parent folder does not exist.
    #[error("{} cannot be written", shown(path))]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// Two files of one run are the same.
    #[error("{} would be written twice", shown(path))]
    Twice {
        /// The second one.
        path: PathBuf,
    },
    /// The system does not allow the path to be read or written.
    #[error("{} cannot be written", shown(path))]
    NotWritten {
        /// Absolute, if writing had started.
        path: PathBuf,
        /// The system's error, without names of drafts.
        source: io::Error,
    },
}

/// A file to be written. All work happens next to it under another name, until it is complete.
#[derive(Debug)]
pub struct OutputFile {
    /// Absolute; if an existing link is replaced, the file that it points to.
    path: PathBuf,
    force: bool,
}

/// A working folder, claimed for as long as it exists.
#[derive(Debug)]
pub(crate) struct Workshop {
    folder: TempDir,
    claim: File,
}

impl Workshop {
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl OutputFile {
    /// Checks whether a file may be written there; `sources` are the videos that it is made from.
    ///
    /// **Errors**: something exists there and `force` is not given; it is not a regular file; it is one of the sources, or a link to one;
    /// its folder does not exist.
    pub fn new<'a>(path: &Path, force: bool, sources: impl IntoIterator<Item = &'a Path>) -> Result<Self, OutputError> {
        let typed = path;
        let failed = |source| OutputError::NotWritten {
            path: typed.to_owned(),
            source,
        };
        if path == Path::new("-") {
            return Err(OutputError::NoName);
        }
        if path.file_name().is_none() {
            return Err(OutputError::NotAName { path: typed.to_owned() });
        }
        let mut path = std::path::absolute(path).map_err(failed)?;
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(_) => {
                // A link's target is what would be replaced; a dangling link is replaced itself.
                let there = fs::metadata(&path).ok();
                if there.as_ref().is_some_and(|there| !there.is_file()) {
                    return Err(OutputError::NotAFile { path: typed.to_owned() });
                }
                if there.is_some() {
                    let here = identity(&path);
                    if let Some(video) = sources.into_iter().find(|source| here.is_some() && identity(source) == here) {
                        return Err(OutputError::IsVideo {
                            path: typed.to_owned(),
                            video: video.to_owned(),
                        });
                    }
                }
                if !force {
                    return Err(OutputError::Exists { path: typed.to_owned() });
                }
                if there.is_some() {
                    path = fs::canonicalize(&path).map_err(failed)?;
                }
            }
        }
        let file = Self { path, force };
        if !file.folder().is_dir() {
            return Err(OutputError::NoFolder {
                path: typed.to_owned(),
                folder: file.folder().to_owned(),
            });
        }
        Ok(file)
    }

    /// Returns the absolute path that it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that no two of several files to be written are the same file, under whatever names.
    pub fn all_differ(files: &[&Self]) -> Result<(), OutputError> {
        for (n, file) in files.iter().enumerate() {
            if files[..n].iter().any(|other| file.is_same(other)) {
                return Err(OutputError::Twice { path: file.path.clone() });
            }
        }
        Ok(())
    }

    fn is_same(&self, other: &Self) -> bool {
        let identity = |file: &Self| identity(&file.path);
        let place = |file: &Self| (fs::canonicalize(file.folder()).ok(), file.path.file_name().map(OsStr::to_owned));
        identity(self).is_some_and(|ours| identity(other) == Some(ours)) || place(self) == place(other)
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Makes an empty file next to this one with the permissions of any new file; it is removed on drop. First removes what killed
    /// processes left behind in that folder.
    pub(crate) fn draft(&self, extension: &str) -> Result<NamedTempFile, OutputError> {
        drafts::sweep(self.folder());
        let mut builder = drafts::builder();
        #[cfg(unix)]
        builder.permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
        builder.suffix(extension);
        let draft = || builder.tempfile_in(self.folder());
        drafts::claimed(draft, |draft| drafts::claim(draft.as_file(), draft.path())).map_err(|error| self.failure(&error))
    }

    /// Makes a folder next to this file, on the same disk; it is removed on drop.
    pub(crate) fn workshop(&self) -> Result<Workshop, OutputError> {
        let make = || {
            let folder = drafts::builder().tempdir_in(self.folder())?;
            let claim = File::open(folder.path())?;
            Ok(Workshop { folder, claim })
        };
        drafts::claimed(make, |made| drafts::claim(&made.claim, made.folder.path())).map_err(|error| self.failure(&error))
    }

    /// Moves a finished draft into place, in one step.
    pub(crate) fn place(&self, draft: NamedTempFile) -> Result<u64, OutputError> {
        let placed = || -> io::Result<u64> {
            draft.as_file().sync_all()?;
            let size_bytes = draft.path().metadata()?.len();
            if self.force {
                draft.persist(&self.path).map_err(|error| error.error)?;
                return Ok(size_bytes);
            }
            let Err(refused) = draft.persist_noclobber(&self.path) else {
                return Ok(size_bytes);
            };
            // Some network file systems support neither a rename that never replaces nor hard links; there a check must suffice.
            let is_free = fs::symlink_metadata(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            if refused.error.kind() == io::ErrorKind::AlreadyExists || !is_free {
                return Err(refused.error);
            }
            refused.file.persist(&self.path).map_err(|error| error.error)?;
            Ok(size_bytes)
        };
        placed().map_err(|error| self.failure(&error))
    }

    /// Writes the complete file and returns its size in bytes.
    pub fn write(&self, bytes: &[u8]) -> Result<u64, OutputError> {
        let mut draft = self.draft("")?;
        draft.write_all(bytes).map_err(|error| self.failure(&error))?;
        self.place(draft)
    }

    /// Returns the extension of a name, in lower case; empty if it has none.
    pub fn extension(path: &Path) -> String {
        path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase()
    }

    fn failure(&self, error: &io::Error) -> OutputError {
        // The name of the draft at the end would mean nothing to the user.
        let said = error.to_string();
        let why = said.split(" at path ").next().unwrap_or_default();
        OutputError::NotWritten {
            path: self.path.clone(),
            source: io::Error::new(error.kind(), why),
        }
    }
}

fn shown(path: &Path) -> String {
    terminal::path(path, None)
}

/// Identifies the file at a path, following links: the same for all names of one file. `None` if nothing is there, or nothing answers.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let path = path.to_owned();
    with_timeout::run(move || path.metadata().ok().map(|seen| (seen.dev(), seen.ino()))).flatten()
}

/// Identifies the file at a path, following links.
#[cfg(not(unix))]
fn identity(path: &Path) -> Option<PathBuf> {
    let path = path.to_owned();
    with_timeout::run(move || path.canonicalize().ok()).flatten()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder is there");
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_once_and_replaced_only_when_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        assert_eq!(OutputFile::new(&path, false, []).unwrap().write(b"one").unwrap(), 3);
        let refused = OutputFile::new(&path, false, []).unwrap_err();
        assert!(matches!(refused, OutputError::Exists { .. }), "{refused:?}");
        OutputFile::new(&path, true, []).unwrap().write(b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["page.html"]);
    }

    #[test]
    fn what_a_killed_writer_left_is_swept_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let target = OutputFile::new(&at("film.mp4"), false, []).unwrap();
        let (draft, workshop) = (target.draft("").unwrap(), target.workshop().unwrap());
        fs::write(workshop.path().join("part"), "x").unwrap();
        let n_claimed = names(folder.path()).len();
        target.draft("").unwrap();
        assert_eq!(names(folder.path()).len(), n_claimed, "another's, at work");

        // As after SIGKILL: the files stay, and the kernel releases the locks.
        let (file, left) = draft.keep().unwrap();
        drop(file);
        let Workshop { folder: kept, claim } = workshop;
        let left_folder = kept.keep();
        drop(claim);
        fs::write(at(".scenectl-notes"), "of mine").unwrap();
        symlink(at("film"), at(".scenectl-draft-link")).unwrap();
        fs::write(at("film"), "a video").unwrap();
        assert!(left.is_file() && left_folder.is_dir());
        target.write(b"page").unwrap();
        assert_eq!(
            names(folder.path()),
            [".scenectl-draft-link", ".scenectl-notes", "film", "film.mp4"]
        );
        assert_eq!(fs::read(at("film")).unwrap(), b"a video");
    }

    #[test]
    fn writers_that_sweep_at_once_take_nothing_from_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let writing = |n: usize| {
            let path = folder.path().join(format!("page-{n}.html"));
            std::thread::spawn(move || {
                for _ in 0..50 {
                    OutputFile::new(&path, true, []).unwrap().write(b"page").unwrap();
                }
            })
        };
        let threads: Vec<_> = (0..4).map(writing).collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(names(folder.path()).len(), 4);
    }

    #[test]
    fn outputs_are_one_by_any_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        symlink("sub", at("link")).unwrap();
        fs::write(at("sub/there"), "").unwrap();
        symlink("sub/there", at("soft")).unwrap();
        fs::hard_link(at("sub/there"), at("hard")).unwrap();
        let target = |name: &str| OutputFile::new(&at(name), true, []).unwrap();
        for (one, other) in [
            ("x", "x"),
            ("x", "./x"),
            ("x", "sub/../x"),
            ("sub/x", "link/x"),
            ("sub/there", "soft"),
            ("sub/there", "hard"),
            ("link/there", "soft"),
        ] {
            let refused = OutputFile::all_differ(&[&target("y"), &target(one), &target(other)]).unwrap_err();
            assert!(matches!(refused, OutputError::Twice { .. }), "{one} {other}: {refused:?}");
        }
        OutputFile::all_differ(&[&target("x"), &target("sub/x"), &target("X.html"), &target("sub/there")]).unwrap();
    }

    #[test]
    fn what_came_in_between_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        let target = OutputFile::new(&path, false, []).unwrap();
        fs::write(&path, "another's").unwrap();
        let refused = target.write(b"ours").unwrap_err();
        assert!(matches!(refused, OutputError::NotWritten { .. }), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        assert_eq!(names(folder.path()), ["page.html"], "nothing is left over");
    }

    #[test]
    fn a_video_is_never_the_target_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("film.mp4"), "film").unwrap();
        symlink(at("film.mp4"), at("soft")).unwrap();
        symlink("soft", at("softer")).unwrap();
        fs::hard_link(at("film.mp4"), at("hard")).unwrap();
        fs::create_dir(at("sub")).unwrap();
        for name in ["film.mp4", "soft", "softer", "hard", "sub/../film.mp4", "./film.mp4"] {
            for force in [false, true] {
                let video = at("film.mp4");
                let refused = OutputFile::new(&at(name), force, [video.as_path()]).unwrap_err();
                assert!(matches!(refused, OutputError::IsVideo { .. }), "{name}: {refused:?}");
            }
        }
        assert_eq!(fs::read(at("film.mp4")).unwrap(), b"film");
    }

    #[test]
    fn only_files_are_replaced_and_links_stay_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for path in [
            folder.path().to_owned(),
            PathBuf::from("/dev/null"),
            PathBuf::from("/"),
            PathBuf::from(".."),
            PathBuf::from("-"),
        ] {
            assert!(OutputFile::new(&path, true, []).is_err(), "{}", path.display());
        }
        let missing = OutputFile::new(&at("none/page.html"), true, []).unwrap_err();
        assert!(matches!(missing, OutputError::NoFolder { .. }), "{missing:?}");
        fs::write(at("page.html"), "one").unwrap();
        symlink("page.html", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        OutputFile::new(&at("link"), true, []).unwrap().write(b"two").unwrap();
        assert!(at("link").is_symlink());
        assert_eq!(fs::read(at("page.html")).unwrap(), b"two");
        assert!(OutputFile::new(&at("dangling"), false, []).is_err());
        OutputFile::new(&at("dangling"), true, []).unwrap().write(b"three").unwrap();
        assert_eq!(fs::read(at("dangling")).unwrap(), b"three");
        assert!(!at("nowhere").is_file());
    }
}
