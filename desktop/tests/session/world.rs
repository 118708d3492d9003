//! A test session: a bus, a fake daemon with preset answers, and the programs laid out as by `make install`.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scened_shared::frame::{self, RpcError};
use scened_shared::hello;
use scened_shared::message::ErrorKind;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Ran, wait_until};

use crate::SOON;

pub(crate) const NAME: &str = "org.scened.Desktop";
pub(crate) const GNOME: &str = "org.gnome.Shell.SearchProvider2";
pub(crate) const KDE: &str = "org.kde.krunner1";

/// A red picture.
pub(crate) const JPEG: &[u8] = include_bytes!("../data/red-320x180.jpg");

/// Records its arguments, each ended by a NUL, one file per call; then follows its instructions, if there are any.
const RECORDER: &str = r#"#!/bin/sh
me=$(basename "$0")
printf '%s\0' "$@" >"$RECORDS/$me.$$.new"
printf '%s' "${DESKTOP_STARTUP_ID:-}" >"$RECORDS/$me.startup-id"
mv "$RECORDS/$me.$$.new" "$RECORDS/$me.$$.call"
[ ! -e "$RECORDS/$me.hangs" ] || exec sleep 600
[ ! -e "$RECORDS/$me.prints" ] || cat "$RECORDS/$me.prints"
[ ! -e "$RECORDS/$me.says" ] || { cat "$RECORDS/$me.says" >&2; exit "$(cat "$RECORDS/$me.status" 2>/dev/null || echo 3)"; }
"#;

/// The daemon's answers, and the requests it received.
#[derive(Default)]
struct Answers {
    hits: Vec<Value>,
    has_thumbnails: bool,
    asked: Vec<(String, Value)>,
    /// A query that is answered only after it is released.
    held: Option<String>,
}

pub(crate) struct World {
    pub(crate) home: TempDir,
    answers: Arc<(Mutex<Answers>, Condvar)>,
    bus: Bus,
}

/// A running `dbus-daemon`; killed on drop, whereupon the programs that it started lose their bus and end.
pub(crate) struct Bus {
    child: Child,
    pub(crate) address: String,
    folder: TempDir,
}

impl Drop for Bus {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
        if std::thread::panicking() {
            let log = fs::read(self.log()).unwrap_or_default();
            eprintln!("--- the log of the bus and of scened-desktop:\n{}", String::from_utf8_lossy(&log));
        }
    }
}

/// Returns whether the programs that the tests need are installed; prints a message if not.
pub(crate) fn is_possible() -> bool {
    let missing = ["dbus-daemon", "gdbus", "dbus-monitor"]
        .into_iter()
        .find(|name| !Path::new("/usr/bin").join(name).is_file());
    if let Some(name) = missing {
        eprintln!("NOT RUN: {name} is not installed, so scened-desktop was not tried on a bus");
    }
    missing.is_none()
}

impl Bus {
    /// Starts a bus that starts the programs of `services`, in the environment that `prepare` sets up.
    pub(crate) fn start(services: &Path, prepare: impl FnOnce(&mut Command)) -> Self {
        // Plain characters only: zbus 6.2.1 takes escapes in an address literally.
        let folder = tempfile::Builder::new().prefix("scened-bus-").tempdir().unwrap();
        let config = folder.path().join("bus.conf");
        let text = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
             <busconfig><type>session</type><listen>unix:path={}</listen><servicedir>{}</servicedir>\
             <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>\
             </policy></busconfig>",
            folder.path().join("bus").display(),
            services.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("dbus-daemon");
        let mut option = OsString::from("--config-file=");
        option.push(&config);
        command.arg(option).args(["--nofork", "--nopidfile", "--print-address=1"]);
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        assert!(address.starts_with("unix:"), "{address:?}");
        Self { child, address, folder }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Runs `gdbus call`, with arguments in GVariant's text format.
    pub(crate) fn call(&self, service: &str, path: &str, method: &str, arguments: &[String]) -> Ran {
        let mut command = Command::new("gdbus");
        command.args([
            "call",
            "--session",
            "--dest",
            service,
            "--object-path",
            path,
            "--method",
            method,
            "--",
        ]);
        let output = command
            .args(arguments)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        Ran::from(&output)
    }

    /// Returns whether the name has an owner.
    pub(crate) fn has(&self, name: &str) -> bool {
        let ran = self.call(
            "org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus.NameHasOwner",
            &[text(name)],
        );
        ran.expect(0).stdout.contains("true")
    }
}

fn environment(home: &Path, command: &mut Command) {
    command
        .env("SCENED_SOCKET", home.join("run/s"))
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env("RECORDS", home.join("records"))
        .env("HOME", "/home/u")
        .env("PATH", format!("{}:/usr/bin:/bin", home.join("bin").display()))
        .env_remove("XDG_CURRENT_DESKTOP");
}

/// Copies a program in another process. Otherwise a child that another test starts meanwhile would hold our file open for writing, and a
/// file open for writing cannot be executed.
pub(crate) fn put(from: &Path, to: &Path) {
    let status = Command::new("install").args(["-m", "755"]).args([from, to]).status().unwrap();
    assert!(status.success(), "{status}");
}

/// Puts the programs and the service file where `make install` does.
pub(crate) fn lay_out(home: &Path, arguments: &str) {
    for folder in ["libexec/scened", "bin", "services", "records", "run"] {
        fs::create_dir_all(home.join(folder)).unwrap();
    }
    fs::set_permissions(home.join("run"), fs::Permissions::from_mode(0o700)).unwrap();
    let program = home.join("libexec/scened/scened-desktop");
    put(Path::new(env!("CARGO_BIN_EXE_scened-desktop")), &program);
    let script = home.join("recorder");
    fs::write(&script, RECORDER).unwrap();
    for name in ["scenectl", "xdg-open", "zenity"] {
        put(&script, &home.join("bin").join(name));
    }
    let service = format!("[D-BUS Service]\nName={NAME}\nExec=\"{}\"{arguments}\n", program.display());
    fs::write(home.join("services/org.scened.Desktop.service"), service).unwrap();
}

impl World {
    /// Makes a session with a daemon that finds `hits` for every query.
    pub(crate) fn new(hits: &[Value]) -> Self {
        Self::with(hits, "")
    }

