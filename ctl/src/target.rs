//! Files that are written whole or not at all, and never over something that was not meant.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use crate::failure::Failure;
use crate::input::place;
use crate::render::text;

mod drafts;

/// Where a file is to lie; what is made for it is made beside it, under another name, until it is whole.
#[derive(Debug)]
pub(crate) struct Target {
    /// Absolute; of a link to a file that is to be replaced, that file.
    path: PathBuf,
    force: bool,
}

/// A folder to work in, claimed as long as it is there.
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

impl Target {
    /// Looks whether a file may be written there; `sources` are films that it is made of.
    ///
    /// **Errors**: something is there and `force` is not given; it is no plain file; it is one of the sources, or a link to one; its folder
    /// is not there.
    pub(crate) fn new<'a>(path: &Path, force: bool, sources: impl IntoIterator<Item = &'a Path>) -> Result<Self, Failure> {
        let shown = shown(path);
        let failed = |error: &io::Error| Failure::new(format!("{shown} cannot be written")).cause(error.to_string());
        if path == Path::new("-") {
            return Err(Failure::new("a file has to have a name").hint("write ./- for one that is called so"));
        }
        if path.file_name().is_none() {
            return Err(Failure::new(format!("{shown} is no name of a file")));
        }
        let mut path = std::path::absolute(path).map_err(|error| failed(&error))?;
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => return Err(failed(&error).hint(SHORTER)),
            Err(error) => return Err(failed(&error)),
            Ok(_) => {
                // What a link leads to is what would be replaced; one that leads nowhere is replaced itself.
                let there = fs::metadata(&path).ok();
                if there.as_ref().is_some_and(|there| !there.is_file()) {
                    return Err(Failure::new(format!("{shown} is no file that can be replaced")).hint("give the name of a file"));
                }
                if there.is_some() {
                    let here = place::identity(&path);
                    if let Some(source) = sources.into_iter().find(|source| here.is_some() && place::identity(source) == here) {
                        let failure = Failure::new(format!("{shown} is the film {}", self::shown(source)));
                        return Err(failure.hint("scenectl never writes over a film: give another name"));
                    }
                }
                if !force {
                    return Err(Failure::new(format!("{shown} is there already"))
                        .hint("give another name")
                        .hint("--force replaces it"));
                }
                if there.is_some() {
                    path = fs::canonicalize(&path).map_err(|error| failed(&error))?;
                }
            }
        }
        let target = Self { path, force };
        if !target.folder().is_dir() {
            let failure =
                Failure::new(format!("{shown} cannot be written")).cause(format!("there is no folder {}", self::shown(target.folder())));
            return Err(failure.hint("make the folder first"));
        }
        Ok(target)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Sees that of several files to be written none would be written over another, by whatever names.
    pub(crate) fn all_differ(targets: &[&Self]) -> Result<(), Failure> {
        for (n, target) in targets.iter().enumerate() {
            if targets[..n].iter().any(|other| target.is_same(other)) {
                return Err(
                    Failure::new(format!("{} would be written twice", shown(&target.path))).hint("give each file a name of its own")
                );
            }
        }
        Ok(())
    }

    fn is_same(&self, other: &Self) -> bool {
        let identity = |target: &Self| place::identity(&target.path);
        let place = |target: &Self| (fs::canonicalize(target.folder()).ok(), target.path.file_name().map(OsStr::to_owned));
        identity(self).is_some_and(|ours| identity(other) == Some(ours)) || place(self) == place(other)
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// An empty file beside the target, with the same rights as any new file; gone when it is dropped. What killed ones left behind in
    /// that folder goes first.
    pub(crate) fn draft(&self, extension: &str) -> Result<NamedTempFile, Failure> {
        drafts::sweep(self.folder());
        let mut builder = drafts::builder();
        #[cfg(unix)]
        builder.permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
        builder.suffix(extension);
        let draft = || builder.tempfile_in(self.folder());
        drafts::claimed(draft, |draft| drafts::claim(draft.as_file(), draft.path())).map_err(|error| self.failure(&error))
    }

    /// A folder beside the target, on the same disk; gone when it is dropped.
    pub(crate) fn workshop(&self) -> Result<Workshop, Failure> {
        let make = || {
            let folder = drafts::builder().tempdir_in(self.folder())?;
            let claim = File::open(folder.path())?;
            Ok(Workshop { folder, claim })
        };
        drafts::claimed(make, |made| drafts::claim(&made.claim, made.folder.path())).map_err(|error| self.failure(&error))
    }

    /// Puts a finished draft in its place, in one step.
    pub(crate) fn place(&self, draft: NamedTempFile) -> Result<u64, Failure> {
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
            // Some network file systems know neither a rename that replaces nothing nor second names; there a look has to do.
            let is_free = fs::symlink_metadata(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            if refused.error.kind() == io::ErrorKind::AlreadyExists || !is_free {
                return Err(refused.error);
            }
            refused.file.persist(&self.path).map_err(|error| error.error)?;
            Ok(size_bytes)
        };
        placed().map_err(|error| self.failure(&error))
    }

    /// Writes all of it; says how many bytes that were.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<u64, Failure> {
        let mut draft = self.draft("")?;
        draft.write_all(bytes).map_err(|error| self.failure(&error))?;
        self.place(draft)
    }

    /// The extension of a name, in lower case; empty where there is none.
    pub(crate) fn extension(path: &Path) -> String {
        path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase()
    }

    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        // The name of a draft behind it tells nobody anything.
        let said = error.to_string();
        let why = said.split(" at path ").next().unwrap_or_default();
        let failure = Failure::new(format!("{} cannot be written", shown(&self.path))).cause(why);
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure.hint("make room there, or write it elsewhere"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => failure.hint("choose a folder that you may write to"),
            io::ErrorKind::InvalidFilename => failure.hint(SHORTER),
            _ => failure,
        }
    }
}

