use super::*;
use crate::media::scenes::pictures_for_tests::{Numbered, SECOND, flat, lit, noisy, view, wall, with_thing};

/// Ten frames a second.
const FRAME_US: i64 = SECOND / 10;

/// Builds the scenes of a video. Boundaries are passed on once everything before them is settled, 15 frames late.
fn scenes(n_frames: i64, glimpse: impl Fn(i64) -> Glimpse, boundaries: &[Found], max_s: i64) -> Vec<FinishedScene<i64>> {
    let mut builder = SceneBuilder::new(max_s * SECOND);
    let mut boundaries = boundaries.iter().peekable();
    for number in 0..n_frames {
        let time_us = number * FRAME_US;
        builder.frame(time_us, &glimpse(number), &mut Numbered { number, sharpness: 100 });
        let settled_us = time_us - 15 * FRAME_US;
        while let Some(found) = boundaries.next_if(|found| found.time_us() <= settled_us) {
            builder.found(*found);
        }
        let open_us = boundaries.peek().map_or(i64::MAX, |found| match found {
            Found::Cut { time_us } => *time_us,
            Found::Gradual { start_us, .. } => *start_us,
        });
        builder.settled(settled_us.min(open_us));
        assert!(
            builder.frames.len() <= 15 + (LOOK_BACK_US / FRAME_US) as usize + 2,
            "signatures stay bounded"
        );
    }
    for found in boundaries {
        builder.found(*found);
    }
    builder.end(n_frames * FRAME_US);
    let finished: Vec<_> = builder.drain().collect();
    let mut at = 0;
    for scene in &finished {
        assert_eq!(scene.start_us, at, "scenes tile the video");
        assert!(scene.end_us > scene.start_us);
        assert!(scene.candidates.iter().all(|c| (scene.start_us..scene.end_us).contains(&c.time_us)));
        assert!(
            !scene.candidates.is_empty(),
            "{} to {} has no candidate",
            scene.start_us,
            scene.end_us
        );
        at = scene.end_us;
    }
    assert_eq!(at, n_frames * FRAME_US);
    finished
}

fn starts(found: &[FinishedScene<i64>]) -> Vec<(f64, Boundary)> {
    found.iter().map(|scene| (scene.start_us as f64 / 1e6, scene.boundary)).collect()
}

fn check(n_seconds: i64, glimpse: impl Fn(i64) -> Glimpse, boundaries: &[Found], expected: &[(f64, Boundary)]) {
    assert_eq!(starts(&scenes(n_seconds * 10, glimpse, boundaries, 15)), expected);
}

fn cut(tenths: i64) -> Found {
    Found::Cut {
        time_us: tenths * FRAME_US,
    }
}

/// An empty room with its camera's noise, and light that brightens by one level every six seconds and starts over after 72 s.
fn room(number: i64) -> Glimpse {
    noisy(lit(view(1), (number / 60 % 12) as i16), number, 6)
}

/// Somebody stands in the room.
fn visited(number: i64) -> Glimpse {
    with_thing(room(number), 20..26, 16..36)
}

#[test]
fn no_cut_is_one_scene() {
    check(10, room, &[], &[(0.0, Boundary::Start)]);
}

#[test]
fn cuts_begin_scenes() {
    let shots = |number: i64| view((number / 40) as usize);
    check(8, shots, &[cut(40)], &[(0.0, Boundary::Start), (4.0, Boundary::Cut)]);
}

#[test]
fn a_still_hour_is_one_scene() {
    let found = scenes(36_000, room, &[], 15);
    assert_eq!(starts(&found), [(0.0, Boundary::Start)]);
}

#[test]
fn a_take_is_divided_where_something_happens_and_where_it_is_over() {
    let video = |number: i64| {
        // Walks in for a second, stays, and walks out.
        match number {
            600..610 => with_thing(room(number), (number - 600) as usize * 2..(number - 597) as usize * 2 + 2, 16..36),
            610..700 => visited(number),
            700..710 => with_thing(
                room(number),
                20 + (number - 700) as usize * 4..26 + (number - 700) as usize * 4,
                16..36,
            ),
            _ => room(number),
        }
    };
    let found = scenes(1200, video, &[], 15);
    let starts = starts(&found);
    let times: Vec<_> = starts.iter().map(|(start, _)| *start).collect();
    assert!((59.5..60.5).contains(&times[1]), "somebody comes: {times:?}");
    assert!(times.iter().any(|start| (69.5..70.5).contains(start)), "and goes: {times:?}");
    assert!(times.len() <= 5 && times.last().unwrap() < &75.0, "{times:?}");
}

