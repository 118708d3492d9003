//! Videos whose picture does not stay in the stream that was chosen at opening.

use super::*;

/// All ways of decoding: frame by frame, GOPs side by side, and only the GOPs in doubt.
const WAYS: [(SceneMode, u32); 3] = [(SceneMode::Exact, 1), (SceneMode::Exact, 2), (SceneMode::Fast, 2)];

fn in_every_way(path: &Path, check: impl Fn(&Answer, &str)) {
    for (mode, threads) in WAYS {
        let request = AnalyseRequest {
            detector: Detector::Shot,
            mode,
            threads,
            ..request()
        };
        let told = analyse_with(&worker(), path, &request)
            .unwrap_or_else(|error| panic!("{}, {mode:?}, {threads} threads: {error}", path.display()));
        let way = format!(
            "{}, {mode:?}, {threads} threads: {:?} {:?}",
            path.display(),
            told.analysis,
            told.starts()
        );
        check(&told, &way);
    }
}

/// Makes eight seconds of one colour and then another, with sound.
fn two_colours(folder: &Path, name: &str, colours: [&str; 2], size: &str, more: &str) -> PathBuf {
    let [first, second] = colours;
    video(
        folder,
        name,
        &format!(
            "-f lavfi -i color={first}:s={size}:r=25:d=4 -f lavfi -i color={second}:s={size}:r=25:d=4 -f lavfi -i sine=d=8 \
             -filter_complex [0][1]concat=n=2[v] -map [v] -map 2 -t 8 -g 25 -pix_fmt yuv420p -c:a mp2 {more}"
        ),
    )
}

fn join(folder: &Path, name: &str, parts: &[&PathBuf]) -> PathBuf {
    let bytes: Vec<u8> = parts.iter().flat_map(|part| std::fs::read(part).unwrap()).collect();
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

const LIME: [u8; 3] = [0, 255, 0];
const WHITE: [u8; 3] = [255, 255, 255];

/// Checks the colours of the scenes in order. Cuts must be 4 s apart, and at most one packet may be damaged. If another codec continues in
/// the same stream, pictures are lost until its next keyframe, up to a second later.
fn check_colours(told: &Answer, expected: &[[u8; 3]], way: &str) {
    assert_eq!(told.scenes.len(), expected.len(), "{way}");
    for (number, (scene, expected)) in told.scenes.iter().zip(expected).enumerate() {
        let start_ms = number as u64 * 4000;
        assert!(scene.span.start_ms.abs_diff(start_ms) <= 1100, "scene {number} of {way}");
        assert_colour(&scene.frames[0], (1, 1), *expected);
    }
    assert!(told.analysis.duration_ms.abs_diff(expected.len() as u64 * 4000) <= 1100, "{way}");
    // If two recordings meet under one PID, the counters of packets do not match.
    let damage = told.analysis.damage.as_deref();
    assert!(matches!(damage, None | Some("1 packet is damaged")), "{way}");
}

#[test]
fn a_picture_that_moves_to_another_pid_size_or_codec_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let x264 = "-c:v libx264 -preset veryfast";
    let first = two_colours(folder.path(), "first.ts", ["red", "blue"], "320x240", x264);
    for (name, size, more) in [
        ("pid.ts", "320x240", format!("{x264} -mpegts_start_pid 0x200")),
        ("size.ts", "640x360", format!("{x264} -mpegts_start_pid 0x200")),
        ("small.ts", "160x120", format!("{x264} -mpegts_start_pid 0x200")),
        ("codec.ts", "320x240", "-c:v mpeg2video -b:v 2M".to_owned()),
        ("both.ts", "640x480", "-c:v mpeg2video -b:v 2M -mpegts_start_pid 0x300".to_owned()),
    ] {
        let second = two_colours(folder.path(), "second.ts", ["lime", "white"], size, &more);
        in_every_way(&join(folder.path(), name, &[&first, &second]), |told, way| {
            check_colours(told, &[RED, BLUE, LIME, WHITE], way);
        });
        // The other order puts the better stream first or last.
        in_every_way(&join(folder.path(), name, &[&second, &first]), |told, way| {
            check_colours(told, &[LIME, WHITE, RED, BLUE], way);
        });
    }
}

