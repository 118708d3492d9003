//! A video's frames in order, each with its time. Combines reading packets, decoding them, repairing stamps and following the picture.
//!
//! Each part has its own file and fields: packets ([`packets`](super::packets)), the decoder ([`decoding`](super::decoding)), stamps
//! ([`stamps`](super::stamps)) and streams ([`following`](super::following)). If an event in one part affects the others, this module
//! passes it on.

mod seeking;
mod stepping;

use std::collections::VecDeque;
use std::fs::File;

use ffmpeg_next::codec::packet::side_data::Type as PacketSideData;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Discard, Packet, Stream, decoder};
use scened_common::domain::PictureTrack;
use scened_common::media::answer::Probe;
use scened_common::media::request::Hardware;

use super::allowed::Allowed;
use super::announced::Announced;
use super::clock::{Clock, FrameTime, MAX_STEP_US};
use super::decoding::Decoding;
use super::follow::Moved;
use super::following::{Following, Unfollowed};
use super::opening::Opened;
use super::packets::{Next, PacketReader};
use super::stamps::Stamps;
use super::timeline::{Scan, Timeline};
use super::track::Viewer;
use super::{decoders, extent, streams};
use crate::media::ended::Unusable;
use crate::media::pixels::light::Light;
use crate::media::pixels::orientation::Orientation;

/// This many packets without a picture at the end of a video are worth reporting.
const MANY_BAD: u32 = 50;

/// What was lost while reading and decoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Packets that the demuxer found damaged; they are decoded all the same.
    pub(crate) damaged_packets: u64,
    pub(crate) bad_packets: u64,
    pub(crate) corrupt_frames: u64,
    /// Reading ended with an error before the end of the file.
    pub(crate) broke_off: bool,
    /// Packets that need a key.
    pub(crate) n_encrypted: u64,
}

/// Result of one step of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The given frame is filled.
    Frame(FrameTime),
    /// A packet was read, and no frame is ready yet.
    Packet,
    End,
}

/// Result of reading one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// `packet` holds a packet to decode.
    Packet,
    Nothing,
    /// The picture continues in another stream or codec. The pictures that the decoder still holds come first.
    Moved,
    End,
}

/// A file with a picture, ready to be decoded from its beginning.
pub(crate) struct OpenVideo {
    allowed: Allowed,
    reader: PacketReader,
    following: Following,
    stamps: Stamps,
    decoding: Decoding,
    announced: Announced,
    probe: Probe,
    picture: PictureTrack,
    /// The packet read last.
    packet: Packet,
    n_packets: u64,
    /// A packet that was already read and given its time; it is the next one.
    met: Option<Packet>,
    /// End of the last packet's picture; set while only keyframes are decoded. Microseconds.
    keyframes_to_us: Option<i64>,
    /// Where in the file the packet of the last picture ends. Bytes.
    shown_to: i64,
    /// Number of attempts to reopen the file in its middle.
    n_anew: u32,
    pub(crate) losses: Losses,
}

impl OpenVideo {
    /// Opens a file and its best video stream. `threads`: of the decoder; 0 = one per core.
    pub(crate) fn open(file: File, threads: u32, allowed: Allowed) -> Result<Self, Unusable> {
        Self::open_on(file, threads, Hardware::None, allowed)
    }

