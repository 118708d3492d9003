//! The real `scenectl model install` against a hub that fails in every way; no daemon runs here (tests/e2e has one).
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::hub::{At, Fault, Hub, Seen, gets, sha256};
use testkit::{Ran, wait_until};

const REPOSITORY: &str = "somebody/clip";
const VISION: &str = "onnx/vision_model.onnx";
const TEXT: &str = "onnx/text_model.onnx";
const SOON: Duration = Duration::from_mins(1);

/// Returns bytes without a pattern that could hide a wrong offset.
fn noise(n: usize, seed: u32) -> Vec<u8> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..n).map(|_| next()).collect()
}

struct Place {
    hub: Hub,
    home: TempDir,
}

impl Place {
    /// Makes a hub with one model in the Hugging Face layout in two precisions, and many unneeded files.
    fn new() -> Self {
        let place = Self {
            hub: Hub::new(),
            home: tempfile::tempdir().unwrap(),
        };
        for name in ["config.json", "preprocessor_config.json", "tokenizer_config.json"] {
            place.hub.put(REPOSITORY, name, format!("{{\"is\": \"{name}\"}}").as_bytes());
        }
        place.hub.put(REPOSITORY, "tokenizer.json", &noise(20_000, 1));
        place.hub.put(REPOSITORY, VISION, &noise(3_000_000, 2));
        place.hub.put(REPOSITORY, TEXT, &noise(200_000, 3));
        for (name, n) in [
            ("onnx/vision_model_fp16.onnx", 90_000),
            ("onnx/text_model_fp16.onnx", 50_000),
            ("model.safetensors", 100_000),
            ("README.md", 100),
        ] {
            place.hub.put(REPOSITORY, name, &noise(n, 4));
        }
        place
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn config(&self) -> PathBuf {
        self.home.path().join("config.toml")
    }

    fn model(&self, name: &str) -> PathBuf {
        self.data().join("models").join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scenectl"));
        command.args(words.split_ascii_whitespace()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy().to_ascii_uppercase();
            if name_text.starts_with("HF_") || name_text.starts_with("HUGGING") || name_text.ends_with("_PROXY") {
                command.env_remove(&name);
            }
        }
        command
            .env("HF_ENDPOINT", self.hub.endpoint())
            .env("HF_HOME", self.home.path().join("hf"))
            .env("HOME", self.home.path())
            .env("SCENED_CONFIG", self.config())
            .env("SCENED_DATA_DIR", self.data())
            .env("SCENED_SOCKET", self.home.path().join("no.sock"));
        command
    }

    fn run(&self, words: &str) -> Ran {
        Ran::from(&self.command(words).output().unwrap())
    }

    fn install(&self) -> Ran {
        self.run(&format!("model install {REPOSITORY} --json"))
    }

    /// Installs, and returns the answer and the requests that were sent.
    fn installed(&self) -> (Value, Vec<Seen>) {
        let ran = self.install().expect(0);
        self.check_placed("clip");
        (serde_json::from_str(&ran.stdout).unwrap(), self.hub.take_seen())
    }

    /// Checks that every file is there and right, and nothing else.
    fn check_placed(&self, name: &str) {
        let model = self.model(name);
        for (file, content) in [
            ("tokenizer.json", noise(20_000, 1)),
            (VISION, noise(3_000_000, 2)),
            (TEXT, noise(200_000, 3)),
        ] {
            assert!(fs::read(model.join(file)).unwrap() == content, "{file}");
        }
        assert!(!model.join("onnx/vision_model_fp16.onnx").is_file() && !model.join("model.safetensors").is_file());
        assert_eq!(self.entries(), [name], "nothing is left over");
    }

    fn entries(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.data().join("models"))
            .map(|entries| entries.flatten().map(|e| e.file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }

    fn part(&self, file: &str) -> PathBuf {
        self.data().join(format!("models/.incoming-clip/files/{file}.part"))
    }

    fn part_length(&self, file: &str) -> u64 {
        self.part(file).metadata().map_or(0, |metadata| metadata.len())
    }

    /// Starts an installation that hangs after `n_bytes` of the picture tower.
    fn hanging(&self, n_bytes: usize) -> Child {
        self.hub.fail(VISION, Fault::Silence(n_bytes));
        let child = self
            .command(&format!("model install {REPOSITORY}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("the part to grow", SOON, || match self.part_length(VISION) {
            n if n == n_bytes as u64 => Ok(()),
            n => Err(format!("{n} bytes")),
        });
        child
    }
}

fn file<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer["files"]
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["file"] == name)
        .unwrap()
}

