//! Clips: stretches of films as a film of their own, cut by the system's FFmpeg.
//!
//! As a rule packets are copied, so that nothing is lost and a clip begins at the keyframe before its start. Where that is not wanted
//! (`--exact`) or several clips do not go together, they are encoded again, to one size and rate. One clip is written straight into the
//! draft; several go into a folder beside it, one file each with a name of ours, and are then joined.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use scened_shared::stop::Stop;

use crate::failure::Failure;
use crate::ffmpeg::look::{self, Film};
use crate::ffmpeg::{self, Source};
use crate::moment::Moment;
use crate::render::{text, time};
use crate::timeline::rate::Rate;

mod container;
mod encoding;

pub(crate) use container::{Company, Container, EXTENSIONS};
pub(crate) use encoding::Encoding;

/// A stretch of a film to be cut out.
#[derive(Debug)]
pub(crate) struct Clip<'a> {
    pub(crate) moment: &'a Moment,
    pub(crate) source: Source,
    pub(crate) film: &'a Film,
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
            Self::BehindFrames { .. } => "the film's time stamps begin anew",
            Self::WrongStamps => "some of the film's time stamps are wrong there",
        }
    }
}

/// How clips come about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    Copied,
    Encoded {
        encoding: &'a Encoding,
        /// Reads each film from its start on instead of leaping to the moment: the only way where leaps end between keyframes, as in
        /// files without an index. It takes as long as decoding all that comes before.
        from_start: bool,
    },
}

impl Way<'_> {
    pub(crate) fn is_encoded(self) -> bool {
        matches!(self, Self::Encoded { .. })
    }
}

impl Clip<'_> {
    /// How much earlier than asked it begins where packets are copied.
    pub(crate) fn lead_ms(&self) -> u64 {
        self.keyframe_us.map_or(0, |us| self.start_us.saturating_sub(us) / 1000)
    }

    /// Whether it is read from the film's start on.
    fn is_from_start(&self, from_start: bool) -> bool {
        from_start || matches!(self.oddity, Some(Oddity::BehindFrames { .. }))
    }

    /// Where FFmpeg begins to read.
    fn begin_us(&self, way: Way<'_>) -> u64 {
        match way {
            // A packet at the very start is not to be lost by rounding.
            Way::Copied => self.keyframe_us.map_or(self.start_us, |us| us.saturating_sub(ROUNDING_US)),
            Way::Encoded { from_start, .. } if self.is_from_start(from_start) => 0,
            Way::Encoded { .. } => self.start_us,
        }
    }

    pub(crate) fn length_us(&self) -> u64 {
        self.end_us.saturating_sub(self.start_us)
    }
}

/// Less than a frame of any film lasts, more than any clock's tick.
const ROUNDING_US: u64 = 500;

/// As FFmpeg takes a time.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

