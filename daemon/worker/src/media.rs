//! The media worker: decodes one video, given as a descriptor, and sends its contents to the daemon.
//!
//! Only this process uses FFmpeg. It handles one request for one video on its main thread, then ends. Decoding may start more threads. The
//! process enters a [`sandbox`] before it reads anything of the video.
//!
//! The modules depend on each other in one direction only. A request ([`analyse`], [`picture`], and in [`scenes`] `poster` and `replay`)
//! uses [`scenes`]. [`scenes`] uses the frames of [`decode`], and makes glimpses and pictures with [`pixels`]. [`pyscenedetect`] has
//! PySceneDetect's detectors. Any module may use the shared notes and results ([`evidence`], [`ended`], [`units`]).

mod analyse;
pub(crate) mod decode;
mod ended;
mod evidence;
mod picture;
#[cfg(feature = "examples")]
pub mod picture_times;
mod pixels;
mod pyscenedetect;
pub(crate) mod sandbox;
mod scenes;
mod units;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::Context;
use scened_common::media::budget::Budget;
use scened_common::media::extras::Extras;
use scened_common::media::request::{AnalyseRequest, Hardware, KeyframesRequest, PictureRequest, PosterRequest};
use scened_common::media::wire;
use scened_common::pipe;

use crate::priority;
use ended::{Ended, Unusable};

/// The one request that a process handles.
enum Request {
    Analyse(AnalyseRequest),
    Picture(PictureRequest),
    Keyframes(KeyframesRequest),
    Poster(PosterRequest),
}

/// Answers the one request on standard input.
pub(crate) fn run(allow_unsandboxed: bool, extras: &Extras) -> anyhow::Result<()> {
    priority::follow_parent();
    #[cfg_attr(
        not(all(feature = "malice", target_os = "linux")),
        expect(unused_mut, reason = "only malice reads of it before it is handed on")
    )]
    let mut video = take_video().context("no video was passed as descriptor 3")?;
    let mut requests = std::io::stdin().lock();
    let mut answers = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    pipe::write_hello(&mut answers, wire::ROLE, wire::VERSION)?;
    pipe::read_hello(&mut requests, wire::ROLE, wire::VERSION)?;
    let request = pipe::read_frame(&mut requests, pipe::MAX_HEADER_BYTES)?.context("no request came")?;
    let request = match request.kind {
        wire::KIND_ANALYSE => Request::Analyse(request.header()?),
        wire::KIND_PICTURE => Request::Picture(request.header()?),
        wire::KIND_KEYFRAMES => Request::Keyframes(request.header()?),
        wire::KIND_POSTER => Request::Poster(request.header()?),
        kind => anyhow::bail!("a request of kind {kind} is not known"),
    };
    ffmpeg_next::init().context("FFmpeg cannot be initialised")?;
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Fatal);
    // Somebody is waiting for a picture.
    if !matches!(request, Request::Picture(_) | Request::Poster(_)) {
        priority::stay_in_background();
    }
    #[cfg(all(feature = "malice", target_os = "linux"))]
    if let Some(plan) = sandbox::malice::Plan::from_environment() {
        return Err(plan.carry_out());
    }
    let budget = Budget::of(&video).context("the video cannot be read")?;
    let confinement = confine(&request, budget, allow_unsandboxed);
    pipe::write_frame(&mut answers, wire::KIND_CONFINED, &confinement, &[])?;
    if matches!(confinement, wire::Confinement::Refused { .. }) {
        answers.flush()?;
        return Ok(());
    }
    #[cfg(all(feature = "malice", target_os = "linux"))]
    sandbox::malice::obey(&mut video);
    let ended = match request {
        Request::Analyse(request) => analyse::analyse(video, &request, budget, extras, &mut answers),
        Request::Picture(request) => picture::picture(video, &request, extras, &mut answers),
        Request::Keyframes(request) => scenes::replay::replay(video, &request, &mut answers),
        Request::Poster(request) => scenes::poster::poster(video, &request, extras, &mut answers),
    };
    match ended {
        Ok(()) => {}
        Err(Ended::Unusable(Unusable(reason))) => {
            let fault = evidence::fault();
            pipe::write_frame(&mut answers, wire::KIND_FAILED, &wire::Failure { reason, fault }, &[])?;
        }
        Err(Ended::Pipe(error)) => return Err(error.into()),
    }
    answers.flush()?;
    Ok(())
}

/// Enters the sandbox, unless a graphics card decodes this video: its driver opens devices and starts threads.
fn confine(request: &Request, budget: Budget, allow_unsandboxed: bool) -> wire::Confinement {
    let hardware = match request {
        Request::Analyse(request) => request.hardware,
        Request::Picture(_) | Request::Keyframes(_) | Request::Poster(_) => Hardware::None,
    };
    if hardware != Hardware::None && allow_unsandboxed {
        return wire::Confinement::Unsandboxed {
            reason: format!("hardware-decoding = {:?}: a graphics driver opens devices", hardware.name()),
        };
    }
    sandbox::enter(sandbox::Layers::ALL, budget, allow_unsandboxed)
}

#[expect(unsafe_code, reason = "an inherited descriptor has no owner until we say so")]
fn take_video() -> std::io::Result<File> {
    // SAFETY: the protocol gives us descriptor 3, and nothing in this process took it before. If it is not open, `metadata` reports that
    // before anything else uses it.
    let video = File::from(unsafe { OwnedFd::from_raw_fd(wire::VIDEO_FD) });
    match video.metadata() {
        Ok(_) => Ok(video),
        Err(error) => {
            // Dropping it would close a descriptor that is not open.
            std::mem::forget(video);
            Err(error)
        }
    }
}

/// Returns FFmpeg's release and the version of its codec library, like `FFmpeg 5.1.9-0+deb12u1, libavcodec 59.37.100`.
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
    // SAFETY: av_version_info returns a NUL-terminated string that is valid as long as the program runs.
    let text = unsafe { std::ffi::CStr::from_ptr(ffmpeg_next::ffi::av_version_info()) };
    text.to_string_lossy().into_owned()
}