/// Returns the first byte of each request for a file's content.
fn firsts(seen: &[Seen], file: &str) -> Vec<String> {
    let range = |seen: &&Seen| seen.headers.get("range").cloned().unwrap_or_else(|| "all".to_owned());
    gets(seen, file).iter().map(range).collect()
}

#[test]
fn only_the_needed_files_come_and_are_placed_whole() {
    let place = Place::new();
    let (answer, seen) = place.installed();
    assert_eq!(answer["name"], "clip");
    assert_eq!(answer["path"], place.model("clip").to_str().unwrap());
    assert_eq!((&answer["repository"], &answer["revision"]), (&json!(REPOSITORY), &json!("main")));
    assert_eq!(answer["commit"], place.hub.commit(REPOSITORY));
    assert_eq!((&answer["layout"], &answer["precision"]), (&json!("hugging-face"), &json!("fp32")));
    assert_eq!(answer["checked_by"], "files");
    assert_eq!(answer["downloaded_bytes"], answer["size_bytes"]);
    assert_eq!(file(&answer, VISION)["hash"], format!("sha256:{}", sha256(&noise(3_000_000, 2))));
    assert!(file(&answer, "config.json")["hash"].as_str().unwrap().starts_with("git:"));
    assert!(
        seen.iter()
            .filter(|s| s.at == At::Store)
            .all(|s| s.path.contains(&place.hub.commit(REPOSITORY))),
        "one commit"
    );
    let source: Value = serde_json::from_slice(&fs::read(place.model("clip").join("scened-source.json")).unwrap()).unwrap();
    assert_eq!((&source["repository"], &source["precision"]), (&json!(REPOSITORY), &json!("fp32")));

    // Output for people: one line, and what to do next.
    let ran = place
        .run(&format!("model install {REPOSITORY} --name second --precision fp16"))
        .expect(0);
    ran.says("installed second (fp16, 160 kB) in ")
        .complains("model use second")
        .complains("the model is untested");
    assert!(place.model("second/onnx/text_model_fp16.onnx").is_file() && !place.model("second").join(VISION).is_file());
}

#[test]
fn a_cut_connection_goes_on_at_the_byte() {
    let place = Place::new();
    place.hub.fail(VISION, Fault::Cut(1_000_000));
    place.hub.fail(VISION, Fault::Cut(500_000));
    let (answer, seen) = place.installed();
    assert_eq!(firsts(&seen, VISION), ["all", "bytes=1000000-", "bytes=1500000-"]);
    assert!(
        gets(&seen, VISION)[1].headers["if-range"].contains("store-"),
        "the store's own tag is what must still hold"
    );
    assert_eq!(file(&answer, VISION)["origin"], "resumed");
    assert_eq!(answer["downloaded_bytes"], answer["size_bytes"], "no byte came twice");
}

#[test]
fn a_killed_installation_goes_on_in_the_next_run() {
    let place = Place::new();
    let mut child = place.hanging(1_000_000);
    place.install().expect(2).complains("another scenectl is installing clip");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(place.entries(), [".incoming-clip"], "nothing is half installed");
    place.run("model list --available --json").expect(0);
    place.hub.take_seen();
    let (answer, seen) = place.installed();
    assert_eq!(firsts(&seen, VISION), ["bytes=1000000-"]);
    assert!(firsts(&seen, "tokenizer.json").is_empty(), "what was whole is kept");
    assert_eq!(
        (&file(&answer, VISION)["origin"], &file(&answer, "tokenizer.json")["origin"]),
        (&json!("resumed"), &json!("kept"))
    );
    assert_eq!(answer["downloaded_bytes"], 2_000_000 + 200_000);
}

