//! A private home for one daemon: videos, data, config and socket in a temporary folder.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::{program, repository, videos, wait_until};

/// A daemon needs far less to open a store and its socket, even on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(20);

pub struct Sandbox {
    home: TempDir,
}

impl Sandbox {
    /// Creates an empty, watched videos folder, with a settle time of one second.
    pub fn new() -> Self {
        let home = tempfile::Builder::new()
            .prefix("scened-test-")
            .tempdir()
            .expect("a temporary folder");
        let sandbox = Self { home };
        fs::create_dir(sandbox.videos()).expect("a videos folder");
        sandbox.configure("");
        sandbox
    }

    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// Returns the watched folder.
    pub fn videos(&self) -> PathBuf {
        self.path().join("films")
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn config(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    pub fn socket(&self) -> PathBuf {
        self.path().join("run").join("scened.sock")
    }

    pub fn log(&self) -> PathBuf {
        self.path().join("scened.log")
    }

    /// Writes config.toml: the videos folder, quick settling, and before them the lines of `more`.
    pub fn configure(&self, more: &str) {
        let settle = if more.contains("settle-seconds") {
            ""
        } else {
            "settle-seconds = 1\n"
        };
        let on_battery = if more.contains("on-battery") {
            ""
        } else {
            "on-battery = \"run\"\n"
        };
        // A test should not wait for other programs on the machine.
        let pressure = if more.contains("pressure") { "" } else { "pressure = 0\n" };
        let busy = if more.contains("busy") { "" } else { "busy = 0\n" };
        let folders = if more.contains("folders") {
            String::new()
        } else {
            format!("folders = [\"{}\"]\n", self.videos().display())
        };
        fs::write(self.config(), format!("{more}\n{settle}{on_battery}{pressure}{busy}{folders}")).expect("the config is written");
    }

    /// Returns a command of this build, with this sandbox's environment.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command
            .env("SCENED_DATA_DIR", self.data())
            .env("SCENED_CONFIG", self.config())
            .env("SCENED_SOCKET", self.socket())
            .env("SCENED_MODELS", repository().join("models"))
            .env("XDG_RUNTIME_DIR", self.path())
            .env("HOME", self.path())
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .env_remove("LISTEN_FDS");
        command
    }

    /// Starts the real daemon and waits until it answers.
    pub fn start(&self) -> Daemon<'_> {
        let daemon = self.launch();
        daemon.wait_until_ready();
        daemon
    }

