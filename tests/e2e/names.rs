//! File names that are legal and unpleasant.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use serde_json::Value;
use testkit::Sandbox;

const NAMES: &[&[u8]] = &[
    b"new\nline.mp4",
    b"quo\"te'.mp4",
    b"not utf-8 \xff\xfe.mp4",
    "emoji 🦊.mp4".as_bytes(),
    b"-dash.mp4",
    b"escape \x1b[31mred\x07.mp4",
    b"at@1:30.mp4",
    b"  spaces  .mp4",
    "e\u{301} right\u{202e}4pm.mp4".as_bytes(),
];

/// Returns the path of a hit or row, byte for byte.
fn path_of(row: &Value) -> PathBuf {
    match row["path_bytes"].as_str() {
        Some(text) => PathBuf::from(OsString::from_vec(base64::engine::general_purpose::STANDARD.decode(text).unwrap())),
        None => PathBuf::from(row["path"].as_str().unwrap()),
    }
}

#[test]
fn odd_names_are_indexed_found_and_never_reach_a_terminal_raw() {
    let sandbox = Sandbox::new();
    let paths: Vec<PathBuf> = NAMES
        .iter()
        .enumerate()
        .map(|(index, name)| sandbox.video(OsStr::from_bytes(name), &[("red", 1.0 + 0.2 * index as f64)]))
        .collect();
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(
        sandbox.counts(),
        [NAMES.len() as u64, 0, 0, 0],
        "{}",
        sandbox.say("incidents").stdout
    );

    let mut found: Vec<PathBuf> = sandbox.search("a red background").iter().map(path_of).collect();
    let mut expected = paths.clone();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for path in &paths {
        let scenes = sandbox.ctl_json([Path::new("scenes"), path]);
        assert_eq!(path_of(&scenes), *path);
        assert_eq!(scenes["path_bytes"].is_string(), path.to_str().is_none(), "{scenes}");
        assert_eq!(sandbox.ctl_json([Path::new("why"), path])["state"], "indexed");
        assert_eq!(
            sandbox.ctl(["similar".as_ref(), path.as_os_str()]).status.code(),
            Some(0),
            "{}",
            path.display()
        );
    }

    // As text: one line per hit, whatever the name contains.
    for verb in [&["search", "a red background"][..], &["folders"], &["status"]] {
        let output = sandbox.ctl(verb);
        let text = String::from_utf8(output.stdout).expect("text for people is UTF-8");
        assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{text:?}");
        if verb[0] == "search" {
            assert_eq!(text.lines().count(), NAMES.len(), "{text}");
        }
    }
    // For programs: the exact bytes.
    let output = sandbox.ctl(["search", "red", "-0", "-n", "100"]);
    let mut bare: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty()).collect();
    let mut bytes: Vec<&[u8]> = paths.iter().map(|path| path.as_os_str().as_bytes()).collect();
    bare.sort_unstable();
    bytes.sort_unstable();
    assert_eq!(bare, bytes);
    // The log does not contain the raw bytes either.
    let log = std::fs::read(sandbox.log()).unwrap();
    assert!(!log.contains(&0x1b) && !log.contains(&0x07), "{}", sandbox.log_tail());
}

#[test]
fn names_relative_to_the_folder_one_stands_in_are_understood() {
    let sandbox = Sandbox::new();
    sandbox.video("-dash.mp4", &[("red", 1.0)]);
    sandbox.video("sub/at@0:01.mp4", &[("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let here = |arguments: &[&str]| {
        let output = sandbox
            .command("scenectl")
            .args(arguments)
            .current_dir(sandbox.videos())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    here(&["scenes", "--", "-dash.mp4"]);
    here(&["scenes", "./-dash.mp4"]);
    here(&["scenes", "sub/../-dash.mp4"]);
    here(&["why", "sub/at@0:01.mp4"]);
    here(&["similar", "sub/at@0:01.mp4"]);
    here(&["similar", "sub/at@0:01.mp4@0.5"]);
    here(&["search", "red", "--in", "."]);
    here(&["search", "red", "--in", "sub"]);
    here(&["rescan", "sub"]);
}
