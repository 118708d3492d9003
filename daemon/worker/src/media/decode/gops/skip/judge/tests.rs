use super::*;

const FRAME_US: i64 = 40_000;

/// Returns a textured picture that `shade` distinguishes from others.
fn picture(shade: u8) -> Glimpse {
    let mut glimpse = Glimpse::default();
    for (at, luma) in glimpse.luma.iter_mut().enumerate() {
        let (x, y) = (at % LUMA.0, at / LUMA.0);
        let wave = ((x * usize::from(shade) / 9 + y * 7) % 64) as u8;
        *luma = shade.saturating_add(wave).saturating_sub(32);
    }
    glimpse
}

/// Returns anchors of 400 bytes, one every other frame, except for those given.
fn sizes(n: usize, except: &[(usize, usize)]) -> Vec<Size> {
    let bytes = |index| except.iter().find(|(at, _)| *at == index).map_or(400, |(_, bytes)| *bytes);
    (0..n)
        .map(|index| Size {
            bytes: bytes(index),
            after_us: (index as i64 + 1) * 2 * FRAME_US,
            is_anchor: true,
        })
        .collect()
}

/// Judges a GOP between keyframes of the given shades: its own, the next, the one after that.
fn decided(shades: [u8; 3], sizes: &[Size], ended_by_content: bool) -> Decision {
    let [own, next, after_next] = shades.map(picture);
    judge(&Evidence {
        key: Key {
            bytes: 4000,
            glimpse: &own,
        },
        next: Some(Key {
            bytes: 4000,
            glimpse: &next,
        }),
        after_next: Some(&after_next),
        sizes,
        next_sizes: &sizes[..3],
        length_us: (sizes.len() as i64 + 1) * 2 * FRAME_US,
        next_length_us: Some(4_000_000),
        frame_us: FRAME_US,
        ended_by_content,
        is_clock: !ended_by_content,
    })
}

#[test]
fn nothing_happens_between_two_keyframes_alike() {
    assert_eq!(decided([100, 100, 100], &sizes(60, &[]), false), Decision::Quiet);
}

#[test]
fn a_new_picture_in_a_keyframe_before_its_time_is_a_cut() {
    assert_eq!(decided([60, 150, 150], &sizes(60, &[]), true), Decision::CutAtEnd);
}

#[test]
fn a_new_picture_where_keyframes_are_a_clock_is_looked_for() {
    assert_eq!(decided([60, 150, 150], &sizes(12, &[]), false), Decision::Doubtful);
}

#[test]
fn a_picture_that_comes_back_at_once_is_looked_at() {
    // A flash has its own keyframe, and so has the picture after it.
    assert_eq!(decided([100, 190, 100], &sizes(12, &[]), true), Decision::Doubtful);
}

#[test]
fn a_packet_like_a_keyframe_is_looked_at_and_no_more_than_that() {
    let odd = sizes(90, &[(6, 3800)]);
    let found = decided([60, 150, 150], &odd, true);
    let after_us = 7 * 2 * FRAME_US + LOOK_ON_US;
    assert_eq!(
        found,
        Decision::DoubtfulUntil {
            after_us,
            cut_at_end: true
        }
    );
}

#[test]
fn packets_next_to_nothing_are_a_fade() {
    let faded: Vec<_> = (15..30).map(|index| (index, 10)).collect();
    assert_eq!(decided([100, 100, 100], &sizes(50, &faded), false), Decision::Doubtful);
}

#[test]
fn the_end_of_a_video_is_decoded_if_a_packet_is_odd() {
    let key = picture(100);
    let last = |sizes: &[Size]| {
        judge(&Evidence {
            key: Key {
                bytes: 4000,
                glimpse: &key,
            },
            next: None,
            after_next: None,
            sizes,
            next_sizes: &[],
            length_us: i64::MAX,
            next_length_us: None,
            frame_us: FRAME_US,
            ended_by_content: true,
            is_clock: false,
        })
    };
    assert_eq!(last(&sizes(12, &[])), Decision::Quiet);
    assert_eq!(last(&sizes(12, &[(6, 3800)])), Decision::Doubtful);
}
