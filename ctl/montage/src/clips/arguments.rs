//! The arguments for `ffmpeg`: which part of a video to read, what happens to the streams, and the result's metadata.

use std::ffi::OsString;
use std::fmt::Write as _;

use scened_shared::terminal;

use super::{Clip, Container, Encoding, Method, Oddity, OtherStreams};
use crate::moment::Moment;
use crate::timeline::rate::Rate;
use crate::{ffmpeg, time};

/// Formats a time as FFmpeg reads it.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

pub(super) fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

/// Returns the input options for the wanted part of a video.
pub(super) fn opened(clip: &Clip<'_>, method: Method<'_>) -> Vec<OsString> {
    let begin_us = clip.begin_us(method);
    let mut arguments = ffmpeg::guarded(&clip.source);
    if !matches!(method, Method::Encode { from_start, .. } if clip.is_from_start(from_start)) {
        arguments.extend(words(&["-ss", &seconds(begin_us)]));
    }
    // A wrong time stamp must not end the clip: filters cut it instead.
    match (method, clip.oddity) {
        (Method::Encode { .. }, Some(_)) => arguments.extend(words(&["-noaccurate_seek"])),
        _ => arguments.extend(words(&["-t", &seconds(clip.end_us.saturating_sub(begin_us))])),
    }
    arguments.push("-i".into());
    arguments.push(clip.source.name());
    arguments
}

/// Returns the options that copy the streams.
pub(super) fn copied(clip: &Clip<'_>, others: &OtherStreams) -> Vec<OsString> {
    let mut arguments = words(&["-map", &format!("0:{}", clip.video.picture.index)]);
    for sound in others.sounds.iter().filter_map(|place| clip.video.sounds.get(*place)) {
        arguments.extend(words(&["-map", &format!("0:{}", sound.index)]));
    }
    arguments.extend(words(&["-c", "copy"]));
    let begin_us = clip.begin_us(Method::Copy);
    arguments.extend(beside(others, clip.end_us.saturating_sub(begin_us)));
    if clip.keyframe_us.is_some() {
        // FFmpeg may go back further than that keyframe.
        arguments.extend(words(&["-copypriorss", "0"]));
    }
    arguments
}

/// Returns the options for subtitles and their fonts. No subtitle may outlast the clip, or it would make the clip longer.
fn beside(others: &OtherStreams, length_us: u64) -> Vec<OsString> {
    let mut arguments = Vec::new();
    for place in &others.subtitles {
        arguments.extend(words(&["-map", &format!("0:s:{place}")]));
    }
    if !others.subtitles.is_empty() {
        let cut = format!("setts=duration='min(DURATION,max(0,{}/TB-PTS))'", seconds(length_us));
        arguments.extend(words(&["-c:s", "copy", "-bsf:s", &cut]));
        if others.has_attachments {
            arguments.extend(words(&["-map", "0:t", "-c:t", "copy"]));
        }
    }
    arguments
}

/// Returns the start of a filter for clips that FFmpeg cannot seek to or cut by itself.
fn trimmed(kind: &str, clip: &Clip<'_>, from_start: bool) -> String {
    let cut = |start_us: u64, length_us: u64| {
        let (start, end) = (seconds(start_us), seconds(start_us + length_us));
        format!("{kind}trim=start={start}:end={end},{kind}setpts=PTS-{start}/TB,")
    };
    let start_us = if clip.is_from_start(from_start) { clip.start_us } else { 0 };
    match clip.oddity {
        None if from_start => cut(start_us, clip.length_us()),
        None => String::new(),
        // Sound has no frame numbers, but its samples are consecutive.
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
            let frame_s = 1.0 / clip.video.rate.unwrap_or(Rate::PAL).frames_a_second();
            let leap_s = MAX_LEAP_FRAMES * frame_s;
            format!(
                "setpts='if(isnan(PREV_OUTPTS)+lt(abs(PTS-PREV_OUTPTS)*TB,{leap_s:.6}),PTS,PREV_OUTPTS+{frame_s:.6}/TB)',{}",
                cut(start_us, clip.length_us())
            )
        }
        Some(Oddity::WrongStamps) => cut(start_us, clip.length_us()),
    }
}

