//! Damaged and missing data: rebuilt from the store, or quarantined and indexed again.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use testkit::Sandbox;

use crate::{answer, assert_same_answers};

fn indexed(sandbox: &Sandbox) -> Vec<(String, u64, u64, u64, f64)> {
    sandbox.video("a.mp4", &[("red", 1.0), ("green", 1.2)]);
    sandbox.video("b.mp4", &[("blue", 1.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let expected = answer(sandbox, "a red background");
    assert_eq!(expected.len(), 3);
    assert!(daemon.stop().success());
    expected
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Damages the file of a snapshot.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn an_index_that_is_deleted_or_damaged_is_rebuilt_from_the_store() {
    let sandbox = Sandbox::new();
    let expected = indexed(&sandbox);
    let index = sandbox.data().join("index");
    let damages: [(&str, Damage); 4] = [
        ("deleted", &|_| fs::remove_dir_all(&index).unwrap()),
        ("one byte flipped", &|file| {
            let mut bytes = fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x40;
            fs::write(file, bytes).unwrap();
        }),
        ("cut off", &|file| {
            let length = fs::metadata(file).unwrap().len();
            File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
        }),
        ("emptied", &|file| fs::write(file, "").unwrap()),
    ];
    for (what, damage) in damages {
        let files = files_below(&index);
        assert!(!files.is_empty(), "no snapshot was saved before it was {what}");
        if what == "deleted" {
            damage(&index);
        } else {
            for file in &files {
                damage(file);
            }
        }
        let daemon = sandbox.start();
        sandbox.settle();
        assert_same_answers(
            &answer(&sandbox, "a red background"),
            &expected,
            &format!("{what}\n{}", sandbox.log_tail()),
        );
        assert_eq!(sandbox.n_decoded(), 2, "{what}: nothing is decoded again");
        assert!(daemon.stop().success());
    }
}

#[test]
fn a_damaged_store_is_set_aside_and_everything_is_indexed_again() {
    let sandbox = Sandbox::new();
    let expected = indexed(&sandbox);
    // Zeros in every file of the store, as from a failing disk.
    for file in files_below(&sandbox.data().join("store")) {
        let length = fs::metadata(&file).unwrap().len();
        let mut file = File::options().write(true).open(&file).unwrap();
        file.seek(SeekFrom::Start(length / 3)).unwrap();
        file.write_all(&vec![0; (length / 3 + 8) as usize]).unwrap();
    }
    let daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [2, 0, 0, 0], "{}", sandbox.log_tail());
    assert_same_answers(&answer(&sandbox, "a red background"), &expected, &sandbox.log_tail());
    let status = sandbox.ctl_json(["status"]);
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("damaged"), "{warnings}");
    if warnings.contains("set aside") {
        let aside = fs::read_dir(sandbox.data())
            .unwrap()
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("store.damaged-"));
        assert!(aside, "what was there is kept");
    }
    sandbox.say("doctor").says("damaged");
    assert!(daemon.stop().success());
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.n_decoded(), 4, "once more, and not a third time");
}

#[test]
fn a_data_folder_that_is_deleted_is_made_anew() {
    let sandbox = Sandbox::new();
    let expected = indexed(&sandbox);
    fs::remove_dir_all(sandbox.data()).unwrap();
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_same_answers(&answer(&sandbox, "a red background"), &expected, &sandbox.log_tail());
    assert_eq!(sandbox.n_decoded(), 4);
}