#[test]
fn a_take_is_divided_where_it_comes_to_rest() {
    // Somebody walks up and down and then stands still for a minute. After 12 s of walking, the rest is known only after the longest time
    // allowed.
    for walked in [80, 120] {
        let video = |number: i64| {
            let at = number.min(walked) as usize % 40;
            noisy(with_thing(view(1), at..at + 6, 16..36), number, 6)
        };
        let found = scenes(700, video, &[], 15);
        let starts = starts(&found);
        assert_eq!(starts.len(), 2, "{starts:?}");
        let rest_s = walked as f64 / 10.0;
        assert!((rest_s - 0.5..rest_s + 0.5).contains(&starts[1].0), "{starts:?}");
        assert_eq!(starts[1].1, Boundary::Part);
    }
}

#[test]
fn a_flash_divides_nothing() {
    let video = |number: i64| {
        if number == 100 || number == 101 {
            lit(room(number), 90)
        } else {
            room(number)
        }
    };
    check(20, video, &[], &[(0.0, Boundary::Start)]);
}

#[test]
fn a_moving_take_is_divided_at_the_latest_after_the_longest_time_allowed() {
    // Somebody walks up and down.
    let video = |number: i64| {
        let at = (number % 100).min(99 - number % 100) as usize;
        with_thing(view(1), at..at + 6, 16..36)
    };
    let found = scenes(600, video, &[], 15);
    assert!(
        found
            .iter()
            .all(|scene| scene.end_us - scene.start_us <= 15 * SECOND + 2 * FRAME_US),
        "{:?}",
        starts(&found)
    );
    assert!(found.len() <= 6, "{:?}", starts(&found));
}

#[test]
fn a_rest_that_would_be_too_short_is_as_long_as_a_part_must_be() {
    let video = |number: i64| with_thing(view(1), number as usize % 56..number as usize % 56 + 6, 16..36);
    check(16, video, &[], &[(0.0, Boundary::Start), (13.0, Boundary::Part)]);
    check(15, video, &[], &[(0.0, Boundary::Start)]);
}

#[test]
fn a_take_is_divided_where_it_shows_another_view_but_not_near_its_ends() {
    let turn = |at: i64| move |number: i64| if number < at { view(1) } else { view(2) };
    check(12, turn(60), &[], &[(0.0, Boundary::Start), (6.0, Boundary::Part)]);
    check(8, turn(60), &[], &[(0.0, Boundary::Start)]);
    // A walk along a wall: another view every few seconds.
    let found = scenes(300, |number| wall(number as usize), &[], 15);
    assert!((5..=10).contains(&found.len()), "{:?}", starts(&found));
    assert!(
        found.iter().all(|scene| scene.end_us - scene.start_us >= MIN_PART_US),
        "{:?}",
        starts(&found)
    );
}

#[test]
fn a_boundary_in_the_past_takes_its_candidates_along() {
    let shots = |number: i64| view((number / 25) as usize);
    let found = scenes(100, shots, &[cut(25), cut(50), cut(75)], 15);
    for (shot, scene) in found.iter().enumerate() {
        assert!(scene.candidates.iter().all(|candidate| candidate.picture / 25 == shot as i64));
    }
}

#[test]
fn a_scene_knows_what_of_it_belongs_to_a_transition_or_is_next_to_a_cut() {
    let dissolve = Found::Gradual {
        start_us: 38 * FRAME_US,
        time_us: 40 * FRAME_US,
        end_us: 42 * FRAME_US,
    };
    let found = scenes(120, |number| view((number / 40) as usize), &[dissolve, cut(80)], 15);
    assert_eq!(
        starts(&found),
        [(0.0, Boundary::Start), (4.0, Boundary::Gradual), (8.0, Boundary::Cut)]
    );
    assert_eq!((found[0].mixed_from_us, found[1].mixed_until_us), (38 * FRAME_US, 42 * FRAME_US));
    assert_eq!((found[1].mixed_from_us, found[2].mixed_until_us), (80 * FRAME_US, 80 * FRAME_US));
    // Two frames, but at most a tenth of a second if frames are far apart.
    assert_eq!((found[1].clear_until_us, found[2].clear_from_us), (7_900_000, 8_100_000));
}

#[test]
fn a_transition_is_not_taken_for_something_that_happens() {
    // A fade in over four seconds, then nothing for a minute.
    let video = |number: i64| {
        if number < 80 {
            view(2)
        } else {
            lit(view(1), -2 * (120 - number).max(0) as i16)
        }
    };
    let fade = Found::Gradual {
        start_us: 78 * FRAME_US,
        time_us: 80 * FRAME_US,
        end_us: 120 * FRAME_US,
    };
    check(72, video, &[fade], &[(0.0, Boundary::Start), (8.0, Boundary::Gradual)]);
}

#[test]
fn short_and_black_videos_have_candidates() {
    for n_frames in 1..=4 {
        assert_eq!(scenes(n_frames, |_| flat(0), &[], 15).len(), 1);
    }
}
