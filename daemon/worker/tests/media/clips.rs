//! Real clips, if `SCENED_TEST_MEDIA` names a folder of them (`shared/media` of this project).

use std::os::unix::ffi::OsStrExt;

use super::*;

const SUFFIXES: [&str; 12] = ["mp4", "mkv", "mov", "webm", "avi", "flv", "ts", "m4v", "3gp", "mpg", "gif", "mp3"];

#[expect(clippy::print_stderr, reason = "a test that was not run must say so")]
fn clips() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("SCENED_TEST_MEDIA") else {
        eprintln!("NOT TESTED: no real clips (set SCENED_TEST_MEDIA to a folder of them)");
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("the folder of clips is readable").path();
            let suffix = path.extension().map(|suffix| suffix.to_string_lossy().to_lowercase());
            if path.is_dir() {
                folders.push(path);
            } else if suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix.as_str())) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "SCENED_TEST_MEDIA holds no clip");
    found.sort();
    found
}

fn named<'a>(clips: &'a [PathBuf], name: &str) -> Option<&'a PathBuf> {
    clips
        .iter()
        .find(|clip| clip.file_name().is_some_and(|file| file.as_bytes() == name.as_bytes()))
}

#[test]
fn a_third_of_the_clips_ends_in_scenes_or_in_words() {
    end_in_scenes_or_in_words(clips().into_iter().step_by(3));
}

#[test]
#[ignore = "takes minutes: make check-long"]
fn every_clip_ends_in_scenes_or_in_words() {
    end_in_scenes_or_in_words(clips());
}

fn end_in_scenes_or_in_words(clips: impl IntoIterator<Item = PathBuf>) {
    for clip in clips {
        match analyse(&clip) {
            Ok(told) => assert!(!told.scenes.is_empty(), "{}", clip.display()),
            Err(MediaError::Unusable { reason }) => {
                assert!(reason.len() > 10, "{}: {reason}", clip.display());
                assert!(
                    !reason.contains("extra-") || clip.extension().is_some_and(|end| end == "mp3"),
                    "{}: {reason}",
                    clip.display()
                );
            }
            Err(other) => panic!("{}: {other}", clip.display()),
        }
    }
}

/// **Source**: `GROUNDTRUTH.md` of the clips, section 3, without the fixed cameras and the recipe's own false alarms.
#[test]
fn clips_of_one_shot_have_no_cut() {
    let clips = clips();
    for name in [
        "fire2.mp4",
        "car-detection.mp4",
        "bottle-detection.mp4",
        "one-by-one-person-detection.mp4",
    ] {
        let Some(clip) = named(&clips, name) else { continue };
        assert_eq!(analyse(clip).unwrap().cuts_ms(), Vec::<u64>::new(), "{name}");
    }
}

/// **Source**: `GROUNDTRUTH.md` of the clips, sections 1 and 2: cuts seen by eye that PySceneDetect's defaults also find.
#[test]
fn clear_cuts_are_found_on_their_frames() {
    let clips = clips();
    for (name, expected) in [
        ("bikes.mp4", &[1200, 3040, 5480, 7480, 9680][..]),
        ("issue-195-aspect-ratio.mp4", &[2800, 6800, 12_040, 16_840, 19_360]),
        ("goldeneye-vfr-drop3.mp4", &[3754, 8759]),
        ("issue-134-rotate.mp4", &[3754, 8759]),
    ] {
        let Some(clip) = named(&clips, name) else { continue };
        let cuts = analyse(clip).unwrap().cuts_ms();
        let near = cuts.len() == expected.len() && cuts.iter().zip(expected).all(|(cut, truth)| cut.abs_diff(*truth) <= 2);
        assert!(near, "{name}: {cuts:?}, not {expected:?}");
    }
}

/// **Source**: `GROUNDTRUTH.md` of the clips, section 4: when somebody is in the picture.
#[test]
fn everybody_who_comes_past_a_fixed_camera_is_embedded_and_an_empty_room_hardly() {
    let clips = clips();
    let Some(clip) = named(&clips, "one-by-one-person-detection.mp4") else {
        return;
    };
    let shot = AnalyseRequest {
        detector: Detector::Shot,
        ..request()
    };
    let told = analyse_with(&worker(), clip, &shot).unwrap();
    let times: Vec<_> = told
        .scenes
        .iter()
        .flat_map(|scene| &scene.frames)
        .map(|frame| frame.time_ms)
        .collect();
    // Each range runs from one empty picture to the next.
    for (from_s, until_s) in [(6, 20), (23, 45), (51, 70), (75, 87), (93, 120), (124, 136)] {
        let inside = times.iter().filter(|time| (from_s * 1000..until_s * 1000).contains(*time)).count();
        assert!(inside >= 1, "nobody between {from_s} and {until_s} s in {times:?}");
    }
    assert!(times.len() <= 60, "{} frames of 139 s", times.len());
}