    /// As [`OpenVideo::open`], but decodes on a graphics card if possible.
    pub(crate) fn open_on(file: File, threads: u32, hardware: Hardware, allowed: Allowed) -> Result<Self, Unusable> {
        let opened = Opened::of(file, &allowed)?;
        let chosen = opened.reader.input().stream(opened.track.stream);
        let chosen = chosen.expect("the stream was just chosen");
        let decoding = Decoding::open(&chosen, threads, hardware, &allowed)?;
        let clock = Clock::new(opened.track.time_base, opened.origin_us, opened.track.frame_us());
        Ok(Self {
            allowed,
            stamps: Stamps::new(clock, opened.reader.has_clock()),
            reader: opened.reader,
            following: Following::new(opened.track),
            decoding,
            announced: opened.announced,
            probe: opened.probe,
            picture: opened.picture,
            packet: Packet::empty(),
            n_packets: 0,
            met: None,
            keyframes_to_us: None,
            shown_to: 0,
            n_anew: 0,
            losses: Losses::default(),
        })
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Describes which of the file's pictures this is, and where its times are in the file, as far as it was read.
    pub(crate) fn picture(&self) -> PictureTrack {
        self.stamps.note_on(&self.picture)
    }

    /// Returns the length that the file claims for its picture, unless it cannot be true. Microseconds.
    pub(crate) fn claimed_us(&self) -> Option<i64> {
        self.announced.claimed_us(self.probe.duration_ms, self.reader.file_bytes())
    }

    /// Returns the intended length of the picture, if something states it for the picture itself and not only for other parts of the file.
    /// Microseconds.
    pub(crate) fn promised_us(&self) -> Option<i64> {
        let (file_bytes, read_to) = (self.reader.file_bytes(), self.reader.read_to());
        self.announced.promised_us(file_bytes, read_to, self.following.others_end_us())
    }

    /// Returns whether the picture ends with many packets that its decoder rejects. FFmpeg then passes on another codec under the same
    /// name.
    pub(crate) fn ends_undecoded(&self) -> bool {
        self.decoding.n_bad_since() >= MANY_BAD && self.stamps.last().is_some()
    }

    /// Returns whether the same file contains another video after this one, which FFmpeg does not continue with.
    pub(crate) fn another_follows(&self) -> bool {
        if self.announced.extent.next_video_at.is_some() {
            return true;
        }
        let format = self.reader.input().format();
        let name = format.name();
        let ends_early = ["flv", "asf", "ogg"].contains(&name) || name.contains("mov");
        let Some(file) = self.reader.file().filter(|_| ends_early) else {
            return false;
        };
        extent::another_follows(file, u64::try_from(self.reader.read_to()).unwrap_or(0))
    }

    /// Explains why decoding the whole video gave no frame.
    pub(crate) fn why_nothing(&self) -> String {
        let codec = self.decoding.codec_name();
        if self.losses.n_encrypted > 0 || self.following.are_all_encrypted() {
            "the video is encrypted".to_owned()
        } else if self.n_packets == 0 {
            format!("it declares a video stream ({codec}) but contains no frame of it")
        } else {
            format!("no frame of its video stream ({codec}) can be decoded")
        }
    }

    /// Returns how this frame must be turned.
    pub(crate) fn orientation(&self, frame: &Video) -> Orientation {
        self.following.track_of(frame).orientation(frame)
    }

    /// Returns the size at which this frame is shown, with square pixels and before it is turned.
    pub(crate) fn square_size(&self, frame: &Video) -> (u32, u32) {
        self.following.track_of(frame).square_size(frame)
    }

    /// Returns what must be known about a frame's light beyond its pixel values.
    pub(crate) fn light(&self, frame: &Video) -> Light {
        self.following.track_of(frame).light(frame)
    }

    pub(crate) fn codec(&self) -> ffmpeg_next::codec::Id {
        self.following.track().codec
    }

    pub(crate) fn file_bytes(&self) -> i64 {
        self.reader.file_bytes()
    }

    /// Returns what prepares frames of the followed stream that other decoders than this one's produced.
    pub(crate) fn viewer(&self) -> Viewer {
        self.following.viewer()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.stamps.clock()
    }

    /// Returns whether the picture moved to another stream, followed or not.
    pub(crate) fn has_moved(&self) -> bool {
        self.following.has_moved()
    }

    /// Returns the streams that the picture moved to and that were not followed.
    pub(crate) fn unfollowed(&self) -> &[Unfollowed] {
        self.following.unfollowed()
    }

    /// Returns whether a stream of this container may change its codec without FFmpeg reporting it.
    pub(crate) fn may_change_codec(&self) -> bool {
        self.reader.input().format().name() == "mpegts"
    }

    /// Returns what decodes this video: `software`, the name of a device, or `software (why no device)`.
    pub(crate) fn decoder_name(&self) -> String {
        self.decoding.name()
    }

    /// Returns whether a device decodes the video, or is yet to be tried.
    pub(crate) fn uses_device(&self) -> bool {
        self.decoding.uses_device()
    }

    /// Opens another decoder for the same stream, with one thread. It holds back no more frames than it must. `rough`: without smoothing
    /// the edges of blocks. This saves a fifth, and the difference does not show once pictures are made small.
    pub(crate) fn single_decoder(&self, rough: bool) -> Result<decoder::Video, Unusable> {
        let mut decoder = decoders::open_in_software(&self.stream(), 1, &self.allowed)?;
        decoder.skip_loop_filter(if rough { Discard::All } else { Discard::NonReference });
        Ok(decoder)
    }

    /// Skips deblocking of non-reference frames. This saves a twelfth of the work, and no error grows from it: the pictures that are
    /// analysed are far smaller than a block.
    pub(crate) fn spare_filtering(&mut self) {
        self.decoding.spare_filtering();
    }

    /// Decodes only keyframes from here on. Any other damage to the video then does no harm.
    pub(crate) fn take_only_keyframes(&mut self) {
        // Other packets are not even passed to the decoder.
        self.decoding.take_only_keyframes();
        self.keyframes_to_us = Some(0);
    }

    /// Returns the end of the last picture, even though only keyframes are decoded. Microseconds.
    pub(crate) fn keyframes_to_us(&self) -> Option<i64> {
        self.keyframes_to_us
    }

    /// Returns the followed stream.
    fn stream(&self) -> Stream<'_> {
        let stream = self.reader.input().stream(self.following.track().stream);
        stream.expect("the stream was chosen when the video was opened")
    }
}

