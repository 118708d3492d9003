//! The system's `ffmpeg` and `ffprobe`, run as programs: not linked, and started without a shell.
//!
//! The user asks for each video that is opened here. Even so, the programs may open only that video, and only with the containers that
//! scened reads. Names are passed as `file:` and an absolute path, so none can act as an option, a protocol or a pattern.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use scened_shared::stop::Stop;
use scened_shared::terminal;

pub mod probe;

/// The demuxers that the media worker uses (`daemon/worker/src/media/decode/allowed.rs`). Playlists are not among them, because they open
/// other files.
const FORMATS: &str = "mov,matroska,avi,flv,mpegts,mpeg,mpegvideo,asf,ogg,dv,mxf,ivf,h264,hevc,av1,obu,m4v,gif,apng";

/// The picture decoders of the same list: FFmpeg's worst vulnerabilities were in rarer ones.
const PICTURES: &str = "h264,libopenh264,hevc,libdav1d,libaom-av1,vp8,libvpx,vp9,libvpx-vp9,mpeg1video,mpeg2video,mpegvideo,mpeg4,\
    msmpeg4v1,msmpeg4v2,msmpeg4,wmv1,wmv2,wmv3,vc1,h263,h263p,flv,vp6,vp6a,vp6f,theora,mjpeg,prores,dnxhd,dvvideo,ffv1,huffyuv,ffvhuff,\
    jpeg2000,libopenjpeg,svq1,svq3,qtrle,rawvideo,png,apng,gif";

/// Audio decoders, which only scenectl uses: the formats of cameras, discs, broadcasters and the web.
const SOUNDS: &str = "aac,aac_fixed,aac_latm,mp3,mp3float,mp2,mp2float,mp1,mp1float,ac3,ac3_fixed,eac3,dca,truehd,mlp,opus,libopus,vorbis,\
    libvorbis,flac,alac,wmav1,wmav2,wmapro,amrnb,amrwb,adpcm_ima_wav,adpcm_ima_qt,adpcm_ms,pcm_s8,pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,\
    pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd";

/// Subtitle decoders: `ffprobe` opens the decoders of all streams, and fails if one is not allowed.
const TEXTS: &str = "ass,ssa,srt,subrip,mov_text,webvtt,text,dvdsub,dvbsub,pgssub,xsub,cc_dec,libzvbi_teletextdec";

/// How many of FFmpeg's complaints are repeated.
const MAX_COMPLAINTS: usize = 5;
const MAX_COMPLAINT_BYTES: u64 = 64 << 10;

/// A video, or a range of a file that is a video as well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Absolute path.
    pub path: PathBuf,
    /// Start and end; an end of 0 means the end of the file. Bytes.
    pub stretch: Option<(u64, u64)>,
}

impl Source {
    /// Makes a source of a whole file.
    pub fn whole(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            stretch: None,
        }
    }

    /// Returns its name in FFmpeg's syntax.
    pub(crate) fn name(&self) -> OsString {
        let mut name = OsString::new();
        if let Some((from, to)) = self.stretch {
            name.push(format!("subfile,,start,{from},end,{to},,:"));
        }
        name.push(self::name(&self.path));
        name
    }
}

/// Returns the options that must precede every `-i` of a video.
pub(crate) fn guarded(source: &Source) -> Vec<OsString> {
    let codecs = format!("{PICTURES},{SOUNDS},{TEXTS}");
    let words = [
        "-protocol_whitelist",
        if source.stretch.is_some() { "subfile,file" } else { "file" },
        "-format_whitelist",
        FORMATS,
        "-codec_whitelist",
        &codecs,
    ];
    words.into_iter().map(Into::into).collect()
}

