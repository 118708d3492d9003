//! The videos may be the only copy: whatever the daemon does, they stay unchanged.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use testkit::{Sandbox, library, videos};

/// Traces that any access could leave: inode, links, mode, owner, size, modification and change time, and a file's access time. A
/// *folder*'s access time is left out, because every file manager changes it. No program can set the change time, so even a change that was
/// undone is detected.
type Traces = BTreeMap<PathBuf, [i64; 10]>;

fn traces(folder: &Path) -> Traces {
    let mut found = Traces::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .chain([folder.clone()])
        {
            let seen = path.symlink_metadata().unwrap();
            let atime = if seen.is_dir() { 0 } else { seen.atime() };
            let numbers = [
                seen.ino() as i64,
                seen.nlink() as i64,
                i64::from(seen.mode()),
                i64::from(seen.uid()),
                seen.len() as i64,
                seen.mtime(),
                seen.mtime_nsec(),
                seen.ctime(),
                seen.ctime_nsec(),
                atime,
            ];
            if seen.is_dir() && path != folder {
                folders.push(path.clone());
            }
            found.insert(path, numbers);
        }
    }
    found
}

fn contents(traces: &Traces) -> Vec<Vec<u8>> {
    traces
        .keys()
        .filter(|path| path.is_file())
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

#[test]
fn nothing_that_the_daemon_does_changes_a_video_or_its_folder() {
    let sandbox = Sandbox::new();
    let (sample, _) = library();
    let videos = sandbox.videos();
    testkit::copy_tree(&sample, &videos.join("sample"), &|_| true);
    videos::colours(&videos.join("a.mp4"), &[("red", 1.0), ("blue", 1.0)]);
    std::fs::write(videos.join("broken.mp4"), "no video").unwrap();
    std::fs::write(videos.join("empty.mkv"), "").unwrap();
    std::fs::write(videos.join("notes.txt"), "not a video").unwrap();
    std::os::unix::fs::symlink("a.mp4", videos.join("link.mp4")).unwrap();
    let content = contents(&traces(&videos));
    // The kernel records a read if the last access is older than the last change, unless the reader prevents that.
    let long_ago = std::fs::FileTimes::new().set_accessed(std::time::UNIX_EPOCH);
    for path in traces(&videos).keys().filter(|path| path.is_file()) {
        std::fs::File::open(path).unwrap().set_times(long_ago).unwrap();
    }
    let before = traces(&videos);

    let daemon = sandbox.start();
    sandbox.settle();
    let video = videos.join("a.mp4");
    let video = video.to_str().unwrap();
    for arguments in [
        &["search", "red"][..],
        &["similar", video],
        &["similar", &format!("{video}@0:01")],
        &["scenes", video],
        &["why", video, "red"],
        &["incidents"],
        &["folders"],
        &["doctor"],
        &["retry"],
        &["rescan"],
        &["pause"],
        &["resume"],
    ] {
        let _answered = sandbox.run(arguments);
    }
    sandbox.settle();
    daemon.kill();
    let daemon = sandbox.start();
    sandbox.settle();
    sandbox.run(["remove", videos.to_str().unwrap(), "--yes"]).expect(0);
    sandbox.run(["add", videos.to_str().unwrap()]).expect(0);
    sandbox.settle();
    assert!(sandbox.counts()[0] > 1, "{:?}", sandbox.counts());
    sandbox.run_daemon(["inspect", video]).expect(0);
    assert!(daemon.stop().success());

    let after = traces(&videos);
    for (path, expected) in &before {
        assert_eq!(after.get(path), Some(expected), "{}", path.display());
    }
    assert_eq!(after.len(), before.len(), "something was added: {:?}", after.keys());
    assert!(contents(&after) == content, "a video is another one");
}
