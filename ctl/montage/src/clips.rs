//! Clips: ranges of videos as a new video, cut by the system's FFmpeg.
//!
//! Normally packets are copied, so nothing is lost and a clip begins at the keyframe before its start. If that is not wanted (`--exact`),
//! or several clips do not fit together, they are re-encoded to one size and rate. A single clip is written straight into the draft.
//! Several clips become one file each in a folder next to it, with names of our own, and are then joined.

use std::fmt::Write as _;
use std::path::Path;

use scened_shared::stop::Stop;

use crate::ffmpeg::probe::{self, ProbedVideo};
use crate::ffmpeg::{self, FfmpegError, Source};
use crate::moment::Moment;

mod arguments;
mod container;
mod encoding;

use arguments::{copied, encoded, encoded_to_be_joined, muxed, opened, words};
pub(crate) use container::OtherStreams;
pub use container::{Container, EXTENSIONS};
pub(crate) use encoding::Encoding;

/// A range of a video to cut out.
#[derive(Debug)]
pub(crate) struct Clip<'a> {
    pub(crate) moment: &'a Moment,
    pub(crate) source: Source,
    pub(crate) video: &'a ProbedVideo,
    /// Its start and end in the source, by the source's own clock. Microseconds.
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    /// Why its clock is not enough to find it.
    pub(crate) oddity: Option<Oddity>,
    /// The last keyframe at or before the moment's start, if known. Packets are copied from there.
    pub(crate) keyframe_us: Option<u64>,
}

/// Why time stamps are not enough to find or cut a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// This many frames come before the point from which times count, and the sound up to there lasts this long.
    BehindFrames { first: u64, end: Option<u64>, sound_us: u64 },
    /// Some frames carry wrong time stamps.
    WrongStamps,
}

impl Oddity {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::BehindFrames { .. } => "the video's time stamps restart",
            Self::WrongStamps => "some of the video's time stamps are wrong there",
        }
    }
}

/// How clips are made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Method<'a> {
    Copy,
    Encode {
        encoding: &'a Encoding,
        /// Reads each video from its start instead of seeking to the moment. This is the only way if seeks end between keyframes, as in
        /// files without an index. It takes as long as decoding everything before the moment.
        from_start: bool,
    },
}

impl Method<'_> {
    pub(crate) fn is_encoded(self) -> bool {
        matches!(self, Self::Encode { .. })
    }
}

impl Clip<'_> {
    /// Returns how much earlier than asked it begins if packets are copied.
    pub(crate) fn lead_ms(&self) -> u64 {
        self.keyframe_us.map_or(0, |us| self.start_us.saturating_sub(us) / 1000)
    }

    /// Returns whether it is read from the video's start.
    fn is_from_start(&self, from_start: bool) -> bool {
        from_start || matches!(self.oddity, Some(Oddity::BehindFrames { .. }))
    }

    /// Returns where FFmpeg starts reading.
    fn begin_us(&self, method: Method<'_>) -> u64 {
        match method {
            // Rounding must not lose a packet at the very start.
            Method::Copy => self.keyframe_us.map_or(self.start_us, |us| us.saturating_sub(ROUNDING_US)),
            Method::Encode { from_start, .. } if self.is_from_start(from_start) => 0,
            Method::Encode { .. } => self.start_us,
        }
    }

    pub(crate) fn length_us(&self) -> u64 {
        self.end_us.saturating_sub(self.start_us)
    }
}

/// Shorter than a frame of any video, longer than any clock's tick.
const ROUNDING_US: u64 = 500;

/// Why nothing was cut.
#[derive(Debug)]
pub(crate) enum Trouble {
    Failed(FfmpegError),
    /// The picture is missing or begins late: FFmpeg's seek did not end at a keyframe, as in streams without an index.
    NoKeyframe,
}

impl From<FfmpegError> for Trouble {
    fn from(error: FfmpegError) -> Self {
        Self::Failed(error)
    }
}

