//! A full disk: a small tmpfs in a mount namespace of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use testkit::{Daemon, Sandbox, processes, wait_until};

use crate::{SOON, answer, assert_same_answers};

/// Puts a sandbox's data folder on a file system of its own, until dropped.
struct SmallDisk<'a> {
    sandbox: &'a Sandbox,
    holder: Child,
}

impl<'a> SmallDisk<'a> {
    /// Returns `None`, and prints so, if this user may not mount anything.
    fn mount(sandbox: &'a Sandbox, mib: u32) -> Option<Self> {
        Self::mount_as(sandbox, &format!("size={mib}m"))
    }

    fn mount_as(sandbox: &'a Sandbox, size: &str) -> Option<Self> {
        fs::create_dir_all(sandbox.data()).unwrap();
        let script = format!(
            "mount -t tmpfs -o {size},mode=700 tmpfs '{}' && echo mounted && exec sleep 600",
            sandbox.data().display()
        );
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = [0; 7];
        let out = holder.stdout.as_mut().unwrap();
        if std::io::Read::read_exact(out, &mut said).is_err() {
            eprintln!("NOT RUN: this user may not mount a small disk (root may)");
            holder.wait().unwrap();
            return None;
        }
        Some(Self { sandbox, holder })
    }

    /// Returns the data folder as seen on the small disk.
    fn data(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.sandbox.data().strip_prefix("/").unwrap())
    }

    fn start(&self) -> Daemon<'_> {
        let daemon = self.launch();
        daemon.wait_until_ready();
        daemon
    }

    fn launch(&self) -> Daemon<'_> {
        let scened = self.sandbox.command("scened");
        let mut command = Command::new("nsenter");
        command
            .args(["--mount", "--target", &self.holder.id().to_string(), "--"])
            .arg(scened.get_program());
        for (name, value) in scened.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        self.sandbox.launch_as(command)
    }

    fn ballast(&self) -> PathBuf {
        self.data().parent().unwrap().join("data/ballast")
    }

    /// Fills the disk except for `left_bytes`.
    fn fill_but(&self, left_bytes: u64) {
        let data = self.data();
        let free = free_bytes(&data);
        let file = fs::File::create(self.ballast()).unwrap();
        take_up(&file, free.saturating_sub(left_bytes));
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        if self.holder.kill().is_ok() {
            self.holder.wait().ok();
        }
    }
}

fn free_bytes(folder: &Path) -> u64 {
    scened::machine::disk_space::free_bytes(folder).unwrap()
}

/// Writes `n_bytes` of content: on tmpfs a file without content takes no space.
fn take_up(mut file: &fs::File, n_bytes: u64) {
    let block = vec![1; 1 << 20];
    let mut left = n_bytes;
    while left > 0 {
        let n = left.min(block.len() as u64) as usize;
        if std::io::Write::write_all(&mut file, &block[..n]).is_err() {
            return;
        }
        left -= n as u64;
    }
}

fn wait_for_warning(sandbox: &Sandbox, text: &str) {
    wait_until(&format!("the warning {text:?}"), SOON, || {
        let status = sandbox.ctl_json(["status"]);
        if status["warnings"].to_string().contains(text) {
            Ok(())
        } else {
            Err(format!("{status}\n{}", sandbox.log_tail()))
        }
    });
}

#[test]
fn indexing_waits_before_the_disk_is_full_and_goes_on_by_itself() {
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(&sandbox, 400) else { return };
    sandbox.configure("min-free-mib = 100");
    sandbox.video("a.mp4", &[("red", 1.0), ("blue", 1.0)]);
    let mut daemon = disk.start();
    sandbox.settle();
    let expected = answer(&sandbox, "red");
    disk.fill_but(60 << 20);
    sandbox.video("b.mp4", &[("green", 1.0)]);
    wait_for_warning(&sandbox, "min-free-mib");
    assert_eq!(sandbox.counts(), [1, 1, 0, 0]);
    assert_same_answers(&answer(&sandbox, "red"), &expected, &sandbox.log_tail());
    disk.free();
    wait_until("the video to be indexed", SOON, || match sandbox.counts() {
        [2, 0, 0, 0] => Ok(()),
        counts => Err(format!("{counts:?}\n{}", sandbox.log_tail())),
    });
    assert!(daemon.is_alive());
    assert_eq!(sandbox.ctl_json(["status"])["warnings"].to_string(), "[]");
}

#[test]
fn a_disk_that_others_fill_up_stops_no_search_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(&sandbox, 400) else { return };
    sandbox.configure("min-free-mib = 20");
    sandbox.video("a.mp4", &[("red", 1.0), ("blue", 1.0)]);
    let mut daemon = disk.start();
    sandbox.settle();
    let expected = answer(&sandbox, "red");
    // The disk is full to the last byte while files arrive. Which write fails first is up to the system.
    disk.fill_but(0);
    for number in 0..20 {
        sandbox.video(format!("b {number}.mp4"), &[("green", 1.0 + 0.1 * f64::from(number))]);
    }
    wait_for_warning(&sandbox, "the store cannot be written");
    assert!(daemon.is_alive());
    assert_same_answers(&answer(&sandbox, "red"), &expected, &sandbox.log_tail());
    // A start does not need disk space either.
    daemon.signal("TERM");
    daemon.wait_for_end();
    let mut daemon = disk.start();
    assert_same_answers(&answer(&sandbox, "red"), &expected, &sandbox.log_tail());
    let workers = processes::workers(daemon.pid(), "media");
    assert!(workers.is_empty(), "{workers:?}");
    disk.free();
    wait_until("the videos to be indexed", SOON, || {
        // The daemon may be restarting.
        let output = sandbox.run(["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        if status["videos"]["indexed"] == 21 {
            Ok(())
        } else {
            Err(format!("{output:?}\n{}", sandbox.log_tail()))
        }
    });
    sandbox.settle();
    assert_eq!(sandbox.counts(), [21, 0, 0, 0], "{}", sandbox.log_tail());
    assert!(daemon.is_alive());
}

#[test]
fn a_disk_that_takes_no_more_files_is_told_of_and_stops_no_search() {
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount_as(&sandbox, "size=400m,nr_inodes=1000") else {
        return;
    };
    sandbox.configure("min-free-mib = 20");
    sandbox.video("a.mp4", &[("red", 1.0), ("blue", 1.0)]);
    let mut daemon = disk.start();
    sandbox.settle();
    let expected = answer(&sandbox, "red");
    let crowd = disk.data().join("crowd");
    fs::create_dir(&crowd).unwrap();
    let mut number = 0;
    while fs::write(crowd.join(number.to_string()), "").is_ok() {
        number += 1;
    }
    sandbox.video("b.mp4", &[("green", 1.0)]);
    wait_for_warning(&sandbox, "nearly out of inodes");
    assert_same_answers(&answer(&sandbox, "red"), &expected, &sandbox.log_tail());
    // A start does not need new files either.
    daemon.signal("TERM");
    daemon.wait_for_end();
    let mut daemon = disk.start();
    assert_same_answers(&answer(&sandbox, "red"), &expected, &sandbox.log_tail());
    fs::remove_dir_all(&crowd).unwrap();
    wait_until("the video to be indexed", SOON, || {
        // The daemon may be restarting.
        let output = sandbox.run(["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        if status["videos"]["indexed"] == 2 {
            Ok(())
        } else {
            Err(format!("{output:?}\n{}", sandbox.log_tail()))
        }
    });
    assert!(daemon.is_alive());
}
