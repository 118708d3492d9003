//! Reads GOPs, has keyframes and doubtful GOPs decoded, and reports frames and boundaries in the order of the video.

use std::collections::VecDeque;
use std::time::Instant;

use scened_common::media::request::SceneMode;
use scened_shots::{Found, ShotDetector};

use super::group::{Gop, Gops, sizes_of};
use super::pool::{Done, Pool, Ticket};
use super::skip::judge::{self, Decision, Evidence};
use super::survey::Kind;
use super::{DecodedFrame, GopEvent, Outcome};
use crate::media::decode::clock::Clock;
use crate::media::decode::video::OpenVideo;
use crate::media::ended::Ended;
use crate::media::pixels::glimpse::Glimpse;

/// How long the detector sees a still: the first picture before a run of decoded GOPs, and the last one after it. Microseconds.
const STILL_US: i64 = 1_600_000;
/// Limit for the packets of the GOPs in hand. Bytes.
const MAX_BYTES_IN_HAND: usize = 384 << 20;

/// A moving shot is sampled at least this often. Microseconds.
const UNSEEN_US: i64 = 5_000_000;
/// Ratio of the mean packet size to the size of the keyframe from which on a GOP counts as moving.
const MOVES: f64 = 0.03;
/// Number of keyframes that a GOP is judged by: its own and the next two. This many are always read, however large.
const N_KEYS: usize = 3;
/// Number of packets of the next GOP that are examined to judge its keyframe.
const LOOKED_AHEAD: usize = 16;

/// Receives what is reported, in the order of the video.
pub(super) type Report<'a> = dyn FnMut(&OpenVideo, GopEvent) -> Result<(), Ended> + 'a;

/// A GOP whose keyframe is being decoded.
struct Asked {
    gop: Gop,
    key: Option<Key>,
}

enum Key {
    Asked(Ticket),
    Seen(Option<Box<DecodedFrame>>),
}

/// A GOP that has been decided on.
struct Decided {
    end: Option<i64>,
    n_bytes: usize,
    decision: Decision,
    key: Option<Box<DecodedFrame>>,
    whole: Option<Ticket>,
}

/// Analyses a video from its beginning, with `n_threads` decoding threads.
pub(crate) fn run(video: &mut OpenVideo, kind: Kind, mode: SceneMode, n_threads: usize, report: &mut Report<'_>) -> Result<Outcome, Ended> {
    let decoders = (0..n_threads.max(1))
        .map(|_| video.single_decoder(mode == SceneMode::Fast))
        .collect::<Result<Vec<_>, _>>()?;
    std::thread::scope(|scope| {
        let (pool, _threads) = Pool::start(scope, decoders, video.clock(), video.viewer())?;
        let mut cascade = Cascade {
            kind,
            mode,
            clock: video.clock(),
            n_ahead: n_threads.max(1) + 3,
            gops: Gops::new(kind),
            asked: VecDeque::new(),
            decided: VecDeque::new(),
            bytes_in_hand: 0,
            run: None,
            outcome: Outcome::default(),
            pool,
        };
        cascade.work(video, report)?;
        Ok(cascade.outcome)
    })
}

struct Cascade {
    kind: Kind,
    mode: SceneMode,
    clock: Clock,
    /// Number of GOPs that are decoded whole at the same time.
    n_ahead: usize,
    gops: Gops,
    asked: VecDeque<Asked>,
    decided: VecDeque<Decided>,
    bytes_in_hand: usize,
    /// A run of consecutive GOPs whose frames the detector sees.
    run: Option<Run>,
    outcome: Outcome,
    pool: Pool,
}

struct Run {
    detector: Box<ShotDetector>,
    /// The run reports only boundaries after this time.
    start_us: i64,
    last: Option<(i64, Glimpse)>,
}

