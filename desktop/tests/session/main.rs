//! The real `scened-desktop` on a real session bus, activated by it and called with `gdbus`, against a daemon that is a few lines of
//! `world.rs`. What it starts (`scenectl`, `xdg-open`) are scripts that write down their arguments.
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

/// Far longer than anything here takes, also on a busy machine.
const SOON: std::time::Duration = std::time::Duration::from_mins(1);
