//! File names may come from an attacker: no verb of either program may print one to a terminal unescaped.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use scened_shared::terminal::is_unsafe;
use testkit::{Sandbox, pty};

use crate::SOON;

/// Dangerous parts of names. Each begins with a letter and ends harmlessly, so that it can be part of a path, before an extension.
const NASTY: &[&[u8]] = &[
    b"a\x1b[2J\x1b[45mcolour",
    b"b\x1b]0;title\x07",
    b"c\xc2\x9b2J \xc2\x9d0;x\xc2\x9c",
    b"d\x9b2J\x90raw\x9c",
    "e\u{202e}gnp.4pm\u{2066}\u{2069}\u{200f}\u{61c}".as_bytes(),
    b"f\nFORGED line\r\nFORGED too",
    b"g\ttab\x08\x08\x7f",
    "h\u{200b}\u{feff}\u{2060}\u{ad}\u{e0041}\u{3164}".as_bytes(),
    b"i\xff\xfe\xc3\x28not utf-8",
    b"j\x1bc\x1b[?1049h\x1bP0;0|q\x1b\\",
];

/// Returns all of them in one name.
fn worst() -> OsString {
    OsString::from_vec(NASTY.concat())
}

fn joined(parts: &[&OsStr]) -> OsString {
    parts.iter().copied().collect()
}

/// Panics if a terminal would obey, or hide, any of `heard`. Colours, and on a terminal the sequences of a progress bar, are our own.
#[track_caller]
fn check(what: &str, heard: &[u8], on_terminal: bool) {
    let shown = || format!("{what}: {:?}", String::from_utf8_lossy(heard));
    let text = std::str::from_utf8(heard).unwrap_or_else(|error| panic!("{error}: {}", shown()));
    let mut rest = text;
    while let Some(at) = rest.find(is_unsafe) {
        let (sign, after) = (rest[at..].chars().next().unwrap(), &rest[at..]);
        rest = &after[sign.len_utf8()..];
        match sign {
            '\n' => {}
            '\r' if on_terminal => {}
            '\u{1b}' if on_terminal => {
                let parameters = rest.strip_prefix('[').unwrap_or_else(|| panic!("{}", shown()));
                let command = parameters.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
                let number = &parameters[..parameters.len() - command.len()];
                let is_ours = match command.chars().next() {
                    Some('m') => ["0", "1", "2", "3", "4", "31", "32", "33", "34", "35", "36", "1;31", "1;4"].contains(&number),
                    // From indicatif: clear the line, up, down.
                    Some('K') => ["", "2"].contains(&number),
                    Some('A' | 'B') => true,
                    _ => false,
                };
                assert!(is_ours, "a sequence {number}{command:.1} in {}", shown());
            }
            _ => panic!("{sign:?} in {}", shown()),
        }
    }
    assert!(!text.lines().any(|line| line.trim_start().starts_with("FORGED")), "{}", shown());
}

