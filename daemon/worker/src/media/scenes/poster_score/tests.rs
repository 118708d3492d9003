use super::*;

/// Paints a glimpse cell by cell: luma, blue, red.
fn painted(paint: impl Fn(usize, usize) -> [u8; 3]) -> Glimpse {
    let mut glimpse = Glimpse::default();
    for y in 0..LUMA.1 {
        for x in 0..LUMA.0 {
            glimpse.luma[y * LUMA.0 + x] = paint(x, y)[0];
        }
    }
    for y in 0..CHROMA.1 {
        for x in 0..CHROMA.0 {
            let [_, blue, red] = paint(2 * x, 2 * y);
            glimpse.blue[y * CHROMA.0 + x] = blue;
            glimpse.red[y * CHROMA.0 + x] = red;
        }
    }
    glimpse
}

/// Paints a picture with light, colours and detail; `phase` moves its content.
fn scene(phase: usize) -> Glimpse {
    painted(|x, y| {
        let wave = ((x + phase) as f32 / 5.0).sin() * ((y + 2 * phase) as f32 / 7.0).cos();
        [(120.0 + 80.0 * wave) as u8, (128.0 - 30.0 * wave) as u8, (118 + y / 2) as u8]
    })
}

fn dark(glimpse: &Glimpse, divisor: u8) -> Glimpse {
    let mut dark = glimpse.clone();
    for value in &mut dark.luma {
        *value /= divisor;
    }
    dark
}

/// Paints white text on a plain ground.
fn card(ground: [u8; 3]) -> Glimpse {
    painted(|x, y| {
        if (20..26).contains(&y) && (10..54).contains(&x) && x % 3 > 0 {
            [235, 128, 128]
        } else {
            ground
        }
    })
}

/// Returns which of the frames, one every ten seconds, scores best.
fn best(glimpses: &[(Glimpse, u32)]) -> usize {
    let seen: Vec<PosterFrame> = glimpses
        .iter()
        .enumerate()
        .map(|(at, (glimpse, sharpness))| PosterFrame::of(10_000_000 * at as i64 + 5_000_000, *sharpness, glimpse))
        .collect();
    let scores = scores(&seen, Some(10_000_000 * glimpses.len() as i64));
    (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap()
}

#[test]
fn black_frames_fades_and_cards_tell_less_than_a_scene() {
    let black = painted(|_, _| [0, 128, 128]);
    let grey = painted(|_, _| [120, 128, 128]);
    let white_card = painted(|x, y| {
        if card([0; 3]).luma[y * LUMA.0 + x] > 0 {
            [16, 128, 128]
        } else {
            [235, 128, 128]
        }
    });
    let others = vec![
        black,
        grey,
        dark(&scene(0), 6),
        card([16, 128, 128]),
        card([90, 170, 100]),
        white_card,
    ];
    for (at, other) in others.into_iter().enumerate() {
        // The scene must win even if most of the video is something else.
        let mut video: Vec<(Glimpse, u32)> = vec![(other, 100); 4];
        video[2] = (scene(3), 100);
        assert_eq!(best(&video), 2, "kind {at}");
    }
}

#[test]
fn the_sharper_of_two_like_frames_is_chosen() {
    let video = vec![(scene(0), 400), (scene(1), 20), (scene(2), 390), (scene(3), 410)];
    assert_ne!(best(&video), 1);
    assert!(gain(&PosterFrame::of(0, 300, &scene(0)), &PosterFrame::of(0, 100, &scene(0))) > 1.3);
    assert!((gain(&PosterFrame::of(0, 100, &scene(0)), &PosterFrame::of(0, 100, &scene(0))) - 1.0).abs() < 1e-6);
    assert!(gain(&PosterFrame::of(0, 100, &dark(&scene(0), 4)), &PosterFrame::of(0, 100, &scene(0))) < 0.8);
}

#[test]
fn what_looks_like_nothing_else_in_the_video_is_not_typical_of_it() {
    // Colour bars are bright, sharp and full of contrast.
    let bars = painted(|x, _| {
        [
            [235, 128, 128],
            [210, 16, 146],
            [170, 166, 16],
            [145, 54, 34],
            [106, 202, 222],
            [81, 90, 240],
        ][x / 11]
    });
    let mut video: Vec<(Glimpse, u32)> = (0..12).map(|at| (scene(at), 100)).collect();
    video[6] = (bars, 100);
    assert_ne!(best(&video), 6);
}

#[test]
fn logos_and_credits_lie_at_the_ends() {
    let video: Vec<(Glimpse, u32)> = (0..32).map(|_| (scene(0), 100)).collect();
    let seen: Vec<PosterFrame> = video
        .iter()
        .enumerate()
        .map(|(at, (glimpse, _))| PosterFrame::of(at as i64, 100, glimpse))
        .collect();
    let scores = scores(&seen, Some(31));
    assert!(scores[0] < scores[16] && scores[31] < scores[16], "{scores:?}");
}

#[test]
fn a_picture_that_is_gone_at_once_counts_less() {
    assert!(steadiness(0, false) > steadiness(0, true));
    assert!(steadiness(0, false) > steadiness(BLOCKS as u32 / 3, false));
}

#[test]
fn a_video_of_one_frame_has_a_score_even_when_it_is_black() {
    let seen = [PosterFrame::of(0, 0, &painted(|_, _| [0, 128, 128]))];
    let scores = scores(&seen, None);
    assert!(scores[0] > 0.0 && scores[0].is_finite(), "{scores:?}");
}
