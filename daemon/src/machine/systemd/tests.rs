use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use interprocess::local_socket::tokio::prelude::*;

use super::*;
use crate::instance::Instance;

/// Environment variable of the child: the folder for its data.
const CHILD: &str = "SCENED_TEST_SERVICE_DIR";

/// The body of the child below, not a separate test: a small version of a daemon's main function.
#[test]
fn child_is_a_service() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let inherited = inherited_socket().unwrap();
    assert!(inherited.is_some(), "no socket was handed over");
    assert!(inherited_socket().unwrap().is_none(), "a descriptor has one owner");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let instance = Instance::acquire(Path::new(&folder)).unwrap();
        let listening = instance.listen(Path::new("not used"), inherited).unwrap();
        ready();
        let stream = listening.listener.accept().await.unwrap();
        crate::instance::check_peer(&stream).unwrap();
        status("answered\none question");
        assert_eq!(watchdog_interval(), Some(Duration::from_mins(5)));
        watchdog();
        stopping();
    });
}

/// Acts as systemd: listens, starts the service with the socket as descriptor 3, and receives its reports.
#[test]
fn a_service_is_handed_its_socket_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scened.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let notified = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    notified.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // LISTEN_PID is the service's own pid, which a shell knows before it becomes the service.
    let mut command = Command::new("sh");
    command
        .args(["-c", "LISTEN_PID=$$ exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "machine::systemd::tests::child_is_a_service"])
        .env(CHILD, folder.path().join("data"))
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .env("LISTEN_FDS", "1")
        .env("WATCHDOG_USEC", "600000000")
        .env_remove("WATCHDOG_PID")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mapping = FdMapping {
        parent_fd: OwnedFd::from(listener),
        child_fd: 3,
    };
    command.fd_mappings(vec![mapping]).unwrap();
    // The question is sent first: it waits in the socket until the service runs.
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"\n").unwrap();
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    for expected in ["READY=1\n", "STATUS=answered one question\n", "WATCHDOG=1\n", "STOPPING=1\n"] {
        let mut message = [0; 256];
        let length = notified.recv(&mut message).unwrap();
        assert_eq!(String::from_utf8_lossy(&message[..length]), expected);
    }
    // The service has ended, and so has its end of the connection. The path belongs to systemd and stays.
    let mut rest = Vec::new();
    let _end_or_reset = client.read_to_end(&mut rest);
    assert!(path.try_exists().unwrap());
}

#[test]
fn without_systemd_nothing_happens() {
    // Other tests of this process do not set these variables; a service manager around the tests would.
    if std::env::var_os("LISTEN_FDS").is_none() {
        assert!(inherited_socket().unwrap().is_none());
    }
    if std::env::var_os("WATCHDOG_USEC").is_none() {
        assert_eq!(watchdog_interval(), None);
    }
}
