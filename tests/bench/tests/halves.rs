//! The Python programs and the scorer agree on the halves, and both refuse to mix them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use scened_bench::manifest::Half;

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

fn python(program: &str, argument: &Path) -> Output {
    Command::new("python3")
        .args(["-B", "-c", program])
        .arg(argument)
        .current_dir(FOLDER)
        .output()
        .expect("python3 runs")
}

/// Creates a folder with a manifest of one video of the half to which `seed` belongs. The video is empty: it is refused before it is read.
fn corpus(half: Half, seed: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let called = serde_json::to_string(&half).expect("a half can be written");
    let video = format!(
        r#"{{"path": "a.mp4", "half": {called}, "seed": {seed}, "codec": "x264", "size": "240p", "fps": 25, "n_frames": 1, "cuts": [], "graduals": []}}"#
    );
    fs::write(
        folder.path().join("manifest.json"),
        format!(r#"{{"half": {called}, "files": [{video}]}}"#),
    )
    .expect("a manifest can be written");
    fs::write(folder.path().join("a.mp4"), b"").expect("a video can be written");
    folder
}

fn first_seed(half: Half) -> u64 {
    (1..100)
        .find(|seed| Half::of_seed(*seed) == half)
        .expect("both halves have early seeds")
}

#[test]
fn both_languages_put_a_seed_into_the_same_half() {
    let said = python("import halves; print(*[halves.half_of_seed(s) for s in range(300)])", Path::new(""));
    let said = String::from_utf8(said.stdout).unwrap();
    let ours: Vec<&str> = (0..300)
        .map(|seed| {
            if Half::of_seed(seed) == Half::Tuning {
                "tuning"
            } else {
                "held-out"
            }
        })
        .collect();
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ours);
}

#[test]
fn python_gives_a_tuning_video_out_and_refuses_a_held_out_one() {
    const PROGRAM: &str = "import sys, halves; print(halves.tuning_file(sys.argv[1])['path'])";
    let (tuning, held_out) = (
        corpus(Half::Tuning, first_seed(Half::Tuning)),
        corpus(Half::HeldOut, first_seed(Half::HeldOut)),
    );
    let lying = corpus(Half::Tuning, first_seed(Half::HeldOut));
    let given = python(PROGRAM, &tuning.path().join("a.mp4"));
    assert_eq!(String::from_utf8_lossy(&given.stdout).trim(), "a.mp4", "{given:?}");
    for refused in [&held_out, &lying] {
        let said = python(PROGRAM, &refused.path().join("a.mp4"));
        assert!(
            !said.status.success() && String::from_utf8_lossy(&said.stderr).contains("MixedHalves"),
            "{said:?}"
        );
    }
    fs::write(tuning.path().join("b.mp4"), b"").unwrap();
    let said = python(PROGRAM, &tuning.path().join("b.mp4"));
    assert!(String::from_utf8_lossy(&said.stderr).contains("its half is unknown"), "{said:?}");
}

fn scorer(arguments: &[&Path], for_tuning: bool) -> Output {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let answers = folder.path().join("it.json");
    fs::write(&answers, r#"{"name": "it", "answers": {}}"#).expect("answers can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_scened-bench"));
    command.arg("--manifest").args(arguments);
    if for_tuning {
        command.arg("--for-tuning");
    }
    command.arg("--").arg(&answers).output().expect("the scorer runs")
}

#[test]
fn the_scorer_refuses_a_set_of_both_halves_and_tunes_on_one_alone() {
    let (tuning, held_out) = (
        corpus(Half::Tuning, first_seed(Half::Tuning)),
        corpus(Half::HeldOut, first_seed(Half::HeldOut)),
    );
    let (tuning, held_out) = (tuning.path().join("manifest.json"), held_out.path().join("manifest.json"));
    assert!(scorer(&[&tuning], true).status.success());
    assert!(scorer(&[&held_out], false).status.success());
    for (manifests, for_tuning, reason) in [
        (vec![&*tuning, &*held_out], false, "never scored as one set"),
        (vec![&*held_out], true, "only the tuning half"),
    ] {
        let said = scorer(&manifests, for_tuning);
        assert!(
            !said.status.success() && String::from_utf8_lossy(&said.stderr).contains(reason),
            "{said:?}"
        );
    }
}
