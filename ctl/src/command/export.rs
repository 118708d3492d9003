//! `export`: hits as a new video.

use std::io::Read as _;
use std::path::Path;

use montage::clips::{Container, EXTENSIONS};
use montage::export::{self, ExportRequest, Exported};
use montage::moment::{Availability, Moment};
use montage::output_file::OutputFile;
use scened_shared::client::Client;
use scened_shared::message::{FileRequest, SearchAnswer};
use scened_shared::method;
use scened_shared::stop::Stop;
use scened_shared::wire_path::WirePath;

use crate::cli;
use crate::command::{Context, check_file, moments, wire};
use crate::failure::{Failure, Outcome};
use crate::input::part::{self, Part};
use crate::input::place;
use crate::render::cutting::Cutting;
use crate::render::{text, time};

/// Anything larger than this is not an answer of `search`.
const MAX_INPUT_BYTES: u64 = 64 << 20;

pub(super) fn run(context: &mut Context, args: &cli::Export) -> Result<Outcome, Failure> {
    let container = Container::of_extension(&OutputFile::extension(&args.output)).ok_or_else(|| {
        let shown = text::path(&args.output, context.out.home());
        Failure::new(format!("{shown} does not end in a known video extension")).hint(format!("end the name in {EXTENSIONS}"))
    })?;
    let mut said = Vec::new();
    let moments = wanted(context, args, &mut said)?;
    for note in said {
        context.out.note(&note)?;
    }
    if moments.is_empty() {
        context.out.note("nothing to export")?;
        return Ok(Outcome::Nothing);
    }
    let stop = Stop::default();
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.ask()).map_err(|error| Failure::new("cannot listen for Ctrl-C").cause(error.to_string()))?;
    let cutting = Cutting::new(&context.out);
    let heard = cutting.clone();
    let request = ExportRequest {
        output: &args.output,
        container,
        is_exact: args.exact,
        force: args.force,
    };
    let made = export::make(request, moments, &stop, &move |done_us, of_us| heard.position(done_us, of_us));
    cutting.clear();
    report(context, &made?)
}

fn report(context: &mut Context, exported: &Exported) -> Result<Outcome, Failure> {
    let out = &mut context.out;
    if out.json {
        out.json(exported)?;
        return Ok(Outcome::Done);
    }
    let line = format!("{}: {}", out.path(&exported.file), exported.summary());
    out.line(&line)?;
    for note in exported.notes("--exact cuts at the frame") {
        out.note(&note)?;
    }
    Ok(Outcome::Done)
}

/// Collects the requested moments, word by word. A video that cannot be opened is an error that says where it is.
fn wanted(context: &Context, args: &cli::Export, said: &mut Vec<String>) -> Result<Vec<Moment>, Failure> {
    let mut moments = Vec::new();
    let mut client = None;
    for word in &args.hits {
        if word == "-" {
            let mut text = String::new();
            let failed = |cause: String| {
                let failure = Failure::new("standard input is not an answer of `search --json`").cause(cause);
                failure.hint("scenectl search --json QUERY | scenectl export - -o FILE")
            };
            let read = std::io::stdin().lock().take(MAX_INPUT_BYTES).read_to_string(&mut text);
            read.map_err(|error| failed(error.to_string()))?;
            let answer: SearchAnswer = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
            moments.extend(moments::to_cut(context.endpoint().ok().as_ref(), &answer.hits)?);
            continue;
        }
        let shown = text::path(Path::new(word), None);
        let (file, stretch) = part::parse(word, place::is_there).map_err(|why| Failure::new(format!("{shown}: {why}")))?;
        check_file(&file)?;
        let file = wire(&file)?;
        moments.push(match stretch {
            Part::Between { start_ms, end_ms } => {
                // Without a daemon, or for a video that it does not know, times are those of the file.
                let asked = match &mut client {
                    Some(client) => Some(client),
                    none => context.connect().ok().map(|connected| none.insert(connected)),
                };
                let known = asked.and_then(|client| client.call::<method::Scenes>(&FileRequest { file: file.clone() }).ok());
                let path = moments::path(&file)?;
                if known.as_ref().is_some_and(|known| moments::is_changed(known, &path)) {
                    said.push(format!(
                        "{shown} changed since it was indexed: its scenes may be at other times now"
                    ));
                }
                Moment {
                    path,
                    start_ms,
                    end_ms,
                    at_ms: start_ms,
                    video_ms: known.as_ref().map(|known| known.duration_ms).filter(|video_ms| *video_ms > 0),
                    scene: None,
                    picture: known.and_then(|known| known.picture),
                    availability: Availability::Present,
                }
            }
            Part::SceneAt { ms } => {
                if client.is_none() {
                    client = Some(context.connect()?);
                }
                scene_at(client.as_mut().expect("it was made just now"), file, ms, &shown)?
            }
        });
    }
    for moment in &moments {
        if !place::is_there(&moment.path) {
            moments::reachable(context.connect().ok().as_mut(), &moment.path)?;
        }
        moments::has_length(moment)?;
    }
    Ok(moments)
}

fn scene_at(client: &mut Client, file: WirePath, ms: u64, shown: &str) -> Result<Moment, Failure> {
    let answer = client.call::<method::Scenes>(&FileRequest { file })?;
    if moments::is_changed(&answer, &moments::path(&answer.file)?) {
        let failure = Failure::new(format!("{shown} changed since it was indexed"));
        return Err(failure.hint("run `scenectl rescan`, then search again"));
    }
    let scene = answer
        .scenes
        .iter()
        .find(|scene| (scene.start_ms..scene.end_ms).contains(&ms))
        .or_else(|| answer.scenes.last().filter(|last| last.end_ms == ms))
        .ok_or_else(|| {
            Failure::new(format!(
                "{shown} has no scene there; the video is {} long",
                time::exact(answer.duration_ms)
            ))
        })?;
    Ok(Moment {
        path: moments::path(&answer.file)?,
        start_ms: scene.start_ms,
        end_ms: scene.end_ms,
        at_ms: ms,
        video_ms: (answer.duration_ms > 0).then_some(answer.duration_ms),
        scene: None,
        picture: answer.picture.clone(),
        availability: Availability::Present,
    })
}
