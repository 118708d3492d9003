//! Describes the damage that a user should know about.

use crate::media::decode::announced::{SHORT_FRACTION, SHORT_US};
use crate::media::decode::following::Unfollowed;
use crate::media::decode::video::{Losses, OpenVideo};

/// Describes everything that is missing or damaged; empty if nothing is. `n_failed`: frames that could not be converted; `end_us`: the end
/// of the frames that were shown.
pub(super) fn describe(video: &OpenVideo, n_failed: u64, end_us: i64) -> Vec<String> {
    let damage = describe_damage(video.losses, n_failed, end_us, video.promised_us());
    let mut words: Vec<String> = damage.into_iter().collect();
    words.extend(video.unfollowed().iter().map(describe_unfollowed));
    words.extend(video.ends_undecoded().then(|| describe_undecoded(end_us)));
    words.extend(video.another_follows().then(|| describe_another(end_us)));
    words
}

fn describe_damage(losses: Losses, n_unscaled: u64, end_us: i64, promised_us: Option<i64>) -> Option<String> {
    let mut words = Vec::new();
    let short = promised_us.filter(|claimed| {
        let missing = claimed - end_us;
        missing > SHORT_US && missing as f64 > *claimed as f64 * SHORT_FRACTION
    });
    match short {
        Some(claimed) => words.push(format!("indexed to {} of {}: damaged or incomplete", clock(end_us), clock(claimed))),
        None if losses.broke_off => words.push(format!("reading broke off after {}", clock(end_us))),
        None => {}
    }
    for (n, one, many) in [
        (losses.damaged_packets, "1 packet is damaged", "packets are damaged"),
        (losses.bad_packets, "1 packet could not be decoded", "packets could not be decoded"),
        (losses.corrupt_frames, "1 frame is damaged", "frames are damaged"),
        (losses.n_encrypted, "1 packet is encrypted", "packets are encrypted"),
        (n_unscaled, "1 frame could not be converted", "frames could not be converted"),
    ] {
        match n {
            0 => {}
            1 => words.push(one.to_owned()),
            n => words.push(format!("{n} {many}")),
        }
    }
    (!words.is_empty()).then(|| words.join("; "))
}

fn describe_unfollowed(unfollowed: &Unfollowed) -> String {
    format!(
        "from {} on the picture is in another stream, which cannot be decoded: {}",
        clock(unfollowed.from_us),
        unfollowed.reason
    )
}

fn describe_undecoded(end_us: i64) -> String {
    format!(
        "nothing could be decoded from {} on: it is damaged there, or uses another codec",
        clock(end_us)
    )
}

fn describe_another(end_us: i64) -> String {
    format!("from {} on the file contains another video, which is not indexed", clock(end_us))
}

/// Formats a time the way people write it: `00:12:40`.
fn clock(us: i64) -> String {
    let seconds = us / 1_000_000;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_in_words_and_none_is_not_told() {
        let none = Losses::default();
        assert_eq!(describe_damage(none, 0, 10_000_000, Some(10_500_000)), None);
        assert_eq!(describe_damage(none, 0, 10_000_000, None), None);
        let text = describe_damage(none, 0, 760_000_000, Some(3_000_000_000)).unwrap();
        assert_eq!(text, "indexed to 00:12:40 of 00:50:00: damaged or incomplete");
        let losses = Losses {
            bad_packets: 2,
            corrupt_frames: 1,
            ..none
        };
        assert_eq!(
            describe_damage(losses, 0, 1, None).unwrap(),
            "2 packets could not be decoded; 1 frame is damaged"
        );
    }
}
