//! Programs that are started: `scenectl`, and whatever shows a page.
//!
//! No shell, and every path that is handed on is absolute, so that none can be taken for a flag.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use scened_shared::endpoint::Endpoint;

use crate::moment::Moment;

/// Hits on the page of "show more".
pub(crate) const N_ON_PAGE: &str = "60";
/// What a program said that is told to the user. Bytes.
const MAX_SAID_BYTES: u64 = 4 << 10;

/// A sentence for the user where it failed.
pub(crate) type Launched = Result<(), String>;

#[derive(Clone, Debug)]
pub(crate) struct Programs {
    scenectl: PathBuf,
    socket: PathBuf,
}

impl Programs {
    /// `scenectl` beside this program or where `make install` puts it from here, else the one in PATH.
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        let name = Path::new("scenectl");
        let us = std::env::current_exe().ok();
        let beside = us.iter().filter_map(|us| us.parent()).flat_map(|folder| {
            let installed = folder.join("../../bin").join(name);
            [folder.join(name), installed]
        });
        let found = beside.into_iter().find(|path| path.is_file());
        Self {
            scenectl: found.unwrap_or_else(|| name.to_path_buf()),
            socket: endpoint.path().to_path_buf(),
        }
    }

    fn scenectl(&self) -> Command {
        let mut command = Command::new(&self.scenectl);
        command.arg("--socket").arg(&self.socket);
        command
    }
}

/// Opens a film where the scene fits best.
pub(crate) fn open(programs: &Programs, moment: &Moment, startup_id: Option<String>) -> Launched {
    let mut target = OsString::from(&moment.path);
    target.push(format!("@{}.{:03}", moment.at_ms / 1000, moment.at_ms % 1000));
    let mut command = programs.scenectl();
    command.arg("open").arg(target);
    run(command, startup_id)
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
    run(command, None)
}

/// Shows a page in the browser.
pub(crate) fn browse(page: &Path, startup_id: Option<String>) -> Launched {
    let mut browser = Command::new("xdg-open");
    browser.arg(page);
    let shown = spawn(&mut browser, startup_id, Stdio::null());
    let mut child = shown.map_err(|e| format!("xdg-open shows no page ({e}): it is {}", page.display()))?;
    // It may last as long as the browser does; this only keeps it from becoming a zombie.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Where a page is put: the next one takes its place.
pub(crate) fn page() -> Result<PathBuf, String> {
    let folder = sheet_folder().map_err(|e| format!("there is no place for the page: {e}"))?;
    Ok(folder.join("search.html"))
}

/// Where the page goes: it names films, so the folder is the user's alone, and it is gone with the session.
fn sheet_folder() -> io::Result<PathBuf> {
    let folder = match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| Path::new(folder).is_absolute()) {
        Some(folder) => PathBuf::from(folder).join("scened"),
        // Kept: the browser reads it after this program has ended.
        None => return tempfile::Builder::new().prefix("scened-").tempdir().map(tempfile::TempDir::keep),
    };
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(folder),
    }
}

/// Runs a program to its end, and tells what it said where it failed.
fn run(mut command: Command, startup_id: Option<String>) -> Launched {
    let program = command.get_program().to_owned();
    let name = || Path::new(&program).display();
    // A file and not a pipe: a player that inherited a pipe would hold it open as long as the film lasts.
    let mut said = tempfile::tempfile().map_err(|e| format!("no temporary file: {e}"))?;
    let theirs = said.try_clone().map_err(|e| format!("no temporary file: {e}"))?;
    let mut child = spawn(&mut command, startup_id, theirs.into()).map_err(|e| format!("{} cannot be started: {e}", name()))?;
    let status = child.wait().map_err(|e| format!("{} was lost: {e}", name()))?;
    if status.success() {
        return Ok(());
    }
    let said = beginning(&mut said).unwrap_or_default();
    if said.trim().is_empty() {
        // Exit status 1 of scenectl is no failure: nothing was found, or there is nothing to do.
        return Err(match status.code() {
            Some(1) => "nothing was found".to_owned(),
            _ => format!("{} ended with {status}", name()),
        });
    }
    Err(said)
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

/// What RFC 3986 lets stand in a path.
const KEPT_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A `file:` URI: any byte may be in a name.
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
