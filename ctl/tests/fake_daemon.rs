//! The real `scenectl` against a fake daemon of a few lines in this file, over a real socket.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use scened_shared::frame::{self, Request, RpcError};
use scened_shared::hello;
use scened_shared::message::ErrorKind;
use serde_json::{Value, json};
use tempfile::TempDir;

type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// Answers for as long as the test runs, and records every request.
struct Daemon {
    folder: TempDir,
    asked: Asked,
}

struct Ran {
    status: i32,
    stdout: Vec<u8>,
    stderr: String,
}

impl Ran {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.stdout)))
    }
}

#[track_caller]
fn check(ran: &Ran, status: i32, stdout: &str, stderr_has: &str) {
    assert_eq!((ran.status, ran.text()), (status, stdout), "{}", ran.stderr);
    assert!(ran.stderr.contains(stderr_has), "{:?} is not in {:?}", stderr_has, ran.stderr);
}

fn private_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

fn scenectl(socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scenectl"));
    command
        .arg("--socket")
        .arg(socket)
        .env("HOME", "/home/u")
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    for variable in [
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "SCENED_SOCKET",
        "SCENED_DATA_DIR",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
    ] {
        command.env_remove(variable);
    }
    command
}

fn run(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        status: output.status.code().unwrap_or_else(|| panic!("killed: {:?}", output.status)),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Daemon {
    /// Answers `hello` itself, and every other request with the result of `answer`.
    fn start(answer: impl Fn(&str) -> Result<Value, RpcError> + Send + Sync + 'static) -> Self {
        let asked: Asked = Arc::default();
        let log = Arc::clone(&asked);
        Self::speaking(asked, move |stream, request| {
            let outcome = if request.method == "hello" {
                Ok(serde_json::to_value(hello::welcome(env!("CARGO_PKG_VERSION"))).unwrap())
            } else {
                log.lock().unwrap().push((request.method.clone(), request.params.clone()));
                answer(&request.method)
            };
            stream.write_all(&frame::encode_response(&request.id, &outcome)).is_ok()
        })
    }

    /// Answers only one method.
    fn with(method: &'static str, answer: Value) -> Self {
        Self::start(move |asked| {
            if asked == method {
                Ok(answer.clone())
            } else {
                Err(RpcError::new(ErrorKind::UnknownMethod, format!("no method {asked}")))
            }
        })
    }

    /// Passes every request to `speak`, which returns whether the connection continues.
    fn speaking(asked: Asked, speak: impl Fn(&mut UnixStream, &Request) -> bool + Send + Sync + 'static) -> Self {
        let folder = private_folder();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let speak = Arc::new(speak);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut writer, speak) = (stream.unwrap(), Arc::clone(&speak));
                std::thread::spawn(move || {
                    for line in BufReader::new(writer.try_clone().unwrap()).split(b'\n') {
                        let Ok(line) = line else { return };
                        if !speak(&mut writer, &frame::parse_request(&line).unwrap()) {
                            return;
                        }
                    }
                });
            }
        });
        Self { folder, asked }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    fn run(&self, words: &[&str]) -> Ran {
        let mut command = scenectl(&self.socket());
        command.args(words);
        run(command)
    }

    /// Returns method and parameters of the only request.
    fn asked(&self) -> (String, Value) {
        let mut asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }
}

fn coverage() -> Value {
    json!({"indexed": 97, "pending": 2, "failed": 0, "offline": 1})
}

fn hit(path: &str, start_ms: u64) -> Value {
    json!({"path": path, "start_ms": start_ms, "end_ms": start_ms + 7000, "best_ms": start_ms, "score": 0.27,
           "video": "v", "scene": "v/1", "offline": false, "duration_ms": 600_000})
}

fn found(hits: &[Value]) -> Value {
    json!({"query": "a dog", "model": "starter", "hits": hits, "coverage": coverage(), "notices": ["the starter model is in use"]})
}

