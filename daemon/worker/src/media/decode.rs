//! Turns a file into frames in order, each with its time: containers, streams, clocks, decoders.
//!
//! A [`video`] comes as a descriptor, never as a path. FFmpeg may open nothing else, and may use only [`allowed`] containers and codecs.
//! The video is decoded frame by frame, or as groups of pictures in parallel ([`gops`]). If its timestamps are wrong, its [`timeline`]
//! corrects them. If the picture continues in another stream, decoding follows it there ([`follow`]).
//!
//! Decoding knows neither scenes nor the daemon: it hands out glimpses and the decoder's frames.

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
