//! Finds the poster frame of a video: the one that its thumbnail shows.
//!
//! A file manager asks for the thumbnails of a whole folder, so a video of any length costs about the same. The search looks at a few dozen
//! keyframes spread over the video. It then looks at the first second after each of the best ones, to find a sharper frame and to see
//! whether the picture lasts. A video with few keyframes, or one that cannot seek by time, is decoded from its beginning for a limited
//! time.

use std::io::Write;
use std::time::{Duration, Instant};

use ffmpeg_next::frame::Video;
use ffmpeg_next::{Packet, decoder};
use rustix::time::{ClockId, clock_gettime};
use scened_common::domain::{ImageSpec, Resample, ResizeMode};
use scened_common::media::extras::Extras;
use scened_common::media::request::PosterRequest;
use scened_common::media::wire::{self, PosterHeader};
use scened_common::pipe;

use super::poster_score::{self, OTHER_VIEW, PosterFrame};
use super::sampler::Sampler;
use super::thumbnail::Small;
use crate::media::decode::allowed::Allowed;
use crate::media::decode::kept::{self, FrameRef};
use crate::media::decode::video::{OpenVideo, Step};
use crate::media::ended::{Ended, Unusable};
use crate::media::pixels::glimpse::{Glimpse, Glimpser};
use crate::media::units::us_to_ms;

/// Number of moments whose keyframes are looked at; a power of two.
const N_GLANCES: u32 = 32;
/// Processor time for these keyframes. A thumbnail is stored for good, so a busy machine should find it later, not find a worse one.
const GLANCING: Duration = Duration::from_secs(1);
/// With fewer different keyframes, too little of the video is known.
const ENOUGH: usize = 8;
/// Processor time after which decoding from the beginning stops, if something was found.
const READING: Duration = Duration::from_millis(1500);
/// Time between the frames looked at during that decoding: the shortest, and the one if the length is unknown. Microseconds.
const SHORTEST_STEP_US: i64 = 200_000;
const USUAL_STEP_US: i64 = 500_000;
/// With more candidates than this, every other one is dropped.
const MAX_CANDIDATES: usize = 64;

/// How many of the best get a second look, how long it is, and how many frames it takes. Microseconds.
const N_FINALISTS: usize = 3;
const SECOND_LOOK_US: i64 = 1_000_000;
const SECOND_LOOK_FRAMES: u32 = 30;
/// Processor time after which no second look begins or continues.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// Wall time after which the best found so far is enough, since the disk may be slow.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Factor by which another frame of the shot must be better than the keyframe.
const BETTER: f32 = 1.1;

/// Sends the daemon the poster frame.
pub(crate) fn poster(opened: std::fs::File, request: &PosterRequest, extras: &Extras, answers: &mut impl Write) -> Result<(), Ended> {
    if !(1..=wire::MAX_IMAGE_PX).contains(&request.longer_px) {
        return Err(Unusable(format!(
            "a picture of {} px was asked for (1 to {} are possible)",
            request.longer_px,
            wire::MAX_IMAGE_PX
        ))
        .into());
    }
    let video = OpenVideo::open(opened, 1, Allowed::videos(extras))?;
    let mut search = Search::new(video, request.longer_px);
    search.glance()?;
    if search.candidates.len() < ENOUGH {
        search.read_on();
    }
    let Some((time_us, picture)) = search.choose() else {
        return Err(Unusable(search.video.why_nothing()).into());
    };
    let header = PosterHeader {
        time_ms: us_to_ms(time_us),
        width_px: picture.width,
        height_px: picture.height,
    };
    pipe::write_frame(answers, wire::KIND_POSTER_FOUND, &header, &picture.rgb)?;
    Ok(())
}

/// A frame that may be chosen. It is rendered immediately, since a decoded frame takes up to fifty times the memory.
struct Candidate {
    seen: PosterFrame,
    picture: Small,
    is_keyframe: bool,
}

struct Search {
    video: OpenVideo,
    length_us: Option<i64>,
    glimpser: Glimpser,
    sampler: Sampler,
    candidates: Vec<Candidate>,
    effort: Effort,
}

/// When the search began, in wall time and in processor time.
struct Effort {
    started: Instant,
    processor_time: Duration,
}

impl Effort {
    fn begin() -> Self {
        Self {
            started: Instant::now(),
            processor_time: processor_time(),
        }
    }

    /// Returns whether the search used more processor time than `limit`, or took longer than [`TIMEOUT`].
    fn is_over(&self, limit: Duration) -> bool {
        processor_time().saturating_sub(self.processor_time) > limit || self.started.elapsed() > TIMEOUT
    }
}