/// In videos with wrong stamps, a stamp that jumps by this many frames is wrong.
const MAX_LEAP_FRAMES: f64 = 5.0;

/// Re-encodes a single clip: its frames stay as they are, and all sound and subtitles are kept.
pub(super) fn encoded(clip: &Clip<'_>, others: &OtherStreams, encoding: &Encoding, from_start: bool) -> Vec<OsString> {
    // The only sizes that most encoders reject are odd ones.
    let filter = format!(
        "{}pad=ceil(iw/2)*2:ceil(ih/2)*2,format={}",
        trimmed("", clip, from_start),
        encoding.pixels
    );
    let mut arguments = words(&["-map", &format!("0:{}", clip.video.picture.index), "-vf", &filter, "-c:v"]);
    arguments.extend(encoding.video.iter().map(OsString::from));
    for sound in others.sounds.iter().filter_map(|place| clip.video.sounds.get(*place)) {
        arguments.extend(words(&["-map", &format!("0:{}", sound.index)]));
    }
    if !others.sounds.is_empty() {
        arguments.push("-c:a".into());
        arguments.extend(words(&encoding.sound));
        let filter = trimmed("a", clip, from_start);
        if !filter.is_empty() {
            arguments.extend(words(&["-af", filter.trim_end_matches(',')]));
        }
    }
    arguments.extend(beside(others, clip.length_us()));
    arguments
}

/// Encodes one of several clips: all get the same size, rate and sound, and each is exactly as long as its number of frames.
pub(super) fn encoded_to_be_joined(clip: &Clip<'_>, encoding: &Encoding, from_start: bool) -> Vec<OsString> {
    let (width, height) = encoding.size;
    let n_frames = encoding.n_frames(clip);
    let is_silent = encoding.has_sound && clip.video.sounds.is_empty();
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
    arguments.extend(words(&["-map", &format!("0:{}", clip.video.picture.index), "-vf", &filter, "-c:v"]));
    arguments.extend(encoding.video.iter().map(OsString::from));
    if encoding.has_sound {
        // Exactly as long as the picture, to the sample: missing sound becomes silence.
        let filter = format!(
            "{}aresample=48000:async=1,apad,atrim=end={}",
            if is_silent { String::new() } else { trimmed("a", clip, from_start) },
            encoding.length_s(clip)
        );
        let first = clip.video.sounds.first().map(|sound| format!("0:{}", sound.index));
        let sound = first.unwrap_or_else(|| "1:a".to_owned());
        arguments.extend(words(&["-map", &sound, "-af", &filter, "-ac", "2", "-c:a", "pcm_s16le"]));
    }
    arguments
}

/// Returns the container and metadata options of the result: it names its sources, but nothing that a camera recorded about the location.
pub(super) fn muxed(container: Container, clips: &[Clip<'_>], method: Method<'_>) -> Vec<OsString> {
    let mut arguments = words(&["-map_metadata:g", "-1", "-map_chapters", "-1"]);
    if container.is_mp4 {
        arguments.extend(words(&["-movflags", "+faststart"]));
    }
    if let Method::Encode { encoding, .. } = method
        && let Some(tag) = encoding.tag
    {
        arguments.extend(words(&["-tag:v", tag]));
    }
    arguments.extend(words(&["-metadata", &format!("comment={}", origin(clips)), "-f", container.muxer]));
    arguments
}

/// Metadata readers expect a sentence, not a book; a command line cannot hold one either.
const MAX_ORIGIN: usize = 8 << 10;

/// Formats `From /films/a.mp4 0:03:12.040 – 0:03:19.500`, and so on.
fn origin(clips: &[Clip<'_>]) -> String {
    let mut origin = "From ".to_owned();
    let mut last: Option<&Moment> = None;
    for (index, clip) in clips.iter().enumerate() {
        // A moment may consist of several pieces.
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
        let (path, moment) = (terminal::path(&clip.moment.path, None), clip.moment);
        let at = |ms: u64| format!("{}.{:03}", time::moment(ms), ms % 1000);
        write!(origin, "{path} {} – {}", at(moment.start_ms), at(moment.end_ms)).expect("a string takes any text");
    }
    origin
}
