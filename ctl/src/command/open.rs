//! `open`, and `--open` of the verbs that find: plays a video in the user's player, from a moment.

use std::ffi::OsStr;
use std::path::Path;

use montage::clock;
use scened_shared::endpoint::Endpoint;
use scened_shared::message::{FileRequest, Hit, PictureTrack, WhyRequest};
use scened_shared::method;
use scened_shared::shell;
use scened_shared::wire_path::WirePath;
use serde::Serialize;

use crate::cli::Open;
use crate::command::{Context, check_file, moments, wire};
use crate::failure::{Failure, Outcome};
use crate::input::{file_at, place};
use crate::player::{self, Environment, Moment, Place, Plan, launch};
use crate::render::{Out, text, time};

/// What was started, in the form that `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Opened {
    #[serde(flatten)]
    file: WirePath,
    at_ms: Option<u64>,
    player: String,
    /// The program and its arguments; bytes that are not UTF-8 are replaced.
    command: Vec<String>,
    /// Whether the player starts at that time.
    starts_there: bool,
    /// Whether the video's own time leads there.
    #[serde(skip)]
    is_by_time: bool,
    pid: u32,
}

pub(super) fn run(context: &mut Context, args: &Open) -> Result<Outcome, Failure> {
    let target = file_at::parse(&args.target, place::is_there).map_err(Failure::new)?;
    let file = wire(&target.file)?;
    let endpoint = context.endpoint().ok();
    let known = target.at_ms.and_then(|_| {
        let mut client = super::connect(endpoint.as_ref()?).ok()?;
        client.call::<method::Scenes>(&FileRequest { file: file.clone() }).ok()
    });
    if let Some(known) = &known
        && moments::is_changed(known, &target.file)
    {
        context
            .out
            .note("the video changed since it was indexed: its scenes may be at other times now")?;
    }
    let opened = open(
        endpoint.as_ref(),
        &file,
        target.at_ms,
        known.and_then(|known| known.picture).as_ref(),
    )?;
    if context.out.json {
        context.out.json(&opened)?;
    } else {
        let line = opened.line(&context.out);
        context.out.line(&line)?;
    }
    Ok(Outcome::Done)
}

/// Opens a hit by its rank in the list, from 1.
pub(super) fn hit(context: &Context, hits: &[Hit], rank: usize) -> Result<Opened, Failure> {
    let hit = hits.get(rank - 1).ok_or_else(|| {
        let n_hits = hits.len() as u64;
        Failure::new(format!("there is no hit {rank}: {} found", text::count(n_hits, "hit")))
            .hint("-n N shows more; --min-confidence and filters show fewer")
    })?;
    open(context.endpoint().ok().as_ref(), &hit.file, Some(hit.best_ms), hit.picture.as_ref())
}

/// Starts the player. `picture` says which of the video's pictures is meant, and how its times map to the file. If the video is missing,
/// the daemon is asked for the reason, if it is reachable.
pub(super) fn open(
    daemon: Option<&Endpoint>,
    file: &WirePath,
    at_ms: Option<u64>,
    picture: Option<&PictureTrack>,
) -> Result<Opened, Failure> {
    let path = file
        .to_path()
        .map_err(|e| Failure::new("it is not a valid path").cause(e.to_string()))?;
    if !place::is_there(&path) {
        return Err(absent(daemon, &path, file));
    }
    check_file(&path)?;
    // Players usually show the first of several tracks by default; without an argument they choose themselves.
    let stays = |picture: &&PictureTrack| picture.n_tracks > 1 && picture.clock.iter().all(|part| part.stream.is_none());
    let track = picture.filter(stays).map(|picture| picture.track);
    let place = at_ms.map(|at_ms| match (clock::time(picture, at_ms), clock::bytes(picture, at_ms)) {
        (Some(at_ms), _) => Place::Time { at_ms },
        (
            None,
            Some(clock::SeekBy::Bytes {
                from_bytes,
                to_bytes,
                within_ms,
            }),
        ) if is_divisible(&path) => Place::Bytes {
            from: from_bytes,
            to: to_bytes,
            at_ms: within_ms,
        },
        _ => Place::Nowhere,
    });
    let moment = Moment { file: &path, place, track };
    let plan = player::plan(moment, &Environment::of_process()).map_err(|error| {
        let hint = error.hint();
        Failure::new(error.to_string()).hint(hint)
    })?;
    let started =
        launch::start(&plan).map_err(|e| Failure::new(format!("{} cannot be started", plan.program.display())).cause(e.to_string()))?;
    if let Some(status) = started.failed_at_once() {
        let failure = Failure::new(format!("{} ended at once", plan.player)).cause(status.to_string());
        return Err(match by_hand(&plan) {
            Some(command) => failure.hint(format!("start it by hand to see why: {command}")),
            None => failure.hint("start it in a terminal to see why; the file's name ends in a line break, which shells drop"),
        });
    }
    Ok(Opened {
        file: file.clone(),
        at_ms,
        command: command_line(&plan),
        starts_there: plan.is_told_time,
        is_by_time: matches!(place, Some(Place::Time { .. })),
        player: plan.player,
        pid: started.pid,
    })
}