#[test]
fn a_picture_that_goes_away_and_comes_back_is_followed_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let x264 = "-c:v libx264 -preset veryfast";
    let video = two_colours(folder.path(), "film.ts", ["red", "blue"], "320x240", x264);
    let break_ = two_colours(
        folder.path(),
        "break.ts",
        ["lime", "white"],
        "320x240",
        &format!("{x264} -mpegts_start_pid 0x200"),
    );
    in_every_way(
        &join(folder.path(), "there_and_back.ts", &[&video, &break_, &video]),
        |told, way| {
            check_colours(told, &[RED, BLUE, LIME, WHITE, RED, BLUE], way);
        },
    );
}

#[test]
fn a_track_that_begins_where_the_first_one_ends_is_followed_in_every_container() {
    let folder = tempfile::tempdir().unwrap();
    let x264 = "-c:v libx264 -preset veryfast";
    let first = two_colours(folder.path(), "first.mkv", ["red", "blue"], "320x240", x264);
    let second = two_colours(folder.path(), "second.mkv", ["lime", "white"], "320x240", x264);
    for name in ["a.mkv", "a.mp4", "a.ts"] {
        let arguments = format!(
            "-i {} -itsoffset 8 -i {} -map 0:v -map 1:v -c copy",
            first.display(),
            second.display()
        );
        in_every_way(&video(folder.path(), name, &arguments), |told, way| {
            check_colours(told, &[RED, BLUE, LIME, WHITE], way);
        });
    }
}

#[test]
fn a_picture_that_begins_long_after_the_sound_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let sound = video(folder.path(), "sound.ts", "-f lavfi -i sine=d=60 -c:a mp2 -b:a 384k");
    let picture = two_colours(
        folder.path(),
        "picture.ts",
        ["red", "blue"],
        "320x240",
        "-c:v libx264 -preset veryfast -mpegts_start_pid 0x200",
    );
    // The sound before the picture is longer than the part that FFmpeg probes.
    let parts = [&sound, &sound, &sound, &picture];
    in_every_way(&join(folder.path(), "late.ts", &parts), |told, way| {
        assert_eq!(told.cuts_ms().len(), 1, "{way}");
        assert_colour(&told.scenes[0].frames[0], (1, 1), RED);
        assert_colour(&told.scenes[1].frames[0], (1, 1), BLUE);
    });
}

#[test]
fn a_stream_that_is_not_followed_is_told_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = two_colours(folder.path(), "first.mkv", ["red", "blue"], "320x240", "-c:v libx264");
    let second = two_colours(folder.path(), "second.mkv", ["lime", "white"], "320x240", "-c:v magicyuv");
    let arguments = format!(
        "-i {} -itsoffset 8 -i {} -map 0:v -map 1:v -c copy",
        first.display(),
        second.display()
    );
    in_every_way(&video(folder.path(), "a.mkv", &arguments), |told, way| {
        let damage = told.analysis.damage.as_deref().unwrap_or_else(|| panic!("{way}"));
        let says = "from 00:00:08 on the picture is in another stream, which cannot be decoded: its codec magicyuv is not decoded";
        assert!(damage.contains(says), "{way}");
        assert_eq!(told.cuts_ms().len(), 1, "{way}");
    });
}

#[test]
fn two_views_of_the_same_time_are_one_video_of_the_better_one() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.mp4", "a.mkv", "a.ts"] {
        // A small preview that is a little longer than the video, and the video.
        let path = video(
            folder.path(),
            name,
            "-f lavfi -i color=red:s=160x90:r=25:d=10 -f lavfi -i color=blue:s=320x180:r=25:d=8 -map 0 -map 1 -c:v libx264 \
             -pix_fmt yuv420p -g 25 -disposition:v:0 default -disposition:v:1 default",
        );
        in_every_way(&path, |told, way| {
            assert_eq!(told.scenes.len(), 1, "{way}");
            assert_colour(&told.scenes[0].frames[0], (1, 1), BLUE);
            assert!(told.analysis.duration_ms <= 8100, "{way}");
            assert_eq!(told.analysis.damage, None, "{way}");
        });
    }
}
