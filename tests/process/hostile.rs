//! Hostile videos in a watched folder: each worker's death is blamed on its video, the daemon survives, and the other videos are indexed.

use std::fs;

use testkit::{Sandbox, processes, videos};

use super::*;

/// What a video that takes over its worker does (`malice::obey`), and a word that the incident contains.
const KILLERS: [(&str, &str); 6] = [
    ("crash", "SIGSEGV"),
    ("abort", "SIGABRT"),
    ("fork", "SIGSYS"),
    ("memory", "memory"),
    ("garbage", "protocol"),
    ("panic", "panicked"),
];

/// Returns random numbers that are the same everywhere (xorshift).
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

#[test]
fn every_death_of_a_worker_is_laid_to_its_video_and_the_others_are_indexed() {
    let sandbox = Sandbox::new();
    let folder = sandbox.videos();
    let whole = folder.join("whole.mp4");
    videos::colours(&whole, &[("red", 1.0), ("blue", 1.0)]);
    let bytes = fs::read(&whole).unwrap();
    let (n_intact, n_mutated) = (10, 30);
    let mut state = 0x5eed_u64;
    for n in 0..n_mutated {
        let mut video = bytes.clone();
        for _ in 0..40 {
            let at = random(&mut state) % video.len();
            video[at] = random(&mut state) as u8;
        }
        fs::write(folder.join(format!("mutated {n:02}.mp4")), video).unwrap();
    }
    for n in 0..n_intact {
        // A box that no reader uses makes the bytes differ; otherwise they would be one video.
        let mut video = bytes.clone();
        video.extend([0, 0, 0, 12, b'f', b'r', b'e', b'e', 0, 0, 0, n]);
        fs::write(folder.join(format!("intact {n}.mp4")), video).unwrap();
    }
    for (harm, _) in KILLERS {
        let mut video = format!("scened-malice {harm}\n").into_bytes();
        video.resize(5000, b'.');
        fs::write(folder.join(format!("killer {harm}.mp4")), video).unwrap();
    }
    let mut daemon = sandbox.start();
    sandbox.settle();
    assert!(daemon.is_alive(), "{}", sandbox.log_tail());
    let incidents = sandbox.ctl_json(["incidents"]);
    let reason_of = |name: &str| -> Option<String> {
        let rows = incidents["incidents"].as_array().unwrap();
        let row = rows.iter().find(|row| row["path"].as_str().unwrap().ends_with(name))?;
        Some(row["reason"].as_str().unwrap().to_owned())
    };
    for (harm, word) in KILLERS {
        let reason = reason_of(&format!("/killer {harm}.mp4")).unwrap_or_else(|| panic!("killer {harm} is no incident: {incidents}"));
        assert!(reason.contains(word), "killer {harm}: {reason}");
    }
    for row in incidents["incidents"].as_array().unwrap() {
        let path = row["path"].as_str().unwrap();
        assert!(path.contains("/killer ") || path.contains("/mutated "), "{row}");
    }
    for n in 0..n_intact {
        let scenes = sandbox.ctl_json([Path::new("scenes"), &folder.join(format!("intact {n}.mp4"))]);
        assert_eq!(scenes["scenes"].as_array().unwrap().len(), 2, "{scenes}");
    }
    let [indexed, pending, failed, _] = sandbox.counts();
    assert_eq!((indexed + failed, pending), (1 + 10 + 30 + KILLERS.len() as u64, 0));
    assert!(processes::workers(daemon.pid(), "media").is_empty());
    eprintln!(
        "{n_mutated} mutated videos, {} killers: {indexed} videos indexed, {failed} incidents",
        KILLERS.len()
    );
    assert!(daemon.stop().success());
}
