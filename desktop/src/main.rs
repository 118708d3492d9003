//! `scened-desktop`: scenes of videos in the search of GNOME and KDE.
//!
//! The bus starts it at the first question (`data/*.service`), and it exits after a minute without one. It is only a client of the daemon's
//! socket. `daemon` sends requests, `finder` keeps up with typing, `gnome` and `krunner` are the two interfaces, `search` is what they
//! share, and `launch` starts programs. It opens no videos, and no pictures but the daemon's own.
//!
//! Threads: one for D-Bus (tokio), one for each [`finder::Finder`], and tokio's blocking ones for pictures and programs.

mod act;
mod daemon;
mod finder;
mod gnome;
mod krunner;
mod launch;
mod log;
mod moment;
mod notify;
mod picture;
mod rate_limit;
mod search;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use scened_shared::endpoint::{Endpoint, EndpointError};
use zbus::connection;

use crate::act::Action;
use crate::launch::Programs;
use crate::search::Search;

/// The name on the bus, of the desktop file and of the icon.
pub(crate) const APPLICATION: &str = "org.scened.Desktop";

/// How long a menu action may take after its dialogs: `similar` decodes, `add` waits for the daemon.
const ACTION_LIMIT: Duration = Duration::from_mins(10);

/// How long a call that is still running at shutdown may take.
const LAST_CALLS: Duration = Duration::from_secs(30);

/// Offers scenes of videos to the search of GNOME and KDE. The session bus starts it when it is needed.
#[derive(Debug, Parser)]
#[command(name = "scened-desktop", version, after_help = EXAMPLES, max_term_width = 100, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The daemon's socket [env: SCENED_SOCKET] [default: scened/scened.sock in $XDG_RUNTIME_DIR, or scened.sock in the data folder]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The daemon's data folder [env: SCENED_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// End after so long without a question
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    idle: u64,
    /// End a program that was started for a shell after so long
    #[arg(long, alias = "patience", value_name = "SECONDS", default_value_t = 60, hide = true, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Do what a file manager's menu asks for; what hinders it is shown as a notification
    Act(Act),
    /// Write the manual pages into a folder (`make install` does)
    #[command(hide = true)]
    Man { folder: PathBuf },
}

#[derive(Debug, Args)]
struct Act {
    #[arg(value_enum)]
    action: Action,
    /// A video, or a folder
    path: PathBuf,
}

const EXAMPLES: &str = "Examples:
  scened-desktop                      run until a minute passes without a query
  scened-desktop act like VIDEO        what \"Find Scenes Like This\" does
  gdbus call --session --dest org.scened.Desktop --object-path /org/scened/Desktop/SearchProvider \\
    --method org.gnome.Shell.SearchProvider2.GetInitialResultSet \"['red', 'car']\"";

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}; {hint}", hint = .0.hint())]
    Endpoint(#[from] EndpointError),
    #[error("the manual pages cannot be written: {0}")]
    Manual(std::io::Error),
    #[error("the runtime could not be started: {0}")]
    Runtime(#[from] std::io::Error),
    #[error("another scened-desktop serves this session")]
    Taken,
    /// A notification has already shown this error.
    #[error("{0}")]
    Act(String),
    #[error(
        "there is no session bus ({0}); a desktop starts this program by itself, and in a terminal it needs DBUS_SESSION_BUS_ADDRESS: try `dbus-run-session scened-desktop`"
    )]
    NoBus(zbus::Error),
}

fn main() -> ExitCode {
    scened_shared::standard_error::report_panics("scened-desktop");
    let arguments = Arguments::parse();
    let status = match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::warn(&failure.to_string());
            ExitCode::from(2)
        }
    };
    scened_shared::standard_error::finish();
    status
}

fn serve(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(Verb::Man { folder }) = &arguments.verb {
        return std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(Arguments::command(), folder))
            .map_err(Failure::Manual);
    }
    let endpoint = Endpoint::resolve(arguments.socket.as_deref(), arguments.data_dir.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(Verb::Act(Act { action, path })) = &arguments.verb {
        let done = act::act(&Programs::of(&endpoint, ACTION_LIMIT), *action, &act::absolute(path));
        return runtime.block_on(tell(done));
    }
    let programs = Programs::of(&endpoint, Duration::from_secs(arguments.timeout));
    let served = runtime.block_on(answer_calls(&endpoint, programs, Duration::from_secs(arguments.idle)));
    // A question that wakes a model, and whose caller has given up, is left behind.
    runtime.shutdown_background();
    served
}

/// Shows the result of an action, if a desktop can show it.
async fn tell(done: act::Done) -> Result<(), Failure> {
    let message = match &done.outcome {
        Ok(None) => return Ok(()),
        Ok(Some(message)) => message,
        Err(why) => why,
    };
    match tokio::time::timeout(notify::LIMIT, connection::Builder::session().build()).await {
        Ok(Ok(connection)) => notify::show(&connection, &done.summary, message).await,
        Ok(Err(error)) => log::warn(&format!("no notification could be shown: {error}")),
        Err(_) => log::warn("no notification could be shown: the session bus does not answer"),
    }
    match done.outcome {
        Ok(_) => Ok(()),
        Err(why) => Err(Failure::Act(format!("{}: {why}", done.summary))),
    }
}

async fn answer_calls(endpoint: &Endpoint, programs: Programs, idle: Duration) -> Result<(), Failure> {
    let search = Arc::new(Search::new(endpoint, programs));
    let connection = connection::Builder::session()
        .serve_at(gnome::PATH, gnome::SearchProvider::new(Arc::clone(&search)))
        .serve_at(krunner::PATH, krunner::Runner::new(search))
        // We neither replace a running instance nor let ourselves be replaced.
        .allow_name_replacements(false)
        .replace_existing_names(false)
        .name(APPLICATION)
        .build()
        .await
        .map_err(|error| match error {
            zbus::Error::NameTaken => Failure::Taken,
            error => Failure::NoBus(error),
        })?;
    loop {
        let activity = connection.monitor_activity();
        tokio::select! {
            () = connection.closed() => return Ok(()),
            waited = tokio::time::timeout(idle, activity) => if waited.is_err() { break },
        }
    }
    // From here on the bus starts another instance for new calls; earlier calls are still answered.
    if let Err(error) = connection.release_name(APPLICATION).await {
        log::warn(&format!("the name could not be given back: {error}"));
    }
    tokio::time::timeout(LAST_CALLS, connection.graceful_shutdown()).await.ok();
    Ok(())
}
