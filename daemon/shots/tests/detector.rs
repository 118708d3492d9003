//! Tests the trained detector on edits whose truth is known to the frame.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use scened_shots::{CHROMA, Found, Glimpse, LUMA, ShotDetector};

const FRAME_US: i64 = 40_000;

/// Returns a picture of blobs that differs for every `seed` and drifts slowly with `n`.
fn scene(seed: u32, n: usize) -> Glimpse {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(97);
    let mut chance = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24)
    };
    let base = [60.0 + 130.0 * chance(), 90.0 + 76.0 * chance(), 90.0 + 76.0 * chance()];
    let blobs: Vec<[f64; 7]> = (0..12)
        .map(|_| {
            [
                chance(),
                chance(),
                0.04 + 0.15 * chance(),
                160.0 * (chance() - 0.5),
                60.0 * (chance() - 0.5),
                60.0 * (chance() - 0.5),
                0.1 * (chance() - 0.5),
            ]
        })
        .collect();
    let at = |u: f64, v: f64| {
        let mut colour = base;
        for [x, y, size, light, blue, red, speed] in &blobs {
            let x = x + speed * n as f64 / 25.0;
            let near = (1.5 - ((u - x).powi(2) + (v - y).powi(2)) / (size * size)).clamp(0.0, 1.0);
            for (value, change) in colour.iter_mut().zip([light, blue, red]) {
                *value += near * change;
            }
        }
        colour
    };
    let mut glimpse = Glimpse::default();
    for (place, luma) in glimpse.luma.iter_mut().enumerate() {
        let grain = (place * 31 + n * 17) % 3;
        *luma = (at((place % LUMA.0) as f64 / LUMA.0 as f64, (place / LUMA.0) as f64 / LUMA.1 as f64)[0] + grain as f64) as u8;
    }
    for place in 0..glimpse.blue.len() {
        let colour = at(
            (place % CHROMA.0) as f64 / CHROMA.0 as f64,
            (place / CHROMA.0) as f64 / CHROMA.1 as f64,
        );
        glimpse.blue[place] = colour[1] as u8;
        glimpse.red[place] = colour[2] as u8;
    }
    glimpse
}

fn mixed(a: &Glimpse, b: &Glimpse, part: f64) -> Glimpse {
    let mix = |into: &mut [u8], x: &[u8], y: &[u8]| {
        for ((value, x), y) in into.iter_mut().zip(x).zip(y) {
            *value = (f64::from(*x) * (1.0 - part) + f64::from(*y) * part).round() as u8;
        }
    };
    let mut mixed = Glimpse::default();
    mix(&mut mixed.luma, &a.luma, &b.luma);
    mix(&mut mixed.blue, &a.blue, &b.blue);
    mix(&mut mixed.red, &a.red, &b.red);
    mixed
}

fn black() -> Glimpse {
    Glimpse::default()
}

fn found(frames: &[Glimpse]) -> Vec<Found> {
    let mut detector = ShotDetector::new();
    let mut found = Vec::new();
    let mut settled_us = i64::MIN;
    for (n, frame) in frames.iter().enumerate() {
        detector.push(n as i64 * FRAME_US, frame);
        while let Some(next) = detector.next_found() {
            let began_us = match next {
                Found::Cut { time_us } => time_us,
                Found::Gradual { start_us, .. } => start_us,
            };
            assert!(began_us >= settled_us, "{next:?} was told after {settled_us} was settled");
            found.push(next);
        }
        assert!(detector.settled_us() >= settled_us, "what is settled stays so");
        settled_us = detector.settled_us();
    }
    detector.finish();
    found.extend(std::iter::from_fn(|| detector.next_found()));
    assert!(found.is_sorted_by_key(|found| found.time_us()), "{found:?}");
    found
}

fn take(seed: u32, n: usize) -> impl Iterator<Item = Glimpse> {
    (0..n).map(move |at| scene(seed, at))
}

fn cut(frame: i64) -> Found {
    Found::Cut { time_us: frame * FRAME_US }
}

/// Asserts that there is one gradual transition, within the frames `around`, and that its middle is within the frames `middle`.
fn assert_one_gradual(found: &[Found], around: [i64; 2], middle: [i64; 2]) {
    let &[Found::Gradual { start_us, time_us, end_us }] = found else {
        panic!("{found:?} is not one transition");
    };
    let [from, to] = around.map(|frame| frame * FRAME_US);
    let [low, high] = middle.map(|frame| frame * FRAME_US);
    assert!(start_us >= from && end_us <= to && start_us < end_us, "{found:?}");
    assert!((low..=high).contains(&time_us), "{found:?}");
}

#[test]
fn a_cut_is_told_at_the_first_frame_of_the_new_shot() {
    for seed in 0..8 {
        let frames: Vec<_> = take(seed, 60).chain(take(seed + 100, 60)).chain(take(seed + 200, 60)).collect();
        assert_eq!(found(&frames), [cut(60), cut(120)], "seed {seed}");
    }
}

#[test]
fn one_shot_gives_nothing() {
    for seed in 0..8 {
        let frames: Vec<_> = take(seed, 200).collect();
        assert_eq!(found(&frames), [], "seed {seed}");
    }
}

#[test]
fn a_shot_of_half_a_second_between_two_of_another_is_two_cuts() {
    let frames: Vec<_> = take(1, 60).chain(take(2, 12)).chain((72..140).map(|n| scene(1, n))).collect();
    assert_eq!(found(&frames), [cut(60), cut(72)]);
}

