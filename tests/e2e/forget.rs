//! `forget`: the only way to drop the data of a drive that is offline.

use std::fs;
use std::path::Path;

use testkit::{Sandbox, wait_until};

use crate::{SOON, names};

#[test]
fn a_drive_that_is_away_is_forgotten_only_when_asked_and_confirmed() {
    let sandbox = Sandbox::new();
    sandbox.video("keep/a.mp4", &[("red", 1.0), ("blue", 1.0)]);
    let drive = sandbox.path().join("drive");
    sandbox.video_at(&drive.join("sub/b.mp4"), &[("green", 1.0)]);
    sandbox.video_at(&drive.join("c.mp4"), &[("yellow", 1.0)]);
    sandbox.configure(&format!("folders = [{:?}, {drive:?}]", sandbox.videos()));
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [3, 0, 0, 0], "{}", sandbox.log_tail());
    let forget = |folder: &Path, more: &[&str]| {
        let mut arguments = vec![Path::new("forget"), folder];
        arguments.extend(more.iter().map(Path::new));
        sandbox.run(arguments)
    };

    // Videos that are there stay, whatever the user confirms.
    forget(&drive, &["--yes"])
        .expect(1)
        .complains("2 videos are there and watched, and stay");
    assert_eq!(sandbox.counts(), [3, 0, 0, 0]);

    fs::rename(&drive, sandbox.path().join("unplugged")).unwrap();
    wait_until("the drive to be offline", SOON, || match sandbox.counts() {
        [1, 0, 0, 2] => Ok(()),
        counts => Err(format!("{counts:?}\n{}", sandbox.log_tail())),
    });
    // Without a terminal scenectl cannot ask.
    forget(&drive, &[])
        .expect(2)
        .complains("2 videos (2 scenes, 2 s; offline) would be dropped")
        .complains("--yes");
    forget(&drive, &["--json"]).expect(2);
    assert_eq!(sandbox.counts(), [1, 0, 0, 2]);

    // First one folder of the drive, then a folder above everything: videos that are there are counted and kept.
    forget(&drive.join("sub"), &["--yes"])
        .expect(0)
        .says("forgot 1 video (1 scene, 1 s; offline)");
    assert_eq!(sandbox.counts(), [1, 0, 0, 1]);
    let answer = sandbox.ctl_json([Path::new("forget"), sandbox.path(), Path::new("--yes")]);
    assert_eq!(
        (&answer["n_videos"], &answer["n_offline"], &answer["n_kept"]),
        (&1.into(), &1.into(), &1.into()),
        "{answer}"
    );
    assert_eq!(sandbox.counts(), [1, 0, 0, 0]);
    assert!(names(&sandbox.search("green")).iter().all(|name| *name == "a.mp4"));
    forget(&drive, &["--yes"]).expect(2).complains("no video");

    // The drive is still watched, so its videos count as new when it comes back.
    fs::rename(sandbox.path().join("unplugged"), &drive).unwrap();
    wait_until("the drive to be indexed anew", SOON, || match sandbox.counts() {
        [3, 0, 0, 0] => Ok(()),
        counts => Err(format!("{counts:?}\n{}", sandbox.log_tail())),
    });
}

#[test]
fn what_a_removed_folder_left_behind_can_be_forgotten() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    sandbox.run([Path::new("remove"), &sandbox.videos(), Path::new("--keep")]).expect(0);
    assert_eq!(sandbox.counts(), [0, 0, 0, 1]);
    sandbox.run([Path::new("forget"), &sandbox.videos(), Path::new("--yes")]).expect(0);
    assert_eq!(sandbox.counts(), [0, 0, 0, 0]);
}
