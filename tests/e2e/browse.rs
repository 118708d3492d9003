//! `browse` in a real tmux, driven by keys.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::{Ran, Sandbox, processes, program, wait_until};

use crate::SOON;

fn has_tmux() -> bool {
    let found = Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("NOT RUN: tmux is not installed (apt-get install tmux), so nobody pressed the finder's keys");
    }
    found
}

/// A private tmux with a shell in it.
struct Tmux<'a> {
    sandbox: &'a Sandbox,
    socket: PathBuf,
}

impl<'a> Tmux<'a> {
    fn start(sandbox: &'a Sandbox) -> Self {
        let socket = sandbox.path().join("tmux.sock");
        let tmux = Self { sandbox, socket };
        let player = sandbox.path().join("player");
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >>'{}/played'\n", sandbox.path().display());
        fs::write(&player, script).unwrap();
        fs::set_permissions(&player, fs::Permissions::from_mode(0o755)).unwrap();
        // The sandbox's variables, for commands that are typed into the shell.
        let mut command = sandbox.command("scenectl");
        let environment: Vec<_> = command
            .get_envs()
            .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
            .collect();
        command = Command::new("tmux");
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .env("SCENED_PLAYER", format!("{} --at {{seconds}} {{file}}", player.display()))
            .env("COLORTERM", "truecolor")
            .env("LC_ALL", "C.UTF-8")
            // A panic's message has to fit on the screen.
            .env("RUST_BACKTRACE", "0")
            .env_remove("TMUX")
            .env_remove("SCENED_PICTURES")
            .env_remove("ENV");
        command
            .arg("-u")
            .arg("-S")
            .arg(&tmux.socket)
            .args(["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "sh"]);
        Ran::from(&command.output().unwrap()).expect(0);
        tmux.run(&["set-option", "-g", "set-clipboard", "on"]);
        tmux.run(&["set-option", "-g", "history-limit", "100"]);
        tmux.until("a shell", |screen| screen.contains(['#', '$']));
        tmux
    }

    fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new("tmux");
        let ran = Ran::from(&command.arg("-S").arg(&self.socket).args(words).env_remove("TMUX").output().unwrap());
        ran.expect(0).stdout
    }

    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    #[track_caller]
    fn until(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        wait_until(what, SOON, || {
            let screen = self.screen();
            if is_there(&screen) {
                Ok(screen)
            } else {
                Err(format!("\n{screen}"))
            }
        })
    }

    fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    fn types(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
    }

    /// Starts the finder from the shell.
    fn browse(&self, words: &str) {
        self.browse_with("", words);
    }

    /// Starts the finder with environment variables.
    fn browse_with(&self, variables: &str, words: &str) {
        let ctl = program("scenectl");
        self.types(&format!("{variables} {} browse {words}; echo left with $?", ctl.display()));
        self.keys(&["Enter"]);
        self.until("the finder", |screen| screen.starts_with('>'));
    }

    /// Waits until the shell has the terminal back in its earlier state: it echoes, and line ends work.
    #[track_caller]
    fn until_left(&self, status: i32) -> String {
        let said = self.until("the shell", |screen| {
            screen.contains(&format!("left with {status}")) && !screen.starts_with("> ")
        });
        self.types("stty -a | tr ';' ' ' | grep -cE '(^| )-(echo|icanon|opost|isig)( |$)'; echo checked");
        self.keys(&["Enter"]);
        self.until("a terminal as it was", |screen| screen.contains("\n0\nchecked"));
        self.types("clear");
        self.keys(&["Enter"]);
        self.until("an empty screen", |screen| !screen.contains("checked"));
        said
    }

    fn finder_pid(&self) -> u32 {
        let shell: u32 = self.run(&["display-message", "-p", "#{pane_pid}"]).trim().parse().unwrap();
        let found = processes::children(shell)
            .into_iter()
            .find(|child| child.arguments.iter().any(|word| word == "browse"));
        found.expect("the finder runs in the shell").pid
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        // tmux ends with its last shell, but a test that fails leaves the shell running.
        drop(command.arg("-S").arg(&self.socket).arg("kill-server").env_remove("TMUX").output());
        drop(fs::remove_file(self.sandbox.path().join("player")));
    }
}

fn has_picture(screen: &str) -> bool {
    screen.matches('▀').count() > 40
}

#[test]
fn what_is_marked_as_right_becomes_a_file_for_eval() {
    if !has_tmux() {
        return;
    }
    let sandbox = Sandbox::new();
    let video = sandbox.video("two.mp4", &[("red", 2.0), ("green", 2.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let tmux = Tmux::start(&sandbox);
    let file = sandbox.path().join("queries.tsv");
    tmux.types(&format!(
        "{} eval --record {}; echo left with $?",
        program("scenectl").display(),
        file.display()
    ));
    tmux.keys(&["Enter"]);
    tmux.until("the finder", |screen| screen.starts_with('>'));
    tmux.types("a red background");
    tmux.until("hits", |screen| screen.contains("2 hits") && has_picture(screen));
    tmux.keys(&["Tab"]);
    tmux.until("a mark", |screen| screen.contains("1 marked"));
    tmux.keys(&["C-u"]);
    tmux.types("a green background");
    tmux.until("hits of another query", |screen| screen.contains("2 hits  1 marked"));
    tmux.keys(&["Escape"]);
    tmux.until_left(0);
    let expected = format!(
        "query\tfile\tfrom\tto\na red background\t{}\t0:00:00.0\t0:00:02.0\n",
        video.display()
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    let report = sandbox.ctl_json(["eval", file.to_str().unwrap()]);
    assert_eq!(report["r1"]["value"], 1.0, "{report}");
}

#[test]
fn scenes_are_found_as_one_types_opened_copied_marked_and_printed() {
    if !has_tmux() {
        return;
    }
    let sandbox = Sandbox::new();
    let video = sandbox.video("two.mp4", &[("red", 2.0), ("green", 2.0)]);
    let other = sandbox.video("sub/-odd \u{1b}[2J'$(x).mp4", &[("blue", 2.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let tmux = Tmux::start(&sandbox);
    tmux.browse("");
    tmux.types("a red background");
    let red = tmux.until("red first, with its picture", |screen| {
        screen.contains("3 hits") && screen.contains(" 1 ") && has_picture(screen)
    });
    assert!(red.contains("two.mp4") && red.contains("\\e[2J'$(x).mp4"), "{red}");
    // Another query gives other hits: the blue one is first now.
    tmux.keys(&["C-u"]);
    tmux.types("a blue background");
    let first_is_odd = |screen: &str| screen.lines().nth(2).is_some_and(|line| line.contains("'$(x).mp4"));
    tmux.until("blue first", first_is_odd);

    // Enter plays the hit, and ^Y copies its path unchanged. The bottom line reports both.
    tmux.keys(&["Enter"]);
    let played = wait_until("the player", SOON, || {
        fs::read_to_string(sandbox.path().join("played")).map_err(|e| e.to_string())
    });
    assert!(played.starts_with("--at\n0.") || played.starts_with("--at\n1."), "{played}");
    assert!(played.ends_with(&format!("{}\n", other.display())), "{played}");
    tmux.until("what was opened", |screen| screen.contains("player shows"));
    tmux.keys(&["C-y"]);
    tmux.until("what was copied", |screen| screen.contains("sent to the clipboard"));
    let copied = wait_until("tmux to have it", SOON, || {
        let buffer = tmux.run(&["show-buffer"]);
        if buffer.is_empty() { Err(buffer) } else { Ok(buffer) }
    });
    assert_eq!(Path::new(copied.trim_end_matches('\n')), other);

    // Marks survive another query. With the filter only a folder's videos remain.
    tmux.keys(&["Tab"]);
    tmux.keys(&["C-f"]);
    tmux.types("~/films/sub");
    tmux.keys(&["Enter"]);
    tmux.until("one hit in the folder", |screen| {
        screen.contains("1 hit  1 marked") && first_is_odd(screen)
    });
    tmux.keys(&["C-f", "C-u", "Enter", "C-u"]);
    tmux.types("green");
    tmux.until("three again", |screen| screen.contains("3 hits  1 marked"));
    tmux.keys(&["Tab"]);
    tmux.until("two marks", |screen| screen.contains("3 hits  2 marked"));
    exports(&tmux, &video);
    tmux.keys(&["Escape"]);
    let said = tmux.until_left(0);
    assert!(said.contains("films/two.mp4") && said.contains("-odd \\e[2J'$(x).mp4"), "{said}");

    // The output is the selection and nothing else, even if it goes to a file.
    let out = sandbox.path().join("out");
    let printed = |flags: &str, keys: &[&str], status: i32| {
        drop(fs::remove_file(&out));
        tmux.browse(&format!("a green background {flags} >{}", out.display()));
        tmux.until("an answer", |screen| screen.contains("3 hits") && has_picture(screen));
        tmux.keys(keys);
        tmux.until_left(status);
        fs::read(&out).unwrap()
    };
    let hits = sandbox.search("a green background");
    let best_ms = hits[0]["best_ms"].as_u64().unwrap();
    let moment = format!("{}@{}.{:03}", video.display(), best_ms / 1000, best_ms % 1000);
    assert_eq!(printed("", &["C-o"], 0), format!("{moment}\n").into_bytes());
    let path = video.to_str().unwrap();
    assert_eq!(printed("-0", &["Tab", "Escape"], 0), format!("{path}\0").into_bytes());
    assert_eq!(printed("", &["Tab", "C-c"], 1), b"");
    assert_eq!(printed("", &["Escape"], 0), b"");
    let json: Value = serde_json::from_slice(&printed("--json", &["Tab", "Escape"], 0)).unwrap();
    assert_eq!(
        (&json["marked"][0]["scene"], json["marked"].as_array().unwrap().len()),
        (&hits[0]["scene"], 1)
    );
    // Its output is valid input for the other verbs.
    sandbox.run(["similar", &moment]).expect(0);
}

/// Exports two marked hits, the second of which is in `video`. The marks remain.
fn exports(tmux: &Tmux<'_>, video: &Path) {
    let home = tmux.sandbox.path();
    let export = |keys: &[&str], name: &str| {
        tmux.keys(&["C-e"]);
        tmux.until("to be asked for a name", |screen| {
            screen.contains("2 hits (") && screen.contains("Tab) to")
        });
        tmux.keys(&[&["C-u"], keys].concat());
        tmux.types(name);
        tmux.keys(&["Enter"]);
    };
    // A video, cut at the frame: the blue scene of the oddly named video and the green one of the other.
    export(&["Tab"], "~/both.mp4");
    let said = tmux.until("a video", |screen| screen.contains("wrote ~/both.mp4: 2 clips, 0:00:0"));
    assert!(!said.contains(" % of "), "{said}");
    let shown = crate::lists::colours(&["-i"], &home.join("both.mp4"));
    let first = shown.iter().position(|colour| *colour != "blue");
    assert_eq!((first, shown.len(), shown[99]), (Some(50), 100, "green"), "{shown:?}");
    // The name is kept for the next time, an existing file is not replaced, and typing a name does not start a query.
    tmux.keys(&["C-e"]);
    tmux.until("the name of before", |screen| {
        screen.contains("2 hits (cut at the frame, Tab) to ~/both.mp4")
    });
    tmux.keys(&["Enter"]);
    let said = tmux.until("a refusal", |screen| screen.contains("exists already; give another name"));
    assert!(!said.contains("--force"), "there are no flags here: {said}");
    for (name, found) in [
        ("~/hits.m3u8", "wrote ~/hits.m3u8: 2 scenes"),
        ("~/hits.html", "wrote ~/hits.html: 2 scenes"),
        ("~/hits.edl", "wrote ~/hits.edl: 2 scenes"),
        ("~/hits.jpeg", "hits.jpeg is not supported"),
        ("~/none/hits.mkv", "there is no folder"),
    ] {
        export(&[], name);
        let said = tmux.until(found, |screen| screen.replace('\n', "").contains(found));
        assert!(!said.contains('\u{1b}'), "{said}");
    }
    let list = fs::read_to_string(home.join("hits.m3u8")).unwrap();
    assert!(list.contains("/-odd%20%1B%5B2J%27%24%28x%29.mp4\n"), "{list}");
    // Esc and ^C leave the name and not the finder; no query starts meanwhile.
    for key in ["Escape", "C-c"] {
        tmux.keys(&["C-e", key]);
        tmux.until("the list again", |screen| {
            screen.starts_with("> green\nin anywhere\n") && screen.contains("3 hits  2 marked")
        });
    }
    // A video that is gone.
    let away = home.join("away.mp4");
    fs::rename(video, &away).unwrap();
    export(&[], "~/gone.mp4");
    tmux.until("that it is gone", |screen| {
        let said = screen.replace('\n', "");
        said.contains("two.mp4 is gone") || said.contains("two.mp4 is not there")
    });
    fs::rename(&away, video).unwrap();
    tmux.sandbox.settle();
    assert!(!home.join("gone.mp4").is_file());
}

/// Checks that ^C, or a signal that ends the finder, ends a slow ffmpeg too, and that no draft is left.
fn stops_exporting(tmux: &Tmux<'_>) {
    let home = tmux.sandbox.path();
    let (folder, programs) = (home.join("out"), home.join("programs"));
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(&programs).unwrap();
    fs::write(programs.join("ffmpeg"), "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(programs.join("ffmpeg"), fs::Permissions::from_mode(0o755)).unwrap();
    let begin = || {
        tmux.keys(&["C-e", "C-u"]);
        tmux.types("~/out/x.mp4");
        tmux.keys(&["Enter"]);
        tmux.until("an export", |screen| screen.contains("0 % of ~/out/x.mp4  ^C stops it"));
        wait_until("ffmpeg to run", SOON, || {
            let children = processes::children(tmux.finder_pid());
            let ffmpeg = children.iter().find(|child| child.arguments.iter().any(|word| word == "600"));
            ffmpeg.map(|child| child.pid).ok_or_else(|| format!("{children:?}"))
        })
    };
    let is_stopped = |ffmpeg: u32| {
        wait_until("ffmpeg to be gone", SOON, || {
            if processes::is_alive(ffmpeg) { Err("it runs") } else { Ok(()) }.map_err(str::to_owned)
        });
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "a draft was left");
    };
    tmux.browse_with(&format!("PATH={}:$PATH", programs.display()), "green");
    tmux.until("an answer", |screen| screen.contains("2 hits"));
    let ffmpeg = begin();
    tmux.keys(&["Escape"]);
    tmux.until("to be told", |screen| screen.contains("an export is running"));
    tmux.keys(&["C-c"]);
    tmux.until("an end of it", |screen| screen.contains("interrupted; nothing was written"));
    is_stopped(ffmpeg);
    let ffmpeg = begin();
    assert!(processes::signal(tmux.finder_pid(), "TERM"));
    tmux.until_left(1);
    is_stopped(ffmpeg);
}

#[test]
fn small_windows_signals_and_a_daemon_that_goes_leave_the_terminal_whole() {
    if !has_tmux() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.video("two.mp4", &[("red", 2.0), ("green", 2.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let tmux = Tmux::start(&sandbox);
    tmux.browse("red");
    tmux.until("a picture", has_picture);
    for (columns, rows) in [("20", "5"), ("2", "1"), ("61", "11"), ("200", "50")] {
        tmux.run(&["resize-window", "-x", columns, "-y", rows]);
        tmux.keys(&["Down", "Up"]);
    }
    tmux.run(&["resize-window", "-x", "20", "-y", "5"]);
    tmux.until("what fits", |screen| {
        screen
            .lines()
            .nth(2)
            .is_some_and(|line| line.starts_with("  1 ") && line.chars().count() <= 20)
    });
    tmux.run(&["resize-window", "-x", "80", "-y", "24"]);
    tmux.until("pictures again", |screen| has_picture(screen) && screen.contains("Enter open"));

    // The daemon ends and comes back. A query typed meanwhile is answered then, without another key.
    daemon.kill();
    tmux.keys(&["C-u"]);
    tmux.types("green");
    tmux.until("that it is gone", |screen| {
        screen.contains("the daemon cannot be reached") || screen.contains("ended before it answered")
    });
    let daemon = sandbox.start();
    tmux.until("an answer", |screen| {
        screen.starts_with("> green\n") && screen.contains("2 hits") && screen.contains("Enter open")
    });

    // However the finder ends, the shell gets the terminal back.
    assert!(processes::signal(tmux.finder_pid(), "TERM"));
    tmux.until_left(1);
    stops_exporting(&tmux);
    for (point, key, status) in [("browse-copy", "C-y", 101), ("browse-open", "Enter", 2)] {
        tmux.browse_with(&format!("SCENED_FAIL_POINT={point}=panic"), "green");
        tmux.until("an answer", |screen| screen.contains("2 hits"));
        tmux.keys(&[key]);
        let said = tmux.until_left(status);
        // The message is complete, on the screen that remains.
        assert!(said.replace('\n', "").contains(&format!("fail point {point}")), "{said}");
    }
    tmux.browse("green");
    tmux.keys(&["C-c"]);
    tmux.until_left(1);
    daemon.stop();
    let ctl = program("scenectl");
    tmux.types(&format!("{} browse; echo left with $?", ctl.display()));
    tmux.keys(&["Enter"]);
    let said = tmux.until_left(3);
    assert!(said.contains("systemctl --user start scened"), "{said}");
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let mut command = Command::new("setsid");
    let ctl = sandbox.command("scenectl");
    for (name, value) in ctl.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command
        .arg("--wait")
        .arg(ctl.get_program())
        .args(["browse", "red"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran::from(&output)
        .expect(2)
        .complains("browse needs a terminal")
        .complains("scenectl search");
}