/// Returns the streams that accompany the picture of these clips.
pub(crate) fn other_streams(clips: &[Clip<'_>], container: Container, method: Method<'_>) -> OtherStreams {
    let videos: Vec<&ProbedVideo> = clips.iter().map(|clip| clip.video).collect();
    let mut others = match videos[..] {
        [video] => OtherStreams::of_one(video, container, method.is_encoded()),
        _ => OtherStreams::of_joined(&videos, container, method.is_encoded()),
    };
    let is_filtered = match method {
        Method::Copy => false,
        Method::Encode { from_start, .. } => from_start || clips.iter().any(|clip| clip.oddity.is_some()),
    };
    if is_filtered && !others.subtitles.is_empty() {
        // No filter can shift subtitles.
        others.subtitles.clear();
        others
            .left_out
            .push("subtitles, because the video has no index or wrong time stamps".to_owned());
    }
    others
}

/// Cuts the clips, joins them into `draft`, and checks the result; `progress` gets the microseconds done.
pub(crate) fn cut(
    clips: &[Clip<'_>],
    container: Container,
    method: Method<'_>,
    (draft, workshop): (&Path, &Path),
    stop: &Stop,
    progress: &(impl Fn(u64) + Clone + Send + 'static),
) -> Result<ProbedVideo, Trouble> {
    let others = other_streams(clips, container, method);
    if let [clip] = clips {
        let mut arguments = opened(clip, method);
        arguments.extend(match method {
            Method::Copy => copied(clip, &others),
            Method::Encode { encoding, from_start } => encoded(clip, &others, encoding, from_start),
        });
        arguments.extend(muxed(container, clips, method));
        arguments.push(ffmpeg::name(draft));
        ffmpeg::run(&arguments, stop, progress.clone())?;
        return probe::cut(draft).ok_or(Trouble::NoKeyframe);
    }
    let mut list = "ffconcat version 1.0\n".to_owned();
    let mut done_us = 0;
    for (index, clip) in clips.iter().enumerate() {
        // Copied packets go into the final container; encoded ones into a container that keeps times to the tick.
        let muxer = if method.is_encoded() { "nut" } else { container.muxer };
        let name = format!("{index:04}.{muxer}");
        let mut arguments = opened(clip, method);
        arguments.extend(match method {
            Method::Copy => copied(clip, &others),
            Method::Encode { encoding, from_start } => encoded_to_be_joined(clip, encoding, from_start),
        });
        arguments.extend(words(&["-map_metadata:g", "-1", "-map_chapters", "-1"]));
        if container.is_mp4 && !method.is_encoded() {
            // The clocks of joined files must have the same tick.
            arguments.extend(words(&["-video_track_timescale", "90000"]));
        }
        arguments.extend(words(&["-f", muxer]));
        let place = workshop.join(&name);
        arguments.push(ffmpeg::name(&place));
        let progress = progress.clone();
        let before_us = done_us;
        ffmpeg::run(&arguments, stop, move |us| progress(before_us + us))?;
        if !method.is_encoded() && probe::cut(&place).is_none() {
            return Err(Trouble::NoKeyframe);
        }
        done_us += clip.length_us();
        writeln!(list, "file {name}").expect("a string takes any text");
        if let Method::Encode { encoding, .. } = method {
            // The length is known to the frame; the file itself may say a frame more.
            writeln!(list, "duration {:.6}", encoding.length_s(clip)).expect("a string takes any text");
        }
    }
    let path = workshop.join("list");
    std::fs::write(&path, list).map_err(|source| FfmpegError::NotJoined { source })?;
    let mut arguments = words(&["-protocol_whitelist", "file", "-f", "concat", "-safe", "1", "-i"]);
    arguments.push(ffmpeg::name(&path));
    arguments.extend(words(&["-map", "0", "-c", "copy"]));
    if let Method::Encode { encoding, .. } = method
        && encoding.has_sound
    {
        // Sound stays uncompressed until here: encoding it clip by clip would leave a gap at every joint.
        arguments.push("-c:a".into());
        arguments.extend(words(&encoding.sound));
    }
    arguments.extend(muxed(container, clips, method));
    arguments.push(ffmpeg::name(draft));
    ffmpeg::run(&arguments, stop, |_| {})?;
    probe::cut(draft).ok_or(Trouble::NoKeyframe)
}
