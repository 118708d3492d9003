use super::*;

const SECOND: i64 = 1_000_000;

fn grey(level: u8) -> Glimpse {
    Glimpse {
        luma: [level; LUMA.0 * LUMA.1],
        ..Glimpse::default()
    }
}

/// A take of `levels`: (seconds, grey level), at 10 frames a second, with cuts at the given tenths.
fn scenes(levels: &[(i64, u8)], cuts: &[i64], max_s: i64) -> Vec<Take<i64>> {
    let mut takes = Takes::new(max_s * SECOND);
    let mut finished = Vec::new();
    let mut frame = 0;
    for (seconds, level) in levels {
        for _ in 0..seconds * 10 {
            let time_us = frame * SECOND / 10;
            takes.frame(time_us, &grey(*level));
            if cuts.contains(&frame) {
                takes.found(Found::Cut { time_us });
            }
            if takes.wants(time_us, false) {
                takes.keep(Candidate {
                    time_us,
                    dark: *level == 0,
                    picture: frame,
                });
            }
            takes.divide(time_us + 1);
            frame += 1;
        }
    }
    takes.end(frame * SECOND / 10);
    finished.extend(takes.drain());
    let mut at = 0;
    for take in &finished {
        assert_eq!(take.start_us, at, "scenes tile the video");
        assert!(take.end_us > take.start_us);
        assert!(take.candidates.len() < MAX_CANDIDATES);
        assert!(take.candidates.iter().all(|c| (take.start_us..take.end_us).contains(&c.time_us)));
        assert!(take.candidates.is_sorted_by_key(|c| c.time_us));
        at = take.end_us;
    }
    assert_eq!(at, frame * SECOND / 10);
    finished
}

fn check(levels: &[(i64, u8)], cuts: &[i64], expected: &[(f64, Boundary)]) {
    let starts: Vec<_> = scenes(levels, cuts, 15)
        .iter()
        .map(|take| (take.start_us as f64 / 1e6, take.boundary))
        .collect();
    assert_eq!(starts, expected, "{levels:?} cut at {cuts:?}");
}

#[test]
fn no_cut_is_one_scene() {
    check(&[(10, 50)], &[], &[(0.0, Boundary::Start)]);
}

#[test]
fn cuts_begin_scenes() {
    check(&[(4, 50), (4, 200)], &[40], &[(0.0, Boundary::Start), (4.0, Boundary::Cut)]);
}

#[test]
fn a_still_take_is_divided_at_the_longest_allowed() {
    check(
        &[(40, 50)],
        &[],
        &[(0.0, Boundary::Start), (15.0, Boundary::Part), (30.0, Boundary::Part)],
    );
}

#[test]
fn a_rest_that_would_be_too_short_is_shared_out() {
    check(&[(16, 50)], &[], &[(0.0, Boundary::Start), (8.0, Boundary::Part)]);
    check(&[(15, 50)], &[], &[(0.0, Boundary::Start)]);
}

#[test]
fn a_take_is_divided_where_the_picture_drifted_but_not_near_its_ends() {
    check(&[(6, 50), (6, 100)], &[], &[(0.0, Boundary::Start), (6.0, Boundary::Part)]);
    check(&[(2, 50), (6, 100)], &[], &[(0.0, Boundary::Start), (3.0, Boundary::Part)]);
    check(&[(6, 50), (2, 100)], &[], &[(0.0, Boundary::Start)]);
    check(&[(6, 50), (6, 60)], &[], &[(0.0, Boundary::Start)]);
}

#[test]
fn a_cut_in_the_past_takes_its_candidates_along() {
    let mut takes = Takes::new(15 * SECOND);
    for frame in 0..30 {
        let time_us = frame * SECOND / 10;
        takes.frame(time_us, &grey(50));
        takes.keep(Candidate {
            time_us,
            dark: false,
            picture: frame,
        });
    }
    takes.found(Found::Cut { time_us: 2_500_000 });
    takes.end(3 * SECOND);
    let finished: Vec<_> = takes.drain().collect();
    assert_eq!(finished.iter().map(|take| take.candidates.len()).collect::<Vec<_>>(), [25, 5]);
}

#[test]
fn candidates_stay_bounded_and_spread_over_an_hour() {
    // No division for an hour: the longest allowed is longer.
    let finished = scenes(&[(3600, 50)], &[], 7200);
    assert_eq!(finished.len(), 1);
    let times: Vec<_> = finished[0].candidates.iter().map(|c| c.time_us).collect();
    assert!(times.len() >= MAX_CANDIDATES / 4, "{times:?}");
    let widest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(widest <= 3600 * SECOND / 8, "{widest}");
}

#[test]
fn short_scenes_keep_all_their_frames() {
    for n in 1..=4 {
        let mut takes = Takes::new(15 * SECOND);
        for frame in 0..n {
            let time_us = frame * 1000;
            takes.frame(time_us, &grey(50));
            if takes.wants(time_us, false) {
                takes.keep(Candidate {
                    time_us,
                    dark: false,
                    picture: (),
                });
            }
        }
        takes.end(n * 1000);
        let finished: Vec<_> = takes.drain().collect();
        assert_eq!(choose(&finished[0]).len() as i64, n.min(3), "{n} frames");
    }
}

#[test]
fn samples_are_spread_and_avoid_black() {
    let take = |dark: &[usize]| Take {
        start_us: 0,
        end_us: 6 * SECOND,
        boundary: Boundary::Start,
        candidates: (0..12)
            .map(|i| Candidate {
                time_us: i as i64 * SECOND / 2,
                dark: dark.contains(&i),
                picture: (),
            })
            .collect(),
    };
    assert_eq!(choose(&take(&[])), [2, 6, 10]);
    assert_eq!(choose(&take(&[2, 6])), [1, 5, 10]);
    assert_eq!(choose(&take(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])), [6, 10, 11]);
}

#[test]
fn long_scenes_give_five_samples() {
    assert_eq!(choose(&scenes(&[(9, 50)], &[], 15)[0]).len(), 5);
}