const SHORTER: &str = "its name is too long for this disk: give a shorter one";

fn shown(path: &Path) -> String {
    text::path(path, None)
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
        assert_eq!(Target::new(&path, false, []).unwrap().write(b"one").unwrap(), 3);
        let refused = Target::new(&path, false, []).unwrap_err();
        assert!(
            refused.message.contains("is there already") && refused.hints[1].contains("--force"),
            "{refused:?}"
        );
        Target::new(&path, true, []).unwrap().write(b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["page.html"]);
    }

    #[test]
    fn what_a_killed_writer_left_is_swept_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let target = Target::new(&at("film.mp4"), false, []).unwrap();
        let (draft, workshop) = (target.draft("").unwrap(), target.workshop().unwrap());
        fs::write(workshop.path().join("part"), "x").unwrap();
        let n_claimed = names(folder.path()).len();
        target.draft("").unwrap();
        assert_eq!(names(folder.path()).len(), n_claimed, "another's, at work");

        // As by SIGKILL: what is there stays, and the kernel lets go of the locks.
        let (file, left) = draft.keep().unwrap();
        drop(file);
        let Workshop { folder: kept, claim } = workshop;
        let left_folder = kept.keep();
        drop(claim);
        fs::write(at(".scenectl-notes"), "of mine").unwrap();
        symlink(at("film"), at(".scenectl-draft-link")).unwrap();
        fs::write(at("film"), "a film").unwrap();
        assert!(left.is_file() && left_folder.is_dir());
        target.write(b"page").unwrap();
        assert_eq!(
            names(folder.path()),
            [".scenectl-draft-link", ".scenectl-notes", "film", "film.mp4"]
        );
        assert_eq!(fs::read(at("film")).unwrap(), b"a film");
    }

    #[test]
    fn writers_that_sweep_at_once_take_nothing_from_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let writing = |n: usize| {
            let path = folder.path().join(format!("page-{n}.html"));
            std::thread::spawn(move || {
                for _ in 0..50 {
                    Target::new(&path, true, []).unwrap().write(b"page").unwrap();
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
        let target = |name: &str| Target::new(&at(name), true, []).unwrap();
        for (one, other) in [
            ("x", "x"),
            ("x", "./x"),
            ("x", "sub/../x"),
            ("sub/x", "link/x"),
            ("sub/there", "soft"),
            ("sub/there", "hard"),
            ("link/there", "soft"),
        ] {
            let refused = Target::all_differ(&[&target("y"), &target(one), &target(other)]).unwrap_err();
            assert!(refused.message.contains("would be written twice"), "{one} {other}: {refused:?}");
        }
        Target::all_differ(&[&target("x"), &target("sub/x"), &target("X.html"), &target("sub/there")]).unwrap();
    }

    #[test]
    fn what_came_in_between_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        let target = Target::new(&path, false, []).unwrap();
        fs::write(&path, "another's").unwrap();
        let refused = target.write(b"ours").unwrap_err();
        assert!(refused.message.contains("cannot be written"), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        assert_eq!(names(folder.path()), ["page.html"], "nothing is left over");
    }

    #[test]
    fn a_film_is_never_the_target_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("film.mp4"), "film").unwrap();
        symlink(at("film.mp4"), at("soft")).unwrap();
        symlink("soft", at("softer")).unwrap();
        fs::hard_link(at("film.mp4"), at("hard")).unwrap();
        fs::create_dir(at("sub")).unwrap();
        for name in ["film.mp4", "soft", "softer", "hard", "sub/../film.mp4", "./film.mp4"] {
            for force in [false, true] {
                let film = at("film.mp4");
                let refused = Target::new(&at(name), force, [film.as_path()]).unwrap_err();
                assert!(refused.message.contains("is the film"), "{name}: {refused:?}");
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
            assert!(Target::new(&path, true, []).is_err(), "{}", path.display());
        }
        let missing = Target::new(&at("none/page.html"), true, []).unwrap_err();
        assert!(missing.causes[0].contains("there is no folder"), "{missing:?}");
        fs::write(at("page.html"), "one").unwrap();
        symlink("page.html", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        Target::new(&at("link"), true, []).unwrap().write(b"two").unwrap();
        assert!(at("link").is_symlink());
        assert_eq!(fs::read(at("page.html")).unwrap(), b"two");
        assert!(Target::new(&at("dangling"), false, []).is_err());
        Target::new(&at("dangling"), true, []).unwrap().write(b"three").unwrap();
        assert_eq!(fs::read(at("dangling")).unwrap(), b"three");
        assert!(!at("nowhere").is_file());
    }
}
