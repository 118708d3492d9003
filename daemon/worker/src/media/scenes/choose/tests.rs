use scened_common::domain::Boundary;

use super::*;
use crate::media::pixels::glimpse::Glimpse;
use crate::media::scenes::pictures_for_tests::{SECOND, flat, lit, noisy, view, wall, with_thing};
use crate::media::scenes::signature::{self, Signature};

/// Returns a scene with these pictures as candidates, one every half second.
fn scene_of(pictures: &[Glimpse]) -> FinishedScene<usize> {
    let end_us = pictures.len() as i64 * SECOND / 2;
    FinishedScene {
        start_us: 0,
        end_us,
        boundary: Boundary::Start,
        mixed_until_us: 0,
        mixed_from_us: end_us,
        clear_from_us: 0,
        clear_until_us: end_us,
        candidates: pictures
            .iter()
            .enumerate()
            .map(|(at, glimpse)| Candidate {
                time_us: at as i64 * SECOND / 2,
                signature: Signature::of(glimpse),
                sharpness: 100,
                blank: signature::is_blank(glimpse),
                picture: at,
            })
            .collect(),
    }
}

fn repeated(glimpse: &Glimpse, n: usize) -> Vec<Glimpse> {
    (0..n)
        .map(|seed| noisy(lit(glimpse.clone(), seed as i16 % 9), seed as i64, 6))
        .collect()
}

#[test]
fn a_picture_that_stays_the_same_is_chosen_once() {
    assert_eq!(choose(&scene_of(&repeated(&view(1), 40))).len(), 1);
}

#[test]
fn a_picture_seen_again_is_not_chosen_again() {
    let room = repeated(&view(1), 20);
    let visit = repeated(&with_thing(view(1), 20..28, 10..30), 10);
    let chosen = choose(&scene_of(&[room.clone(), visit, room].concat()));
    assert_eq!(chosen.len(), 2, "{chosen:?}");
    assert!(chosen[0] < 20 && (20..30).contains(&chosen[1]), "{chosen:?}");
}

#[test]
fn whoever_comes_in_is_chosen_even_for_a_second() {
    let mut pictures = repeated(&view(1), 60);
    for (at, column) in [(20, 4), (21, 10), (40, 50)] {
        pictures[at] = with_thing(view(1), column..column + 6, 20..36);
    }
    let chosen = choose(&scene_of(&pictures));
    assert!(chosen.iter().any(|at| [20, 21].contains(at)) && chosen.contains(&40), "{chosen:?}");
}

#[test]
fn a_moving_take_gives_one_in_five_seconds_and_a_fast_one_more() {
    // A thing that crosses the picture slowly.
    let slow: Vec<_> = (0..120).map(|at| with_thing(view(1), at / 2..at / 2 + 4, 20..30)).collect();
    let chosen = choose(&scene_of(&slow));
    assert!(chosen.windows(2).all(|pair| pair[1] - pair[0] <= 10), "{chosen:?}");
    let fast: Vec<_> = (0..20).map(|at| wall(at * 20)).collect();
    let faster = choose(&scene_of(&fast));
    assert!(faster.len() >= 5 && faster.len() <= 10, "{faster:?}");
}

#[test]
fn no_more_are_chosen_than_a_scene_may_have_and_another_view_is_not_given_up() {
    let mut pictures: Vec<_> = (0..400).map(|at| with_thing(view(1), at % 50..at % 50 + 8, 10..34)).collect();
    pictures[200] = view(2);
    let chosen = choose(&scene_of(&pictures));
    assert!(chosen.len() <= wire::MAX_SCENE_FRAMES && chosen.contains(&200), "{chosen:?}");
}

#[test]
fn black_and_blank_pictures_are_chosen_only_when_there_is_nothing_else() {
    let mut pictures = repeated(&flat(0), 12);
    assert_eq!(choose(&scene_of(&pictures)).len(), 1);
    pictures[9] = view(1);
    assert_eq!(choose(&scene_of(&pictures)), [9]);
    let white = repeated(&flat(230), 4);
    assert_eq!(choose(&scene_of(&[white, repeated(&view(1), 2)].concat())), [4]);
}

#[test]
fn frames_of_a_transition_are_not_chosen() {
    let mut scene = scene_of(&(0..12).map(view).collect::<Vec<_>>());
    (scene.mixed_until_us, scene.clear_from_us) = (2 * SECOND, 2 * SECOND + 1);
    (scene.mixed_from_us, scene.clear_until_us) = (4 * SECOND, 4 * SECOND - 1);
    let chosen = choose(&scene);
    assert!(!chosen.is_empty() && chosen.iter().all(|at| (5..8).contains(at)), "{chosen:?}");
    // A scene that consists only of transitions gives its middle.
    scene.mixed_from_us = SECOND;
    assert_eq!(choose(&scene), [6]);
}

#[test]
fn frames_next_to_a_cut_are_not_chosen_when_there_are_others() {
    let mut scene = scene_of(&(0..4).map(view).collect::<Vec<_>>());
    (scene.clear_from_us, scene.clear_until_us) = (80_000, 2 * SECOND - 80_000);
    let chosen = choose(&scene);
    assert!(!chosen.contains(&0) && chosen.contains(&1), "{chosen:?}");
    scene.clear_from_us = 10 * SECOND;
    assert!(!choose(&scene).is_empty());
}

#[test]
fn of_neighbours_the_sharper_one_is_chosen() {
    let mut scene = scene_of(&repeated(&view(1), 6));
    scene.candidates[1].sharpness = 200;
    assert_eq!(choose(&scene), [1]);
    // A frame of another view is chosen as well, however blurred.
    scene.candidates[5] = Candidate {
        sharpness: 5,
        ..scene_of(&repeated(&view(2), 6)).candidates[5].clone()
    };
    assert_eq!(choose(&scene), [1, 5]);
}

#[test]
fn a_scene_without_candidates_gives_none() {
    assert_eq!(choose(&scene_of(&[])), [] as [usize; 0]);
}
