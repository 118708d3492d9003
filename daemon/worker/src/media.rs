//! The media worker: decodes one film, given as a descriptor, and tells what is in it.
//!
//! Owns FFmpeg. One request, one film, one thread of ours (decoders have theirs); then the process ends. After start-up it
//! opens nothing.

mod analyse;
mod candidates;
mod choose;
mod colour;
mod detect;
mod fast;
mod film;
mod fit;
mod glimpse;
mod kept;
mod keyframe;
mod look;
mod orientation;
mod picture;
#[cfg(test)]
mod pictures_for_tests;
mod planes;
mod render;
mod replay;
mod sampler;
mod scale;
mod scenes;
mod takes;
mod thumbnail;
mod tone;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::Context;
use scened::media::wire;
use scened::media::{AnalyseRequest, KeyframesRequest, PictureRequest};
use scened::worker::pipe;
use scened_shots as shots;

use crate::manners;

/// What ends a request without an answer.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// The file gives nothing; told to the daemon.
    #[error(transparent)]
    Unusable(#[from] film::Unusable),
    /// The daemon is gone.
    #[error(transparent)]
    Pipe(#[from] pipe::PipeError),
}

/// Answers the one request on standard input.
pub(crate) fn run() -> anyhow::Result<()> {
    manners::follow_parent();
    let film = take_film().context("no film was passed as descriptor 3")?;
    let mut requests = std::io::stdin().lock();
    let mut answers = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    pipe::write_hello(&mut answers, wire::ROLE, wire::VERSION)?;
    pipe::read_hello(&mut requests, wire::ROLE, wire::VERSION)?;
    let request = pipe::read_frame(&mut requests, pipe::MAX_HEADER_BYTES)?.context("no request came")?;
    ffmpeg_next::init().context("FFmpeg cannot be initialised")?;
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Fatal);
    let ended = match request.kind {
        wire::KIND_ANALYSE => {
            let request: AnalyseRequest = request.header()?;
            manners::stay_in_background();
            analyse::analyse(film, &request, &mut answers)
        }
        wire::KIND_PICTURE => {
            let request: PictureRequest = request.header()?;
            picture::picture(film, &request, &mut answers)
        }
        wire::KIND_KEYFRAMES => {
            let request: KeyframesRequest = request.header()?;
            manners::stay_in_background();
            replay::replay(film, &request, &mut answers)
        }
        kind => anyhow::bail!("a request of kind {kind} is not known"),
    };
    match ended {
        Ok(()) => {}
        Err(Ended::Unusable(film::Unusable(reason))) => {
            pipe::write_frame(&mut answers, wire::KIND_FAILED, &wire::Failure { reason }, &[])?;
        }
        Err(Ended::Pipe(error)) => return Err(error.into()),
    }
    answers.flush()?;
    Ok(())
}

#[expect(unsafe_code, reason = "an inherited descriptor has no owner until we say so")]
fn take_film() -> std::io::Result<File> {
    // SAFETY: descriptor 3 is ours by the protocol, and nothing in this process took it before. If it is not open, `metadata`
    // says so before anything else uses it.
    let film = File::from(unsafe { OwnedFd::from_raw_fd(wire::FILM_FD) });
    match film.metadata() {
        Ok(_) => Ok(film),
        Err(error) => {
            // Dropping would close what is not open.
            std::mem::forget(film);
            Err(error)
        }
    }
}

/// FFmpeg's release and the version of its codec library, like `FFmpeg 5.1.9-0+deb12u1, libavcodec 59.37.100`.
pub(crate) fn ffmpeg_version() -> String {
    let codec = ffmpeg_next::codec::version();
    let release = ffmpeg_release();
    format!(
        "FFmpeg {release}, libavcodec {}.{}.{}",
        codec >> 16,
        (codec >> 8) & 0xff,
        codec & 0xff
    )
}

#[expect(unsafe_code, reason = "ffmpeg-next has no function for it")]
fn ffmpeg_release() -> String {
    // SAFETY: av_version_info returns a NUL-terminated string that lives as long as the program.
    let text = unsafe { std::ffi::CStr::from_ptr(ffmpeg_next::ffi::av_version_info()) };
    text.to_string_lossy().into_owned()
}
