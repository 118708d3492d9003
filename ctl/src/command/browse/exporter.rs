//! Exports marked hits into a file on its own thread, while the finder keeps running.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use montage::clips::{Container, EXTENSIONS};
use montage::export::{self, ExportRequest};
use montage::output_file::OutputFile;
use montage::playlist::Form;
use scened_shared::endpoint::Endpoint;
use scened_shared::message::Hit;
use scened_shared::stop::Stop;

use super::Event;
use crate::cli::Files;
use crate::command::files::{self, Contents};
use crate::command::moments;
use crate::failure::Failure;
use crate::render::{Out, text};

/// What to write and where; the file's extension decides the format.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FinderExport {
    pub(super) hits: Vec<Hit>,
    pub(super) target: PathBuf,
    /// Whether to cut videos at the exact frame.
    pub(super) is_exact: bool,
    /// The title of playlists, pages and timelines.
    pub(super) title: String,
}

/// A running export. Dropping it stops it, and leaves neither a draft nor an ffmpeg behind.
pub(super) struct Exporter {
    stop: Stop,
    is_over: Receiver<()>,
}

impl Exporter {
    pub(super) fn start(wanted: FinderExport, endpoint: Endpoint, tell: SyncSender<Event>) -> Self {
        let stop = Stop::default();
        let heard = stop.clone();
        let (over, is_over) = sync_channel::<()>(1);
        std::thread::spawn(move || {
            let progress = tell.clone();
            let said = export(&wanted, &endpoint, &heard, move |percent| {
                // If the finder is behind, the next event makes up for this one.
                drop(progress.try_send(Event::ExportedSoFar(percent)));
            });
            // All is cleaned up now. Signal that before sending the result: a finder that waits for it no longer reads events.
            drop(over);
            drop(tell.send(Event::Exported(said.unwrap_or_else(|failure| in_one_line(&failure)))));
        });
        Self { stop, is_over }
    }

    pub(super) fn stop(&self) {
        self.stop.ask();
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stop.ask();
        // Nothing is ever sent: the sender is dropped when the thread has cleaned up, or has panicked.
        self.is_over.recv().unwrap_or_default();
    }
}

/// Exports the hits, and summarizes the result in one line.
fn export(
    wanted: &FinderExport,
    endpoint: &Endpoint,
    stop: &Stop,
    percent: impl Fn(u8) + Clone + Send + 'static,
) -> Result<String, Failure> {
    let out = Out::new(false);
    let mut notes = Vec::new();
    let extension = OutputFile::extension(&wanted.target);
    let written = if let Some(container) = Container::of_extension(&extension) {
        let request = ExportRequest {
            output: &wanted.target,
            container,
            is_exact: wanted.is_exact,
            force: false,
        };
        let moments = moments::to_cut(Some(endpoint), &wanted.hits)?;
        let made = export::make(request, moments, stop, &move |done_us, of_us: u64| {
            percent((done_us.min(of_us) * 100).checked_div(of_us).unwrap_or(0) as u8);
        })?;
        notes = made.notes("Tab beside the name cuts at the frame");
        format!("{}: {}", out.path(&made.file), made.summary())
    } else {
        let files = kind(&wanted.target, &extension)?;
        let contents = Contents {
            title: &wanted.title,
            lead: format!("{}, chosen by hand", text::count(wanted.hits.len() as u64, "scene")),
            remarks: Vec::new(),
            hits: &wanted.hits,
        };
        let mut client = crate::command::connect(endpoint)?;
        let written = files::write(&contents, out.home(), &mut client, &files, &mut notes);
        let written = written.map_err(|failure| notes.drain(..).fold(failure, Failure::cause))?;
        let lines: Vec<String> = written.iter().map(|file| files::line(&out, file)).collect();
        lines.join("; ")
    };
    Ok(notes
        .into_iter()
        .fold(format!("wrote {written}"), |said, note| format!("{said}; {note}")))
}

/// Selects the kind of file, if it is not a video.
fn kind(target: &Path, extension: &str) -> Result<Files, Failure> {
    let mut files = Files::default();
    let wanted = Some(target.to_owned());
    match extension {
        "html" | "htm" => files.html = wanted,
        "edl" => files.edl = wanted,
        "otio" => files.otio = wanted,
        other if Form::of_extension(other).is_some() => files.playlist = wanted,
        _ => {
            return Err(
                Failure::new(format!("the extension of {} is not supported", text::path(target, None))).hint(format!(
                    "end the name in {}, or .html .m3u8 .xspf .mpv .edl .otio",
                    EXTENSIONS.replace(" or ", " ").replace(',', "")
                )),
            );
        }
    }
    Ok(files)
}

/// Formats a failure for a place with only one line. Hints with command line flags are left out.
pub(super) fn in_one_line(failure: &Failure) -> String {
    let hints = failure.hints.iter().filter(|hint| !hint.starts_with("--"));
    let more = failure.causes.iter().chain(hints);
    more.fold(failure.message.clone(), |said, more| format!("{said}; {more}"))
}
