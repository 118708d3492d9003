//! Conditions that keep a daemon from starting. It gives a clear message, and a status after which systemd does not restart it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use testkit::Sandbox;

/// `EX_CONFIG`.
const SETUP: i32 = 78;

#[test]
fn mistakes_in_the_configuration_are_named_with_key_and_line() {
    for (text, words) in [
        ("\n# one comment\nfoldres = []\n", &["config.toml", "foldres", "3"][..]),
        ("\nsettle-seconds = \"soon\"\n", &["settle-seconds", "2"]),
        ("settle-seconds = 99999\n", &["settle-seconds", "3600"]),
        ("folders = [\"Videos\"]\n", &["folders", "Videos", "relative"]),
        ("on-battery = \"maybe\"\n", &["on-battery", "maybe"]),
        ("folders = [\n", &["config.toml"]),
        ("log = \"loudly=\"\n", &["log"]),
        ("ignore = [\"a[\"]\n", &["ignore"]),
    ] {
        let sandbox = Sandbox::new();
        fs::write(sandbox.config(), text).unwrap();
        let ran = sandbox.run_daemon::<&str>([]);
        assert_eq!(ran.status, SETUP, "{text:?}: {ran:#?}");
        for word in words {
            assert!(ran.stderr.contains(word), "{text:?}: {word:?} is not in {}", ran.stderr);
        }
        assert!(
            fs::symlink_metadata(sandbox.data()).is_err(),
            "nothing is made before the configuration is read"
        );
        let checked = sandbox.run_daemon(["--check-config"]);
        assert_ne!(checked.status, 0, "{text:?}");
    }
}

#[test]
fn a_watched_folder_that_does_not_exist_is_a_warning() {
    let sandbox = Sandbox::new();
    let nowhere = sandbox.path().join("unplugged");
    sandbox.configure(&format!("folders = [{:?}, {nowhere:?}]", sandbox.videos()));
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 0]);
    let status = sandbox.ctl_json(["status"]);
    assert!(status["warnings"].to_string().contains("unplugged"), "{status}");
    // The folder is picked up when it appears.
    sandbox.video_at(&nowhere.join("b.mp4"), &[("green", 1.0)]);
    sandbox.say("rescan").expect(0);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [2, 0, 0, 0], "{}", sandbox.log_tail());
    sandbox.run_daemon(["--check-config"]).expect(0);
}

#[test]
fn a_configuration_that_cannot_be_read_is_not_taken_for_none() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.config(), b"folders = [\"/\xff\"]").unwrap();
    sandbox.run_daemon::<&str>([]).expect(SETUP).complains("UTF-8");
    fs::remove_file(sandbox.config()).unwrap();
    fs::create_dir(sandbox.config()).unwrap();
    sandbox.run_daemon::<&str>([]).expect(SETUP).complains("config.toml");
}

#[test]
fn a_data_folder_that_is_none_is_refused() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.data(), "a file").unwrap();
    sandbox.run_daemon::<&str>([]).expect(SETUP).complains("is not a folder");
    assert_eq!(fs::read(sandbox.data()).unwrap(), b"a file");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_refused() {
    let sandbox = Sandbox::new();
    // This fails for root too: nothing can be created below /proc.
    sandbox
        .run_daemon(["--data-dir", "/proc/scened"])
        .expect(SETUP)
        .complains("data folder /proc/scened");
    fs::create_dir(sandbox.data()).unwrap();
    fs::set_permissions(sandbox.data(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(sandbox.data().join("probe"), "").is_ok() {
        eprintln!("NOT RUN in part: this user (root) may write into a folder that is closed to writing");
        return;
    }
    sandbox.run_daemon::<&str>([]).expect(SETUP).complains("not writable");
}

#[test]
fn a_store_of_a_newer_version_is_left_as_it_is() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.start();
    assert!(daemon.stop().success());
    let marker = sandbox.data().join("format");
    fs::write(&marker, "scened store 999\n").unwrap();
    sandbox.run_daemon::<&str>([]).expect(SETUP).complains("999").complains("newer");
    assert_eq!(fs::read_to_string(&marker).unwrap(), "scened store 999\n");
}

#[test]
fn a_socket_path_that_is_too_long_or_taken_is_refused() {
    let sandbox = Sandbox::new();
    let long = sandbox.path().join("s".repeat(200));
    sandbox
        .run_daemon(["--socket", long.to_str().unwrap()])
        .expect(SETUP)
        .complains("--socket");
    fs::create_dir(sandbox.socket().parent().unwrap()).unwrap();
    fs::write(sandbox.socket(), "mine").unwrap();
    sandbox.run_daemon::<&str>([]).expect(SETUP).complains("taken by a file");
    assert_eq!(fs::read(sandbox.socket()).unwrap(), b"mine");
    fs::remove_file(sandbox.socket()).unwrap();
    symlink("/tmp/elsewhere", sandbox.socket()).unwrap();
    sandbox.run_daemon::<&str>([]).expect(SETUP).complains("symbolic link");
    fs::remove_file(sandbox.socket()).unwrap();
    fs::set_permissions(sandbox.socket().parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    sandbox.run_daemon::<&str>([]).expect(SETUP).complains("chmod 700");
}

#[test]
fn a_configuration_that_is_damaged_is_refused_and_its_last_good_copy_is_named() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.start();
    let more = sandbox.path().join("more videos");
    fs::create_dir(&more).unwrap();
    sandbox.run(["add", more.to_str().unwrap()]).expect(0);
    let good = fs::read_to_string(sandbox.config()).unwrap();
    // The copy exists while the daemon runs, and contains what was added.
    let copy = sandbox.data().join("config.toml.last-good");
    assert_eq!(fs::read_to_string(&copy).unwrap(), good);
    daemon.kill();
    fs::write(sandbox.config(), &good[..good.len() - 5]).unwrap();
    sandbox
        .run_daemon::<&str>([])
        .expect(SETUP)
        .complains("config.toml:")
        .complains(copy.to_str().unwrap());
    fs::copy(&copy, sandbox.config()).unwrap();
    let _daemon = sandbox.start();
    sandbox.say("folders").expect(0).says("more videos");
}