/// Returns the processor time of this process, all its threads together.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Search {
    fn new(video: OpenVideo, longer_px: u32) -> Self {
        // No model gets a picture; the sampler makes only thumbnails.
        let no_model = ImageSpec {
            width_px: 1,
            height_px: 1,
            shortest_side_px: 1,
            resize: ResizeMode::Squash,
            resample: Resample::Bilinear,
        };
        Self {
            length_us: video.claimed_us(),
            video,
            glimpser: Glimpser::new(),
            sampler: Sampler::new(no_model, longer_px, 0),
            candidates: Vec::new(),
            effort: Effort::begin(),
        }
    }

    /// Looks at keyframes from all over the video.
    fn glance(&mut self) -> Result<(), Unusable> {
        let Some(length_us) = self.length_us.filter(|_| self.video.can_seek()) else {
            return Ok(());
        };
        let mut decoder = self.video.single_decoder(false)?;
        let mut met = Vec::new();
        for at in 0..N_GLANCES {
            if self.effort.is_over(GLANCING) {
                break;
            }
            // Bits in reverse order, the middle first, so that the moments are spread evenly whenever time runs out.
            let part = (at.reverse_bits() >> (u32::BITS - N_GLANCES.ilog2())) ^ (N_GLANCES / 2);
            let time_us = (i128::from(length_us) * i128::from(2 * part + 1) / i128::from(2 * N_GLANCES)) as i64;
            self.video.seek(time_us);
            let Some(packet) = self.next_key() else { continue };
            let time_us = packet
                .pts()
                .or(packet.dts())
                .map_or(time_us, |stamp| self.video.clock().time_us(stamp))
                .max(0);
            if met.contains(&time_us) {
                continue;
            }
            met.push(time_us);
            if let Some(mut frame) = decode_alone(&mut decoder, &packet) {
                self.video.viewer().prepare(&mut frame);
                self.offer(time_us, &frame, true);
            }
        }
        self.candidates.sort_by_key(|candidate| candidate.seen.time_us);
        Ok(())
    }

    /// Returns the next keyframe's packet; `None` if the time or the video ends first.
    fn next_key(&mut self) -> Option<Packet> {
        while !self.effort.is_over(GLANCING) {
            let packet = self.video.next_packet()?;
            if packet.is_key() {
                return Some(packet);
            }
        }
        None
    }

    /// Decodes from the beginning for a limited time.
    fn read_on(&mut self) {
        // A stream without a clock was not read yet, and can be decoded only from its current position.
        if self.video.can_seek() {
            self.video.rewind();
        }
        let mut step_us = self
            .length_us
            .map_or(USUAL_STEP_US, |length_us| (length_us / i64::from(N_GLANCES)).max(SHORTEST_STEP_US));
        let mut frame = Video::empty();
        // Starts half a step in, since the first frames of many videos are black.
        let mut next_us = step_us / 2;
        let mut last = None;
        while self.candidates.is_empty() && last.is_none() || !self.effort.is_over(READING) {
            match self.video.step(&mut frame) {
                Step::End => break,
                Step::Packet => {}
                Step::Frame(shown) if shown.start_us < next_us => {
                    if last.is_none() {
                        last = FrameRef::of(&frame).map(|kept| (shown.start_us, kept));
                    }
                }
                Step::Frame(shown) => {
                    self.offer(shown.start_us, &frame, false);
                    next_us = shown.start_us.saturating_add(step_us);
                    if self.candidates.len() > MAX_CANDIDATES {
                        step_us *= 2;
                        let mut keep = false;
                        self.candidates.retain(|_| {
                            keep = !keep;
                            keep
                        });
                    }
                }
            }
        }
        // No frame came later than half a step: the video is short, or time ran out.
        if let Some((time_us, kept)) = last.filter(|_| self.candidates.is_empty()) {
            self.offer(time_us, kept.frame(), false);
        }
        self.candidates.sort_by_key(|candidate| candidate.seen.time_us);
    }

    fn see(&mut self, time_us: i64, frame: &Video) -> Option<PosterFrame> {
        let mut glimpse = Glimpse::default();
        self.glimpser.shrink(frame, &mut glimpse).ok()?;
        Some(PosterFrame::of(time_us, kept::sharpness(frame).unwrap_or(0), &glimpse))
    }

    fn offer(&mut self, time_us: i64, frame: &Video, is_keyframe: bool) {
        let Some(seen) = self.see(time_us, frame) else { return };
        if let Ok(Some(picture)) = self.sampler.thumbnail(&self.video, frame) {
            self.candidates.push(Candidate {
                seen,
                picture,
                is_keyframe,
            });
        }
    }

    /// Returns the best frame and its time; `None` if there is no frame at all.
    fn choose(&mut self) -> Option<(i64, Small)> {
        let seen: Vec<PosterFrame> = self.candidates.iter().map(|candidate| candidate.seen.clone()).collect();
        let scores = poster_score::scores(&seen, self.length_us);
        let mut order: Vec<usize> = (0..seen.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let mut best: Option<(f32, i64, Small)> = None;
        let mut looked_at: Vec<usize> = Vec::new();
        for at in order {
            let candidate = &self.candidates[at];
            if best.is_some() && (looked_at.len() == N_FINALISTS || self.effort.is_over(LAST_LOOK) || !candidate.is_keyframe) {
                break;
            }
            // Another keyframe of a shot already looked at adds nothing.
            if looked_at
                .iter()
                .any(|other| seen[*other].signature.change(&seen[at].signature).n_blocks < OTHER_VIEW)
            {
                continue;
            }
            looked_at.push(at);
            let found = if candidate.is_keyframe { self.improve(&seen[at]) } else { None };
            let candidate = &self.candidates[at];
            let (score, time_us, picture) = match found {
                Some(Second { steadiness, better: None }) => (scores[at] * steadiness, seen[at].time_us, candidate.picture.clone()),
                Some(Second {
                    steadiness,
                    better: Some((gain, time_us, picture)),
                }) => (scores[at] * steadiness * gain.sqrt(), time_us, picture),
                None => (scores[at], seen[at].time_us, candidate.picture.clone()),
            };
            if best.as_ref().is_none_or(|(best, ..)| score > *best) {
                best = Some((score, time_us, picture));
            }
        }
        best.map(|(_, time_us, picture)| (time_us, picture))
    }

    /// Looks at the frames from a keyframe on; `None` if none can be seen.
    fn improve(&mut self, keyframe: &PosterFrame) -> Option<Second> {
        self.video.seek(keyframe.time_us);
        let mut frame = Video::empty();
        let mut last: Option<PosterFrame> = None;
        let mut best: Option<(f32, PosterFrame, FrameRef)> = None;
        let (mut n_frames, mut ended_early) = (0, false);
        while n_frames < SECOND_LOOK_FRAMES && !self.effort.is_over(LAST_LOOK) {
            let shown = match self.video.step(&mut frame) {
                Step::End => break,
                Step::Packet => continue,
                Step::Frame(shown) => shown,
            };
            n_frames += 1;
            if shown.start_us < keyframe.time_us {
                continue;
            }
            if shown.start_us > keyframe.time_us + SECOND_LOOK_US {
                break;
            }
            let Some(seen) = self.see(shown.start_us, &frame) else { continue };
            let before = last.as_ref().unwrap_or(keyframe);
            if before.signature.change(&seen.signature).n_blocks >= OTHER_VIEW {
                ended_early = true;
                break;
            }
            let gain = poster_score::gain(&seen, keyframe);
            if gain > best.as_ref().map_or(BETTER, |(best, ..)| *best)
                && let Some(kept) = FrameRef::of(&frame)
            {
                best = Some((gain, seen.clone(), kept));
            }
            last = Some(seen);
        }
        let changed = keyframe.signature.change(&last?.signature).n_blocks;
        let better = best.and_then(|(gain, seen, kept)| {
            let picture = self.sampler.thumbnail(&self.video, kept.frame()).ok().flatten()?;
            Some((gain, seen.time_us, picture))
        });
        Some(Second {
            steadiness: poster_score::steadiness(changed, ended_early),
            better,
        })
    }
}

/// The result of a second look at a shot.
struct Second {
    steadiness: f32,
    /// A better frame: its gain over the keyframe, its time, and its picture.
    better: Option<(f32, i64, Small)>,
}

/// Decodes a keyframe independently of the packets before it.
fn decode_alone(decoder: &mut decoder::Video, packet: &Packet) -> Option<Video> {
    let mut frame = Video::empty();
    let sent = decoder.send_packet(packet).is_ok() && decoder.send_eof().is_ok();
    let is_whole = sent && decoder.receive_frame(&mut frame).is_ok() && !frame.is_corrupt() && !frame.has_decode_errors();
    decoder.flush();
    is_whole.then_some(frame)
}
