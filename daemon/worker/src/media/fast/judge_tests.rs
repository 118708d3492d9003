use super::*;

const FRAME_US: i64 = 40_000;

fn grey(luma: u8) -> Glimpse {
    let mut glimpse = Glimpse::default();
    glimpse.luma.fill(luma);
    glimpse
}

/// Anchors of 400 bytes, one a frame, but for those given.
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

fn check(from: u8, to: Option<u8>, sizes: &[Size], ended_by_content: bool, expected: Decision) {
    let (from, to) = (grey(from), to.map(grey));
    let found = judge(&Evidence {
        key: Key {
            bytes: 4000,
            glimpse: &from,
        },
        next: to.as_ref().map(|glimpse| Key { bytes: 4000, glimpse }),
        sizes,
        next_sizes: &sizes[..3],
        length_us: (sizes.len() as i64 + 1) * 2 * FRAME_US,
        frame_us: FRAME_US,
        ended_by_content,
    });
    assert_eq!(found, expected);
}

#[test]
fn nothing_happens_between_two_keyframes_alike() {
    check(100, Some(103), &sizes(12, &[]), false, Decision::Quiet);
    check(100, Some(103), &sizes(12, &[]), true, Decision::Quiet);
    check(100, None, &sizes(12, &[]), false, Decision::Quiet);
}

#[test]
fn a_new_picture_in_a_keyframe_before_its_time_is_a_cut() {
    check(100, Some(160), &sizes(12, &[]), true, Decision::CutAtEnd);
}

#[test]
fn a_new_picture_where_keyframes_are_a_clock_is_looked_for() {
    check(100, Some(160), &sizes(12, &[]), false, Decision::Doubtful);
}

#[test]
fn a_packet_like_a_keyframe_is_looked_at() {
    check(100, Some(103), &sizes(12, &[(6, 3800)]), false, Decision::Doubtful);
    check(100, Some(160), &sizes(12, &[(6, 3800)]), true, Decision::Doubtful);
    let until = |cut_at_end| Decision::DoubtfulUntil {
        after_us: 7 * 2 * FRAME_US + LOOK_ON_US,
        cut_at_end,
    };
    check(100, Some(160), &sizes(60, &[(6, 3800)]), true, until(true));
    check(100, Some(103), &sizes(60, &[(6, 3800)]), true, until(false));
    check(100, Some(103), &sizes(60, &[(6, 3800)]), false, Decision::Doubtful);
    check(100, None, &sizes(12, &[(6, 3800)]), false, Decision::Doubtful);
}

#[test]
fn packets_next_to_nothing_are_a_fade() {
    let faded: Vec<_> = (15..30).map(|index| (index, 10)).collect();
    check(100, Some(103), &sizes(50, &faded), false, Decision::Doubtful);
}

#[test]
fn a_keyframe_in_busy_motion_or_in_the_dark_is_not_believed() {
    check(
        100,
        Some(160),
        &sizes(12, &[(9, 3000), (10, 3100), (11, 3000)]),
        true,
        Decision::Doubtful,
    );
    check(5, Some(160), &sizes(12, &[]), true, Decision::Doubtful);
    check(100, Some(240), &sizes(12, &[]), true, Decision::Doubtful);
}

#[test]
fn keyframes_in_quick_succession_are_looked_at() {
    check(100, Some(160), &sizes(4, &[]), true, Decision::Doubtful);
}