#[test]
fn a_flash_is_no_cut() {
    for length in 1..=3 {
        let mut frames: Vec<_> = take(3, 120).collect();
        for frame in &mut frames[60..60 + length] {
            for luma in &mut frame.luma {
                *luma = luma.saturating_add(150);
            }
        }
        assert_eq!(found(&frames), [], "a flash of {length} frames");
    }
}

#[test]
fn a_jump_of_the_exposure_is_no_cut() {
    let mut frames: Vec<_> = take(4, 140).collect();
    for frame in &mut frames[70..] {
        for luma in &mut frame.luma {
            *luma = (f64::from(*luma) * 0.6) as u8;
        }
    }
    assert_eq!(found(&frames), []);
}

#[test]
fn a_dissolve_is_one_boundary_in_its_middle() {
    for (seed, length) in [(5, 10), (6, 20), (7, 30), (8, 50)] {
        let mut frames: Vec<_> = take(seed, 60).collect();
        frames.extend((0..length).map(|n| mixed(&scene(seed, 60 + n), &scene(seed + 50, n), (n + 1) as f64 / (length + 1) as f64)));
        frames.extend((length..length + 60).map(|n| scene(seed + 50, n)));
        let (length, middle) = (length as i64, 60 + length as i64 / 2);
        assert_one_gradual(&found(&frames), [54, 66 + length], [middle - 3, middle + 3]);
    }
}

#[test]
fn a_fade_through_black_is_one_boundary_where_it_is_darkest() {
    for hold in [0, 4, 16] {
        let mut frames: Vec<_> = take(9, 60).collect();
        frames.extend((0..20).map(|n| mixed(&scene(9, 60 + n), &black(), (n + 1) as f64 / 20.0)));
        frames.extend((0..hold).map(|_| black()));
        frames.extend((0..20).map(|n| mixed(&black(), &scene(10, n), n as f64 / 20.0)));
        frames.extend((20..90).map(|n| scene(10, n)));
        assert_one_gradual(&found(&frames), [54, 106 + hold], [77, 83 + hold]);
    }
}

#[test]
fn a_cut_at_the_black_end_of_a_fade_belongs_to_it() {
    let mut frames: Vec<_> = take(9, 60).collect();
    frames.extend((0..20).map(|n| mixed(&scene(9, 60 + n), &black(), (n + 1) as f64 / 20.0)));
    frames.extend((0..5).map(|_| black()));
    frames.extend(take(10, 60));
    assert_one_gradual(&found(&frames), [54, 87], [77, 86]);

    let mut frames: Vec<_> = take(9, 60).collect();
    frames.extend((0..5).map(|_| black()));
    frames.extend((0..20).map(|n| mixed(&black(), &scene(10, n), n as f64 / 20.0)));
    frames.extend((20..90).map(|n| scene(10, n)));
    assert_one_gradual(&found(&frames), [59, 90], [60, 68]);
}

#[test]
fn black_that_lasts_is_a_scene_between_a_cut_and_a_fade() {
    let mut frames: Vec<_> = take(9, 60).collect();
    frames.extend((0..30).map(|_| black()));
    frames.extend((0..20).map(|n| mixed(&black(), &scene(10, n), n as f64 / 20.0)));
    frames.extend((20..90).map(|n| scene(10, n)));
    let found = found(&frames);
    assert_eq!(found[0], cut(60), "{found:?}");
    assert_one_gradual(&found[1..], [76, 116], [84, 94]);
}

#[test]
fn black_at_the_ends_of_a_video_leads_nowhere() {
    let mut frames: Vec<_> = (0..15).map(|_| black()).collect();
    frames.extend((0..20).map(|n| mixed(&black(), &scene(11, n), n as f64 / 20.0)));
    frames.extend((20..100).map(|n| scene(11, n)));
    frames.extend((0..20).map(|n| mixed(&scene(11, 100 + n), &black(), (n + 1) as f64 / 20.0)));
    frames.extend((0..15).map(|_| black()));
    assert_eq!(found(&frames), []);
}

#[test]
fn a_scrap_at_the_end_is_no_shot() {
    for (n, expected) in [(1, &[][..]), (2, &[]), (3, &[cut(60)])] {
        let frames: Vec<_> = take(1, 60).chain(take(2, n)).collect();
        assert_eq!(found(&frames), expected, "{n} frames");
    }
}

#[test]
fn plain_cards_are_shots_of_their_own() {
    let card = |luma, blue| {
        let mut card = Glimpse::default();
        card.luma.fill(luma);
        card.blue.fill(blue);
        card
    };
    let mut frames = vec![card(90, 100); 10];
    frames.extend(vec![card(98, 140); 10]);
    frames.extend(vec![card(160, 140); 3]);
    assert_eq!(found(&frames), [cut(10), cut(20)]);
}

#[test]
fn few_frames_or_none_are_no_trouble() {
    for n in 0..30 {
        let frames: Vec<_> = take(12, n).collect();
        assert_eq!(found(&frames), [], "{n} frames");
    }
}

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[expect(unsafe_code, reason = "an allocator that counts must be one")]
// SAFETY: every call is passed unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counter any more.
        let _ended = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_frame_costs_no_allocation() {
    let frames: Vec<_> = take(13, 80).chain(take(14, 80)).collect();
    let mut detector = ShotDetector::new();
    let before = ALLOCATIONS.get();
    for (n, frame) in frames.iter().enumerate() {
        detector.push(n as i64 * FRAME_US, frame);
        while detector.next_found().is_some() {}
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
