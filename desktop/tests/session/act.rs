//! `scened-desktop act`, which the menus of file managers run.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use testkit::Ran;

use crate::life::Monitor;
use crate::world::{World, is_possible};

/// Runs an action as a menu does.
fn act(world: &World, action: &str, path: &OsStr) -> Ran {
    let mut command = Command::new(world.home.path().join("libexec/scened/scened-desktop"));
    command.args(["act", action]).arg(path);
    world.environment(&mut command);
    command.env("DBUS_SESSION_BUS_ADDRESS", &world.bus().address);
    Ran::from(&command.output().unwrap())
}

#[test]
fn a_video_with_any_name_gets_its_pages() {
    if !is_possible() {
        return;
    }
    // -a $(touch x)\n"'<b>&%F café(latin 1).mp4
    let video = OsStr::from_bytes(b"/f/-a $(touch x)\n\"'<b>&%F;`id`@5 caf\xe9\x1b[31m.mp4");
    for (action, verb, flag) in [
        ("like", &["similar", "-n", "60"][..], "--html"),
        ("scenes", &["sheet"][..], "--output"),
    ] {
        let world = World::new(&[]);
        act(&world, action, video).expect(0);
        let page = world.home.path().join("run/scened/search.html").into_os_string();
        let mut expected = vec![OsString::from("--socket"), world.socket()];
        expected.extend(verb.iter().map(OsString::from));
        expected.extend([video.to_owned(), "--force".into(), flag.into(), page.clone()]);
        assert_eq!(world.called("scenectl"), expected);
        assert_eq!(world.called("xdg-open"), [page]);
    }
}

#[test]
fn words_for_a_folder_are_asked_for_and_go_where_no_flag_is_read() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[]);
    world.answer_dialog("--json $(id) a dog\n");
    act(&world, "search", "/home/u/<b>Videos".as_ref()).expect(0);
    let dialog = world.called("zenity");
    assert_eq!(
        dialog,
        ["--title=Search videos in <b>Videos", "--entry", "--text=What do the scenes show?"]
    );
    let call = world.called("scenectl");
    assert_eq!(call[2..7], ["search", "-n", "60", "--in", "/home/u/<b>Videos"].map(OsString::from));
    assert_eq!(call[call.len() - 2..], ["--", "--json $(id) a dog"].map(OsString::from));
    world.called("xdg-open");
}

#[test]
fn a_dialog_that_is_closed_does_nothing() {
    if !is_possible() {
        return;
    }
    for action in ["search", "unindex"] {
        let world = World::new(&[]);
        fs::write(world.record("zenity.says"), "").unwrap();
        fs::write(world.record("zenity.status"), "1").unwrap();
        act(&world, action, "/v".as_ref()).expect(0);
        world.called("zenity");
        assert_eq!(world.calls("scenectl").len(), 0, "{action}");
    }
}

#[test]
fn a_folder_is_indexed_and_no_longer_indexed() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[]);
    let monitor = Monitor::start(world.bus());
    act(&world, "index", "/v/-x".as_ref()).expect(0);
    assert_eq!(world.called("scenectl")[2..], ["add", "/v/-x"].map(OsString::from));
    monitor.wait_for("-x is being indexed");

    let world = World::new(&[]);
    world.answer_dialog("");
    act(&world, "unindex", "/v/-x".as_ref()).expect(0);
    assert_eq!(
        world.called("zenity")[..2],
        ["--title=Stop indexing -x?", "--question"].map(OsString::from)
    );
    assert_eq!(world.called("scenectl")[2..], ["remove", "--yes", "/v/-x"].map(OsString::from));
}

#[test]
fn a_daemon_that_is_off_is_told_with_what_to_do() {
    if !is_possible() {
        return;
    }
    let world = World::without_daemon("");
    world.fail(
        "scenectl",
        "error: the daemon cannot be reached\nhint: start it with `systemctl --user start scened`\n",
    );
    let monitor = Monitor::start(world.bus());
    act(&world, "scenes", "/v/<i>a.mp4".as_ref())
        .expect(2)
        .complains("systemctl --user start scened");
    let told = monitor.wait_for("systemctl --user start scened");
    assert!(told.contains("The scenes of <i>a.mp4 could not be shown"), "{told}");
}

#[test]
fn without_a_bus_it_works_and_complains_on_standard_error() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[]);
    world.fail("scenectl", "error: no such video\n");
    let mut command = Command::new(world.home.path().join("libexec/scened/scened-desktop"));
    world.environment(&mut command);
    command
        .args(["act", "like", "/a.mp4"])
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere");
    Ran::from(&command.output().unwrap()).expect(2).complains("no such video");
}
