//! Starts a player that keeps running when we exit: in its own session, with none of our streams.

use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use super::Plan;

/// How long a player is watched: one that cannot show the video fails sooner.
const WATCHED: Duration = Duration::from_millis(300);

/// A started player.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: u32,
    ended: Receiver<io::Result<ExitStatus>>,
}

impl Started {
    /// Returns the status of a player that failed at once. A player that exited successfully may have handed the video to a running
    /// instance.
    pub(crate) fn failed_at_once(&self) -> Option<ExitStatus> {
        let status = self.ended.recv_timeout(WATCHED).ok()?.ok()?;
        (!status.success()).then_some(status)
    }
}

pub(crate) fn start(plan: &Plan) -> io::Result<Started> {
    let mut command = Command::new(&plan.program);
    command
        .args(&plan.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // A player keeps its working folder busy, and with it a drive that the user may want to unplug.
    let home = std::env::home_dir().filter(|home| home.is_dir());
    if let Some(folder) = plan.folder.clone().filter(|folder| folder.is_dir()).or(home) {
        command.current_dir(folder);
    }
    detach(&mut command);
    let mut child = command.spawn()?;
    let pid = child.id();
    let (tell, ended) = sync_channel(1);
    // Waits for as long as this program lives, so that no zombie is left; the receiver may be gone.
    std::thread::spawn(move || drop(tell.send(child.wait())));
    Ok(Started { pid, ended })
}

#[cfg(unix)]
fn detach(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    #[expect(unsafe_code, reason = "only the child itself can leave our session, between fork and exec")]
    // SAFETY: setsid is safe to call after fork (signal-safety(7)); nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        });
    }
}

#[cfg(windows)]
fn detach(command: &mut Command) {
    use std::os::windows::process::CommandExt as _;
    const DETACHED_PROCESS: u32 = 0x0000_0008;
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
    command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
}

#[cfg(not(any(unix, windows)))]
fn detach(_command: &mut Command) {}
