//! From a file to frames in order, each with its time: containers, streams, clocks, decoders.
//!
//! A [`video`] comes as a descriptor, never as a path; FFmpeg may open nothing else, and only what is [`allowed`]. It is decoded frame by
//! frame, or in groups of pictures side by side ([`gops`]). Where its stamps are wrong its [`timeline`] mends them, and where the picture
//! goes on in another stream it is followed there ([`follow`]).
//!
//! Decoding knows neither scenes nor the daemon: frames go out as glimpses and as what the decoder made.

pub(crate) mod allowed;
mod anew;
pub(crate) mod announced;
pub(crate) mod clock;
mod decoders;
mod decoding;
mod extent;
mod follow;
pub(crate) mod following;
pub(crate) mod gops;
mod hardware;
mod index;
mod input;
pub(crate) mod kept;
mod lengths;
mod opening;
mod packets;
mod properties;
mod stamps;
mod streams;
mod timeline;
mod track;
pub(crate) mod video;
