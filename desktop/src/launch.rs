//! The programs that we start: `scenectl`, and the viewer of a page.
//!
//! No shell is involved, and every path is absolute, so none can be mistaken for a flag.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use scened_shared::address;
use scened_shared::endpoint::Endpoint;

use crate::moment::Moment;

/// Hits on the page of "show more".
pub(crate) const N_ON_PAGE: &str = "60";
/// The most of a program's output that is shown to the user. Bytes.
const MAX_SAID_BYTES: u64 = 4 << 10;
/// The most file manager actions at the same time, dialogs included; each is its own process.
const N_ACTIONS: u32 = 5;

/// On failure, a sentence for the user.
pub(crate) type Launched = Result<(), String>;

#[derive(Clone, Debug)]
pub(crate) struct Programs {
    scenectl: PathBuf,
    socket: PathBuf,
    /// Timeout of one program.
    limit: Duration,
}

impl Programs {
    /// Uses the `scenectl` next to this program or where `make install` puts it relative to here, otherwise the one in PATH.
    pub(crate) fn of(endpoint: &Endpoint, limit: Duration) -> Self {
        let name = Path::new("scenectl");
        let us = scened_shared::program::own();
        let beside = us.iter().filter_map(|us| us.parent()).flat_map(|folder| {
            let installed = folder.join("../../bin").join(name);
            [folder.join(name), installed]
        });
        let found = beside.into_iter().find(|path| path.is_file());
        Self {
            scenectl: found.unwrap_or_else(|| name.to_path_buf()),
            socket: endpoint.path().to_path_buf(),
            limit,
        }
    }

    fn scenectl(&self) -> Command {
        let mut command = Command::new(&self.scenectl);
        command.arg("--socket").arg(&self.socket);
        command
    }
}

/// Opens a video at the best moment of the scene.
pub(crate) fn open(programs: &Programs, moment: &Moment, startup_id: Option<String>) -> Launched {
    let target = address::of_moment(&moment.path, moment.at_ms, |path| path.symlink_metadata().is_ok());
    let mut command = programs.scenectl();
    command.arg("open").arg(target);
    run(command, startup_id, programs.limit)
}

/// Makes the contact sheet of a search and shows it in the browser.
pub(crate) fn sheet(programs: &Programs, query: &str, startup_id: Option<String>) -> Launched {
    let page = page()?;
    let words = ["search", "-n", N_ON_PAGE, "--force", "--html"].map(OsStr::new);
    scenectl(programs, words.into_iter().chain([page.as_os_str(), "--".as_ref(), query.as_ref()]))?;
    browse(&page, startup_id)
}

/// Runs `scenectl` with these arguments to its end.
pub(crate) fn scenectl<I: AsRef<OsStr>>(programs: &Programs, arguments: impl IntoIterator<Item = I>) -> Launched {
    let mut command = programs.scenectl();
    command.args(arguments);
    run(command, None, programs.limit)
}

/// Shows a page in the browser.
pub(crate) fn browse(page: &Path, startup_id: Option<String>) -> Launched {
    let mut browser = Command::new("xdg-open");
    browser.arg(page);
    let shown = spawn(&mut browser, startup_id, Stdio::null());
    let mut child = shown.map_err(|e| format!("xdg-open shows no page ({e}): it is {}", page.display()))?;
    // It may run for as long as the browser does; waiting only keeps it from becoming a zombie.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Returns the place for a page; the next page replaces it.
pub(crate) fn page() -> Result<PathBuf, String> {
    let folder = sheet_folder().map_err(|e| format!("there is no place for the page: {e}"))?;
    Ok(folder.join("search.html"))
}

/// Returns the folder for the page. The page names videos, so the folder is private to the user, and it is removed with the session.
fn sheet_folder() -> io::Result<PathBuf> {
    let Some(folder) = runtime_folder() else {
        // Kept: the browser reads it after this program has ended.
        return tempfile::Builder::new().prefix("scened-").tempdir().map(tempfile::TempDir::keep);
    };
    make(&folder).map(|()| folder)
}

/// Returns our folder in the session's runtime folder, which is private to the user.
fn runtime_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| Path::new(folder).is_absolute())?;
    Some(PathBuf::from(folder).join("scened"))
}

