//! `open` and `--open` start the desktop's player at the moment, whatever the file's name. Without a player the user gets an explanation.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::{Ran, Sandbox, processes, wait_until};

use crate::SOON;

/// A private desktop beside a sandbox: programs, desktop files, a default player.
struct Desktop<'a> {
    sandbox: &'a Sandbox,
}

impl<'a> Desktop<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        fs::create_dir_all(sandbox.path().join("share/applications")).unwrap();
        fs::create_dir_all(sandbox.path().join("bin")).unwrap();
        Self { sandbox }
    }

    /// Installs a program that writes down its session, its folder and its arguments, and then runs `more`.
    fn player(&self, name: &str, more: &str) {
        let told = self.told().display().to_string();
        let script = format!(
            "#!/bin/sh\nstreams=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 | tr '\\n' ' ')\n{{ ps -o sid= -p $$; pwd; echo $streams; }} >'{told}.about'\nprintf '%s\\0' \"$@\" >'{told}.tmp'\nmv '{told}.tmp' '{told}'\n{more}\n"
        );
        let path = self.sandbox.path().join("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn default(&self, id: &str, exec: &str) {
        let folder = self.sandbox.path().join("share/applications");
        let text = format!("[Desktop Entry]\nType=Application\nName=My {id}\nExec={exec}\n");
        fs::write(folder.join(format!("{id}.desktop")), text).unwrap();
        fs::write(
            folder.join("mimeapps.list"),
            format!("[Default Applications]\nvideo/mp4={id}.desktop\n"),
        )
        .unwrap();
    }

    fn told(&self) -> PathBuf {
        self.sandbox.path().join("told")
    }

    /// Returns the arguments that the player last received.
    fn arguments(&self) -> Vec<OsString> {
        let bytes = wait_until("the player to be started", SOON, || {
            fs::read(self.told()).map_err(|e| e.to_string())
        });
        fs::remove_file(self.told()).unwrap();
        let words = bytes.split(|byte| *byte == 0);
        let mut words: Vec<OsString> = words.map(|word| OsString::from_vec(word.to_vec())).collect();
        words.pop();
        words
    }

    fn command(&self) -> Command {
        let mut command = self.sandbox.command("scenectl");
        let path = format!("{}:/usr/bin:/bin", self.sandbox.path().join("bin").display());
        command
            .env("PATH", path)
            .env("XDG_DATA_DIRS", self.sandbox.path().join("share"))
            .env("XDG_CONFIG_DIRS", self.sandbox.path().join("none"))
            .env("DISPLAY", ":test")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_CURRENT_DESKTOP")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("SCENED_PLAYER")
            .stdin(Stdio::null());
        command
    }

    fn run<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Ran {
        Ran::from(&self.command().args(arguments).output().unwrap())
    }
}

fn joined(file: &Path, time: &str) -> OsString {
    let mut word = file.as_os_str().to_owned();
    word.push(time);
    word
}

