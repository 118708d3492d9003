//! Outputs made from moments of videos: contact sheets ([`page`]), playlists ([`playlist`]), timelines ([`timeline`]) and clips
//! ([`export`], with the system's `ffmpeg` and `ffprobe`).
//!
//! Pages, playlists and timelines are pure text: their modules read and write nothing. [`quote`] is the one place that quotes names for
//! each reader. A file is written completely or not at all, and never over a video that it is made from ([`output_file`]).
//!
//! Deliberately does not know: the daemon and its requests, arguments, printing, the advice that users get about an error, and FFmpeg's
//! libraries. It uses only plain types of the protocol: which picture of a video is meant, and how its file's clock runs.
//!
//! Threads: some read a program's output and end with it. [`with_timeout`] leaves one behind if a file system hangs.

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
