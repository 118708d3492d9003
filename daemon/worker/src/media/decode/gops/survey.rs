//! What the packets alone show: how the keyframes are spaced, and whether decoding from keyframes is safe.

use ffmpeg_next::codec::packet::side_data::Type as SideData;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Packet, codec};

use crate::media::decode::clock::{Clock, MAX_STEP_US};
use crate::media::decode::video::OpenVideo;

/// A GOP whose packets are larger than this is not worth holding in memory. Bytes.
const MAX_GOP_BYTES: u64 = 192 << 20;
/// With fewer GOPs, decoding keyframes first gains nothing.
const MIN_GOPS: usize = 6;
/// Mean distance of keyframes above which they say too little about what is between them. Seconds.
const MAX_MEAN_GOP_S: f64 = 20.0;
/// Share of GOPs of one length from which on keyframes count as regular.
const CLOCK_SHARE: f64 = 0.85;
/// Share of keyframes among the packets from which on all packets are treated as keyframes.
const INTRA_SHARE: f64 = 0.9;
/// Length of a part that one thread decodes, in a file of keyframes only. Seconds.
const INTRA_STRIDE_S: f64 = 0.4;

/// A gap between two packets this many times wider than the mean may hold another codec's packets, which the demuxer merged into one.
const WIDE: i64 = 40;
/// Minimum mean size of packets in any transport stream that matters. Bytes.
const MIN_PACKET_BYTES: i64 = 1024;

/// Number of keyframes that are decoded alone as a trial, besides the last one.
const N_TRIED: usize = 2;

/// How the keyframes of a file are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The encoder placed keyframes where the picture changes, and at the latest after `longest` packets.
    Scenecut { longest: u32 },
    /// A keyframe comes every `period` packets, whatever the content.
    Clock { period: u32 },
    /// Every packet is a keyframe: every `stride`-th is treated as the beginning of a GOP.
    Intra { stride: u32 },
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scenecut { .. } => "scenecut",
            Self::Clock { .. } => "clock",
            Self::Intra { .. } => "intra",
        }
    }

    /// Returns whether a GOP of this many packets ended because the content changed, and not by a fixed period.
    pub(crate) fn ended_by_content(self, n_packets: usize) -> bool {
        match self {
            Self::Scenecut { longest } => n_packets < longest as usize,
            Self::Clock { .. } | Self::Intra { .. } => false,
        }
    }
}

/// Whether a video can be analysed in GOPs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Gops(Kind),
    /// It must be decoded frame by frame, for this reason.
    Through(&'static str),
}

/// Results of one pass over the packets.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Packets of each GOP, its keyframe included.
    gops: Vec<u32>,
    max_gop_bytes: u64,
    n_packets: u64,
    n_without_time: u64,
    /// Keyframes not shown after the previous keyframe.
    n_keys_back: u64,
    /// Packets with the same time as a packet shortly before.
    n_repeated_times: u64,
    n_before_first_key: u64,
    /// Steps in time that are too long for any still picture.
    n_leaps: u64,
    /// Packets with new settings for the decoder, which later packets need as well.
    n_changes: u64,
    /// Offset of the last packet, and the widest distance between two packets, or from the last one to the end. Bytes.
    position: i64,
    widest_bytes: i64,
    first_us: i64,
    last_us: i64,
    /// Size of the current GOP. Bytes.
    gop_bytes: u64,
    /// Time stamp of the last keyframe.
    last_key: Option<i64>,
    /// Time stamps of the most recent packets.
    recent: [Option<i64>; 16],
}

