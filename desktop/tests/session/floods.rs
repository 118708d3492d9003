//! Requests beyond the first few are refused: not every call may cost a program, a notification or a thread.

use std::process::{Child, Command, Stdio};

use testkit::{processes, wait_until};

use crate::SOON;
use crate::life::Monitor;
use crate::world::{GNOME, NAME, World, hit, id, is_possible, text, texts};

const N_CALLS: usize = 60;
/// The first few, plus what a slow machine may add in the meantime.
const MANY: usize = 20;

/// Calls a method repeatedly, without waiting for answers.
fn flood(world: &World, path: &str, method: &str, arguments: &[String]) -> Vec<Child> {
    let call = || {
        let mut command = Command::new("gdbus");
        command.args(["call", "--session", "--timeout", "60", "--dest", NAME, "--object-path", path]);
        command.args(["--method", method, "--"]).args(arguments);
        command.env("DBUS_SESSION_BUS_ADDRESS", &world.bus().address);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    (0..N_CALLS).map(|_| call()).collect()
}

fn n_refused(calls: Vec<Child>) -> usize {
    let said = calls.into_iter().map(|call| call.wait_with_output().unwrap().stderr);
    said.filter(|said| String::from_utf8_lossy(said).contains("LimitsExceeded")).count()
}

#[test]
fn a_flood_of_choices_starts_a_handful_of_players() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[hit("/a.mp4", "a-1")]);
    world.ids_of(&["dog"]);
    let arguments = [text(&id("a-1", "dog")), text("")];
    let refused = n_refused(flood(
        &world,
        "/org/scened/Desktop/KRunner",
        &format!("{}.Run", crate::world::KDE),
        &arguments,
    ));
    let n_started = world.calls("scenectl").len();
    assert!(
        (1..=MANY).contains(&n_started) && refused + n_started == N_CALLS,
        "{n_started} started, {refused} refused"
    );
    // Other requests still work.
    assert!(world.ids_of(&["dog"]).contains("a-1"));
}

#[test]
fn programs_that_hang_are_a_handful_and_are_ended() {
    if !is_possible() {
        return;
    }
    let world = World::with(&[hit("/a.mp4", "a-1")], " --timeout 2");
    world.hang("scenectl");
    let monitor = Monitor::start(world.bus());
    let calls = flood(
        &world,
        "/org/scened/Desktop/SearchProvider",
        &format!("{GNOME}.LaunchSearch"),
        &[texts(&["dog"]), "0".to_owned()],
    );
    monitor.wait_for("did not end within 2 s");
    let refused = n_refused(calls);
    let n_started = world.calls("scenectl").len();
    assert!(
        (1..=MANY).contains(&n_started) && refused + n_started == N_CALLS,
        "{n_started} started, {refused} refused"
    );
    wait_until("the programs to be ended", SOON, || {
        let left: Vec<u32> = world.pids("scenectl").into_iter().filter(|pid| processes::is_alive(*pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn a_flood_of_failures_is_a_handful_of_notifications() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[hit("/a.mp4", "a-1")]);
    world.ids_of(&["dog"]);
    world.fail("scenectl", "error: no\n");
    let monitor = Monitor::start(world.bus());
    let arguments = [text(&id("a-1", "dog")), texts(&["dog"]), "0".to_owned()];
    n_refused(flood(
        &world,
        "/org/scened/Desktop/SearchProvider",
        &format!("{GNOME}.ActivateResult"),
        &arguments,
    ));
    // One more notification, recognizable among the others, marks the end.
    Command::new(env!("CARGO_BIN_EXE_scened-desktop"))
        .args(["act", "index", "/the-end"])
        .envs([("DBUS_SESSION_BUS_ADDRESS", world.bus().address.as_str())])
        .env("PATH", format!("{}:/usr/bin:/bin", world.home.path().join("bin").display()))
        .env("RECORDS", world.record(""))
        .env("SCENED_SOCKET", world.socket())
        .env("XDG_RUNTIME_DIR", world.home.path().join("run"))
        .output()
        .unwrap();
    let told = monitor.wait_for("the-end");
    let n_told = told.matches("member=Notify").count();
    assert!((2..=MANY).contains(&n_told), "{n_told}: {told}");
}

#[test]
fn menus_do_a_handful_at_a_time() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[]);
    world.hang("zenity");
    let act = |action: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scened-desktop"));
        world.environment(&mut command);
        command
            .args(["act", action, "/films"])
            .env("DBUS_SESSION_BUS_ADDRESS", &world.bus().address);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut calls: Vec<Child> = (0..12).map(|_| act("search")).collect();
    wait_until("those that are too many to be refused", SOON, || {
        let n_left = calls
            .iter_mut()
            .filter_map(|call| call.try_wait().unwrap().is_none().then_some(()))
            .count();
        if n_left == 5 { Ok(()) } else { Err(format!("{n_left} are there")) }
    });
    assert_eq!(world.calls("zenity").len(), 5);
    for call in &mut calls {
        call.kill().unwrap_or_default();
    }
    for pid in world.pids("zenity") {
        processes::signal(pid, "KILL");
    }
    let said: Vec<_> = calls.into_iter().map(|call| call.wait_with_output().unwrap().stderr).collect();
    let n_refused = said
        .iter()
        .filter(|said| String::from_utf8_lossy(said).contains("such actions are already running"))
        .count();
    assert_eq!(n_refused, 7);
}
