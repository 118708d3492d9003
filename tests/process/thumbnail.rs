//! Runs `scened thumbnail` as desktops do: by the line of the `.thumbnailer` entry, without a daemon.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::{Ran, Sandbox, processes, program, repository, videos, wait_until};

use crate::SOON;

/// Returns the words of the entry's `Exec` line, with this build's program where `make install` writes the installed one.
fn exec_words() -> Vec<OsString> {
    let entry = fs::read_to_string(repository().join("desktop/data/scened.thumbnailer")).unwrap();
    let exec = entry.lines().find_map(|line| line.strip_prefix("Exec=@bin@/scened ")).unwrap();
    let program = program("scened").into_os_string();
    [program].into_iter().chain(exec.split(' ').map(OsString::from)).collect()
}

/// Builds the command as a desktop does: it replaces each placeholder with its own words and uses no shell.
fn as_a_desktop(words: &[OsString], input: &OsStr, output: &Path, size: &str) -> Command {
    let mut words = words.iter().map(|word| match word.as_bytes() {
        b"%i" => input.to_owned(),
        b"%o" => output.as_os_str().to_owned(),
        b"%s" => OsString::from(size),
        _ => word.clone(),
    });
    let mut command = Command::new(words.next().unwrap());
    // As in a desktop's own sandbox: nothing from the session is available.
    command.args(words).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// Reads width and height from the first chunk of a PNG.
fn png_size(png: &[u8]) -> (u32, u32) {
    assert!(
        png.starts_with(b"\x89PNG\r\n\x1a\n") && png.ends_with(b"IEND\xaeB`\x82"),
        "no whole PNG: {:?}",
        &png[..png.len().min(40)]
    );
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (side(16), side(20))
}

fn url(path: &Path) -> OsString {
    let mut url = OsString::from("file://");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || *byte == b'/' {
            url.push(OsStr::from_bytes(&[*byte]));
        } else {
            url.push(format!("%{byte:02X}"));
        }
    }
    url
}

const NAMES: [&[u8]; 8] = [
    b"plain.mp4",
    b"-rf --size 9.mp4",
    b"a\nb\t\x1b[31mc.mp4",
    b"it's \"$(touch pwned)\" `id` & ; | <b>.mp4",
    b"\xff\xfe not UTF-8.mp4",
    b"%i %o %u %s %%.mp4",
    b"file:___nowhere#x?y.mp4",
    "Über-Straße 日本 🎬.mp4".as_bytes(),
];

#[test]
fn the_entrys_line_makes_pictures_of_videos_with_any_name() {
    let sandbox = Sandbox::new();
    let source = sandbox.path().join("source.mp4");
    videos::ffmpeg_line("-f lavfi -i testsrc2=s=320x180:r=25:d=2 -pix_fmt yuv420p", &source);
    let words = exec_words();
    for (at, name) in NAMES.into_iter().enumerate() {
        let folder = sandbox.path().join(format!("{at}"));
        fs::create_dir(&folder).unwrap();
        let video = folder.join(OsStr::from_bytes(name));
        fs::copy(&source, &video).unwrap();
        // Named after the video. Some desktops create the file beforehand and then read through the descriptor they opened.
        let mut picture = video.clone().into_os_string().into_vec();
        picture.extend_from_slice(b".png");
        let picture = PathBuf::from(OsString::from_vec(picture));
        let made = (at % 2 == 0).then(|| File::create_new(&picture).map(|_| File::open(&picture).unwrap()).unwrap());
        for input in [video.clone().into_os_string(), url(&video)] {
            let ran = Ran::from(&as_a_desktop(&words, &input, &picture, "128").output().unwrap());
            let ran = ran.expect(0);
            assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "{input:?}");
        }
        assert_eq!(png_size(&fs::read(&picture).unwrap()), (128, 72), "{video:?}");
        if let Some(mut made) = made {
            let mut first = Vec::new();
            made.read_to_end(&mut first).unwrap();
            assert_eq!(png_size(&first), (128, 72), "{video:?}");
        }
        assert_eq!(names(&folder).len(), 2, "{:?}", names(&folder));
    }
}

#[test]
fn every_type_of_the_extensions_that_are_indexed_is_in_the_entry() {
    let entry = fs::read_to_string(repository().join("desktop/data/scened.thumbnailer")).unwrap();
    let claimed: Vec<&str> = entry
        .lines()
        .find_map(|line| line.strip_prefix("MimeType="))
        .unwrap()
        .split(';')
        .collect();
    let Ok(globs) = fs::read_to_string("/usr/share/mime/globs2") else {
        eprintln!("NOT RUN: /usr/share/mime/globs2 is not there, so types were not compared (Debian: shared-mime-info)");
        return;
    };
    let mut n_types = 0;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), "").unwrap();
    let (config, _) = scened::config::Config::load(&folder.path().join("config.toml")).unwrap();
    for extension in config.extensions {
        for line in globs.lines().filter(|line| line.ends_with(&format!(":*.{extension}"))) {
            let kind = line.split(':').nth(1).unwrap();
            // Other files share these extensions: Qt's translations are `*.ts` as well, music and kernel modules are `*.mod`.
            if kind.starts_with("text/") || ["audio/x-mod", "application/x-object"].contains(&kind) {
                continue;
            }
            n_types += 1;
            assert!(claimed.contains(&kind), "{extension} is {kind}, which the entry does not claim");
        }
    }
    assert!(n_types >= 15, "only {n_types} types were compared");
}

