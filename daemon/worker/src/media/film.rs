//! One media file opened with FFmpeg: its streams, its picture's orientation, and its frames in order with their times.
//!
//! The file comes as a descriptor, never as a path; FFmpeg may open nothing else.

mod anew;
mod announced;
mod extent;
mod follow;
mod hardware;
mod moving;
mod streams;
mod timeline;
mod track;

use std::collections::VecDeque;
use std::fs::File;

use ffmpeg_next::codec::packet::side_data::Type as PacketSideData;
use ffmpeg_next::format::context::{Input, StreamIo};
use ffmpeg_next::frame::Video;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Discard, Error, Packet, decoder, format};
use scened_common::domain::PictureTrack;
use scened_common::media::answer::Probe;
use scened_common::media::request::Hardware;
use scened_common::media::wire::MAX_TIME_MS;

use super::allowed::Allowed;
use super::colour::{Light, Transfer};
use super::dovi::Dovi;
use super::evidence::{self, Watched};
use super::fit;
use super::orientation::Orientation;
use super::tone::USUAL_PEAK_NITS;
use announced::Announced;
use extent::Extent;
use follow::{Follower, Moved};
use hardware::Device;
use streams::to_us;
use timeline::{Follows, Mended, Scan, Tick, Timeline, Watch};
pub(crate) use track::Viewer;
use track::{Note, Track};

/// A film that ends this much before its promised end is worth a word: a fraction of the promise, and a least time.
pub(crate) const SHORT_FRACTION: f64 = 0.05;
pub(crate) const SHORT_US: i64 = 2_000_000;
/// So many packets without a picture at the end of a film are worth a word.
const MANY_BAD: u32 = 50;
/// Packets in a row that cannot be read, before the rest of the file is given up.
const MAX_READ_ERRORS: u32 = 1000;
/// A file with fewer bytes for each second it claims to last does not last so long.
const MIN_BYTES_PER_SECOND: i64 = 50;
/// Frame rate assumed where a file has neither times nor a rate.
const ASSUMED_FPS: f64 = 25.0;
/// A step in time longer than this is a broken clock, not a still picture. Microseconds.
pub(crate) const MAX_STEP_US: i64 = 12 * 3600 * 1_000_000;

/// A frame that is shown so much too early is shown with the one before it. Microseconds.
const MAX_JITTER_US: i64 = 1_000_000;
/// Packets after a leap that tell whether the stamps come back.
const N_PEEKED: usize = 128;

/// No film is longer: a year. Microseconds.
const MAX_END_US: i64 = MAX_TIME_MS as i64 * 1000;

/// A reason for the user why the file gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unusable(pub(crate) String);

/// When a frame is shown, from the start of the video as a player counts. Microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
}

/// A stream that the picture went to and that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfollowed {
    /// From when on the picture is there. Microseconds.
    pub(crate) from_us: i64,
    /// Why it cannot be followed, in words.
    pub(crate) reason: String,
}

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

/// How time stamps become times of the film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Units of time stamps: seconds as a fraction.
    time_base: (i64, i64),
    /// What a player calls zero, in microseconds.
    origin_us: i64,
    /// How long a frame is shown that does not say.
    frame_us: i64,
}

impl Clock {
    /// When a picture with this stamp is shown; before the player's zero is negative.
    pub(crate) fn time_us(self, stamp: i64) -> i64 {
        to_us(stamp, self.time_base).saturating_sub(self.origin_us)
    }

    pub(crate) fn duration_us(self, duration: i64) -> i64 {
        let said = Some(to_us(duration, self.time_base)).filter(|us| *us > 0 && *us < MAX_STEP_US);
        said.unwrap_or(self.frame_us).max(1)
    }

    pub(crate) fn frame_us(self) -> i64 {
        self.frame_us.max(1)
    }
}

/// What reading on gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The frame given is filled.
    Frame(Shown),
    /// A packet was read, and no frame is ready yet.
    Packet,
    End,
}

/// What reading one packet gave.
enum Read {
    /// `packet` holds one to be decoded.
    Packet,
    Nothing,
    /// The picture goes on in another stream, or in another codec: what the decoder still holds comes first.
    Moved,
    End,
}

