//! Opens a database that may be damaged, without letting fjall delete data and without the process dying.
//!
//! fjall silently deletes the folder of a keyspace that lacks its pointer file, and silently creates a missing keyspace. Its trees panic on
//! some damage. A panic while fjall recovers them is followed by a second one in a destructor, which ends the process, at every start. So
//! each tree is checked, and opened by itself, before fjall sees it: there a panic can be caught. Some panics get past this check. The
//! first one leaves a note beside the store, and the next start quarantines the store instead of opening it again.
//!
//! The end of the process cannot be caught (a damaged length asks for more memory than there is). So a note exists while a store is being
//! opened. If an earlier start left it behind because it died or was killed, another process tries the store first.
//!
//! An error of the operating system never proves that a store is damaged ([`crate::quarantine::damage`]), not even behind a panic or a
//! death. But damage can cause such errors: a file that is missing or is a folder, a position past the end of a file. This module therefore
//! checks listings and lengths before the engine opens anything.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, FileType};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Once;

use lsm_tree::SequenceNumberCounter;
use scened_common::damage::{is_about_machine, is_damage};

use super::disk::as_damage;
use crate::quarantine::damage::is_absent;

/// Beside the store: the text of a panic while it was opened.
const NOTE: &str = "store.panicked";
/// Beside the store: it is being opened.
const OPENING: &str = "store.opening";
/// Beside the store: it stopped accepting writes, and either the disk or the stored data may be at fault.
const SUSPICION: &str = "store.suspect";
/// In each tree: names the current version.
const POINTER: &str = "current";
/// Bytes at the end of each of the engine's archives (a version, a table). The last sixteen are a position and a length.
const TRAILER_BYTES: u64 = 38;
/// Memory that opening may request at once, however small the store is. Bytes.
const LEAST_ALLOCATION: u64 = 64 << 20;

thread_local! {
    /// The path at which this thread notes a panic while it opens a store. The first panic takes it: later ones follow from the first.
    static NOTE_PATH: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

/// Why a store was not opened.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The content is damaged; this is the reason.
    Damaged(String),
    /// The machine failed: the content may be intact.
    Machine(io::Error),
    /// Another process has it open.
    Locked,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if is_damage(&error) {
            Self::Damaged(error.to_string())
        } else {
            Self::Machine(error)
        }
    }
}

impl From<fjall::Error> for Refusal {
    fn from(error: fjall::Error) -> Self {
        match as_damage(error) {
            Ok(damage) => Self::Damaged(damage.to_string()),
            Err(fjall::Error::Locked) => Self::Locked,
            Err(fjall::Error::Io(error) | fjall::Error::Storage(lsm_tree::Error::Io(error))) => Self::Machine(error),
            Err(error) => Self::Machine(io::Error::other(error)),
        }
    }
}

/// Runs `open` on the database at `folder`. `trial`: the program that may be started as `PROGRAM try-store DATA` if the last start did not
/// finish. Damage counts only if a second attempt finds it as well.
pub(super) fn attempt<T>(folder: &Path, trial: Option<&Path>, open: impl Fn() -> Result<T, Refusal>) -> Result<T, Refusal> {
    let opening = folder.with_file_name(OPENING);
    if let Some(program) = trial.filter(|_| opening.symlink_metadata().is_ok()) {
        try_elsewhere(program, folder)?;
    }
    if let Err(error) = std::fs::write(&opening, "") {
        // The disk may be full. Then a death of this process goes unnoticed.
        tracing::debug!(path = %opening.display(), %error, "the opening of the store is not noted");
    }
    let outcome = attempt_here(folder, || match open() {
        Err(Refusal::Damaged(_)) => open(),
        outcome => outcome,
    });
    if let Err(error) = std::fs::remove_file(&opening) {
        tracing::debug!(path = %opening.display(), %error, "the note stays: the next start tries the store in another process first");
    }
    outcome
}

/// Has another process open the store. Returns an error if a signal ended that process.
fn try_elsewhere(program: &Path, folder: &Path) -> Result<(), Refusal> {
    let data_dir = folder.parent().unwrap_or(folder);
    let (status, said) = match run_trial(program, data_dir) {
        Ok(ran) => ran,
        Err(error) => {
            tracing::warn!(program = %program.display(), %error, "the store cannot be tried in another process");
            return Ok(());
        }
    };
    let Some(reason) = death_of(status) else { return Ok(()) };
    tracing::warn!(reason, said, "a process that opened the store on trial died");
    // If a process cannot open an empty store either, it dies of something else.
    let control = tempfile::tempdir_in(data_dir).and_then(|empty| run_trial(program, empty.path()));
    let can_live = control.is_ok_and(|(status, _)| death_of(status).is_none());
    if can_live && is_of_content(status) && !blames_machine(&said, size_of(folder)) {
        return Err(Refusal::Damaged(reason));
    }
    Err(Refusal::Machine(io::Error::other(format!(
        "{reason}, and not over what it read (is there too little memory, or a limit?)"
    ))))
}

