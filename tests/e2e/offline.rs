//! Drives that go and come back, on real mounts that are private to the test. Nothing is lost, nothing is decoded again, and scened reports
//! which drive is offline since when.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::hung::{HungMount, own_mounts_or_say};
use testkit::{Sandbox, pause, wait_until};

use crate::SOON;

#[track_caller]
fn system(program: &str, arguments: &[&Path]) {
    let ran = Command::new(program).args(arguments).output().unwrap();
    assert!(
        ran.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// Creates an ext4 image with a label.
fn image(sandbox: &Sandbox, name: &str) -> PathBuf {
    let path = sandbox.path().join(name);
    fs::File::create(&path).unwrap().set_len(16 << 20).unwrap();
    system("mkfs.ext4", &[Path::new("-q"), Path::new("-L"), Path::new(name), &path]);
    path
}

fn mount(image: &Path, point: &Path) {
    system("mount", &[Path::new("-o"), Path::new("loop"), image, point]);
}

/// Makes a video of one colour on another file system.
fn video_on(sandbox: &Sandbox, path: &Path, colour: &str) {
    let rendered = sandbox.path().join("rendered.mp4");
    sandbox.video_at(&rendered, &[(colour, 1.0)]);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(rendered, path).unwrap();
}

fn until_counts(sandbox: &Sandbox, expected: [u64; 4]) {
    wait_until(&format!("counts of {expected:?}"), SOON, || match sandbox.counts() {
        counts if counts == expected => Ok(()),
        counts => Err(format!("{counts:?}\n{}\n{}", sandbox.ctl_json(["folders"]), sandbox.log_tail())),
    });
}

/// Unmounts what the test mounted, even if it fails: otherwise a loop device would stay.
struct Unmounts(PathBuf);

impl Drop for Unmounts {
    fn drop(&mut self) {
        // It may not be mounted.
        drop(Command::new("umount").arg("-lq").arg(&self.0).output());
    }
}

#[test]
fn a_drive_is_unmounted_replaced_and_back() {
    if !own_mounts_or_say("drives that go and come back") {
        return;
    }
    let sandbox = Sandbox::new();
    let (first, second) = (image(&sandbox, "first"), image(&sandbox, "second"));
    let point = sandbox.videos().join("drive");
    fs::create_dir(&point).unwrap();
    let _unmounts = Unmounts(point.clone());
    sandbox.configure(&format!("folders = [{point:?}]"));
    mount(&first, &point);
    video_on(&sandbox, &point.join("red.mp4"), "red");
    let daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0], "{}", sandbox.log_tail());

    // After the unmount the mount point is an empty folder.
    system("umount", &[&point]);
    until_counts(&sandbox, [0, 0, 0, 1]);
    // The daemon may have missed the video, and become suspicious, before it checked the folder.
    sandbox.settle();
    let told = sandbox.ctl_json(["status"]);
    let folder = &told["folders"][0];
    assert_eq!(folder["state"], "offline", "{told}");
    let name = folder["volume"].as_str().unwrap().to_owned();
    // With udev the name is the label; otherwise it is the device or the image.
    assert!(name == "first" || name.contains('/'), "{name}");
    assert!(folder["last_seen_ms"].as_i64().unwrap() > 1_700_000_000_000, "{told}");
    sandbox.say("folders").expect(0).says("last seen").says(&name);
    sandbox.say("status").expect(0).says("last seen");
    assert_eq!(sandbox.search("red")[0]["offline"], true);
    sandbox
        .run([Path::new("why"), &point.join("red.mp4")])
        .expect(0)
        .says(&format!("it is on {name}, last seen"));

    // The name and the time survive a restart of the daemon.
    let last_seen = folder["last_seen_ms"].clone();
    daemon.stop();
    let daemon = sandbox.start();
    until_counts(&sandbox, [0, 0, 0, 1]);
    wait_until("the folder to be looked at", SOON, || {
        let folder = sandbox.ctl_json(["folders"])["folders"][0].clone();
        if (&folder["volume"], &folder["last_seen_ms"]) == (&name.clone().into(), &last_seen) {
            Ok(())
        } else {
            Err(folder.to_string())
        }
    });

    // Another drive in its place: both are known, one is offline.
    mount(&second, &point);
    video_on(&sandbox, &point.join("green.mp4"), "green");
    until_counts(&sandbox, [1, 0, 0, 1]);
    let folder = sandbox.ctl_json(["folders"])["folders"][0].clone();
    assert_eq!(folder["state"], "watched", "{folder}");
    assert_eq!(sandbox.n_decoded(), 2);
    system("umount", &[&point]);
    until_counts(&sandbox, [0, 0, 0, 2]);

    // The first drive is back, even if read-only: usable at once, and nothing is decoded again.
    system("mount", &[Path::new("-o"), Path::new("loop,ro"), &first, &point]);
    until_counts(&sandbox, [1, 0, 0, 1]);
    sandbox.settle();
    assert_eq!(sandbox.n_decoded(), 2, "{}", sandbox.log_tail());
    daemon.stop();
    system("umount", &[&point]);
}

