//! What a developer or a curious user finds in the journal: D-Bus hands our standard error there.

use scened_shared::{standard_error, terminal};

/// One line; nothing in it can command a terminal.
pub(crate) fn warn(message: &str) {
    standard_error::say(format!("scened-desktop: {}\n", terminal::escape(message)).as_bytes());
}
