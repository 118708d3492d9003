//! Files that name other files and servers. The worker opens no such file and connects to no server, but a program that trusts them does
//! both.

use std::io::Write;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::boxes::replace_in_boxes;
use super::*;

/// A file and a server that record visits.
struct Bait {
    path: PathBuf,
    address: String,
    n_visits: Arc<AtomicU64>,
    watch: OwnedFd,
}

impl Bait {
    fn new(folder: &Path) -> Self {
        let path = video(folder, "bait.ts", "-f lavfi -i testsrc=s=64x64:d=1 -c:v mpeg2video");
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&watch, &path, WatchFlags::OPEN | WatchFlags::ACCESS).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let n_visits = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&n_visits);
        std::thread::spawn(move || {
            for mut visit in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                visit.write_all(b"HTTP/1.0 404 no\r\n\r\n").ok();
            }
        });
        Self {
            path,
            address,
            n_visits,
            watch,
        }
    }

    /// Returns whether there was a visit since the last call.
    fn was_taken(&self) -> bool {
        let mut events = [0; 4096];
        let mut opened = false;
        while rustix::io::read(&self.watch, &mut events).is_ok_and(|n| n > 0) {
            opened = true;
        }
        self.n_visits.swap(0, Ordering::SeqCst) > 0 || opened
    }
}