/// Whether the decoder is asked for the pictures that it holds back, and why.
#[derive(Default)]
struct Drain {
    begun: bool,
    /// The picture goes on elsewhere.
    for_move: bool,
    /// Another codec may go on.
    in_doubt: bool,
}

/// A file with a picture, ready to be decoded from its beginning.
pub(crate) struct Film {
    input: Input,
    decoder: decoder::Video,
    device: Option<Device>,
    /// Whether the device gave a frame.
    device_works: bool,
    /// Why a device that was wanted is not used, in words.
    device_refusals: Vec<String>,
    threads: u32,
    allowed: Allowed,
    /// The streams that the film was in so far, and which of them is followed and decoded.
    tracks: Vec<Track>,
    track: usize,
    decoded_track: usize,
    follower: Follower,
    n_moves: u32,
    unfollowed: Vec<Unfollowed>,
    clock: Clock,
    spares_filtering: bool,
    probe: Probe,
    stream_duration_us: Option<i64>,
    announced: Announced,
    /// Where the tracks end that are not of pictures, as far as they were read. Microseconds.
    others_end_us: i64,
    /// Where in the file the last packet ends.
    read_to: i64,
    /// The same file once more, for what FFmpeg does not read of it.
    looked_through_later: Option<File>,
    packet: Packet,
    /// Read already, and next all the same.
    pushed_back: VecDeque<Packet>,
    n_packets: u64,
    /// Read already and put in its place in time, and next all the same.
    met: Option<Packet>,
    /// Read already, of whatever stream.
    ahead: VecDeque<Packet>,
    /// How many packets of the picture were read from the beginning on; `None` where there is no clock, and after a leap to elsewhere.
    number: Option<u64>,
    watch: Watch,
    /// What is to be done with the stamps; `None` while nothing is wrong with them.
    timeline: Option<Timeline>,
    picture: PictureTrack,
    /// Time stamp of the last packet of the followed stream.
    followed_stamp: Option<i64>,
    /// When the picture of the packet that is shown last ends. Microseconds.
    followed_end_us: i64,
    /// Packets that could not be decoded, since the last picture.
    n_bad_since: u32,
    /// Where in the file the packet of the last picture ends.
    shown_to: i64,
    /// Where in the file it was opened anew, how often that was tried, and how it was opened first.
    bytes_before: i64,
    n_anew: u32,
    first_input: Option<Input>,
    /// Set where nothing but keyframes is decoded: the end of the last packet's picture. Microseconds.
    keyframes_to_us: Option<i64>,
    file_bytes: i64,
    drain: Drain,
    read_errors: u32,
    last: Option<Shown>,
    pub(crate) losses: Losses,
}

impl Film {
    /// Opens a file and its best video stream. `threads`: of the decoder; 0 = one a core.
    pub(crate) fn open(file: File, threads: u32, allowed: Allowed) -> Result<Self, Unusable> {
        Self::open_on(file, threads, Hardware::None, allowed)
    }

