//! Logging to standard error: for a person at a terminal, for a file, or for the journal.
//!
//! `RUST_LOG` takes precedence over the configuration's `log`. Under systemd the journal adds time and name itself. It takes a line's
//! priority from a prefix (`<4>` is a warning, sd-daemon(3)), so that `journalctl -p warning` works. Colours appear only on a terminal, and
//! not with `NO_COLOR`. Owns the process's one subscriber.
//!
//! Lines go through [`scened_shared::standard_error`]: if nobody can read a line, only the line is lost. Long values are shortened
//! ([`fields`]), and repeated lines are summed up ([`rate_limit`]).

mod clean;
mod fields;
mod journal;
mod rate_limit;

use std::ffi::OsStr;
use std::io::{self, IsTerminal};

use rustix::fs::fstat;
use scened_shared::standard_error::{self, StandardError};
use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use journal::JournalFormat;
use rate_limit::RateLimit;

/// The reader of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Priority prefix; no time, no colours.
    Journal,
    /// Time and colours.
    Terminal,
    /// Time.
    Plain,
}

#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error("not a log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logging was set up before")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Sets up logging for the whole process. `from_config` is the configuration's `log`.
///
/// If `RUST_LOG` cannot be parsed, this is reported and the configuration's filter is used.
pub fn init(from_config: &str) -> Result<(), LoggingError> {
    let (filter, mistake) = choose_filter(std::env::var_os("RUST_LOG").as_deref(), from_config)?;
    let style = choose_style(
        std::env::var("JOURNAL_STREAM").ok().as_deref(),
        stderr_identity(),
        io::stderr().is_terminal(),
        std::env::var_os("NO_COLOR").as_deref(),
    );
    tracing::dispatcher::set_global_default(subscriber(filter, style, RateLimit::default(), || StandardError))?;
    if let Some(mistake) = mistake {
        tracing::warn!("RUST_LOG is ignored: {mistake}");
    }
    Ok(())
}

fn subscriber<W>(filter: EnvFilter, style: Style, rate_limit: RateLimit, writer: W) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let writer = clean::Clean {
        writer,
        with_colours: style == Style::Terminal,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // The subscriber would print its own errors with a macro that panics in the thread that logs.
        .log_internal_errors(false)
        .fmt_fields(fields::short());
    match style {
        Style::Journal => Dispatch::new(builder.with_ansi(false).event_format(JournalFormat).finish().with(rate_limit)),
        Style::Terminal => Dispatch::new(builder.with_ansi(true).finish().with(rate_limit)),
        Style::Plain => Dispatch::new(builder.with_ansi(false).finish().with(rate_limit)),
    }
}

/// Reports panics in the log, once logging is set up. The standard library's own hook waits for the reader of standard error.
pub fn report_panics(program: &'static str) {
    std::panic::set_hook(Box::new(move |info| {
        let told = standard_error::describe_panic(info);
        if tracing::dispatcher::has_been_set() {
            tracing::error!("{told} (a bug: please report it)");
        } else {
            standard_error::say(format!("{program}: {told}\n").as_bytes());
        }
    }));
}

/// Returns the filter, and what is wrong with `RUST_LOG`, if anything.
fn choose_filter(from_environment: Option<&OsStr>, from_config: &str) -> Result<(EnvFilter, Option<String>), LoggingError> {
    let mistake = match from_environment.map(OsStr::to_str) {
        None | Some(Some("")) => None,
        Some(None) => Some("it is not UTF-8".to_owned()),
        Some(Some(text)) => match EnvFilter::try_new(text) {
            Ok(filter) => return Ok((filter, None)),
            Err(e) => Some(e.to_string()),
        },
    };
    Ok((EnvFilter::try_new(from_config)?, mistake))
}

fn choose_style(journal_stream: Option<&str>, stderr: Option<(u64, u64)>, is_terminal: bool, no_color: Option<&OsStr>) -> Style {
    // A shell inside a service inherits the variable but not the stream, so the two are compared (systemd.exec(5)).
    let is_journal = journal_stream
        .and_then(|text| text.split_once(':'))
        .and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)))
        .is_some_and(|stream: (u64, u64)| Some(stream) == stderr);
    if is_journal {
        Style::Journal
    } else if is_terminal && no_color.is_none_or(OsStr::is_empty) {
        Style::Terminal
    } else {
        Style::Plain
    }
}

/// Returns the device and the inode of standard error.
fn stderr_identity() -> Option<(u64, u64)> {
    let found = fstat(io::stderr()).ok()?;
    #[cfg_attr(
        target_os = "linux",
        expect(clippy::useless_conversion, reason = "these types differ between systems")
    )]
    Some((u64::try_from(found.st_dev).ok()?, u64::from(found.st_ino)))
}

#[cfg(test)]
mod tests;
