//! Playlists, edit lists and timelines of hits, read by the programs that they are made for.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::{Ran, Sandbox, videos};

/// Names that could break a list, a URL or an option.
const ODD: &[&[u8]] = &[
    b"plain.mp4",
    b"new\n#EXTVLCOPT:start-time=0\nline.mp4",
    b"a,0,1;!b %3%c.mp4",
    b"not utf-8 \xff\xfe 'q' \"q\".mp4",
    "</location> & 日本 🦊.mp4".as_bytes(),
    b"-dash #1 ?.mp4",
];

/// Creates videos that are red for two seconds, green for one and a half, and blue for two. The colours reveal a clip that begins too early
/// or ends too late.
fn library() -> (Sandbox, Vec<PathBuf>) {
    let sandbox = Sandbox::new();
    let names = ODD.iter().map(|name| OsStr::from_bytes(name));
    let paths = sandbox.videos_alike(names, &[("red", 2.0), ("green", 1.5), ("blue", 2.0)]);
    (sandbox, paths)
}

fn has(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// Searches for the green scene of each video, from 2 to 3.5 s; all hits are such scenes.
fn search(sandbox: &Sandbox, flag: &str, file: &Path) -> Ran {
    search_some(sandbox, ODD.len(), flag, file)
}

fn search_some(sandbox: &Sandbox, n: usize, flag: &str, file: &Path) -> Ran {
    let n = n.to_string();
    sandbox.run([
        OsStr::new("search"),
        OsStr::new("a green background"),
        OsStr::new("-n"),
        OsStr::new(&n),
        OsStr::new(flag),
        file.as_os_str(),
    ])
}

#[test]
fn mpv_plays_what_was_found_and_nothing_else() {
    let (sandbox, paths) = library();
    let _daemon = sandbox.start();
    sandbox.settle();
    let list = sandbox.path().join("hits.mpv");
    search(&sandbox, "--playlist", &list).expect(0).says("~/hits.mpv: 6 scenes, ");
    if !has("mpv") {
        eprintln!("playlists in mpv: NOT TESTED HERE: there is no mpv (apt-get install mpv, or make check-long)");
        return;
    }
    let frames = sandbox.path().join("frames");
    let output = Command::new("mpv")
        .args([
            "--no-config",
            "--vo=image",
            "--vo-image-format=png",
            "--ao=null",
            "--untimed",
            "--msg-level=all=warn",
        ])
        .arg(format!("--vo-image-outdir={}", frames.display()))
        .arg(&list)
        .env("HOME", sandbox.path())
        .output()
        .unwrap();
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{told}");
    // 38 frames of each video, give or take one for mpv's rounding, and all of them green.
    let shown = fs::read_dir(&frames).unwrap().count();
    let expected = paths.len() * 38;
    assert!(
        shown.abs_diff(expected) <= paths.len(),
        "{shown} frames were shown, not {expected}: {told}"
    );
    let colours = colours(&["-framerate", "25", "-pattern_type", "glob", "-i"], &frames.join("*.png"));
    assert!(colours.iter().all(|colour| *colour == "green"), "{colours:?}");
}

/// Returns the colours that a video or a series of pictures shows, frame by frame.
pub(crate) fn colours(before: &[&str], input: &Path) -> Vec<&'static str> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(before)
        .arg(input)
        .args(["-vf", "scale=1:1:flags=area", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let name = |colour: &[u8]| match colour.iter().map(|part| *part > 90).collect::<Vec<_>>()[..] {
        [true, false, false] => "red",
        [false, true, false] => "green",
        [false, false, true] => "blue",
        [false, false, false] => "black",
        _ => "another",
    };
    output.stdout.chunks(3).map(name).collect()
}

/// At the end time VLC stops reading, not playing: it still plays what it has read, a quarter of a second of MP4.
const MAX_LATE_FRAMES: usize = 13;

#[test]
fn vlc_begins_and_ends_where_the_playlist_says() {
    let (sandbox, _) = library();
    let _daemon = sandbox.start();
    sandbox.settle();
    // VLC refuses to run as root, so it runs as `nobody`, who must be able to read the folder.
    fs::set_permissions(sandbox.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let lists = ["hits.m3u8", "hits.xspf"];
    for name in lists {
        // VLC plays in real time: two hits are enough.
        search_some(&sandbox, 2, "--playlist", &sandbox.path().join(name)).expect(0);
    }
    if !has("vlc") || !has("setpriv") {
        eprintln!("playlists in VLC: NOT TESTED HERE: there is no vlc (apt-get install vlc-bin vlc-plugin-base, or make check-long)");
        return;
    }
    std::thread::scope(|scope| {
        for name in lists {
            let sandbox = &sandbox;
            scope.spawn(move || in_vlc(sandbox, name));
        }
    });
}

/// Plays two videos, which are green from 2 to 3.52 s, and checks what is shown.
fn in_vlc(sandbox: &Sandbox, name: &str) {
    let frames = sandbox.path().join(format!("frames of {name}"));
    fs::create_dir(&frames).unwrap();
    fs::set_permissions(&frames, fs::Permissions::from_mode(0o777)).unwrap();
    let output = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "vlc",
            "-I",
            "dummy",
            "--no-audio",
        ])
        .args([
            "--vout",
            "dummy",
            "--play-and-exit",
            "-vv",
            "--no-drop-late-frames",
            "--no-skip-frames",
        ])
        // Saves every frame that is shown as a picture; the second video's pictures replace the first one's.
        .args([
            "--video-filter",
            "scene",
            "--scene-format",
            "png",
            "--scene-prefix",
            "f",
            "--scene-ratio",
            "1",
        ])
        .arg("--scene-path")
        .arg(&frames)
        .arg(sandbox.path().join(name))
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("starting at time: 2s").count(), 2, "{name}: {said}");
    let colours = colours(&["-framerate", "25", "-pattern_type", "glob", "-i"], &frames.join("*.png"));
    let count = |colour: &str| colours.iter().filter(|shown| **shown == colour).count();
    assert!(count("red") <= 1, "{name}: {colours:?}");
    assert!((36..=39).contains(&count("green")), "{name}: {colours:?}");
    // 50 frames of blue follow.
    assert!(count("blue") <= MAX_LATE_FRAMES, "{name}: {colours:?}");
}

