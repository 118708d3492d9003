//! Opening a database that may be damaged, without fjall deleting, and without the process dying.
//!
//! fjall deletes a keyspace's folder that lacks its pointer file, and creates a keyspace that is missing, both without a word. Its trees
//! panic on some damage, and a panic while fjall recovers them is followed by a second one in a destructor, which ends the process, at
//! every start anew. So each tree is looked at, and opened by itself, before fjall sees it: there a panic can be caught. For what slips
//! through, a first panic leaves a note beside the store, and the next start sets the store aside instead of opening it again.
//! Nothing catches the end of the process (a damaged length asks for more memory than there is), so a note lies there while a store is
//! being opened: where an earlier start left it, because it died or was killed, another process tries the store first.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;

use lsm_tree::SequenceNumberCounter;

use super::disk::is_environment;

/// Beside the store: the text of a panic while it was opened.
const NOTE: &str = "store.panicked";
/// Beside the store: it is being opened.
const OPENING: &str = "store.opening";
/// Beside the store: it stopped taking writes, and nobody knows whether the disk or what lies on it is to blame.
const SUSPICION: &str = "store.suspect";
/// Of each tree: names the version that counts.
const POINTER: &str = "current";

thread_local! {
    /// Where this thread notes a panic, while it opens a store.
    static NOTE_PATH: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

/// Runs `open` on the database at `folder`; an error says what is damaged. `is_used`: something was committed to it once.
/// `trial`: the program that may be started as `PROGRAM try-store DATA` where the last start did not come to an end.
pub(super) fn attempt<T>(folder: &Path, is_used: bool, trial: Option<&Path>, open: impl FnOnce() -> T) -> Result<T, String> {
    let opening = folder.with_file_name(OPENING);
    if let Some(program) = trial.filter(|_| opening.symlink_metadata().is_ok()) {
        try_elsewhere(program, folder)?;
    }
    if let Err(error) = std::fs::write(&opening, "") {
        // On a full disk: then an end of this process goes unnoticed.
        tracing::debug!(path = %opening.display(), %error, "the opening of the store is not noted");
    }
    let outcome = attempt_here(folder, is_used, open);
    if let Err(error) = std::fs::remove_file(&opening) {
        tracing::debug!(path = %opening.display(), %error, "the note stays: the next start tries the store in another process first");
    }
    outcome
}

/// Has another process open the store; an error when that ended by a signal.
fn try_elsewhere(program: &Path, folder: &Path) -> Result<(), String> {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};
    let data_dir = folder.parent().unwrap_or(folder);
    let mut command = Command::new(program);
    command.arg("try-store").arg(data_dir).stdin(Stdio::null()).stdout(Stdio::null());
    match command.status() {
        Ok(status) if status.signal().is_some() => Err(format!("a process that opened it ended: {status}")),
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!(program = %program.display(), %error, "the store cannot be tried in another process");
            Ok(())
        }
    }
}

fn attempt_here<T>(folder: &Path, is_used: bool, open: impl FnOnce() -> T) -> Result<T, String> {
    let note = note_of(folder);
    if let Ok(text) = std::fs::read_to_string(&note) {
        return Err(format!("an earlier start panicked over it: {}", text.trim()));
    }
    note_panics();
    NOTE_PATH.set(Some(note));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        try_trees(folder, is_used)?;
        Ok(open())
    }));
    NOTE_PATH.set(None);
    match outcome {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(reason)) => Err(reason),
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Err(format!("the storage engine panicked: {}", text.unwrap_or("no reason given")))
        }
    }
}

/// The store that was noted is out of the way, or has been found to be good.
pub(super) fn forget(folder: &Path) {
    for note in [note_of(folder), suspicion_of(folder)] {
        match std::fs::remove_file(&note) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %note.display(), %error, "a note about the store stays: the next start will look into it again");
            }
            _ => {}
        }
    }
}

/// Has the next start read the whole store before it is believed.
///
/// fjall says no more than that it is poisoned when its compaction meets a damaged table, and would meet the same one after every start.
pub(super) fn suspect(folder: &Path, reason: &str) {
    let path = suspicion_of(folder);
    if let Err(error) = std::fs::write(&path, reason) {
        // On a full disk that is no wonder, and no damage either.
        tracing::warn!(path = %path.display(), %error, "the store is not noted as suspect");
    }
}