#[test]
fn what_cannot_be_shown_leaves_no_picture_and_one_line_of_why() {
    let sandbox = Sandbox::new();
    let at = |name: &str| sandbox.path().join(name);
    videos::colours(&at("film.mp4"), &[("red", 1.0), ("blue", 1.0)]);
    let whole = fs::read(at("film.mp4")).unwrap();
    fs::write(at("half.mp4"), &whole[..whole.len() / 2]).unwrap();
    fs::write(at("text\x1b[31m\n.mp4"), "a letter").unwrap();
    fs::create_dir(at("folder.mp4")).unwrap();
    fs::write(at("letter.png"), "not yours").unwrap();
    fs::create_dir(at("closed")).unwrap();
    let (before, words) = (names(sandbox.path()), exec_words());
    for (video, picture, why) in [
        ("half.mp4", "a.png", "truncated or was never finished"),
        ("text\x1b[31m\n.mp4", "a.png", "not a media file"),
        ("folder.mp4", "a.png", "not a regular file"),
        ("gone.mp4", "a.png", "No such file"),
        ("film.mp4", "film.mp4", "is the video itself"),
        ("film.mp4", "letter.png", "is not a PNG; nothing was written"),
        ("film.mp4", "folder.mp4", "not a regular file"),
        ("film.mp4", "none/a.png", "No such file"),
    ] {
        let ran = Ran::from(&as_a_desktop(&words, at(video).as_os_str(), &at(picture), "128").output().unwrap()).expect(2);
        assert!(ran.stderr.contains(why), "{video} → {picture}: {}", ran.stderr);
        assert!(
            ran.stderr.starts_with("scened: ") && ran.stderr.lines().count() == 1,
            "{:?}",
            ran.stderr
        );
        assert!(!ran.stderr.contains('\x1b') && ran.stdout.is_empty(), "{:?}", ran.stderr);
    }
    for size in ["0", "31", "65536", "-5", "many"] {
        Ran::from(
            &as_a_desktop(&words, at("film.mp4").as_os_str(), &at("a.png"), size)
                .output()
                .unwrap(),
        )
        .expect(2);
    }
    // KIO puts names between quotation marks and splits the result. So a name may add words, but none of them may become the output file.
    let mut split = words.clone();
    let at_input = split.iter().position(|word| word == "%i").unwrap();
    split.insert(at_input + 1, at("letter.png").into_os_string());
    split.insert(at_input + 1, OsString::from("--size=32"));
    Ran::from(
        &as_a_desktop(&split, at("film.mp4").as_os_str(), &at("a.png"), "128")
            .output()
            .unwrap(),
    )
    .expect(2);
    assert_eq!(names(sandbox.path()), before);
    assert_eq!(fs::read(at("film.mp4")).unwrap(), whole);
    assert_eq!(fs::read(at("letter.png")).unwrap(), b"not yours");
    // Desktops on high-resolution screens ask for more than the specification's largest size. The thumbnail fits within it.
    Ran::from(
        &as_a_desktop(&words, at("film.mp4").as_os_str(), &at("large.png"), "2048")
            .output()
            .unwrap(),
    )
    .expect(0);
    assert_eq!(png_size(&fs::read(at("large.png")).unwrap()), (160, 120));

    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let (closed, video) = (at("closed"), at("film.mp4"));
    fs::set_permissions(sandbox.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = std::thread::spawn(move || {
        testkit::become_nobody();
        let words = exec_words();
        Ran::from(
            &as_a_desktop(&words, video.as_os_str(), &closed.join("a.png"), "128")
                .output()
                .unwrap(),
        )
    });
    let ran = ran.join().unwrap().expect(2);
    assert!(ran.stderr.contains("Permission denied"), "{}", ran.stderr);
    assert!(names(&at("closed")).is_empty());
}

#[test]
fn killed_in_the_middle_it_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    let video = sandbox.path().join("film.mp4");
    videos::colours(&video, &[("red", 1.0)]);
    // This worker never answers, so the signal always arrives in the middle.
    let worker = sandbox.path().join("worker");
    fs::write(&worker, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).unwrap();
    let words = exec_words();
    let prepared = folder.join("prepared.png");
    fs::write(&prepared, "").unwrap();
    for picture in [folder.join("new.png"), prepared.clone()] {
        let mut command = as_a_desktop(&words, video.as_os_str(), &picture, "128");
        let mut running = command.env("SCENED_WORKER", &worker).env("PATH", "/usr/bin:/bin").spawn().unwrap();
        let child = wait_until("the worker", SOON, || {
            processes::children(running.id())
                .first()
                .map(|child| child.pid)
                .ok_or_else(|| "there is none".to_owned())
        });
        running.kill().unwrap();
        running.wait().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(child as i32).unwrap(), rustix::process::Signal::KILL).ok();
    }
    assert_eq!(names(&folder), ["prepared.png"]);
    assert_eq!(fs::read(&prepared).unwrap(), b"");
}