/// Returns the name of a video or draft in FFmpeg's syntax.
pub(crate) fn name(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C must reach only scenectl itself, which then ends this program and removes what it wrote.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// Why FFmpeg failed.
#[derive(Debug, thiserror::Error)]
pub enum FfmpegError {
    /// There is no such program in `PATH`.
    #[error("{program} is not installed, or not in PATH")]
    NotInstalled {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
    },
    /// The program exists, but the system did not run it.
    #[error("{program} could not be started")]
    NotStarted {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The program took too long and was killed.
    #[error("{program} did not end within {} s", limit.as_secs())]
    TimedOut {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// The timeout.
        limit: Duration,
    },
    /// FFmpeg does not recognize the file as a video, or the video has no picture.
    #[error("{} cannot be read by FFmpeg", terminal::path(video, None))]
    Unreadable {
        /// The file.
        video: PathBuf,
        /// FFmpeg's complaints, one per line.
        said: Vec<String>,
    },
    /// FFmpeg failed while writing.
    #[error("ffmpeg could not write it")]
    NotWritten {
        /// FFmpeg's complaints, one per line.
        said: Vec<String>,
    },
    /// The list of clips to join could not be written.
    #[error("the clips could not be joined")]
    NotJoined {
        /// The system's error.
        source: io::Error,
    },
    /// [`Stop`] was requested, and the program was killed.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

fn not_started(program: &'static str, source: io::Error) -> FfmpegError {
    if source.kind() == io::ErrorKind::NotFound {
        FfmpegError::NotInstalled { program }
    } else {
        FfmpegError::NotStarted { program, source }
    }
}

/// A child process that is killed on drop, so it never outlives its purpose.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // On success it has already ended.
        self.0.kill().unwrap_or_default();
        drop(self.0.wait());
    }
}

/// Runs a program to its end and returns its output.
///
/// **Errors**: the program is not installed, or takes longer than `limit`.
pub(crate) fn capture<I: AsRef<OsStr>>(
    program: &'static str,
    arguments: impl IntoIterator<Item = I>,
    limit: Duration,
) -> Result<Output, FfmpegError> {
    let mut child = command(program)
        .args(arguments)
        .spawn()
        .map_err(|error| not_started(program, error))?;
    let (mut stdout, mut stderr) = (
        child.stdout.take().expect("its output is a pipe"),
        child.stderr.take().expect("its complaints are a pipe"),
    );
    let mut running = Running(child);
    let (done, answer) = sync_channel(1);
    std::thread::spawn(move || {
        let complaints = std::thread::spawn(move || {
            let mut said = Vec::new();
            // Keep whatever could be read.
            stderr.by_ref().take(MAX_COMPLAINT_BYTES).read_to_end(&mut said).unwrap_or_default();
            io::copy(&mut stderr, &mut io::sink()).unwrap_or_default();
            said
        });
        let mut told = Vec::new();
        stdout.read_to_end(&mut told).unwrap_or_default();
        drop(done.send((told, complaints.join().unwrap_or_default())));
    });
    let Ok((stdout, stderr)) = answer.recv_timeout(limit) else {
        return Err(FfmpegError::TimedOut { program, limit });
    };
    let status = running.0.wait().map_err(|error| not_started(program, error))?;
    Ok(Output { status, stdout, stderr })
}

/// Returns the last lines of FFmpeg's output, without duplicates.
pub(crate) fn complaints(said: &[u8]) -> Vec<String> {
    let said = String::from_utf8_lossy(said);
    let mut lines: Vec<String> = Vec::new();
    for line in said.lines().map(str::trim).filter(|line| !line.is_empty()) {
        // FFmpeg repeats our whitelist, which is long.
        let (line, is_refused) = line
            .split_once(" not on whitelist")
            .map_or((line, false), |(codec, _)| (codec, true));
        let line = if is_refused {
            format!("{line} is not an allowed codec")
        } else {
            line.to_owned()
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.split_off(lines.len().saturating_sub(MAX_COMPLAINTS))
}

/// Runs `ffmpeg`, which writes a file; `progress` gets the number of microseconds done.
///
/// **Errors**: it fails, with its output as causes; a stop was requested, and it was killed.
pub(crate) fn run(arguments: &[OsString], stop: &Stop, progress: impl Fn(u64) + Send + 'static) -> Result<(), FfmpegError> {
    const ALWAYS: [&str; 10] = [
        "-hide_banner",
        "-nostdin",
        "-y",
        "-loglevel",
        "error",
        "-nostats",
        "-progress",
        "pipe:1",
        // Keeps pauses of up to twelve hours, as scened does. By default FFmpeg removes them, and would cut material from after the pause.
        "-dts_delta_threshold",
        "43200",
    ];
    stop.begin();
    if stop.is_asked() {
        return Err(FfmpegError::Interrupted);
    }
    let mut command = command("ffmpeg");
    command.args(ALWAYS).args(arguments);
    let mut child = command.spawn().map_err(|error| not_started("ffmpeg", error))?;
    let (stdout, mut stderr) = (
        child.stdout.take().expect("its output is a pipe"),
        child.stderr.take().expect("its complaints are a pipe"),
    );
    let mut running = Running(child);
    let complaints_of = std::thread::spawn(move || {
        let mut said: Vec<u8> = Vec::new();
        let mut part = [0; 4096];
        while let Ok(n @ 1..) = stderr.read(&mut part) {
            said.extend_from_slice(&part[..n]);
            // Keep the end, which matters most.
            let excess = said.len().saturating_sub(MAX_COMPLAINT_BYTES as usize);
            said.drain(..excess);
        }
        said
    });
    let finished = stop.clone();
    let hearing = std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(done_us) = line.strip_prefix("out_time_us=").and_then(|us| us.parse().ok()) {
                progress(done_us);
            }
        }
        finished.finish();
    });
    stop.wait_for_end(Duration::ZERO);
    if stop.is_asked() {
        return Err(FfmpegError::Interrupted);
    }
    let status = running.0.wait().map_err(|error| not_started("ffmpeg", error))?;
    drop(hearing.join());
    let said = complaints_of.join().unwrap_or_default();
    if status.success() && !is_cut_short(&said) {
        return Ok(());
    }
    Err(FfmpegError::NotWritten { said: complaints(&said) })
}

