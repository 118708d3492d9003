//! The choice of a player, on desktops made of a few files.

#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

/// A home, a system's data folder and a folder of programs.
struct Desktop {
    folder: TempDir,
    environment: Environment,
}

impl Desktop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).into_os_string();
        let environment = Environment {
            player: None,
            path: vec![folder.path().join("bin")],
            has_display: true,
            xdg: desktop::Folders::new(|name| match name {
                "HOME" => Some(at("home")),
                "XDG_DATA_DIRS" => Some(at("share")),
                "XDG_CONFIG_DIRS" => Some(at("etc")),
                "XDG_CURRENT_DESKTOP" => Some("GNOME:Other".into()),
                _ => None,
            }),
        };
        Self { folder, environment }
    }

    fn put(&self, place: &str, text: &str) {
        let path = self.folder.path().join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str) {
        let place = format!("bin/{name}");
        self.put(&place, "");
        fs::set_permissions(self.folder.path().join(place), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn application(&self, id: &str, exec: &str) {
        let text = format!("[Desktop Entry]\nType=Application\nName=The {id}\nExec={exec}\n[Desktop Action x]\nExec=wrong\n");
        self.put(&format!("share/applications/{id}.desktop"), &text);
    }

    fn default(&self, place: &str, id: &str) {
        self.put(place, &format!("[Default Applications]\nvideo/mp4={id}.desktop;\n"));
    }

    /// Returns the program's name and arguments for a video at 12.345 s.
    fn plan(&self, file: &str) -> Result<(String, Vec<String>, bool), PlayerError> {
        let moment = Moment {
            file: Path::new(file),
            place: Some(Place::Time { at_ms: 12_345 }),
            track: None,
        };
        let plan = plan(moment, &self.environment)?;
        let arguments = plan
            .arguments
            .iter()
            .map(|argument| argument.to_str().unwrap().to_owned())
            .collect();
        Ok((
            plan.program.file_name().unwrap().to_str().unwrap().to_owned(),
            arguments,
            plan.is_told_time,
        ))
    }
}

#[test]
fn every_player_is_told_in_its_own_way() {
    let check = |id: &str, exec: &str, expected: &[&str], is_told: bool| {
        let desktop = Desktop::new();
        for name in [
            "mpv",
            "vlc",
            "celluloid",
            "totem",
            "haruna",
            "mplayer",
            "smplayer",
            "flatpak",
            "snap",
        ] {
            desktop.program(name);
        }
        desktop.application(id, exec);
        desktop.default("home/.config/mimeapps.list", id);
        let (program, arguments, told) = desktop.plan("/films/a b.mp4").unwrap();
        assert_eq!(
            (
                [&[program.as_str()], &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat(),
                told
            ),
            (expected.to_vec(), is_told),
            "{exec}"
        );
    };
    check(
        "mpv",
        "mpv --player-operation-mode=pseudo-gui -- %U",
        &[
            "mpv",
            "--player-operation-mode=pseudo-gui",
            "--start=12.345",
            "--",
            "file:///films/a%20b.mp4",
        ],
        true,
    );
    check("mpv", "mpv %f", &["mpv", "--start=12.345", "/films/a b.mp4"], true);
    check(
        "vlc",
        "/usr/bin/env vlc --started-from-file %U",
        &["env", "vlc", "--no-one-instance", "--start-time=12.345", "file:///films/a%20b.mp4"],
        true,
    );
    check(
        "org.videolan.VLC",
        "flatpak run --command=vlc --file-forwarding org.videolan.VLC --started-from-file @@u %U @@",
        &[
            "flatpak",
            "run",
            "--command=vlc",
            "--file-forwarding",
            "org.videolan.VLC",
            "--no-one-instance",
            "--start-time=12.345",
            "@@u",
            "file:///films/a%20b.mp4",
            "@@",
        ],
        true,
    );
    check(
        "io.github.celluloid_player.Celluloid",
        "celluloid %U",
        &["celluloid", "--mpv-start=12.345", "file:///films/a%20b.mp4"],
        true,
    );
    check(
        "mplayer",
        "mplayer \"%F\" %i",
        &["mplayer", "-ss", "12.345", "/films/a b.mp4"],
        true,
    );
    check(
        "smplayer",
        "smplayer %U",
        &["smplayer", "-start", "12", "file:///films/a%20b.mp4"],
        true,
    );
    check("org.kde.haruna", "haruna %u", &["haruna", "file:///films/a%20b.mp4"], false);
    // A name that is also shell syntax stays a name; `%%` is a percent sign; without a field code the file goes last.
    check(
        "odd",
        "mpv --title=%c;$(id) 100%%",
        &["mpv", "--title=The odd;$(id)", "100%", "--start=12.345", "/films/a b.mp4"],
        true,
    );
}

#[test]
fn names_stay_one_argument_and_one_url() {
    let desktop = Desktop::new();
    desktop.program("mpv");
    desktop.application("mpv", "mpv -- %U");
    desktop.default("home/.config/mimeapps.list", "mpv");
    let url = |name: &[u8]| {
        let path = PathBuf::from("/f").join(OsStr::from_bytes(name));
        let moment = Moment {
            file: &path,
            place: None,
            track: None,
        };
        plan(moment, &desktop.environment).unwrap().arguments[1]
            .clone()
            .into_string()
            .unwrap()
    };
    assert_eq!(url(b"-dash.mp4"), "file:///f/-dash.mp4");
    assert_eq!(url(b"%U %41 a.mp4"), "file:///f/%25U%20%2541%20a.mp4");
    assert_eq!(url(b"http:?#x.mp4"), "file:///f/http%3A%3F%23x.mp4");
    assert_eq!(url(b"q\"'`$(x)\n\x1b.mp4"), "file:///f/q%22%27%60%24%28x%29%0A%1B.mp4");
    assert_eq!(url(b"caf\xe9;&.mp4"), "file:///f/caf%E9%3B%26.mp4");
    // Plain paths are passed whole.
    desktop.application("mpv", "mpv -- %f");
    let path = PathBuf::from("/f").join(OsStr::from_bytes(b"%U \"caf\xe9\".mp4"));
    let found = plan(
        Moment {
            file: &path,
            place: None,
            track: None,
        },
        &desktop.environment,
    )
    .unwrap();
    assert_eq!(found.arguments[1], path.as_os_str());
}

#[test]
fn the_users_own_list_wins_and_what_is_not_there_is_passed_over() {
    let desktop = Desktop::new();
    for name in ["mpv", "vlc", "totem"] {
        desktop.program(name);
    }
    desktop.put(
        "share/applications/mimeinfo.cache",
        "[MIME Cache]\nvideo/mp4=totem.desktop;gone.desktop;\n",
    );
    desktop.application("totem", "totem %U");
    let program = |file: &str| desktop.plan(file).unwrap().0;
    assert_eq!(program("/a.mp4"), "totem");
    desktop.application("vlc", "vlc %U");
    desktop.default("share/applications/mimeapps.list", "vlc");
    assert_eq!(program("/a.mp4"), "vlc");
    desktop.application("mpv", "mpv %U");
    desktop.default("home/.config/gnome-mimeapps.list", "mpv");
    assert_eq!(program("/a.mp4"), "mpv");
    // A default that is gone, hidden, not installed, in a terminal, or outside the folder: the next one is used.
    for bad in ["gone", "../../evil", "hidden", "uninstalled", "terminal"] {
        desktop.default("home/.config/mimeapps.list", bad);
        desktop.put("evil.desktop", "[Desktop Entry]\nType=Application\nExec=totem %U\n");
        desktop.put(
            "share/applications/hidden.desktop",
            "[Desktop Entry]\nType=Application\nHidden=true\nExec=totem %U\n",
        );
        desktop.put(
            "share/applications/uninstalled.desktop",
            "[Desktop Entry]\nType=Application\nExec=nothing %U\n",
        );
        desktop.put(
            "share/applications/terminal.desktop",
            "[Desktop Entry]\nType=Application\nTerminal=true\nExec=totem %U\n",
        );
        assert_eq!(program("/a.mp4"), "mpv", "{bad}");
    }
    // Another type has no default: an installed player is used, in the order of the table.
    assert_eq!(program("/a.webm"), "mpv");
    assert_eq!(desktop.plan("/a.webm").unwrap().1, ["--start=12.345", "/a.webm"]);
    // An association that the user removed is not offered again.
    desktop.put("home/.config/mimeapps.list", "[Removed Associations]\nvideo/mp4=totem.desktop;\n");
    fs::remove_file(desktop.folder.path().join("home/.config/gnome-mimeapps.list")).unwrap();
    fs::remove_file(desktop.folder.path().join("share/applications/mimeapps.list")).unwrap();
    assert_eq!(desktop.plan("/a.mp4").unwrap().1, ["--start=12.345", "/a.mp4"]);
}

#[test]
fn the_users_own_command_wins_over_all() {
    let mut desktop = Desktop::new();
    for name in ["mpv", "mine", "totem"] {
        desktop.program(name);
    }
    desktop.application("totem", "totem %U");
    desktop.default("home/.config/mimeapps.list", "totem");
    let mut check = |command: &str, expected: &[&str], is_told: bool| {
        desktop.environment.player = Some(command.into());
        let (program, arguments, told) = desktop.plan("/a b.mp4").unwrap();
        assert_eq!((program.as_str(), told), (expected[0], is_told), "{command}");
        assert_eq!(arguments, expected[1..], "{command}");
    };
    check("mpv --fs", &["mpv", "--fs", "--start=12.345", "/a b.mp4"], true);
    check("mine", &["mine", "/a b.mp4"], false);
    check(
        "mine --at \"{seconds} s\" file={file}",
        &["mine", "--at", "12.345 s", "file=/a b.mp4"],
        true,
    );
    let mut refuse = |command: &str, expected: PlayerError| {
        desktop.environment.player = Some(command.into());
        assert_eq!(desktop.plan("/a.mp4").unwrap_err(), expected);
    };
    refuse("gone --x", PlayerError::NoSuchProgram("gone".into()));
    refuse("\"mine", PlayerError::BadOverride("a quotation mark is never closed".to_owned()));
    refuse("  ", PlayerError::BadOverride("it names no program".to_owned()));
}

#[test]
fn without_a_player_or_a_display_it_is_said() {
    let mut desktop = Desktop::new();
    assert_eq!(desktop.plan("/a.mp4").unwrap_err(), PlayerError::NoPlayer("/a.mp4".into()));
    // The last resort cannot seek to a time.
    desktop.program("xdg-open");
    assert_eq!(
        desktop.plan("/a.mp4").unwrap(),
        ("xdg-open".to_owned(), vec!["/a.mp4".to_owned()], false)
    );
    desktop.environment.has_display = false;
    assert_eq!(desktop.plan("/a.mp4").unwrap_err(), PlayerError::NoDisplay);
    desktop.program("mine");
    desktop.environment.player = Some("mine".into());
    assert_eq!(desktop.plan("/a.mp4").unwrap().0, "mine");
}
