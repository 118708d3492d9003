//! Clips: stretches of films as a film of their own, cut by the system's FFmpeg.
//!
//! As a rule packets are copied, so that nothing is lost and a clip begins at the keyframe before its start. Where that is not wanted
//! (`--exact`) or several clips do not go together, they are encoded again, to one size and rate. One clip is written straight into the
//! draft; several go into a folder beside it, one file each with a name of ours, and are then joined.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;
use crate::ffmpeg;
use crate::ffmpeg::look::{self, Film};
use crate::hub::stop::Stop;
use crate::moment::Moment;
use crate::render::{text, time};
use crate::timeline::rate::Rate;

/// What a clip can be put into, by extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    /// FFmpeg's name of what writes it.
    muxer: &'static str,
    is_mp4: bool,
    is_webm: bool,
}

pub(crate) const EXTENSIONS: &str = ".mp4, .m4v, .mov, .mkv, .webm or .ts";

impl Container {
    pub(crate) fn of_extension(extension: &str) -> Option<Self> {
        let (muxer, is_mp4, is_webm) = match extension {
            "mp4" | "m4v" => ("mp4", true, false),
            "mov" => ("mov", true, false),
            "mkv" => ("matroska", false, false),
            "webm" => ("webm", false, true),
            "ts" => ("mpegts", false, false),
            _ => return None,
        };
        Some(Self { muxer, is_mp4, is_webm })
    }

    /// Whether it takes what the film has without encoding it again, so that players understand it.
    pub(crate) fn takes(self, film: &Film) -> bool {
        const MPEG: &str = "h264 hevc mpeg4 mpeg2video mpeg1video";
        const SOUND: &str = "aac mp3 mp2 ac3 eac3";
        let (pictures, sounds): (&[&str], &[&str]) = match self.muxer {
            "mp4" => (&[MPEG, "av1 vp9 mjpeg"], &[SOUND, "opus flac alac dts"]),
            "mov" => (&[MPEG, "mjpeg prores dnxhd qtrle png dvvideo"], &[SOUND, "alac pcm_"]),
            "webm" => (&["vp8 vp9 av1"], &["vorbis opus"]),
            "mpegts" => (&[MPEG], &[SOUND, "dts opus"]),
            // Matroska takes everything.
            _ => return true,
        };
        let is_one = |codec: &Option<String>, codecs: &[&str]| {
            let codec = codec.as_deref().unwrap_or_default();
            let names = || codecs.iter().flat_map(|names| names.split(' '));
            names().any(|name| codec == name || name.ends_with('_') && codec.starts_with(name))
        };
        is_one(&film.picture.codec_name, pictures) && film.sound.as_ref().is_none_or(|sound| is_one(&sound.codec_name, sounds))
    }
}

/// A stretch of a film to be cut out.
#[derive(Debug)]
pub(crate) struct Clip<'a> {
    pub(crate) moment: &'a Moment,
    pub(crate) film: &'a Film,
    /// Where packets are copied: the keyframe to begin with, which is not behind the moment's start.
    pub(crate) keyframe_us: Option<u64>,
}

impl Clip<'_> {
    /// How much earlier than asked it begins.
    pub(crate) fn lead_ms(&self) -> u64 {
        self.keyframe_us.map_or(0, |us| self.moment.start_ms.saturating_sub(us / 1000))
    }

    fn length_us(&self) -> u64 {
        self.moment.length_ms() * 1000
    }
}

/// How clips are encoded again: all of them the same.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    video: Vec<&'static str>,
    sound: Vec<&'static str>,
    size: (u32, u32),
    rate: Rate,
    has_sound: bool,
}

/// How long listing its encoders may take.
const LIMIT: Duration = Duration::from_secs(30);

