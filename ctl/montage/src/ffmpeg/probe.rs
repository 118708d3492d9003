//! The contents of a video, as `ffprobe` reports them.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use scened_shared::message::PictureTrack;
use serde::Deserialize;

use super::{FfmpegError, Source};
use crate::timeline::rate::{Rate, Timecode};

/// A video on a sleeping disk takes a few seconds; longer waits are given up.
const LIMIT: Duration = Duration::from_secs(30);

/// The contents of a video.
#[derive(Clone, Debug, Default)]
pub struct ProbedVideo {
    /// Frames per second; `None` if the file gives no rate, or one that no video has.
    pub rate: Option<Rate>,
    /// Timecode of its first frame, if a camera recorded one.
    pub first: Option<Timecode>,
    pub(crate) picture: Stream,
    /// In the order of the file, like the next field.
    pub(crate) sounds: Vec<Stream>,
    pub(crate) subtitles: Vec<Stream>,
    /// Usually fonts for subtitles.
    pub(crate) has_attachments: bool,
    pub(crate) duration_s: Option<f64>,
    /// Whether any range of the file is a video as well, because the file has no header that the rest depends on.
    pub(crate) is_divisible: bool,
    /// The time on its clock at its beginning.
    pub(crate) started_s: f64,
}

/// One stream: the fields that decide whether two videos can be joined without re-encoding.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Stream {
    pub(crate) index: u32,
    /// The container's id for it, such as `0x100`.
    id: Option<String>,
    codec_type: Option<String>,
    pub(crate) codec_name: Option<String>,
    #[serde(default)]
    pub(crate) width: u32,
    #[serde(default)]
    pub(crate) height: u32,
    pix_fmt: Option<String>,
    /// How its values map to light and colours.
    pub(crate) color_transfer: Option<String>,
    pub(crate) color_primaries: Option<String>,
    pub(crate) color_space: Option<String>,
    sample_aspect_ratio: Option<String>,
    sample_rate: Option<String>,
    channels: Option<u32>,
    /// Hash of the data that the decoder needs beforehand.
    extradata_hash: Option<String>,
    start_time: Option<String>,
    r_frame_rate: Option<String>,
    avg_frame_rate: Option<String>,
    #[serde(default)]
    disposition: Disposition,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Disposition {
    #[serde(default)]
    default: u8,
    #[serde(default)]
    attached_pic: u8,
    #[serde(default)]
    timed_thumbnails: u8,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Tags {
    timecode: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct SideData {
    rotation: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
struct Format {
    #[serde(default, rename = "format_name")]
    names: String,
    duration: Option<String>,
    start_time: Option<String>,
    #[serde(default)]
    tags: Tags,
}

#[derive(Debug, Deserialize)]
struct Packet {
    stream_index: u32,
    #[serde(default)]
    flags: String,
}

#[derive(Debug, Deserialize)]
struct ProbeOutput {
    #[serde(default)]
    packets: Vec<Packet>,
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

impl Stream {
    fn is(&self, kind: &str) -> bool {
        self.codec_type.as_deref() == Some(kind)
    }

    fn rotation(&self) -> i64 {
        self.side_data_list.iter().find_map(|data| data.rotation).unwrap_or(0.0) as i64
    }

    /// Returns whether it exceeds the brightness of common screens (PQ or HLG). In 8 bits, or without its colour tags, it would look washed
    /// out.
    pub(crate) fn is_hdr(&self) -> bool {
        matches!(self.color_transfer.as_deref(), Some("smpte2084" | "arib-std-b67"))
    }

    fn is_video(&self) -> bool {
        self.is("video") && self.disposition.attached_pic == 0 && self.disposition.timed_thumbnails == 0
    }

    fn has_id(&self, wanted: i64) -> bool {
        let id = self.id.as_deref().and_then(|id| id.strip_prefix("0x"));
        id.and_then(|id| i64::from_str_radix(id, 16).ok()) == Some(wanted)
    }

    /// Returns whether packets of both can follow each other in one stream.
    fn continues(&self, other: &Self) -> bool {
        let of = |stream: &Self| {
            (
                (stream.codec_name.clone(), stream.extradata_hash.clone(), stream.pix_fmt.clone()),
                (stream.width, stream.height, stream.sample_aspect_ratio.clone(), stream.rotation()),
                (stream.sample_rate.clone(), stream.channels, stream.color_transfer.clone()),
            )
        };
        self.codec_name.is_some() && of(self) == of(other)
    }

    /// Returns the displayed width and height, both even.
    pub(crate) fn shown_size(&self) -> (u32, u32) {
        let aspect = self.sample_aspect_ratio.as_deref().and_then(fraction).unwrap_or(1.0);
        let width = (f64::from(self.width) * aspect).round() as u32;
        let even = |length: u32| (length.max(2) + 1) & !1;
        let (width, height) = (even(width), even(self.height));
        if self.rotation() % 180 == 0 {
            (width, height)
        } else {
            (height, width)
        }
    }
}

impl ProbedVideo {
    /// Returns why clips of the two cannot be joined without re-encoding; `None` if they can.
    pub(crate) fn obstacle(&self, other: &Self) -> Option<&'static str> {
        if !self.picture.continues(&other.picture) {
            return Some("their video streams differ in size or encoding");
        }
        match (self.sounds.first(), other.sounds.first()) {
            (None, None) => None,
            (Some(one), Some(two)) if one.continues(two) => None,
            _ => Some("their audio streams differ in encoding"),
        }
    }

    /// Returns whether the two have the same audio tracks, so that each one can continue.
    pub(crate) fn sounds_as(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.sounds, &other.sounds);
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(one, two)| one.continues(two))
    }

    /// Returns how much later than the file its picture begins.
    pub(crate) fn picture_delay_s(&self) -> f64 {
        let start_s = self.picture.start_time.as_deref().and_then(|start| start.parse::<f64>().ok());
        start_s.map_or(0.0, |start_s| start_s - self.started_s)
    }
}

/// Parses `30000/1001` or `16:9`; `None` for values such as `0/0` and `0:1`.
fn fraction(text: &str) -> Option<f64> {
    let (up, down) = text.split_once(['/', ':'])?;
    let value = up.parse::<f64>().ok()? / down.parse::<f64>().ok()?;
    (value.is_finite() && value > 0.0).then_some(value)
}

/// Runs `ffprobe` on a video. `wanted` is the picture that the daemon indexed, if known.
///
/// **Errors**: `ffprobe` is not installed; it does not recognize the file as a video; the video has no picture.
pub fn video(source: &Source, wanted: Option<&PictureTrack>) -> Result<ProbedVideo, FfmpegError> {
    Ok(probe(source, wanted, 0)?.0)
}

/// Returns the stream that the daemon indexed. If the daemon does not report it, the daemon's own rule applies (`choose_stream` of
/// `daemon/worker/src/media/decode/streams.rs`). It picks the largest one, with a bonus for the one that the file marks as default.
fn choose<'a>(streams: &'a [Stream], wanted: Option<&PictureTrack>, is_whole: bool) -> Option<&'a Stream> {
    const BONUS: u64 = 5_000_000;
    let score = |stream: &Stream| {
        let bonus = if stream.disposition.default > 0 { BONUS } else { 0 };
        (
            stream.codec_name.is_some(),
            u64::from(stream.width) * u64::from(stream.height) + bonus,
        )
    };
    let pictures = || streams.iter().filter(|stream| stream.is("video"));
    let told = wanted.and_then(|wanted| {
        let by_id = wanted.id.and_then(|id| pictures().find(|stream| stream.has_id(id)));
        let by_index = || pictures().find(|stream| is_whole && stream.index == wanted.stream);
        by_id.or_else(by_index)
    });
    // Among equals, the first one.
    told.or_else(|| {
        pictures()
            .filter(|stream| stream.is_video())
            .rev()
            .max_by_key(|stream| score(stream))
    })
}

