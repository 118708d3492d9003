//! What a developer or a curious user finds in the journal: D-Bus hands our standard error there.

use std::io::Write as _;

use scened_shared::terminal;

/// One line; nothing in it can command a terminal.
pub(crate) fn warn(message: &str) {
    // There is nobody to tell where standard error is closed.
    writeln!(std::io::stderr(), "scened-desktop: {}", terminal::escape(message)).ok();
}
