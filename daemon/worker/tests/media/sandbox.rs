//! The media worker's sandbox: attempts of a hostile video fail in it and succeed without it, and videos decode in it.

#![expect(unsafe_code, reason = "a child may trace its parent only where the parent allows it")]

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Stdio;

use command_fds::{CommandFdExt, FdMapping};
use scened::worker::describe_exit;
use scened_common::media::wire;
use scened_common::pipe;

use super::*;

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Succeeded,
    Failed,
    /// The kernel killed the worker for it.
    Killed,
}

/// Makes a media worker attempt something behind these layers of its sandbox.
fn attempt(video: &Path, what: &str, layers: &str) -> (End, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scened-worker"));
    command
        .arg(wire::ROLE)
        .env("SCENED_MALICE", what)
        .env("SCENED_MALICE_LAYERS", layers)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let video = FdMapping {
        parent_fd: File::open(video).unwrap().into(),
        child_fd: wire::VIDEO_FD,
    };
    command.fd_mappings(vec![video]).unwrap();
    let mut child = command.spawn().unwrap();
    let mut requests = child.stdin.take().unwrap();
    pipe::write_hello(&mut requests, wire::ROLE, wire::VERSION).unwrap();
    let request = PictureRequest {
        image: square(64),
        at_ms: None,
        clock_is_odd: false,
        label: "malice".to_owned(),
    };
    pipe::write_frame(&mut requests, wire::KIND_PICTURE, &request, &[]).unwrap();
    drop(requests);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    let words = format!("{}; {}", describe_exit(status), said.trim());
    let end = if status.success() || said.contains("malice succeeded") {
        End::Succeeded
    } else if words.contains("SIGSYS") {
        End::Killed
    } else if said.contains("malice failed") {
        End::Failed
    } else {
        panic!("{what} behind {layers}: {words}")
    };
    (end, words)
}

#[test]
fn what_a_hostile_video_would_try_fails_in_the_sandbox_and_works_outside() {
    use End::{Failed, Killed, Succeeded};
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("film");
    std::fs::write(&video, "a video").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let name = format!("scened-malice-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    // SAFETY: the call takes integers only. If Yama is active, a child may trace its parent only after this.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
    let tcp = format!("tcp={}", tcp.local_addr().unwrap());
    let udp = format!("udp={}", udp.local_addr().unwrap());
    let open = format!("open={}", video.display());
    let written = folder.path().join("written");
    let write = format!("write={}", written.display());
    let by_name = format!("abstract={name}");
    // Each attempt, its outcome behind Landlock alone, and its outcome behind seccomp.
    let attempts = [
        (open.as_str(), Failed, Failed),
        (&write, Failed, Failed),
        ("exec=/bin/true", Failed, Killed),
        ("fork", Succeeded, Killed),
        (&tcp, Failed, Failed),
        (&udp, Succeeded, Failed),
        (&by_name, Failed, Failed),
        ("ptrace", Failed, Killed),
        ("signal", Failed, Killed),
        ("code", Succeeded, Failed),
    ];
    for (what, landlock, seccomp) in attempts {
        let (end, words) = attempt(&video, what, "landlock seccomp");
        assert_eq!(end, seccomp, "{what} in the sandbox: {words}");
        let (end, words) = attempt(&video, what, "seccomp");
        assert_eq!(end, seccomp, "{what} behind seccomp alone: {words}");
        let (end, words) = attempt(&video, what, "landlock");
        assert_eq!(end, landlock, "{what} behind Landlock alone: {words}");
        assert!(!written.is_file(), "{what}");
        let (end, words) = attempt(&video, what, "none");
        assert_eq!(end, Succeeded, "{what} without a sandbox: {words}");
        std::fs::remove_file(&written).ok();
    }
    assert_eq!(attempt(&video, "memory", "landlock seccomp").0, Failed);
}

/// Runs `task` on a thread. For this thread and its children the system lacks one call.
fn without<T: Send>(call: libc::c_long, task: impl FnOnce() -> T + Send) -> T {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let lacking = SeccompFilter::new(
        [(call, Vec::new())].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let lacking: BpfProgram = lacking.unwrap().try_into().unwrap();
    let run = || {
        seccompiler::apply_filter(&lacking).unwrap();
        task()
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[test]
fn without_a_sandbox_nothing_is_decoded_unless_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "film.mp4", RED_BLUE);
    for (call, name) in [(libc::SYS_landlock_create_ruleset, "Landlock"), (libc::SYS_seccomp, "seccomp")] {
        let (refused, allowed) = without(call, || {
            let lenient = worker().with_unsandboxed_allowed(true);
            (analyse(&path), analyse_with(&lenient, &path, &request()))
        });
        match refused {
            Err(MediaError::Unsandboxed { reason }) => assert!(reason.contains(name), "{reason}"),
            other => panic!("without {name}: {other:?}"),
        }
        assert_eq!(allowed.unwrap().cuts_ms(), [2000], "without {name}");
    }
}

#[test]
fn where_landlock_is_missing_seccomp_stands_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("film");
    std::fs::write(&video, "a video").unwrap();
    let tried = |what: &str| without(libc::SYS_landlock_create_ruleset, || attempt(&video, what, "landlock seccomp"));
    let (end, words) = tried("exec=/bin/true");
    assert_eq!(end, End::Killed, "{words}");
    let (end, words) = tried(&format!("open={}", video.display()));
    assert_eq!(end, End::Failed, "{words}");
}

#[test]
fn a_graphics_driver_is_let_in_only_where_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "film.mp4", RED_BLUE);
    let request = AnalyseRequest {
        hardware: Hardware::Vaapi,
        ..request()
    };
    let told = analyse_with(&worker(), &path, &request).unwrap();
    assert!(told.analysis.decoder.contains("allow-unsandboxed"), "{}", told.analysis.decoder);
    let told = analyse_with(&worker().with_unsandboxed_allowed(true), &path, &request).unwrap();
    assert!(!told.analysis.decoder.contains("allow-unsandboxed"), "{}", told.analysis.decoder);
}

/// Decodes videos of all common codecs, with eight threads.
#[test]
fn videos_of_every_common_codec_decode_in_the_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let codecs = [
        ("h264.mp4", "libx264 -preset ultrafast"),
        ("hevc.mkv", "libx265 -preset ultrafast -x265-params log-level=error"),
        (
            "hevc10.mkv",
            "libx265 -preset ultrafast -x265-params log-level=error -pix_fmt yuv420p10le",
        ),
        ("vp8.webm", "libvpx"),
        ("vp9.webm", "libvpx-vp9 -cpu-used 8"),
        ("av1.mkv", "libsvtav1 -preset 12"),
        ("mpeg2.mpg", "mpeg2video"),
        ("mpeg4.avi", "mpeg4"),
        ("motion.avi", "mjpeg -pix_fmt yuvj420p"),
        ("prores.mov", "prores_ks"),
        ("ffv1.mkv", "ffv1"),
        ("theora.ogv", "libtheora"),
    ];
    for (name, codec) in codecs {
        let path = video(folder.path(), name, &format!("{RED_BLUE} -c:v {codec}"));
        let request = AnalyseRequest {
            threads: 8,
            keyframe_px: 96,
            ..request()
        };
        let told = analyse_with(&worker(), &path, &request).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(told.scenes.len(), 2, "{name}: {:?}", told.starts());
        assert!(told.scenes.iter().all(|scene| !scene.keyframes.is_empty()), "{name}");
        picture(&path, Some(3000)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