impl Encoding {
    /// The size and rate of the first clip, by the best encoder that this FFmpeg has.
    pub(crate) fn of(container: Container, clips: &[Clip<'_>]) -> Result<Self, Failure> {
        let output = ffmpeg::capture("ffmpeg", ["-hide_banner", "-loglevel", "error", "-encoders"], LIMIT)?;
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        let has = |name: &str| listed.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
        // Each with settings by which nobody sees a difference at a glance.
        let pictures: &[&[&str]] = if container.is_webm {
            &[
                &[
                    "libvpx-vp9",
                    "-crf",
                    "28",
                    "-b:v",
                    "0",
                    "-row-mt",
                    "1",
                    "-deadline",
                    "good",
                    "-cpu-used",
                    "4",
                ],
                &["libvpx", "-crf", "8", "-b:v", "8M"],
            ]
        } else {
            &[
                &["libx264", "-crf", "18", "-preset", "fast"],
                &["libopenh264", "-b:v", "8M"],
                &["mpeg4", "-q:v", "3"],
            ]
        };
        let sounds: &[&[&str]] = if container.is_webm {
            &[&["libopus", "-b:a", "160k"], &["libvorbis", "-q:a", "6"]]
        } else {
            &[&["aac", "-b:a", "192k"]]
        };
        let best = |encoders: &[&[&'static str]]| encoders.iter().find(|encoder| has(encoder[0])).map(|encoder| encoder.to_vec());
        let lacks =
            || Failure::new(format!("this FFmpeg has no encoder for {}", container.muxer)).hint("install a full FFmpeg, or write .mkv");
        let first = clips.first().map(|clip| clip.film).ok_or_else(lacks)?;
        Ok(Self {
            video: best(pictures).ok_or_else(lacks)?,
            sound: best(sounds).ok_or_else(lacks)?,
            size: first.picture.shown_size(),
            rate: first.rate.unwrap_or(Rate::PAL),
            has_sound: clips.iter().any(|clip| clip.film.sound.is_some()),
        })
    }
}

/// Less than a frame of any film lasts, more than any clock's tick.
const ROUNDING_US: u64 = 500;

/// As FFmpeg takes a time.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

impl Encoding {
    fn n_frames(&self, clip: &Clip<'_>) -> u64 {
        self.rate.frame_at(clip.moment.length_ms()).max(1)
    }

    /// How long a clip is that is joined to others.
    fn length_s(&self, clip: &Clip<'_>) -> f64 {
        self.n_frames(clip) as f64 / self.rate.frames_a_second()
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

/// Why nothing was cut.
#[derive(Debug)]
pub(crate) enum Trouble {
    Failed(Failure),
    /// Packets were copied, and the picture is missing or begins late: FFmpeg does not find that keyframe again, as in streams without an
    /// index.
    NoKeyframe,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A picture may begin that much later than its sound.
const MAX_DELAY_S: f64 = 0.3;

/// **Errors**: what was copied has no picture from its beginning on.
fn check(copied: &Path) -> Result<(), Trouble> {
    match look::film(copied) {
        Ok(film) if film.picture_delay_s() <= MAX_DELAY_S => Ok(()),
        _ => Err(Trouble::NoKeyframe),
    }
}

/// Cuts the clips and joins them into `draft`; `progress` hears how many microseconds are done.
pub(crate) fn cut(
    clips: &[Clip<'_>],
    container: Container,
    encoding: Option<&Encoding>,
    (draft, workshop): (&Path, &Path),
    stop: &Stop,
    progress: &(impl Fn(u64) + Clone + Send + 'static),
) -> Result<(), Trouble> {
    if let [clip] = clips {
        let mut arguments = one(clip, encoding, true);
        arguments.extend(target(container, clips));
        arguments.push(ffmpeg::name(draft));
        ffmpeg::run(&arguments, stop, progress.clone())?;
        return if encoding.is_none() { check(draft) } else { Ok(()) };
    }
    let mut list = "ffconcat version 1.0\n".to_owned();
    let mut done_us = 0;
    for (index, clip) in clips.iter().enumerate() {
        // Where packets are copied, into the container that they are for; else into one that takes everything to the tick.
        let muxer = if encoding.is_some() { "nut" } else { container.muxer };
        let name = format!("{index:04}.{muxer}");
        let mut arguments = one(clip, encoding, false);
        arguments.extend(words(&["-map_metadata:g", "-1", "-map_chapters", "-1"]));
        if container.is_mp4 && encoding.is_none() {
            // The clocks of joined files have to tick alike.
            arguments.extend(words(&["-video_track_timescale", "90000"]));
        }
        arguments.extend(words(&["-f", muxer]));
        let place = workshop.join(&name);
        arguments.push(ffmpeg::name(&place));
        let progress = progress.clone();
        let before_us = done_us;
        ffmpeg::run(&arguments, stop, move |us| progress(before_us + us))?;
        if encoding.is_none() {
            check(&place)?;
        }
        done_us += clip.length_us();
        writeln!(list, "file {name}").expect("a string takes any text");
        if let Some(encoding) = encoding {
            // It is known to the frame; what the file says may be a frame longer.
            writeln!(list, "duration {:.6}", encoding.length_s(clip)).expect("a string takes any text");
        }
    }
    let path = workshop.join("list");
    std::fs::write(&path, list).map_err(|error| Failure::new("the clips could not be joined").cause(error.to_string()))?;
    let mut arguments = words(&["-protocol_whitelist", "file", "-f", "concat", "-safe", "1", "-i"]);
    arguments.push(ffmpeg::name(&path));
    arguments.extend(words(&["-map", "0", "-c", "copy"]));
    if let Some(encoding) = encoding.filter(|encoding| encoding.has_sound) {
        // Sound is kept as it is until here: encoded clip by clip there would be a gap at every joint.
        arguments.push("-c:a".into());
        arguments.extend(words(&encoding.sound));
    }
    arguments.extend(target(container, clips));
    arguments.push(ffmpeg::name(draft));
    Ok(ffmpeg::run(&arguments, stop, |_| {})?)
}

/// What comes before the output's name: the film, the stretch, the streams, and how they are encoded.
fn one(clip: &Clip<'_>, encoding: Option<&Encoding>, is_alone: bool) -> Vec<OsString> {
    let (start_us, end_us) = (clip.moment.start_ms * 1000, clip.moment.end_ms * 1000);
    // A packet at the very start is not to be lost by rounding.
    let begin_us = clip.keyframe_us.map_or(start_us, |us| us.saturating_sub(ROUNDING_US));
    let mut arguments = ffmpeg::guarded();
    arguments.extend(words(&[
        "-ss",
        &seconds(begin_us),
        "-t",
        &seconds(end_us.saturating_sub(begin_us)),
        "-i",
    ]));
    arguments.push(ffmpeg::name(&clip.moment.path));
    let picture = format!("0:{}", clip.film.picture.index);
    let sound = clip.film.sound.as_ref().map(|sound| format!("0:{}", sound.index));
    let Some(encoding) = encoding else {
        arguments.extend(words(&["-map", &picture]));
        // All tracks of sound where no other clip has to have the same.
        match sound {
            Some(_) if is_alone => arguments.extend(words(&["-map", "0:a"])),
            Some(sound) => arguments.extend(words(&["-map", &sound])),
            None => {}
        }
        arguments.extend(words(&["-c", "copy"]));
        if clip.keyframe_us.is_some() {
            // FFmpeg may go back further than to that keyframe.
            arguments.extend(words(&["-copypriorss", "0"]));
        }
        return arguments;
    };
    let (width, height) = encoding.size;
    let silent = encoding.has_sound && sound.is_none();
    if silent {
        arguments.extend(words(&["-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo"]));
    }
    arguments.extend(words(&["-map", &picture]));
    let n_frames = encoding.n_frames(clip);
    let filter = if is_alone {
        // Frames stay as they are; only an odd width or height is more than most encoders take.
        "pad=ceil(iw/2)*2:ceil(ih/2)*2,format=yuv420p".to_owned()
    } else {
        format!(
            "scale=w='max(2,trunc(iw*if(sar,sar,1)))':h=ih,setsar=1,scale={width}:{height}:force_original_aspect_ratio=decrease:\
             force_divisible_by=2,pad={width}:{height}:(ow-iw)/2:(oh-ih)/2,fps={},tpad=stop_mode=clone:stop={n_frames},trim=end_frame={n_frames},\
             format=yuv420p",
            encoding.rate.fraction()
        )
    };
    arguments.extend(words(&["-vf", &filter, "-c:v"]));
    arguments.extend(words(&encoding.video));
    if encoding.has_sound {
        let sound = if silent { "1:a" } else { sound.as_deref().unwrap_or("0:a") };
        arguments.extend(words(&["-map", sound]));
        if is_alone {
            arguments.push("-c:a".into());
            arguments.extend(words(&encoding.sound));
        } else {
            // As long as the picture, to the sample: what is missing is silence.
            let filter = format!("aresample=48000:async=1,apad,atrim=end={}", encoding.length_s(clip));
            arguments.extend(words(&["-af", &filter, "-ac", "2", "-c:a", "pcm_s16le"]));
        }
    }
    arguments
}

/// Container and metadata of what is handed out: where it comes from, and nothing of what a camera wrote about the place.
fn target(container: Container, clips: &[Clip<'_>]) -> Vec<OsString> {
    let mut arguments = words(&["-map_metadata:g", "-1", "-map_chapters", "-1"]);
    if container.is_mp4 {
        arguments.extend(words(&["-movflags", "+faststart"]));
    }
    arguments.extend(words(&["-metadata", &format!("comment={}", origin(clips)), "-f", container.muxer]));
    arguments
}

/// Readers of metadata expect a sentence and no book; nor does a command line hold one.
const MAX_ORIGIN: usize = 8 << 10;

/// `From /films/a.mp4 0:03:12.040 – 0:03:19.500`, and so on.
fn origin(clips: &[Clip<'_>]) -> String {
    let mut origin = "From ".to_owned();
    for (index, clip) in clips.iter().enumerate() {
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