/// Reads packet by packet.
impl OpenVideo {
    /// Returns the next packet of the picture that can be decoded, or `None` at the end of what can be read.
    pub(crate) fn next_packet(&mut self) -> Option<Packet> {
        loop {
            match self.read() {
                Read::Packet => return Some(std::mem::replace(&mut self.packet, Packet::empty())),
                Read::Nothing => {}
                Read::Moved => self.stamps.follow(self.following.track()),
                Read::End => return None,
            }
        }
    }

    /// Decides whether to skip the packet just read.
    fn leaves_out(&mut self) -> bool {
        let clock = self.clock();
        let Some(end_us) = &mut self.keyframes_to_us else {
            return false;
        };
        if let Some(stamp) = self.packet.pts().or(self.packet.dts()) {
            let shown_us = clock.time_us(stamp);
            let is_later = shown_us > *end_us && shown_us - *end_us < MAX_STEP_US;
            if is_later {
                *end_us = shown_us.saturating_add(clock.duration_us(self.packet.duration()));
            }
        }
        !self.packet.is_key()
    }

    /// Reads one packet of any stream. Repairs the time of a packet of the picture.
    fn read(&mut self) -> Read {
        if let Some(packet) = self.met.take() {
            self.packet = packet;
            return Read::Packet;
        }
        let read = self.read_as_it_is();
        if read == Read::Packet {
            let stream = self.following.track().stream;
            if self.stamps.needs_timeline(&self.packet, stream, &mut self.reader) {
                let timeline = self.scan().unwrap_or_default();
                self.stamps.mend_by(timeline);
            }
            self.stamps.mend(&mut self.packet);
        }
        read
    }

    fn read_as_it_is(&mut self) -> Read {
        match self.reader.next(&mut self.packet) {
            Next::HandedBack => Read::Packet,
            Next::New => self.met_packet(),
            Next::End => match self.following.met_end() {
                Some(moved) => self.go_to(moved),
                None => Read::End,
            },
            Next::AnotherVideo => Read::End,
            Next::Damaged => {
                self.losses.bad_packets += 1;
                Read::Nothing
            }
            Next::BrokeOff => {
                self.losses.bad_packets += 1;
                self.losses.broke_off = true;
                Read::End
            }
        }
    }

    /// Handles a packet that is read for the first time.
    fn met_packet(&mut self) -> Read {
        let clock = self.clock();
        let stream = self.following.track().stream;
        if self.packet.stream() != stream {
            let input = self.reader.input_mut();
            return match self.following.met_other(&mut self.packet, input, clock, &self.allowed) {
                Some(moved) => self.go_to(moved),
                None => Read::Nothing,
            };
        }
        self.following.met_followed(&self.packet, clock);
        if streams::codec_of(self.reader.input(), stream) != Some(self.codec()) {
            let packets = VecDeque::from([std::mem::replace(&mut self.packet, Packet::empty())]);
            return self.go_to(Moved { stream, packets });
        }
        self.n_packets += 1;
        if self.packet.side_data().any(|data| data.kind() == PacketSideData::EncryptionInfo) {
            self.losses.n_encrypted += 1;
            return Read::Nothing;
        }
        if self.packet.is_corrupt() {
            self.losses.damaged_packets += 1;
        }
        Read::Packet
    }

    /// Follows the picture to another stream, if that stream can be decoded.
    fn go_to(&mut self, moved: Moved) -> Read {
        let Some(stream) = self.reader.input().stream(moved.stream) else {
            return Read::Nothing;
        };
        if !self.following.go_to(&stream, &self.allowed, self.stamps.last()) {
            return Read::Nothing;
        }
        self.n_packets += moved.packets.len() as u64;
        self.reader.hand_back(moved.packets);
        Read::Moved
    }

    /// Reads the stamps of the whole video, independently of the current reading position.
    fn scan(&self) -> Option<Timeline> {
        let mut video = self.opened_again()?;
        // The unrepaired stamps are wanted.
        video.stamps.stop_counting();
        let mut scan = Scan::default();
        while let Some(packet) = video.next_packet() {
            scan.take(video.stamps.tick(&packet, video.following.track().stream));
        }
        Some(scan.finish())
    }
}

#[cfg(test)]
mod tests;