/// Probes a new clip; `None` if it has no picture, or not from its beginning.
pub(crate) fn cut(path: &Path) -> Option<ProbedVideo> {
    /// The picture may begin this much later than the sound.
    const MAX_DELAY_S: f64 = 0.3;
    /// Enough to cover the packets of other streams that may precede the first picture.
    const N_PACKETS: u32 = 64;
    let (video, packets) = probe(&Source::whole(path), None, N_PACKETS).ok()?;
    let first = packets.iter().find(|packet| packet.stream_index == video.picture.index)?;
    (first.flags.starts_with('K') && video.picture_delay_s() <= MAX_DELAY_S).then_some(video)
}

/// Returns the video, and its first packets.
fn probe(source: &Source, wanted: Option<&PictureTrack>, n_packets: u32) -> Result<(ProbedVideo, Vec<Packet>), FfmpegError> {
    let guarded = super::guarded(source);
    let mut arguments: Vec<OsString> = ["-v", "error"].map(Into::into).into_iter().chain(guarded).collect();
    if n_packets > 0 {
        arguments.extend(["-show_packets", "-read_intervals", &format!("%+#{n_packets}")].map(Into::into));
    }
    arguments.extend(["-show_streams", "-show_format", "-show_data_hash", "MD5", "-of", "json"].map(Into::into));
    arguments.push(source.name());
    let output = super::capture("ffprobe", arguments, LIMIT)?;
    let refused = |why: Option<String>| FfmpegError::Unreadable {
        video: source.path.clone(),
        said: super::complaints(&output.stderr).into_iter().chain(why).collect(),
    };
    if !output.status.success() {
        return Err(refused(None));
    }
    let told: ProbeOutput = serde_json::from_slice(&output.stdout).map_err(|error| refused(Some(error.to_string())))?;
    let picture = choose(&told.streams, wanted, source.stretch.is_none())
        .cloned()
        .ok_or_else(|| refused(Some("it has no picture".to_owned())))?;
    let all = |kind: &str| -> Vec<Stream> { told.streams.iter().filter(|stream| stream.is(kind)).cloned().collect() };
    let rate = [&picture.avg_frame_rate, &picture.r_frame_rate]
        .into_iter()
        .find_map(|rate| Rate::nearest(fraction(rate.as_deref()?)?));
    let mut tags = told.streams.iter().map(|stream| &stream.tags).chain([&told.format.tags]);
    let video = ProbedVideo {
        rate,
        first: tags.find_map(|tags| Timecode::parse(tags.timecode.as_deref()?)),
        // Leaves out sound that is announced but missing, as when a range of a file ends with the next one's tables.
        sounds: all("audio")
            .into_iter()
            .filter(|sound: &Stream| sound.sample_rate.as_deref() != Some("0"))
            .collect(),
        subtitles: all("subtitle"),
        has_attachments: told.streams.iter().any(|stream| stream.is("attachment")),
        picture,
        is_divisible: matches!(told.format.names.as_str(), "mpegts" | "mpeg"),
        started_s: told.format.start_time.and_then(|start| start.parse().ok()).unwrap_or(0.0),
        duration_s: told.format.duration.and_then(|duration| duration.parse().ok()),
    };
    Ok((video, told.packets))
}

