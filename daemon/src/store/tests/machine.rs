//! The machine fails while a healthy store is opened: nothing is quarantined, and the next opening finds all content.

use testkit::libc;

use super::*;

const CALLS: [(&str, libc::c_long); 16] = [
    ("openat", libc::SYS_openat),
    ("read", libc::SYS_read),
    ("pread64", libc::SYS_pread64),
    ("write", libc::SYS_write),
    ("lseek", libc::SYS_lseek),
    ("getdents64", libc::SYS_getdents64),
    ("statx", libc::SYS_statx),
    ("flock", libc::SYS_flock),
    ("fsync", libc::SYS_fsync),
    ("fdatasync", libc::SYS_fdatasync),
    ("ftruncate", libc::SYS_ftruncate),
    ("rename", libc::SYS_rename),
    ("mkdir", libc::SYS_mkdir),
    ("unlink", libc::SYS_unlink),
    ("clone3", libc::SYS_clone3),
    ("fcntl", libc::SYS_fcntl),
];
const CODES: [i32; 18] = [
    libc::EIO,
    libc::ENOENT,
    libc::ENOLCK,
    libc::EAGAIN,
    libc::ENOTCONN,
    libc::ENXIO,
    libc::ENODEV,
    libc::ENOMEM,
    libc::ETXTBSY,
    libc::EBUSY,
    libc::EINVAL,
    libc::EISDIR,
    libc::ENOTDIR,
    libc::ESTALE,
    libc::EFBIG,
    libc::EPROTO,
    libc::EREMOTEIO,
    libc::EOPNOTSUPP,
];

/// Makes and closes a store with ten videos, part of it in tables.
fn prepare(dir: &Path) {
    let store = open(dir);
    for number in 0..10_u8 {
        let record = store.add_video(new_video(&format!("/films/{number}"), number), 1).unwrap();
        store.put_indexed(indexed(&record, "m", 3)).unwrap();
        if number == 5 {
            store.write_tables().unwrap();
        }
    }
}

fn fails(original: &Path, call: (&str, libc::c_long), code: i32) {
    let folder = tempfile::tempdir().unwrap();
    damage::copy(original, folder.path());
    let what = format!("{} gives {}", call.0, std::io::Error::from_raw_os_error(code));
    let outcome = std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            testkit::fail_call(call.1, code);
            Store::open(folder.path()).map(|(_, report)| report)
        });
        opening.join()
    });
    if let Ok(Ok(report)) = outcome {
        assert_eq!((report.set_aside.len(), report.fresh), (0, false), "{what}");
    }
    let (store, report) = Store::open(folder.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(report, OpenReport::default(), "{what}");
    assert_eq!(store.counts().indexed, 10, "{what}");
    for record in store.videos() {
        check_vectors(&store, &record, "m", 3);
    }
    let set_aside: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().contains("damaged"))
        .collect();
    assert!(set_aside.is_empty(), "{what}: {set_aside:?}");
}

#[test]
fn no_error_of_the_system_sets_a_healthy_store_aside() {
    let original = tempfile::tempdir().unwrap();
    prepare(original.path());
    for (number, call) in CALLS.into_iter().enumerate() {
        // Each call fails with the usual error of disks, and with two others.
        for code in [libc::EIO, CODES[number % CODES.len()], CODES[(number * 7 + 3) % CODES.len()]] {
            fails(original.path(), call, code);
        }
    }
}

/// Network drives do this: the folder exists, but its listing is empty and ends without an error.
#[test]
fn listings_that_have_nothing_set_no_store_aside_and_begin_none_anew() {
    let original = tempfile::tempdir().unwrap();
    prepare(original.path());
    fails(original.path(), ("getdents64", libc::SYS_getdents64), 0);
}

#[test]
#[ignore = "every call with every error: make check-long"]
fn no_error_whatever_of_the_system_sets_a_healthy_store_aside() {
    let original = tempfile::tempdir().unwrap();
    prepare(original.path());
    for call in CALLS {
        for code in CODES {
            fails(original.path(), call, code);
        }
    }
}

#[test]
fn starts_that_fail_are_counted_until_one_goes_well() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let noted = || std::fs::read_to_string(folder.path().join("store.unopened")).ok();
    assert_eq!(noted(), None);
    for n in 1..=3 {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                testkit::fail_call(libc::SYS_flock, libc::ENOLCK);
                Store::open(folder.path()).map(drop).unwrap_err();
            });
        });
        let text = noted().unwrap();
        assert!(text.starts_with(&format!("{n}\n")) && text.contains("No locks available"), "{text}");
    }
    drop(open(folder.path()));
    assert_eq!(noted(), None);
}
