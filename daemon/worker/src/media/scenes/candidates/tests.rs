use super::*;
use crate::media::scenes::pictures_for_tests::{Numbered, SECOND, noisy, view, wall, with_thing};

/// Offers frames at 25 a second; everything before the last 1.5 s is settled.
fn offered(n_frames: i64, glimpse: impl Fn(i64) -> Glimpse, sharpness: impl Fn(i64) -> u32) -> Candidates<i64> {
    let mut candidates = Candidates::new();
    for number in 0..n_frames {
        let (time_us, glimpse) = (number * SECOND / 25, glimpse(number));
        let mut source = Numbered {
            number,
            sharpness: sharpness(number),
        };
        candidates.offer(time_us, &Signature::of(&glimpse), &glimpse, &mut source);
        candidates.settle(time_us - 3 * SECOND / 2);
        assert!(candidates.held.len() <= MAX_CANDIDATES);
        assert!(candidates.held.is_sorted_by_key(|candidate| candidate.time_us));
    }
    candidates
}

fn numbers(mut candidates: Candidates<i64>, end_us: i64) -> Vec<i64> {
    candidates
        .take_until(end_us)
        .into_iter()
        .map(|candidate| candidate.picture)
        .collect()
}

#[test]
fn every_shot_however_short_has_a_candidate() {
    let held = numbers(offered(40, |number| view((number / 3) as usize), |_| 100), i64::MAX);
    for shot in 0..13 {
        assert!(held.iter().any(|number| number / 3 == shot), "shot {shot}: {held:?}");
    }
}

#[test]
fn a_flash_is_no_candidate() {
    let video = |number: i64| view(usize::from(number == 31 || number == 70));
    let held = numbers(offered(100, video, |_| 100), i64::MAX);
    assert!(!held.contains(&31) && !held.contains(&70) && held.len() > 2, "{held:?}");
}

#[test]
fn an_unsharp_first_frame_of_a_shot_gives_way_to_the_next_ones() {
    let held = numbers(offered(50, |number| view((number / 25) as usize), |_| 100), i64::MAX);
    assert!(!held.contains(&0) && !held.contains(&25) && !held.contains(&26), "{held:?}");
}

#[test]
fn the_sharpest_of_neighbours_is_kept() {
    let moving = |number: i64| wall(number as usize / 10);
    let held = numbers(offered(75, moving, |number| if number % 5 == 3 { 200 } else { 100 }), i64::MAX);
    assert!(held.len() > 5 && held.iter().all(|number| number % 5 == 3), "{held:?}");
}

#[test]
fn what_is_settled_is_thinned_out() {
    for (glimpse, gap_us) in [
        ((|number| noisy(view(1), number, 6)) as fn(i64) -> Glimpse, SETTLED_STILL_US),
        (|number| wall(number as usize / 2), SETTLED_CHANGING_US),
    ] {
        let held = offered(300, glimpse, |_| 100).held;
        let settled: Vec<_> = held
            .iter()
            .map(|candidate| candidate.time_us)
            .filter(|time_us| *time_us < 9 * SECOND)
            .collect();
        assert!(
            settled.len() >= 4 && settled.windows(2).all(|pair| pair[1] - pair[0] >= gap_us),
            "{settled:?}"
        );
    }
}

#[test]
fn ten_minutes_of_anything_stays_bounded_and_spread() {
    for (name, glimpse) in [
        ("still", (|number| noisy(view(1), number, 6)) as fn(i64) -> Glimpse),
        ("moving", |number| wall(number as usize / 3)),
        ("flicker", |number| view(number as usize)),
    ] {
        let n_frames = 10 * 60 * 25;
        let held = numbers(offered(n_frames, glimpse, |_| 100), i64::MAX);
        let widest = held.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(
            held.len() >= MAX_CANDIDATES / 2 && widest <= n_frames / 8,
            "{name}: {widest} of {held:?}"
        );
    }
}

#[test]
fn what_differs_is_kept_when_there_are_too_many() {
    // Twenty minutes of an empty room, with somebody in it for a second.
    let room = |number: i64| {
        let empty = noisy(view(1), number, 6);
        if (3000..3025).contains(&number) {
            with_thing(empty, 20..28, 10..30)
        } else {
            empty
        }
    };
    let held = numbers(offered(20 * 60 * 25, room, |_| 100), i64::MAX);
    assert!(held.iter().any(|number| (3000..3025).contains(number)), "{held:?}");
}

#[test]
fn those_before_a_boundary_go_and_the_others_stay() {
    let mut candidates = offered(250, |number| wall(number as usize), |_| 100);
    let before = candidates.take_until(9 * SECOND);
    assert!(before.iter().all(|candidate| candidate.time_us < 9 * SECOND));
    let after = numbers(candidates, i64::MAX);
    assert!(after.iter().all(|number| *number >= 225) && after.len() >= 3, "{after:?}");
}
