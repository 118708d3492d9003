//! The making of a film out of moments of others: what `export` and the finder share. Prints nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use scened_shared::client::Client;
use scened_shared::endpoint::Endpoint;
use scened_shared::message::{FileRequest, Hit};
use scened_shared::method;
use scened_shared::wire_path::WirePath;
use serde::Serialize;

use crate::clips::{self, Clip, Company, Container, Encoding, Trouble, Way};
use crate::command::moments;
use crate::failure::Failure;
use crate::ffmpeg;
use crate::ffmpeg::look::{self, Film};
use crate::hub::stop::Stop;
use crate::input::place;
use crate::moment::{Moment, Reach};
use crate::render::{text, time};
use crate::target::Target;

/// Below this an earlier beginning is not worth a word.
const WORTH_TELLING_MS: u64 = 100;

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) output: &'a Path,
    pub(crate) container: Container,
    /// Cut at the frame.
    pub(crate) is_exact: bool,
    /// Replace what is there.
    pub(crate) force: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Exported {
    #[serde(flatten)]
    pub(crate) file: WirePath,
    pub(crate) clips: Vec<Part>,
    pub(crate) duration_ms: u64,
    pub(crate) size_bytes: u64,
    /// Whether packets were copied; else everything was encoded again.
    copied: bool,
    /// Why it was encoded again although nobody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Streams of the films that are not in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Part {
    #[serde(flatten)]
    file: WirePath,
    start_ms: u64,
    end_ms: u64,
    /// How much earlier than that it begins, because a keyframe is there.
    lead_ms: u64,
}

impl Exported {
    /// What was made, behind its name.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{}, {}, {}",
            text::count(self.clips.len() as u64, "clip"),
            time::exact(self.duration_ms),
            text::size(self.size_bytes)
        )
    }

    /// What whoever asked for it might not expect; `remedy` says how a clip begins at the frame.
    pub(crate) fn notes(&self, remedy: &str) -> Vec<String> {
        let mut notes = Vec::new();
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
            notes.push(format!("begins {lead} earlier than asked, at the keyframe before; {remedy}"));
        }
        notes
    }
}

