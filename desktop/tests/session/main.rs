//! The real `scened-desktop` on a real session bus, activated by the bus and called with `gdbus`, against a fake daemon of a few lines in
//! `world.rs`. The programs that it starts (`scenectl`, `xdg-open`) are scripts that record their arguments.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]
#![expect(clippy::print_stderr, reason = "what was not run is said aloud, and so is what was measured")]

mod act;
mod floods;
mod gnome;
mod kde;
mod life;
mod menus;
mod real;
mod world;

/// Far longer than anything here takes, even on a busy machine.
const SOON: std::time::Duration = std::time::Duration::from_mins(1);
