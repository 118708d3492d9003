//! Videos whose time stamps start again or are wrong, and videos with several video tracks: exports and players show what was found.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::{Ran, Sandbox, videos, wait_until};

use crate::SOON;
use crate::lists::colours;

/// Makes a video of several colours of two seconds each, with a keyframe per second and B-frames.
fn video(path: &Path, colours: &[&str], more: &str) {
    use std::fmt::Write as _;
    let mut words = String::new();
    for colour in colours {
        write!(words, "-f lavfi -i color=c={colour}:s=160x120:r=25:d=2 ").unwrap();
    }
    let mut inputs = String::new();
    for at in 0..colours.len() {
        write!(inputs, "[{at}]").unwrap();
    }
    write!(
        words,
        "-filter_complex {inputs}concat=n={}:v=1:a=0,format=yuv420p -c:v libx264 -preset veryfast -bf 2 -g 25 -sc_threshold 0 {more}",
        colours.len()
    )
    .unwrap();
    videos::ffmpeg_line(&words, path);
}

/// Joins three recordings, each of which begins at zero.
fn put_together(sandbox: &Sandbox, name: &str, muxer: &str, header_bytes: usize) -> PathBuf {
    let path = sandbox.videos().join(name);
    let mut all = Vec::new();
    for (at, colours) in [["red", "lime"], ["blue", "red"], ["lime", "blue"]].iter().enumerate() {
        let part = sandbox.path().join(format!("part {at} of {name}"));
        video(&part, colours, &format!("-f {muxer}"));
        let bytes = fs::read(&part).unwrap();
        all.extend_from_slice(&bytes[if at == 0 { 0 } else { header_bytes }..]);
    }
    fs::write(&path, all).unwrap();
    path
}

/// Joins two recordings; the second begins a hundred seconds later.
fn with_pause(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.videos().join("pause.ts");
    let mut all = Vec::new();
    for (name, colours, offset) in [("before", ["red", "lime"], "0"), ("behind", ["blue", "red"], "100")] {
        let part = sandbox.path().join(name);
        video(&part, &colours, &format!("-output_ts_offset {offset} -f mpegts"));
        all.extend(fs::read(&part).unwrap());
    }
    fs::write(&path, all).unwrap();
    path
}

/// Makes a video in which two frames of the first second are stamped hours too late.
fn with_wrong_stamps(sandbox: &Sandbox) -> PathBuf {
    let good = sandbox.path().join("good.mp4");
    video(&good, &["red", "lime", "blue"], "-f mp4");
    let path = sandbox.videos().join("wrong.mp4");
    let words = format!(
        "-i {} -c copy -bsf:v setts=pts=if(eq(N\\,12)+eq(N\\,13)\\,PTS+9000/TB\\,PTS):dts=DTS",
        good.display()
    );
    videos::ffmpeg_line(&words, &path);
    path
}

/// Makes a video with a small red preview track before the main track, which is green; both are marked as default.
fn with_preview(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.videos().join("two.mp4");
    videos::ffmpeg_line(
        "-f lavfi -i color=red:s=80x60:r=10:d=4 -f lavfi -i color=lime:s=320x240:r=25:d=4 -map 0 -map 1 -c:v libx264 -preset veryfast \
         -pix_fmt yuv420p -g 25 -disposition:v:0 default -disposition:v:1 default",
        &path,
    );
    path
}

fn at(path: &Path, stretch: &str) -> OsString {
    let mut word = path.as_os_str().to_owned();
    word.push(stretch);
    word
}

/// Returns what a clip shows: each colour once, in order.
fn clip(sandbox: &Sandbox, path: &Path, stretch: &str, more: &[&str]) -> Vec<&'static str> {
    let made = sandbox.path().join("clip.mkv");
    let hit = at(path, stretch);
    let mut words: Vec<&OsStr> = vec!["export".as_ref(), &hit, "--force".as_ref(), "-o".as_ref(), made.as_ref()];
    words.extend(more.iter().map(OsStr::new));
    sandbox.run(words).expect(0);
    let mut shown = colours(&["-i"], &made);
    assert!(shown.len() > 10, "{}{stretch} {more:?}: {shown:?}", path.display());
    shown.dedup();
    shown
}

#[test]
fn clips_show_what_was_found_whatever_a_videos_clock_says() {
    let sandbox = Sandbox::new();
    let stream = put_together(&sandbox, "stream.ts", "mpegts", 0);
    // Nine bytes of header, and four for the size of a previous tag, of which there is none.
    let flash = put_together(&sandbox, "flash.flv", "flv", 13);
    let wrong = with_wrong_stamps(&sandbox);
    let _daemon = sandbox.start();
    sandbox.settle();
    for (path, copies) in [(&stream, true), (&flash, false)] {
        for (second, colour) in ["red", "green", "blue", "red", "green", "blue"].iter().enumerate() {
            let from = second * 2;
            let stretch = format!("@{from}.2-{from}.9");
            assert_eq!(
                clip(&sandbox, path, &stretch, &["--exact"]),
                [*colour],
                "{}{stretch}",
                path.display()
            );
            if copies {
                assert_eq!(
                    clip(&sandbox, path, &stretch, &[]),
                    [*colour],
                    "{}{stretch}, copied",
                    path.display()
                );
            }
        }
    }
    // Across the end of a recording.
    assert_eq!(clip(&sandbox, &stream, "@3.2-4.8", &["--exact"]), ["green", "blue"]);
    assert_eq!(clip(&sandbox, &stream, "@9", &["--exact"]), ["green"], "the scene at a moment");
    for more in [&[][..], &["--exact"]] {
        assert_eq!(clip(&sandbox, &wrong, "@0.2-1", more), ["red"]);
        assert_eq!(clip(&sandbox, &wrong, "@2.2-3.5", more), ["green"]);
        assert_eq!(clip(&sandbox, &wrong, "@4.2-5.5", more), ["blue"]);
    }
}

