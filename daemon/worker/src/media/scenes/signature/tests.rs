use super::*;
use crate::media::scenes::pictures_for_tests::{flat, lit, noisy, view, wall, with_thing};

fn change(a: &Glimpse, b: &Glimpse) -> Change {
    let (a, b) = (Signature::of(a), Signature::of(b));
    assert_eq!(a.change(&b), b.change(&a), "either may have come first");
    a.change(&b)
}

#[test]
fn noise_and_small_changes_of_exposure_are_no_change() {
    let room = view(1);
    assert!(change(&room, &noisy(room.clone(), 7, 8)).is_none());
    assert!(change(&room, &lit(room.clone(), 20)).is_none());
    assert!(change(&room, &noisy(lit(room.clone(), -20), 9, 6)).is_none());
    // Both halves change by the same amount in opposite directions: one was lit and one was shaded.
    let mut shaded = lit(room.clone(), 16);
    shaded.luma[..LUMA.0 * 24].copy_from_slice(&lit(room.clone(), -16).luma[..LUMA.0 * 24]);
    assert!(!change(&room, &shaded).is_none());
}

#[test]
fn a_thing_in_one_place_is_a_change_however_little_the_mean_moves() {
    let room = view(1);
    // 1.3 % of the picture.
    let somebody = with_thing(room.clone(), 20..25, 20..28);
    assert!(!change(&room, &somebody).is_none());
    assert!(!change(&noisy(room.clone(), 1, 6), &noisy(lit(somebody, 8), 2, 6)).is_none());
    // A mouse pointer of 2 × 3 pixels of a glimpse.
    assert!(change(&room, &with_thing(room.clone(), 20..22, 20..23)).is_none());
}

#[test]
fn another_view_changes_most_blocks_and_a_step_aside_some() {
    assert!(change(&view(1), &view(2)).n_blocks > BLOCKS as u32 * 3 / 4);
    let step = change(&wall(100), &wall(102)).n_blocks;
    assert!((10..BLOCKS as u32 * 2 / 3).contains(&step), "{step}");
}

#[test]
fn another_colour_is_a_change_at_the_same_brightness() {
    let mut red = view(1);
    red.red[..CHROMA.0 * 6].fill(150);
    assert!(!change(&view(1), &red).is_none());
}

#[test]
fn black_and_flat_colours_are_blank_and_a_title_on_black_is_not() {
    assert!(is_blank(&flat(0)));
    assert!(is_blank(&noisy(flat(12), 3, 6)));
    assert!(is_blank(&noisy(flat(200), 3, 6)));
    assert!(!is_blank(&with_thing(flat(10), 20..44, 22..25)));
    assert!(!is_blank(&view(1)));
}