/// Returns the folder where `scripts/test.sh` puts `opentimelineio` and its adapter for CMX 3600, if they are there.
fn otio() -> Option<PathBuf> {
    let folder = testkit::repository().join(".setup/otio");
    if folder.join("opentimelineio").is_dir() {
        return Some(folder);
    }
    eprintln!(
        "timelines in OpenTimelineIO: NOT TESTED HERE: scripts/test.sh has not put it into {}",
        folder.display()
    );
    None
}

/// Reads a file with OpenTimelineIO. Returns for each clip name, source start, source length, record start (frames), rate and URL.
fn read(folder: &Path, file: &Path, rate: Option<f64>) -> Value {
    let script = r#"
import json, sys
import opentimelineio as otio
file, rate = sys.argv[1], float(sys.argv[2])
timeline = otio.adapters.read_from_file(file, rate=rate) if rate else otio.adapters.read_from_file(file)
if not hasattr(timeline, "find_clips"):
    timeline = timeline[0]
find = getattr(timeline, "find_clips", None) or timeline.each_clip
clips = []
for clip in find():
    reference = clip.media_reference
    clips.append({
        "name": clip.name,
        "start": clip.source_range.start_time.value,
        "length": clip.source_range.duration.value,
        "record": clip.range_in_parent().start_time.value,
        "rate": clip.source_range.start_time.rate,
        "url": getattr(reference, "target_url", None),
        "comments": list(clip.metadata.get("cmx_3600", {}).get("comments", [])),
    })
print(json.dumps({"name": timeline.name, "clips": clips}))
"#;
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(file)
        .arg(rate.unwrap_or(0.0).to_string())
        .env("PYTHONPATH", folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        fs::read_to_string(file).unwrap()
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn opentimelineio_reads_every_clip_of_odd_names() {
    let (sandbox, paths) = library();
    let _daemon = sandbox.start();
    sandbox.settle();
    let (edl, timeline) = (sandbox.path().join("hits.edl"), sandbox.path().join("hits.otio"));
    search(&sandbox, "--edl", &edl).expect(0);
    search(&sandbox, "--otio", &timeline).expect(0);
    let list = fs::read_to_string(&edl).unwrap();
    assert!(list.starts_with("TITLE: a green background\nFCM: NON-DROP FRAME\n"), "{list}");
    // Each event has four lines: an empty one, the event, a name and a file.
    assert_eq!(list.lines().count(), 2 + 4 * paths.len(), "{list}");
    let Some(folder) = otio() else { return };
    for (file, rate) in [(&edl, Some(25.0)), (&timeline, None)] {
        let read = read(&folder, file, rate);
        let clips = read["clips"].as_array().unwrap();
        assert_eq!(clips.len(), paths.len(), "{read}");
        assert_eq!(read["name"], "a green background");
        for (index, clip) in clips.iter().enumerate() {
            let place = (&clip["start"], &clip["length"], &clip["record"], &clip["rate"]);
            assert_eq!(
                place,
                (&json!(50.0), &json!(38.0), &json!(38.0 * index as f64), &json!(25.0)),
                "{clip}"
            );
        }
    }
    // The URLs preserve every byte of the names.
    let read = read(&folder, &timeline, None);
    let mut led: Vec<Vec<u8>> = read["clips"]
        .as_array()
        .unwrap()
        .iter()
        .map(|clip| crate::percent_decoded(clip["url"].as_str().unwrap().strip_prefix("file://").unwrap()))
        .collect();
    let mut expected: Vec<Vec<u8>> = paths.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
    led.sort();
    expected.sort();
    assert_eq!(led, expected);
}

#[test]
fn drop_frame_videos_have_drop_frame_timecodes_and_their_own_clock_counts() {
    let sandbox = Sandbox::new();
    let make = |name: &str, rate: &str, timecode: Option<&str>| {
        let made = sandbox.path().join("made.mov");
        let timecode = timecode.map(|timecode| format!("-timecode {timecode} ")).unwrap_or_default();
        let parts = |seconds: u32| format!("color=c=red:s=160x120:r={rate}:d={seconds},format=yuv420p");
        videos::ffmpeg_line(
            &format!(
                "-f lavfi -i {},concat=n=1 -f lavfi -i color=c=green:s=160x120:r={rate}:d=4 -filter_complex [0][1]concat=n=2:v=1:a=0 \
                 -c:v libx264 -preset ultrafast -pix_fmt yuv420p {timecode}",
                parts(62)
            ),
            &made,
        );
        let path = sandbox.videos().join(name);
        sandbox.put(&made, &path);
        path
    };
    make("slow.mov", "30000/1001", None);
    make("clock.mov", "30000/1001", Some("10:00:00;00"));
    make("fast.mov", "60000/1001", None);
    make("pal.mov", "25", Some("01:02:03:04"));
    let _daemon = sandbox.start();
    sandbox.settle();
    let edl = |name: &str, more: &[&str]| {
        let file = sandbox.path().join(format!("{name}.edl"));
        let ran = sandbox.run(
            [
                "search",
                "a green background",
                "-n",
                "1",
                "--force",
                "--in",
                &format!("{}", sandbox.videos().join(name).display()),
                "--edl",
            ]
            .into_iter()
            .chain([file.to_str().unwrap()])
            .chain(more.iter().copied()),
        );
        ran.expect(0);
        let list = fs::read_to_string(&file).unwrap();
        let event = list.lines().find(|line| line.starts_with("001")).unwrap().to_owned();
        (list, event)
    };
    // The cut comes after 1,859 frames: drop-frame time skips two numbers at minute one.
    let (list, event) = edl("slow.mov", &[]);
    assert!(list.contains("FCM: DROP FRAME"), "{list}");
    assert!(event.contains(" 00:01:02;01 00:01:06;01 01:00:00;00 01:00:04;00"), "{event}");
    let (_, event) = edl("clock.mov", &[]);
    assert!(event.contains(" 10:01:02;01 10:01:06;01 01:00:00;00 01:00:04;00"), "{event}");
    let (_, event) = edl("fast.mov", &[]);
    assert!(event.contains(" 00:01:02;01 "), "{event}");
    let (list, event) = edl("pal.mov", &[]);
    assert!(
        list.contains("NON-DROP") && event.contains(" 01:03:05:04 01:03:09:04 01:00:00:00 01:00:04:00"),
        "{list}"
    );
    // With `--rate` the times use that rate.
    let (_, event) = edl("pal.mov", &["--rate", "50"]);
    assert!(event.contains(" 01:03:05:08 01:03:09:08 01:00:00:00 01:00:04:00"), "{event}");
    if let Some(folder) = otio() {
        let clip = &read(&folder, &sandbox.path().join("clock.mov.edl"), Some(30_000.0 / 1001.0))["clips"][0];
        // Ten hours are 1,078,920 frames.
        assert_eq!(clip["start"], json!(1_078_920.0 + 1859.0), "{clip}");
    }
}

#[test]
fn lists_leave_out_what_cannot_be_played_and_say_where_it_is() {
    let sandbox = Sandbox::new();
    let away = sandbox.path().join("drive");
    sandbox.configure(&format!("folders = [{:?}, {away:?}]", sandbox.videos()));
    sandbox.video_at(&away.join("away.mp4"), &[("red", 1.0)]);
    sandbox.video("here.mp4", &[("red", 1.2)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    fs::rename(&away, sandbox.path().join("unplugged")).unwrap();
    sandbox.say("rescan").expect(0);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 1]);
    let at = |name: &str| sandbox.path().join(name);
    let search = |flag: &str, name: &str| sandbox.run(["search", "red", flag, at(name).to_str().unwrap()]);
    search("--playlist", "hits.m3u8")
        .expect(0)
        .says("1 scene,")
        .complains("left out of the playlist: ~/drive/away.mp4 (offline: on ");
    assert!(!fs::read_to_string(at("hits.m3u8")).unwrap().contains("away.mp4"));
    // An editing program can handle offline media.
    search("--edl", "hits.edl")
        .expect(0)
        .complains("25 frames per second are assumed for 1 video")
        .complains("--rate");
    assert!(fs::read_to_string(at("hits.edl")).unwrap().contains("away.mp4"));
    sandbox
        .run([
            "search",
            "red",
            "--in",
            away.to_str().unwrap(),
            "--playlist",
            at("none.xspf").to_str().unwrap(),
        ])
        .expect(2)
        .complains("no video of the playlist can be opened now");
    assert!(!at("none.xspf").is_file());
    search("--playlist", "hits.txt")
        .expect(2)
        .complains("is not that of a playlist")
        .complains(".m3u8");
    search("--edl", "hits.edl").expect(2).complains("exists already");
    sandbox
        .run(["search", "red", "--rate", "fast"])
        .expect(2)
        .complains("give frames a second");
    // JSON lists the files beside the hits.
    let told = sandbox.ctl_json(["search", "red", "--otio", at("hits.otio").to_str().unwrap()]);
    assert_eq!(
        (told["hits"].as_array().unwrap().len(), &told["files"][0]["kind"]),
        (2, &json!("otio")),
        "{told}"
    );
    // Without ffprobe everything is assumed, and a message gives the reason.
    let output = sandbox
        .command("scenectl")
        .args(["search", "red", "--force", "--rate", "30", "--edl"])
        .arg(at("hits.edl"))
        .env("PATH", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran::from(&output)
        .expect(0)
        .complains("30 frames per second are assumed for 2 videos")
        .complains("ffprobe is not installed");
}

#[test]
fn two_lists_of_one_name_are_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let folder = sandbox.path().join("lists");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(".", folder.join("here")).unwrap();
    let x = folder.join("x.m3u8");
    for (one, other) in [
        ("--html", "--edl"),
        ("--playlist", "--otio"),
        ("--edl", "--otio"),
        ("--html", "--playlist"),
    ] {
        for again in [x.clone(), folder.join("here/../lists/./x.m3u8"), folder.join("here/x.m3u8")] {
            for force in ["--json", "--force"] {
                let words = [
                    OsStr::new("search"),
                    OsStr::new("green"),
                    OsStr::new(force),
                    OsStr::new(one),
                    x.as_os_str(),
                ];
                let ran = sandbox.run(words.into_iter().chain([OsStr::new(other), again.as_os_str()]));
                ran.expect(2).complains("would be written twice");
            }
        }
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing was written");
}
