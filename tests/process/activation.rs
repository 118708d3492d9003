//! Socket activation: the service manager listens, and the daemon is started by the first client.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use testkit::{Sandbox, program, wait_until};

use crate::SOON;

/// Opens the socket as systemd does and then becomes the daemon: descriptor 3, LISTEN_FDS and LISTEN_PID of the very process.
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

fn environment(sandbox: &Sandbox, mut command: Command) -> Command {
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
    sandbox.film("a.mp4", &[("red", 1.0)]);
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
    // The manager goes on listening there.
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
    // It hands on none of its environment but what it is told to.
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
    // Its question waits in the socket until the daemon that it started is ready.
    let status = sandbox.ctl_json(["status"]);
    assert_eq!(status["pid"], daemon.pid());
    assert!(daemon.stop().success());
}
