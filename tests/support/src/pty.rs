//! A terminal for a program: captures what a person at a terminal would see, including colours and progress bars.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Runs a program with a terminal for all its streams, for at most `limit`, and returns every byte that it wrote there.
pub fn run(command: &mut Command, limit: Duration) -> Vec<u8> {
    run_until(command, limit, |_| false)
}

/// Runs a program as [`run`] does, and ends it when `is_enough` accepts its output so far.
pub fn run_until(command: &mut Command, limit: Duration, is_enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (ours, theirs) = open();
    talk(command, limit, ours, theirs, is_enough, |_| Vec::new())
}

/// Runs a program in a session of its own, on a terminal of so many columns and rows that answers. Each time something was written,
/// `answer` gets everything written so far and returns what is typed then.
pub fn run_answering(command: &Command, limit: Duration, size: (u16, u16), answer: impl FnMut(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (ours, theirs) = open();
    let size = rustix::termios::Winsize {
        ws_col: size.0,
        ws_row: size.1,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&ours, size).expect("a terminal has a size");
    // setsid (util-linux) makes standard input the controlling terminal, which is then /dev/tty.
    let mut own_session = Command::new("setsid");
    own_session
        .args(["--ctty", "--wait"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => own_session.env(name, value),
            None => own_session.env_remove(name),
        };
    }
    talk(&mut own_session, limit, ours, theirs, |_| false, answer)
}

fn open() -> (OwnedFd, File) {
    let ours: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal can be had");
    grantpt(&ours).expect("it is ours");
    unlockpt(&ours).expect("it is ours");
    let name = ptsname(&ours, Vec::new()).expect("it has a name");
    let theirs = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().expect("a name in /dev is UTF-8"))
        .expect("it opens");
    (ours, theirs)
}

fn talk(
    command: &mut Command,
    limit: Duration,
    ours: OwnedFd,
    theirs: File,
    is_enough: impl Fn(&[u8]) -> bool,
    mut answer: impl FnMut(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let stream = || Stdio::from(theirs.try_clone().expect("a descriptor is free"));
    let mut child = command
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .stdin(stream())
        .stdout(stream())
        .stderr(stream())
        .spawn()
        .expect("the program starts");
    // The command keeps its streams open, so without this the program's end would not end the reading.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(theirs);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let for_reader = Arc::clone(&heard);
    let mut keys = File::from(ours.try_clone().expect("a descriptor is free"));
    let reader = std::thread::spawn(move || {
        let mut screen = File::from(ours);
        let mut piece = [0; 4096];
        loop {
            match screen.read(&mut piece) {
                Ok(0) => return,
                Ok(n) => for_reader.lock().expect("nobody panics").extend_from_slice(&piece[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A terminal reports this error once no process has it open any more.
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()), "{error}");
                    return;
                }
            }
        }
    });
    let deadline = Instant::now() + limit;
    let mut n_answered = 0;
    while child.try_wait().expect("the child can be asked").is_none() {
        if Instant::now() > deadline || is_enough(&heard.lock().expect("nobody panics")) {
            child.kill().expect("the program is stopped");
        }
        let so_far = heard.lock().expect("nobody panics").clone();
        if so_far.len() > n_answered {
            n_answered = so_far.len();
            // The program may have ended meanwhile.
            drop(keys.write_all(&answer(&so_far)));
        }
        crate::pause(Duration::from_millis(10));
    }
    reader.join().expect("the terminal is read");
    let heard = heard.lock().expect("nobody panics");
    heard.clone()
}
