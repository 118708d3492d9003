//! From frames and boundaries to scenes: which frames stand for each, and the pictures that are made of them.
//!
//! [`writer`] takes what was decoded, in order of time, and sends the daemon each scene when it is complete. What it decides by is pure:
//! where scenes begin and end ([`builder`]), which frames may stand for them ([`candidates`]), which of these do ([`choose`]), all by how
//! much of a picture changed ([`signature`]). A [`poster`] is one frame for a whole video; [`replay`] makes scenes of pictures that an
//! earlier analysis kept.
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
