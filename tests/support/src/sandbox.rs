//! A private home for one daemon: films, data, config and socket in a temporary folder.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::{program, repository, wait_until};

/// A daemon that opens a store and its socket takes far less, also on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(20);

pub struct Sandbox {
    home: TempDir,
}

impl Sandbox {
    /// An empty films folder, watched, with a settle time of one second.
    pub fn new() -> Self {
        let home = tempfile::Builder::new()
            .prefix("scened-test-")
            .tempdir()
            .expect("a temporary folder");
        let sandbox = Self { home };
        fs::create_dir(sandbox.films()).expect("a films folder");
        sandbox.configure("");
        sandbox
    }

    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// The watched folder.
    pub fn films(&self) -> PathBuf {
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

    /// Writes config.toml: the films folder, quick settling, and `more` lines that come before them.
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
        let folders = if more.contains("folders") {
            String::new()
        } else {
            format!("folders = [\"{}\"]\n", self.films().display())
        };
        fs::write(self.config(), format!("{more}\n{settle}{on_battery}{folders}")).expect("the config is written");
    }

    /// A command of this build in this sandbox's environment.
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
        let log = File::options().create(true).append(true).open(self.log()).expect("the log opens");
        let child = self
            .command("scened")
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

    /// Runs `scenectl … --json`, and reads its one object; panics on an exit status other than 0 and 1.
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

    /// The last lines of the daemon's log, for a failing test's message.
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

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("the child can be asked").is_none()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().expect("the daemon is killed");
        self.child.wait().expect("the daemon is reaped");
    }

    /// SIGTERM, then waits for the end.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_end()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill -{name}: {status}");
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
        // It may have ended already; what matters is that it does not outlive the test.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}