#[test]
fn a_hit_is_opened_in_the_default_player_at_its_moment() {
    let sandbox = Sandbox::new();
    let video = sandbox.video("two.mp4", &[("red", 2.0), ("green", 2.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let desktop = Desktop::new(&sandbox);
    desktop.player("mpv", "");
    desktop.default("mpv", "mpv --player-operation-mode=pseudo-gui -- %U");

    let hits = sandbox.search("a green background");
    let start = |hit: &Value| {
        let ms = hit["best_ms"].as_u64().unwrap();
        format!("--start={}.{:03}", ms / 1000, ms % 1000)
    };
    let url = format!("file://{}", video.display());
    let expected = |hit: &Value| {
        ["--player-operation-mode=pseudo-gui", &start(hit), "--", &url]
            .map(OsString::from)
            .to_vec()
    };
    // The list is still printed, and standard output contains nothing else.
    let ran = desktop
        .run(["search", "a green background", "--open"])
        .expect(0)
        .complains("My mpv shows ");
    assert_eq!(ran.stdout.lines().count(), 2, "{ran:?}");
    assert_eq!(desktop.arguments(), expected(&hits[0]));
    desktop.run(["search", "a green background", "--open", "2"]).expect(0);
    assert_eq!(desktop.arguments(), expected(&hits[1]));
    let similar = desktop
        .run([OsStr::new("similar"), &joined(&video, "@3"), OsStr::new("--open")])
        .expect(0);
    assert_eq!(desktop.arguments(), expected(&hits[0]), "{similar:?}");

    // The JSON output for programs.
    let ran = desktop.run(["search", "a green background", "--open", "--json"]).expect(0);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["hits"].as_array().unwrap().len(), 2);
    assert_eq!(told["opened"]["path"], video.to_str().unwrap());
    assert_eq!(
        (&told["opened"]["at_ms"], &told["opened"]["starts_there"]),
        (&hits[0]["best_ms"], &true.into())
    );
    assert_eq!(told["opened"]["command"][3], "--");
    assert_eq!(desktop.arguments(), expected(&hits[0]));

    desktop
        .run(["search", "a green background", "--open", "3"])
        .expect(2)
        .complains("there is no hit 3: 2 hits found");
    desktop
        .run(["search", "--open", "green"])
        .expect(2)
        .complains("write --open after the query");
    assert!(!desktop.told().is_file());
}

#[test]
fn a_player_gets_any_name_whole_and_outlives_us() {
    let sandbox = Sandbox::new();
    let desktop = Desktop::new(&sandbox);
    desktop.player("mpv", "");
    let names: &[&[u8]] = &[
        b"-dash.mp4",
        b"--script=evil.lua.mp4",
        b"http:%2f%41 x.mp4",
        b"%U %f.mp4",
        b"quo\"te' `id` $(id);&|.mp4",
        b"new\nline\x1b[2J.mp4",
        b"not utf-8 \xff.mp4",
        b"at@1:30.mp4",
    ];
    // No daemon runs: a video that exists is opened without one.
    for name in names {
        let file = sandbox.videos().join(OsStr::from_bytes(name));
        fs::write(&file, b"").unwrap();
        let plain = [
            OsString::from("--start=90.500"),
            OsString::from("--"),
            file.clone().into_os_string(),
        ];
        desktop.default("mpv", "mpv -- %f");
        let ran = desktop
            .run([OsStr::new("open"), &joined(&file, "@1:30.5")])
            .expect(0)
            .says("My mpv shows ");
        assert!(!ran.stdout.contains('\u{1b}') && ran.stdout.lines().count() == 1, "{ran:?}");
        assert_eq!(desktop.arguments(), plain);
        let mut command = desktop.command();
        let output = command
            .current_dir(sandbox.videos())
            .env("SCENED_PLAYER", "mpv --")
            .args(["open", "--"]);
        Ran::from(&output.arg(joined(Path::new(OsStr::from_bytes(name)), "@90.5")).output().unwrap()).expect(0);
        let words = desktop.arguments();
        assert_eq!(
            (words.len(), words.last().unwrap()),
            (3, &file.clone().into_os_string()),
            "{words:?}"
        );
    }

    // The player has its own session, none of our streams, and the user's home as its folder. So neither the end of scenectl nor an
    // unplugged drive affects it.
    desktop.player("mpv", "sleep 60");
    let file = sandbox.videos().join("-dash.mp4");
    let ran = desktop.run([OsStr::new("open"), file.as_os_str(), OsStr::new("--json")]).expect(0);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    let pid = u32::try_from(told["pid"].as_u64().unwrap()).unwrap();
    assert_eq!((&told["at_ms"], &told["starts_there"]), (&Value::Null, &false.into()));
    desktop.arguments();
    let about = fs::read_to_string(format!("{}.about", desktop.told().display())).unwrap();
    let mut lines = about.lines();
    assert_eq!(lines.next().unwrap().trim(), pid.to_string(), "{about}");
    assert_eq!(Path::new(lines.next().unwrap()), sandbox.path(), "{about}");
    assert_eq!(lines.next().unwrap(), "/dev/null /dev/null /dev/null", "{about}");
    assert!(processes::signal(pid, "KILL"), "the player has ended");
}

#[test]
fn a_player_that_cannot_be_told_the_time_says_it_to_the_user() {
    let sandbox = Sandbox::new();
    let desktop = Desktop::new(&sandbox);
    let video = sandbox.videos().join("a.mp4");
    fs::write(&video, b"").unwrap();
    desktop.player("strange", "");
    desktop.default("strange", "strange %f");
    desktop
        .run([OsStr::new("open"), &joined(&video, "@1:02:03.4")])
        .expect(0)
        .says("My strange shows ~/films/a.mp4 from its beginning; seek to 1:02:03.4");
    assert_eq!(desktop.arguments(), [video.clone().into_os_string()]);
}

#[test]
fn what_cannot_be_opened_is_said_with_what_to_do() {
    let sandbox = Sandbox::new();
    let desktop = Desktop::new(&sandbox);
    let video = sandbox.video("a.mp4", &[("red", 1.0)]);
    let away = sandbox.path().join("stick/b.mp4");
    sandbox.video_at(&away, &[("green", 1.2)]);
    sandbox.configure(&format!("folders = [{:?}, {:?}]", sandbox.videos(), sandbox.path().join("stick")));
    let open = |file: &Path| desktop.run([OsStr::new("open"), file.as_os_str()]).expect(2);

    // A player that fails at once, one that cannot be started, none, no display, a bad choice.
    desktop.player("mpv", "exit 7");
    desktop.default("mpv", "mpv %f");
    // The command to start by hand is pasted into a shell.
    let odd = sandbox.videos().join("$(touch pwned) 'x'.mp4");
    fs::write(&odd, b"").unwrap();
    let said = open(&odd).stderr;
    let (_, by_hand) = said.trim_end().rsplit_once("start it by hand to see why: ").unwrap();
    let output = Command::new("bash")
        .args(["-c", &format!("printf '%s\\n' {by_hand}")])
        .current_dir(sandbox.path())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(words.lines().collect::<Vec<_>>()[1..], [odd.to_str().unwrap()], "{said}");
    assert!(!sandbox.path().join("pwned").is_file());
    fs::remove_file(&odd).unwrap();
    open(&video)
        .complains("My mpv ended at once")
        .complains("exit status: 7")
        .complains("start it by hand");
    fs::write(sandbox.path().join("bin/mpv"), "#!/no/such/interpreter\n").unwrap();
    open(&video).complains("cannot be started");
    fs::remove_file(sandbox.path().join("bin/mpv")).unwrap();
    let mut command = desktop.command();
    command.env("PATH", sandbox.path().join("bin"));
    Ran::from(&command.arg("open").arg(&video).output().unwrap())
        .expect(2)
        .complains("there is no player for ")
        .complains("install one such as mpv");
    let mut command = desktop.command();
    Ran::from(&command.env_remove("DISPLAY").arg("open").arg(&video).output().unwrap())
        .expect(2)
        .complains("there is no display")
        .complains("SCENED_PLAYER");
    let mut command = desktop.command();
    Ran::from(&command.env("SCENED_PLAYER", "gone --x").arg("open").arg(&video).output().unwrap())
        .expect(2)
        .complains("the program `gone`, named by SCENED_PLAYER, does not exist");

    // A file that never existed, with and without a daemon, and one on a drive that is offline.
    let never = sandbox.videos().join("never\u{1b}[2J.mp4");
    open(&never).complains("there is no file ").complains("never\\e[2J.mp4");
    let _daemon = sandbox.start();
    sandbox.settle();
    open(&never).complains("there is no file ");
    fs::rename(sandbox.path().join("stick"), sandbox.path().join("pulled")).unwrap();
    sandbox.say("rescan").expect(0);
    wait_until("the drive to be away", SOON, || match sandbox.counts() {
        [1, 0, 0, 1] => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // The drive may be identified a moment later.
    wait_until("its drive to be known", SOON, || {
        let why = sandbox.run([OsStr::new("why"), away.as_os_str()]).stdout;
        if why.contains("it is on ") { Ok(()) } else { Err(why) }
    });
    open(&away)
        .complains("b.mp4 is offline")
        .complains("it is on ")
        .complains("plug its drive in");
    desktop.run(["search", "green", "--open"]).expect(2).complains("b.mp4 is offline");
}

/// Reads a property of mpv over its socket.
fn ask(socket: &Path, property: &str) -> Result<Value, String> {
    let mut stream = UnixStream::connect(socket).map_err(|e| e.to_string())?;
    let question = format!("{{\"command\":[\"get_property\",\"{property}\"],\"request_id\":7}}\n");
    stream.write_all(question.as_bytes()).map_err(|e| e.to_string())?;
    // If a name is not UTF-8, mpv's answer is not UTF-8 either.
    for line in BufReader::new(stream).split(b'\n') {
        let line = line.map_err(|e| e.to_string())?;
        let answer: Value = serde_json::from_str(&String::from_utf8_lossy(&line)).map_err(|e| e.to_string())?;
        if answer["request_id"] == 7 {
            return if answer["error"] == "success" {
                Ok(answer["data"].clone())
            } else {
                Err(answer.to_string())
            };
        }
    }
    Err("it hung up".to_owned())
}

#[test]
fn a_real_mpv_starts_at_the_moment() {
    if Command::new("mpv").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("NOT RUN: mpv is not installed (apt-get install mpv), so no real player was tried");
        return;
    }
    let sandbox = Sandbox::new();
    let video = sandbox.video(
        OsStr::from_bytes(b"-odd %41 \xff\n.mp4"),
        &[("red", 3.0), ("green", 3.0), ("blue", 3.0)],
    );
    let socket = sandbox.path().join("mpv.sock");
    let desktop = Desktop::new(&sandbox);
    let player = format!(
        "mpv --no-config --vo=null --ao=null --pause --keep-open=yes --input-ipc-server={}",
        socket.display()
    );
    desktop.default("mpv", &format!("{player} -- %U"));
    let mut opened: Vec<u32> = Vec::new();
    let mut check = |variable: Option<&str>, time: &str, expected: f64| {
        let mut command = desktop.command();
        if let Some(variable) = variable {
            command.env("SCENED_PLAYER", variable);
        }
        let output = command.arg("open").arg(joined(&video, time)).arg("--json").output().unwrap();
        let told: Value = serde_json::from_str(&Ran::from(&output).expect(0).stdout).unwrap();
        let pid = u32::try_from(told["pid"].as_u64().unwrap()).unwrap();
        opened.push(pid);
        let position = wait_until("mpv to have the video open", SOON, || {
            let paused_at = ask(&socket, "time-pos")?.as_f64().ok_or("it has no position")?;
            // Before the seek is done, mpv reports the position of the start.
            if ask(&socket, "seeking")? == false && ask(&socket, "core-idle")? == true {
                Ok(paused_at)
            } else {
                Err("busy".to_owned())
            }
        });
        assert!((position - expected).abs() < 0.1, "{position} is not {expected}: {told}");
        let path = ask(&socket, "filename").unwrap();
        assert!(path.as_str().unwrap().starts_with("-odd %41 "), "{path}");
        assert!(processes::signal(pid, "KILL"));
        wait_until("mpv to end", SOON, || {
            if ask(&socket, "pid").is_err() {
                Ok(())
            } else {
                Err("it answers".to_owned())
            }
        });
        fs::remove_file(&socket).unwrap();
    };
    check(None, "@4.52", 4.52);
    check(None, "@0:07", 7.0);
    check(Some(&player), "@5.2", 5.2);
    check(Some(&format!("{player} --start={{seconds}} -- {{file}}")), "@1.6", 1.6);
    check(None, "", 0.0);
}

#[test]
fn what_is_no_file_is_told_by_every_verb_and_nothing_waits_for_it() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let videos = sandbox.videos();
    let at = |name: &str| videos.join(name);
    assert!(Command::new("mkfifo").arg(at("pipe.mp4")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.mp4")).unwrap();
    fs::create_dir(at("folder.mp4")).unwrap();
    std::os::unix::fs::symlink("pipe.mp4", at("link.mp4")).unwrap();
    let desktop = Desktop::new(&sandbox);
    desktop.player("mpv", "");
    desktop.default("mpv", "mpv %U");
    let out = sandbox.path().join("out.mp4");
    for (name, what) in [
        ("pipe.mp4", "a named pipe"),
        ("link.mp4", "a named pipe"),
        ("socket.mp4", "a socket"),
        ("folder.mp4", "a folder"),
        ("/dev/zero", "a device"),
    ] {
        let video = at(name);
        for verb in ["open", "similar", "scenes", "sheet"] {
            desktop.run([OsStr::new(verb), video.as_os_str()]).expect(2).complains(what);
        }
        let timed = joined(&video, "@1");
        desktop.run([OsStr::new("open"), &timed]).expect(2).complains(what);
        let stretch = joined(&video, "@1-2");
        let ran = desktop
            .run([OsStr::new("export"), &stretch, OsStr::new("-o"), out.as_os_str()])
            .expect(2);
        ran.complains(what);
        let png = sandbox.path().join("out.png");
        sandbox
            .run_daemon([OsStr::new("thumbnail"), video.as_os_str(), png.as_os_str()])
            .expect(2);
        sandbox.run_daemon([OsStr::new("inspect"), video.as_os_str()]).expect(2);
    }
    assert!(!desktop.told().is_file(), "no player was started");
}

#[test]
fn a_file_of_that_very_name_is_what_is_meant() {
    let sandbox = Sandbox::new();
    let video = sandbox.video("a.mp4", &[("red", 2.0)]);
    let named = sandbox.videos().join("a.mp4@1.5");
    fs::copy(&video, &named).unwrap();
    let desktop = Desktop::new(&sandbox);
    desktop.player("mpv", "");
    for (word, meant) in [(named.clone().into_os_string(), &named), (joined(&video, "@1.50"), &video)] {
        let output = desktop
            .command()
            .env("SCENED_PLAYER", "mpv")
            .arg("open")
            .arg(&word)
            .output()
            .unwrap();
        Ran::from(&output).expect(0);
        let last = desktop.arguments().pop().unwrap().into_string().unwrap();
        let opened = crate::percent_decoded(&last);
        assert!(opened.ends_with(meant.as_os_str().as_bytes()), "{last} for {}", word.display());
    }
}