    /// The same, with arguments for `scened-desktop`, each preceded by a space.
    pub(crate) fn with(hits: &[Value], arguments: &str) -> Self {
        let world = Self::without_daemon(arguments);
        world.change(|answers| {
            answers.hits = hits.to_vec();
            answers.has_thumbnails = true;
        });
        world.listen();
        world
    }

    /// Makes a session without a daemon at the socket.
    pub(crate) fn without_daemon(arguments: &str) -> Self {
        // A space and a quote, because real folders have them.
        let home = tempfile::Builder::new().prefix("scened desk's ").tempdir().unwrap();
        lay_out(home.path(), arguments);
        let bus = Bus::start(&home.path().join("services"), |command| environment(home.path(), command));
        Self {
            home,
            answers: Arc::default(),
            bus,
        }
    }

    /// Sets the environment of every program in this session.
    pub(crate) fn environment(&self, command: &mut Command) {
        environment(self.home.path(), command);
    }

    /// Sets what the user types into the next dialog.
    pub(crate) fn answer_dialog(&self, words: &str) {
        fs::write(self.record("zenity.prints"), words).unwrap();
    }

    fn change<T>(&self, change: impl FnOnce(&mut Answers) -> T) -> T {
        let changed = change(&mut self.answers.0.lock().unwrap());
        self.answers.1.notify_all();
        changed
    }

