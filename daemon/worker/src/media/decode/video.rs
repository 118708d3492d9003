//! A video's frames in order, each with its time: what reads packets, decodes them, mends stamps and follows the picture, put together.
//!
//! Each part has a file and fields of its own: packets ([`packets`](super::packets)), the decoder ([`decoding`](super::decoding)), stamps
//! ([`stamps`](super::stamps)) and streams ([`following`](super::following)). What follows for all from what happens to one is here.

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

/// So many packets without a picture at the end of a video are worth a word.
const MANY_BAD: u32 = 50;

/// What was lost on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// The demuxer found them damaged; they are decoded all the same.
    pub(crate) damaged_packets: u64,
    pub(crate) bad_packets: u64,
    pub(crate) corrupt_frames: u64,
    /// Reading ended with an error before the end of the file.
    pub(crate) broke_off: bool,
    /// Packets that need a key.
    pub(crate) n_encrypted: u64,
}

/// What reading on gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The frame given is filled.
    Frame(FrameTime),
    /// A packet was read, and no frame is ready yet.
    Packet,
    End,
}

/// What reading one packet gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// `packet` holds one to be decoded.
    Packet,
    Nothing,
    /// The picture goes on in another stream, or in another codec: what the decoder still holds comes first.
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
    /// The one that was read last.
    packet: Packet,
    n_packets: u64,
    /// Read already and put in its place in time, and next all the same.
    met: Option<Packet>,
    /// Set where nothing but keyframes is decoded: the end of the last packet's picture. Microseconds.
    keyframes_to_us: Option<i64>,
    /// Where in the file the packet of the last picture ends.
    shown_to: i64,
    /// How often the file was to be opened anew in its middle.
    n_anew: u32,
    pub(crate) losses: Losses,
}

impl OpenVideo {
    /// Opens a file and its best video stream. `threads`: of the decoder; 0 = one a core.
    pub(crate) fn open(file: File, threads: u32, allowed: Allowed) -> Result<Self, Unusable> {
        Self::open_on(file, threads, Hardware::None, allowed)
    }

    /// As [`OpenVideo::open`], decoding on a graphics card where that is possible.
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

    /// Which of the file's pictures this is, and where its times lie in the file: as far as it was read.
    pub(crate) fn picture(&self) -> PictureTrack {
        self.stamps.note_on(&self.picture)
    }

    /// How long the file says its picture is, unless it cannot be true. Microseconds.
    pub(crate) fn claimed_us(&self) -> Option<i64> {
        self.announced.claimed_us(self.probe.duration_ms, self.reader.file_bytes())
    }

    /// How long the picture was meant to be, as far as that is told of the picture and not of anything else in the file. Microseconds.
    pub(crate) fn promised_us(&self) -> Option<i64> {
        let (file_bytes, read_to) = (self.reader.file_bytes(), self.reader.read_to());
        self.announced.promised_us(file_bytes, read_to, self.following.others_end_us())
    }

    /// Whether the picture ends with many packets that are none for its decoder: FFmpeg hands on another codec under the same name.
    pub(crate) fn ends_undecoded(&self) -> bool {
        self.decoding.n_bad_since() >= MANY_BAD && self.stamps.last().is_some()
    }

    /// Whether another video follows in the same file that FFmpeg does not go on to.
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

    /// Why decoding it all gave no frame.
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

    /// How this frame is to be turned.
    pub(crate) fn orientation(&self, frame: &Video) -> Orientation {
        self.following.track_of(frame).orientation(frame)
    }

    /// The size at which this frame is shown, before it is turned: with square pixels.
    pub(crate) fn square_size(&self, frame: &Video) -> (u32, u32) {
        self.following.track_of(frame).square_size(frame)
    }

    /// What is to be known of a frame's light beyond its numbers.
    pub(crate) fn light(&self, frame: &Video) -> Light {
        self.following.track_of(frame).light(frame)
    }

    pub(crate) fn codec(&self) -> ffmpeg_next::codec::Id {
        self.following.track().codec
    }

    pub(crate) fn file_bytes(&self) -> i64 {
        self.reader.file_bytes()
    }

    /// What makes frames of the followed stream ready that other decoders than this one's gave.
    pub(crate) fn viewer(&self) -> Viewer {
        self.following.viewer()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.stamps.clock()
    }

    /// Whether the picture moved to another stream, followed or not.
    pub(crate) fn has_moved(&self) -> bool {
        self.following.has_moved()
    }

    /// The streams that the picture went to and that were not followed.
    pub(crate) fn unfollowed(&self) -> &[Unfollowed] {
        self.following.unfollowed()
    }

    /// Whether this is a container in which a stream may change its codec without a word of FFmpeg's.
    pub(crate) fn may_change_codec(&self) -> bool {
        self.reader.input().format().name() == "mpegts"
    }

    /// What decodes this video: `software`, the name of a device, or `software (why no device)`.
    pub(crate) fn decoder_name(&self) -> String {
        self.decoding.name()
    }

    /// Whether a device decodes it, or is yet to be tried.
    pub(crate) fn uses_device(&self) -> bool {
        self.decoding.uses_device()
    }

    /// Another decoder for the same stream, of one thread: it holds no frame back that it need not. `rough`: without smoothing the
    /// edges of blocks, which saves a fifth and does not show where pictures are made small.
    pub(crate) fn single_decoder(&self, rough: bool) -> Result<decoder::Video, Unusable> {
        let mut decoder = decoders::open_in_software(&self.stream(), 1, &self.allowed)?;
        decoder.skip_loop_filter(if rough { Discard::All } else { Discard::NonReference });
        Ok(decoder)
    }

    /// Leaves out the deblocking of frames that no other is made from: a twelfth of the work, and no error grows from it. What is
    /// looked at is far smaller than a block.
    pub(crate) fn spare_filtering(&mut self) {
        self.decoding.spare_filtering();
    }

    /// Decodes nothing but keyframes from here on: what else is wrong with a video does no harm then.
    pub(crate) fn take_only_keyframes(&mut self) {
        // Other packets are not even handed to the decoder.
        self.decoding.take_only_keyframes();
        self.keyframes_to_us = Some(0);
    }

    /// Where only keyframes are decoded, the end of the last picture all the same. Microseconds.
    pub(crate) fn keyframes_to_us(&self) -> Option<i64> {
        self.keyframes_to_us
    }

    /// The stream that is followed.
    fn stream(&self) -> Stream<'_> {
        let stream = self.reader.input().stream(self.following.track().stream);
        stream.expect("the stream was chosen when the video was opened")
    }
}

/// Reading, packet by packet.
impl OpenVideo {
    /// The next packet of the picture that can be decoded; `None` at the end of what can be read.
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

    /// Whether the packet just read is not to be decoded.
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

    /// Reads on by one packet of any stream; one of the picture is put in its place in time.
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

    /// Takes a packet that was not looked at before.
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

    /// Goes where the picture goes, if that can be decoded.
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

    /// Reads the stamps of the whole video, beside what is being read.
    fn scan(&self) -> Option<Timeline> {
        let mut video = self.opened_again()?;
        // They are wanted as they are.
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
