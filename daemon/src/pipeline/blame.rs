//! Decides who is to blame: the video, its drive, or the machine.
//!
//! Blame needs evidence. A worker that dies, or a read that the system refuses, looks the same for a broken video, a breaking drive, and a
//! machine that is short of memory. So other videos are tried first: a worker decodes a video that is known to be good, and other videos of
//! the same folder are read. A video that cannot be blamed is tried again after growing pauses. If it becomes an incident all the same, the
//! incident names the cause ([`Cause`]), and the video is tried again when that cause is gone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scened_common::domain::VideoId;
use tracing::{info, warn};

use super::state::State;
use super::{PipelineEvent, Shared};
use crate::store::{Cause, VideoRecord};

/// Number of other videos of a folder that are read if one cannot be read.
const N_ASKED: usize = 4;
/// Number of candidates. Only those on the same drive are read, because other drives may be mounted in the folder.
const N_LOOKED_AT: usize = 16;
/// The unit of pauses, shorter in tests.
const SECOND: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });
/// First pause of a folder whose drive gives errors. Each further pause is twice as long …
const FOLDER_PAUSE: Duration = SECOND.saturating_mul(10);
/// … up to this number of doublings: about ten minutes.
const MAX_DOUBLINGS: u32 = 6;
/// Pauses between attempts on a video that cannot be read while others of its folder can.
const PAUSES_AMONG_READABLE: [Duration; 2] = seconds([2, 5]);
/// The same if there is no other video to compare it with.
const PAUSES_ALONE: [Duration; 4] = seconds([10, 30, 120, 300]);
/// The same if the machine was short of a resource, or the worker was ended from outside, while workers decode a good video.
const PAUSES_OF_MACHINE: [Duration; 5] = seconds([5, 15, 45, 120, 300]);

const fn seconds<const N: usize>(numbers: [u32; N]) -> [Duration; N] {
    let mut pauses = [Duration::ZERO; N];
    let mut at = 0;
    while at < N {
        pauses[at] = SECOND.saturating_mul(numbers[at]);
        at += 1;
    }
    pauses
}

/// A watched folder that is left alone because its drive gives errors.
#[derive(Debug)]
pub(super) struct HeldFolder {
    until: Instant,
    n_times: u32,
    reason: String,
}

/// The evidence from other videos of a folder about one that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Neighbours {
    Readable,
    Unreadable,
    /// No other video gives evidence.
    None,
}

impl State {
    /// Returns until when a folder is left alone; `None` if it is not.
    pub(super) fn folder_is_held_until(&self, folder: &Path, now: Instant) -> Option<Instant> {
        self.held_folders.get(folder).map(|held| held.until).filter(|until| *until > now)
    }

    /// Returns the text for `status` about a folder that is left alone.
    pub(super) fn held_folder_in_words(&self) -> Option<String> {
        // If nothing is deferred or running, nothing waits for the folder.
        let waits = !self.deferred.is_empty() || !self.in_flight.is_empty();
        let held = self.held_folders.values().next().filter(|_| waits);
        held.map(|held| held.reason.clone())
    }

    /// Ends the pause of a folder whose drive works again. All deferred jobs are then tried now.
    pub(super) fn release_folder(&mut self, folder: &Path, now: Instant) {
        if self.held_folders.remove(folder).is_some() {
            info!(folder = %folder.display(), "its videos can be read again");
            self.deferred.values_mut().for_each(|until| *until = now);
        }
    }
}

impl Shared {
    /// Returns the watched folder of a video, or else the folder that contains it.
    pub(super) fn folder_of(&self, path: &Path) -> PathBuf {
        let of_root = (self.config.root_of)(path);
        of_root.unwrap_or_else(|| path.parent().unwrap_or(path).to_owned())
    }

    /// Handles a video that the system could not read.
    pub(super) fn unread(&self, record: &VideoRecord, reason: &str) {
        let folder = self.folder_of(&record.path);
        match self.ask_neighbours(&folder, record) {
            Neighbours::Unreadable => {
                self.hold_folder(record, &folder, reason);
                // Perhaps the drive is gone and its videos are offline.
                (self.parts.hook)(PipelineEvent::FileChanged { path: record.path.clone() });
            }
            Neighbours::Readable => self.suspect(record, reason, Cause::Storage, &PAUSES_AMONG_READABLE),
            Neighbours::None => self.suspect(record, reason, Cause::Storage, &PAUSES_ALONE),
        }
    }

    /// Reads a little of some other videos of a folder, bypassing the page cache.
    fn ask_neighbours(&self, folder: &Path, record: &VideoRecord) -> Neighbours {
        let mut others = self.parts.store.videos();
        others.retain(|other| other.id != record.id && !other.offline && other.path.starts_with(folder));
        others.sort_by(|a, b| a.path.cmp(&b.path));
        let mount = |path: &Path| crate::machine::mounts::mount_of(path).map(|mount| mount.point);
        let of_video = mount(&record.path);
        let on_its_drive = chosen(&others, &record.path)
            .into_iter()
            .filter(|other| mount(&other.path) == of_video);
        let (mut n_read, mut n_refused) = (0, 0);
        for other in on_its_drive.take(N_ASKED) {
            let at = other.path.clone();
            let looked = crate::machine::with_timeout::run(&other.path, move |_| crate::video_file::read_uncached(&at));
            match looked {
                Ok(()) => n_read += 1,
                Err(error) if is_of_drive(&error) => n_refused += 1,
                // The file is missing or may not be read: that says nothing about the drive.
                Err(_) => {}
            }
        }
        match (n_read, n_refused) {
            (0, 0) => Neighbours::None,
            (n_read, n_refused) if n_refused > n_read => Neighbours::Unreadable,
            _ => Neighbours::Readable,
        }
    }

