//! What a line says of its values: the whole of a short one, beginning and end of a long one.
//!
//! A path may have 4,096 bytes, each of which may be shown as six; a worker's last words may be pages. Incidents have all of it.

use std::fmt::Debug;

use scened_shared::terminal;
use tracing::field::Field;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::prelude::*;

/// Of one value of a line. Characters.
const SHOWN: usize = 400;

/// `message name=value …`, as the subscriber's own, but for long values.
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
