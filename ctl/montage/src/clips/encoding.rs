//! How clips are re-encoded if their packets cannot be copied.

use std::time::Duration;

use super::{Clip, Container};
use crate::error::ExportError;
use crate::ffmpeg;
use crate::ffmpeg::probe::{ProbedVideo, Stream};
use crate::timeline::rate::Rate;

/// One encoding for all clips: it follows the first clip and uses the best encoders that this FFmpeg has.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    /// Encoder and settings.
    pub(super) video: Vec<String>,
    /// The codec tag in the finished file.
    pub(super) tag: Option<&'static str>,
    pub(super) pixels: &'static str,
    pub(super) sound: Vec<&'static str>,
    pub(super) size: (u32, u32),
    pub(super) rate: Rate,
    pub(super) has_sound: bool,
}

/// How long FFmpeg may take to list its encoders.
const LIMIT: Duration = Duration::from_secs(30);

/// An encoder and its settings, chosen so that the loss is not noticeable at a glance.
type Encoder = &'static [&'static str];

const WEBM: &[Encoder] = &[
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
];
const OTHERS: &[Encoder] = &[
    &["libx264", "-crf", "18", "-preset", "fast"],
    &["libopenh264", "-b:v", "8M"],
    &["mpeg4", "-q:v", "3"],
];

/// Ten bits per colour. Players that support HDR support it in HEVC and VP9.
const WEBM_HDR: &[Encoder] = &[&[
    "libvpx-vp9",
    "-profile:v",
    "2",
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
]];
const OTHERS_HDR: &[Encoder] = &[
    &[
        "libx265",
        "-crf",
        "18",
        "-preset",
        "fast",
        "-profile:v",
        "main10",
        "-x265-params",
        "log-level=error",
    ],
    &["libx264", "-crf", "18", "-preset", "fast", "-profile:v", "high10"],
];

const WEBM_SOUND: &[Encoder] = &[&["libopus", "-b:a", "160k"], &["libvorbis", "-q:a", "6"]];
const OTHERS_SOUND: &[Encoder] = &[&["aac", "-b:a", "192k"]];

impl Encoding {
    /// **Errors**: FFmpeg is not installed or has no suitable encoder; videos with and without HDR are to be joined, which would make one
    /// of them look wrong.
    pub(crate) fn of(container: Container, clips: &[Clip<'_>]) -> Result<Self, ExportError> {
        let lacks = |what| ExportError::NoEncoder { what };
        let first = clips.first().map(|clip| clip.video).ok_or_else(|| lacks("nothing"))?;
        let is_hdr = first.picture.is_hdr();
        let is_alike = |video: &ProbedVideo| video.picture.color_transfer == first.picture.color_transfer;
        if let Some(other) = clips
            .iter()
            .find(|clip| (is_hdr || clip.video.picture.is_hdr()) && !is_alike(clip.video))
        {
            return Err(ExportError::MixedColours {
                video: other.moment.path.clone(),
            });
        }
        let output = ffmpeg::capture("ffmpeg", ["-hide_banner", "-loglevel", "error", "-encoders"], LIMIT)?;
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        let has = |name: &str| listed.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
        let best = |encoders: &[Encoder]| encoders.iter().find(|encoder| has(encoder[0])).copied();
        let pictures = match (container.is_webm, is_hdr) {
            (true, false) => WEBM,
            (true, true) => WEBM_HDR,
            (false, false) => OTHERS,
            (false, true) => OTHERS_HDR,
        };
        let sounds = if container.is_webm { WEBM_SOUND } else { OTHERS_SOUND };
        let what = if is_hdr { "HDR" } else { container.muxer };
        let video = best(pictures).ok_or_else(|| lacks(what))?;
        let mut video: Vec<String> = video.iter().map(|&word| word.to_owned()).collect();
        // Apple's players accept HEVC under no other tag.
        let tag = (container.is_mp4 && video[0] == "libx265").then_some("hvc1");
        if is_hdr {
            video.extend(names_of_colours(&first.picture));
        }
        Ok(Self {
            video,
            tag,
            pixels: if is_hdr { "yuv420p10le" } else { "yuv420p" },
            sound: best(sounds).ok_or_else(|| lacks("sound"))?.to_vec(),
            size: first.picture.shown_size(),
            rate: first.rate.unwrap_or(Rate::PAL),
            has_sound: clips.iter().any(|clip| !clip.video.sounds.is_empty()),
        })
    }

    pub(super) fn n_frames(&self, clip: &Clip<'_>) -> u64 {
        self.rate.frame_at((clip.length_us() + 500) / 1000).max(1)
    }

    /// Returns the length of a clip that is joined to others.
    pub(super) fn length_s(&self, clip: &Clip<'_>) -> f64 {
        self.n_frames(clip) as f64 / self.rate.frames_a_second()
    }
}

/// Returns options that pass the picture's colour tags on to the new file; ffprobe and ffmpeg use the same names.
fn names_of_colours(picture: &Stream) -> Vec<String> {
    let told = [
        ("-color_trc", &picture.color_transfer),
        ("-color_primaries", &picture.color_primaries),
        ("-colorspace", &picture.color_space),
    ];
    let known = told.into_iter().filter_map(|(option, name)| Some((option, name.as_deref()?)));
    known
        // RGB has its own matrix, which the new picture does not use.
        .filter(|(_, name)| !matches!(*name, "unknown" | "reserved" | "gbr"))
        .flat_map(|(option, name)| [option.to_owned(), name.to_owned()])
        .collect()
}