#[test]
fn a_drive_mounted_inside_a_watched_folder_is_away_by_itself() {
    if !own_mounts_or_say("a drive inside a watched folder") {
        return;
    }
    let sandbox = Sandbox::new();
    let disk = image(&sandbox, "inner");
    let point = sandbox.videos().join("drive");
    fs::create_dir(&point).unwrap();
    let _unmounts = Unmounts(point.clone());
    mount(&disk, &point);
    sandbox.video("red.mp4", &[("red", 1.0)]);
    video_on(&sandbox, &point.join("sub/green.mp4"), "green");
    let daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [2, 0, 0, 0]);
    system("umount", &[&point]);
    until_counts(&sandbox, [1, 0, 0, 1]);
    sandbox.video("blue.mp4", &[("blue", 1.0)]);
    until_counts(&sandbox, [2, 0, 0, 1]);
    let folder = sandbox.ctl_json(["folders"])["folders"][0].clone();
    assert_eq!(folder["state"], "watched", "{folder}");
    assert_eq!(folder["away"][0]["path"], point.to_str().unwrap(), "{folder}");
    assert!(folder["away"][0]["last_seen_ms"].as_i64().unwrap() > 1_700_000_000_000, "{folder}");
    sandbox.say("folders").expect(0).says("away: ").says("last seen");
    sandbox
        .run([Path::new("why"), &point.join("sub/green.mp4")])
        .expect(0)
        .says("last seen");
    mount(&disk, &point);
    until_counts(&sandbox, [3, 0, 0, 0]);
    sandbox.settle();
    assert_eq!(sandbox.n_decoded(), 3, "{}", sandbox.log_tail());
    daemon.stop();
    system("umount", &[&point]);
}

#[test]
fn a_hung_mount_holds_up_no_question_no_other_folder_and_not_the_end() {
    if !own_mounts_or_say("a hung mount") {
        return;
    }
    let sandbox = Sandbox::new();
    let (disk, point) = (sandbox.path().join("disk"), sandbox.path().join("nas"));
    fs::create_dir(&point).unwrap();
    sandbox.video_at(&disk.join("red.mp4"), &[("red", 1.0)]);
    let mount = match HungMount::new(&disk, &point) {
        Ok(mount) => mount,
        Err(error) => {
            eprintln!("a hung mount: NOT TESTED HERE: no FUSE: {error}");
            return;
        }
    };
    sandbox.configure(&format!("folders = [{:?}, {point:?}]", sandbox.videos()));
    let daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0], "{}", sandbox.log_tail());
    mount.freeze();
    sandbox.say("rescan").expect(0);
    // All of these answer, whether or not the daemon knows yet that the mount hangs.
    let video = point.join("red.mp4");
    for _ in 0..12 {
        sandbox.run([Path::new("why"), &video]).expect(0);
    }
    sandbox.say("status").expect(0);
    assert_eq!(sandbox.search("red").len(), 1);
    until_counts(&sandbox, [0, 0, 0, 1]);
    sandbox.run([Path::new("similar"), &point.join("red.mp4@0:00.5")]).expect(0);
    sandbox.run([Path::new("similar"), &point.join("other.mp4@0:00.5")]).expect(2);
    sandbox.run([Path::new("why"), &video]).expect(0).says("does not answer");
    sandbox.say("doctor --json");
    sandbox.video("green.mp4", &[("green", 1.0)]);
    until_counts(&sandbox, [1, 0, 0, 1]);
    // The daemon ends while the mount hangs. The service manager was promised two seconds.
    let since = Instant::now();
    daemon.stop();
    let took = since.elapsed();
    eprintln!("ended within {took:?} beside a hung mount");
    assert!(took < Duration::from_secs(15), "took {took:?}");
    let daemon = sandbox.start();
    until_counts(&sandbox, [1, 0, 0, 1]);
    sandbox.video_at(&disk.join("blue.mp4"), &[("blue", 1.0)]);
    mount.thaw();
    until_counts(&sandbox, [3, 0, 0, 0]);
    assert_eq!(sandbox.n_decoded(), 3, "{}", sandbox.log_tail());
    daemon.stop();
}

