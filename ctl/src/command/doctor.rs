//! `doctor`: first what can be checked from here, then what the daemon reports; works with the daemon off.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scened_shared::client::Client;
use scened_shared::endpoint::Endpoint;
use scened_shared::message::{Check, DoctorAnswer, NoParams};
use scened_shared::method;
use scened_shared::program;
use scened_shared::shell;

use crate::command::{Context, connect};
use crate::failure::{Failure, HOW_TO_START, Kind, Outcome};
use crate::render::color::Color;
use crate::render::{Out, text};

/// Comparing the index with an exact search takes a while on a large library.
const LIMIT: Duration = Duration::from_mins(10);

pub(super) fn run(context: &mut Context) -> Result<Outcome, Failure> {
    let mut checks = Vec::new();
    match context.endpoint() {
        Err(failure) => checks.push(failed("socket", failure)),
        Ok(endpoint) => {
            checks.push(socket_folder(endpoint.folder()));
            let (check, client) = daemon(&endpoint);
            checks.push(check);
            if let Some(client) = client {
                checks.extend(daemons_checks(client));
            } else {
                checks.push(installed_program());
                checks.extend(context.data_dir().ok().and_then(|folder| unopened(&folder)));
            }
        }
    }
    let answer = DoctorAnswer { checks };
    let out = &mut context.out;
    if out.json {
        out.json(&answer)?;
    } else {
        show(out, &answer.checks)?;
    }
    let any_failed = answer.checks.iter().any(|check| check.state == "fail");
    Ok(if any_failed { Outcome::Bad } else { Outcome::Done })
}

fn check(name: &str, state: &str, detail: impl Into<String>, hint: Option<&str>) -> Check {
    Check {
        name: name.to_owned(),
        state: state.to_owned(),
        detail: detail.into(),
        hint: hint.map(str::to_owned),
    }
}

fn failed(name: &str, failure: Failure) -> Check {
    let parts: Vec<_> = std::iter::once(failure.message).chain(failure.causes).collect();
    check(name, "fail", parts.join(": "), failure.hints.first().map(String::as_str))
}

fn daemon(endpoint: &Endpoint) -> (Check, Option<Client>) {
    let start = Instant::now();
    let client = match connect(endpoint) {
        Ok(client) => client,
        Err(error) => return (failed("daemon", error.into()), None),
    };
    let server = client.server();
    let (ours, theirs) = (env!("CARGO_PKG_VERSION"), server.version.as_str());
    let detail = format!(
        "scened {theirs}, process {}, protocol {}, answered in {} ms",
        server.pid,
        server.protocol,
        start.elapsed().as_millis()
    );
    let check = if ours == theirs {
        check("daemon", "ok", detail, None)
    } else {
        let detail = format!("{detail}; this is scenectl {ours}");
        check(
            "daemon",
            "warn",
            detail,
            Some("install the same version of both, then `systemctl --user restart scened`"),
        )
    };
    (check, Some(client))
}

fn daemons_checks(mut client: Client) -> Vec<Check> {
    client.set_answer_limit(Some(LIMIT));
    match client.call::<method::Doctor>(&NoParams {}) {
        Ok(answer) => answer.checks,
        Err(error) => {
            let failure = Failure::from(error);
            debug_assert_ne!(failure.kind, Kind::ReaderLeft);
            vec![failed("daemon's checks", failure)]
        }
    }
}

/// Finds the daemon's program, next to this one or in `PATH`.
pub(super) fn find_daemon() -> Option<PathBuf> {
    let name = format!("scened{}", std::env::consts::EXE_SUFFIX);
    let beside = program::own().and_then(|own| own.parent().map(Path::to_path_buf));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = beside.into_iter().chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(&name)).find(|file| file.is_file())
}

fn installed_program() -> Check {
    match find_daemon() {
        Some(file) => check("program", "ok", text::path(&file, None), Some(HOW_TO_START)),
        None => check(
            "program",
            "fail",
            "no program `scened` beside scenectl or in PATH",
            Some("`make install` in the project's folder"),
        ),
    }
}

/// Consecutive failed starts after which the hint offers `scened set-aside-unreadable`.
const FAILED_STARTS: u32 = 10;