impl Cascade {
    fn work(&mut self, video: &mut OpenVideo, report: &mut Report<'_>) -> Result<(), Ended> {
        let mut at_end = false;
        loop {
            while !at_end && self.has_room() {
                match self.gops.read(video) {
                    Some(gop) => self.ask(gop),
                    None => at_end = true,
                }
            }
            let n_whole = self.decided.iter().filter(|decided| decided.whole.is_some()).count();
            let can_decide = self.asked.len() >= N_KEYS || (at_end && !self.asked.is_empty());
            if can_decide && (n_whole < self.n_ahead || self.decided.is_empty()) {
                self.decide();
            } else if let Some(decided) = self.decided.pop_front() {
                self.bytes_in_hand -= decided.n_bytes;
                self.report_gop(video, decided, report)?;
            } else if at_end {
                break;
            }
        }
        self.end_video(video, report)?;
        if let Some((stamp, duration)) = self.gops.last {
            self.outcome.end_us = self.clock.time_us(stamp) + self.clock.duration_us(duration);
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.asked.len() < 2 * self.n_ahead && (self.bytes_in_hand < MAX_BYTES_IN_HAND || self.asked.len() < N_KEYS)
    }

    fn ask(&mut self, gop: Gop) {
        self.outcome.n_gops += 1;
        self.bytes_in_hand += gop.n_bytes;
        let key = match self.mode {
            SceneMode::Exact => None,
            SceneMode::Fast => Some(Key::Asked(self.pool.decode(vec![gop.key()], (i64::MIN, i64::MAX), false))),
        };
        self.asked.push_back(Asked { gop, key });
    }

    /// Decides on the first GOP in the queue.
    fn decide(&mut self) {
        for index in 0..N_KEYS {
            self.see_key(index);
        }
        let Some(Asked { gop, key }) = self.asked.pop_front() else { return };
        let key = match key {
            Some(Key::Seen(key)) => key,
            _ => None,
        };
        let decision = match &key {
            Some(key) if self.seen_key(0).is_some() || gop.end.is_none() => self.judge(&gop, &key.glimpse),
            // A keyframe gives no picture, or exact mode needs all frames.
            _ => Decision::Doubtful,
        };
        let (start, end, n_bytes) = (gop.start, gop.end, gop.n_bytes);
        let whole = match decision {
            Decision::Quiet | Decision::CutAtEnd => self.moves_for_us(&gop).map(|after_us| {
                let (packets, until) = gop.beginning(after_us, self.clock);
                self.pool.decode(packets, (start, until), true)
            }),
            Decision::Doubtful => Some(self.pool.decode(gop.packets, (start, end.unwrap_or(i64::MAX)), false)),
            Decision::DoubtfulUntil { after_us, .. } => {
                let (packets, until) = gop.beginning(after_us, self.clock);
                Some(self.pool.decode(packets, (start, until), false))
            }
        };
        self.outcome.n_gops_decoded += u64::from(whole.is_some());
        self.decided.push_back(Decided {
            end,
            n_bytes,
            decision,
            key,
            whole,
        });
    }

    fn see_key(&mut self, index: usize) {
        let Some(asked) = self.asked.get_mut(index) else { return };
        if let Some(Key::Asked(ticket)) = asked.key.take_if(|key| matches!(key, Key::Asked(_))) {
            let done = ticket.wait();
            note(&mut self.outcome, &done);
            // A damaged keyframe shows nothing, so its surroundings are decoded.
            let seen = done.frames.into_iter().next().filter(|_| done.n_corrupt_frames == 0);
            asked.key = Some(Key::Seen(seen.map(Box::new)));
        }
    }

    /// Returns the glimpse of a keyframe after the GOP being decided on.
    fn seen_key(&self, index: usize) -> Option<&Glimpse> {
        match &self.asked.get(index)?.key {
            Some(Key::Seen(Some(seen))) => Some(&seen.glimpse),
            _ => None,
        }
    }

    fn length_us(&self, gop: &Gop) -> Option<i64> {
        gop.end.map(|end| self.clock.time_us(end) - self.clock.time_us(gop.start))
    }

    fn judge(&self, gop: &Gop, from: &Glimpse) -> Decision {
        let next = self.asked.front().map(|next| &next.gop);
        let sizes = sizes_of(&gop.packets[..gop.n_own], self.clock);
        let next_sizes = next
            .map(|next| sizes_of(&next.packets[..next.packets.len().min(LOOKED_AHEAD)], self.clock))
            .unwrap_or_default();
        judge::judge(&Evidence {
            key: judge::Key {
                bytes: gop.packets[0].size(),
                glimpse: from,
            },
            next: next.zip(self.seen_key(0)).map(|(next, glimpse)| judge::Key {
                bytes: next.packets[0].size(),
                glimpse,
            }),
            sizes: &sizes,
            next_sizes: &next_sizes,
            after_next: self.seen_key(1),
            length_us: self.length_us(gop).unwrap_or(i64::MAX),
            next_length_us: next.and_then(|next| self.length_us(next)),
            frame_us: self.clock.frame_us(),
            ended_by_content: self.kind.ended_by_content(gop.n_shown()),
            is_clock: matches!(self.kind, Kind::Clock { .. }),
        })
    }

    fn report_gop(&mut self, video: &mut OpenVideo, decided: Decided, report: &mut Report<'_>) -> Result<(), Ended> {
        let frames = decided.whole.map(|ticket| {
            let done = ticket.wait();
            note(&mut self.outcome, &done);
            video.losses.bad_packets += done.n_bad_packets;
            video.losses.corrupt_frames += done.n_corrupt_frames;
            done.frames
        });
        let cut_at_end = match (decided.decision, frames) {
            (Decision::Doubtful, frames) => return self.detect(frames.unwrap_or_default(), video, report),
            (Decision::DoubtfulUntil { cut_at_end, .. }, frames) => {
                self.detect(frames.unwrap_or_default(), video, report)?;
                self.end_run(None, video, report)?;
                cut_at_end
            }
            (decision, frames) => {
                if let Some(key) = decided.key {
                    self.end_run(Some(&key), video, report)?;
                    for seen in frames.unwrap_or_else(|| vec![*key]) {
                        report(video, GopEvent::Frame(Box::new(seen)))?;
                    }
                }
                decision == Decision::CutAtEnd
            }
        };
        let Some(end) = decided.end else { return Ok(()) };
        let end_us = self.clock.time_us(end).max(0);
        if cut_at_end {
            report(video, GopEvent::Found(Found::Cut { time_us: end_us }))?;
        }
        report(video, GopEvent::Settled(end_us))
    }

    /// Returns how far into a GOP without a new shot pictures are wanted all the same, because it is long and moves.
    fn moves_for_us(&self, gop: &Gop) -> Option<i64> {
        let length_us = self.length_us(gop).unwrap_or(0);
        let bytes: usize = gop.packets[1..gop.n_own].iter().map(|packet| packet.size()).sum();
        let moves = bytes as f64 > MOVES * gop.packets[0].size() as f64 * gop.n_own as f64;
        // The next keyframe shows the rest.
        (moves && length_us > UNSEEN_US)
            .then_some(length_us - UNSEEN_US)
            .map(|after_us| after_us.max(length_us / 2))
    }

    /// Passes the frames of a GOP to the detector.
    fn detect(&mut self, frames: Vec<DecodedFrame>, video: &OpenVideo, report: &mut Report<'_>) -> Result<(), Ended> {
        for seen in frames {
            let detecting = Instant::now();
            let time_us = seen.shown.start_us;
            let frame_us = self.clock.frame_us();
            let run = self.run.get_or_insert_with(|| Run::begin(time_us, &seen.glimpse, frame_us));
            run.push(time_us, &seen.glimpse);
            let settled_us = run.detector.settled_us();
            let mut found = Vec::new();
            while let Some(boundary) = run.next() {
                found.push(boundary);
            }
            run.last = Some((time_us, seen.glimpse.clone()));
            self.outcome.detect_ms += detecting.elapsed().as_secs_f64() * 1e3;
            report(video, GopEvent::Frame(Box::new(seen)))?;
            for boundary in found {
                report(video, GopEvent::Found(boundary))?;
            }
            report(video, GopEvent::Settled(settled_us))?;
        }
        Ok(())
    }

    /// Ends the last run: the video ends where its last GOP does.
    fn end_video(&mut self, video: &OpenVideo, report: &mut Report<'_>) -> Result<(), Ended> {
        if let Some(run) = &mut self.run {
            run.last = None;
        }
        self.end_run(None, video, report)
    }

    /// Ends a run of decoded GOPs. `next`: the keyframe after it, if that comes next.
    fn end_run(&mut self, next: Option<&DecodedFrame>, video: &OpenVideo, report: &mut Report<'_>) -> Result<(), Ended> {
        let Some(mut run) = self.run.take() else { return Ok(()) };
        let frame_us = self.clock.frame_us();
        let (until_us, still) = match (next, run.last.take()) {
            (Some(next), _) => (next.shown.start_us, Some((next.shown.start_us, next.glimpse.clone()))),
            // Only the beginning of the last GOP was decoded. As far as is known, its last picture stands still.
            (None, Some((time_us, glimpse))) => (time_us, Some((time_us + frame_us, glimpse))),
            (None, None) => (i64::MAX, None),
        };
        if let Some((from_us, glimpse)) = still {
            for n in 0..(STILL_US / frame_us).max(1) {
                run.push(from_us + n * frame_us, &glimpse);
            }
        }
        run.detector.finish();
        while let Some(found) = run.next() {
            if found.time_us() <= until_us {
                report(video, GopEvent::Found(found))?;
            }
        }
        Ok(())
    }
}

impl Run {
    fn begin(time_us: i64, glimpse: &Glimpse, frame_us: i64) -> Self {
        let mut run = Self {
            detector: Box::new(ShotDetector::new()),
            start_us: time_us,
            last: None,
        };
        for n in (1..=(STILL_US / frame_us).max(1)).rev() {
            run.push(time_us - n * frame_us, glimpse);
        }
        run
    }

    fn push(&mut self, time_us: i64, glimpse: &Glimpse) {
        self.detector.push(time_us, glimpse);
    }

    fn next(&mut self) -> Option<Found> {
        loop {
            let found = self.detector.next_found()?;
            if found.time_us() > self.start_us {
                return Some(found);
            }
        }
    }
}

fn note(outcome: &mut Outcome, done: &Done) {
    outcome.decode_ms += done.decoding.as_secs_f64() * 1e3;
    outcome.scale_ms += done.scaling.as_secs_f64() * 1e3;
    outcome.n_unscaled += done.n_unscaled;
    if done.last_error.is_some() {
        outcome.last_error.clone_from(&done.last_error);
    }
}