#[test]
fn ctrl_c_ends_at_once_and_leaves_what_has_come() {
    let place = Place::new();
    for (signal, n_bytes) in [("INT", 700_000), ("TERM", 1_200_000)] {
        // The second run resumes after the first: the hub sends fewer bytes then.
        let n_there = place.part_length(VISION) as usize;
        place.hub.fail(VISION, Fault::Silence(n_bytes - n_there));
        let child = place
            .command(&format!("model install {REPOSITORY}"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("the part to grow", SOON, || {
            if place.part_length(VISION) == n_bytes as u64 {
                Ok(())
            } else {
                Err(place.part_length(VISION).to_string())
            }
        });
        let start = Instant::now();
        assert!(testkit::processes::signal(child.id(), signal));
        let ran = Ran::from(&child.wait_with_output().unwrap());
        // The server stays silent, and a read would wait for 30 s.
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        ran.expect(2).complains("interrupted").complains("run the same command again");
    }
    place.hub.take_seen();
    assert_eq!(firsts(&place.installed().1, VISION), ["bytes=1200000-"]);
}

#[test]
fn a_part_of_another_content_is_not_gone_on_with() {
    let place = Place::new();
    let mut child = place.hanging(1_000_000);
    child.kill().unwrap();
    child.wait().unwrap();
    place.hub.put(REPOSITORY, VISION, &noise(2_900_000, 9));
    place.hub.take_seen();
    place.install().expect(0);
    let seen = place.hub.take_seen();
    assert_eq!(firsts(&seen, VISION), ["all"], "the hub's hash is another one");
    assert!(fs::read(place.model("clip").join(VISION)).unwrap() == noise(2_900_000, 9));
}

#[test]
fn a_server_without_the_range_begins_anew() {
    for fault in [Fault::NoRange, Fault::Retagged, Fault::OtherRange] {
        let place = Place::new();
        place.hub.fail(VISION, Fault::Cut(1_000_000));
        place.hub.fail(VISION, fault.clone());
        let (answer, seen) = place.installed();
        let expected: &[&str] = match fault {
            Fault::OtherRange => &["all", "bytes=1000000-", "all"],
            _ => &["all", "bytes=1000000-"],
        };
        assert_eq!(firsts(&seen, VISION), expected);
        assert_eq!(file(&answer, VISION)["origin"], "downloaded");
    }
}

#[test]
fn wrong_content_is_fetched_once_more_and_then_refused() {
    for fault in [Fault::Wrong, Fault::Short] {
        let place = Place::new();
        place.hub.fail(TEXT, fault.clone());
        let (answer, _) = place.installed();
        let origin = &file(&answer, TEXT)["origin"];
        assert!(origin == "downloaded" || matches!(fault, Fault::Short), "{origin}");
    }
    let place = Place::new();
    place.hub.fail_always(TEXT, Fault::Wrong);
    let ran = place.install().expect(2).complains("onnx/text_model.onnx arrived damaged twice");
    ran.complains(&format!("should be sha256:{}", sha256(&noise(200_000, 3))));
    assert_eq!(gets(&place.hub.take_seen(), TEXT).len(), 2);
    assert_eq!(
        (place.entries(), place.part_length(TEXT)),
        (vec![".incoming-clip".to_owned()], 0),
        "the wrong bytes are gone"
    );
}

#[test]
fn a_part_that_was_damaged_on_the_disk_is_noticed() {
    let place = Place::new();
    let mut child = place.hanging(1_000_000);
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(place.part(VISION), vec![0; 1_000_000]).unwrap();
    place.hub.take_seen();
    let (_, seen) = place.installed();
    assert_eq!(firsts(&seen, VISION), ["bytes=1000000-", "all"]);
}

#[test]
fn a_busy_hub_is_asked_again_when_it_says() {
    let place = Place::new();
    place.hub.fail("config.json", Fault::Status(500, vec![]));
    place
        .hub
        .fail("tokenizer.json", Fault::Status(429, vec![("Retry-After", "1".to_owned())]));
    // The store's signed URL expired: the hub issues a new one.
    place.hub.fail(VISION, Fault::Status(403, vec![]));
    let start = Instant::now();
    place.installed();
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());

    let place = Place::new();
    place
        .hub
        .fail("tokenizer.json", Fault::Status(429, vec![("Retry-After", "3600".to_owned())]));
    let ran = place.install().expect(2);
    ran.complains("answered 429").complains("asks to wait for 3600 s");
    let place = Place::new();
    place.hub.fail_always(TEXT, Fault::Status(503, vec![]));
    place
        .install()
        .expect(2)
        .complains("answered 503")
        .complains("to continue where it stopped");
}

#[test]
fn the_token_goes_to_the_hub_and_never_to_the_store() {
    let place = Place::new();
    place.hub.gate(REPOSITORY, "hf_right");
    let refused = place.install().expect(2);
    refused
        .complains("does not let you read somebody/clip")
        .complains("GatedRepo")
        .complains("set HF_TOKEN");
    let wrong = place
        .command(&format!("model install {REPOSITORY}"))
        .env("HF_TOKEN", "hf_wrong")
        .output()
        .unwrap();
    let wrong = Ran::from(&wrong).expect(2).complains("accept its terms");
    assert!(!wrong.stderr.contains("hf_wrong"), "{wrong:?}");

    fs::create_dir_all(place.home.path().join("hf")).unwrap();
    fs::write(place.home.path().join("hf/token"), "hf_right\n").unwrap();
    place.hub.take_seen();
    let (_, seen) = place.installed();
    let (hub, store): (Vec<_>, Vec<_>) = seen.iter().partition(|s| s.at == At::Hub);
    assert!(
        hub.iter()
            .all(|s| s.headers.get("authorization").is_some_and(|value| value == "Bearer hf_right"))
    );
    assert!(!store.is_empty() && store.iter().all(|s| !s.headers.contains_key("authorization")));
}

#[test]
fn what_is_not_there_is_named() {
    let place = Place::new();
    place.hub.put("somebody/weights", "config.json", b"{}");
    place.hub.put("somebody/weights", "model.safetensors", b"x");
    let check = |words: &str, message: &str, hint: &str| {
        place
            .run(&format!("model install {words}"))
            .expect(2)
            .complains(message)
            .complains(hint);
    };
    check("somebody/else", "there is no repository somebody/else", "/somebody/else");
    check("somebody/clip@v9", "somebody/clip has no revision \"v9\"", "/tree/main");
    check("somebody/weights", "no usable model", "only PyTorch weights");
    check(
        "somebody/clip --precision int8",
        "not there in int8; it is there in fp32, fp16",
        "--precision fp32",
    );
    check("no-such-name", "no model of the catalog is named \"no-such-name\"", "clip-vit-b32");
    check("a/b/c", "neither a name, nor owner/repo, nor a folder", "./DIR");
    check("somebody/clip --name ../x", "cannot be the model's name", "--name");
    check("somebody/clip --name starter", "ships with scened", "--name");
    check("metaclip-b32", "cannot be installed", "no ONNX export");
    assert!(place.entries().is_empty());

    let offline = place
        .command(&format!("model install {REPOSITORY}"))
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .output()
        .unwrap();
    Ran::from(&offline)
        .expect(2)
        .complains("127.0.0.1:9 cannot be reached")
        .complains("online");
    let odd = place.command("model install a/b").env("HF_ENDPOINT", "hub").output().unwrap();
    Ran::from(&odd).expect(2).complains("HF_ENDPOINT");
}

#[test]
fn a_mirror_without_an_api_is_asked_for_each_file() {
    let place = Place::new();
    place.hub.put(REPOSITORY, "onnx/vision_model.onnx_data", &noise(30_000, 7));
    place.hub.put(REPOSITORY, "onnx/vision_model.onnx_data_1", &noise(30_000, 8));
    place.hub.drop_api();
    let (answer, _) = place.installed();
    assert_eq!(answer["commit"], place.hub.commit(REPOSITORY));
    assert!(fs::read(place.model("clip/onnx/vision_model.onnx_data_1")).unwrap() == noise(30_000, 8));
    place
        .run("model install somebody/else")
        .expect(2)
        .complains("there is no repository");
}

#[test]
fn a_renamed_repository_is_followed() {
    let place = Place::new();
    place.hub.rename("old/clip", REPOSITORY);
    place.run("model install old/clip").expect(0);
    place.check_placed("clip");
}

#[test]
fn a_model_that_is_there_stays_until_the_new_one_is_complete() {
    let place = Place::new();
    place.installed();
    place.install().expect(2).complains("is installed already").complains("--force");
    place.hub.put(REPOSITORY, TEXT, &noise(210_000, 5));
    place.hub.fail_always(TEXT, Fault::Wrong);
    place
        .run(&format!("model install {REPOSITORY} --force"))
        .expect(2)
        .complains("damaged twice");
    assert!(
        fs::read(place.model("clip").join(TEXT)).unwrap() == noise(200_000, 3),
        "the old one is untouched"
    );
    place.hub.put(REPOSITORY, TEXT, &noise(220_000, 6));
    place.hub.fail_always(TEXT, Fault::Cut(usize::MAX));
    place.run(&format!("model install {REPOSITORY} --force")).expect(0);
    assert!(fs::read(place.model("clip").join(TEXT)).unwrap() == noise(220_000, 6));
    assert_eq!(place.entries(), ["clip"]);
}

#[test]
fn what_the_hubs_cache_has_is_taken_after_a_look_at_its_content() {
    let place = Place::new();
    let repository = place.home.path().join("hf/hub/models--somebody--clip");
    let commit = place.hub.commit(REPOSITORY);
    fs::create_dir_all(repository.join("blobs")).unwrap();
    fs::create_dir_all(repository.join("snapshots").join(&commit).join("onnx")).unwrap();
    fs::write(repository.join("blobs").join(sha256(&noise(3_000_000, 2))), noise(3_000_000, 2)).unwrap();
    fs::write(repository.join("snapshots").join(&commit).join(TEXT), b"damaged").unwrap();
    let (answer, seen) = place.installed();
    assert_eq!(
        (&file(&answer, VISION)["origin"], &file(&answer, TEXT)["origin"]),
        (&json!("cache"), &json!("downloaded"))
    );
    assert!(gets(&seen, VISION).is_empty());
}

#[test]
fn licences_for_research_are_asked_for_first() {
    let place = Place::new();
    place
        .run("model install mobileclip2-s2")
        .expect(2)
        .complains("apple-amlr")
        .complains("--accept-licence");
    assert!(place.hub.take_seen().is_empty(), "before anything is asked of the hub");
    place.hub.set_licence(REPOSITORY, "cc-by-nc-4.0");
    place.install().expect(2).complains("cc-by-nc-4.0").complains("--accept-licence");
    assert!(gets(&place.hub.take_seen(), VISION).is_empty());
    let ran = place.run(&format!("model install {REPOSITORY} --accept-licence --json")).expect(0);
    assert!(ran.stdout.contains("\"licence\":\"cc-by-nc-4.0\""), "{}", ran.stdout);
}

#[test]
fn a_folder_is_copied_and_may_go_away() {
    let place = Place::new();
    place.installed();
    let copy = place.home.path().join("copy");
    fs::rename(place.model("clip"), &copy).unwrap();
    let mut command = place.command("model install ./copy --name mine --json");
    let ran = Ran::from(&command.current_dir(place.home.path()).output().unwrap()).expect(0);
    assert!(ran.stdout.contains("\"origin\":\"copied\""), "{}", ran.stdout);
    fs::remove_dir_all(&copy).unwrap();
    place.check_placed("mine");
    place.run("model install ./copy").expect(2).complains("is no folder");
}

#[test]
fn the_catalog_is_shown_with_what_is_here() {
    let place = Place::new();
    place.run(&format!("model install {REPOSITORY} --name clip-vit-b32")).expect(0);
    let ran = place.run("model list --available --json").expect(0);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    let state = |name: &str| {
        let row = answer["available"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["name"] == name)
            .unwrap();
        row["state"].clone()
    };
    assert_eq!(
        [state("clip-vit-b32"), state("siglip2-b32-256"), state("metaclip-b32")],
        [json!("installed"), json!("available"), json!("unavailable")]
    );
    place
        .run("model list --available")
        .expect(0)
        .says("clip-vit-b32")
        .says("research only")
        .says("Apache-2.0");
}

/// A file system of one mebibyte, unmounted on drop.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success()).then(|| Self(at.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().ok();
    }
}

