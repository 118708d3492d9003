//! The file manager menus that are written in Python; `tests/desktop/nautilus.sh` tests the real thing.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::Ran;

use crate::world::put;

#[test]
fn menus_offer_what_fits_and_never_wait() {
    let home = tempfile::Builder::new().prefix("scened menus' ").tempdir().unwrap();
    let prefix = home.path();
    for folder in ["bin", "libexec/scened", "share/scened/filemanagers", "indexed", "other"] {
        fs::create_dir_all(prefix.join(folder)).unwrap();
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(
        here.join("data/python/scened_menu.py"),
        prefix.join("share/scened/filemanagers/scened_menu.py"),
    )
    .unwrap();
    let script = |name: &str, text: &str| {
        let source = prefix.join("source");
        fs::write(&source, format!("#!/bin/sh\n{text}\n")).unwrap();
        put(&source, &prefix.join(name));
    };
    let real = prefix.canonicalize().unwrap();
    let folders = serde_json::json!({"folders": [{"path": real.join("indexed"), "state": "watched"}]});
    fs::write(prefix.join("folders.json"), folders.to_string()).unwrap();
    script(
        "bin/scenectl",
        "here=$(dirname \"$0\")/..; while [ ! -e \"$here/go\" ]; do sleep 0.05; done; [ \"$*\" = 'folders --json' ] && cat \"$here/folders.json\"",
    );
    script(
        "libexec/scened/scened-desktop",
        "here=$(dirname \"$0\")/../..; printf '%s\\0' \"$@\" >\"$here/new\"; mv \"$here/new\" \"$here/ran\"",
    );
    let output = Command::new("python3")
        .arg(here.join("tests/menus.py"))
        .arg(prefix)
        .output()
        .unwrap();
    Ran::from(&output).expect(0);
}
