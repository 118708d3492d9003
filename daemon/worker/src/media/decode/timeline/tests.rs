use super::*;

const FRAME_US: i64 = 40_000;

/// Frames in decoding order with two B-frames between anchors, and a keyframe every 24 frames.
fn recording(from_us: i64, n: i64) -> Vec<Tick> {
    let order = |i: i64| match i % 3 {
        1 if i + 1 < n => i + 1,
        2 => i - 1,
        _ => i,
    };
    (0..n)
        .map(|i| Tick {
            time_us: from_us + order(i) * FRAME_US,
            duration_us: FRAME_US,
            is_key: i % 24 == 0,
            offset_bytes: i as u64 * 1000,
            stream: 0,
        })
        .collect()
}

fn timeline(ticks: &[Tick]) -> Timeline {
    let mut scan = Scan::default();
    for tick in ticks {
        scan.take(Some(*tick));
    }
    scan.finish()
}

/// Times at which frames are shown, in display order; frames without stamps are left out.
fn shown(ticks: &[Tick]) -> Vec<i64> {
    let timeline = timeline(ticks);
    let mut times: Vec<i64> = (0..)
        .zip(ticks)
        .filter_map(|(number, tick)| match timeline.mended(number) {
            Mended::Moved { by_us } => Some(tick.time_us + by_us),
            Mended::Gone => None,
        })
        .collect();
    times.sort_unstable();
    times
}

fn run_on(n: i64) -> Vec<i64> {
    (0..n).map(|i| i * FRAME_US).collect()
}

const HOUR_US: i64 = 3600 * 1_000_000;

#[test]
fn an_ordinary_clock_is_left_alone_and_never_looked_into() {
    let ticks = recording(0, 500);
    assert!(timeline(&ticks).is_plain());
    let mut watch = Watch::default();
    assert!(ticks.iter().all(|tick| watch.follows(*tick) == Follows::Well));
}

#[test]
fn recordings_put_together_follow_each_other() {
    for starts in [
        &[0, 0][..],
        &[0, 0, 0],
        &[0, -5_000_000, 3_000_000],
        &[0, 30 * HOUR_US, 0],
        &[0, 11 * HOUR_US, 0],
        &[0, 20_000_000, 0, 5_000_000],
    ] {
        let mut ticks = Vec::new();
        for start_us in starts {
            ticks.extend(recording(*start_us, 240));
        }
        let times = shown(&ticks);
        let timeline = timeline(&ticks);
        // Only the leap ahead of ten seconds is a pause.
        if starts[1] == 20_000_000 {
            assert_eq!(times.len(), 960);
            assert!(times.windows(2).all(|pair| pair[1] > pair[0]), "{times:?}");
        } else {
            assert_eq!(times, run_on(240 * starts.len() as i64), "{starts:?}: {timeline:?}");
        }
        assert_eq!(timeline.clock_parts()[0].file_ms, 0);
    }
}

#[test]
fn wrong_stamps_move_nothing() {
    for (from, n) in [(70, 1), (70, 2), (72, 1), (3, 1), (60, 30), (60, 100), (498, 2)] {
        for away_us in [3 * HOUR_US, -3 * HOUR_US, 20 * HOUR_US, -5_000_000, 15_000_000] {
            let mut ticks = recording(0, 500);
            for tick in &mut ticks[from..from + n] {
                tick.time_us += away_us;
            }
            let times = shown(&ticks);
            // At the very end, a short leap is a pause.
            if from == 498 && away_us == 15_000_000 {
                continue;
            }
            let rest: Vec<i64> = run_on(500).into_iter().filter(|time_us| times.contains(time_us)).collect();
            let lacking = 500 - rest.len();
            assert_eq!(times, rest, "{from} {n} {away_us}: {:?}", timeline(&ticks));
            assert!(lacking <= n, "{from} {n} {away_us}: {lacking} {:?}", timeline(&ticks));
        }
    }
}

#[test]
fn many_single_wrong_stamps_move_nothing() {
    let mut ticks = recording(0, 500);
    for (at, tick) in ticks.iter_mut().enumerate().filter(|(at, _)| at % 50 == 20) {
        tick.time_us += at as i64 * HOUR_US / 100 * if at % 100 == 20 { 1 } else { -1 };
    }
    let times = shown(&ticks);
    assert_eq!(times.len(), 490);
    assert!(
        times.iter().all(|time_us| time_us % FRAME_US == 0 && *time_us < 500 * FRAME_US),
        "{:?}",
        timeline(&ticks)
    );
}

#[test]
fn a_pause_stays_what_players_show() {
    let mut ticks = recording(0, 240);
    ticks.extend(recording(2 * HOUR_US, 240));
    ticks.extend(recording(5 * HOUR_US, 240));
    assert!(timeline(&ticks).is_plain(), "{:?}", timeline(&ticks));
    assert!(timeline(&ticks).clock_parts().is_empty());
}

#[test]
fn a_pause_of_a_second_recording_is_kept() {
    let mut ticks = recording(0, 240);
    ticks.extend(recording(0, 240));
    ticks.extend(recording(HOUR_US, 240));
    let times = shown(&ticks);
    assert_eq!(times[480], HOUR_US + 240 * FRAME_US);
}

#[test]
fn what_is_told_finds_each_part_in_the_file() {
    let mut ticks = recording(500_000, 240);
    ticks.extend(recording(0, 240));
    let told = timeline(&ticks).clock_parts();
    let part = |start_ms, file_ms, file_end_ms, first_frame| (start_ms, file_ms, file_end_ms, first_frame);
    let told: Vec<_> = told
        .iter()
        .map(|it| part(it.start_ms, it.file_ms, it.file_end_ms, it.first_frame))
        .collect();
    assert_eq!(told, [part(0, 0, 10_100, 0), part(10_100, 0, 9600, 240)]);
}

#[test]
fn a_slide_show_has_an_ordinary_clock() {
    let ticks: Vec<Tick> = (0..20)
        .map(|i| Tick {
            time_us: i * 30_000_000,
            duration_us: 30_000_000,
            is_key: i % 5 == 0,
            offset_bytes: 0,
            stream: 0,
        })
        .collect();
    let mut watch = Watch::default();
    assert!(ticks.iter().all(|tick| watch.follows(*tick) == Follows::Well));
    assert!(timeline(&ticks).is_plain());
}