/// Reads what the daemon recorded when it could not open its store (`daemon/src/store/unopened.rs`).
fn unopened(data_dir: &Path) -> Option<Check> {
    let noted = std::fs::read_to_string(data_dir.join("store.unopened")).ok()?;
    let mut lines = noted.lines();
    let (n, _since, reason) = (lines.next()?.parse::<u32>().ok()?, lines.next()?, lines.next().unwrap_or_default());
    let times = if n == 1 { "once".to_owned() } else { format!("{n} times in a row") };
    let detail = format!("scened could not open it {times}; nothing was set aside: {reason}");
    let hint = if n < FAILED_STARTS {
        "check the disk and its mount; scened tries again by itself, at growing intervals"
    } else {
        "check the disk and its mount; if that does not help, stop scened and run `scened set-aside-unreadable`, which moves only unreadable files away"
    };
    Some(check("store", "fail", detail, Some(hint)))
}

#[cfg(unix)]
fn socket_folder(folder: &Path) -> Check {
    use std::os::unix::fs::MetadataExt as _;

    const NAME: &str = "socket folder";
    let shown = text::path(folder, None);
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return check(
                NAME,
                "warn",
                format!("{shown} does not exist"),
                Some("the daemon makes it when it starts"),
            );
        }
        Err(e) => return check(NAME, "fail", format!("{shown}: {e}"), None),
    };
    let mode = metadata.mode() & 0o777;
    match () {
        () if !metadata.is_dir() => check(
            NAME,
            "fail",
            format!("{shown} is not a folder"),
            Some("remove it, or choose another --socket"),
        ),
        () if mode & 0o077 != 0 => {
            let hint = shell::word(folder).map(|word| format!("`chmod 700 {word}`"));
            check(
                NAME,
                "warn",
                format!("{shown} has mode {mode:o}: other users can read it"),
                hint.as_deref(),
            )
        }
        () => check(NAME, "ok", format!("{shown}, mode {mode:o}"), None),
    }
}

#[cfg(not(unix))]
fn socket_folder(folder: &Path) -> Check {
    check("socket folder", "ok", text::path(folder, None), None)
}

fn show(out: &mut Out, checks: &[Check]) -> Result<(), Failure> {
    let name_width = checks
        .iter()
        .map(|check| text::width(&text::escape(&check.name)))
        .max()
        .unwrap_or(0);
    for check in checks {
        let (sign, color) = match check.state.as_str() {
            "ok" => ("✓", Color::Green),
            "warn" => ("!", Color::Yellow),
            _ => ("✗", Color::Red),
        };
        let name = text::escape(&check.name);
        let padding = " ".repeat(name_width - text::width(&name));
        let sign = out.paint(color, sign);
        out.line(&format!("{sign} {name}{padding}  {}", text::escape(&check.detail)))?;
        if let Some(hint) = &check.hint {
            let label = out.paint(Color::Green, "hint:");
            out.line(&format!("  {:name_width$}  {label} {}", "", text::escape(hint)))?;
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_store_that_did_not_open_ten_times_names_the_one_command() {
        let folder = tempfile::tempdir().unwrap();
        assert!(unopened(folder.path()).is_none());
        let noted = |n: u32| {
            let text = format!("{n}\n1795352701\ncannot open the store: Input/output error (os error 5)\n");
            std::fs::write(folder.path().join("store.unopened"), text).unwrap();
            unopened(folder.path()).unwrap()
        };
        let first = noted(1);
        assert_eq!(first.state, "fail");
        assert!(first.detail.contains("once") && first.detail.contains("os error 5"), "{first:?}");
        assert!(!first.hint.unwrap().contains("set-aside-unreadable"));
        assert!(!noted(9).hint.unwrap().contains("set-aside-unreadable"));
        assert!(noted(10).hint.unwrap().contains("`scened set-aside-unreadable`"));
    }

    #[test]
    fn the_socket_folder_is_ours_alone_or_worth_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let set = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o700);
        assert_eq!(socket_folder(folder.path()).state, "ok");
        set(0o755);
        let open = socket_folder(folder.path());
        assert_eq!(open.state, "warn");
        assert!(open.hint.unwrap().starts_with("`chmod 700 "));
        assert_eq!(socket_folder(&folder.path().join("gone")).state, "warn");
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(socket_folder(&folder.path().join("file")).state, "fail");
    }
}