/// Returns the picture's last keyframe at or before a moment; `None` if none can be determined.
pub(crate) fn keyframe_before(source: &Source, video: &ProbedVideo, at_us: u64) -> Result<Option<u64>, FfmpegError> {
    let seconds = at_us as f64 / 1e6 + video.started_s;
    let guarded = super::guarded(source);
    let mut arguments: Vec<OsString> = ["-v", "error"].map(Into::into).into_iter().chain(guarded).collect();
    let (stream, interval) = (video.picture.index.to_string(), format!("{seconds:.6}%{:.6}", seconds + 0.001));
    arguments.extend(["-select_streams", &stream, "-show_entries", "packet=pts_time,flags"].map(Into::into));
    arguments.extend(["-of", "csv=print_section=0", "-read_intervals", &interval].map(Into::into));
    arguments.push(source.name());
    let output = super::capture("ffprobe", arguments, LIMIT)?;
    let told = String::from_utf8_lossy(&output.stdout);
    let keyframes = told.lines().filter_map(|line| {
        let (time, flags) = line.split_once(',')?;
        let time_s: f64 = time.parse().ok()?;
        // Scene boundaries are given in whole milliseconds.
        (flags.starts_with('K') && time_s <= seconds + 0.001).then_some(time_s - video.started_s)
    });
    let last_s = keyframes.fold(f64::NEG_INFINITY, f64::max);
    Ok((last_s.is_finite() && last_s >= -0.001).then(|| (last_s.max(0.0) * 1e6) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_read() {
        assert_eq!(fraction("30000/1001"), Some(30_000.0 / 1001.0));
        assert_eq!(fraction("16:9"), Some(16.0 / 9.0));
        for none in ["0/0", "0:1", "1/0", "x/2", "25", ""] {
            assert_eq!(fraction(none), None, "{none}");
        }
    }

    #[test]
    fn a_picture_is_as_large_as_it_is_shown() {
        let stream = |width, height, aspect: &str, rotation| Stream {
            width,
            height,
            sample_aspect_ratio: Some(aspect.to_owned()),
            side_data_list: vec![SideData { rotation: Some(rotation) }],
            ..Stream::default()
        };
        assert_eq!(stream(1920, 1080, "1:1", 0.0).shown_size(), (1920, 1080));
        assert_eq!(stream(1920, 1080, "1:1", -90.0).shown_size(), (1080, 1920));
        assert_eq!(stream(720, 576, "64:45", 0.0).shown_size(), (1024, 576));
        assert_eq!(stream(333, 1, "0:1", 180.0).shown_size(), (334, 2));
    }
}
