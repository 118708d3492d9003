//! Folders and files that could not be read, and when they are tried again. Their videos are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::timing::Timing;
use crate::machine::with_timeout;

/// Number of unreadable folders that are listed by name.
const MAX_WARNINGS: usize = 10;
/// Maximum length of a path in a warning. Characters.
const MAX_SHOWN: usize = 200;

#[derive(Debug)]
pub(super) struct Unreadable {
    timing: Timing,
    /// With the reasons.
    folders: BTreeMap<PathBuf, String>,
    files: BTreeMap<PathBuf, String>,
    /// The ones among them that the system refused to read. No event reports when it does again.
    refused: BTreeSet<PathBuf>,
    refused_due: Instant,
    /// The last pause before they were tried again; `None` = one could be read since then.
    refused_pause: Option<Duration>,
    /// Files and folders on mounts that did not answer, to be checked when those answer.
    silent: BTreeSet<PathBuf>,
}

impl Unreadable {
    pub(super) fn new(timing: Timing, now: Instant) -> Self {
        Self {
            timing,
            folders: BTreeMap::new(),
            files: BTreeMap::new(),
            refused: BTreeSet::new(),
            refused_due: now,
            refused_pause: None,
            silent: BTreeSet::new(),
        }
    }

    /// Notes that a folder could not be read.
    pub(super) fn cannot_read_folder(&mut self, folder: &Path, error: &io::Error, now: Instant) {
        if with_timeout::is_timeout(error) {
            self.fell_silent(folder);
        }
        self.check_again_later(folder, error, now);
        if self.folders.insert(folder.to_owned(), error.to_string()).is_none() {
            tracing::warn!(folder = %folder.display(), %error, "cannot be read; its videos are kept, offline");
        }
    }

    /// Notes that a file could not be read.
    pub(super) fn cannot_read_file(&mut self, file: &Path, error: &io::Error, now: Instant) {
        if with_timeout::is_timeout(error) {
            self.fell_silent(file);
        }
        self.check_again_later(file, error, now);
        if self.files.insert(file.to_owned(), error.to_string()).is_none() {
            tracing::warn!(path = %file.display(), %error, "the file cannot be read");
        }
    }

    /// Schedules another try for paths that the system refused to read, all together, after pauses that grow. Missing permissions are left
    /// out: they do not change by themselves.
    fn check_again_later(&mut self, path: &Path, error: &io::Error, now: Instant) {
        if error.raw_os_error().is_none() || error.kind() == io::ErrorKind::PermissionDenied {
            return;
        }
        if self.refused.is_empty() {
            let (first, longest) = (self.timing.offline_poll, self.timing.poll_every.max(self.timing.offline_poll));
            let pause = self.refused_pause.map_or(first, |pause| (pause * 2).min(longest));
            self.refused_pause = Some(pause);
            self.refused_due = now + pause;
        }
        self.refused.insert(path.to_owned());
    }

    /// Notes a file that failed for another reason and is skipped.
    pub(super) fn failed(&mut self, file: &Path, reason: &str) {
        self.files.insert(file.to_owned(), reason.to_owned());
    }

    /// Notes that the mount of this path does not answer.
    pub(super) fn fell_silent(&mut self, path: &Path) {
        self.silent.insert(path.to_owned());
    }

    pub(super) fn folder_was_read(&mut self, folder: &Path) {
        if self.folders.remove(folder).is_some() {
            self.refused_pause = None;
        }
    }

    /// Notes that a file is at `path`. Returns true if it was unknown before what is there.
    pub(super) fn is_file_after_all(&mut self, path: &Path) -> bool {
        self.folders.remove(path).is_some()
    }

    /// Returns whether this folder could not be read, or it is unknown what is there.
    pub(super) fn has_folder(&self, path: &Path) -> bool {
        self.folders.contains_key(path)
    }

    /// Makes unreadable folders due at once, because mounts changed. The kernel gives the number of a mount that went to the next one. So a
    /// mount that comes back at once looks unchanged.
    pub(super) fn mounts_changed(&mut self, now: Instant) {
        if self.refused.iter().any(|path| self.folders.contains_key(path)) {
            self.refused_due = now;
        }
    }

