//! Files that appear, change, move and disappear.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testkit::{Sandbox, pause, videos, wait_until};

use crate::{SOON, name, names};

fn video_id(sandbox: &Sandbox, file: &Path) -> String {
    let answer = sandbox.ctl_json([Path::new("scenes"), file]);
    answer["video"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn wait_for_state(sandbox: &Sandbox, file: &Path, wanted: &str) {
    wait_until(&format!("{} to be {wanted}", file.display()), SOON, || {
        let answer = sandbox.ctl_json([Path::new("why"), file]);
        if answer["state"] == wanted {
            Ok(())
        } else {
            Err(answer.to_string())
        }
    });
}

#[test]
fn a_new_file_is_found_without_being_asked_for() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [0, 0, 0, 0]);
    videos::colours(&sandbox.videos().join("new.mp4"), &[("red", 1.0)]);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0]);
    assert_eq!(names(&sandbox.search("a red background")), ["new.mp4"]);
}

#[test]
fn a_file_that_grows_waits_until_it_rests() {
    let sandbox = Sandbox::new();
    let whole = sandbox.path().join("whole.mp4");
    videos::colours(&whole, &[("red", 1.0), ("green", 1.0)]);
    let bytes = fs::read(&whole).unwrap();
    let _daemon = sandbox.start();
    sandbox.settle();

    let path = sandbox.videos().join("growing.mp4");
    let mut file = File::create(&path).unwrap();
    let piece = bytes.len() / 12 + 1;
    for part in bytes.chunks(piece) {
        file.write_all(part).unwrap();
        file.flush().unwrap();
        assert_eq!(sandbox.n_decoded(), 0, "it was indexed while it grew");
        // Not a wait for a condition: the pace of a slow copy, faster than the settle time of one second.
        pause(Duration::from_millis(250));
    }
    drop(file);
    sandbox.settle();
    assert_eq!((sandbox.counts(), sandbox.n_decoded()), ([1, 0, 0, 0], 1), "{}", sandbox.log_tail());
    assert_eq!(sandbox.ctl_json([Path::new("scenes"), &path])["duration_ms"], 2000);
}