impl Opened {
    /// Returns the line for people; if the player cannot start at the time, the line gives it.
    pub(super) fn line(&self, out: &Out) -> String {
        let (file, player) = (out.path(&self.file), text::escape(&self.player));
        match self.at_ms {
            Some(at_ms) if self.starts_there => format!("{player} shows {file} at {}", time::exact(at_ms)),
            Some(at_ms) if !self.is_by_time => format!(
                "{player} shows {file} from its beginning: the time stamps restart, and this player cannot seek to {0}; `scenectl export` cuts the scene, and mpv can seek there ({1}=mpv)",
                time::exact(at_ms),
                player::PLAYER_VARIABLE
            ),
            Some(at_ms) => format!("{player} shows {file} from its beginning; seek to {}", time::exact(at_ms)),
            None => format!("{player} shows {file}"),
        }
    }
}

/// Returns whether any range of the file is a video as well: true for transport streams, and for files from discs and old cameras.
fn is_divisible(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = [0; 8];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    // 188 bytes per packet, or 192 with the stamp first (camcorders).
    read.is_ok() && (head[0] == 0x47 || head[4] == 0x47 || head.starts_with(&[0, 0, 1, 0xba]))
}

fn command_line(plan: &Plan) -> Vec<String> {
    let arguments = plan.arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(plan.program.display().to_string()).chain(arguments).collect()
}

/// Returns the command quoted for pasting into a shell: each name is one word, whatever it contains. `None` if a shell cannot express a
/// word.
fn by_hand(plan: &Plan) -> Option<String> {
    let words = std::iter::once(plan.program.as_os_str()).chain(plan.arguments.iter().map(AsRef::as_ref));
    let words: Option<Vec<String>> = words.map(|word: &OsStr| shell::word(word)).collect();
    Some(words?.join(" "))
}

/// Explains why a file is missing. The daemon may know which drive holds it; if the daemon is off, that part is left out.
fn absent(daemon: Option<&Endpoint>, path: &Path, file: &WirePath) -> Failure {
    let request = WhyRequest {
        file: file.clone(),
        query: None,
    };
    let client = daemon.and_then(|endpoint| super::connect(endpoint).ok());
    let known = client.and_then(|mut client| client.call::<method::Why>(&request).ok());
    let name = path.display();
    match known {
        Some(why) if why.state == "offline" => why
            .reasons
            .into_iter()
            .fold(Failure::new(format!("{name} is offline")), Failure::cause)
            .hint("plug its drive in, or connect the share, and try again"),
        Some(why) if why.state == "indexed" || why.state == "pending" => Failure::new(format!("{name} is not there any more"))
            .cause("it was there when it was indexed")
            .hint("`scenectl rescan` finds its new place"),
        _ => Failure::new(format!("there is no file {name}")),
    }
}