    pub(super) fn file_was_read(&mut self, file: &Path) {
        self.files.remove(file);
        self.refused_pause = None;
    }

    /// Notes that `path` and everything below it are no longer there.
    pub(super) fn vanished(&mut self, path: &Path) {
        self.folders.retain(|folder, _| !folder.starts_with(path));
        self.files.remove(path);
    }

    /// Forgets `path` and everything below it: no other part asks about them any more.
    pub(super) fn forget_below(&mut self, path: &Path) {
        self.folders.retain(|folder, _| !folder.starts_with(path));
        self.files.retain(|file, _| !file.starts_with(path));
        self.refused.retain(|file| !file.starts_with(path));
        self.silent.retain(|silent| !silent.starts_with(path));
    }

    /// Returns the files that could not be read.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.keys()
    }

    pub(super) fn has_silent(&self) -> bool {
        !self.silent.is_empty()
    }

    /// Returns the paths on mounts that answer again.
    pub(super) fn take_answering(&mut self, answers: impl Fn(&Path) -> bool) -> BTreeSet<PathBuf> {
        let (answering, silent) = std::mem::take(&mut self.silent).into_iter().partition(|path| answers(path));
        self.silent = silent;
        answering
    }

    /// Returns the paths that the system refused, once it is time to check them again.
    pub(super) fn take_refused(&mut self, now: Instant) -> BTreeSet<PathBuf> {
        if self.deadline().is_none_or(|due| due > now) {
            return BTreeSet::new();
        }
        std::mem::take(&mut self.refused)
    }

    /// Returns when the refused paths are checked again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.refused.is_empty()).then_some(self.refused_due)
    }

    /// Returns the warnings for the user.
    pub(super) fn warnings(&self) -> Vec<String> {
        let folders = self.folders.iter().take(MAX_WARNINGS);
        let mut warnings: Vec<String> = folders
            .map(|(folder, reason)| format!("cannot read {}: {reason}; its videos are kept", shown(folder)))
            .collect();
        if let Some((file, reason)) = self.files.first_key_value() {
            let n_others = self.files.len() - 1;
            let others = if n_others > 0 {
                format!(" (and {n_others} more files)")
            } else {
                String::new()
            };
            warnings.push(format!("cannot read {}: {reason}{others}", shown(file)));
        }
        warnings
    }
}

