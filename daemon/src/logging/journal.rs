//! The format of a line for the journal.

use std::fmt::{self, Write};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// `<6>scened::pipeline: video{path=…}: indexed n_scenes=12`
pub(super) struct JournalFormat;

impl<S, N> FormatEvent<S, N> for JournalFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        write!(line, "{}: ", event.metadata().target())?;
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            line.push_str(span.name());
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(line, "{{{fields}}}")?;
            }
            line.push_str(": ");
        }
        context.format_fields(Writer::new(&mut line), event)?;
        // The journal makes each line its own entry. So one event stays one entry, and a file's name cannot forge another.
        let line = line.replace('\n', "\\n");
        writeln!(writer, "<{}>{line}", priority(*event.metadata().level()))
    }
}

/// Returns the level as syslog(3) counts it.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}
