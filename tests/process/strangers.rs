//! Other users of the machine: what they may not do to a daemon, and which of their files neither program uses.
//!
//! If the tests run as root, they run processes as a second user. Otherwise root's folders stand for another user's, and tests that need
//! another user's process are not run and report that.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use testkit::{Sandbox, processes, wait_until};

use crate::SOON;

/// `EX_CONFIG`.
const SETUP: i32 = 78;
/// The user `nobody`, or whatever user has this id: no file of a test belongs to it.
const STRANGER: u32 = 65534;

fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("NOT RUN: only root can be two users; run the tests as root, or in a container");
    }
    root
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Runs a script as the other user.
fn as_stranger(script: &str, argument: &Path) -> Output {
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(argument).uid(STRANGER).gid(STRANGER);
    command.output().unwrap()
}

const SPEAK: &str = r#"
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
try:
    peer.sendall(b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":1,"client":"x","version":"0"}}\n')
    print("heard", peer.recv(1000))
except (ConnectionResetError, BrokenPipeError):
    print("heard", b"")
"#;

#[test]
fn another_user_is_kept_out_by_the_folder_and_then_by_the_daemon() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    mode(sandbox.path(), 0o755);
    let said = as_stranger(SPEAK, &sandbox.socket());
    assert!(String::from_utf8_lossy(&said.stderr).contains("PermissionError"), "{said:?}");
    // Even with everything open by mistake, the daemon would not answer.
    mode(sandbox.socket().parent().unwrap(), 0o777);
    mode(&sandbox.socket(), 0o777);
    for _ in 0..50 {
        let said = as_stranger(SPEAK, &sandbox.socket());
        assert_eq!(String::from_utf8_lossy(&said.stdout), "heard b''\n", "{said:?}");
    }
    sandbox.say("status").expect(0);
    let log = fs::read_to_string(sandbox.log()).unwrap();
    let n_complaints = log.lines().filter(|line| line.contains(&format!("uid {STRANGER}"))).count();
    assert_eq!(n_complaints, 1, "a stranger who keeps knocking does not fill the log: {log}");
}

#[test]
fn scenectl_says_nothing_to_the_socket_of_another_user() {
    const SQUAT: &str = r"
import signal, socket, sys
signal.alarm(120)
peer = socket.socket(socket.AF_UNIX)
peer.bind(sys.argv[1])
peer.listen()
while True:
    caller, _ = peer.accept()
    try:
        heard = caller.recv(1000)
    except ConnectionResetError:
        continue
    if heard:
        print(heard, flush=True)
";
    if !is_root() {
        return;
    }
    for (theirs, what) in [
        ("the folder", "the socket's folder"),
        ("the socket", "the socket "),
        // The socket changed hands while the other user listened. The kernel reports who listens.
        ("the program", "the program that listens at"),
    ] {
        let sandbox = Sandbox::new();
        mode(sandbox.path(), 0o755);
        let folder = sandbox.socket().parent().unwrap().to_owned();
        fs::create_dir(&folder).unwrap();
        mode(&folder, 0o777);
        if theirs == "the folder" {
            chown(&folder, Some(STRANGER), None).unwrap();
        }
        let mut command = Command::new("python3");
        command.args(["-c", SQUAT]).arg(sandbox.socket()).uid(STRANGER).gid(STRANGER);
        let squatter = command.stdout(Stdio::piped()).spawn().unwrap();
        wait_until("the squatter", SOON, || {
            fs::metadata(sandbox.socket()).map_err(|error| error.to_string())
        });
        if theirs == "the program" {
            mode(&folder, 0o700);
            chown(sandbox.socket(), Some(0), None).unwrap();
        }
        let ran = sandbox.run(["search", "a secret"]);
        assert_ne!(ran.status, 0);
        ran.complains(what).complains(&format!("belongs to another user (uid {STRANGER})"));
        // A daemon neither takes over the socket nor removes it.
        let daemon = sandbox.run_daemon::<&str>([]);
        assert_eq!(daemon.status, SETUP, "{daemon:?}");
        processes::signal(squatter.id(), "KILL");
        assert!(squatter.wait_with_output().unwrap().stdout.is_empty(), "it heard something");
    }
}

#[test]
fn what_another_user_owns_or_may_write_to_is_not_used() {
    let sandbox = Sandbox::new();
    let refused = |arguments: &[&str], words: &[&str]| {
        let ran = sandbox.run_daemon(arguments).expect(SETUP);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in {ran:?}");
        }
    };
    let data = sandbox.path().join("their data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("a letter"), "").unwrap();
    mode(&data, 0o777);
    refused(
        &["--data-dir", data.to_str().unwrap()],
        &["other users may write", "0777", "chmod 700"],
    );
    mode(&sandbox.config(), 0o666);
    refused(&[], &["config.toml", "every user may write to it"]);
    mode(&sandbox.config(), 0o644);
    let real = sandbox.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = sandbox.path().join("link");
    symlink(&real, &link).unwrap();
    refused(&["--socket", link.join("s").to_str().unwrap()], &["symbolic link"]);
    let pipe = sandbox.path().join("pipe.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused(&["--config", pipe.to_str().unwrap()], &["pipe.toml"]);
    if !is_root() {
        // Owned by root, so by another user.
        refused(&["--data-dir", "/usr"], &["belongs to another user (uid 0)"]);
        return;
    }
    let whose = format!("belongs to another user (uid {STRANGER})");
    mode(&data, 0o755);
    chown(&data, Some(STRANGER), None).unwrap();
    refused(&["--data-dir", data.to_str().unwrap()], &[&whose]);
    chown(&real, Some(STRANGER), None).unwrap();
    refused(&["--socket", real.join("s").to_str().unwrap()], &[&whose]);
    chown(sandbox.config(), Some(STRANGER), None).unwrap();
    refused(&[], &[&whose]);
}

/// Lists everything below a folder that others may read, write or enter.
fn open_below(folder: &Path) -> Vec<String> {
    let mut open = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            // A cache may be replaced meanwhile.
            let Ok(found) = entry.metadata() else { continue };
            if found.mode() & 0o077 != 0 && !found.is_symlink() {
                open.push(format!("{} {:o}", entry.path().display(), found.mode() & 0o777));
            }
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    open
}

#[test]
fn whoever_installs_a_model_first_has_an_index_of_their_own_under_any_umask() {
    for umask in ["000", "022", "002"] {
        let sandbox = Sandbox::new();
        let with_umask = |program: &str| {
            let of_program = sandbox.command(program);
            let mut command = Command::new("sh");
            command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
            command.arg(of_program.get_program());
            for (name, value) in of_program.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            command
        };
        let model = testkit::repository().join("models/starter");
        let mut install = with_umask("scenectl");
        let installed = install
            .args(["model", "install"])
            .arg(model)
            .args(["--name", "mine"])
            .output()
            .unwrap();
        assert!(installed.status.success(), "{installed:?}");
        let of_folder = |folder: &Path| fs::metadata(folder).unwrap().mode() & 0o777;
        assert_eq!(of_folder(&sandbox.data()), 0o700, "after scenectl model install, umask {umask}");
        let daemon = sandbox.launch_as(with_umask("scened"));
        daemon.wait_until_ready();
        sandbox.video("red.mp4", &[("red", 2.0)]);
        sandbox.settle();
        assert_eq!(sandbox.search("red").len(), 1);
        daemon.stop();
        assert_eq!(of_folder(&sandbox.data()), 0o700);
        assert_eq!(open_below(&sandbox.data()), Vec::<String>::new(), "umask {umask}");
    }
}
