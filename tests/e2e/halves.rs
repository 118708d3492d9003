//! Videos that are completed in place, and a user who asks to have one decoded again.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use testkit::{Sandbox, videos, wait_until};

use crate::SOON;

/// Ten noisy seconds, large enough that a fingerprint reads samples of them.
const VIDEO: &str = "-f lavfi -i testsrc=s=320x240:r=25:d=5 -f lavfi -i smptebars=s=320x240:r=25:d=5 -filter_complex \
                    [0]noise=alls=20:allf=t[a];[1]noise=alls=20:allf=t[b];[a][b]concat=n=2:v=1[v] -map [v] -c:v libx264 -preset ultrafast -g 25 -f matroska";

fn duration_ms(sandbox: &Sandbox, file: &Path) -> u64 {
    sandbox.ctl_json([Path::new("scenes"), file])["duration_ms"].as_u64().unwrap_or(0)
}

/// Keeps the first third and what a fingerprint reads, rounded to pieces of 64 KiB. The rest is zeros, as in an incomplete download.
fn with_holes(whole: &[u8]) -> Vec<u8> {
    const PIECE: usize = 64 << 10;
    let n = whole.len();
    let mut kept = vec![(0, n / 3), (n - (64 << 10), n)];
    for block in 0..8 {
        let at = (64 << 10) + (n - (144 << 10)) * block / 7;
        kept.push((at, at + (16 << 10)));
    }
    let mut half = vec![0; n];
    for (start, end) in kept {
        let (start, end) = (start / PIECE * PIECE, end.next_multiple_of(PIECE).min(n));
        half[start..end].copy_from_slice(&whole[start..end]);
    }
    half
}

#[test]
fn a_download_that_is_completed_in_place_is_indexed_whole_and_so_are_its_copies() {
    let sandbox = Sandbox::new();
    let full = sandbox.path().join("full");
    videos::ffmpeg_line(VIDEO, &full);
    let whole = fs::read(&full).unwrap();
    let half = with_holes(&whole);
    assert_ne!(whole, half);
    let part = sandbox.videos().join("part.mkv");
    fs::write(&part, &half).unwrap();
    let daemon = sandbox.start();
    sandbox.settle();
    let copy = sandbox.videos().join("copy.mkv");
    fs::copy(&full, &copy).unwrap();
    sandbox.settle();
    let expected = duration_ms(&sandbox, &copy);
    assert!(expected >= 9_900, "a whole copy is {expected} ms long");
    File::options().write(true).open(&part).unwrap().write_all_at(&whole, 0).unwrap();
    wait_until("the whole video", SOON, || {
        sandbox.settle();
        match (duration_ms(&sandbox, &part), sandbox.ctl_json([Path::new("why"), &part])) {
            (duration, why) if duration == expected && why["state"] == "indexed" => Ok(()),
            (duration, why) => Err(format!("{duration} ms, {why}")),
        }
    });
    // From here on nothing is decoded again: not a video that is touched, nor copied, nor moved.
    let n_decoded = sandbox.n_decoded();
    File::options()
        .write(true)
        .open(&copy)
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    sandbox.settle();
    fs::copy(&full, sandbox.videos().join("another.mkv")).unwrap();
    fs::rename(&part, sandbox.videos().join("moved.mkv")).unwrap();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [3, 0, 0, 0]);
    assert_eq!(sandbox.n_decoded(), n_decoded, "{}", sandbox.log_tail());
    // A user can still have a video decoded again.
    sandbox
        .run([Path::new("rescan"), Path::new("--force"), &copy])
        .expect(0)
        .says("decoding it again");
    sandbox.settle();
    assert_eq!(sandbox.n_decoded(), n_decoded + 1, "{}", sandbox.log_tail());
    drop(daemon);
}

#[test]
fn force_takes_one_file_of_the_index() {
    let sandbox = Sandbox::new();
    sandbox.video("a.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let videos = sandbox.videos();
    sandbox.run(["rescan", "--force"]).expect(2);
    sandbox
        .run([Path::new("rescan"), Path::new("--force"), &videos])
        .complains("not an indexed video");
    let other = videos.join("nothing.mp4");
    sandbox
        .run([Path::new("rescan"), Path::new("--force"), &other])
        .complains("not an indexed video");
    sandbox.run([Path::new("rescan"), &videos]).expect(0).says("scanning ");
    sandbox.settle();
    assert_eq!(sandbox.n_decoded(), 1);
}

#[test]
fn a_name_is_found_however_its_accents_are_typed() {
    let (composed, decomposed) = ("Caf\u{e9}", "Cafe\u{301}");
    let sandbox = Sandbox::new();
    let video = sandbox.video(format!("{decomposed}/{decomposed}.mp4"), &[("red", 1.0)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let typed = sandbox.videos().join(composed).join(format!("{composed}.mp4"));
    let found = |sandbox: &Sandbox| {
        let why = sandbox.ctl_json([Path::new("why"), &typed]);
        assert!(why["state"] == "indexed" || why["state"] == "offline", "{why}");
        let folder = typed.parent().unwrap();
        let hits = sandbox.ctl_json([Path::new("search"), Path::new("red"), Path::new("--in"), folder]);
        assert_eq!(hits["hits"].as_array().unwrap().len(), 1, "{hits}");
        assert_eq!(
            sandbox.ctl_json([Path::new("scenes"), &typed])["scenes"].as_array().unwrap().len(),
            1
        );
    };
    found(&sandbox);
    // The folder is offline: only the index knows the spelling.
    fs::rename(sandbox.videos(), sandbox.path().join("away")).unwrap();
    sandbox.say("rescan").expect(0);
    wait_until("the folder to be offline", SOON, || match sandbox.counts() {
        [0, 0, 0, 1] => Ok(()),
        counts => Err(format!("{counts:?}")),
    });
    found(&sandbox);
    drop((video, daemon));
}