    /// Starts the daemon.
    pub(crate) fn listen(&self) {
        let listener = UnixListener::bind(self.home.path().join("run/s")).unwrap();
        let answers = Arc::clone(&self.answers);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut writer, answers) = (stream.unwrap(), Arc::clone(&answers));
                std::thread::spawn(move || {
                    for line in BufReader::new(writer.try_clone().unwrap()).split(b'\n') {
                        let Ok(line) = line else { return };
                        let request = frame::parse_request(&line).unwrap();
                        let outcome = answer(&answers, &request.method, &request.params);
                        if writer.write_all(&frame::encode_response(&request.id, &outcome)).is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }

    pub(crate) fn find(&self, hits: &[Value]) {
        self.change(|answers| answers.hits = hits.to_vec());
    }

    /// Drops all pictures.
    pub(crate) fn drop_thumbnails(&self) {
        self.change(|answers| answers.has_thumbnails = false);
    }

    /// Makes the daemon hold its answer to a query, as when it wakes the model; `None` releases it.
    pub(crate) fn hold(&self, query: Option<&str>) {
        self.change(|answers| answers.held = query.map(str::to_owned));
    }

    /// Returns the queries that the daemon received, in order.
    pub(crate) fn queries(&self) -> Vec<String> {
        self.change(|answers| {
            let searches = answers.asked.iter().filter(|(method, _)| method == "search");
            searches.map(|(_, params)| params["query"].as_str().unwrap().to_owned()).collect()
        })
    }

    /// Returns the parameters of the last search.
    pub(crate) fn last_search(&self) -> Value {
        let searched = self.change(|answers| answers.asked.iter().rfind(|(method, _)| method == "search").cloned());
        searched.unwrap().1
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    pub(crate) fn gnome(&self, method: &str, arguments: &[String]) -> Ran {
        let path = "/org/scened/Desktop/SearchProvider";
        self.bus.call(NAME, path, &format!("{GNOME}.{method}"), arguments)
    }

    pub(crate) fn kde(&self, method: &str, arguments: &[String]) -> Ran {
        self.bus
            .call(NAME, "/org/scened/Desktop/KRunner", &format!("{KDE}.{method}"), arguments)
    }

    /// Repeats a search, as a user who keeps typing does, until something is found.
    pub(crate) fn ids_of(&self, terms: &[&str]) -> String {
        wait_until("results", SOON, || {
            let said = self.gnome("GetInitialResultSet", &[texts(terms)]).expect(0).stdout;
            if said.trim() == "(@as [],)" { Err(said) } else { Ok(said) }
        })
    }

    /// Repeats a call until its answer contains `what`. Pictures may be late on a busy machine, and arrive at the next key press.
    pub(crate) fn says_at_last(&self, what: &str, call: impl Fn(&Self) -> Ran) -> String {
        wait_until(what, SOON, || {
            let said = call(self).expect(0).stdout;
            if said.contains(what) { Ok(said) } else { Err(said) }
        })
    }

    /// Returns the arguments of the first call of a program.
    pub(crate) fn called(&self, name: &str) -> Vec<OsString> {
        wait_until(&format!("{name} to be called"), SOON, || {
            self.calls(name).into_iter().next().ok_or_else(|| "no call".to_owned())
        })
    }

    /// Returns all calls of a program.
    pub(crate) fn calls(&self, name: &str) -> Vec<Vec<OsString>> {
        let entries = fs::read_dir(self.record("")).unwrap().flatten();
        let calls = entries.filter(|entry| {
            let file = entry.file_name().into_string().unwrap();
            file.starts_with(&format!("{name}.")) && entry.path().extension().is_some_and(|kind| kind == "call")
        });
        calls
            .map(|call| {
                let bytes = fs::read(call.path()).unwrap();
                let words = bytes.strip_suffix(&[0]).unwrap_or(&bytes).split(|&byte| byte == 0);
                words.map(|word| OsString::from_vec(word.to_vec())).collect()
            })
            .collect()
    }

    /// Returns the processes that ran a program.
    pub(crate) fn pids(&self, name: &str) -> Vec<u32> {
        let entries = fs::read_dir(self.record("")).unwrap().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names
            .filter_map(|file| file.strip_prefix(&format!("{name}."))?.strip_suffix(".call")?.parse().ok())
            .collect()
    }

    pub(crate) fn record(&self, name: &str) -> PathBuf {
        self.home.path().join("records").join(name)
    }

    /// Makes a program fail with this message.
    pub(crate) fn fail(&self, name: &str, says: &str) {
        fs::write(self.record(&format!("{name}.says")), says).unwrap();
    }

    /// Makes a program hang without printing anything.
    pub(crate) fn hang(&self, name: &str) {
        fs::write(self.record(&format!("{name}.hangs")), "").unwrap();
    }

    pub(crate) fn socket(&self) -> OsString {
        self.home.path().join("run/s").into()
    }
}

fn answer(answers: &(Mutex<Answers>, Condvar), method: &str, params: &Value) -> Result<Value, RpcError> {
    let (answers, changed) = answers;
    let mut answers = answers.lock().unwrap();
    answers.asked.push((method.to_owned(), params.clone()));
    match method {
        "hello" => Ok(serde_json::to_value(hello::welcome("1")).unwrap()),
        "search" => {
            while answers.held.as_deref().is_some_and(|held| params["query"] == held) {
                answers = changed.wait(answers).unwrap();
            }
            let coverage = json!({"indexed": 1, "pending": 0, "failed": 0, "offline": 0});
            Ok(json!({"query": params["query"], "model": "starter", "hits": answers.hits, "coverage": coverage}))
        }
        "thumbnail" if answers.has_thumbnails => Ok(json!({"jpeg": STANDARD.encode(JPEG)})),
        _ => Err(RpcError::new(ErrorKind::NotFound, format!("no {method}"))),
    }
}

pub(crate) fn hit(path: &str, scene: &str) -> Value {
    json!({"path": path, "start_ms": 190_000, "end_ms": 199_000, "best_ms": 192_500, "score": 0.27, "confidence": 0.7,
           "video": "v", "scene": scene, "offline": false, "duration_ms": 600_000})
}

/// Returns the id of a scene for a query.
pub(crate) fn id(scene: &str, query: &str) -> String {
    serde_json::to_string(&[scene, query]).unwrap()
}

/// Formats a string for gdbus: JSON's escapes are valid in GVariant as well.
pub(crate) fn text(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

pub(crate) fn texts(texts: &[&str]) -> String {
    serde_json::to_string(texts).unwrap()
}
