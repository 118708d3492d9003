//! Clips of videos joined into a new video: the checks beforehand, whether packets can be copied, and the result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use scened_shared::quantity::{count, size};
use scened_shared::stop::Stop;
use scened_shared::terminal;
use scened_shared::wire_path::WirePath;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::clips::{self, Clip, Container, Encoding, Method, Oddity, OtherStreams, Trouble};
use crate::error::ExportError;
use crate::ffmpeg::probe::{self, ProbedVideo};
use crate::ffmpeg::{self, FfmpegError, Source};
use crate::moment::Moment;
use crate::output_file::OutputFile;
use crate::{clock, time};

/// A clip that begins earlier by less than this is not reported.
const WORTH_TELLING_MS: u64 = 100;

/// Assumed distance from a clip back to its keyframe, if the keyframe was not found. Microseconds.
const UNKNOWN_LEAD_US: u64 = 15_000_000;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct ExportRequest<'a> {
    /// The output file; relative paths are resolved against the current folder.
    pub output: &'a Path,
    /// The container format.
    pub container: Container,
    /// Whether to cut at the exact frame.
    pub is_exact: bool,
    /// Whether to replace an existing file.
    pub force: bool,
}

/// What was made; `scenectl export --json` prints these fields.
#[derive(Debug, Serialize)]
pub struct Exported {
    /// Its absolute path.
    #[serde(flatten)]
    pub file: WirePath,
    /// The clips in it: one for each moment, in order.
    pub clips: Vec<Part>,
    /// Its length.
    pub duration_ms: u64,
    /// Its size.
    pub size_bytes: u64,
    /// Whether packets were copied; otherwise everything was re-encoded.
    copied: bool,
    /// Why it was re-encoded although the user did not ask for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Streams of the videos that it does not contain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    /// What may be wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    doubts: Vec<String>,
}

/// One clip of the result.
#[derive(Debug, Serialize)]
pub struct Part {
    #[serde(flatten)]
    file: WirePath,
    start_ms: u64,
    end_ms: u64,
    /// How much earlier than `start_ms` it begins, because of a keyframe.
    lead_ms: u64,
}

impl Exported {
    /// Summarizes the result, to follow its name.
    pub fn summary(&self) -> String {
        format!(
            "{}, {}, {}",
            count(self.clips.len() as u64, "clip"),
            time::exact(self.duration_ms),
            size(self.size_bytes)
        )
    }

    /// Lists what the user may not expect; `remedy` says how to make a clip begin at the exact frame.
    pub fn notes(&self, remedy: &str) -> Vec<String> {
        let mut notes = self.doubts.clone();
        if let Some(reason) = &self.reason {
            notes.push(format!("encoded again: {reason}"));
        }
        if !self.left_out.is_empty() {
            notes.push(format!("left out: {}", self.left_out.join("; ")));
        }
        let lead_ms = self.clips.iter().map(|clip| clip.lead_ms).max().unwrap_or(0);
        if lead_ms > WORTH_TELLING_MS {
            let most = if self.clips.len() > 1 { "up to " } else { "" };
            let lead = format!("{most}{}.{} s", lead_ms / 1000, lead_ms % 1000 / 100);
            notes.push(format!("begins {lead} early, at the keyframe before; {remedy}"));
        }
        notes
    }
}

