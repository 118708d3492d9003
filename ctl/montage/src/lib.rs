//! What can be made of moments of videos: contact sheets ([`page`]), playlists ([`playlist`]), timelines ([`timeline`]) and videos of
//! clips ([`export`], by the system's `ffmpeg` and `ffprobe`).
//!
//! Pages, playlists and timelines are pure text: they read nothing and write nothing. Names are quoted for each reader in one place
//! ([`quote`]). Files are written whole or not at all, and never over a video that they are made of ([`output_file`]).
//!
//! Deliberately does not know: the daemon and how it is asked, arguments, printing, what people are advised to do about an error,
//! FFmpeg's libraries. Of the protocol it takes plain types alone: which picture of a video is meant, and where its clock lies.
//!
//! Threads: some are started to read what a program says; they end with it. [`with_timeout`] leaves one behind where a file system hangs.

#![warn(missing_docs)]

pub mod clips;
pub mod clock;
pub mod error;
pub mod export;
pub mod ffmpeg;
pub mod moment;
pub mod output_file;
pub mod page;
pub mod playlist;
pub mod quote;
pub mod time;
pub mod timeline;
pub mod with_timeout;