fn status() -> Value {
    json!({"videos": coverage(), "scenes": 1234, "model": "starter", "provider": "cpu", "state": "indexing",
           "warnings": ["watching 5 of 6 folders"], "notices": [], "queue": {"walks": 0, "settling": 1, "jobs": 2},
           "progress": {"current": [{"path": "/home/u/b.mp4", "position_ms": 5000, "duration_ms": 10000}], "rate": 12.5, "left_ms": 60000},
           "folders": [{"path": "/home/u/Videos", "state": "watched", "videos": coverage()}],
           "version": "0.1.0", "pid": 1, "uptime_ms": 45000, "n_incidents": 1})
}

#[test]
fn hits_are_a_table_and_what_is_to_be_known_of_them_goes_beside() {
    let mut second = hit("/mnt/\u{1b}[31mred.mp4", 41_000);
    second["confidence"] = json!(0.9351);
    second["offline"] = json!(true);
    let daemon = Daemon::with("search", found(&[hit("/home/u/Videos/holiday.mp4", 192_000), second]));
    let ran = daemon.run(&["search", "a", "dog"]);
    let expected = "1  0.27  ~/Videos/holiday.mp4  0:03:12 – 0:03:19\n\
                    2  0.94  /mnt/\\e[31mred.mp4    0:00:41 – 0:00:48  offline\n";
    check(
        &ran,
        0,
        expected,
        "2 videos pending, 1 offline\nnote: the starter model is in use\n",
    );
    assert_eq!(
        daemon.asked(),
        ("search".to_owned(), json!({"query": "a dog", "n": 10, "by": "scene"}))
    );
}

#[test]
fn every_flag_of_search_reaches_the_daemon() {
    let daemon = Daemon::with("search", found(&[]));
    let folder = private_folder();
    let real = folder.path().canonicalize().unwrap();
    std::os::unix::fs::symlink(&real, folder.path().join("link")).unwrap();
    let mut command = scenectl(&daemon.socket());
    command.current_dir(&real).env("TZ", "UTC").args([
        "search",
        "dog",
        "-n",
        "3",
        "--in",
        "link",
        "--in",
        "gone/x",
        "--not",
        "cat",
        "--since",
        "2024",
        "--until",
        "2024-01",
        "--min-duration",
        "90s",
        "--max-duration",
        "1:00:00",
        "--by",
        "video",
        "--min-confidence",
        "0.5",
    ]);
    let ran = run(command);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let expected = json!({
        "query": "dog", "n": 3, "not": ["cat"], "by": "video", "min_confidence": 0.5,
        "in": [{"path": real}, {"path": real.join("gone/x")}],
        "since_ms": 1_704_067_200_000_i64, "until_ms": 1_706_745_600_000_i64,
        "min_duration_ms": 90_000, "max_duration_ms": 3_600_000,
    });
    assert_eq!(daemon.asked(), ("search".to_owned(), expected));
}

#[test]
fn nothing_found_is_exit_status_1() {
    let daemon = Daemon::with("search", found(&[]));
    check(
        &daemon.run(&["search", "x"]),
        1,
        "",
        "nothing found in 97 indexed videos, 2 videos pending, 1 offline",
    );
    let ran = daemon.run(&["search", "x", "--json"]);
    assert_eq!((ran.status, ran.json()), (1, found(&[])));
}

#[test]
fn json_is_the_answer_to_the_letter_and_commands_no_terminal() {
    let answer = found(&[hit("/mnt/\u{9b}2J\u{202e}\u{1b}.mp4", 0)]);
    let daemon = Daemon::with("search", answer.clone());
    let ran = daemon.run(&["search", "x", "--json"]);
    assert_eq!((ran.status, ran.json(), ran.stderr.as_str()), (0, answer, ""));
    assert!(ran.text().contains(r"/mnt/\u009b2J\u202e\u001b.mp4"), "{}", ran.text());
    assert!(ran.text().contains("\"score\":0.27,"), "{}", ran.text());
}