    /// Leaves a folder alone for a while, and defers the job for as long.
    fn hold_folder(&self, record: &VideoRecord, folder: &Path, reason: &str) {
        let now = Instant::now();
        let mut state = self.lock();
        let held = state.held_folders.entry(folder.to_owned()).or_insert_with(|| HeldFolder {
            until: now,
            n_times: 0,
            reason: String::new(),
        });
        // Jobs that ran at the same time find the same fault; they count as one.
        if held.until <= now {
            let pause = FOLDER_PAUSE * (1 << held.n_times.min(MAX_DOUBLINGS));
            held.until = now + pause;
            held.n_times += 1;
            held.reason = format!(
                "several videos in {} {reason}; the drive may be failing; scened tries them again",
                folder.display()
            );
            warn!(folder = %folder.display(), reason, seconds = pause.as_secs(), "its videos cannot be read; they are left alone for a while");
        }
        let until = held.until;
        drop(state);
        self.defer(record, until);
        self.parts.activity.bump();
    }

    /// Defers a video that cannot be blamed yet. After the last pause, records an incident with its cause.
    pub(super) fn suspect(&self, record: &VideoRecord, reason: &str, cause: Cause, pauses: &[Duration]) {
        let n_doubts = {
            let mut state = self.lock();
            let n_doubts = state.doubts.entry(record.id).or_default();
            *n_doubts += 1;
            *n_doubts as usize
        };
        if let Some(pause) = pauses.get(n_doubts - 1) {
            warn!(reason, attempt = n_doubts, seconds = pause.as_secs(), "it is tried again");
            return self.defer(record, Instant::now() + *pause);
        }
        self.lock().doubts.remove(&record.id);
        let hint = match cause {
            Cause::Storage => "check the disk; scened tries again when the drive comes back and at each start (now: scenectl retry FILE)",
            Cause::Machine | Cause::Video => "scened tries again by itself (now: scenectl retry FILE)",
        };
        self.fail(record, reason, Some(hint), cause);
    }

    /// Handles a worker that was ended from outside or was short of a resource.
    pub(super) fn short(&self, record: &VideoRecord, reason: &str) {
        match self.why_no_worker_works() {
            Some(why) => self.machine_failed(record.id, &why),
            None => self.suspect(record, reason, Cause::Machine, &PAUSES_OF_MACHINE),
        }
    }

    /// Returns whether a part of a video is accepted as the result, because its attempts are used up.
    pub(super) fn takes_part_of(&self, video: VideoId) -> bool {
        self.lock()
            .doubts
            .get(&video)
            .is_some_and(|n_doubts| *n_doubts as usize >= PAUSES_AMONG_READABLE.len())
    }

    /// Has a worker decode a video that is known to be good. Returns why it fails; `None` if it succeeds.
    pub(super) fn why_no_worker_works(&self) -> Option<String> {
        self.parts
            .source
            .prove(self.config.n_cores as u32)
            .err()
            .map(|error| error.to_string())
    }

    /// Holds all jobs for a while, and puts this one back into the queue.
    pub(super) fn machine_failed(&self, video: VideoId, reason: &str) {
        self.lock().n_machine_failures += 1;
        self.hold_off(reason);
        self.again(video);
    }

    /// Notes that the machine works: videos that failed because of it are tried again.
    pub(super) fn machine_works(&self) {
        if std::mem::take(&mut self.lock().n_machine_failures) == 0 {
            return;
        }
        let laid_to_it = |incident: &crate::store::IncidentRecord| incident.cause == Some(Cause::Machine);
        match self.parts.store.retry_incidents(laid_to_it, crate::machine::clock::now_ms()) {
            Ok(0) => {}
            Ok(n_queued) => info!(n_queued, "videos that failed because of the machine are tried again"),
            Err(error) => warn!(%error, "videos that failed because of the machine cannot be queued again; the next start does it"),
        }
    }

    /// Defers a job until `until`. If its record has changed meanwhile, the job goes into the queue at once.
    pub(super) fn defer(&self, record: &VideoRecord, until: Instant) {
        let now = self.parts.store.video(record.id);
        if now.is_none_or(|now| now.stamp != record.stamp || now.state != record.state) {
            return self.finished(record.id, 0);
        }
        let mut state = self.lock();
        state.in_flight.remove(&record.id);
        state.pace.finished(0, Instant::now());
        state.deferred.insert(record.id, until);
        drop(state);
        self.changed.notify_all();
    }
}

/// Returns the nearest videos by name, and some from all over the folder.
fn chosen<'a>(others: &'a [Arc<VideoRecord>], path: &Path) -> Vec<&'a Arc<VideoRecord>> {
    let n = others.len();
    let at = others.partition_point(|other| other.path.as_path() < path);
    let near = [at.checked_sub(1), Some(at).filter(|at| *at < n)].into_iter().flatten();
    let spread = (0..n).step_by((n / N_LOOKED_AT).max(1));
    let mut places: Vec<usize> = Vec::new();
    for place in near.chain(spread) {
        if places.len() < N_LOOKED_AT && !places.contains(&place) {
            places.push(place);
        }
    }
    places.into_iter().map(|place| &others[place]).collect()
}

/// Returns whether a failed read is evidence about the drive, and not about one file's name or permissions, or this process.
fn is_of_drive(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let of_process = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN, Errno::INTR];
    let of_file = matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
    );
    crate::machine::with_timeout::is_timeout(error)
        || !of_file
            && error
                .raw_os_error()
                .is_some_and(|code| !of_process.contains(&Errno::from_raw_os_error(code)))
}
