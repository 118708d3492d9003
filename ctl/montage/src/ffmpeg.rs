//! The system's `ffmpeg` and `ffprobe`, as programs: they are not linked, and are started without a shell.
//!
//! The user asks for each video that is opened here; all the same they may open nothing but that video, by the containers that scened
//! reads. Names go as `file:` and an absolute path, so that none is an option, a protocol or a pattern.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use scened_shared::stop::Stop;
use scened_shared::terminal;

pub mod probe;

/// The demuxers that the media worker reads videos by (`daemon/worker/src/media/decode/allowed.rs`); playlists, which open other files, are not
/// among them.
const FORMATS: &str = "mov,matroska,avi,flv,mpegts,mpeg,mpegvideo,asf,ogg,dv,mxf,ivf,h264,hevc,av1,obu,m4v,gif,apng";

/// The decoders of pictures of the same list: FFmpeg's worst holes were in rarer ones.
const PICTURES: &str = "h264,libopenh264,hevc,libdav1d,libaom-av1,vp8,libvpx,vp9,libvpx-vp9,mpeg1video,mpeg2video,mpegvideo,mpeg4,\
    msmpeg4v1,msmpeg4v2,msmpeg4,wmv1,wmv2,wmv3,vc1,h263,h263p,flv,vp6,vp6a,vp6f,theora,mjpeg,prores,dnxhd,dvvideo,ffv1,huffyuv,ffvhuff,\
    jpeg2000,libopenjpeg,svq1,svq3,qtrle,rawvideo,png,apng,gif";

/// Sound is decoded here alone: what cameras, discs, broadcasters and the web have.
const SOUNDS: &str = "aac,aac_fixed,aac_latm,mp3,mp3float,mp2,mp2float,mp1,mp1float,ac3,ac3_fixed,eac3,dca,truehd,mlp,opus,libopus,vorbis,\
    libvorbis,flac,alac,wmav1,wmav2,wmapro,amrnb,amrwb,adpcm_ima_wav,adpcm_ima_qt,adpcm_ms,pcm_s8,pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,\
    pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd";

/// `ffprobe` opens the decoders of all streams, and gives up where it may not.
const TEXTS: &str = "ass,ssa,srt,subrip,mov_text,webvtt,text,dvdsub,dvbsub,pgssub,xsub,cc_dec,libzvbi_teletextdec";

/// How much of what FFmpeg complains of is repeated.
const MAX_COMPLAINTS: usize = 5;
const MAX_COMPLAINT_BYTES: u64 = 64 << 10;

/// A video, or a stretch of a file that is a video as well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Absolute.
    pub path: PathBuf,
    /// From and to; 0 is the file's end. Bytes.
    pub stretch: Option<(u64, u64)>,
}

impl Source {
    /// All of a file.
    pub fn whole(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            stretch: None,
        }
    }

    /// As FFmpeg takes it.
    pub(crate) fn name(&self) -> OsString {
        let mut name = OsString::new();
        if let Some((from, to)) = self.stretch {
            name.push(format!("subfile,,start,{from},end,{to},,:"));
        }
        name.push(self::name(&self.path));
        name
    }
}

/// What stands before every `-i` of a video.
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

/// A video's or a draft's name, as FFmpeg takes it.
pub(crate) fn name(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C is for whoever started us: what runs here is ended, and what it wrote cleared up.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// Why FFmpeg did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum FfmpegError {
    /// There is no such program in `PATH`.
    #[error("{program} is not installed, or not in PATH")]
    NotInstalled {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
    },
    /// The program is there, and the system does not run it.
    #[error("{program} could not be started")]
    NotStarted {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// It took too long, and was ended.
    #[error("{program} did not end within {} s", limit.as_secs())]
    TimedOut {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// It does not take the file for a video, or the video has no picture.
    #[error("{} cannot be read by FFmpeg", terminal::path(video, None))]
    Unreadable {
        /// The file.
        video: PathBuf,
        /// What it complained of: a line each.
        said: Vec<String>,
    },
    /// It failed while it wrote.
    #[error("ffmpeg could not write it")]
    NotWritten {
        /// What it complained of: a line each.
        said: Vec<String>,
    },
    /// The list of clips that it was to join could not be written.
    #[error("the clips could not be joined")]
    NotJoined {
        /// The system's own words.
        source: io::Error,
    },
    /// The [`Stop`] was asked, and what had been started was ended.
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

/// Killed when it is dropped, so that nothing outlives what it was started for.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where all went well.
        self.0.kill().unwrap_or_default();
        drop(self.0.wait());
    }
}

/// Runs to the end and gives what was printed.
///
/// **Errors**: it is not there, or takes longer than `limit`.
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
            // What could be read is what there is.
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

/// The last lines of what FFmpeg said, each once.
pub(crate) fn complaints(said: &[u8]) -> Vec<String> {
    let said = String::from_utf8_lossy(said);
    let mut lines: Vec<String> = Vec::new();
    for line in said.lines().map(str::trim).filter(|line| !line.is_empty()) {
        // The list is ours, and long.
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

/// Runs `ffmpeg`, which writes a file; `progress` hears how many microseconds of it are done.
///
/// **Errors**: it fails, with what it said as causes; it was asked to stop, and then it is ended.
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
        // A pause of a stream stays one, as long as scened leaves one (twelve hours): FFmpeg would take it out, and cut what lies behind.
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
            // The end is what matters.
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

/// Whether this FFmpeg can end subtitles where a clip ends; 4.4 cannot.
pub(crate) fn cuts_subtitles() -> Result<bool, FfmpegError> {
    let told = capture("ffmpeg", ["-hide_banner", "-h", "bsf=setts"], Duration::from_secs(30))?;
    Ok(String::from_utf8_lossy(&told.stdout).contains("set expression for packet duration"))
}

/// Some releases (5.1) end as if all were well when the disk is full.
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
