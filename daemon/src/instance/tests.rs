use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use interprocess::local_socket::tokio::prelude::*;

use super::*;

/// Set in a child of these tests: the data folder that it must lock.
const CHILD: &str = "SCENED_TEST_LOCK_DIR";

fn acquire(data_dir: &Path) -> Instance {
    Instance::acquire(data_dir).unwrap_or_else(|e| panic!("{e}"))
}

/// Creates a data folder, mode 0700, and its instance.
fn instance() -> (tempfile::TempDir, Instance) {
    let folder = tempfile::tempdir().unwrap();
    let instance = acquire(folder.path());
    (folder, instance)
}

fn in_runtime<T>(f: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    f()
}

fn listen_error(instance: &Instance, path: &Path) -> String {
    in_runtime(|| instance.listen(path, None))
        .map(|_| ())
        .expect_err("listening should fail")
        .to_string()
}

#[test]
fn the_data_folder_is_made_private() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a/b");
    let instance = acquire(&data);
    assert_eq!(instance.data_dir(), data);
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::read_to_string(data.join("lock")).unwrap(), format!("{}\n", std::process::id()));
}

#[test]
fn only_a_data_folder_of_our_own_is_closed_to_others() {
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    let (empty, shared) = (folder.path().join("empty"), folder.path().join("shared"));
    for path in [&empty, &shared] {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(shared.join("letter.txt"), "").unwrap();
    let (_one, _two) = (acquire(&empty), acquire(&shared));
    assert_eq!((mode(&empty), mode(&shared)), (0o700, 0o755));
}

/// A data folder as `scenectl model install` of an earlier version created it, and as an earlier daemon left it.
#[test]
fn what_an_earlier_version_left_open_is_closed_at_the_first_start() {
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for has_other_things in [false, true] {
        let data = folder.path().join(has_other_things.to_string());
        let outside = folder.path().join("not ours");
        fs::write(&outside, "").unwrap();
        open(&outside, 0o644);
        let names = [
            "models/m/config.json",
            "store/0.jnl",
            "store/tables/1",
            "store.damaged-20261122T130501/0.jnl",
            "unreadable-20261122T130501/0.jnl",
            "index/m.1.usearch",
            "keyframes/ab/cd",
            "cache/background/m",
            "decisions.json",
            "config.toml.last-good",
        ];
        for name in names {
            let file = data.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            open(file.parent().unwrap(), 0o755);
            open(&file, 0o644);
        }
        symlink(&outside, data.join("store/link")).unwrap();
        if has_other_things {
            fs::write(data.join("letter.txt"), "").unwrap();
        }
        open(&data, 0o755);
        drop(acquire(&data));
        assert_eq!(mode(&data), if has_other_things { 0o755 } else { 0o700 });
        for name in &names[1..] {
            let file = data.join(name);
            let parent = file.parent().unwrap();
            assert_eq!(mode(&file), 0o600, "{name}");
            assert!(parent == data || mode(parent) == 0o700, "{name}");
        }
        assert_eq!(mode(&outside), 0o644, "a link was followed");
        // A restored backup is closed again.
        open(&data.join("index"), 0o755);
        open(&data.join("index/m.1.usearch"), 0o644);
        drop(acquire(&data));
        assert_eq!((mode(&data.join("index")), mode(&data.join("index/m.1.usearch"))), (0o700, 0o600));
        let expected = if has_other_things {
            privacy::Privacy::Shared { mode: 0o755 }
        } else {
            privacy::Privacy::Closed
        };
        assert_eq!(privacy::check(&data).unwrap(), expected);
    }
}

#[test]
fn a_file_in_the_data_folders_place_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    fs::write(&file, "").unwrap();
    let message = Instance::acquire(&file).unwrap_err().to_string();
    assert_eq!(message, format!("the data folder {} is not a folder", file.display()));
    let below = file.join("below");
    let message = Instance::acquire(&below).unwrap_err().to_string();
    assert_eq!(
        message,
        format!("cannot create the data folder {}: Not a directory (os error 20)", below.display())
    );
}