#[test]
fn paths_are_bare_bytes_each_once() {
    let mut odd = hit("lossy", 0);
    odd["path_bytes"] = json!("L2NhZukKLm1wNA==");
    let daemon = Daemon::with("search", found(&[hit("/a b.mp4", 0), odd, hit("/a b.mp4", 9000)]));
    let ran = daemon.run(&["search", "x", "--paths"]);
    assert_eq!((ran.status, &ran.stdout[..]), (0, &b"/a b.mp4\n/caf\xe9\n.mp4\n"[..]));
    let ran = daemon.run(&["search", "x", "-0"]);
    assert_eq!((ran.status, &ran.stdout[..]), (0, &b"/a b.mp4\0/caf\xe9\n.mp4\0"[..]));
}

#[test]
fn similar_takes_a_moment_and_file_names_with_an_at_sign() {
    let folder = private_folder();
    let real = folder.path().canonicalize().unwrap();
    std::fs::write(real.join("me@5"), "").unwrap();
    for (word, path, at_ms) in [
        ("film.mp4@1:30", "film.mp4", Some(90_000)),
        ("me@5", "me@5", None),
        ("me@5@7", "me@5", Some(7000)),
    ] {
        let daemon = Daemon::with("similar", found(&[hit("/a.mp4", 0)]));
        let mut command = scenectl(&daemon.socket());
        command.current_dir(&real).args(["similar", word]);
        assert_eq!(run(command).status, 0);
        let (_, params) = daemon.asked();
        assert_eq!(
            (&params["path"], params.get("at_ms").and_then(Value::as_u64)),
            (&json!(real.join(path)), at_ms),
            "{word}"
        );
    }
}

#[test]
fn a_path_that_is_not_utf8_travels_as_bytes() {
    let daemon = Daemon::with("why", json!({"path": "/x", "state": "missing", "reasons": ["it is not there"]}));
    let mut command = scenectl(&daemon.socket());
    command
        .arg("why")
        .arg(std::ffi::OsStr::from_bytes(b"/caf\xe9.mp4"))
        .args(["a", "dog"]);
    check(&run(command), 0, "/x: missing\n  it is not there\n", "");
    assert_eq!(
        daemon.asked().1,
        json!({"path": "/caf\u{fffd}.mp4", "path_bytes": "L2NhZukubXA0", "query": "a dog"})
    );
}

#[test]
fn without_a_daemon_the_exit_status_is_3_and_it_says_how_to_start_one() {
    let folder = private_folder();
    let ran = |words: &[&str]| {
        let mut command = scenectl(&folder.path().join("s"));
        command.args(words);
        run(command)
    };
    for words in [
        &["search", "x"][..],
        &["status"],
        &["status", "--watch"],
        &["wait"],
        &["add", "/"],
        &["search", "x", "--json"],
    ] {
        check(
            &ran(words),
            3,
            "",
            "  because: there is no socket\nhint: start it with `systemctl --user start scened`",
        );
    }
    drop(UnixListener::bind(folder.path().join("s")).unwrap());
    check(&ran(&["status"]), 3, "", "nothing listens there");
}

#[test]
fn another_protocol_is_exit_status_4() {
    let daemon = Daemon::speaking(Asked::default(), |stream, request| {
        let error = RpcError::new(ErrorKind::ProtocolMismatch, "other").protocol(9);
        stream.write_all(&frame::encode_error(Some(&request.id), &error)).unwrap();
        false
    });
    check(&daemon.run(&["search", "x"]), 4, "", "error: the daemon speaks protocol 9");
}

#[test]
fn an_error_is_message_causes_hint_and_exit_status_2() {
    let daemon = Daemon::start(|_| {
        Err(RpcError::new(ErrorKind::InvalidParams, "the query is empty")
            .cause("0 words")
            .hint("say what is to be seen"))
    });
    let expected = "error: the query is empty\n  because: 0 words\nhint: say what is to be seen\n";
    let ran = daemon.run(&["search", ""]);
    assert_eq!((ran.status, ran.stderr.as_str()), (2, expected));
    let long = "x".repeat(100_000);
    assert_eq!(daemon.run(&["search", &long]).status, 2);
    assert_eq!(daemon.asked.lock().unwrap()[1].1["query"].as_str().map(str::len), Some(100_000));
}