/// Shortens a path for a warning. A user who wants the rest of a long one can ask for it.
fn shown(path: &Path) -> String {
    scened_shared::terminal::shorten(&path.display().to_string(), MAX_SHOWN)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Uses the usual timing: 30 s at first, at most 15 minutes.
    fn unreadable(now: Instant) -> Unreadable {
        Unreadable::new(Timing::new(SECOND * 5, SECOND * 600, SECOND * 3600), now)
    }

    fn error(errno: Errno) -> io::Error {
        errno.into()
    }

    #[test]
    fn what_a_drive_refuses_is_tried_again_together_and_ever_more_rarely() {
        let now = Instant::now();
        let mut unreadable = unreadable(now);
        let (a, b) = (Path::new("/v/a.mp4"), Path::new("/v/b.mp4"));
        assert_eq!(unreadable.deadline(), None);
        let mut at = now;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            unreadable.cannot_read_file(a, &error(Errno::IO), at);
            unreadable.cannot_read_file(b, &error(Errno::IO), at + SECOND);
            let due = unreadable.deadline().unwrap();
            pauses.push((due - at).as_secs());
            assert_eq!(unreadable.take_refused(at + SECOND), BTreeSet::new());
            assert_eq!(unreadable.take_refused(due), BTreeSet::from([a.to_owned(), b.to_owned()]));
            assert_eq!(unreadable.deadline(), None);
            at = due;
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 900, 900]);
        unreadable.file_was_read(b);
        unreadable.cannot_read_file(a, &error(Errno::IO), at);
        assert_eq!(unreadable.deadline(), Some(at + SECOND * 30), "one could be read since");
    }

    #[test]
    fn a_folder_that_was_refused_is_looked_at_again_at_once_where_mounts_changed() {
        let now = Instant::now();
        let mut unreadable = unreadable(now);
        let (folder, file) = (Path::new("/v/a"), Path::new("/v/b.mp4"));
        unreadable.cannot_read_file(file, &error(Errno::IO), now);
        unreadable.mounts_changed(now + SECOND);
        assert_eq!(unreadable.deadline(), Some(now + SECOND * 30), "files alone wait");
        unreadable.cannot_read_folder(folder, &error(Errno::IO), now);
        unreadable.mounts_changed(now + SECOND);
        assert_eq!(
            unreadable.take_refused(now + SECOND),
            BTreeSet::from([folder.to_owned(), file.to_owned()])
        );
        assert!(unreadable.has_folder(folder) && !unreadable.has_folder(file));
        assert!(unreadable.is_file_after_all(folder), "it could not be told what it is");
        assert!(!unreadable.is_file_after_all(folder));
    }

    #[test]
    fn what_a_user_may_not_read_is_not_tried_again_before_an_event_comes() {
        let now = Instant::now();
        let mut unreadable = unreadable(now);
        unreadable.cannot_read_file(Path::new("/v/a.mp4"), &error(Errno::ACCESS), now);
        // An error that does not come from a system call.
        unreadable.cannot_read_file(Path::new("/v/b.mp4"), &io::ErrorKind::InvalidInput.into(), now);
        assert_eq!(unreadable.deadline(), None);
        assert_eq!(unreadable.files().count(), 2);
    }

    #[test]
    fn the_warnings_name_some_folders_and_one_file() {
        let now = Instant::now();
        let mut unreadable = unreadable(now);
        assert_eq!(unreadable.warnings(), Vec::<String>::new());
        for n in 0..12 {
            unreadable.cannot_read_folder(Path::new(&format!("/v/{n:02}")), &error(Errno::ACCESS), now);
        }
        unreadable.failed(Path::new("/v/b.mp4"), "no");
        unreadable.failed(Path::new("/v/a.mp4"), "no");
        let warnings = unreadable.warnings();
        assert_eq!(warnings.len(), MAX_WARNINGS + 1);
        assert!(warnings[0].starts_with("cannot read /v/00: "), "{}", warnings[0]);
        assert_eq!(warnings[MAX_WARNINGS], "cannot read /v/a.mp4: no (and 1 more files)");
        unreadable.folder_was_read(Path::new("/v/00"));
        assert!(unreadable.warnings()[0].starts_with("cannot read /v/01: "));
    }

    #[test]
    fn what_is_gone_or_not_watched_any_more_is_forgotten() {
        let now = Instant::now();
        let mut unreadable = unreadable(now);
        let inside = Path::new("/v/folder/a.mp4");
        unreadable.cannot_read_folder(Path::new("/v/folder"), &error(Errno::ACCESS), now);
        unreadable.cannot_read_file(inside, &error(Errno::IO), now);
        unreadable.fell_silent(inside);
        unreadable.vanished(Path::new("/v"));
        assert_eq!(unreadable.warnings().len(), 1, "the file is asked for by its own name");
        assert!(unreadable.deadline().is_some());
        unreadable.forget_below(Path::new("/v"));
        assert_eq!(unreadable.warnings(), Vec::<String>::new());
        assert_eq!(unreadable.deadline(), None);
        assert!(!unreadable.has_silent());
    }

    #[test]
    fn what_does_not_answer_waits_until_it_does() {
        let mut unreadable = unreadable(Instant::now());
        unreadable.fell_silent(Path::new("/nas/a"));
        unreadable.fell_silent(Path::new("/usb/b"));
        assert_eq!(
            unreadable.take_answering(|path| path.starts_with("/usb")),
            BTreeSet::from(["/usb/b".into()])
        );
        assert!(unreadable.has_silent());
        assert_eq!(unreadable.take_answering(|_| true), BTreeSet::from(["/nas/a".into()]));
        assert!(!unreadable.has_silent());
    }
}