fn make(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Takes a slot among the running actions of this session, until it is dropped.
///
/// **Errors**: all slots are taken.
pub(crate) fn action() -> Result<Option<File>, String> {
    let Some(folder) = runtime_folder() else { return Ok(None) };
    if make(&folder).is_err() {
        return Ok(None);
    }
    for n in 0..N_ACTIONS {
        let Ok(place) = File::create(folder.join(format!("action-{n}.lock"))) else {
            return Ok(None);
        };
        match place.try_lock() {
            Ok(()) => return Ok(Some(place)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
    Err(format!("{N_ACTIONS} such actions are already running: end one, or wait"))
}

/// Runs a program to its end or to its timeout; on failure returns what it printed.
fn run(mut command: Command, startup_id: Option<String>, limit: Duration) -> Launched {
    let program = command.get_program().to_owned();
    let name = || Path::new(&program).display();
    // A file, not a pipe: a player that inherited a pipe would hold it open for as long as the video lasts.
    let mut said = tempfile::tempfile().map_err(|e| format!("no temporary file: {e}"))?;
    let theirs = said.try_clone().map_err(|e| format!("no temporary file: {e}"))?;
    let mut child = spawn(&mut command, startup_id, theirs.into()).map_err(|e| format!("{} cannot be started: {e}", name()))?;
    let status = wait(&mut child, limit).map_err(|e| format!("{} was lost: {e}", name()))?;
    let Some(status) = status else {
        return Err(format!(
            "{} did not end within {} s; `scenectl status` says what the daemon does",
            name(),
            limit.as_secs()
        ));
    };
    if status.success() {
        return Ok(());
    }
    let said = beginning(&mut said).unwrap_or_default();
    if said.trim().is_empty() {
        // scenectl's exit status 1 is not an error: nothing was found, or there is nothing to do.
        return Err(match status.code() {
            Some(1) => "nothing was found".to_owned(),
            _ => format!("{} ended with {status}", name()),
        });
    }
    Err(said)
}

/// Waits for the program to end, or kills it after `limit` and returns `None`.
#[cfg(target_os = "linux")]
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let limit = Timespec {
        tv_sec: limit.as_secs() as i64,
        tv_nsec: 0,
    };
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let ended = loop {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)) {
            Ok(n) => break n > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    if !ended {
        child.kill()?;
    }
    let status = child.wait()?;
    Ok(ended.then_some(status))
}

#[cfg(not(target_os = "linux"))]
fn wait(child: &mut Child, _limit: Duration) -> io::Result<Option<ExitStatus>> {
    child.wait().map(Some)
}

fn spawn(command: &mut Command, startup_id: Option<String>, stderr: Stdio) -> io::Result<std::process::Child> {
    if let Some(id) = startup_id {
        // X11: the player's window belongs to this click, and may take the focus.
        command.env("DESKTOP_STARTUP_ID", id);
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn()
}

fn beginning(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MAX_SAID_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Characters that RFC 3986 allows in a path.
const KEPT_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns a `file:` URI; a name may contain any byte.
pub(crate) fn uri(path: &Path) -> String {
    let bytes = OsStr::as_encoded_bytes(path.as_os_str());
    format!("file://{}", percent_encode(bytes, KEPT_IN_PATHS))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;

    #[test]
    fn a_uri_holds_any_name() {
        let check = |path: &[u8], expected: &str| assert_eq!(uri(Path::new(OsStr::from_bytes(path))), expected);
        check(b"/a/b-c_d.~e.mp4", "file:///a/b-c_d.~e.mp4");
        check(b"/a b%20?#&'\"\n.mp4", "file:///a%20b%2520%3F%23%26%27%22%0A.mp4");
        check(b"/caf\xe9", "file:///caf%E9");
    }
}
