//! Communication between the daemon and systemd: ready, status, watchdog, and the socket handed over.
//!
//! Without systemd (no `NOTIFY_SOCKET`, no `LISTEN_FDS`) every function does nothing. There are no threads: the caller's loop calls
//! [`watchdog`] at every [`watchdog_interval`], so that a loop that hangs is noticed.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// Reports that the socket answers.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Shows `text` in `systemctl --user status scened`.
pub fn status(text: &str) {
    // A line break would end the assignment and begin another.
    notify(&[NotifyState::Status(&text.replace(['\n', '\r'], " "))]);
}

/// Reports that the daemon is shutting down.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Reports that the main loop is alive.
pub fn watchdog() {
    notify(&[NotifyState::Watchdog]);
}

/// Returns the interval of calls to [`watchdog`]: half of the unit's limit, as sd_watchdog_enabled(3) advises. `None` = never.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
        .map(|limit| limit / 2)
        .filter(|interval| !interval.is_zero())
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::debug!(error = %e, "the service manager does not listen");
    }
}

/// Takes the listening socket that systemd opened for us. Returns `None` if there is none, and on every call but the first.
///
/// **Errors**: `InvalidInput` if the environment is malformed or there is more than one socket.
pub fn inherited_socket() -> io::Result<Option<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let mut descriptors = sd_notify::listen_fds()?;
    let Some(descriptor) = descriptors.next() else {
        return Ok(None);
    };
    if descriptors.next().is_some() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the service manager handed over more than one socket",
        ));
    }
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(None);
    }
    // SAFETY: systemd opened this descriptor for this process alone (LISTEN_PID is our pid and listen_fds found it open). Nothing else in
    // the program knows its number, and TAKEN ensures that it gets one owner only.
    #[expect(unsafe_code, reason = "a descriptor inherited by number has no owner yet")]
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok(Some(owned))
}

#[cfg(test)]
mod tests;