/// Cuts the moments out and joins them; `progress` gets the microseconds done and the total.
///
/// The scene and availability of a moment are ignored: the caller has already checked that its video is there.
///
/// **Errors**: each variant of [`ExportError`]. In that case nothing is written, and no draft and no `ffmpeg` process is left.
pub fn make(
    request: ExportRequest<'_>,
    mut moments: Vec<Moment>,
    stop: &Stop,
    progress: &(impl Fn(u64, u64) + Clone + Send + 'static),
) -> Result<Exported, ExportError> {
    let output = OutputFile::new(request.output, request.force, moments.iter().map(|moment| moment.path.as_path()))?;
    let mut videos = probed(&moments)?;
    let mut left_out = Vec::new();
    if videos.values().any(|video| !video.subtitles.is_empty()) && !ffmpeg::cuts_subtitles()? {
        for video in videos.values_mut() {
            video.subtitles.clear();
        }
        left_out.push("subtitles, which this FFmpeg cannot cut".to_owned());
    }
    let doubts = doubts(&moments, &videos);
    for moment in &mut moments {
        keep_within(moment, &videos[&moment.path])?;
    }
    let mut pieces = Vec::new();
    for moment in &moments {
        pieces.extend(pieces_of(moment, &videos[&moment.path])?);
    }
    let clips = pieces.iter().map(|piece| {
        if stop.is_asked() {
            return Err(FfmpegError::Interrupted);
        }
        clip_of(piece, &videos)
    });
    let clips: Vec<Clip<'_>> = clips.collect::<Result<_, _>>()?;
    let asked_ms: u64 = moments.iter().map(Moment::length_ms).sum();
    let progress = progress.clone();
    let cut = cut(request, &clips, &output, stop, &move |us| progress(us, asked_ms * 1000))?;
    left_out.extend(cut.left_out);
    let size_bytes = output.place(cut.draft)?;
    let parts = moments.iter().map(|moment| {
        let first = clips.iter().find(|clip| std::ptr::eq(clip.moment, moment));
        Part {
            file: WirePath::new(&moment.path),
            start_ms: moment.start_ms,
            end_ms: moment.end_ms,
            lead_ms: first.filter(|_| cut.is_copied).map_or(0, Clip::lead_ms),
        }
    });
    Ok(Exported {
        file: WirePath::new(output.path()),
        clips: parts.collect(),
        duration_ms: cut
            .made
            .duration_s
            .map_or(asked_ms, |duration_s| (duration_s * 1000.0).round() as u64),
        size_bytes,
        copied: cut.is_copied,
        reason: cut.reason,
        left_out,
        doubts,
    })
}

/// The cut clips, still in a draft.
struct Cut {
    draft: NamedTempFile,
    made: ProbedVideo,
    is_copied: bool,
    reason: Option<String>,
    left_out: Vec<String>,
}

/// Cuts by copying packets if nothing prevents it, otherwise by re-encoding, and as a last resort from each video's start.
fn cut(
    request: ExportRequest<'_>,
    clips: &[Clip<'_>],
    output: &OutputFile,
    stop: &Stop,
    progress: &(impl Fn(u64) + Clone + Send + 'static),
) -> Result<Cut, ExportError> {
    let ExportRequest { container, is_exact, .. } = request;
    // FFmpeg writes by name, so no other process may use that name: it is an existing draft, or in a folder of our own.
    let draft = output.draft("")?;
    let workshop = output.workshop()?;
    let mut reason = (!is_exact).then(|| obstacle(container, clips)).flatten();
    let mut encoding = None;
    let (mut is_copied, mut from_start) = (!is_exact && reason.is_none(), false);
    let (made, method) = loop {
        if !is_copied && encoding.is_none() {
            encoding = Some(Encoding::of(container, clips)?);
            // There is no keyframe to seek to.
            from_start = clips.iter().any(|clip| clip.keyframe_us.is_none() && clip.oddity.is_none());
        }
        let method = match &encoding {
            Some(encoding) => Method::Encode { encoding, from_start },
            None => Method::Copy,
        };
        match clips::cut(clips, container, method, (draft.path(), workshop.path()), stop, progress) {
            Err(Trouble::NoKeyframe) if is_copied => {
                reason = Some("there is no keyframe to begin with".to_owned());
                is_copied = false;
            }
            Err(Trouble::NoKeyframe) if !from_start => from_start = true,
            Err(Trouble::NoKeyframe) => {
                return Err(ExportError::Empty {
                    output: request.output.to_owned(),
                });
            }
            Err(Trouble::Failed(source)) => {
                return Err(ExportError::NotWritten {
                    output: request.output.to_owned(),
                    is_encoded: !is_copied,
                    source,
                });
            }
            Ok(made) => break (made, method),
        }
    };
    let OtherStreams { left_out, .. } = clips::other_streams(clips, container, method);
    Ok(Cut {
        draft,
        made,
        is_copied,
        reason,
        left_out,
    })
}

/// Probes each video once.
fn probed(moments: &[Moment]) -> Result<BTreeMap<PathBuf, ProbedVideo>, FfmpegError> {
    let mut videos = BTreeMap::new();
    for moment in moments {
        if !videos.contains_key(&moment.path) {
            let video = probe::video(&Source::whole(&moment.path), moment.picture.as_ref())?;
            videos.insert(moment.path.clone(), video);
        }
    }
    Ok(videos)
}

/// The part of a moment that is cut in one go.
struct Piece<'a> {
    moment: &'a Moment,
    source: Source,
    /// What the source contains, if it is not the whole file.
    stretch: Option<ProbedVideo>,
    /// Its start in the video's time.
    from_ms: u64,
    /// Its start and end in the source's time.
    start_us: u64,
    end_us: u64,
    oddity: Option<Oddity>,
}

/// Splits a moment into the pieces of its file: one, unless the file's time stamps restart within it.
fn pieces_of<'a>(moment: &'a Moment, video: &ProbedVideo) -> Result<Vec<Piece<'a>>, FfmpegError> {
    let picture = moment.picture.as_ref();
    let mut pieces = Vec::new();
    for piece in clock::pieces(picture, moment.start_ms, moment.end_ms) {
        let mut source = Source::whole(&moment.path);
        let mut stretch = None;
        let mut oddity = None;
        let stretch_way = clock::bytes(picture, piece.start_ms).filter(|_| video.is_divisible);
        let by_time = || clock::time(picture, piece.start_ms).filter(|_| clock::time(picture, piece.end_ms - 1).is_some());
        let start_us = if let Some(clock::SeekBy::Bytes {
            from_bytes,
            to_bytes,
            within_ms,
        }) = stretch_way
        {
            source.stretch = Some((from_bytes, to_bytes));
            let elsewhere = clock::picture_at(picture, piece.start_ms);
            let video = probe::video(&source, elsewhere.is_none().then_some(picture).flatten())?;
            // Its times count from its first picture, except in the first range, which begins with the file.
            let delay_s = if from_bytes == 0 { 0.0 } else { video.picture_delay_s().max(0.0) };
            stretch = Some(video);
            within_ms * 1000 + (delay_s * 1e6) as u64
        } else if let Some(ms) = by_time() {
            ms * 1000
        } else if let Some(clock::SeekBy::Frames { first, end, within_ms }) = clock::frames(picture, piece.start_ms) {
            let sound_us = (piece.start_ms - within_ms) * 1000;
            oddity = Some(Oddity::BehindFrames { first, end, sound_us });
            within_ms * 1000
        } else {
            piece.start_ms * 1000
        };
        if stretch.is_none()
            && let Some(elsewhere) = clock::picture_at(picture, piece.start_ms)
        {
            stretch = Some(probe::video(&source, Some(&elsewhere))?);
        }
        pieces.push(Piece {
            moment,
            source,
            stretch,
            from_ms: piece.start_ms,
            start_us,
            end_us: start_us + (piece.end_ms - piece.start_ms) * 1000,
            oddity,
        });
    }
    Ok(pieces)
}

