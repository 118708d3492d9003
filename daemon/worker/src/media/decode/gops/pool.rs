//! Threads with a decoder each, which turn packets into frames and glimpses.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use ffmpeg_next::frame::Video;
use ffmpeg_next::{Discard, Error, Packet, decoder};

use super::DecodedFrame;
use crate::media::decode::clock::{Clock, FrameTime};
use crate::media::decode::track::Viewer;
use crate::media::ended::Unusable;
use crate::media::evidence;
use crate::media::pixels::glimpse::{Glimpse, Glimpser};
use crate::media::pixels::scale::ScaleError;

/// Capacity for jobs that wait for a thread. It exceeds the jobs ever under way, so that submitting one does not block.
const MAX_JOBS: usize = 256;
/// Minimum interval between kept pictures of one job, except at changes. Microseconds.
const KEEP_EVERY_US: i64 = 240_000;
/// Limit for the kept pictures of one job. Bytes.
const MAX_KEPT_BYTES: usize = 64 << 20;
/// Mean change of brightness from which on the pictures on both sides are kept. A scene of a few frames must have one.
const CHANGED: u32 = 10;

/// Packets to decode, from a keyframe on.
pub(super) struct Job {
    pub(super) packets: Vec<Arc<Packet>>,
    /// Time stamps of the wanted frames: from, and up to but not including.
    pub(super) wanted: (i64, i64),
    /// Skips non-reference frames. This takes about half the time, and serves for pictures only.
    pub(super) reference_frames_only: bool,
    pub(super) reply: SyncSender<Done>,
}

/// Result of a job.
#[derive(Default)]
pub(super) struct Done {
    pub(super) frames: Vec<DecodedFrame>,
    pub(super) n_bad_packets: u64,
    pub(super) n_corrupt_frames: u64,
    pub(super) n_unscaled: u64,
    pub(super) last_error: Option<ScaleError>,
    pub(super) decoding: Duration,
    pub(super) scaling: Duration,
}

/// The threads. They end when this is dropped.
pub(super) struct Pool {
    jobs: SyncSender<Job>,
}

/// A handle to wait for the result of a job.
pub(super) struct Ticket(Receiver<Done>);

impl Ticket {
    pub(super) fn wait(self) -> Done {
        // If the thread panicked, its frames are missing, as if they were damaged.
        self.0.recv().unwrap_or_default()
    }
}

impl Pool {
    /// Starts one thread for each decoder.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        decoders: Vec<decoder::Video>,
        clock: Clock,
        viewer: Viewer,
    ) -> Result<(Self, Vec<ScopedJoinHandle<'scope, ()>>), Unusable> {
        let (sender, receiver) = sync_channel(MAX_JOBS);
        let receiver: Arc<Mutex<Receiver<Job>>> = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::new();
        for decoder in decoders {
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new().name("gop".to_owned()).spawn_scoped(scope, move || {
                let mut thread = DecoderThread::new(decoder, clock, viewer);
                loop {
                    let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    let done = thread.decode(&job);
                    // No thread waits any more if the analysis was given up.
                    drop(job.reply.send(done));
                }
            });
            threads.push(thread.map_err(|error| {
                evidence::note_thread_error(&error);
                Unusable(format!("cannot start a thread: {error}"))
            })?);
        }
        Ok((Self { jobs: sender }, threads))
    }

    /// Submits packets for decoding. The result has the frames from `wanted.0` to before `wanted.1`.
    pub(super) fn decode(&self, packets: Vec<Arc<Packet>>, wanted: (i64, i64), reference_frames_only: bool) -> Ticket {
        let (reply, ticket) = sync_channel(1);
        let job = Job {
            packets,
            wanted,
            reference_frames_only,
            reply,
        };
        // If all threads have panicked, the ticket reports that.
        drop(self.jobs.send(job));
        Ticket(ticket)
    }
}

/// A decoder with what its frames need.
struct DecoderThread {
    decoder: decoder::Video,
    clock: Clock,
    viewer: Viewer,
    glimpser: Glimpser,
    frame: Video,
}

impl DecoderThread {
    fn new(decoder: decoder::Video, clock: Clock, viewer: Viewer) -> Self {
        Self {
            decoder,
            clock,
            viewer,
            glimpser: Glimpser::new(),
            frame: Video::empty(),
        }
    }

