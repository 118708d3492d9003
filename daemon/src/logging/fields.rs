//! The values in a line: a short one in full, a long one as its beginning and end.
//!
//! A path may have 4,096 bytes, each of which may be shown as six characters; the last output of a worker may fill pages. Incidents keep
//! all of it.

use std::fmt::Debug;

use scened_shared::terminal;
use tracing::field::Field;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::prelude::*;

/// Maximum length of one value. Characters.
const SHOWN: usize = 400;

/// Formats `message name=value …` as the subscriber's own formatter does, but shortens long values.
pub(super) fn short() -> impl for<'w> FormatFields<'w> + 'static {
    debug_fn(|to: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
        let text = terminal::shorten(&terminal::escape(&format!("{value:?}")), SHOWN);
        match field.name() {
            "message" => write!(to, "{text}"),
            name => {
                let name = name.strip_prefix("r#").unwrap_or(name);
                if to.has_ansi_escapes() {
                    write!(to, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{text}")
                } else {
                    write!(to, "{name}={text}")
                }
            }
        }
    })
    .delimited(" ")
}
