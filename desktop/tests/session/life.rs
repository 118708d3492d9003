//! Starting, ending, and missing programs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Instant;

use testkit::{Ran, wait_until};

use crate::SOON;
use crate::world::{Bus, NAME, World, hit, id, is_possible, text, texts};

#[test]
fn it_ends_when_nobody_asks_and_names_are_good_in_the_next_one() {
    if !is_possible() {
        return;
    }
    let world = World::with(&[hit("/a.mp4", "a-1")], " --idle 1");
    world.ids_of(&["dog"]);
    wait_until("scened-desktop to end", SOON, || {
        if world.bus().has(NAME) {
            Err("it has its name".to_owned())
        } else {
            Ok(())
        }
    });
    world
        .gnome("ActivateResult", &[text(&id("a-1", "dog")), texts(&["dog"]), "0".to_owned()])
        .expect(0);
    assert_eq!(world.called("scenectl")[3], "/a.mp4@192.500");
}

#[test]
fn without_a_daemon_answers_are_empty_and_it_is_found_when_it_comes() {
    if !is_possible() {
        return;
    }
    let world = World::without_daemon("");
    assert_eq!(
        world.gnome("GetInitialResultSet", &[texts(&["dog"])]).expect(0).stdout.trim(),
        "(@as [],)"
    );
    assert_eq!(world.kde("Match", &[text("dog")]).expect(0).stdout.trim(), "(@a(sssida{sv}) [],)");
    world
        .kde("Run", &[text(&id("a-1", "dog")), text("")])
        .expect(1)
        .complains("there is no such match");
    world.listen();
    world.find(&[hit("/a.mp4", "a-1")]);
    assert!(world.ids_of(&["dog"]).contains("a-1"));
}

#[test]
fn why_a_video_does_not_open_is_a_notification_without_markup() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[hit("/<b>a.mp4", "a-1")]);
    world.ids_of(&["dog"]);
    world.fail("scenectl", "error: <b>a.mp4 is offline\nhint: plug its drive in\n");
    let monitor = Monitor::start(world.bus());
    world
        .gnome("ActivateResult", &[text(&id("a-1", "dog")), texts(&["dog"]), "0".to_owned()])
        .expect(0);
    let told = monitor.wait_for("plug its drive in");
    assert!(told.contains("member=Notify"), "{told}");
    assert!(
        told.contains("string \"<b>a.mp4 could not be opened\""),
        "the summary is plain text: {told}"
    );
    assert!(told.contains("error: &lt;b&gt;a.mp4 is offline"), "{told}");
}

#[test]
fn a_second_one_says_that_it_is_not_needed() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[hit("/a.mp4", "a-1")]);
    world.ids_of(&["dog"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_scened-desktop"));
    command.env("DBUS_SESSION_BUS_ADDRESS", &world.bus().address);
    let ran = Ran::from(&command.output().unwrap());
    ran.expect(2).complains("another scened-desktop serves this session");
}

#[test]
fn without_a_session_bus_it_says_so() {
    let home = tempfile::tempdir().unwrap();
    for address in [None, Some("unix:path=/nowhere/bus"), Some("nonsense")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scened-desktop"));
        command.env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", home.path());
        if let Some(address) = address {
            command.env("DBUS_SESSION_BUS_ADDRESS", address);
        }
        let ran = Ran::from(&command.output().unwrap());
        ran.expect(2).complains("there is no session bus").complains("dbus-run-session");
    }
}

#[test]
fn every_method_of_both_specifications_is_there_with_its_signature() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[]);
    let signatures = |path: &str, interface: &str| {
        let ran = world
            .bus()
            .call(NAME, path, "org.freedesktop.DBus.Introspectable.Introspect", &[])
            .expect(0);
        let xml = ran.stdout.replace("\\n", "\n");
        let start = xml
            .find(&format!("<interface name=\"{interface}\">"))
            .unwrap_or_else(|| panic!("{interface} in {xml}"));
        let body = &xml[start..][..xml[start..].find("</interface>").unwrap()];
        let mut methods: Vec<String> = body
            .split("<method name=\"")
            .skip(1)
            .map(|method| {
                let name = method.split('"').next().unwrap();
                let of = |direction: &str| {
                    let arguments = method
                        .split("<arg ")
                        .skip(1)
                        .filter(|argument| argument.contains(&format!("direction=\"{direction}\"")));
                    let types = arguments.map(|argument| argument.split("type=\"").nth(1).unwrap().split('"').next().unwrap());
                    types.collect::<Vec<_>>().join(" ")
                };
                format!("{name}({}) -> {}", of("in"), of("out"))
            })
            .collect();
        methods.sort();
        methods
    };
    assert_eq!(
        signatures("/org/scened/Desktop/SearchProvider", "org.gnome.Shell.SearchProvider2"),
        [
            "ActivateResult(s as u) -> ",
            "GetInitialResultSet(as) -> as",
            "GetResultMetas(as) -> aa{sv}",
            "GetSubsearchResultSet(as as) -> as",
            "LaunchSearch(as u) -> ",
        ]
    );
    assert_eq!(
        signatures("/org/scened/Desktop/KRunner", "org.kde.krunner1"),
        [
            "Actions() -> a(sss)",
            "Config() -> a{sv}",
            "Match(s) -> a(sssida{sv})",
            "Run(s s) -> ",
            "Teardown() -> ",
        ]
    );
}

/// The installed files name the paths that the program serves.
#[test]
fn the_files_that_are_installed_name_the_paths_that_are_served() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/org.scened.Desktop");
    let check = |extension: &str, lines: &[&str]| {
        let text = fs::read_to_string(format!("{data}.{extension}")).unwrap();
        for line in lines {
            assert!(text.lines().any(|own| own == *line), "{line} is not in {extension}");
        }
    };
    check("service", &["Name=org.scened.Desktop", "Exec=@libexec@/scened-desktop"]);
    check(
        "search-provider.ini",
        &[
            "DesktopId=org.scened.Desktop.desktop",
            "BusName=org.scened.Desktop",
            "ObjectPath=/org/scened/Desktop/SearchProvider",
            "Version=2",
        ],
    );
    check(
        "krunner.desktop",
        &[
            "X-Plasma-DBusRunner-Service=org.scened.Desktop",
            "X-Plasma-DBusRunner-Path=/org/scened/Desktop/KRunner",
            "X-Plasma-API=DBus",
        ],
    );
}

/// The traffic on the bus, line by line.
pub(crate) struct Monitor {
    child: Child,
    lines: Receiver<String>,
}

impl Monitor {
    pub(crate) fn start(bus: &Bus) -> Self {
        let mut child = Command::new("dbus-monitor")
            .args(["--address", &bus.address, "interface='org.freedesktop.Notifications'"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let reader = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = sync_channel(4096);
        std::thread::spawn(move || {
            for line in reader.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let monitor = Self { child, lines };
        // It prints this when it listens.
        monitor.wait_for("NameLost");
        monitor
    }

    /// Returns everything up to the line that contains `what`.
    pub(crate) fn wait_for(&self, what: &str) -> String {
        let deadline = Instant::now() + SOON;
        let mut seen = String::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    seen.push_str(&line);
                    seen.push('\n');
                    if line.contains(what) {
                        return seen;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("waited for {what:?}; seen: {seen}"),
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}