/// Adds to a piece the keyframe from which it can be copied.
fn clip_of<'a>(piece: &'a Piece<'a>, videos: &'a BTreeMap<PathBuf, ProbedVideo>) -> Result<Clip<'a>, FfmpegError> {
    let video = piece.stretch.as_ref().unwrap_or_else(|| &videos[&piece.moment.path]);
    let keyframe_us = match piece.oddity {
        Some(_) => None,
        None => probe::keyframe_before(&piece.source, video, piece.start_us)?,
    };
    // The part between the keyframe and the start is read as well.
    let lead_us = keyframe_us.map_or(UNKNOWN_LEAD_US, |us| piece.start_us.saturating_sub(us));
    let from_ms = piece.from_ms.saturating_sub(lead_us / 1000);
    let is_wrong = clock::is_wrong_in(piece.moment.picture.as_ref(), from_ms, piece.moment.end_ms);
    Ok(Clip {
        moment: piece.moment,
        source: piece.source.clone(),
        video,
        start_us: piece.start_us,
        end_us: piece.end_us,
        oddity: piece.oddity.or(is_wrong.then_some(Oddity::WrongStamps)),
        keyframe_us,
    })
}

/// Finds videos that an earlier version indexed without reporting their clock, and whose file states another length than was found.
fn doubts(moments: &[Moment], videos: &BTreeMap<PathBuf, ProbedVideo>) -> Vec<String> {
    const DIFFERENCE_MS: u64 = 2000;
    let mut doubts = Vec::new();
    for moment in moments.iter().filter(|moment| moment.picture.is_none()) {
        let said_ms = videos
            .get(&moment.path)
            .and_then(|video| video.duration_s)
            .map(|said_s| (said_s * 1000.0) as u64);
        let differs = |(known_ms, said_ms): (u64, u64)| known_ms.abs_diff(said_ms) > DIFFERENCE_MS.max(known_ms / 20);
        if moment.video_ms.zip(said_ms).is_some_and(differs) {
            let shown = terminal::path(&moment.path, None);
            let doubt = format!(
                "{shown} was indexed by an earlier version, and its time stamps may be wrong: check the clip, or index the video again (`scenectl rescan --force`)"
            );
            if !doubts.contains(&doubt) {
                doubts.push(doubt);
            }
        }
    }
    doubts
}

