//! A log that cannot be written costs the log and nothing else.

use std::fs::File;
use std::io::{self, Write as _};
use std::process::Stdio;

use testkit::{Daemon, Sandbox, wait_until};

use crate::SOON;

/// A standard error, and a reader that has to live as long as the daemon.
type Log = (Stdio, Option<io::PipeReader>);

fn nobody_reads() -> Log {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    (writer.into(), None)
}

/// The pipe is open, and full.
fn the_reader_stands_still() -> Log {
    let (reader, mut writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (writer.into(), Some(reader))
}

fn a_full_disk() -> Log {
    (File::options().write(true).open("/dev/full").unwrap().into(), None)
}

fn lives_with(log: Log, name: &str) {
    let sandbox = Sandbox::new();
    // The log is verbose.
    sandbox.configure("log = \"debug\"\n");
    sandbox.video("a.mp4", &[("red", 1.0), ("green", 1.2)]);
    let (stderr, _reader) = log;
    let mut daemon = start(&sandbox, stderr);
    daemon.wait_until_ready();
    for n in 0..3 {
        sandbox.video(format!("{n}.mp4"), &[("blue", 0.5)]);
        wait_until(&format!("{name}: the videos"), SOON, || {
            sandbox.settle();
            let counts = sandbox.counts();
            if counts == [n + 2, 0, 0, 0] {
                Ok(())
            } else {
                Err(format!("{counts:?}"))
            }
        });
    }
    assert_eq!(sandbox.search("red").len(), 5, "{name}");
    assert!(daemon.is_alive() && daemon.stop().success(), "{name}");
}

fn start(sandbox: &Sandbox, stderr: Stdio) -> Daemon<'_> {
    sandbox.launch_logging(sandbox.command("scened"), stderr)
}

#[test]
fn without_a_reader_everything_goes_on() {
    lives_with(nobody_reads(), "nobody reads");
}

#[test]
fn with_a_reader_that_stands_still_everything_goes_on() {
    lives_with(the_reader_stands_still(), "the reader stands still");
}

#[test]
fn on_a_full_disk_everything_goes_on() {
    lives_with(a_full_disk(), "a full disk");
}

#[test]
fn a_last_word_that_nobody_reads_holds_up_no_end() {
    for log in [nobody_reads(), the_reader_stands_still(), a_full_disk()] {
        let sandbox = Sandbox::new();
        std::fs::write(sandbox.config(), "nonsense").unwrap();
        let mut daemon = start(&sandbox, log.0);
        assert_eq!(daemon.wait_for_end().code(), Some(78));
    }
}