/// Reads a video to its end and returns to its beginning. Decides how it can be analysed.
pub(crate) fn survey(video: &mut OpenVideo) -> Verdict {
    if !video.can_seek() {
        return Verdict::Through("it has no clock");
    }
    if !is_known(video.codec()) {
        return Verdict::Through("its codec is not one whose keyframes were tried");
    }
    let mut survey = Survey::default();
    let clock = video.clock();
    let mut first = None;
    let mut keys: Vec<Packet> = Vec::new();
    let mut last_tried = None;
    while let Some(packet) = video.next_packet() {
        first.get_or_insert((packet.pts(), packet.dts(), packet.size()));
        survey.take(&packet, clock);
        // Not the first keyframe: a video may begin differently from all its other keyframes.
        if packet.is_key() && survey.gops.len() > 1 {
            if keys.len() < N_TRIED {
                keys.push(packet);
            } else {
                last_tried = Some(packet);
            }
        }
    }
    // The last one too: the file may contain the decoder's settings only once, far before it.
    keys.extend(last_tried);
    let has_moved = video.has_moved();
    if !video.begin_again(first) {
        return Verdict::Through("it cannot be read from its beginning again");
    }
    if has_moved {
        return Verdict::Through("its picture moves from one stream to another");
    }
    survey.widest_bytes = survey.widest_bytes.max(video.file_bytes() - survey.position);
    if video.may_change_codec() && survey.holds_rubbish() {
        return Verdict::Through("some of it may be in another codec");
    }
    if survey.n_changes > 0 {
        return Verdict::Through("its codec's settings change on the way");
    }
    let verdict = survey.verdict();
    if matches!(verdict, Verdict::Gops(_)) && !keys.iter().all(|key| stands_alone(video, key)) {
        return Verdict::Through("its keyframes need what comes before them");
    }
    verdict
}

/// Returns whether a keyframe gives a whole picture to a decoder that has seen nothing else. With periodic intra refresh it does not.
fn stands_alone(video: &OpenVideo, key: &Packet) -> bool {
    let Ok(mut decoder) = video.single_decoder(true) else {
        return false;
    };
    let mut frame = Video::empty();
    let sent = decoder.send_packet(key).is_ok() && decoder.send_eof().is_ok();
    sent && decoder.receive_frame(&mut frame).is_ok() && !frame.is_corrupt()
}

/// Decides whether FFmpeg flags this codec's keyframes, so that each can be decoded alone.
fn is_known(id: codec::Id) -> bool {
    use codec::Id;
    matches!(
        id,
        Id::H264
            | Id::HEVC
            | Id::MPEG4
            | Id::MPEG1VIDEO
            | Id::MPEG2VIDEO
            | Id::VP8
            | Id::VP9
            | Id::AV1
            | Id::MJPEG
            | Id::PRORES
            | Id::DNXHD
            | Id::DVVIDEO
            | Id::FFV1
            | Id::HUFFYUV
            | Id::FFVHUFF
            | Id::UTVIDEO
            | Id::JPEG2000
            | Id::CFHD
            | Id::THEORA
            | Id::MSMPEG4V3
            | Id::H263
            | Id::FLV1
            | Id::VC1
            | Id::WMV3
    )
}

impl Survey {
    /// Adds the next packet of the picture.
    fn take(&mut self, packet: &Packet, clock: Clock) {
        self.n_packets += 1;
        if let Ok(position) = i64::try_from(packet.position())
            && position >= 0
        {
            self.widest_bytes = self.widest_bytes.max(position - self.position);
            self.position = position;
        }
        if self.n_packets > 1 && packet.side_data().any(|data| data.kind() == SideData::NewExtraData) {
            self.n_changes += 1;
        }
        if packet.is_key() {
            if !self.gops.is_empty() && packet.pts() <= self.last_key {
                self.n_keys_back += 1;
            }
            self.gops.push(0);
            self.gop_bytes = 0;
            self.last_key = packet.pts();
        }
        // A packet shown before its keyframe belongs to the previous GOP, as in `Gops`.
        let is_leading = !packet.is_key() && self.gops.len() > 1 && packet.pts() < self.last_key;
        match self.gops.iter_mut().nth_back(usize::from(is_leading)) {
            Some(n_packets) => *n_packets += 1,
            None => self.n_before_first_key += 1,
        }
        self.gop_bytes += packet.size() as u64;
        self.max_gop_bytes = self.max_gop_bytes.max(self.gop_bytes);
        match packet.pts() {
            Some(pts) => self.take_time(pts, clock.time_us(pts)),
            None => self.n_without_time += 1,
        }
    }

    fn take_time(&mut self, pts: i64, time_us: i64) {
        if self.recent.contains(&Some(pts)) {
            self.n_repeated_times += 1;
        }
        self.recent[self.n_packets as usize % self.recent.len()] = Some(pts);
        if self.n_packets == 1 {
            (self.first_us, self.last_us) = (time_us, time_us);
        }
        let leaps = time_us.saturating_sub(self.last_us) > MAX_STEP_US;
        self.n_leaps += u64::from(leaps);
        self.first_us = self.first_us.min(time_us);
        self.last_us = self.last_us.max(time_us);
    }

