//! Replays the corpus of the fuzz targets (`tests/fuzz`, `scripts/fuzz.sh`) without libFuzzer: unchanged, cut short and with bytes changed.

use std::fs;

#[path = "../fuzz/protocol.rs"]
mod protocol;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = testkit::repository().join("tests/fuzz/corpus").join(target);
    let mut n_seeds = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let seed = fs::read(entry.unwrap().path()).unwrap();
        n_seeds += 1;
        run(&seed);
        for share in 0..16 {
            let at = seed.len() * share / 16;
            run(&seed[..at]);
            let mut changed = seed.clone();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 1 << (share % 8);
                run(&changed);
            }
        }
    }
    assert!(n_seeds > 0, "{} is empty", folder.display());
}

#[test]
fn nothing_that_was_ever_thought_of_breaks_a_reader_of_foreign_bytes() {
    replay("protocol", protocol::run);
    replay("pipe", scened_common::pipe::fuzz::run);
    replay("media", scened::media::process::fuzz::run);
    replay("records", scened::store::fuzz::run);
    replay("snapshot", scened::ann::fuzz::run);
    replay("config", scened::config::fuzz::run);
    replay("keyframes", scened_common::media::keyframe_file::fuzz::run);
    replay("model", scened_common::embed::model::fuzz::run);
}
