//! What the kernel reports about a daemon and its workers (/proc).

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A living process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub arguments: Vec<String>,
}

impl Process {
    /// Returns `embed` or `media` for a worker.
    pub fn role(&self) -> &str {
        self.arguments.get(1).map_or("", String::as_str)
    }
}

/// Lists the living children of `parent`, without zombies.
pub fn children(parent: u32) -> Vec<Process> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end while it is examined.
        let Some((state, its_parent)) = state_and_parent(pid) else {
            continue;
        };
        if its_parent == parent && state != "Z" {
            found.push(Process {
                pid,
                arguments: arguments(pid),
            });
        }
    }
    found
}

/// Lists a daemon's living workers with this role (`embed`, `media`).
pub fn workers(daemon: u32, role: &str) -> Vec<Process> {
    let mut found = children(daemon);
    found.retain(|process| process.role() == role);
    found
}

/// Decides whether `pid` is alive; a zombie is not.
pub fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// Returns the state letter of proc_pid_stat(5) (`T`: stopped); `None` if the process has ended.
pub fn state(pid: u32) -> Option<char> {
    state_and_parent(pid)?.0.chars().next()
}

/// Reads state letter and parent from `/proc/PID/stat`, after the name's closing parenthesis, because the name may contain anything.
fn state_and_parent(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut rest = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((rest.next()?.to_owned(), rest.next()?.parse().ok()?))
}

fn arguments(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// Returns the resident memory of a process. Kibibytes.
pub fn resident_kib(pid: u32) -> u64 {
    status_number(&PathBuf::from(format!("/proc/{pid}/status")), "VmRSS:").expect("the process lives")
}

/// Returns the sorted targets of a process's open descriptors. Leaves out the table of mounts: each thread that ever checked a path has its
/// own.
pub fn descriptors(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives").flatten();
    let mut targets: Vec<PathBuf> = entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    targets.retain(|target| !target.ends_with("mountinfo"));
    targets.sort();
    targets
}

/// Returns how often the threads of a process have gone to sleep voluntarily since they began; each time is a wake-up.
pub fn wake_ups(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    tasks
        .flatten()
        .filter_map(|task| status_number(&task.path().join("status"), "voluntary_ctxt_switches:"))
        .sum()
}

fn status_number(file: &std::path::Path, key: &str) -> Option<u64> {
    let status = fs::read_to_string(file).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Sends a signal by name, such as `KILL`. Returns false if the process no longer exists.
pub fn signal(pid: u32, name: &str) -> bool {
    let output = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .output()
        .expect("kill runs");
    output.status.success()
}
