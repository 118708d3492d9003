//! Watched folders, added and removed while the daemon runs.

use std::fs;
use std::path::Path;

use testkit::{Sandbox, videos, wait_until};

use crate::{SOON, names};

const COMMENT: &str = "# My videos; the second disk is in the attic.";

#[test]
fn folders_come_and_go_and_the_comments_in_the_configuration_stay() {
    let sandbox = Sandbox::new();
    sandbox.configure(COMMENT);
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let second = sandbox.path().join("second");
    sandbox.video_at(&second.join("b.mp4"), &[("green", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0]);

    sandbox.run([Path::new("add"), &second]).expect(0);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [2, 0, 0, 0]);
    let config = fs::read_to_string(sandbox.config()).unwrap();
    assert!(config.contains(COMMENT) && config.contains(second.to_str().unwrap()), "{config}");
    sandbox.say("folders").expect(0).says("~/second");
    let listed = sandbox.ctl_json(["folders"]);
    assert_eq!(listed["folders"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(listed["folders"][1]["state"], "watched");
    assert_eq!(listed["folders"][1]["videos"]["indexed"], 1);

    // The folder is watched, not only scanned once.
    videos::colours(&second.join("c.mp4"), &[("blue", 1.0)]);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [3, 0, 0, 0]);

    // Without a terminal scenectl cannot ask.
    sandbox.run([Path::new("remove"), &second]).expect(2).complains("--yes");
    sandbox.run([Path::new("remove"), &second, Path::new("--yes")]).expect(0);
    sandbox.settle();
    assert_eq!(names(&sandbox.search("green")), ["a.mp4"]);
    let config = fs::read_to_string(sandbox.config()).unwrap();
    assert!(config.contains(COMMENT) && !config.contains(second.to_str().unwrap()), "{config}");
    assert!(second.join("b.mp4").is_file(), "the file itself stays");
    let why = sandbox.ctl_json([Path::new("why"), &second.join("b.mp4")]);
    assert_eq!(why["state"], "unwatched");
}

#[test]
fn a_folder_removed_with_keep_stays_searchable_and_comes_back_without_decoding() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    sandbox.run([Path::new("remove"), &sandbox.videos(), Path::new("--keep")]).expect(0);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [0, 0, 0, 1]);
    assert_eq!(sandbox.search("a red background")[0]["offline"], true);
    sandbox.run([Path::new("add"), &sandbox.videos()]).expect(0);
    sandbox.settle();
    wait_until("it to be back", SOON, || {
        let counts = sandbox.counts();
        if counts == [1, 0, 0, 0] {
            Ok(())
        } else {
            Err(format!("{counts:?}\n{}", sandbox.log_tail()))
        }
    });
    assert_eq!(sandbox.n_decoded(), 1);
}

#[test]
fn folders_that_cannot_be_watched_are_refused_with_a_reason() {
    let sandbox = Sandbox::new();
    let file = sandbox.video("a.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    let before = fs::read(sandbox.config()).unwrap();
    sandbox
        .run([Path::new("add"), &sandbox.path().join("nowhere")])
        .expect(2)
        .complains("nowhere");
    sandbox.run([Path::new("add"), &file]).expect(2).complains("not a folder");
    sandbox
        .run([Path::new("remove"), sandbox.path(), Path::new("--yes")])
        .expect(2)
        .complains("not a watched folder");
    assert_eq!(fs::read(sandbox.config()).unwrap(), before);
    // Adding a folder twice adds it once.
    sandbox.run([Path::new("add"), &sandbox.videos()]).expect(0);
    assert_eq!(sandbox.ctl_json(["folders"])["folders"].as_array().unwrap().len(), 1);
}

#[test]
fn a_folder_configured_by_a_link_is_asked_about_by_either_name() {
    let sandbox = Sandbox::new();
    let disk = sandbox.path().join("disk");
    sandbox.video_at(&disk.join("sub/a.mp4"), &[("red", 1.0)]);
    let link = sandbox.path().join("Videos");
    std::os::unix::fs::symlink(&disk, &link).unwrap();
    sandbox.configure(&format!("folders = [{link:?}]"));
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0], "{}", sandbox.log_tail());
    for folder in [&link, &disk] {
        sandbox.run([Path::new("scenes"), &folder.join("sub/a.mp4")]).expect(0);
        sandbox.run([Path::new("why"), &folder.join("sub/a.mp4")]).expect(0).says("indexed");
        for below in [folder.clone(), folder.join("sub")] {
            sandbox
                .run([Path::new("search"), Path::new("red"), Path::new("--in"), &below])
                .expect(0);
        }
        sandbox.run([Path::new("add"), folder]).expect(0);
        assert_eq!(sandbox.ctl_json(["folders"])["folders"].as_array().unwrap().len(), 1);
    }
    sandbox.run([Path::new("remove"), &disk, Path::new("--yes")]).expect(0);
    assert_eq!(sandbox.counts(), [0, 0, 0, 0]);
}

#[test]
fn several_folders_come_and_go_at_once_and_whoever_has_none_is_told_how() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    let videos = sandbox.videos();
    sandbox.run([Path::new("remove"), &videos]).expect(0);
    for words in ["search a dog", "search a dog --json"] {
        let ran = sandbox.say(words).expect(1);
        assert_eq!(ran.stderr.contains("scenectl add DIR"), !words.contains("json"), "{ran:?}");
    }
    let folders = ["one", "two", "three"].map(|name| sandbox.path().join(name));
    for folder in &folders {
        fs::create_dir(folder).unwrap();
    }
    let words = |verb: &'static str| std::iter::once(Path::new(verb)).chain(folders.iter().map(std::path::PathBuf::as_path));
    let ran = sandbox.run(words("add")).expect(0);
    assert_eq!(ran.stdout.lines().count(), 3, "{ran:?}");
    assert_eq!(sandbox.ctl_json(["folders"])["folders"].as_array().unwrap().len(), 3);
    let ran = sandbox.say("search a dog").expect(1);
    assert!(!ran.stderr.contains("scenectl add"), "{ran:?}");
    // `add` stops at the first folder that cannot be watched; those before it are watched.
    let gone = sandbox.path().join("gone");
    sandbox.run([Path::new("add"), &videos, &gone]).expect(2).says("watching ");
    assert_eq!(sandbox.ctl_json(["folders"])["folders"].as_array().unwrap().len(), 4);
    let ran = sandbox.run(words("remove")).expect(0);
    assert_eq!(ran.stdout.lines().count(), 3, "{ran:?}");
    assert_eq!(sandbox.ctl_json(["folders"])["folders"].as_array().unwrap().len(), 1);
    sandbox.say("add").expect(2);
    sandbox.say("remove").expect(2);
}