#[test]
fn garbage_is_exit_status_2() {
    let daemon = Daemon::speaking(Asked::default(), |stream, _| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        false
    });
    check(
        &daemon.run(&["search", "x"]),
        2,
        "",
        "the daemon's answer to `hello` cannot be understood",
    );
}

#[test]
fn an_endless_answer_is_exit_status_2() {
    let daemon = Daemon::speaking(Asked::default(), |stream, _| {
        let piece = vec![b' '; 1 << 20];
        while stream.write_all(&piece).is_ok() {}
        false
    });
    check(&daemon.run(&["search", "x"]), 2, "", "a line has more than 67108864 bytes");
}

#[test]
fn a_daemon_that_ends_before_it_answers_is_exit_status_3() {
    let at_once = Daemon::speaking(Asked::default(), |stream, _| stream.shutdown(Shutdown::Both).is_err());
    check(&at_once.run(&["search", "x"]), 3, "", "it closed the connection");
    let later = Daemon::speaking(Asked::default(), |stream, request| {
        if request.method == "hello" {
            return stream
                .write_all(&frame::encode_response(&request.id, &Ok(hello::welcome("0.1.0"))))
                .is_ok();
        }
        stream.shutdown(Shutdown::Both).is_err()
    });
    check(
        &later.run(&["search", "x"]),
        3,
        "",
        "the connection to the daemon ended before it answered `search`",
    );
}

#[test]
fn a_socket_path_that_is_too_long_says_so() {
    let mut command = scenectl(Path::new(&format!("/{}", "s".repeat(200))));
    command.arg("status");
    check(
        &run(command),
        2,
        "",
        "has 201 bytes; the system allows 107\nhint: give a shorter one",
    );
}

#[test]
fn usage_is_exit_status_2_and_help_is_0() {
    let ran = |words: &[&str]| {
        let mut command = scenectl(Path::new("/s"));
        command.args(words);
        run(command)
    };
    assert_eq!(ran(&["dance"]).status, 2);
    assert_eq!(ran(&["search"]).status, 2);
    assert_eq!(ran(&["search", "x", "--since", "soon"]).status, 2);
    check(&ran(&["search", "--help"]), 0, ran(&["search", "--help"]).text(), "");
    assert!(ran(&["--version"]).text().starts_with("scenectl 0."));
    check(&ran(&["model", "install", "clip"]), 2, "", "hint: known are clip-vit-b32, ");
}

#[test]
fn status_is_text_or_json() {
    let daemon = Daemon::with("status", status());
    let expected = "\
state   indexing, 12.5× real time, about 60 s left
videos  97 indexed, 2 pending, 1 offline
scenes  1,234
model   starter, on cpu
queue   1 settling file, 2 jobs
now     ~/b.mp4  0:00:05 of 0:00:10
daemon  scened 0.1.0, up 45 s

~/Videos  watched  97 indexed, 2 pending, 1 offline
1 file could not be indexed: `scenectl incidents` lists them
warning: watching 5 of 6 folders
";
    check(&daemon.run(&["status"]), 0, expected, "");
    assert_eq!(daemon.run(&["--json", "status"]).json(), status());
}

#[test]
fn a_watched_status_is_one_object_a_line_until_the_daemon_ends() {
    let daemon = Daemon::speaking(Asked::default(), |stream, request| {
        if request.method == "hello" {
            return stream
                .write_all(&frame::encode_response(&request.id, &Ok(hello::welcome("0.1.0"))))
                .is_ok();
        }
        assert_eq!(request.method, "subscribe");
        let lines = [
            frame::encode_response(&request.id, &Ok(status())),
            frame::encode_notification("event", &json!({"event": "video_indexed", "path": "/home/u/b.mp4", "n_scenes": 3})),
            frame::encode_notification("event", &json!({"event": "status", "status": status()})),
        ];
        stream.write_all(&lines.concat()).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
        false
    });
    let ran = daemon.run(&["status", "--watch", "--json"]);
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    let lines: Vec<Value> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [status(), status()]);
    let ran = daemon.run(&["status", "--watch"]);
    let news = "indexed ~/b.mp4 (3 scenes)\nindexing, 12.5× real time, about 60 s left: 97 indexed, 2 pending, 1 offline\n";
    assert!(ran.text().ends_with(news), "{}", ran.text());
}