/// Returns the worker with a file in which its system calls are recorded; `None` if strace is missing.
fn traced(folder: &Path) -> Option<(MediaProcess, PathBuf)> {
    let can_trace = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if !can_trace.is_ok_and(|status| status.success()) {
        return None;
    }
    let (script, log) = (folder.join("traced.sh"), folder.join("trace"));
    let text = format!(
        "#!/bin/sh\nexec strace -f -s 4096 -o '{}' -e trace=%network,%file,%process,landlock_restrict_self '{}' \"$@\"\n",
        log.display(),
        env!("CARGO_BIN_EXE_scened-worker")
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    Some((MediaProcess::new(script), log))
}

/// Calls that reach another file or program; libraries try some and fail.
const REACHING: [&str; 9] = [
    "open(",
    "openat(",
    "openat2(",
    "creat(",
    "execve(",
    "execveat(",
    "rename(",
    "unlink(",
    "mkdir(",
];
/// Calls that the worker must not even try.
const CONNECTING: [&str; 5] = ["socket(", "connect(", "bind(", "sendto(", "sendmsg("];

/// Checks the calls that the worker made after it was confined.
fn assert_reached_nothing(trace: &Path, bait: &Bait, name: &str) {
    let trace = std::fs::read_to_string(trace).unwrap();
    let (_, confined) = trace.split_once("landlock_restrict_self(").expect("the worker confines itself");
    let words = bait.path.file_name().unwrap().to_string_lossy();
    for line in confined.lines() {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        let is_one_of = |calls: &[&str]| calls.iter().any(|known| call.starts_with(known));
        assert!(!line.contains(words.as_ref()) && !is_one_of(&CONNECTING), "{name}: {line}");
        assert!(!is_one_of(&REACHING) || line.contains(" = -1 "), "{name}: {line}");
    }
}

/// Returns an entry of a data reference that says the frames are in another file. **Source**: `mov_read_dref` of FFmpeg's libavformat/mov.c
/// reads it like this.
fn alias(path: &str) -> Vec<u8> {
    let mut record = b"alis\0\0\0\0".to_vec();
    record.extend([0; 10]);
    record.push(0);
    record.extend([0; 27 + 12]);
    record.push(0);
    record.extend([0; 63 + 16]);
    record.extend([0, 1, 0, 1]);
    record.extend([0; 16]);
    record.extend([0, 2]);
    record.extend((path.len() as u16).to_be_bytes());
    record.extend(path.as_bytes());
    if path.len() % 2 == 1 {
        record.push(0);
    }
    record.extend([0xff, 0xff, 0, 0]);
    let mut boxed = (record.len() as u32 + 4).to_be_bytes().to_vec();
    boxed.extend(record);
    boxed
}

/// Returns a MOV whose frames are in another file.
fn with_reference(video: &[u8], entry: &[u8]) -> Vec<u8> {
    let mut video = video.to_vec();
    let mut references = vec![0, 0, 0, 0, 0, 0, 0, 1];
    references.extend(entry);
    replace_in_boxes(&mut video, &[b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"], &references);
    video
}

struct Case {
    name: &'static str,
    content: Vec<u8>,
    /// The options with which ffprobe takes the bait; empty if none do.
    gullible: Vec<String>,
    /// Whether the file is nevertheless a video.
    is_video: bool,
}

/// Returns texts with names of videos.
fn playlists(bait: &Bait) -> Vec<Case> {
    let (path, address) = (bait.path.display(), &bait.address);
    let text = |name, content: String, gullible: &str| Case {
        name,
        content: content.into_bytes(),
        gullible: gullible.split_whitespace().map(str::to_owned).collect(),
        is_video: false,
    };
    let open = "-protocol_whitelist file,http,tcp,udp,rtp,crypto,data";
    let hls = |segment: String| format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{segment}\n#EXT-X-ENDLIST\n");
    let dash = format!(
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\" type=\"static\" mediaPresentationDuration=\"PT10S\"><Period>\
         <AdaptationSet contentType=\"video\"><Representation id=\"0\" mimeType=\"video/mp2t\" codecs=\"avc1\" bandwidth=\"1\" width=\"64\" height=\"64\">\
         <BaseURL>http://{address}/bait.ts</BaseURL><SegmentBase/></Representation></AdaptationSet></Period></MPD>"
    );
    let sdp =
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 39999 RTP/AVP 96\na=rtpmap:96 H264/90000\n".to_owned();
    vec![
        text(
            "segments of a server.mp4",
            hls(format!("http://{address}/1.ts")),
            &format!("{open} -allowed_extensions ALL"),
        ),
        text(
            "segments of a disk.mp4",
            hls(path.to_string()),
            &format!("{open} -allowed_extensions ALL"),
        ),
        text(
            "a playlist of playlists.ts",
            format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://{address}/x.m3u8\n"),
            &format!("{open} -allowed_extensions ALL"),
        ),
        text(
            "a key of a server.mkv",
            format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=AES-128,URI=\"http://{address}/k\"\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n"
            ),
            &format!("{open} -allowed_extensions ALL"),
        ),
        text(
            "a script.mp4",
            format!("ffconcat version 1.0\nfile '{path}'\n"),
            &format!("{open} -f concat -safe 0"),
        ),
        text(
            "a script of a server.mov",
            format!("ffconcat version 1.0\nfile 'http://{address}/a.mp4'\n"),
            &format!("{open} -f concat -safe 0"),
        ),
        text("a manifest.mp4", dash, open),
        text("a session.mp4", sdp, ""),
        text(
            "subtitles elsewhere.mp4",
            format!(
                "# VobSub index file, v7 (do not modify this line!)\nsize: 64x64\nid: en, index: 0\n\
             timestamp: 00:00:00:000, filepos: 000000000\n# {path}\n"
            ),
            "",
        ),
        text("a reference.mp4", format!("[Reference]\nRef1=http://{address}/a.asf\n"), ""),
        text(
            "a list.mp4",
            format!("[playlist]\nFile1=http://{address}/a.mp4\nNumberOfEntries=1\nVersion=2\n"),
            "",
        ),
        text(
            "a page.mp4",
            format!("<asx version=\"3.0\"><entry><ref href=\"http://{address}/a\"/></entry></asx>"),
            "",
        ),
    ]
}

/// Returns videos that also name other files.
fn videos(folder: &Path, bait: &Bait) -> Vec<Case> {
    let (path, address) = (bait.path.display(), &bait.address);
    let plain = std::fs::read(video(folder, "plain.mov", &format!("{RED_BLUE} -c:v mpeg4"))).unwrap();
    let alias = with_reference(&plain, &alias(&path.to_string()));
    let mut url = b"url \0\0\0\0".to_vec();
    url.extend(format!("file://{path}\0").as_bytes());
    let mut url_entry = (url.len() as u32 + 4).to_be_bytes().to_vec();
    url_entry.extend(url);
    let playlist = folder.join("list.m3u8");
    std::fs::write(
        &playlist,
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://{address}/1.ts\n#EXT-X-ENDLIST\n"),
    )
    .unwrap();
    let attached = video(
        folder,
        "attached.mkv",
        &format!(
            "{RED_BLUE} -c:v mpeg4 -attach {0} -metadata:s:t:0 mimetype=application/x-mpegurl -attach {0} -metadata:s:t:1 mimetype=font/ttf",
            playlist.display()
        ),
    );
    std::fs::write(folder.join("plain.srt"), "1\n00:00:00,000 --> 00:00:01,000\nwords\n").unwrap();
    [
        ("frames in another file.mov", alias, "-enable_drefs 1 -use_absolute_path 1"),
        ("frames at an address.mov", with_reference(&plain, &url_entry), ""),
        ("a video with attachments.mkv", std::fs::read(attached).unwrap(), ""),
        ("file:%03d.mp4", plain, ""),
    ]
    .map(|(name, content, gullible)| Case {
        name,
        content,
        gullible: gullible.split_whitespace().map(str::to_owned).collect(),
        // If the frames are in another file, the video has none.
        is_video: name != "frames in another file.mov",
    })
    .into()
}

#[test]
fn nothing_that_a_video_names_is_opened_or_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let bait = Bait::new(folder.path());
    let traced = traced(folder.path());
    if traced.is_none() {
        eprintln!("NOT TESTED: what the worker asks of the system (strace is not here); the bait is watched all the same");
    }
    let mut n_gullible = 0;
    for Case {
        name,
        content,
        gullible,
        is_video,
    } in playlists(&bait).into_iter().chain(videos(folder.path(), &bait))
    {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        bait.was_taken();
        if !gullible.is_empty() {
            let said = Command::new("ffprobe")
                .args(["-v", "error"])
                .args(gullible)
                .arg("-i")
                .arg(&path)
                .output()
                .unwrap();
            assert!(
                bait.was_taken(),
                "{name}: this bait is none: {}",
                String::from_utf8_lossy(&said.stderr)
            );
            n_gullible += 1;
        }
        let sources = traced.iter().map(|(source, _)| source.clone()).chain([worker()]);
        for source in sources {
            let ended = analyse_with(&source, &path, &request());
            assert!(!bait.was_taken(), "{name}: {ended:?}");
            match ended {
                Ok(told) => assert!(is_video && told.cuts_ms() == [2000], "{name}: {told:?}"),
                Err(MediaError::Unusable { reason }) => assert!(!is_video, "{name}: {reason}"),
                Err(other) => panic!("{name}: {other}"),
            }
        }
        let asked = picture(&path, None);
        assert!(asked.is_ok() == is_video && !bait.was_taken(), "{name}: {asked:?}");
        if let Some((_, trace)) = &traced {
            assert_reached_nothing(trace, &bait, name);
        }
    }
    assert_eq!(n_gullible, 8, "baits that are shown to work");
}