/// Runs a trial. Returns how it ended, and its error output.
fn run_trial(program: &Path, data_dir: &Path) -> io::Result<(ExitStatus, String)> {
    use std::process::{Command, Stdio};
    let mut command = Command::new(program);
    command.arg("try-store").arg(data_dir).env("RUST_BACKTRACE", "0");
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    Ok((output.status, String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn death_of(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal().map(|_| format!("a process that opened it ended: {status}"))
}

/// Decides whether the content can make a process end in this way. Other signals come from outside: from a person, a limit, or a lack of
/// memory.
fn is_of_content(status: ExitStatus) -> bool {
    use rustix::process::Signal;
    use std::os::unix::process::ExitStatusExt as _;
    let signals = [Signal::ABORT, Signal::SEGV, Signal::ILL];
    status
        .signal()
        .is_some_and(|signal| signals.iter().any(|of_content| of_content.as_raw() == signal))
}

/// Decides whether the last output of a process blames the machine. Reading a whole store never requests more memory at once than the store
/// has bytes.
fn blames_machine(said: &str, store_bytes: u64) -> bool {
    let asked_for = said.split("memory allocation of ").nth(1).and_then(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()
    });
    is_about_machine(said) || asked_for.is_some_and(|n_bytes| n_bytes <= store_bytes.max(LEAST_ALLOCATION))
}

/// Returns the size of all files below a folder, as far as they are visible. Bytes.
fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn attempt_here<T>(folder: &Path, open: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    let note = note_of(folder);
    match std::fs::read_to_string(&note) {
        // Version 0.1.0 also noted panics about the machine.
        Ok(text) if is_about_machine(&text) => forget(folder),
        Ok(text) => return Err(Refusal::Damaged(format!("an earlier start panicked over it: {}", text.trim()))),
        Err(_) => {}
    }
    note_panics();
    NOTE_PATH.set(Some(note));
    let outcome = catch_unwind(AssertUnwindSafe(open));
    NOTE_PATH.set(None);
    outcome.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = format!("the storage engine panicked: {}", text.unwrap_or("no reason given"));
        Err(if is_about_machine(&text) {
            Refusal::Machine(io::Error::other(text))
        } else {
            Refusal::Damaged(text)
        })
    })
}

/// Deletes the notes: the store has been moved away, or was found to be intact.
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