/// Returns whether this FFmpeg can end subtitles at the end of a clip; 4.4 cannot.
pub(crate) fn cuts_subtitles() -> Result<bool, FfmpegError> {
    let told = capture("ffmpeg", ["-hide_banner", "-h", "bsf=setts"], Duration::from_secs(30))?;
    Ok(String::from_utf8_lossy(&told.stdout).contains("set expression for packet duration"))
}

/// Detects a write error by its message: some releases (5.1) report success when the disk is full.
fn is_cut_short(said: &[u8]) -> bool {
    let said = String::from_utf8_lossy(said);
    [
        "av_interleaved_write_frame()",
        "Error writing trailer",
        "No space left on device",
        "Disk quota exceeded",
    ]
    .iter()
    .any(|sign| said.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ffmpeg_may_read_is_what_the_worker_reads() {
        let source = include_str!("../../../daemon/worker/src/media/decode/allowed.rs");
        for (ours, theirs) in [(FORMATS, "const FORMATS"), (PICTURES, "const CODECS")] {
            let (_, list) = source.split_once(theirs).expect("the worker has such a list");
            let (list, _) = list.split_once("];").expect("a list ends");
            let theirs: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
            assert_eq!(ours.split(',').collect::<Vec<_>>(), theirs);
        }
    }

    #[test]
    fn complaints_are_few_and_told_once() {
        let said = b"a\nb\nb\n\n[m] Codec (magicyuv) not on whitelist 'a,b'\nc\nd\ne\nf\n";
        assert_eq!(
            complaints(said),
            ["[m] Codec (magicyuv) is not an allowed codec", "c", "d", "e", "f"]
        );
    }
}