#[test]
fn replaced_content_is_indexed_again_and_the_old_scenes_are_gone() {
    let sandbox = Sandbox::new();
    let path = sandbox.video("film.mp4", &[("red", 1.0), ("blue", 1.0)]);
    sandbox.video("other.mp4", &[("yellow", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.ctl_json(["status"])["scenes"], 3);
    let before = sandbox.search("a red background");
    assert_eq!(name(&before[0]), "film.mp4");

    sandbox.video_at(&path, &[("green", 1.4)]);
    sandbox.settle();
    assert_eq!(sandbox.n_decoded(), 3);
    assert_eq!(sandbox.ctl_json(["status"])["scenes"], 2);
    let scenes = sandbox.ctl_json([Path::new("scenes"), &path]);
    assert_eq!(
        (&scenes["duration_ms"], scenes["scenes"].as_array().unwrap().len()),
        (&1400.into(), 1)
    );
    let after = sandbox.search("a red background");
    assert_eq!(after.len(), 2);
    let best = |hits: &[Value]| hits.iter().map(|hit| hit["score"].as_f64().unwrap()).fold(0.0, f64::max);
    assert!(best(&after) < best(&before) - 0.1, "the red scene is still found: {after:#?}");
    assert_eq!(name(&sandbox.search("a green background")[0]), "film.mp4");
}

#[test]
fn a_video_overwritten_in_place_is_indexed_again() {
    let sandbox = Sandbox::new();
    let path = sandbox.video("film.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    videos::colours(&path, &[("green", 1.4)]);
    sandbox.settle();
    assert_eq!(sandbox.ctl_json([Path::new("scenes"), &path])["duration_ms"], 1400);
    assert_eq!(sandbox.counts(), [1, 0, 0, 0]);
}

#[test]
fn a_moved_video_is_the_same_video_and_is_not_decoded_again() {
    let sandbox = Sandbox::new();
    let first = sandbox.video("a.mp4", &[("red", 1.0)]);
    let inner = sandbox.video("folder/inner/b.mp4", &[("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let (a, b) = (video_id(&sandbox, &first), video_id(&sandbox, &inner));

    let renamed = sandbox.videos().join("renamed.mp4");
    fs::rename(&first, &renamed).unwrap();
    sandbox.settle();
    assert_eq!(video_id(&sandbox, &renamed), a, "renamed\n{}", sandbox.log_tail());

    let moved = sandbox.videos().join("new folder/deeper/renamed.mp4");
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(&renamed, &moved).unwrap();
    sandbox.settle();
    assert_eq!(video_id(&sandbox, &moved), a, "moved into a new sub-folder\n{}", sandbox.log_tail());

    fs::rename(sandbox.videos().join("folder"), sandbox.videos().join("another name")).unwrap();
    sandbox.settle();
    let below = sandbox.videos().join("another name/inner/b.mp4");
    assert_eq!(video_id(&sandbox, &below), b, "its folder was renamed\n{}", sandbox.log_tail());

    assert_eq!((sandbox.n_decoded(), sandbox.counts()), (2, [2, 0, 0, 0]));
    assert_eq!(name(&sandbox.search("a red background")[0]), "renamed.mp4");
}

#[test]
fn a_video_moved_while_the_daemon_was_off_is_not_decoded_again() {
    let sandbox = Sandbox::new();
    let path = sandbox.video("a.mp4", &[("red", 1.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let id = video_id(&sandbox, &path);
    assert!(daemon.stop().success());
    let moved = sandbox.videos().join("sub/b.mp4");
    sandbox.put(&path, &moved);
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!((video_id(&sandbox, &moved), sandbox.n_decoded()), (id, 1));
    assert_eq!(sandbox.counts(), [1, 0, 0, 0]);
}

#[test]
fn a_copy_is_a_video_of_its_own_that_needs_no_decoding() {
    let sandbox = Sandbox::new();
    let path = sandbox.video("a.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let copy = sandbox.videos().join("copy.mp4");
    fs::copy(&path, &copy).unwrap();
    sandbox.settle();
    assert_eq!((sandbox.counts(), sandbox.n_decoded()), ([2, 0, 0, 0], 1), "{}", sandbox.log_tail());
    assert_ne!(video_id(&sandbox, &path), video_id(&sandbox, &copy));
    fs::remove_file(&path).unwrap();
    sandbox.settle();
    assert_eq!(names(&sandbox.search("a red background")), ["copy.mp4"]);
}

#[test]
fn deleted_videos_and_folders_drop_out() {
    let sandbox = Sandbox::new();
    let path = sandbox.video("gone.mp4", &[("red", 1.0)]);
    sandbox.video("folder/x/gone too.mp4", &[("green", 1.0)]);
    sandbox.video("stays.mp4", &[("blue", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [3, 0, 0, 0]);
    fs::remove_file(&path).unwrap();
    fs::remove_dir_all(sandbox.videos().join("folder")).unwrap();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0], "{}", sandbox.log_tail());
    assert_eq!(names(&sandbox.search("a red background")), ["stays.mp4"]);
}

#[test]
fn a_deep_tree_that_appears_at_once_is_crawled_whole() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path().join("tree");
    sandbox.video_at(&outside.join("a/b/c/d/moved in.mp4"), &[("red", 1.0)]);
    sandbox.video_at(&outside.join("a/top.mp4"), &[("green", 1.0)]);
    let ready = sandbox.path().join("ready.mp4");
    sandbox.video_at(&ready, &[("blue", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    fs::rename(&outside, sandbox.videos().join("tree")).unwrap();
    // Folders and a file, created faster than watches can be added.
    let deep = sandbox.videos().join("1/2/3/4/5");
    fs::create_dir_all(&deep).unwrap();
    fs::rename(&ready, deep.join("made.mp4")).unwrap();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [3, 0, 0, 0], "{}", sandbox.log_tail());

    // Files that arrive later in those folders are noticed too.
    videos::colours(&sandbox.videos().join("tree/a/b/c/later.mp4"), &[("yellow", 1.0)]);
    videos::colours(&deep.join("later too.mp4"), &[("white", 1.0)]);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [5, 0, 0, 0], "{}", sandbox.log_tail());
}

#[test]
fn an_unfinished_download_waits_for_its_real_name() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    sandbox.settle();
    for ending in ["part", "crdownload"] {
        let unfinished = sandbox.videos().join(format!("{ending}.mp4.{ending}"));
        videos::colours(&unfinished, &[("red", 1.0), (if ending == "part" { "green" } else { "blue" }, 1.0)]);
        sandbox.settle();
        assert_eq!(sandbox.ctl_json([Path::new("why"), &unfinished])["state"], "excluded");
    }
    assert_eq!((sandbox.counts(), sandbox.n_decoded()), ([0, 0, 0, 0], 0));
    for ending in ["part", "crdownload"] {
        let unfinished = sandbox.videos().join(format!("{ending}.mp4.{ending}"));
        fs::rename(&unfinished, unfinished.with_extension("")).unwrap();
    }
    sandbox.settle();
    assert_eq!(sandbox.counts(), [2, 0, 0, 0], "{}", sandbox.log_tail());
}

#[test]
fn a_folder_that_goes_away_is_offline_but_searchable_and_comes_back_without_decoding() {
    let sandbox = Sandbox::new();
    let path = sandbox.video("film.mp4", &[("red", 1.0)]);
    sandbox.video("sub/other.mp4", &[("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let id = video_id(&sandbox, &path);

    let away = sandbox.path().join("unplugged");
    fs::rename(sandbox.videos(), &away).unwrap();
    sandbox.say("rescan").expect(0);
    wait_for_state(&sandbox, &path, "offline");
    wait_until("both to be offline", SOON, || {
        let counts = sandbox.counts();
        if counts == [0, 0, 0, 2] {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    });
    let hits = sandbox.search("a red background");
    assert_eq!((hits.len(), name(&hits[0]), &hits[0]["offline"]), (2, "film.mp4", &true.into()));
    sandbox
        .run(["search", "red"])
        .expect(0)
        .says("offline")
        .complains("2 videos offline");
    let folders = sandbox.ctl_json(["folders"]);
    assert_eq!(folders["folders"][0]["state"], "offline", "{folders}");

    fs::rename(&away, sandbox.videos()).unwrap();
    sandbox.say("rescan").expect(0);
    wait_for_state(&sandbox, &path, "indexed");
    sandbox.settle();
    assert_eq!((sandbox.counts(), sandbox.n_decoded()), ([2, 0, 0, 0], 2), "{}", sandbox.log_tail());
    assert_eq!(video_id(&sandbox, &path), id);
    assert_eq!(sandbox.search("a red background")[0]["offline"], false);
}

#[test]
fn an_empty_folder_in_place_of_a_drive_deletes_nothing() {
    let sandbox = Sandbox::new();
    let path = sandbox.video("film.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let away = sandbox.path().join("unmounted");
    fs::rename(sandbox.videos(), &away).unwrap();
    // The empty mount point that remains when the drive is gone.
    fs::create_dir(sandbox.videos()).unwrap();
    sandbox.say("rescan").expect(0);
    wait_for_state(&sandbox, &path, "offline");
    sandbox.settle();
    assert_eq!(sandbox.counts(), [0, 0, 0, 1], "{}", sandbox.log_tail());
    fs::remove_dir(sandbox.videos()).unwrap();
    fs::rename(&away, sandbox.videos()).unwrap();
    sandbox.say("rescan").expect(0);
    wait_for_state(&sandbox, &path, "indexed");
    assert_eq!(sandbox.n_decoded(), 1);
}

#[test]
fn rescan_looks_at_everything_or_at_one_folder() {
    let sandbox = Sandbox::new();
    sandbox.video("a/x.mp4", &[("red", 1.0)]);
    sandbox.video("b/y.mp4", &[("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let all = sandbox.ctl_json(["rescan"]);
    assert!(all["n"].as_u64().unwrap() >= 1, "{all}");
    let one = sandbox.ctl_json([Path::new("rescan"), &sandbox.videos().join("a")]);
    assert_eq!(one["n"], 1, "{one}");
    sandbox.settle();
    assert_eq!((sandbox.counts(), sandbox.n_decoded()), ([2, 0, 0, 0], 2));
    let outside = sandbox.run([Path::new("rescan"), Path::new("/nowhere")]);
    assert_ne!(outside.status, 0, "{outside:#?}");
}