    /// Starts the real daemon without waiting. Logs are appended to [`Sandbox::log`].
    pub fn launch(&self) -> Daemon<'_> {
        self.launch_as(self.command("scened"))
    }

    /// Starts a command that is or becomes the daemon.
    pub fn launch_as(&self, command: Command) -> Daemon<'_> {
        let log = File::options().create(true).append(true).open(self.log()).expect("the log opens");
        self.launch_logging(command, log.into())
    }

    /// Starts such a command with another standard error.
    pub fn launch_logging(&self, mut command: Command, log: Stdio) -> Daemon<'_> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("scened starts");
        Daemon { sandbox: self, child }
    }

    /// Runs `scenectl` with these arguments.
    pub fn ctl<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Output {
        self.command("scenectl")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("scenectl runs")
    }

    /// Runs `scenectl` with words that contain no spaces, and returns its output and status.
    pub fn say(&self, words: &str) -> Ran {
        self.run(words.split_ascii_whitespace())
    }

    /// Runs `scenectl`, and returns its output and status.
    pub fn run<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Ran {
        Ran::from(&self.ctl(arguments))
    }

    /// Runs `scened` until it ends, which it must do by itself.
    pub fn run_daemon<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Ran {
        let mut command = self.command("scened");
        command.args(arguments);
        let mut daemon = self.launch_as(command);
        let status = daemon.wait_for_end();
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        Ran {
            status: status.code().unwrap_or(-1),
            stdout: String::new(),
            stderr: log,
        }
    }

    /// Makes a video of plain colours at a path below [`Sandbox::videos`]. It appears complete, with a modification time an hour ago.
    pub fn video(&self, relative: impl AsRef<Path>, parts: &[(&str, f64)]) -> PathBuf {
        let path = self.videos().join(relative);
        self.video_at(&path, parts);
        path
    }

    /// Makes one video and places it under several names.
    pub fn videos_alike<P: AsRef<Path>>(&self, names: impl IntoIterator<Item = P>, parts: &[(&str, f64)]) -> Vec<PathBuf> {
        let (made, copy) = (self.path().join("video in the making"), self.path().join("copy in the making"));
        videos::colours(&made, parts);
        let paths = names.into_iter().map(|name| {
            let path = self.videos().join(name);
            fs::copy(&made, &copy).expect("the video can be copied");
            self.put(&copy, &path);
            path
        });
        let paths = paths.collect();
        fs::remove_file(made).expect("it was made just now");
        paths
    }

    /// Makes a video of plain colours anywhere in the sandbox.
    pub fn video_at(&self, path: &Path, parts: &[(&str, f64)]) {
        let made = self.path().join("video in the making");
        videos::colours(&made, parts);
        self.put(&made, path);
    }

    /// Moves a finished file of the sandbox into place and dates it an hour back, so that it need not settle.
    pub fn put(&self, from: &Path, to: &Path) {
        fs::create_dir_all(to.parent().expect("a file has a folder")).expect("a folder can be made");
        age(from);
        fs::rename(from, to).expect("the file can be moved");
    }

    /// Returns the hits of `scenectl search --json`.
    pub fn search(&self, query: &str) -> Vec<Value> {
        let mut answer = self.ctl_json(["search", query, "-n", "1000"]);
        let Value::Array(hits) = answer["hits"].take() else {
            panic!("no hits: {answer}");
        };
        hits
    }

    /// Waits until this model answers a search with so many hits.
    pub fn answered_by(&self, model: &str, n_hits: usize, limit: Duration) {
        wait_until(&format!("{model} to answer"), limit, || {
            let answer = self.ctl_json(["search", "red"]);
            if answer["model"] == model && answer["hits"].as_array().expect("an array").len() == n_hits {
                Ok(())
            } else {
                Err(answer.to_string())
            }
        });
    }

    /// Returns the numbers of `scenectl status`: indexed, pending, failed, offline.
    pub fn counts(&self) -> [u64; 4] {
        let status = self.ctl_json(["status"]);
        ["indexed", "pending", "failed", "offline"].map(|name| status["videos"][name].as_u64().expect("a count"))
    }

    /// Returns how many videos the log says were decoded and stored since the sandbox was created.
    pub fn n_decoded(&self) -> usize {
        let log = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains(": indexed n_scenes="))
            .count()
    }

    /// Returns how many seconds of video the log says were decoded and stored since the sandbox was created.
    pub fn video_seconds(&self) -> f64 {
        let log = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains(": indexed n_scenes="))
            .filter_map(|line| line.rsplit_once("duration_ms=")?.1.trim().parse::<f64>().ok())
            .sum::<f64>()
            / 1000.0
    }

    /// Runs `scenectl … --json`, and parses the one object that it prints; panics on an exit status other than 0 and 1.
    pub fn ctl_json<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Value {
        let mut command = self.command("scenectl");
        let output = command
            .args(arguments)
            .arg("--json")
            .stdin(Stdio::null())
            .output()
            .expect("scenectl runs");
        let told = format!(
            "{:?}: {}\n{}",
            command.get_args().collect::<Vec<_>>(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(matches!(output.status.code(), Some(0 | 1)), "{told}\n{}", self.log_tail());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}\n{told}", String::from_utf8_lossy(&output.stdout)))
    }

    /// Waits until the daemon has nothing left to do.
    pub fn settle(&self) {
        let output = self.ctl(["wait", "--timeout", "300", "--json"]);
        assert!(
            output.status.success(),
            "wait: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            self.log_tail()
        );
    }

    /// Returns the last lines of the daemon's log, for the message of a failing test.
    pub fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        format!(
            "--- the daemon's log ends with:\n{}",
            lines[lines.len().saturating_sub(40)..].join("\n")
        )
    }
}

/// Makes a file an hour old.
fn age(path: &Path) {
    let file = File::options().write(true).open(path).expect("the file opens");
    let then = std::time::SystemTime::now() - Duration::from_hours(1);
    file.set_modified(then).expect("its time can be set");
}

/// A program's output, and how it ended.
#[derive(Clone, Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<&Output> for Ran {
    fn from(output: &Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

#[expect(
    clippy::return_self_not_must_use,
    reason = "each is an assertion; what follows is another one, or nothing"
)]
impl Ran {
    /// Panics unless the program ended with this status.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// Panics unless standard output contains this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "{text:?} is not in its output: {self:#?}");
        self
    }

    /// Panics unless standard error contains this text.
    #[track_caller]
    pub fn complains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not among its complaints: {self:#?}");
        self
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

/// A running daemon; killed when dropped.
pub struct Daemon<'a> {
    sandbox: &'a Sandbox,
    child: Child,
}

impl Daemon<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn wait_until_ready(&self) {
        wait_until("the daemon to answer", START_LIMIT, || {
            let output = self.sandbox.ctl(["status", "--json"]);
            if output.status.success() {
                Ok(())
            } else {
                Err(format!("{}\n{}", String::from_utf8_lossy(&output.stderr), self.sandbox.log_tail()))
            }
        });
    }

    /// Returns whether it is still running.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("the child can be asked").is_none()
    }

    /// Kills it with `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("the daemon is killed");
        self.child.wait().expect("the daemon is reaped");
    }

    /// Sends SIGTERM, then waits for the end.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_end()
    }

    pub fn signal(&self, name: &str) {
        assert!(crate::processes::signal(self.pid(), name), "kill -{name} {} failed", self.pid());
    }

    /// Waits until it has ended by itself.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait_until("the daemon to end", STOP_LIMIT, || {
            self.child
                .try_wait()
                .expect("the child can be asked")
                .ok_or_else(|| format!("it still runs\n{}", self.sandbox.log_tail()))
        })
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It may have ended already; it must not outlive the test.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}