/// Root may write in spite of permissions, so a folder in which nobody can create files takes its place.
#[test]
fn a_data_folder_that_cannot_be_written_to_is_an_error() {
    let path = Path::new("/proc/self/fdinfo");
    let message = Instance::acquire(path).unwrap_err().to_string();
    let start = "the data folder /proc/self/fdinfo is not writable: ";
    assert!(message.starts_with(start), "{message}");
    if !rustix::process::geteuid().is_root() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
        let message = Instance::acquire(folder.path()).unwrap_err().to_string();
        assert!(message.contains("is not writable: Permission denied"), "{message}");
    }
}

/// Not a test: the body of the child in the tests below, which waits until its standard input ends.
#[test]
fn child_holds_the_lock() {
    let Some(data_dir) = std::env::var_os(CHILD) else { return };
    let _instance = acquire(Path::new(&data_dir));
    let mut sink = String::new();
    io::stdin().read_to_string(&mut sink).unwrap();
}

/// A process that holds a lock, killed when dropped.
struct Holder(std::process::Child);

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts a process that holds the lock of `data_dir`, and waits until it does.
fn lock_in_a_child(data_dir: &Path) -> Holder {
    let holder = Holder(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "instance::tests::child_holds_the_lock"])
            .env(CHILD, data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let expected = format!("{}\n", holder.0.id());
    loop {
        let found = fs::read_to_string(data_dir.join("lock")).unwrap_or_default();
        if found == expected {
            return holder;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the child did not lock; the lock file holds {found:?}"
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_second_daemon_is_told_who_holds_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let holder = lock_in_a_child(folder.path());
    let message = Instance::acquire(folder.path()).unwrap_err().to_string();
    let expected = format!(
        "another scened (process {}) uses the data folder {}; stop it, or choose another folder with --data-dir",
        holder.0.id(),
        folder.path().display()
    );
    assert_eq!(message, expected);
    drop(holder);
    // A killed daemon leaves the file, but not the lock.
    acquire(folder.path());
}

#[test]
fn who_loses_the_race_waits_until_the_winner_has_said_who_it_is() {
    // An empty file, or the pid of a process that crashed before: no process has such a number.
    for left_behind in ["", "2000000000\n"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, left_behind).unwrap();
        let mut winner = File::options().read(true).write(true).open(&path).unwrap();
        flock(&winner, FlockOperation::NonBlockingLockExclusive).unwrap();
        let writes = std::thread::spawn(move || {
            testkit::pause(std::time::Duration::from_millis(100));
            write_pid(&mut winner).unwrap();
            winner
        });
        let lost = Instance::acquire(folder.path()).unwrap_err();
        let expected = Some(std::process::id());
        assert!(
            matches!(&lost, InstanceError::AlreadyRunning { pid, .. } if *pid == expected),
            "{lost}"
        );
        drop(writes.join().unwrap());
    }
}

#[test]
fn the_lock_is_given_back() {
    let (folder, instance) = instance();
    assert!(matches!(
        Instance::acquire(folder.path()),
        Err(InstanceError::AlreadyRunning { pid: Some(_), .. })
    ));
    drop(instance);
    acquire(folder.path());
}

#[test]
fn the_socket_is_private_answers_and_is_removed() {
    let (folder, instance) = instance();
    let path = folder.path().join("run/scened.sock");
    let listening = in_runtime(|| instance.listen(&path, None)).unwrap();
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    #[cfg(target_os = "linux")]
    assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o600);
    UnixStream::connect(&path).unwrap();
    drop(listening);
    assert!(!path.try_exists().unwrap());
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let (folder, instance) = instance();
    let path = folder.path().join("scened.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.try_exists().unwrap(), "std removed the socket: the test shows nothing");
    let _listening = in_runtime(|| instance.listen(&path, None)).unwrap();
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_socket_that_answers_is_left_alone() {
    let (folder, instance) = instance();
    let path = folder.path().join("scened.sock");
    let _other = UnixListener::bind(&path).unwrap();
    let expected = format!(
        "the socket path {} is taken by a program that answers there (another scened, with another data folder?); \
         move that away, or choose another path with --socket",
        path.display()
    );
    assert_eq!(listen_error(&instance, &path), expected);
    UnixStream::connect(&path).unwrap();
}

#[test]
fn whatever_else_is_at_the_path_is_left_alone() {
    let (folder, instance) = instance();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    let link = folder.path().join("link");
    symlink(folder.path().join("elsewhere"), &link).unwrap();
    let directory = folder.path().join("directory");
    fs::create_dir(&directory).unwrap();
    for (path, what) in [
        (&file, "a file that is not a socket"),
        (&link, "a symbolic link"),
        (&directory, "a folder"),
    ] {
        let expected = format!(
            "the socket path {} is taken by {what}; move that away, or choose another path with --socket",
            path.display()
        );
        assert_eq!(listen_error(&instance, path), expected);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let (folder, instance) = instance();
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o775)).unwrap();
    let link = folder.path().join("link");
    symlink(folder.path(), &link).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let open_text = format!(
        "other users may write to it (mode 0775); give the socket a folder of its own, or: chmod 700 {}",
        open.display()
    );
    for (dir, why) in [
        (&open, open_text.as_str()),
        (&link, "it is a symbolic link"),
        (&file, "it is not a folder"),
    ] {
        let expected = format!("cannot use {} as the socket's folder: {why}", dir.display());
        assert_eq!(listen_error(&instance, &dir.join("scened.sock")), expected);
    }
    #[cfg(target_os = "linux")]
    if rustix::process::geteuid().is_root() {
        let theirs = folder.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        std::os::unix::fs::chown(&theirs, Some(65534), None).unwrap();
        let message = listen_error(&instance, &theirs.join("scened.sock"));
        assert!(message.ends_with("it belongs to another user (uid 65534)"), "{message}");
    }
}

#[test]
fn paths_that_no_socket_can_have_are_refused() {
    let (folder, instance) = instance();
    let room = 107 - folder.path().as_os_str().len() - 1;
    let longest = folder.path().join("s".repeat(room));
    let too_long = folder.path().join("s".repeat(room + 1));
    let expected = format!(
        "the socket path {} has 108 bytes, but the system allows 107; choose a shorter one with --socket",
        too_long.display()
    );
    #[cfg(target_os = "linux")]
    {
        assert_eq!(listen_error(&instance, &too_long), expected);
        in_runtime(|| instance.listen(&longest, None)).unwrap();
    }
    assert_eq!(
        listen_error(&instance, Path::new("scened.sock")),
        "the socket path scened.sock is not absolute"
    );
}

#[test]
fn a_socket_that_is_no_longer_ours_is_not_removed() {
    let (folder, instance) = instance();
    let path = folder.path().join("scened.sock");
    let listening = in_runtime(|| instance.listen(&path, None)).unwrap();
    // The first socket's inode is in use while it listens, so the second has another.
    fs::remove_file(&path).unwrap();
    let _theirs = UnixListener::bind(&path).unwrap();
    drop(listening);
    UnixStream::connect(&path).unwrap();
}

#[tokio::test]
async fn a_socket_handed_over_answers_and_its_path_stays() {
    let (folder, instance) = instance();
    let path = folder.path().join("scened.sock");
    let theirs = UnixListener::bind(&path).unwrap();
    let listening = instance.listen(Path::new("not used"), Some(theirs.into())).unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    let stream = listening.listener.accept().await.unwrap();
    check_peer(&stream).unwrap();
    drop(listening);
    assert!(path.try_exists().unwrap(), "the path is the service manager's");
}

#[test]
fn descriptors_that_are_no_listening_socket_are_refused() {
    let (_folder, instance) = instance();
    let (one, _other) = UnixStream::pair().unwrap();
    let datagram = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cases: [(std::os::fd::OwnedFd, &str); 4] = [
        (one.into(), "it is not listening"),
        (datagram.into(), "it is not a stream socket (ListenStream=)"),
        (tcp.into(), "it is not a Unix socket"),
        (
            File::open("/dev/null").unwrap().into(),
            "Socket operation on non-socket (os error 88)",
        ),
    ];
    for (descriptor, why) in cases {
        let error = in_runtime(|| instance.listen(Path::new("not used"), Some(descriptor)))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot use the socket that the service manager handed over: {why}")
        );
    }
}