/// Ends a clip at the end of its video.
fn keep_within(moment: &mut Moment, video: &ProbedVideo) -> Result<(), ExportError> {
    let is_odd = moment
        .picture
        .as_ref()
        .is_some_and(|picture| !picture.clock.is_empty() || !picture.wrong.is_empty());
    // A file's stated length is computed from the odd stamps.
    let said_ms = video.duration_s.map(|duration_s| (duration_s * 1000.0).ceil() as u64);
    let Some(video_ms) = moment.video_ms.filter(|_| is_odd).or(said_ms) else {
        return Ok(());
    };
    if moment.start_ms >= video_ms {
        return Err(ExportError::BehindEnd {
            video: moment.path.clone(),
            start_ms: moment.start_ms,
            video_ms,
        });
    }
    moment.end_ms = moment.end_ms.min(video_ms);
    Ok(())
}

/// Returns why the clips have to be re-encoded.
fn obstacle(container: Container, clips: &[Clip<'_>]) -> Option<String> {
    let first = clips.first()?;
    if let Some(oddity) = clips.iter().find_map(|clip| clip.oddity) {
        return Some(oddity.words().to_owned());
    }
    if let Some(clip) = clips.iter().find(|clip| !container.takes(clip.video)) {
        let codec = clip.video.picture.codec_name.as_deref().unwrap_or("unknown");
        let sound = clip.video.sounds.first().and_then(|sound| sound.codec_name.as_deref());
        let sound = sound.map(|sound| format!(" with {sound}")).unwrap_or_default();
        return Some(format!("this container cannot hold {codec}{sound} without re-encoding (.mkv can)"));
    }
    let rest = clips.get(1..)?;
    rest.iter()
        .find_map(|clip| first.video.obstacle(clip.video))
        .map(|why| format!("the videos cannot be joined as they are: {why}"))
}