#[test]
fn a_drive_that_gives_errors_while_videos_wait_fails_none_of_them() {
    if !own_mounts_or_say("a drive that gives errors") {
        return;
    }
    let sandbox = Sandbox::new();
    let (disk, point) = (sandbox.path().join("disk"), sandbox.path().join("nas"));
    for folder in [&disk, &point] {
        fs::create_dir(folder).unwrap();
    }
    let mount = match HungMount::new(&disk, &point) {
        Ok(mount) => mount,
        Err(error) => {
            eprintln!("a drive that gives errors: NOT TESTED HERE: no FUSE: {error}");
            return;
        }
    };
    sandbox.configure(&format!("folders = [{:?}, {point:?}]", sandbox.videos()));
    let daemon = sandbox.start();
    sandbox.settle();
    sandbox.say("pause").expect(0);
    for (name, colour) in [("red", "red"), ("green", "green"), ("blue", "blue"), ("white", "white")] {
        sandbox.video_at(&disk.join(format!("{name}.mp4")), &[(colour, 1.0)]);
    }
    sandbox.say("rescan").expect(0);
    until_counts(&sandbox, [0, 4, 0, 0]);
    mount.fail_reads(rustix::io::Errno::IO.raw_os_error());
    sandbox.say("resume").expect(0);
    wait_until("the drive to be told of", SOON, || {
        let warnings = sandbox.ctl_json(["status"])["warnings"].to_string();
        if warnings.contains("drive may be failing") {
            Ok(())
        } else {
            Err(warnings)
        }
    });
    // A video elsewhere does not wait.
    sandbox.video("elsewhere.mp4", &[("red", 1.0)]);
    until_counts(&sandbox, [1, 4, 0, 0]);
    mount.fail_reads(0);
    until_counts(&sandbox, [5, 0, 0, 0]);
    assert_eq!(sandbox.ctl_json(["incidents"])["incidents"].as_array().map(Vec::len), Some(0));
    daemon.stop();
}

#[test]
fn questions_about_a_disk_that_hangs_hold_up_no_search() {
    if !own_mounts_or_say("a hung mount") {
        return;
    }
    let sandbox = Sandbox::new();
    let (disk, point) = (sandbox.path().join("disk"), sandbox.path().join("nas"));
    fs::create_dir(&point).unwrap();
    fs::create_dir_all(disk.join("model")).unwrap();
    let mount = match HungMount::new(&disk, &point) {
        Ok(mount) => mount,
        Err(error) => {
            eprintln!("a hung mount: NOT TESTED HERE: no FUSE: {error}");
            return;
        }
    };
    sandbox.video("red.mp4", &[("red", 1.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    mount.freeze();
    let ask = |words: &[&str]| Asking(sandbox.command("scenectl").args(words).stdout(Stdio::null()).spawn().unwrap());
    // Each query is from a process of its own, and there are more of them than threads that answer. scenectl would check the path by
    // itself.
    let about_the_disk = || {
        let mut command = Command::new("python3");
        command
            .args(["-c", ASK_ABOUT_A_MODEL])
            .args([sandbox.socket(), point.join("model")]);
        Asking(command.stdout(Stdio::null()).spawn().unwrap())
    };
    let mut held: Vec<Asking> = (0..16).map(|_| about_the_disk()).collect();
    wait_until("as many questions as are let in to be held by the disk", SOON, || {
        let mut another = ask(&["model", "list"]);
        if another.ends_within(Duration::from_secs(2)) {
            return Err("another one of their kind is answered".to_owned());
        }
        Ok(())
    });
    for _ in 0..20 {
        for words in [&["search", "red"][..], &["status"]] {
            let is_answered = ask(words).ends_within(SOON);
            assert!(is_answered, "{words:?} waits for the disk: {}", sandbox.log_tail());
        }
    }
    assert_eq!(sandbox.search("red").len(), 1);
    mount.thaw();
    for (number, question) in held.iter_mut().enumerate() {
        assert!(question.ends_within(SOON), "question {number} is not answered although the disk is");
    }
    daemon.stop();
}

const ASK_ABOUT_A_MODEL: &str = r#"
import json, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
answers = peer.makefile()
for method, params in [("hello", {"protocol": 1, "client": "x", "version": "0"}), ("model_info", {"model": sys.argv[2]})]:
    peer.sendall((json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n").encode())
    answers.readline()
"#;

/// A client that waits for its answer; killed when dropped.
struct Asking(Child);

impl Asking {
    fn ends_within(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        loop {
            let has_ended = self.0.try_wait().unwrap().is_some();
            if has_ended || Instant::now() > until {
                return has_ended;
            }
            pause(Duration::from_millis(10));
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            self.0.wait().unwrap();
        }
    }
}