#[test]
fn waiting_ends_with_0_when_idle_and_1_when_the_time_is_up() {
    for (idle, jobs, exit, line) in [
        (true, 0, 0, "idle: 97 indexed, 2 pending, 1 offline\n"),
        (false, 3, 1, "still busy, 3 tasks left: 97 indexed, 2 pending, 1 offline\n"),
    ] {
        let answer = json!({"idle": idle, "queue": {"walks": 0, "settling": 0, "jobs": jobs}, "videos": coverage()});
        let theirs = answer.clone();
        let daemon = Daemon::start(move |method| Ok(if method == "wait" { theirs.clone() } else { status() }));
        check(&daemon.run(&["wait", "--timeout", "2m"]), exit, line, "indexing");
        let asked = daemon.asked.lock().unwrap().clone();
        assert!(asked.contains(&("wait".to_owned(), json!({"timeout_ms": 120_000}))), "{asked:?}");
        let ran = daemon.run(&["wait", "--json"]);
        assert_eq!((ran.status, ran.json(), ran.stderr.as_str()), (exit, answer, ""));
    }
}

#[test]
fn remove_asks_and_without_a_terminal_wants_yes() {
    let daemon = || Daemon::with("remove", json!({"n_videos": 3, "folders": []}));
    let refused = daemon();
    check(
        &refused.run(&["remove", "/films"]),
        2,
        "",
        "/films: 3 videos would be dropped from the index, and scenectl cannot ask, because this is not a terminal\nhint: use --yes",
    );
    assert_eq!(refused.asked().1, json!({"path": "/films", "keep": false, "dry_run": true}));

    let yes = daemon();
    check(
        &yes.run(&["remove", "/films", "--yes"]),
        0,
        "no longer watching /films: 3 videos dropped from the index\n",
        "",
    );
    assert_eq!(yes.asked().1, json!({"path": "/films", "keep": false, "dry_run": false}));

    let keep = daemon();
    check(
        &keep.run(&["remove", "/films", "--keep"]),
        0,
        "no longer watching /films: 3 videos kept, offline\n",
        "",
    );
    assert_eq!(keep.asked().1, json!({"path": "/films", "keep": true, "dry_run": false}));
}

