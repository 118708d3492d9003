//! Socket activation: the service manager listens, and the first client starts the daemon.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use testkit::{Sandbox, program, wait_until};

use crate::SOON;

/// Opens the socket as systemd does and then becomes the daemon: descriptor 3, LISTEN_FDS and LISTEN_PID of the same process.
const HAND_OVER: &str = r#"
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o600)
listener.listen(16)
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], [sys.argv[2]])
"#;

/// Gives a command the sandbox's environment.
pub(crate) fn environment(sandbox: &Sandbox, mut command: Command) -> Command {
    for (key, value) in sandbox.command("scened").get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    command
}

#[test]
fn a_listening_descriptor_is_taken_over_and_its_path_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let folder = sandbox.socket().parent().unwrap().to_owned();
    fs::create_dir(&folder).unwrap();
    let mut command = environment(&sandbox, Command::new("python3"));
    command.args(["-c", HAND_OVER]).arg(sandbox.socket()).arg(program("scened"));
    let daemon = sandbox.launch_as(command);
    wait_until("the socket", SOON, || {
        fs::metadata(sandbox.socket()).map_err(|error| error.to_string())
    });
    let inode = fs::metadata(sandbox.socket()).unwrap().ino();
    daemon.wait_until_ready();
    assert_eq!(sandbox.ctl_json(["status"])["pid"], daemon.pid());
    sandbox.settle();
    sandbox.run(["search", "red"]).expect(0).says("a.mp4");
    assert!(daemon.stop().success());
    // The manager still listens there.
    assert_eq!(fs::metadata(sandbox.socket()).unwrap().ino(), inode);
}

#[test]
fn the_first_client_starts_the_daemon() {
    let sandbox = Sandbox::new();
    let Ok(activate) = fs::canonicalize("/usr/bin/systemd-socket-activate") else {
        eprintln!("NOT RUN: systemd-socket-activate is not installed");
        return;
    };
    let folder = sandbox.socket().parent().unwrap().to_owned();
    fs::create_dir(&folder).unwrap();
    let mut command = environment(&sandbox, Command::new(activate));
    command.arg("-l").arg(sandbox.socket());
    // It passes on only those variables that it is given.
    for (key, value) in sandbox.command("scened").get_envs() {
        if let Some(value) = value {
            command
                .arg("-E")
                .arg(format!("{}={}", key.to_str().unwrap(), value.to_str().unwrap()));
        }
    }
    if let Some(library) = std::env::var_os("SCENED_ONNXRUNTIME") {
        command.arg("-E").arg(format!("SCENED_ONNXRUNTIME={}", library.to_str().unwrap()));
    }
    command.arg(program("scened"));
    let daemon = sandbox.launch_as(command);
    wait_until("the socket", SOON, || {
        fs::metadata(sandbox.socket()).map_err(|error| error.to_string())
    });
    // The query waits in the socket until the daemon that it started is ready.
    let status = sandbox.ctl_json(["status"]);
    assert_eq!(status["pid"], daemon.pid());
    assert!(daemon.stop().success());
}

/// Hands one socket to many daemons.
const HAND_OVER_TO_MANY: &str = r#"
import os, socket, subprocess, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(sys.argv[1])
listener.listen(16)
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
become = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0"'
many = [subprocess.Popen(["sh", "-c", become, sys.argv[2]], close_fds=False) for _ in range(int(sys.argv[3]))]
for one in many:
    print(one.wait(), flush=True)
"#;

#[test]
fn of_many_that_are_handed_one_socket_one_answers_there() {
    const N: usize = 50;
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.socket().parent().unwrap()).unwrap();
    let mut command = environment(&sandbox, Command::new("python3"));
    command
        .args(["-c", HAND_OVER_TO_MANY])
        .arg(sandbox.socket())
        .arg(program("scened"))
        .arg(N.to_string());
    let log = fs::File::create(sandbox.log()).unwrap();
    let started = command.stdout(std::process::Stdio::piped()).stderr(log).spawn().unwrap();
    let said = || fs::read_to_string(sandbox.log()).unwrap();
    wait_until("all but one to leave", SOON, || {
        let n_left = said().matches("another scened (process ").count();
        if n_left == N - 1 {
            Ok(())
        } else {
            Err(format!("{n_left} have left"))
        }
    });
    let pid = sandbox.ctl_json(["status"])["pid"].as_u64().unwrap();
    assert_eq!(
        said().matches(&format!("another scened (process {pid})")).count(),
        N - 1,
        "{}",
        said()
    );
    assert!(testkit::processes::signal(pid as u32, "TERM"));
    let ended = String::from_utf8(started.wait_with_output().unwrap().stdout).unwrap();
    let statuses: Vec<&str> = ended.lines().collect();
    assert_eq!(statuses.iter().filter(|status| **status == "3").count(), N - 1, "{ended}");
    assert_eq!(statuses.iter().filter(|status| **status == "0").count(), 1, "{ended}");
    assert!(fs::symlink_metadata(sandbox.socket()).is_ok(), "the path is the service manager's");
}