    fn decode(&mut self, job: &Job) -> Done {
        let started = Instant::now();
        let mut done = Done::default();
        done.frames.reserve_exact(job.packets.len());
        let mut keeper = Keeper::default();
        self.decoder.skip_frame(if job.reference_frames_only {
            Discard::NonReference
        } else {
            Discard::Default
        });
        for packet in &job.packets {
            if let Err(error) = self.decoder.send_packet(packet.as_ref()) {
                evidence::note_error(error);
                done.n_bad_packets += 1;
            }
            self.receive(job, &mut keeper, &mut done);
        }
        if self.decoder.send_eof().is_err() {
            done.n_bad_packets += 1;
        }
        self.receive(job, &mut keeper, &mut done);
        self.decoder.flush();
        done.decoding = started.elapsed().saturating_sub(done.scaling);
        done
    }

    fn receive(&mut self, job: &Job, keeper: &mut Keeper, done: &mut Done) {
        let mut n_errors = 0;
        loop {
            match self.decoder.receive_frame(&mut self.frame) {
                Ok(()) => self.take_frame(job, keeper, done),
                Err(Error::Eof | Error::Other { .. }) => return,
                Err(_) => {
                    done.n_bad_packets += 1;
                    n_errors += 1;
                    // A decoder that always answers with an error would be asked for ever.
                    if n_errors > job.packets.len() {
                        return;
                    }
                }
            }
        }
    }

    fn take_frame(&mut self, job: &Job, keeper: &mut Keeper, done: &mut Done) {
        let last_us = done.frames.last().map(|seen| seen.shown.start_us);
        let Some(stamp) = self.frame.timestamp() else { return };
        if stamp < job.wanted.0 || stamp >= job.wanted.1 {
            return;
        }
        if self.frame.is_corrupt() || self.frame.has_decode_errors() {
            done.n_corrupt_frames += 1;
        }
        let start_us = self.clock.time_us(stamp).max(last_us.unwrap_or(0)).max(0);
        let shown = FrameTime {
            start_us,
            end_us: start_us + self.clock.duration_us(self.frame.packet().duration),
        };
        self.viewer.prepare(&mut self.frame);
        let scaling = Instant::now();
        let mut glimpse = Glimpse::default();
        let shrunk = self.glimpser.shrink(&self.frame, &mut glimpse);
        done.scaling += scaling.elapsed();
        if let Err(error) = shrunk {
            done.n_unscaled += 1;
            done.last_error = Some(error);
            return;
        }
        let frame = std::mem::replace(&mut self.frame, Video::empty());
        keeper.take(
            &mut done.frames,
            DecodedFrame {
                shown,
                glimpse,
                frame: Some(frame),
            },
        );
    }
}

/// Decides which frames of a job keep their picture.
#[derive(Default)]
struct Keeper {
    /// The interval doubles whenever too much is kept.
    n_doublings: u32,
    kept_us: Option<i64>,
    n_kept: usize,
}

impl Keeper {
    /// Adds a frame, and drops the picture of the previous frame unless it must be kept.
    fn take(&mut self, frames: &mut Vec<DecodedFrame>, seen: DecodedFrame) {
        let max_kept = MAX_KEPT_BYTES / picture_bytes(&seen).max(1);
        let mut changed = false;
        if let Some(before) = frames.last_mut() {
            changed = change(&before.glimpse, &seen.glimpse) >= CHANGED;
            let interval_us = KEEP_EVERY_US << self.n_doublings.min(20);
            let due = self.kept_us.is_none_or(|kept| before.shown.start_us - kept >= interval_us);
            if due || changed {
                self.kept_us = Some(before.shown.start_us);
                self.n_kept += 1;
            } else {
                before.frame = None;
            }
        }
        frames.push(seen);
        if changed {
            // The frame after a change is kept, because it is due at once.
            self.kept_us = None;
        }
        if self.n_kept > max_kept.max(8) {
            self.thin(frames);
        }
    }

    /// Drops every other picture.
    fn thin(&mut self, frames: &mut [DecodedFrame]) {
        self.n_doublings += 1;
        self.n_kept = 0;
        let n = frames.len().saturating_sub(1);
        let mut keep = false;
        for seen in frames[..n].iter_mut().filter(|seen| seen.frame.is_some()) {
            keep = !keep;
            if keep {
                self.n_kept += 1;
            } else {
                seen.frame = None;
            }
        }
    }
}

fn picture_bytes(seen: &DecodedFrame) -> usize {
    seen.frame.as_ref().map_or(0, |frame| {
        (0..frame.planes())
            .map(|plane| frame.stride(plane) * frame.plane_height(plane) as usize)
            .sum()
    })
}

fn change(a: &Glimpse, b: &Glimpse) -> u32 {
    let sum: u32 = a.luma.iter().zip(&b.luma).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    sum / a.luma.len() as u32
}