/// Makes the next start read the whole store before it trusts it.
///
/// If its compaction meets a damaged table, fjall reports only that it is poisoned. It would meet the same table after every start.
pub(super) fn suspect(folder: &Path, reason: &str) {
    let path = suspicion_of(folder);
    if let Err(error) = std::fs::write(&path, reason) {
        // On a full disk this is expected, and it is not damage either.
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

/// Checks the whole database as far as listings and lengths allow, and opens every tree.
pub(super) fn try_trees(folder: &Path) -> Result<(), Refusal> {
    let entries = list(folder)?;
    needs_file(&entries, folder, "version")?;
    // The file is empty, and the engine does not create it again.
    match entries.get(std::ffi::OsStr::new("lock")) {
        None => drop(File::create(folder.join("lock"))?),
        Some(_) => needs_file(&entries, folder, "lock")?,
    }
    let journals = entries
        .iter()
        .filter(|(name, _)| Path::new(name).extension().is_some_and(|extension| extension == "jnl"));
    let journals: Vec<_> = journals.collect();
    // fjall continues without a missing journal, and at the next start loses everything written since.
    if journals.is_empty() {
        return Err(damaged(folder, "has no journal"));
    }
    if let Some((name, _)) = journals.iter().find(|(_, kind)| !kind.is_file()) {
        return Err(damaged(&folder.join(name), "is no file"));
    }
    let trees = folder.join("keyspaces");
    needs_folder(&entries, folder, "keyspaces")?;
    let entries = list(&trees)?;
    needs_folder(&entries, &trees, "0")?;
    for (name, kind) in &entries {
        let path = trees.join(name);
        let is_number = name.to_str().is_some_and(|name| name.parse::<u64>().is_ok());
        if !is_number || !kind.is_dir() {
            return Err(damaged(&path, "does not belong there"));
        }
        try_tree(&path)?;
    }
    Ok(())
}

fn try_tree(folder: &Path) -> Result<(), Refusal> {
    let entries = list(folder)?;
    // fjall would delete a keyspace without it.
    needs_file(&entries, folder, POINTER)?;
    let pointer = folder.join(POINTER);
    let content = std::fs::read(&pointer)?;
    let Some(version) = content.first_chunk::<8>() else {
        return Err(damaged(&pointer, "is too short"));
    };
    let version = format!("v{}", u64::from_le_bytes(*version));
    needs_file(&entries, folder, &version)?;
    check_archive(&folder.join(version))?;
    let tables = folder.join("tables");
    if entries.contains_key(std::ffi::OsStr::new("tables")) {
        needs_folder(&entries, folder, "tables")?;
        for (name, kind) in list(&tables)? {
            if !kind.is_file() {
                return Err(damaged(&tables.join(name), "is no file"));
            }
            check_archive(&tables.join(name))?;
        }
    }
    let config = lsm_tree::Config::new(folder, SequenceNumberCounter::default(), SequenceNumberCounter::default());
    let opened = config.open().map(drop);
    // If the system reports an existing tree as missing, the engine starts a new one over it. Its tables would be deleted next.
    if std::fs::read(&pointer)? != content {
        let temporary = folder.join("restored");
        let mut file = File::create(&temporary)?;
        file.write_all(&content)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &pointer)?;
        File::open(folder)?.sync_all()?;
        return Err(Refusal::Machine(io::ErrorKind::ResourceBusy.into()));
    }
    match opened {
        Ok(()) => Ok(()),
        Err(lsm_tree::Error::Io(error)) => Err(explained(folder, error)),
        Err(error) => Err(damaged(folder, &format!("cannot be opened: {error}"))),
    }
}

/// Checks the last bytes of an archive, which tell the engine where to seek. The system refuses positions outside the file.
fn check_archive(path: &Path) -> Result<(), Refusal> {
    let file = File::open(path)?;
    let n_bytes = file.metadata()?.len();
    if n_bytes < TRAILER_BYTES {
        return Err(damaged(path, "is too short"));
    }
    let mut position = [0; 8];
    file.read_exact_at(&mut position, n_bytes - 16)
        .map_err(|error| explained(path, error))?;
    if u64::from_le_bytes(position) > n_bytes {
        return Err(damaged(path, "ends with nonsense"));
    }
    Ok(())
}

/// Lists the entries of a folder with their kinds.
fn list(folder: &Path) -> io::Result<BTreeMap<OsString, FileType>> {
    let named = |entry: std::fs::DirEntry| Ok((entry.file_name(), entry.file_type()?));
    std::fs::read_dir(folder)?.map(|entry| entry.and_then(named)).collect()
}

fn needs_file(entries: &BTreeMap<OsString, FileType>, folder: &Path, name: &str) -> Result<(), Refusal> {
    match entries.get(std::ffi::OsStr::new(name)) {
        Some(kind) if kind.is_file() => Ok(()),
        Some(_) => Err(damaged(&folder.join(name), "is no file")),
        None => Err(missing(&folder.join(name))),
    }
}

fn needs_folder(entries: &BTreeMap<OsString, FileType>, folder: &Path, name: &str) -> Result<(), Refusal> {
    match entries.get(std::ffi::OsStr::new(name)) {
        Some(kind) if kind.is_dir() => Ok(()),
        Some(_) => Err(damaged(&folder.join(name), "is no folder")),
        None => Err(missing(&folder.join(name))),
    }
}

/// Judges an entry that a listing lacks.
fn missing(path: &Path) -> Refusal {
    match is_absent(path) {
        Ok(true) => damaged(path, "is missing"),
        Ok(false) => Refusal::Machine(io::ErrorKind::ResourceBusy.into()),
        Err(error) => Refusal::Machine(error),
    }
}

fn damaged(path: &Path, what: &str) -> Refusal {
    Refusal::Damaged(format!("{} {what}", path.display()))
}

/// Adds the path to a report of damage.
fn explained(path: &Path, error: io::Error) -> Refusal {
    match Refusal::from(error) {
        Refusal::Damaged(reason) => damaged(path, &format!("cannot be read: {reason}")),
        refusal => refusal,
    }
}

fn note_panics() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let note = NOTE_PATH.try_with(|path| path.try_borrow_mut().ok().and_then(|mut path| path.take()));
            if let Ok(Some(note)) = note {
                write_note(&note, info);
            }
            before(info);
        }));
    });
}

