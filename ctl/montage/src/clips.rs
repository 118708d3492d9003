//! Clips: stretches of videos as a video of their own, cut by the system's FFmpeg.
//!
//! As a rule packets are copied, so that nothing is lost and a clip begins at the keyframe before its start. Where that is not wanted
//! (`--exact`) or several clips do not go together, they are encoded again, to one size and rate. One clip is written straight into the
//! draft; several go into a folder beside it, one file each with a name of ours, and are then joined.

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

/// A stretch of a video to be cut out.
#[derive(Debug)]
pub(crate) struct Clip<'a> {
    pub(crate) moment: &'a Moment,
    pub(crate) source: Source,
    pub(crate) video: &'a ProbedVideo,
    /// Where it lies in the source, by the source's own clock. Microseconds.
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    /// What its clock does not tell.
    pub(crate) oddity: Option<Oddity>,
    /// The last keyframe that is not behind the moment's start, where one can be told. Packets are copied from there on.
    pub(crate) keyframe_us: Option<u64>,
}

/// Why a clip cannot be found, or cut, by time stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// So many frames come before what the times are counted from, and up to there its sound lasts so long.
    BehindFrames { first: u64, end: Option<u64>, sound_us: u64 },
    /// Some frames are stamped with times that are not theirs.
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

/// How clips come about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Method<'a> {
    Copy,
    Encode {
        encoding: &'a Encoding,
        /// Reads each video from its start on instead of leaping to the moment: the only way where leaps end between keyframes, as in
        /// files without an index. It takes as long as decoding all that comes before.
        from_start: bool,
    },
}

impl Method<'_> {
    pub(crate) fn is_encoded(self) -> bool {
        matches!(self, Self::Encode { .. })
    }
}

impl Clip<'_> {
    /// How much earlier than asked it begins where packets are copied.
    pub(crate) fn lead_ms(&self) -> u64 {
        self.keyframe_us.map_or(0, |us| self.start_us.saturating_sub(us) / 1000)
    }

    /// Whether it is read from the video's start on.
    fn is_from_start(&self, from_start: bool) -> bool {
        from_start || matches!(self.oddity, Some(Oddity::BehindFrames { .. }))
    }

    /// Where FFmpeg begins to read.
    fn begin_us(&self, method: Method<'_>) -> u64 {
        match method {
            // A packet at the very start is not to be lost by rounding.
            Method::Copy => self.keyframe_us.map_or(self.start_us, |us| us.saturating_sub(ROUNDING_US)),
            Method::Encode { from_start, .. } if self.is_from_start(from_start) => 0,
            Method::Encode { .. } => self.start_us,
        }
    }

    pub(crate) fn length_us(&self) -> u64 {
        self.end_us.saturating_sub(self.start_us)
    }
}

/// Less than a frame of any video lasts, more than any clock's tick.
const ROUNDING_US: u64 = 500;

/// Why nothing was cut.
#[derive(Debug)]
pub(crate) enum Trouble {
    Failed(FfmpegError),
    /// The picture is missing or begins late: FFmpeg's leap did not end at a keyframe, as in streams without an index.
    NoKeyframe,
}

impl From<FfmpegError> for Trouble {
    fn from(error: FfmpegError) -> Self {
        Self::Failed(error)
    }
}

/// What goes along with the picture of these clips.
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
        // No filter moves them.
        others.subtitles.clear();
        others
            .left_out
            .push("subtitles, because the video has no index or wrong time stamps".to_owned());
    }
    others
}

/// Cuts the clips and joins them into `draft`, and looks at what came of it; `progress` hears how many microseconds are done.
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
        // Where packets are copied, into the container that they are for; else into one that takes everything to the tick.
        let muxer = if method.is_encoded() { "nut" } else { container.muxer };
        let name = format!("{index:04}.{muxer}");
        let mut arguments = opened(clip, method);
        arguments.extend(match method {
            Method::Copy => copied(clip, &others),
            Method::Encode { encoding, from_start } => encoded_to_be_joined(clip, encoding, from_start),
        });
        arguments.extend(words(&["-map_metadata:g", "-1", "-map_chapters", "-1"]));
        if container.is_mp4 && !method.is_encoded() {
            // The clocks of joined files have to tick alike.
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
            // It is known to the frame; what the file says may be a frame longer.
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
        // Sound is kept as it is until here: encoded clip by clip there would be a gap at every joint.
        arguments.push("-c:a".into());
        arguments.extend(words(&encoding.sound));
    }
    arguments.extend(muxed(container, clips, method));
    arguments.push(ffmpeg::name(draft));
    ffmpeg::run(&arguments, stop, |_| {})?;
    probe::cut(draft).ok_or(Trouble::NoKeyframe)
}