/// Why nothing was cut.
#[derive(Debug)]
pub(crate) enum Trouble {
    Failed(Failure),
    /// The picture is missing or begins late: FFmpeg's leap did not end at a keyframe, as in streams without an index.
    NoKeyframe,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What goes along with the picture of these clips.
pub(crate) fn company(clips: &[Clip<'_>], container: Container, way: Way<'_>) -> Company {
    let films: Vec<&Film> = clips.iter().map(|clip| clip.film).collect();
    let mut company = match films[..] {
        [film] => Company::of_one(film, container, way.is_encoded()),
        _ => Company::of_joined(&films, container, way.is_encoded()),
    };
    let is_filtered = match way {
        Way::Copied => false,
        Way::Encoded { from_start, .. } => from_start || clips.iter().any(|clip| clip.oddity.is_some()),
    };
    if is_filtered && !company.subtitles.is_empty() {
        // No filter moves them.
        company.subtitles.clear();
        company
            .left_out
            .push("subtitles, as the film has no index, or a wrong clock".to_owned());
    }
    company
}

/// Cuts the clips and joins them into `draft`, and looks at what came of it; `progress` hears how many microseconds are done.
pub(crate) fn cut(
    clips: &[Clip<'_>],
    container: Container,
    way: Way<'_>,
    (draft, workshop): (&Path, &Path),
    stop: &Stop,
    progress: &(impl Fn(u64) + Clone + Send + 'static),
) -> Result<Film, Trouble> {
    let company = company(clips, container, way);
    if let [clip] = clips {
        let mut arguments = opened(clip, way);
        arguments.extend(match way {
            Way::Copied => copied(clip, &company),
            Way::Encoded { encoding, from_start } => encoded(clip, &company, encoding, from_start),
        });
        arguments.extend(target(container, clips, way));
        arguments.push(ffmpeg::name(draft));
        ffmpeg::run(&arguments, stop, progress.clone())?;
        return look::cut(draft).ok_or(Trouble::NoKeyframe);
    }
    let mut list = "ffconcat version 1.0\n".to_owned();
    let mut done_us = 0;
    for (index, clip) in clips.iter().enumerate() {
        // Where packets are copied, into the container that they are for; else into one that takes everything to the tick.
        let muxer = if way.is_encoded() { "nut" } else { container.muxer };
        let name = format!("{index:04}.{muxer}");
        let mut arguments = opened(clip, way);
        arguments.extend(match way {
            Way::Copied => copied(clip, &company),
            Way::Encoded { encoding, from_start } => encoded_to_be_joined(clip, encoding, from_start),
        });
        arguments.extend(words(&["-map_metadata:g", "-1", "-map_chapters", "-1"]));
        if container.is_mp4 && !way.is_encoded() {
            // The clocks of joined files have to tick alike.
            arguments.extend(words(&["-video_track_timescale", "90000"]));
        }
        arguments.extend(words(&["-f", muxer]));
        let place = workshop.join(&name);
        arguments.push(ffmpeg::name(&place));
        let progress = progress.clone();
        let before_us = done_us;
        ffmpeg::run(&arguments, stop, move |us| progress(before_us + us))?;
        if !way.is_encoded() && look::cut(&place).is_none() {
            return Err(Trouble::NoKeyframe);
        }
        done_us += clip.length_us();
        writeln!(list, "file {name}").expect("a string takes any text");
        if let Way::Encoded { encoding, .. } = way {
            // It is known to the frame; what the file says may be a frame longer.
            writeln!(list, "duration {:.6}", encoding.length_s(clip)).expect("a string takes any text");
        }
    }
    let path = workshop.join("list");
    std::fs::write(&path, list).map_err(|error| Failure::new("the clips could not be joined").cause(error.to_string()))?;
    let mut arguments = words(&["-protocol_whitelist", "file", "-f", "concat", "-safe", "1", "-i"]);
    arguments.push(ffmpeg::name(&path));
    arguments.extend(words(&["-map", "0", "-c", "copy"]));
    if let Way::Encoded { encoding, .. } = way
        && encoding.has_sound
    {
        // Sound is kept as it is until here: encoded clip by clip there would be a gap at every joint.
        arguments.push("-c:a".into());
        arguments.extend(words(&encoding.sound));
    }
    arguments.extend(target(container, clips, way));
    arguments.push(ffmpeg::name(draft));
    ffmpeg::run(&arguments, stop, |_| {})?;
    look::cut(draft).ok_or(Trouble::NoKeyframe)
}

/// The film as FFmpeg's input, as far as it is wanted.
fn opened(clip: &Clip<'_>, way: Way<'_>) -> Vec<OsString> {
    let begin_us = clip.begin_us(way);
    let mut arguments = ffmpeg::guarded(&clip.source);
    if !matches!(way, Way::Encoded { from_start, .. } if clip.is_from_start(from_start)) {
        arguments.extend(words(&["-ss", &seconds(begin_us)]));
    }
    // A time that is wrong ends nothing: filters cut there.
    match (way, clip.oddity) {
        (Way::Encoded { .. }, Some(_)) => arguments.extend(words(&["-noaccurate_seek"])),
        _ => arguments.extend(words(&["-t", &seconds(clip.end_us.saturating_sub(begin_us))])),
    }
    arguments.push("-i".into());
    arguments.push(clip.source.name());
    arguments
}

/// The streams as they are.
fn copied(clip: &Clip<'_>, company: &Company) -> Vec<OsString> {
    let mut arguments = words(&["-map", &format!("0:{}", clip.film.picture.index)]);
    for sound in company.sounds.iter().filter_map(|place| clip.film.sounds.get(*place)) {
        arguments.extend(words(&["-map", &format!("0:{}", sound.index)]));
    }
    arguments.extend(words(&["-c", "copy"]));
    let begin_us = clip.begin_us(Way::Copied);
    arguments.extend(beside(company, clip.end_us.saturating_sub(begin_us)));
    if clip.keyframe_us.is_some() {
        // FFmpeg may go back further than to that keyframe.
        arguments.extend(words(&["-copypriorss", "0"]));
    }
    arguments
}

/// Subtitles, and what they are drawn with. None lasts longer than the clip, which would last as long.
fn beside(company: &Company, length_us: u64) -> Vec<OsString> {
    let mut arguments = Vec::new();
    for place in &company.subtitles {
        arguments.extend(words(&["-map", &format!("0:s:{place}")]));
    }
    if !company.subtitles.is_empty() {
        let cut = format!("setts=duration='min(DURATION,max(0,{}/TB-PTS))'", seconds(length_us));
        arguments.extend(words(&["-c:s", "copy", "-bsf:s", &cut]));
        if company.has_attachments {
            arguments.extend(words(&["-map", "0:t", "-c:t", "copy"]));
        }
    }
    arguments
}

/// What a filter begins with where FFmpeg cannot leap to the clip, or cut it, by itself.
fn trimmed(kind: &str, clip: &Clip<'_>, from_start: bool) -> String {
    let cut = |start_us: u64, length_us: u64| {
        let (start, end) = (seconds(start_us), seconds(start_us + length_us));
        format!("{kind}trim=start={start}:end={end},{kind}setpts=PTS-{start}/TB,")
    };
    let start_us = if clip.is_from_start(from_start) { clip.start_us } else { 0 };
    match clip.oddity {
        None if from_start => cut(start_us, clip.length_us()),
        None => String::new(),
        // Sound has no numbers, but its samples follow each other.
        Some(Oddity::BehindFrames { sound_us, .. }) if !kind.is_empty() => {
            format!("asetpts=N/SR/TB,{}", cut(sound_us + start_us, clip.length_us()))
        }
        Some(Oddity::BehindFrames { first, end, .. }) => {
            let end = end.map(|end| format!(":end_frame={end}")).unwrap_or_default();
            format!(
                "trim=start_frame={first}{end},setpts=PTS-STARTPTS,{}",
                cut(start_us, clip.length_us())
            )
        }
        Some(Oddity::WrongStamps) if kind.is_empty() => {
            let frame_s = 1.0 / clip.film.rate.unwrap_or(Rate::PAL).frames_a_second();
            let leap_s = MAX_LEAP_FRAMES * frame_s;
            format!(
                "setpts='if(isnan(PREV_OUTPTS)+lt(abs(PTS-PREV_OUTPTS)*TB,{leap_s:.6}),PTS,PREV_OUTPTS+{frame_s:.6}/TB)',{}",
                cut(start_us, clip.length_us())
            )
        }
        Some(Oddity::WrongStamps) => cut(start_us, clip.length_us()),
    }
}

/// What is so many frames further on has a wrong stamp, where some have.
const MAX_LEAP_FRAMES: f64 = 5.0;

/// One clip, encoded again: frames stay as they are, and all sound and subtitles go along.
fn encoded(clip: &Clip<'_>, company: &Company, encoding: &Encoding, from_start: bool) -> Vec<OsString> {
    // Only an odd width or height is more than most encoders take.
    let filter = format!(
        "{}pad=ceil(iw/2)*2:ceil(ih/2)*2,format={}",
        trimmed("", clip, from_start),
        encoding.pixels
    );
    let mut arguments = words(&["-map", &format!("0:{}", clip.film.picture.index), "-vf", &filter, "-c:v"]);
    arguments.extend(encoding.video.iter().map(OsString::from));
    for sound in company.sounds.iter().filter_map(|place| clip.film.sounds.get(*place)) {
        arguments.extend(words(&["-map", &format!("0:{}", sound.index)]));
    }
    if !company.sounds.is_empty() {
        arguments.push("-c:a".into());
        arguments.extend(words(&encoding.sound));
        let filter = trimmed("a", clip, from_start);
        if !filter.is_empty() {
            arguments.extend(words(&["-af", filter.trim_end_matches(',')]));
        }
    }
    arguments.extend(beside(company, clip.length_us()));
    arguments
}

/// A clip among others: the same size, rate and sound as they have, each exactly as long as its number of frames.
fn encoded_to_be_joined(clip: &Clip<'_>, encoding: &Encoding, from_start: bool) -> Vec<OsString> {
    let (width, height) = encoding.size;
    let n_frames = encoding.n_frames(clip);
    let is_silent = encoding.has_sound && clip.film.sounds.is_empty();
    let mut arguments = Vec::new();
    if is_silent {
        arguments.extend(words(&["-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo"]));
    }
    let filter = format!(
        "{}scale=w='max(2,trunc(iw*if(sar,sar,1)))':h=ih,setsar=1,scale={width}:{height}:force_original_aspect_ratio=decrease:\
         force_divisible_by=2,pad={width}:{height}:(ow-iw)/2:(oh-ih)/2,fps={},tpad=stop_mode=clone:stop={n_frames},trim=end_frame={n_frames},\
         format={}",
        trimmed("", clip, from_start),
        encoding.rate.fraction(),
        encoding.pixels
    );
    arguments.extend(words(&["-map", &format!("0:{}", clip.film.picture.index), "-vf", &filter, "-c:v"]));
    arguments.extend(encoding.video.iter().map(OsString::from));
    if encoding.has_sound {
        // As long as the picture, to the sample: what is missing is silence.
        let filter = format!(
            "{}aresample=48000:async=1,apad,atrim=end={}",
            if is_silent { String::new() } else { trimmed("a", clip, from_start) },
            encoding.length_s(clip)
        );
        let first = clip.film.sounds.first().map(|sound| format!("0:{}", sound.index));
        let sound = first.unwrap_or_else(|| "1:a".to_owned());
        arguments.extend(words(&["-map", &sound, "-af", &filter, "-ac", "2", "-c:a", "pcm_s16le"]));
    }
    arguments
}

/// Container and metadata of what is handed out: where it comes from, and nothing of what a camera wrote about the place.
fn target(container: Container, clips: &[Clip<'_>], way: Way<'_>) -> Vec<OsString> {
    let mut arguments = words(&["-map_metadata:g", "-1", "-map_chapters", "-1"]);
    if container.is_mp4 {
        arguments.extend(words(&["-movflags", "+faststart"]));
    }
    if let Way::Encoded { encoding, .. } = way
        && let Some(tag) = encoding.tag
    {
        arguments.extend(words(&["-tag:v", tag]));
    }
    arguments.extend(words(&["-metadata", &format!("comment={}", origin(clips)), "-f", container.muxer]));
    arguments
}

/// Readers of metadata expect a sentence and no book; nor does a command line hold one.
const MAX_ORIGIN: usize = 8 << 10;

/// `From /films/a.mp4 0:03:12.040 – 0:03:19.500`, and so on.
fn origin(clips: &[Clip<'_>]) -> String {
    let mut origin = "From ".to_owned();
    let mut last: Option<&Moment> = None;
    for (index, clip) in clips.iter().enumerate() {
        // A moment may come in pieces.
        if last.is_some_and(|last| std::ptr::eq(last, clip.moment)) {
            continue;
        }
        last = Some(clip.moment);
        if index > 0 {
            origin.push_str("; ");
        }
        if origin.len() > MAX_ORIGIN {
            write!(origin, "and {} more", clips.len() - index).expect("a string takes any text");
            break;
        }
        let (path, moment) = (text::path(&clip.moment.path, None), clip.moment);
        let at = |ms: u64| format!("{}.{:03}", time::moment(ms), ms % 1000);
        write!(origin, "{path} {} – {}", at(moment.start_ms), at(moment.end_ms)).expect("a string takes any text");
    }
    origin
}