/// Cuts the moments out; `progress` hears how many microseconds of how many are done.
pub(crate) fn make(
    order: Order<'_>,
    mut moments: Vec<Moment>,
    stop: &Stop,
    progress: &(impl Fn(u64, u64) + Clone + Send + 'static),
) -> Result<Exported, Failure> {
    let Order { container, is_exact, .. } = order;
    let shown = text::path(order.output, None);
    let target = Target::new(order.output, order.force, moments.iter().map(|moment| moment.path.as_path()))?;
    let mut looked_at = look_at(&moments)?;
    let mut left_out = Vec::new();
    if looked_at.values().any(|film| !film.subtitles.is_empty()) && !ffmpeg::cuts_subtitles()? {
        for film in looked_at.values_mut() {
            film.subtitles.clear();
        }
        left_out.push("subtitles, which this FFmpeg cannot cut".to_owned());
    }
    for moment in &mut moments {
        keep_within(moment, &looked_at[&moment.path])?;
    }
    let clips = moments.iter().map(|moment| {
        if stop.is_asked() {
            return Err(ffmpeg::interrupted());
        }
        let film = &looked_at[&moment.path];
        let keyframe_us = look::keyframe_before(&moment.path, film, moment.start_ms)?;
        Ok(Clip { moment, film, keyframe_us })
    });
    let clips: Vec<Clip<'_>> = clips.collect::<Result<_, Failure>>()?;
    // FFmpeg writes by name, so that the name must be one that nobody else has: a draft that is there already, and a folder of our own.
    let draft = target.draft("")?;
    let workshop = target.workshop()?;
    let asked_ms: u64 = moments.iter().map(Moment::length_ms).sum();
    let progress = progress.clone();
    let progress = move |us| progress(us, asked_ms * 1000);
    let mut reason = (!is_exact).then(|| obstacle(container, &clips)).flatten();
    let mut encoding = None;
    let (mut is_copied, mut from_start) = (!is_exact && reason.is_none(), false);
    let (made, way) = loop {
        if !is_copied && encoding.is_none() {
            encoding = Some(Encoding::of(container, &clips)?);
            // There is nowhere to leap to.
            from_start = clips.iter().any(|clip| clip.keyframe_us.is_none());
        }
        let way = match &encoding {
            Some(encoding) => Way::Encoded { encoding, from_start },
            None => Way::Copied,
        };
        match clips::cut(&clips, container, way, (draft.path(), workshop.path()), stop, &progress) {
            Err(Trouble::NoKeyframe) if is_copied => {
                reason = Some("no keyframe can be found to begin with".to_owned());
                is_copied = false;
            }
            Err(Trouble::NoKeyframe) if !from_start => from_start = true,
            Err(Trouble::NoKeyframe) => return Err(empty(&shown)),
            Err(Trouble::Failed(failure)) => return Err(explain(failure, &shown, !is_copied)),
            Ok(made) => break (made, way),
        }
    };
    let Company { left_out: more, .. } = clips::company(&clips, container, way);
    left_out.extend(more);
    let size_bytes = target.place(draft)?;
    let parts = clips.iter().map(|clip| Part {
        file: WirePath::new(&clip.moment.path),
        start_ms: clip.moment.start_ms,
        end_ms: clip.moment.end_ms,
        lead_ms: if is_copied { clip.lead_ms() } else { 0 },
    });
    Ok(Exported {
        file: WirePath::new(target.path()),
        clips: parts.collect(),
        duration_ms: made.duration_s.map_or(asked_ms, |duration_s| (duration_s * 1000.0).round() as u64),
        size_bytes,
        copied: is_copied,
        reason,
        left_out,
    })
}

/// Hits as moments that can be cut; those of one film are asked about together.
///
/// **Errors**: a film is not there, and why; it is another one than it was when it was found.
pub(crate) fn of_hits(daemon: Option<&Endpoint>, hits: &[Hit]) -> Result<Vec<Moment>, Failure> {
    let mut films: BTreeMap<PathBuf, &Hit> = BTreeMap::new();
    let mut moments = Vec::with_capacity(hits.len());
    for hit in hits {
        let path = moments::path(&hit.file)?;
        films.entry(path.clone()).or_insert(hit);
        moments.push(Moment {
            path,
            start_ms: hit.start_ms,
            end_ms: hit.end_ms.max(hit.start_ms),
            at_ms: hit.best_ms,
            film_ms: None,
            scene: None,
            reach: Reach::There,
        });
    }
    // Without a daemon nobody knows more than that a film is there.
    let mut client = daemon.and_then(|endpoint| crate::command::open(endpoint).ok());
    for (path, hit) in &films {
        reachable(client.as_mut(), path)?;
        let file = hit.file.clone();
        let known = client.as_mut().map(|client| client.call::<method::Scenes>(&FileRequest { file }));
        // A file that is changed in its place keeps its id; hardly ever does it keep its length.
        if let Some(Ok(known)) = known
            && (known.video != hit.video || hit.duration_ms > 0 && known.duration_ms != hit.duration_ms)
        {
            let shown = text::path(path, None);
            return Err(Failure::new(format!("{shown} is not the film that was found")).hint("it was replaced since: search again"));
        }
    }
    moments.iter().try_for_each(has_length)?;
    Ok(moments)
}

/// **Errors**: the film is not there. The daemon may know which drive it lies on.
pub(crate) fn reachable(client: Option<&mut Client>, film: &Path) -> Result<(), Failure> {
    if place::is_there(film) {
        return crate::command::look_at(film);
    }
    let shown = text::path(film, None);
    let request = FileRequest { file: WirePath::new(film) };
    let known = client.and_then(|client| {
        let answer = client.call::<method::Scenes>(&request).ok()?;
        moments::Reaches::default().of(client, film, answer.offline).ok()
    });
    Err(match known {
        Some(reach @ Reach::Offline(_)) => {
            Failure::new(format!("{shown} is {}", reach.obstacle().unwrap_or_default())).hint("connect its drive, and ask again")
        }
        Some(_) => Failure::new(format!("{shown} is gone")).hint("was it moved? `scenectl search` finds it where it is now"),
        None => Failure::new(format!("{shown} is not there")),
    })
}

pub(crate) fn has_length(moment: &Moment) -> Result<(), Failure> {
    if moment.length_ms() == 0 {
        return Err(Failure::new(format!("{} has a clip of no length", text::path(&moment.path, None))));
    }
    Ok(())
}

fn look_at(moments: &[Moment]) -> Result<BTreeMap<PathBuf, Film>, Failure> {
    let mut looked_at = BTreeMap::new();
    for path in moments.iter().map(|moment| &moment.path) {
        if !looked_at.contains_key(path) {
            looked_at.insert(path.clone(), look::film(path)?);
        }
    }
    Ok(looked_at)
}

/// Ends a clip where its film does.
fn keep_within(moment: &mut Moment, film: &Film) -> Result<(), Failure> {
    let Some(film_ms) = film.duration_s.map(|duration_s| (duration_s * 1000.0).ceil() as u64) else {
        return Ok(());
    };
    if moment.start_ms >= film_ms {
        let shown = text::path(&moment.path, None);
        let failure = Failure::new(format!("{shown} has nothing at {}", time::exact(moment.start_ms)));
        return Err(failure.cause(format!("it is {} long", time::exact(film_ms))));
    }
    moment.end_ms = moment.end_ms.min(film_ms);
    Ok(())
}

/// Why the clips have to be encoded again.
fn obstacle(container: Container, clips: &[Clip<'_>]) -> Option<String> {
    let first = clips.first()?;
    if let Some(clip) = clips.iter().find(|clip| !container.takes(clip.film)) {
        let codec = clip.film.picture.codec_name.as_deref().unwrap_or("unknown");
        let sound = clip.film.sounds.first().and_then(|sound| sound.codec_name.as_deref());
        let sound = sound.map(|sound| format!(" with {sound}")).unwrap_or_default();
        return Some(format!("such a file cannot hold {codec}{sound} as it is (.mkv can)"));
    }
    let rest = clips.get(1..)?;
    rest.iter()
        .find_map(|clip| first.film.obstacle(clip.film))
        .map(|why| format!("the films do not go together: {why}"))
}

fn explain(failure: Failure, shown: &str, is_encoded: bool) -> Failure {
    let is_full = failure.causes.iter().any(|cause| cause.contains("No space left"));
    let mut failure = if failure.causes.is_empty() {
        failure
    } else {
        Failure {
            message: format!("{shown} cannot be written"),
            ..failure
        }
    };
    if is_full {
        failure = failure.hint("make room there, or write it elsewhere");
    } else if !is_encoded && !failure.causes.is_empty() {
        failure = failure.hint("--exact encodes it again, and .mkv takes every codec");
    }
    failure
}

/// FFmpeg is content with a stretch in which there is nothing.
fn empty(shown: &str) -> Failure {
    Failure::new(format!("{shown} was not written: there is no picture at that time of the film"))
}