#[test]
fn clips_show_what_was_found_behind_a_pause_and_nothing_of_it_before() {
    let sandbox = Sandbox::new();
    let paused = with_pause(&sandbox);
    let _daemon = sandbox.start();
    sandbox.settle();
    let told = sandbox.ctl(["scenes", "--json", paused.to_str().unwrap()]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let starts: Vec<u64> = told["scenes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|scene| scene["start_ms"].as_u64().unwrap())
        .collect();
    let [0, lime, blue, red] = starts[..] else { panic!("{told}") };
    assert!(blue > 90_000, "{told}");
    let stretch = |from_ms: u64, length_ms: u64| {
        let second = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
        format!("@{}-{}", second(from_ms), second(from_ms + length_ms))
    };
    for more in [&[][..], &["--exact"]] {
        assert_eq!(clip(&sandbox, &paused, &stretch(blue + 200, 1200), more), ["blue"], "{more:?}");
        assert_eq!(clip(&sandbox, &paused, &stretch(red + 200, 1200), more), ["red"], "{more:?}");
        // A scene that lasts into the pause contains nothing of what follows it.
        assert_eq!(clip(&sandbox, &paused, &stretch(lime + 200, 20_000), more), ["green"], "{more:?}");
    }
}

#[test]
fn the_picture_that_was_looked_at_is_cut_and_opened() {
    let sandbox = Sandbox::new();
    let two = with_preview(&sandbox);
    let before = clip(&sandbox, &two, "@1-3", &[]);
    assert_eq!(before, ["green"], "without a daemon, by the same rule");
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(clip(&sandbox, &two, "@1-3", &[]), ["green"]);
    assert_eq!(clip(&sandbox, &two, "@1-3", &["--exact"]), ["green"]);
    let hits = sandbox.search("a green background");
    let picture = &hits[0]["picture"];
    assert_eq!((&picture["stream"], &picture["track"]), (&1.into(), &2.into()), "{hits:?}");
    let told = sandbox.ctl(["scenes", "--json", two.to_str().unwrap()]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["picture"]["stream"], 1, "{told}");
    assert_eq!(opened(&sandbox, "mpv", &at(&two, "@1"))[..2], ["--start=1.000", "--vid=2"]);
}

/// Returns the arguments with which `open` starts a player of this name.
fn opened(sandbox: &Sandbox, player: &str, target: &OsStr) -> Vec<String> {
    let (ran, told) = open(sandbox, player, target);
    ran.expect(0);
    told
}

fn open(sandbox: &Sandbox, player: &str, target: &OsStr) -> (Ran, Vec<String>) {
    let (program, told) = (sandbox.path().join(player), sandbox.path().join("told"));
    fs::write(
        &program,
        format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >'{0}.tmp'; mv '{0}.tmp' '{0}'\n", told.display()),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = sandbox
        .command("scenectl")
        .arg("open")
        .arg(target)
        .env("SCENED_PLAYER", &program)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let words = wait_until("the player to be started", SOON, || {
        fs::read_to_string(&told).map_err(|e| e.to_string())
    });
    fs::remove_file(&told).unwrap();
    (Ran::from(&output), words.lines().map(str::to_owned).collect())
}

#[test]
fn players_are_told_a_time_that_leads_there_or_people_are_told_that_none_does() {
    let sandbox = Sandbox::new();
    let stream = put_together(&sandbox, "stream.ts", "mpegts", 0);
    let _daemon = sandbox.start();
    sandbox.settle();
    let words = opened(&sandbox, "mpv", &at(&stream, "@4.5"));
    assert_eq!(words[0], "--start=0.500");
    assert!(words[1].starts_with("lavf://subfile,,start,"), "{words:?}");
    if Command::new("mpv").arg("--version").stdout(Stdio::null()).status().is_ok() {
        let frames = sandbox.path().join("frames");
        let output = Command::new("mpv")
            .args(["--no-config", "--vo=image", "--vo-image-format=png", "--ao=null", "--frames=3"])
            .arg(format!("--vo-image-outdir={}", frames.display()))
            .args(&words)
            .env("HOME", sandbox.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut shown = colours(&["-framerate", "25", "-pattern_type", "glob", "-i"], &frames.join("*.png"));
        shown.dedup();
        assert_eq!(shown, ["blue"]);
    } else {
        eprintln!("a stretch of a file in mpv: NOT TESTED HERE: there is no mpv (apt-get install mpv, or make check-long)");
    }
    // VLC cannot be told to play such a part of a file.
    let (ran, words) = open(&sandbox, "vlc", &at(&stream, "@5"));
    ran.expect(0).says("this player cannot seek to 0:00:05");
    assert_eq!(words, [stream.to_str().unwrap()]);

    let list = |name: &str, flag: &str| {
        let path = sandbox.path().join(name);
        let ran = sandbox.run([
            OsStr::new("search"),
            "a green background".as_ref(),
            "-n".as_ref(),
            "1".as_ref(),
            flag.as_ref(),
            path.as_ref(),
        ]);
        (ran, path.is_file())
    };
    for (name, flag) in [
        ("x.m3u8", "--playlist"),
        ("x.xspf", "--playlist"),
        ("x.mpv", "--playlist"),
        ("x.edl", "--edl"),
        ("x.otio", "--otio"),
    ] {
        let (ran, is_there) = list(name, flag);
        ran.expect(2).complains("none of these scenes can be reached by a time");
        assert!(!is_there, "{name}");
    }
}