    /// Returns whether packets may be another codec's, which the demuxer split wrongly. The signs are a gap that is far too wide, or far
    /// too many packets without a keyframe.
    fn holds_rubbish(&self) -> bool {
        let mut lengths = self.gops.clone();
        lengths.sort_unstable();
        let longest = |back: usize| lengths.iter().rev().nth(back).copied().unwrap_or(0);
        let mean_bytes = self.position / i64::try_from(self.n_packets).unwrap_or(i64::MAX).max(1);
        longest(0) > 4 * longest(1) || self.widest_bytes > WIDE * mean_bytes.max(MIN_PACKET_BYTES)
    }

    fn verdict(&self) -> Verdict {
        let n_gops = self.gops.len();
        if n_gops == 0 {
            return Verdict::Through("it marks no keyframe");
        }
        if self.n_without_time > 0 {
            return Verdict::Through("some of its packets have no time");
        }
        if self.n_keys_back > 0 || self.n_repeated_times * 100 > self.n_packets {
            return Verdict::Through("its times go back");
        }
        if self.n_leaps > 0 {
            return Verdict::Through("its times leap");
        }
        if self.n_before_first_key * 10 > self.n_packets {
            return Verdict::Through("it begins long before its first keyframe");
        }
        if self.max_gop_bytes > MAX_GOP_BYTES {
            return Verdict::Through("its groups of pictures are too large");
        }
        let length_s = (self.last_us - self.first_us) as f64 / 1e6;
        let n_keys = self.gops.iter().filter(|n_packets| **n_packets > 0).count();
        if n_keys as f64 >= INTRA_SHARE * self.n_packets as f64 {
            let fps = self.n_packets as f64 / length_s.max(0.001);
            let stride = (fps * INTRA_STRIDE_S).round().clamp(2.0, 60.0) as u32;
            return Verdict::Gops(Kind::Intra { stride });
        }
        if n_gops < MIN_GOPS {
            return Verdict::Through("it has few keyframes");
        }
        if length_s / n_gops as f64 > MAX_MEAN_GOP_S {
            return Verdict::Through("its keyframes lie far apart");
        }
        Verdict::Gops(self.kind())
    }

    fn kind(&self) -> Kind {
        // The last GOP ends with the video, not with a keyframe.
        let mut lengths = self.gops[..self.gops.len() - 1].to_vec();
        lengths.sort_unstable();
        let period = lengths[lengths.len() / 2];
        // Frame rates that are not integers make regular GOPs of 29 and 30.
        let n_regular = lengths.iter().filter(|n_packets| n_packets.abs_diff(period) <= 1).count();
        if n_regular as f64 >= CLOCK_SHARE * lengths.len() as f64 {
            return Kind::Clock { period };
        }
        let longest = lengths.last().copied().unwrap_or(period);
        // The longest GOP is the encoder's limit only if it occurs more than once; otherwise the limit ended no GOP.
        let n_longest = lengths.iter().filter(|n_packets| **n_packets == longest).count();
        Kind::Scenecut {
            longest: if n_longest > 1 { longest } else { longest + 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(gops: &[u32], expected: &Verdict) {
        let n_packets = gops.iter().map(|n| u64::from(*n)).sum();
        let survey = Survey {
            gops: gops.to_vec(),
            n_packets,
            last_us: n_packets as i64 * 40_000,
            ..Survey::default()
        };
        assert_eq!(&survey.verdict(), expected, "{gops:?}");
    }

    #[test]
    fn how_keyframes_lie_tells_the_kind() {
        check(&[25; 40], &Verdict::Gops(Kind::Clock { period: 25 }));
        check(&[30, 30, 29, 30, 30, 30, 29, 30, 7], &Verdict::Gops(Kind::Clock { period: 30 }));
        check(&[100, 250, 37, 250, 80, 91, 144], &Verdict::Gops(Kind::Scenecut { longest: 250 }));
        check(&[100, 200, 37, 150, 80, 91, 144], &Verdict::Gops(Kind::Scenecut { longest: 201 }));
        check(&[1; 100], &Verdict::Gops(Kind::Intra { stride: 10 }));
    }

    #[test]
    fn videos_without_enough_keyframes_are_decoded_through() {
        check(&[], &Verdict::Through("it marks no keyframe"));
        check(&[250, 250, 100], &Verdict::Through("it has few keyframes"));
        check(&[900; 10], &Verdict::Through("its keyframes lie far apart"));
    }
}
