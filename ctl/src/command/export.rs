//! `export`: hits as a film of their own.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use scened_shared::client::Client;
use scened_shared::message::{FileRequest, SearchAnswer};
use scened_shared::method;
use scened_shared::wire_path::WirePath;
use serde::Serialize;

use crate::cli;
use crate::clips::{self, Clip, Container, Encoding, Trouble};
use crate::command::{Context, moments, wire};
use crate::failure::{Failure, Outcome};
use crate::ffmpeg::look::{self, Film};
use crate::hub::stop::Stop;
use crate::input::place;
use crate::input::stretch::{self, Stretch};
use crate::moment::{Moment, Reach};
use crate::render::cutting::Cutting;
use crate::render::{text, time};
use crate::target::Target;

/// An answer of `search` that is larger than this is none.
const MAX_INPUT_BYTES: u64 = 64 << 20;

/// Below this an earlier beginning is not worth a word.
const WORTH_TELLING_MS: u64 = 100;

#[derive(Serialize)]
struct Exported {
    #[serde(flatten)]
    file: WirePath,
    clips: Vec<Part>,
    duration_ms: u64,
    size_bytes: u64,
    /// Whether packets were copied; else everything was encoded again.
    copied: bool,
    /// Why it was encoded again although nobody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Part {
    #[serde(flatten)]
    file: WirePath,
    start_ms: u64,
    end_ms: u64,
    /// How much earlier than that it begins, because a keyframe is there.
    lead_ms: u64,
}

pub(super) fn run(context: &mut Context, args: &cli::Export) -> Result<Outcome, Failure> {
    let shown = text::path(&args.output, context.out.home());
    let container = Container::of_extension(&Target::extension(&args.output))
        .ok_or_else(|| Failure::new(format!("{shown} names no kind of film")).hint(format!("end the name in {}", clips::EXTENSIONS)))?;
    let mut moments = wanted(context, args)?;
    if moments.is_empty() {
        context.out.note("nothing to export")?;
        return Ok(Outcome::Nothing);
    }
    let target = Target::new(&args.output, args.force, moments.iter().map(|moment| moment.path.as_path()))?;
    let looked_at = look_at(&moments)?;
    for moment in &mut moments {
        keep_within(moment, &looked_at[&moment.path])?;
    }
    let mut parts: Vec<Clip<'_>> = moments
        .iter()
        .map(|moment| Clip {
            moment,
            film: &looked_at[&moment.path],
            keyframe_us: None,
        })
        .collect();
    let mut reason = (!args.exact).then(|| obstacle(container, &parts)).flatten();
    let mut encoding = (args.exact || reason.is_some())
        .then(|| Encoding::of(container, &parts))
        .transpose()?;
    if encoding.is_none() {
        for clip in &mut parts {
            clip.keyframe_us = look::keyframe_before(&clip.moment.path, clip.film, clip.moment.start_ms)?;
        }
    }

    let stop = Stop::default();
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.ask()).map_err(|error| Failure::new("Ctrl-C cannot be heard").cause(error.to_string()))?;
    // FFmpeg writes by name, so that the name must be one that nobody else has: a draft that is there already, and a folder of our own.
    let draft = target.draft("")?;
    let workshop = target.workshop()?;
    let asked_ms: u64 = moments.iter().map(Moment::length_ms).sum();
    let cutting = Cutting::new(&context.out, asked_ms * 1000);
    let heard = cutting.clone();
    let places = (draft.path(), workshop.path());
    let progress = move |us| heard.position(us);
    let mut cut = clips::cut(&parts, container, encoding.as_ref(), places, &stop, &progress);
    if matches!(cut, Err(Trouble::NoKeyframe)) && encoding.is_none() {
        reason = Some("no keyframe can be found to begin with".to_owned());
        encoding = Some(Encoding::of(container, &parts)?);
        for clip in &mut parts {
            clip.keyframe_us = None;
        }
        cut = clips::cut(&parts, container, encoding.as_ref(), places, &stop, &progress);
    }
    cutting.clear();
    match cut {
        Ok(()) | Err(Trouble::NoKeyframe) => {}
        Err(Trouble::Failed(failure)) => return Err(explain(failure, &shown, encoding.is_some())),
    }
    let made = look::film(draft.path()).map_err(|failure| empty(failure, &shown))?;
    let size_bytes = target.place(draft)?;

    let duration_ms = made.duration_s.map_or(asked_ms, |duration_s| (duration_s * 1000.0).round() as u64);
    let exported = Exported {
        file: WirePath::new(target.path()),
        clips: parts
            .iter()
            .map(|clip| Part {
                file: WirePath::new(&clip.moment.path),
                start_ms: clip.moment.start_ms,
                end_ms: clip.moment.end_ms,
                lead_ms: clip.lead_ms(),
            })
            .collect(),
        duration_ms,
        size_bytes,
        copied: encoding.is_none(),
        reason,
    };
    if let Some(reason) = &exported.reason {
        context.out.note(&format!("encoded again: {reason}"))?;
    }
    let lead_ms = parts.iter().map(Clip::lead_ms).max().unwrap_or(0);
    tell(context, &exported, lead_ms)
}

