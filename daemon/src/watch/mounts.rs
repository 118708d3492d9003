//! Tells when file systems are mounted or unmounted: inotify says nothing in the folder that a mount covers or uncovers.

use std::path::PathBuf;

use super::{Change, EventSender};

/// A thread that sleeps in `poll` on `/proc/self/mountinfo` until the table of mounts changes. Dropping it ends the thread.
#[cfg(target_os = "linux")]
pub struct MountWatch {
    /// Closing it wakes the thread.
    stop: Option<rustix::fd::OwnedFd>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[cfg(target_os = "linux")]
impl MountWatch {
    pub fn start(events: EventSender) -> std::io::Result<Self> {
        use rustix::event::{PollFd, PollFlags, poll};
        let table = std::fs::File::open("/proc/self/mountinfo")?;
        let (stopped, stop) = std::os::unix::net::UnixStream::pair()?;
        let thread = std::thread::Builder::new().name("mounts".into()).spawn(move || {
            loop {
                let mut fds = [
                    PollFd::new(&table, PollFlags::PRI | PollFlags::ERR),
                    PollFd::new(&stopped, PollFlags::IN),
                ];
                match poll(&mut fds, None) {
                    Ok(_) if !fds[1].revents().is_empty() => return,
                    Ok(_) => events.send(Change::Mounts),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => {
                        tracing::debug!(%error, "the table of mounts cannot be watched any more");
                        return;
                    }
                }
            }
        })?;
        Ok(Self {
            stop: Some(stop.into()),
            thread: Some(thread),
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

/// Elsewhere roots are only polled.
#[cfg(not(target_os = "linux"))]
pub struct MountWatch;

#[cfg(not(target_os = "linux"))]
impl MountWatch {
    pub fn start(_events: EventSender) -> std::io::Result<Self> {
        Ok(Self)
    }
}

/// The mount points of this process, sorted; empty where the system has no table.
pub fn mount_points() -> Vec<PathBuf> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut points: Vec<PathBuf> = parse_mount_points(&table);
    points.sort();
    points
}

/// Fifth field of each line, with its octal escapes undone. Stacked mounts are kept, so that their number tells a change.
fn parse_mount_points(table: &[u8]) -> Vec<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(std::ffi::OsString::from_vec(unescape(field))))
        .collect()
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'\\'
            && let Some(digits) = tail.get(..3)
            && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        {
            plain.push(
                digits
                    .iter()
                    .fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')),
            );
            rest = &tail[3..];
        } else {
            plain.push(byte);
            rest = tail;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let table =
            b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n40 22 8:17 / /media/My\\040Disk\\134x rw,relatime shared:1 - vfat /dev/sdb1 rw\n";
        assert_eq!(parse_mount_points(table), [PathBuf::from("/"), PathBuf::from("/media/My Disk\\x")]);
    }

    #[test]
    fn the_thread_ends_when_dropped() {
        let (sender, _receiver) = crate::watch::event_queue(4);
        drop(MountWatch::start(sender).unwrap());
    }
}