#[test]
fn the_small_verbs_say_what_was_done() {
    let check_verb = |words: &[&str], method: &'static str, answer: Value, params: Value, stdout: &str| {
        let daemon = Daemon::with(method, answer.clone());
        check(&daemon.run(words), 0, stdout, "");
        assert_eq!(daemon.asked(), (method.to_owned(), params), "{words:?}");
        let json = [words, &["--json"]].concat();
        assert_eq!(daemon.run(&json).json(), answer, "{words:?}");
    };
    let done = |n: u64, state: &str| json!({"n": n, "state": state});
    check_verb(&["rescan"], "rescan", done(2, "indexing"), json!({}), "scanning 2 folders again\n");
    check_verb(
        &["rescan", "/films"],
        "rescan",
        done(1, "indexing"),
        json!({"scope": {"path": "/films"}}),
        "scanning 1 folder again\n",
    );
    check_verb(&["retry"], "retry", done(0, "idle"), json!({}), "no file had failed\n");
    check_verb(&["retry"], "retry", done(2, "idle"), json!({}), "trying 2 files again\n");
    check_verb(
        &["pause"],
        "pause",
        done(0, "paused"),
        json!({}),
        "indexing is paused until `scenectl resume`; search goes on\n",
    );
    check_verb(
        &["pause", "--for", "2h"],
        "pause",
        done(0, "paused"),
        json!({"for_ms": 7_200_000}),
        "indexing is paused for 2 h; search goes on\n",
    );
    check_verb(&["resume"], "resume", done(0, "idle"), json!({}), "resumed: idle\n");
    check_verb(&["incidents"], "incidents", json!({"incidents": []}), json!({}), "");
    let incidents = json!({"incidents": [{"path": "/a\nb.mp4", "reason": "no video\nstream", "attempts": 2, "first_ms": 0, "last_ms": 1_790_000_000_000_i64, "hint": "is it one?"}]});
    let text = "/a\\nb.mp4\n    no video\\nstream (tried 2 times, 1970-01-01 00:00 to 2026-09-21 14:13)\n    hint: is it one?\n";
    check_verb(&["incidents"], "incidents", incidents, json!({}), text);
    let folders = json!({"folders": [{"path": "/films", "state": "offline", "videos": coverage(), "detail": "the disk is not there"}]});
    let text = "/films  offline  97 indexed, 2 pending, 1 offline  the disk is not there\n";
    check_verb(&["folders"], "folders", folders.clone(), json!({}), text);
    check_verb(&["add", "/films"], "add", folders, json!({"path": "/films"}), "watching /films\n");
    let scenes = json!({"path": "/a.mp4", "video": "v", "duration_ms": 4900, "offline": false, "scenes": [
        {"start_ms": 0, "end_ms": 1200, "boundary": "start", "scene": "v/0"}, {"start_ms": 1200, "end_ms": 4900, "boundary": "cut", "scene": "v/1"}]});
    let text = "1  0:00:00.0  0:00:01.2  start\n2  0:00:01.2  0:00:04.9  cut\n";
    check_verb(&["scenes", "/a.mp4"], "scenes", scenes, json!({"path": "/a.mp4"}), text);
    let model = json!({"models": [{"name": "starter", "path": "/m/starter", "active": true, "state": "usable", "layout": "hugging-face",
        "image_px": 64, "dimensions": 256, "size_bytes": 11_000_000, "videos": 97}]});
    let text = "*  starter  11.0 MB  97 videos  usable  /m/starter\n";
    check_verb(&["model", "list"], "model_list", model.clone(), json!({}), text);
    check_verb(
        &["model", "use", "/m/starter"],
        "model_use",
        model.clone(),
        json!({"model": "/m/starter"}),
        text,
    );
    check_verb(
        &["model", "remove", "starter"],
        "model_remove",
        model.clone(),
        json!({"model": "starter"}),
        text,
    );
    let text = "name      starter, in use\nstate     usable\nfolder    /m/starter\nlayout    hugging-face\npictures  64 × 64 pixels\n\
                vectors   256 numbers\nsize      11.0 MB\nindexed   97 videos\n";
    check_verb(
        &["model", "info", "starter"],
        "model_info",
        model.clone(),
        json!({"model": "starter"}),
        text,
    );
    check_verb(&["model", "info"], "model_list", model, json!({}), text);
}

#[test]
fn why_tells_the_rank_of_the_best_scene() {
    let answer = json!({"path": "/home/u/a.mp4", "state": "indexed", "reasons": ["it is indexed"], "best": hit("/home/u/a.mp4", 1000),
                        "rank": 17, "of_scenes": 1234});
    let expected = "~/a.mp4: indexed\n  it is indexed\n  best scene 0:00:01 – 0:00:08, score 0.27, rank 17 of 1,234 scenes\n";
    check(&Daemon::with("why", answer).run(&["why", "/home/u/a.mp4", "dog"]), 0, expected, "");
}

#[test]
fn doctor_works_with_the_daemon_on_and_off() {
    let checks = |state: &str| json!({"checks": [{"name": "onnxruntime", "state": state, "detail": "1.31", "hint": "install one"}]});
    let ran = Daemon::with("doctor", checks("warn")).run(&["doctor"]);
    assert_eq!(ran.status, 0, "{}", ran.text());
    assert!(
        ran.text().contains("\n! onnxruntime    1.31\n                 hint: install one\n"),
        "{}",
        ran.text()
    );
    let ran = Daemon::with("doctor", checks("fail")).run(&["doctor", "--json"]);
    assert_eq!(ran.status, 2);
    let states: Vec<_> = ran.json()["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["state"].clone())
        .collect();
    assert_eq!(states, ["ok", "ok", "fail"]);

    let folder = private_folder();
    let mut command = scenectl(&folder.path().join("s"));
    command.arg("doctor");
    let ran = run(command);
    assert_eq!(ran.status, 2);
    assert!(ran.text().contains("✗ daemon"), "{}", ran.text());
    assert!(
        ran.text().contains("hint: start it with `systemctl --user start scened`"),
        "{}",
        ran.text()
    );
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let hits: Vec<_> = (0..1000).map(|n| hit(&format!("/films/{n}/{}.mp4", "x".repeat(200)), 0)).collect();
    let daemon = Daemon::with("search", found(&hits));
    for words in [&["search", "x"][..], &["search", "x", "--json"], &["search", "x", "--paths"]] {
        let mut child = scenectl(&daemon.socket())
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(0), ""),
            "{words:?}"
        );
    }
}