/// Runs a program to its end with pipes, and then on a terminal, for a limited time. `--watch` runs only on a terminal. JSON runs only with
/// pipes, because it is the same for every reader.
fn drive(what: &str, make: &dyn Fn() -> Command) {
    const LIMIT: Duration = Duration::from_secs(2);
    let mut watching = what.contains("--watch");
    if !watching {
        let output = make().stdin(Stdio::null()).output().unwrap();
        check(&format!("{what}, stdout"), &output.stdout, false);
        check(&format!("{what}, stderr"), &output.stderr, false);
        watching = false;
        if what.ends_with(" true") {
            return;
        }
    }
    let limit = if watching { LIMIT } else { LIMIT * 20 };
    check(&format!("{what}, on a terminal"), &pty::run(&mut make(), limit), true);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of all verbs")]
fn no_name_reaches_a_terminal_raw() {
    let sandbox = Sandbox::new();
    let worst = worst();
    let nested = sandbox.videos().join(&worst);
    let odd = sandbox.path().join(&worst);
    // A model with this name, and a folder of videos with this name.
    let models = odd.join("models");
    copy_model(&models.join("nasty"), &String::from_utf8_lossy(worst.as_bytes()));
    fs::create_dir_all(odd.join("films")).unwrap();
    let mut videos: Vec<PathBuf> = Vec::new();
    for (index, name) in NASTY.iter().enumerate() {
        let with = |end: &str| [name, end.as_bytes()].concat();
        videos.push(sandbox.video(OsStr::from_bytes(&with(".mp4")), &[("red", 1.0 + 0.1 * index as f64)]));
        fs::write(
            sandbox.videos().join(OsStr::from_bytes(&with(".mkv"))),
            [name, &b"no video"[..]].concat(),
        )
        .unwrap();
    }
    fs::create_dir_all(&nested).unwrap();
    videos.push(sandbox.video(Path::new(&worst).join("deep.mp4"), &[("green", 1.0)]));
    let daemon = sandbox.start();
    sandbox.settle();
    let [video, bad] = [&videos[0], &sandbox.videos().join(OsStr::from_bytes(&[NASTY[0], b".mkv"].concat()))];
    let missing = sandbox.videos().join(OsStr::from_bytes(&[NASTY[3], b" missing.mp4"].concat()));
    let os = |path: &Path| path.as_os_str().to_owned();
    let text = String::from_utf8_lossy(worst.as_bytes()).into_owned();

    let alone = [worst.clone()];
    let mut verbs: Vec<Vec<OsString>> = Vec::new();
    let mut verb = |words: &str, more: &[OsString]| {
        let mut arguments: Vec<OsString> = words.split_ascii_whitespace().map(Into::into).collect();
        arguments.extend_from_slice(more);
        verbs.push(arguments);
    };
    verb("search red -n 100", &[]);
    verb("search -n 100 --by video", &alone);
    verb("search red --in", &[os(&nested)]);
    verb("search red --in", &[os(&missing)]);
    verb("search red --since", &alone);
    for video in videos.iter().chain([bad, &missing, &odd]) {
        verb("scenes", &[os(video)]);
        verb("why", &[os(video), text.clone().into()]);
    }
    verb("search red -n 100 --force --html", &[os(&odd.join("page.html"))]);
    verb("search red --html", &[os(video)]);
    verb("sheet --force", &[os(video), "-o".into(), os(&odd.join("page.html"))]);
    verb("sheet", &[os(video), "-o".into(), os(&odd.join("missing/page.html"))]);
    verb("sheet", &[os(&missing)]);
    verb("search red -n 100 --force --playlist", &[os(&odd.join("hits.xspf"))]);
    verb("search red --playlist", &[os(&odd.join("hits.nothing"))]);
    // `--edl` checks each video with ffprobe: two are as good as all.
    verb("search red -n 2 --force --edl", &[os(&odd.join("hits.edl"))]);
    let stretch = |path: &Path, stretch: &str| joined(&[path.as_os_str(), OsStr::new(stretch)]);
    verb("export --force", &[stretch(video, "@0-1"), "-o".into(), os(&odd.join("clip.mp4"))]);
    for bad in [
        stretch(bad, "@0-1"),
        stretch(&missing, "@0-1"),
        stretch(video, "@9"),
        os(video),
        joined(&[video.as_os_str(), OsStr::new("@"), &worst]),
    ] {
        verb("export", &[bad, "-o".into(), os(&odd.join("none.mp4"))]);
    }
    verb("export", &[stretch(video, "@0-1"), "-o".into(), os(video)]);
    verb("export", &[stretch(video, "@0-1"), "-o".into(), os(&odd)]);
    verb("similar", &[os(video)]);
    verb("similar", &[os(bad)]);
    verb("similar", &[os(&missing)]);
    verb("similar", &[joined(&[video.as_os_str(), OsStr::new("@0:00.5")])]);
    verb("similar", &[joined(&[video.as_os_str(), OsStr::new("@"), &worst])]);
    // These files do not exist, so no player starts.
    verb("open", &[os(&missing)]);
    verb("open", &[joined(&[missing.as_os_str(), OsStr::new("@1:30")])]);
    verb("add", &[os(&missing)]);
    verb("add", &[os(&odd.join("films"))]);
    verb("folders", &[]);
    verb("status", &[]);
    verb("status --watch", &[]);
    verb("incidents", &[]);
    verb("rescan", &[os(&nested)]);
    verb("rescan", &[os(&odd)]);
    verb("retry", &[os(bad)]);
    verb("retry", &[os(&missing)]);
    verb("wait --timeout 60", &[]);
    verb("remove --yes", &[os(&missing)]);
    verb("remove --yes", &[os(&odd.join("films"))]);
    verb("doctor", &[]);
    verb("model list", &[]);
    verb("model info", &alone);
    verb("model info", &[text.clone().into()]);
    verb("model info", &[os(&models.join("nasty"))]);
    verb("model use", &[os(&models.join("missing"))]);
    verb("model use", &alone);
    verb("model remove", &alone);
    verb("model install", &alone);
    verb("model install --from", &[os(&odd), "name".into()]);
    verb("pause", &[]);
    verb("resume", &[]);
    verb("--socket", &[os(&odd), "status".into()]);
    verb("--data-dir", &[os(&odd), "doctor".into()]);
    verb("", &alone);
    verb("scenes", &[os(video), joined(&[OsStr::new("--"), &worst])]);
    verb("search red -n", &alone);
    verb("search red", &[joined(&[OsStr::new("--"), OsStr::from_bytes(NASTY[1])])]);
    verb("completions", &alone);
    for arguments in &verbs {
        let json_too = !arguments.iter().any(|word| word == "--watch");
        for json in [false, true] {
            if json && !json_too {
                continue;
            }
            let make = || {
                let mut command = sandbox.command("scenectl");
                command.env("SCENED_MODELS", &models).args(arguments).args(json.then_some("--json"));
                command
            };
            drive(&format!("scenectl {arguments:?} {json}"), &make);
        }
    }

    // Paths alone: bytes for a program, escaped for a terminal.
    for end in ["--paths", "-0"] {
        let mut command = sandbox.command("scenectl");
        command.args(["search", "red", "-n", "100", end]);
        let piped = command.output().unwrap().stdout;
        assert!(videos.iter().all(|video| {
            piped
                .windows(video.as_os_str().len())
                .any(|bytes| bytes == video.as_os_str().as_bytes())
        }));
        let seen: Vec<u8> = pty::run(&mut command, Duration::from_secs(40))
            .into_iter()
            .filter(|byte| *byte != 0)
            .collect();
        check(&format!("search {end}"), &seen, true);
    }

    let broken = odd.join("config.toml");
    let configs = [
        format!(
            "\"{}\" = 1\n",
            text.replace(['\n', '\r', '\u{8}', '\u{7f}', '\u{1b}', '\u{7}', '\t', '"', '\\'], "?")
        ),
        format!("folders = [{:?}]\nmodel = 5\n", "/\u{1b}[2J\u{202e}")
            .replace("\\u{1b}", "\\u001b")
            .replace("\\u{202e}", "\\u202e"),
        "ignore = [\"a[\\u001b[2J\\u009b\\u202e\"]\n".to_owned(),
        "log = \"\\u001b[2J=\\u202e\"\n".to_owned(),
        "model = \"fine\"\n".to_owned(),
    ];
    for config in &configs {
        fs::write(&broken, config).unwrap();
        for words in [&["--check-config"][..], &["--data-dir", "/proc/nowhere"]] {
            let make = || {
                let mut command = sandbox.command("scened");
                command.args(words).arg("--config").arg(&broken);
                command
            };
            drive(&format!("scened {words:?} with {config:?}"), &make);
        }
    }
    let mut daemon_words: Vec<Vec<OsString>> = Vec::new();
    for path in [video, bad, &missing, &odd] {
        daemon_words.push(vec!["inspect".into(), os(path)]);
        daemon_words.push(vec!["inspect".into(), os(path), "--json".into()]);
    }
    daemon_words.push(vec![worst.clone()]);
    daemon_words.push(vec![joined(&[OsStr::new("--"), &worst])]);
    daemon_words.push(vec!["--data-dir".into(), os(&odd.join("config.toml"))]);
    daemon_words.push(vec!["inspect".into(), os(video), "--crop".into(), worst.clone()]);
    for arguments in &daemon_words {
        let make = || {
            let mut command = sandbox.command("scened");
            command.args(arguments);
            command
        };
        drive(&format!("scened {arguments:?}"), &make);
    }

    assert!(daemon.stop().success());
    check("the daemon's log", &fs::read(sandbox.log()).unwrap(), false);
    // And once on a terminal, with colours, while the daemon indexes everything again.
    let make = || {
        let mut command = sandbox.command("scened");
        command
            .env("RUST_LOG", "scened=trace")
            .env("SCENED_DATA_DIR", sandbox.path().join("fresh"));
        command
    };
    let is_named = |heard: &[u8]| String::from_utf8_lossy(heard).contains("not utf-8");
    let heard = pty::run_until(&mut make(), SOON, is_named);
    check("scened on a terminal", &heard, true);
    assert!(is_named(&heard), "no name was logged: {}", String::from_utf8_lossy(&heard));
}

/// Copies the tiny model and gives it the name `name`.
fn copy_model(to: &Path, name: &str) {
    testkit::copy_tree(&testkit::repository().join("tests/data/models/tiny-hf"), to, &|_| true);
    let file = to.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    config["scened"] = serde_json::json!({"name": name});
    fs::write(file, config.to_string()).unwrap();
}
