//! Reports mounts and unmounts of file systems: inotify reports nothing in the folder that a mount covers or uncovers.

#[cfg(target_os = "linux")]
use super::Change;
use super::EventSender;
#[cfg(target_os = "linux")]
use crate::machine::mounts;
#[cfg(target_os = "linux")]
use crate::supervise::{self, End, Supervised};

/// A thread that sleeps in `poll` on `/proc/thread-self/mountinfo` until the table of mounts changes. Dropping it ends the thread.
#[cfg(target_os = "linux")]
pub struct MountWatch {
    /// Closing it wakes the thread.
    stop: Option<rustix::fd::OwnedFd>,
    thread: Option<std::thread::JoinHandle<()>>,
    _supervised: std::sync::Arc<Supervised>,
}

#[cfg(target_os = "linux")]
impl MountWatch {
    pub fn start(events: EventSender) -> std::io::Result<Self> {
        use rustix::event::{PollFd, PollFlags, poll};
        let table = std::fs::File::open(mounts::TABLE)?;
        let (stopped, stop) = std::os::unix::net::UnixStream::pair()?;
        let supervised = Supervised::new("mounts", "scened notices connected and removed drives late");
        let mut is_again = false;
        let body = move || {
            // Something may have changed before the restart.
            if std::mem::replace(&mut is_again, true) {
                events.send(Change::Mounts);
            }
            loop {
                let mut fds = [
                    PollFd::new(&table, PollFlags::PRI | PollFlags::ERR),
                    PollFd::new(&stopped, PollFlags::IN),
                ];
                match poll(&mut fds, None) {
                    Ok(_) if !fds[1].revents().is_empty() => return End::Asked,
                    Ok(_) => {
                        crate::failpoint::panic_here("mounts");
                        events.send(Change::Mounts);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return End::Lost(format!("the table of mounts cannot be watched: {error}")),
                }
            }
        };
        let thread = supervise::spawn(&supervised, body, |_| ())?;
        Ok(Self {
            stop: Some(stop.into()),
            thread: Some(thread),
            _supervised: supervised,
        })
    }
}

#[cfg(target_os = "linux")]
impl Drop for MountWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches mounts panicked");
        }
    }
}

/// On other systems roots are only polled.
#[cfg(not(target_os = "linux"))]
pub struct MountWatch;

#[cfg(not(target_os = "linux"))]
impl MountWatch {
    pub fn start(_events: EventSender) -> std::io::Result<Self> {
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_ends_when_dropped() {
        let (sender, _receiver) = crate::watch::event_queue(4);
        drop(MountWatch::start(sender).unwrap());
    }
}