fn write_note(note: &Path, info: &PanicHookInfo<'_>) {
    let text = info.payload_as_str().unwrap_or("no reason given");
    if is_about_machine(text) {
        return;
    }
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    // If it cannot be written, the next start panics as well. Nothing more can be done here.
    let _written = std::fs::write(note, format!("{text} ({place})"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(outcome: Result<u8, Refusal>) -> String {
        match outcome {
            Err(Refusal::Damaged(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_panic_is_an_error_and_the_next_attempt_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let panicking = attempt(&store, None, || -> Result<u8, Refusal> { panic!("on page {}", 7) });
        assert_eq!(reason(panicking), "the storage engine panicked: on page 7");
        let next = reason(attempt(&store, None, || Ok(1)));
        assert!(next.contains("earlier start panicked over it: on page 7 ("), "{next}");
        forget(&store);
        assert!(matches!(attempt(&store, None, || Ok(1)), Ok(1)));
    }

    /// Behaves like one of the engine's destructors after a panic.
    struct PanicsAsWell;

    impl Drop for PanicsAsWell {
        fn drop(&mut self) {
            let _second = catch_unwind(|| panic!("the lock is poisoned"));
        }
    }

    #[test]
    fn a_panic_over_the_machine_condemns_nothing_now_or_later() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let eagain = || io::Error::from_raw_os_error(11);
        let panicking = attempt(&store, None, || -> Result<u8, Refusal> { panic!("no thread: {:?}", eagain()) });
        assert!(matches!(panicking, Err(Refusal::Machine(_))), "{panicking:?}");
        assert!(matches!(attempt(&store, None, || Ok(1)), Ok(1)));
        // A second panic that follows from it is not damage either.
        let twice = attempt(&store, None, || -> Result<u8, Refusal> {
            let _guard = PanicsAsWell;
            panic!("no thread: {:?}", eagain())
        });
        assert!(matches!(twice, Err(Refusal::Machine(_))), "{twice:?}");
        assert!(matches!(attempt(&store, None, || Ok(1)), Ok(1)));
        // The way version 0.1.0 noted it.
        std::fs::write(note_of(&store), format!("no thread: {:?} (somewhere.rs)", eagain())).unwrap();
        assert!(matches!(attempt(&store, None, || Ok(1)), Ok(1)));
    }

    #[test]
    fn after_a_death_while_opening_another_process_goes_first() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (store, program) = (folder.path().join("store"), folder.path().join("program"));
        // The program acts only on this data folder: over an empty one it survives.
        let is_asked = |script: &str| {
            let only_here = format!("#!/bin/sh\n[ \"$2\" = '{}' ] || exit 0\n{script}\n", folder.path().display());
            std::fs::write(&program, only_here).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
            attempt(&store, Some(&program), || Ok(1))
        };
        assert!(matches!(is_asked("kill -ABRT $$"), Ok(1)), "nobody died before, so nobody is asked");
        let opening = folder.path().join(OPENING);
        std::fs::write(&opening, "").unwrap();
        let died = reason(is_asked("kill -ABRT $$"));
        assert!(died.contains("SIGABRT"), "{died}");
        let died = reason(is_asked("echo memory allocation of 81604378624 bytes failed >&2; kill -ABRT $$"));
        assert!(died.contains("SIGABRT"), "{died}");
        // None of these is caused by the content.
        for of_machine in [
            "kill -KILL $$",
            "kill -TERM $$",
            "kill -XCPU $$",
            "echo memory allocation of 4096 bytes failed >&2; kill -ABRT $$",
            "echo 'panicked: Os { code: 11, kind: WouldBlock }' >&2; kill -ABRT $$",
        ] {
            let outcome = is_asked(of_machine);
            assert!(matches!(outcome, Err(Refusal::Machine(_))), "{of_machine}: {outcome:?}");
        }
        assert!(matches!(is_asked("test \"$1\" = try-store"), Ok(1)));
        assert!(!opening.is_file(), "it was opened: the next start asks nobody");
    }

    #[test]
    fn a_process_that_cannot_open_an_empty_store_either_condemns_none() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (store, program) = (folder.path().join("store"), folder.path().join("program"));
        std::fs::write(&program, "#!/bin/sh\nkill -ABRT $$\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::write(folder.path().join(OPENING), "").unwrap();
        let outcome = attempt(&store, Some(&program), || Ok(1));
        assert!(matches!(outcome, Err(Refusal::Machine(_))), "{outcome:?}");
    }
}
