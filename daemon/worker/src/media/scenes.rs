//! Turns frames and boundaries into scenes: which frames represent each scene, and the pictures made from them.
//!
//! [`writer`] takes decoded frames in order of time and sends the daemon each scene when it is complete. Pure modules make its decisions:
//! where scenes begin and end ([`builder`]), which frames may represent them ([`candidates`]), and which of these do ([`choose`]). All use
//! how much of a picture changed ([`signature`]). A [`poster`] is one frame for a whole video. [`replay`] makes scenes from pictures that
//! an earlier analysis kept.
//!
//! Scenes know neither containers nor decoders, and not how boundaries are found.

mod builder;
mod candidates;
mod choose;
mod keyframe;
#[cfg(test)]
mod pictures_for_tests;
pub(crate) mod poster;
mod poster_score;
pub(crate) mod replay;
pub(crate) mod sampler;
mod signature;
mod thumbnail;
pub(crate) mod writer;
