//! Clocks that start again, or are wrong for a few frames.

use super::*;

/// Makes a video of two colours of three seconds each, with B-frames and a keyframe every second.
fn recording(folder: &Path, name: &str, colours: [&str; 2]) -> Vec<u8> {
    let part = |colour: &str| format!("-f lavfi -i color={colour}:s=160x120:r=25:d=3");
    let (one, two) = (part(colours[0]), part(colours[1]));
    let words = format!(
        "{one} {two} -filter_complex [0][1]concat=n=2:v=1,format=yuv420p -c:v libx264 -preset veryfast -bf 2 -g 25 -sc_threshold 0"
    );
    fs::read(video(folder, name, &words)).unwrap()
}

fn shot() -> AnalyseRequest {
    AnalyseRequest {
        detector: Detector::Shot,
        threads: 2,
        ..request()
    }
}

#[test]
fn recordings_put_together_are_one_video_and_its_parts_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let first = recording(folder.path(), "a.ts", ["red", "blue"]);
    let second = recording(folder.path(), "b.ts", ["white", "red"]);
    let path = folder.path().join("film.ts");
    fs::write(&path, [first.clone(), second.clone(), first.clone()].concat()).unwrap();
    for request in [request(), shot()] {
        let told = analyse_with(&worker(), &path, &request).unwrap();
        assert_eq!(told.cuts_ms(), [3000, 6000, 9000, 15_000], "{:?}", told.analysis);
        let picture = told.analysis.picture.unwrap();
        let parts: Vec<_> = picture
            .clock
            .iter()
            .map(|part| (part.start_ms, part.file_ms, part.file_end_ms, part.first_frame))
            .collect();
        assert_eq!(parts, [(0, 0, 6000, 0), (6000, 0, 6000, 150), (12_000, 0, 6000, 300)]);
        // The offset is just behind the tables at the beginning of a recording.
        for (part, start) in picture.clock[1..].iter().zip([first.len(), first.len() + second.len()]) {
            assert!((start as u64..start as u64 + 2000).contains(&part.offset_bytes), "{part:?} {start}");
        }
    }
    // A moment is found by counting, because the file's time leads to another recording.
    for (at_ms, expected) in [(1000, RED), (4000, BLUE), (7000, [255, 255, 255]), (10_000, RED), (16_000, BLUE)] {
        let request = PictureRequest {
            image: square(64),
            at_ms: Some(at_ms),
            clock_is_odd: true,
            label: "test".to_owned(),
        };
        let frames = worker().picture(File::open(&path).unwrap(), &request, &Cancel::default()).unwrap();
        assert_colour(&frames[0], (1, 1), expected);
    }
}

#[test]
fn frames_with_wrong_stamps_move_nothing() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path(), "good.mp4", ["red", "blue"]);
    let good = folder.path().join("good.mp4");
    for (name, wrong) in [
        ("two.mp4", "eq(N,40)+eq(N,41)"),
        ("many.mp4", "between(N,30,55)"),
        ("here and there.mp4", "eq(mod(N,31),7)"),
    ] {
        let wrong = wrong.replace(',', "\\,");
        let words = format!(
            "-i {} -c copy -bsf:v setts=pts=if({wrong}\\,PTS+9000/TB\\,PTS):dts=DTS",
            good.display()
        );
        let path = video(folder.path(), name, &words);
        for request in [request(), shot()] {
            let told = analyse_with(&worker(), &path, &request).unwrap();
            assert_eq!(told.cuts_ms(), [3000], "{name}: {:?}", told.analysis);
            assert_eq!((told.analysis.duration_ms, told.analysis.n_frames), (6000, 150), "{name}");
            let picture = told.analysis.picture.unwrap();
            assert!(picture.clock.is_empty() && !picture.wrong.is_empty(), "{name}: {picture:?}");
        }
    }
}

#[test]
fn an_ordinary_video_has_an_ordinary_clock() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.mp4", RED_BLUE);
    let picture = analyse(&path).unwrap().analysis.picture.unwrap();
    assert_eq!((picture.stream, picture.track, picture.n_tracks), (0, 1, 1));
    assert!(picture.clock.is_empty() && picture.wrong.is_empty(), "{picture:?}");
}