    /// As [`Film::open`], decoding on a graphics card where that is possible.
    pub(crate) fn open_on(file: File, threads: u32, hardware: Hardware, allowed: Allowed) -> Result<Self, Unusable> {
        let looked_through_later = file.try_clone().ok();
        let mut file = Watched::new(file);
        let head = streams::read_head(&mut file)?;
        let extent = Extent::of(file.plain(), &head);
        let stream_io = StreamIo::from_read_seek(file).map_err(|error| Unusable(format!("cannot read the file: {error}")))?;
        let mut input = format::input_from_stream(stream_io, None, Some(streams::options(&allowed)))
            .map_err(|error| streams::cannot_open(error, &head, &allowed))?;
        let mut pushed_back = VecDeque::new();
        let stream = streams::find_stream(&mut input, &allowed, &mut pushed_back)?;
        let chosen = input.stream(stream).expect("the stream was just chosen");
        let track = Track::of(&chosen);
        let (id, rate) = (track.codec, track.rate);
        let origin_us = streams::origin_us(&input, &chosen);
        let stream_duration_us = Some(chosen.duration())
            .filter(|duration| *duration > 0)
            .map(|duration| to_us(duration, track.time_base));
        // FFmpeg shortens the duration of an AVI file to what is there; the number of its frames stays what it was meant to be.
        let announced_us = rate
            .filter(|_| input.format().name() == "avi")
            .map(|rate| (chosen.frames() as f64 / rate * 1e6) as i64);
        let file_bytes = input.io_size().unwrap_or(i64::MAX);
        let own_us = streams::own_duration_us(&input, stream);
        let indexed_us = streams::indexed_us(&mut input, stream, origin_us);
        let announced = Announced {
            extent,
            own_us,
            indexed_us,
            planned_us: announced_us,
            container_us: streams::container_duration_us(&input),
            is_avi: input.format().name() == "avi",
        };
        // Where nothing is known of this picture's length alone, the other tracks tell whether the container's is theirs.
        streams::discard_others(&mut input, stream, announced.rests_on_the_container());
        let chosen = input.stream(stream).expect("the stream was just chosen");
        let probe = streams::probe(&input, stream);
        let picture = streams::picture(&input, stream);
        let number = streams::has_clock(&input).then_some(0);
        if allowed.decoder(id).is_none() {
            return Err(Unusable(Allowed::why_not(id)));
        }
        streams::check_size(&chosen)?;
        let mut device_refusals = Vec::new();
        let on_device = hardware::open_decoder(&chosen, threads, hardware, &allowed, &mut device_refusals);
        let (decoder, device) = match on_device {
            Some((decoder, device)) => (decoder, Some(device)),
            None => (streams::open_in_software(&chosen, threads, &allowed)?, None),
        };
        Ok(Self {
            input,
            decoder,
            device,
            device_works: false,
            device_refusals,
            threads,
            allowed,
            clock: Clock {
                time_base: track.time_base,
                origin_us,
                frame_us: frame_us(&track),
            },
            tracks: vec![track],
            track: 0,
            decoded_track: 0,
            follower: Follower::default(),
            n_moves: 0,
            unfollowed: Vec::new(),
            spares_filtering: false,
            probe,
            stream_duration_us: stream_duration_us.max(announced_us),
            announced,
            others_end_us: 0,
            read_to: 0,
            looked_through_later,
            packet: Packet::empty(),
            pushed_back,
            n_packets: 0,
            met: None,
            ahead: VecDeque::new(),
            number,
            watch: Watch::default(),
            timeline: None,
            picture,
            followed_stamp: None,
            followed_end_us: 0,
            n_bad_since: 0,
            shown_to: 0,
            bytes_before: 0,
            n_anew: 0,
            first_input: None,
            keyframes_to_us: None,
            file_bytes,
            drain: Drain::default(),
            read_errors: 0,
            last: None,
            losses: Losses::default(),
        })
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Which of the file's pictures this is, and where its times lie in the file: as far as it was read.
    pub(crate) fn picture(&self) -> PictureTrack {
        PictureTrack {
            clock: self.timeline.as_ref().map_or_else(Vec::new, Timeline::told),
            wrong: self.timeline.as_ref().map_or_else(Vec::new, Timeline::wrong),
            ..self.picture.clone()
        }
    }

    /// How long the file says its picture is, unless it cannot be true. Microseconds.
    pub(crate) fn claimed_us(&self) -> Option<i64> {
        let claimed = self
            .stream_duration_us
            .or((self.probe.duration_ms > 0).then_some(self.probe.duration_ms as i64 * 1000))?;
        let possible = self.file_bytes / MIN_BYTES_PER_SECOND;
        (claimed / 1_000_000 <= possible.max(60)).then_some(claimed)
    }

    /// How long the picture was meant to be, as far as that is told of the picture and not of anything else in the file. Microseconds.
    pub(crate) fn promised_us(&self) -> Option<i64> {
        let promised = self.announced.promised_us(self.file_bytes, self.read_to, self.others_end_us)?;
        let possible = self.file_bytes / MIN_BYTES_PER_SECOND;
        (promised / 1_000_000 <= possible.max(60)).then_some(promised)
    }

    /// Whether the picture ends with many packets that are none for its decoder: FFmpeg hands on another codec under the same name.
    pub(crate) fn ends_undecoded(&self) -> bool {
        self.n_bad_since >= MANY_BAD && self.last.is_some()
    }

    /// Whether another film follows in the same file that FFmpeg does not go on to.
    pub(crate) fn another_follows(&self) -> bool {
        if self.announced.extent.next_film_at.is_some() {
            return true;
        }
        let format = self.input.format();
        let name = format.name();
        let ends_early = ["flv", "asf", "ogg"].contains(&name) || name.contains("mov");
        let Some(file) = self.looked_through_later.as_ref().filter(|_| ends_early) else {
            return false;
        };
        extent::another_follows(file, u64::try_from(self.read_to).unwrap_or(0))
    }

    /// Why decoding it all gave no frame.
    pub(crate) fn why_nothing(&self) -> String {
        let codec = self.decoder.id().name();
        if self.losses.n_encrypted > 0 || self.tracks.iter().all(|track| track.marked_encrypted) {
            "the film is encrypted".to_owned()
        } else if self.n_packets == 0 {
            format!("it announces a picture ({codec}) but holds no frame of it")
        } else {
            format!("no frame of its picture ({codec}) can be decoded")
        }
    }

    /// How this frame is to be turned.
    pub(crate) fn orientation(&self, frame: &Video) -> Orientation {
        streams::frame_orientation(frame).unwrap_or(self.track_of(frame).orientation)
    }

    /// The size at which this frame is shown, before it is turned: with square pixels.
    pub(crate) fn square_size(&self, frame: &Video) -> (u32, u32) {
        let aspect = frame.aspect_ratio();
        // The container's word counts before the codec's, as in FFmpeg's own `av_guess_sample_aspect_ratio`.
        let said = self.track_of(frame).pixel_aspect;
        let aspect = if said.0 > 0 && said.1 > 0 { said } else { (aspect.0, aspect.1) };
        let aspect = if aspect.0 > 0 && aspect.1 > 0 { aspect } else { (1, 1) };
        let stretch = Note::of(frame).stretch;
        let stretched = (aspect.0.saturating_mul(stretch.0), aspect.1.saturating_mul(stretch.1));
        fit::square_pixels(frame.width(), frame.height(), stretched)
    }

    /// What is to be known of a frame's light beyond its numbers. The brightest: what the frame says, else the container, else what most
    /// films are made for.
    pub(crate) fn light(&self, frame: &Video) -> Light {
        let track = self.track_of(frame);
        let fallback = match track.dovi {
            Some(dovi) if dovi.is_hdr10() => Some(Transfer::Pq),
            Some(dovi) if dovi.is_hlg() => Some(Transfer::Hlg),
            _ => None,
        };
        Light {
            peak_nits: streams::frame_peak_nits(frame).or(track.peak_nits).unwrap_or(USUAL_PEAK_NITS),
            dovi: track.dovi.filter(|dovi| dovi.is_ipt()).map(|_| Dovi::of(frame)),
            fallback,
        }
    }

    /// Whether the file has a clock at all: a bare stream of pictures can only be decoded from its beginning.
    pub(crate) fn can_seek(&self) -> bool {
        streams::has_clock(&self.input)
    }

    /// Goes to the keyframe before a moment, so that the next frames lead up to it. Fails softly: the film stays where it was.
    pub(crate) fn seek(&mut self, time_us: i64) {
        let target = time_us.saturating_add(self.clock.origin_us);
        if self.input.seek(target, ..target).is_ok() || self.input.seek(target, ..).is_ok() {
            self.start_over();
        }
    }

    /// Forgets what was read before the place in the file that reading goes on at.
    fn start_over(&mut self) {
        self.decoder.flush();
        self.pushed_back.clear();
        self.follower = Follower::default();
        self.drain = Drain::default();
        self.last = None;
        self.met = None;
        self.ahead.clear();
        self.number = None;
        self.watch = Watch::default();
    }

    /// Opens the file once more, at its beginning: the only way back there where time stamps do not say what comes first.
    fn reopen(&mut self) -> bool {
        let Some(again) = self.opened_again() else { return false };
        self.input = again.input;
        self.start_over();
        self.pushed_back = again.pushed_back;
        self.number = again.number;
        self.follow(0);
        self.n_moves = 0;
        self.unfollowed.clear();
        true
    }

    /// The same film, from its beginning.
    fn opened_again(&self) -> Option<Self> {
        let file = self.looked_through_later.as_ref()?.try_clone().ok()?;
        let again = Self::open(file, 1, self.allowed.clone()).ok()?;
        let same = |film: &Self| (film.tracks[0].stream, film.tracks[0].codec, film.tracks[0].time_base);
        (same(self) == same(&again)).then_some(again)
    }

    /// Goes to the keyframe before a moment of a film whose stamps do not say where it is.
    pub(crate) fn count_to(&mut self, time_us: i64) {
        let (mut n, mut last_key) = (0, 0);
        while let Some(packet) = self.next_packet() {
            let shown_us = packet.pts().or(packet.dts()).map(|stamp| self.clock.time_us(stamp));
            if packet.is_key() && shown_us.is_some_and(|shown_us| shown_us <= time_us) {
                last_key = n;
            }
            if shown_us.is_some_and(|shown_us| shown_us > time_us.saturating_add(MAX_JITTER_US)) {
                break;
            }
            n += 1;
        }
        self.rewind();
        for _ in 0..last_key {
            self.next_packet();
        }
        self.losses = Losses::default();
    }

    /// Goes back to the beginning, after [`Step::End`] too.
    pub(crate) fn rewind(&mut self) {
        // Where streams count in decoding time, the first keyframe lies before the player's zero; aiming at zero would miss it.
        if let Some(first) = self.first_input.take() {
            self.input = first;
            self.bytes_before = 0;
        }
        self.n_anew = 0;
        self.n_bad_since = 0;
        self.shown_to = 0;
        if self.timeline.as_ref().is_some_and(|timeline| !timeline.is_plain()) && self.reopen() {
            return;
        }
        if streams::seek_to_first_byte(&mut self.input) {
            self.start_over();
        } else {
            self.seek(-10_000_000);
        }
        self.follow(0);
        self.n_moves = 0;
        self.unfollowed.clear();
        self.number = self.can_seek().then_some(0);
    }

    /// Goes back to the beginning after packets were read, and forgets what was lost on the way. `first`: the first packet's time
    /// stamps and size, which must be met again.
    pub(crate) fn begin_again(&mut self, first: Option<(Option<i64>, Option<i64>, usize)>) -> bool {
        self.rewind();
        self.is_first(first) || self.reopen() && self.is_first(first)
    }

    fn is_first(&mut self, first: Option<(Option<i64>, Option<i64>, usize)>) -> bool {
        self.losses = Losses::default();
        self.read_errors = 0;
        self.n_packets = 0;
        let packet = self.next_packet();
        let is_first = packet.as_ref().map(|packet| (packet.pts(), packet.dts(), packet.size())) == first;
        self.met = packet;
        is_first
    }

    /// Reads on by one packet or one frame.
    pub(crate) fn step(&mut self, frame: &mut Video) -> Step {
        if self.decoded_track != self.track && !self.drain.for_move {
            self.open_followed();
        }
        if self.n_bad_since == MANY_BAD && !self.drain.begun && self.may_change_codec() {
            self.n_bad_since += 1;
            self.drain.in_doubt = true;
            self.drain();
        }
        match self.decoder.receive_frame(frame) {
            Ok(()) => {
                if !self.fetch(frame) {
                    return Step::Packet;
                }
                let mut viewer = self.viewer_of(self.decoded_track);
                viewer.prepare(frame);
                self.tracks[self.decoded_track].packing = viewer.packing;
                // What the decoder held back is older than what it could not decode.
                if !self.drain.begun {
                    self.n_bad_since = 0;
                }
                let packet = frame.packet();
                if packet.position >= 0 {
                    let ends_at = self.bytes_before + packet.position + i64::try_from(packet.size).unwrap_or(0);
                    self.shown_to = self.shown_to.max(ends_at);
                }
                let shown = self.shown(frame);
                if shown.end_us > MAX_END_US {
                    self.losses.broke_off = true;
                    return Step::End;
                }
                return Step::Frame(shown);
            }
            Err(Error::Eof) => return self.drained(),
            Err(Error::Other { errno: EAGAIN }) => {}
            Err(error) => {
                evidence::look_at(error);
                self.losses.bad_packets += 1;
                self.n_bad_since += 1;
                if self.drain.begun {
                    self.read_errors += 1;
                    return if self.read_errors > MAX_READ_ERRORS {
                        self.drained()
                    } else {
                        Step::Packet
                    };
                }
            }
        }
        if self.drain.begun {
            return self.drained();
        }
        match self.read() {
            Read::Packet if self.leaves_out() => {}
            Read::Packet => {
                if let Err(error) = self.decoder.send_packet(&self.packet) {
                    evidence::look_at(error);
                    self.losses.bad_packets += 1;
                    self.n_bad_since += 1;
                }
            }
            Read::Nothing => {}
            Read::Moved => {
                self.drain.for_move = true;
                self.drain();
            }
            Read::End => self.drain(),
        }
        Step::Packet
    }

    /// Decodes nothing but keyframes from here on: what else is wrong with a film does no harm then.
    pub(crate) fn take_only_keyframes(&mut self) {
        // Other packets are not even handed to the decoder; this is for formats whose packets say "keyframe" too often.
        self.decoder.skip_frame(Discard::NonKey);
        self.keyframes_to_us = Some(0);
    }

    /// Where only keyframes are decoded, the end of the last picture all the same. Microseconds.
    pub(crate) fn keyframes_to_us(&self) -> Option<i64> {
        self.keyframes_to_us
    }

    /// Whether the packet just read is not to be decoded.
    fn leaves_out(&mut self) -> bool {
        let Some(end_us) = &mut self.keyframes_to_us else {
            return false;
        };
        if let Some(stamp) = self.packet.pts().or(self.packet.dts()) {
            let shown_us = self.clock.time_us(stamp);
            let is_later = shown_us > *end_us && shown_us - *end_us < MAX_STEP_US;
            if is_later {
                *end_us = shown_us.saturating_add(self.clock.duration_us(self.packet.duration()));
            }
        }
        !self.packet.is_key()
    }

    /// The next packet of the picture that can be decoded; `None` at the end of what can be read.
    pub(crate) fn next_packet(&mut self) -> Option<Packet> {
        loop {
            match self.read() {
                Read::Packet => return Some(std::mem::replace(&mut self.packet, Packet::empty())),
                Read::Nothing => {}
                Read::Moved => self.follow(self.track),
                Read::End => return None,
            }
        }
    }

    /// Reads on by one packet of any stream; one of the picture is put in its place in time.
    fn read(&mut self) -> Read {
        if let Some(packet) = self.met.take() {
            self.packet = packet;
            return Read::Packet;
        }
        let read = self.read_as_it_is();
        if let Read::Packet = read {
            self.mend();
        }
        read
    }

    fn read_as_it_is(&mut self) -> Read {
        if let Some(packet) = self.pushed_back.pop_front() {
            self.packet = packet;
            return Read::Packet;
        }
        let read = match self.ahead.pop_front() {
            Some(packet) => {
                self.packet = packet;
                Ok(())
            }
            None => self.packet.read(&mut self.input),
        };
        match read {
            Ok(()) => {
                self.read_errors = 0;
                if self.is_of_next_film() {
                    return Read::End;
                }
                let read_to = self.bytes_before + self.packet.position() as i64 + self.packet.size() as i64;
                self.read_to = self.read_to.max(read_to);
                if self.packet.stream() != self.tracks[self.track].stream {
                    return self.look_elsewhere();
                }
                self.follower.met_followed();
                self.followed_stamp = self.packet.dts().or(self.packet.pts());
                if let Some(stamp) = self.packet.pts().or(self.followed_stamp) {
                    let duration_us = self.clock.duration_us(self.packet.duration());
                    let end_us = self.clock.time_us(stamp).saturating_add(duration_us);
                    // Pictures come in the order of decoding; what lies far back is another clock.
                    let is_earlier = (end_us..end_us.saturating_add(moving::DELAY_US)).contains(&self.followed_end_us);
                    if !is_earlier {
                        self.followed_end_us = end_us;
                    }
                }
                if streams::codec_of(&self.input, self.packet.stream()) != Some(self.tracks[self.track].codec) {
                    let packets = VecDeque::from([std::mem::replace(&mut self.packet, Packet::empty())]);
                    let stream = self.tracks[self.track].stream;
                    return self.moved(Moved { stream, packets });
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
            Err(Error::Eof) => match self.follower.met_end(self.tracks[self.track].stream) {
                Some(moved) => self.moved(moved),
                None => Read::End,
            },
            Err(error) => {
                self.read_errors += 1;
                self.losses.bad_packets += 1;
                // A demuxer can find its way again after invalid data (a transport stream says "again"), and after nothing else.
                let goes_on = matches!(error, Error::InvalidData | Error::Other { errno: EAGAIN });
                if !goes_on || self.read_errors > MAX_READ_ERRORS {
                    if !goes_on {
                        evidence::look_at(error);
                    }
                    self.losses.broke_off = true;
                    return Read::End;
                }
                Read::Nothing
            }
        }
    }

    /// Puts the packet just read where it belongs in time.
    fn mend(&mut self) {
        let Some(number) = self.number else { return };
        self.number = Some(number + 1);
        if self.timeline.is_none() && !self.follows() {
            self.timeline = Some(self.scan().unwrap_or_default());
        }
        match self.timeline.as_ref().map(|timeline| timeline.mended(number)) {
            None | Some(Mended::Moved { by_us: 0 }) => {}
            Some(Mended::Moved { by_us }) => {
                let by = self.clock.units(by_us);
                let (pts, dts) = (self.packet.pts(), self.packet.dts());
                self.packet.set_pts(pts.map(|stamp| stamp.saturating_add(by)));
                self.packet.set_dts(dts.map(|stamp| stamp.saturating_add(by)));
            }
            Some(Mended::Gone) => {
                self.packet.set_pts(None);
                self.packet.set_dts(None);
            }
        }
    }

    /// Whether stamps are looked after, packet by packet.
    fn is_mended(&self) -> bool {
        self.timeline.is_some() && self.number.is_some()
    }

    /// Whether the packet just read has a stamp that may follow those before it.
    fn follows(&mut self) -> bool {
        let Some(tick) = self.tick(&self.packet) else { return true };
        let before = self.watch;
        match self.watch.follows(tick) {
            Follows::Well => true,
            Follows::Not => false,
            Follows::Later => {
                while self.ahead.len() < N_PEEKED {
                    let mut packet = Packet::empty();
                    if packet.read(&mut self.input).is_err() {
                        break;
                    }
                    self.ahead.push_back(packet);
                }
                let stream = self.tracks[self.track].stream;
                let own = self
                    .pushed_back
                    .iter()
                    .chain(&self.ahead)
                    .filter(|packet| packet.stream() == stream);
                let mut next = own.filter_map(|packet| self.tick(packet));
                !next.any(|tick| Watch::comes_back(before, tick))
            }
        }
    }

    fn tick(&self, packet: &Packet) -> Option<Tick> {
        let stamp = packet.pts().or(packet.dts())?;
        Some(Tick {
            time_us: self.clock.time_us(stamp),
            duration_us: self.clock.duration_us(packet.duration()),
            is_key: packet.is_key(),
            offset_bytes: u64::try_from(packet.position()).unwrap_or(0),
            stream: self.tracks[self.track].stream as u32,
        })
    }

    /// Reads the stamps of the whole film, beside what is being read.
    fn scan(&self) -> Option<Timeline> {
        let mut film = self.opened_again()?;
        // They are wanted as they are.
        film.number = None;
        let mut scan = Scan::default();
        while let Some(packet) = film.next_packet() {
            scan.take(film.tick(&packet));
        }
        Some(scan.finish())
    }

    /// Whether the packet just read is of another film in the same file.
    fn is_of_next_film(&self) -> bool {
        let position = u64::try_from(self.packet.position()).unwrap_or(0);
        self.announced.extent.next_film_at.is_some_and(|at| position >= at)
    }

    /// What decodes this film: `software`, the name of a device, or `software (why no device)`.
    pub(crate) fn decoder_name(&self) -> String {
        match &self.device {
            Some(device) if self.device_works => device.hardware().name().to_owned(),
            Some(device) => format!("software ({}: it does not decode this film)", device.hardware().name()),
            None if self.device_refusals.is_empty() => "software".to_owned(),
            None => format!("software ({})", self.device_refusals.join("; ")),
        }
    }

    /// Whether a device decodes it, or is yet to be tried.
    pub(crate) fn uses_device(&self) -> bool {
        self.device.is_some()
    }

    /// Brings a frame from the device to memory. `false`: there is no frame.
    fn fetch(&mut self, frame: &mut Video) -> bool {
        let Some(device) = &self.device else { return true };
        match device.fetch(frame) {
            Ok(on_device) => {
                self.device_works |= on_device;
                true
            }
            // A device that never gave a frame is given up, and the film begun again without it.
            Err(error) if !self.device_works => {
                self.device_refusals
                    .push(format!("{}: its frames cannot be copied: {error}", device.hardware().name()));
                self.begin_again_in_software();
                false
            }
            Err(_) => {
                self.losses.corrupt_frames += 1;
                false
            }
        }
    }

    fn begin_again_in_software(&mut self) {
        let chosen = self
            .input
            .stream(self.tracks[self.track].stream)
            .expect("the stream was chosen when the film was opened");
        match streams::open_in_software(&chosen, self.threads, &self.allowed) {
            Ok(decoder) => {
                self.decoder = decoder;
                self.device = None;
                self.rewind();
            }
            // Nothing can decode it: reading on ends with the film.
            Err(_) => self.losses.bad_packets += 1,
        }
    }

    /// Another decoder for the same stream, of one thread: it holds no frame back that it need not. `rough`: without smoothing the
    /// edges of blocks, which saves a fifth and does not show where pictures are made small.
    pub(crate) fn single_decoder(&self, rough: bool) -> Result<decoder::Video, Unusable> {
        let stream = self
            .input
            .stream(self.tracks[self.track].stream)
            .expect("the stream was chosen when the film was opened");
        let mut decoder = streams::open_in_software(&stream, 1, &self.allowed)?;
        decoder.skip_loop_filter(if rough { Discard::All } else { Discard::NonReference });
        Ok(decoder)
    }

    /// Leaves out the deblocking of frames that no other is made from: a twelfth of the work, and no error grows from it. What is
    /// looked at is far smaller than a block.
    pub(crate) fn spare_filtering(&mut self) {
        self.spares_filtering = true;
        self.decoder.skip_loop_filter(Discard::NonReference);
    }

    pub(crate) fn codec(&self) -> ffmpeg_next::codec::Id {
        self.tracks[self.track].codec
    }

    pub(crate) fn file_bytes(&self) -> i64 {
        self.file_bytes
    }

    /// What makes frames of the followed stream ready that other decoders than this one's gave.
    pub(crate) fn viewer(&self) -> Viewer {
        self.viewer_of(self.track)
    }

    fn viewer_of(&self, number: usize) -> Viewer {
        let track = &self.tracks[number];
        Viewer {
            track: number,
            packing: track.packing,
            pixel_aspect: track.pixel_aspect,
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    fn drain(&mut self) {
        self.drain.begun = true;
        self.read_errors = 0;
        if self.decoder.send_eof().is_err() {
            self.losses.bad_packets += 1;
        }
    }

    /// When the frame is shown. Times never go back; a frame without one follows the frame before.
    fn shown(&mut self, frame: &Video) -> Shown {
        if frame.is_corrupt() || frame.has_decode_errors() {
            self.losses.corrupt_frames += 1;
        }
        let expected = self.last.map_or(0, |last| last.end_us);
        // FFmpeg's own guess falls back to the times of decoding once something was wrong.
        let stamp = if self.is_mended() { frame.pts() } else { frame.timestamp() };
        let mut start_us = stamp.map_or(expected, |stamp| self.clock.time_us(stamp));
        if let Some(last) = self.last
            && (start_us < last.start_us || start_us - last.start_us > MAX_STEP_US)
        {
            if self.is_mended() || (0..MAX_JITTER_US).contains(&(last.start_us - start_us)) {
                start_us = expected.min(last.start_us.max(start_us));
            } else {
                // The clock jumped: the stamps from here on count from where we are.
                self.clock.origin_us = self.clock.origin_us.saturating_add(start_us.saturating_sub(expected));
                start_us = expected;
            }
        }
        let start_us = start_us.max(0);
        let shown = Shown {
            start_us,
            end_us: start_us + self.clock.duration_us(frame.packet().duration),
        };
        self.last = Some(shown);
        shown
    }
}

/// How long a frame of a track is shown that does not say. Microseconds.
fn frame_us(track: &Track) -> i64 {
    (1e6 / track.rate.unwrap_or(ASSUMED_FPS)) as i64
}