#[test]
fn a_full_disk_is_seen_before_and_while_files_come() {
    let place = Place::new();
    let Some(_disk) = SmallDisk::mount(&place.data()) else {
        eprintln!("NOT RUN: no small file system could be mounted here (that needs root)");
        return;
    };
    // The space that must stay free counts first.
    place
        .install()
        .expect(2)
        .complains("and 268.4 MB must stay free (min-free-mib)")
        .complains("free some space");
    fs::write(place.config(), "min-free-mib = 0").unwrap();
    let ran = place.install().expect(2);
    ran.complains("needs 3.5 MB, but 1.0 MB are free").complains("free some space");
    assert!(gets(&place.hub.take_seen(), "config.json").is_empty(), "nothing was fetched");
    // No size is announced, so only the disk itself can show the shortage.
    place.hub.fail_always(VISION, Fault::Mute);
    place
        .install()
        .expect(2)
        .complains("the disk is full")
        .complains("free some space, then run the same command again");
    assert_eq!(place.entries(), [".incoming-clip"]);
}

#[test]
fn a_hub_that_tells_neither_size_nor_hash_is_believed_and_that_is_said() {
    let place = Place::new();
    place.hub.fail_always(TEXT, Fault::Mute);
    let ran = place.install().expect(0).complains("has no hash for some files");
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&file(&answer, TEXT)["hash"], &file(&answer, TEXT)["size_bytes"]),
        (&Value::Null, &json!(200_000))
    );
}
