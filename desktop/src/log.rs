//! Messages for the journal, where D-Bus sends our standard error, for developers and curious users.

use scened_shared::{standard_error, terminal};

/// Logs one line; nothing in it can control a terminal.
pub(crate) fn warn(message: &str) {
    standard_error::say(format!("scened-desktop: {}\n", terminal::escape(message)).as_bytes());
}