pub(super) fn is_suspect(folder: &Path) -> bool {
    suspicion_of(folder).symlink_metadata().is_ok()
}

fn suspicion_of(folder: &Path) -> PathBuf {
    folder.with_file_name(SUSPICION)
}

fn note_of(folder: &Path) -> PathBuf {
    folder.with_file_name(NOTE)
}

/// fjall goes on without a journal that is gone, and then forgets at the next start what it was given meanwhile.
fn has_journal(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return true };
    entries
        .flatten()
        .any(|entry| entry.path().extension().is_some_and(|extension| extension == "jnl"))
}

/// Looks at every tree of the database, and opens it. What the system cannot read just now is left for fjall to say.
fn try_trees(folder: &Path, is_used: bool) -> Result<(), String> {
    if is_used && !has_journal(folder) {
        return Err(format!("there is no journal in {}", folder.display()));
    }
    let trees = folder.join("keyspaces");
    let entries = match std::fs::read_dir(&trees) {
        Ok(entries) => entries,
        Err(error) if is_environment(&error) && error.kind() != std::io::ErrorKind::NotADirectory => return Ok(()),
        Err(error) if is_used => return Err(format!("{} cannot be read: {error}", trees.display())),
        Err(_) => return Ok(()),
    };
    let mut has_directory_of_trees = false;
    for entry in entries.flatten() {
        let path = entry.path();
        let is_number = entry.file_name().to_str().is_some_and(|name| name.parse::<u64>().is_ok());
        // Not what a look at it would say: where nothing may be looked at nothing would be a folder.
        if !is_number || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            return Err(format!("{} does not belong there", path.display()));
        }
        has_directory_of_trees |= entry.file_name() == "0";
        match std::fs::symlink_metadata(path.join(POINTER)) {
            // A start that was interrupted before the store was first used may leave it so, and fjall makes it anew.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_used => continue,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(format!("{} is missing", path.join(POINTER).display()));
            }
            _ => {}
        }
        let config = lsm_tree::Config::new(&path, SequenceNumberCounter::default(), SequenceNumberCounter::default());
        match config.open() {
            Ok(_tree) => {}
            Err(lsm_tree::Error::Io(error)) if is_environment(&error) => return Ok(()),
            Err(error) => return Err(format!("{} cannot be opened: {error}", path.display())),
        }
    }
    if is_used && !has_directory_of_trees {
        return Err(format!("{} is missing", trees.join("0").display()));
    }
    Ok(())
}

fn note_panics() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let note = NOTE_PATH.try_with(|path| path.try_borrow().ok().and_then(|path| path.clone()));
            if let Ok(Some(note)) = note {
                write_note(&note, info);
            }
            before(info);
        }));
    });
}

fn write_note(note: &Path, info: &PanicHookInfo<'_>) {
    let text = info.payload_as_str().unwrap_or("no reason given");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    // Where it cannot be written the next start panics as well; nothing more can be done about it here.
    let _written = std::fs::write(note, format!("{text} ({place})"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_attempt_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let panicking = attempt(&store, false, None, || -> u8 { panic!("on page {}", 7) });
        assert_eq!(panicking, Err("the storage engine panicked: on page 7".to_owned()));
        let next = attempt(&store, false, None, || 1).unwrap_err();
        assert!(next.contains("earlier start panicked over it: on page 7 ("), "{next}");
        forget(&store);
        assert_eq!(attempt(&store, false, None, || 1), Ok(1));
    }

    #[test]
    fn after_a_death_while_opening_another_process_goes_first() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (store, program) = (folder.path().join("store"), folder.path().join("program"));
        let is_asked = |script: &str| {
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
            attempt(&store, false, Some(&program), || 1)
        };
        assert_eq!(is_asked("kill -ABRT $$"), Ok(1), "nobody died before, so nobody is asked");
        std::fs::write(folder.path().join(OPENING), "").unwrap();
        let died = is_asked("kill -ABRT $$").unwrap_err();
        assert!(died.contains("SIGABRT"), "{died}");
        assert_eq!(is_asked("test \"$1\" = try-store"), Ok(1));
        assert!(!folder.path().join(OPENING).is_file(), "it was opened: the next start asks nobody");
    }
}