fn tell(context: &mut Context, exported: &Exported, lead_ms: u64) -> Result<Outcome, Failure> {
    let out = &mut context.out;
    if out.json {
        out.json(exported)?;
        return Ok(Outcome::Done);
    }
    let line = format!(
        "{}: {}, {}, {}",
        out.path(&exported.file),
        text::count(exported.clips.len() as u64, "clip"),
        time::exact(exported.duration_ms),
        text::size(exported.size_bytes)
    );
    out.line(&line)?;
    if lead_ms > WORTH_TELLING_MS {
        let most = if exported.clips.len() > 1 { "up to " } else { "" };
        let lead = format!("{most}{}.{} s", lead_ms / 1000, lead_ms % 1000 / 100);
        out.note(&format!(
            "begins {lead} earlier than asked, at the keyframe before; --exact cuts at the frame"
        ))?;
    }
    Ok(Outcome::Done)
}

/// What was asked for, word by word; films that cannot be opened are an error that says where they are.
fn wanted(context: &Context, args: &cli::Export) -> Result<Vec<Moment>, Failure> {
    let mut moments = Vec::new();
    let mut client = None;
    for word in &args.hits {
        if word == "-" {
            let mut text = String::new();
            let failed = |cause: String| {
                let failure = Failure::new("standard input holds no answer of `search --json`").cause(cause);
                failure.hint("scenectl search --json QUERY | scenectl export - -o FILE")
            };
            let read = std::io::stdin().lock().take(MAX_INPUT_BYTES).read_to_string(&mut text);
            read.map_err(|error| failed(error.to_string()))?;
            let answer: SearchAnswer = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
            for hit in &answer.hits {
                moments.push(Moment {
                    path: moments::path(&hit.file)?,
                    start_ms: hit.start_ms,
                    end_ms: hit.end_ms,
                    at_ms: hit.best_ms,
                    film_ms: None,
                    scene: None,
                    reach: Reach::There,
                });
            }
            continue;
        }
        let shown = text::path(Path::new(word), None);
        let (file, stretch) = stretch::parse(word, place::is_there).map_err(|why| Failure::new(format!("{shown}: {why}")))?;
        let file = wire(&file)?;
        moments.push(match stretch {
            Stretch::Between { start_ms, end_ms } => Moment {
                path: moments::path(&file)?,
                start_ms,
                end_ms,
                at_ms: start_ms,
                film_ms: None,
                scene: None,
                reach: Reach::There,
            },
            Stretch::SceneAt { ms } => {
                if client.is_none() {
                    client = Some(context.connect()?);
                }
                scene_at(client.as_mut().expect("it was made just now"), file, ms, &shown)?
            }
        });
    }
    for moment in &moments {
        reachable(context, moment)?;
        if moment.length_ms() == 0 {
            return Err(Failure::new(format!("{} has a clip of no length", text::path(&moment.path, None))));
        }
    }
    Ok(moments)
}

fn scene_at(client: &mut Client, file: WirePath, ms: u64, shown: &str) -> Result<Moment, Failure> {
    let answer = client.call::<method::Scenes>(&FileRequest { file })?;
    let scene = answer
        .scenes
        .iter()
        .find(|scene| (scene.start_ms..scene.end_ms).contains(&ms))
        .or_else(|| answer.scenes.last().filter(|last| last.end_ms == ms))
        .ok_or_else(|| {
            Failure::new(format!(
                "{shown}: there is no scene; the film is {} long",
                time::exact(answer.duration_ms)
            ))
        })?;
    Ok(Moment {
        path: moments::path(&answer.file)?,
        start_ms: scene.start_ms,
        end_ms: scene.end_ms,
        at_ms: ms,
        film_ms: None,
        scene: None,
        reach: Reach::There,
    })
}

/// A film that is not there is one whose drive the daemon may know.
fn reachable(context: &Context, moment: &Moment) -> Result<(), Failure> {
    if place::is_there(&moment.path) {
        return Ok(());
    }
    let shown = text::path(&moment.path, None);
    let request = FileRequest {
        file: WirePath::new(&moment.path),
    };
    // Without a daemon nobody knows more than that it is not there.
    let known = context.connect().ok().and_then(|mut client| {
        let answer = client.call::<method::Scenes>(&request).ok()?;
        moments::Reaches::default().of(&mut client, &moment.path, answer.offline).ok()
    });
    Err(match known {
        Some(reach @ Reach::Offline(_)) => {
            Failure::new(format!("{shown} is {}", reach.obstacle().unwrap_or_default())).hint("connect its drive, and ask again")
        }
        Some(_) => Failure::new(format!("{shown} is gone")).hint("was it moved? `scenectl search` finds it where it is now"),
        None => Failure::new(format!("{shown} is not there")),
    })
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
        let sound = clip.film.sound.as_ref().and_then(|sound| sound.codec_name.as_deref());
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
fn empty(failure: Failure, shown: &str) -> Failure {
    Failure {
        message: format!("{shown} was not written: there is nothing at that time of the film"),
        ..failure
    }
}