#[test]
fn colours_are_only_where_they_are_wanted() {
    let daemon = Daemon::with("search", found(&[hit("/a.mp4", 0)]));
    let colored = |variables: &[(&str, &str)]| {
        let mut command = scenectl(&daemon.socket());
        command.args(["search", "x"]).envs(variables.iter().copied());
        run(command).text().contains('\u{1b}')
    };
    assert!(!colored(&[]));
    assert!(colored(&[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn completions_and_manual_pages_are_generated() {
    let ran = |words: &[&str]| {
        let mut command = scenectl(Path::new("/s"));
        command.args(words);
        run(command)
    };
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = ran(&["completions", shell]);
        assert!(
            script.status == 0 && script.text().contains("min-duration"),
            "{shell}: {}",
            script.stderr
        );
    }
    assert!(ran(&["man"]).text().contains(".TH scenectl 1"));
    let folder = private_folder();
    let into = folder.path().join("man1");
    assert_eq!(ran(&["man", into.to_str().unwrap()]).status, 0);
    for page in ["scenectl.1", "scenectl-search.1", "scenectl-model-use.1"] {
        assert!(into.join(page).is_file(), "{page}");
    }
    std::fs::write(folder.path().join("file"), "").unwrap();
    check(
        &ran(&["man", folder.path().join("file").to_str().unwrap()]),
        2,
        "",
        "could not be written into",
    );
}

#[test]
fn a_page_and_a_playlist_know_what_is_gone_and_what_has_no_picture() {
    let folder = private_folder();
    let video = folder.path().join("there.mp4");
    std::fs::write(&video, "a video").unwrap();
    let hit = |path: &Path| json!({"path": path, "start_ms": 1000, "end_ms": 2000, "best_ms": 1500, "score": 0.3, "video": "1", "scene": "1-1", "offline": false});
    let hits = json!([hit(&video), hit(&folder.path().join("gone.mp4"))]);
    let answer = json!({"query": "q", "model": "m", "hits": hits, "coverage": {"indexed": 2, "pending": 0, "failed": 0, "offline": 0}});
    let daemon = Daemon::start(move |method| match method {
        "search" => Ok(answer.clone()),
        _ => Err(RpcError::new(ErrorKind::NotFound, "there is no picture")),
    });
    let [page, list] = ["page.html", "list.m3u8"].map(|name| folder.path().join(name));
    let ran = daemon.run(&[
        "search",
        "q",
        "--html",
        page.to_str().unwrap(),
        "--playlist",
        list.to_str().unwrap(),
    ]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("left out of the playlist: ") && ran.stderr.contains("gone.mp4 (gone)"),
        "{}",
        ran.stderr
    );
    let page = std::fs::read_to_string(page).unwrap();
    assert_eq!(
        (page.matches("no picture").count(), page.matches(">gone</span>").count()),
        (2, 1),
        "{page}"
    );
    let list = std::fs::read_to_string(list).unwrap();
    assert!(list.contains("there.mp4") && !list.contains("gone.mp4"), "{list}");
}

#[test]
fn nothing_is_written_where_the_daemon_is_off() {
    let folder = private_folder();
    let page = folder.path().join("page.html");
    for verb in [&["search", "q", "--html"][..], &["sheet", "film.mp4", "-o"]] {
        let mut command = scenectl(&folder.path().join("s"));
        command.args(verb).arg(&page);
        check(&run(command), 3, "", "start it with");
        assert!(!page.is_file());
    }
}
