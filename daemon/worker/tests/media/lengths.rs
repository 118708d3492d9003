//! Videos whose container gives another length than their picture has: complete ones are not called damaged, and short ones are.

use super::*;

const PICTURE: &str = "-f lavfi -i testsrc2=s=320x240:r=25:d=12";
const PLAIN: &str = "-pix_fmt yuv420p -g 25";

fn damage(path: &Path) -> Option<String> {
    let mut all = Vec::new();
    for (mode, threads) in [(SceneMode::Exact, 1), (SceneMode::Exact, 2), (SceneMode::Fast, 2)] {
        let request = AnalyseRequest {
            detector: Detector::Shot,
            mode,
            threads,
            ..request()
        };
        let told = analyse_with(&worker(), path, &request).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        all.push(told.analysis.damage);
    }
    // The ways may differ only in how many undecodable packets they count.
    let first_words = |damage: &Option<String>| damage.as_deref().map(|words| words.split(';').next().map(str::to_owned));
    assert!(
        all.iter().all(|damage| first_words(damage) == first_words(&all[0])),
        "{}: {all:?}",
        path.display()
    );
    all.swap_remove(0)
}

fn check_whole(path: &Path) {
    assert_eq!(damage(path), None, "{}", path.display());
}

fn check_short(path: &Path) {
    let damage = damage(path);
    let says_so = damage.as_ref().is_some_and(|damage| damage.starts_with("indexed to 00:00:0"));
    assert!(says_so, "{}: {damage:?}", path.display());
}

fn changed(path: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    let path = path.with_file_name(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
}

/// Returns the same video without the duration that the muxer wrote for each track.
fn without_tags(path: &Path) -> PathBuf {
    changed(path, "untagged.mkv", |bytes| replace(bytes, b"DURATION", b"DURATIOX"))
}

fn first_half(path: &Path) -> PathBuf {
    changed(path, &format!("half_{}", path.file_name().unwrap().display()), |bytes| {
        bytes.truncate(bytes.len() / 2);
    })
}

fn second_half_lost(path: &Path) -> PathBuf {
    changed(path, &format!("holed_{}", path.file_name().unwrap().display()), |bytes| {
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
    })
}

#[test]
fn a_longer_track_of_words_or_sound_makes_no_video_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("late.srt");
    std::fs::write(
        &words,
        "1\n00:00:01,000 --> 00:00:02,000\nhello\n\n2\n00:20:00,000 --> 00:20:05,000\nlate\n",
    )
    .unwrap();
    let with_words = format!("-i {} {PICTURE}", words.display());
    for (name, arguments) in [
        ("sub.mkv", format!("{with_words} {PLAIN} -c:v libx264 -c:s srt")),
        ("sub.webm", format!("{with_words} {PLAIN} -c:v libvpx -c:s webvtt")),
        ("sub.mp4", format!("{with_words} {PLAIN} -c:v libx264 -c:s mov_text")),
    ] {
        let path = video(folder.path(), name, &arguments);
        check_whole(&path);
        if name != "sub.mp4" {
            check_whole(&without_tags(&path));
        }
    }
    for (name, codecs) in [
        ("sound.mkv", "-c:v libx264 -c:a aac"),
        ("sound.flv", "-c:v libx264 -c:a aac"),
        ("sound.mp4", "-c:v libx264 -c:a aac"),
        ("sound.ts", "-c:v libx264 -c:a mp2"),
        ("sound.mpg", "-c:v mpeg2video -c:a mp2"),
        ("sound.avi", "-c:v mpeg4 -c:a mp2"),
        ("sound.wmv", "-c:v wmv2 -c:a wmav2"),
        ("sound.ogv", "-c:v libtheora -c:a libvorbis"),
    ] {
        let path = video(folder.path(), name, &format!("{PICTURE} -f lavfi -i sine=d=40 {PLAIN} {codecs}"));
        check_whole(&path);
    }
    check_whole(&without_tags(&folder.path().join("sound.mkv")));
}

#[test]
fn videos_that_are_cut_short_or_have_a_hole_at_their_end_are_found_out_whatever_else_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let both = format!("{PICTURE} -f lavfi -i sine=d=12");
    for (name, codecs) in [
        ("a.mkv", "-c:v libx264 -c:a aac"),
        ("a.flv", "-c:v libx264 -c:a aac"),
        ("a.mp4", "-c:v libx264 -c:a aac -movflags faststart"),
        ("a.avi", "-c:v mpeg4 -c:a mp2"),
    ] {
        let path = video(folder.path(), name, &format!("{both} {PLAIN} {codecs}"));
        check_whole(&path);
        check_short(&first_half(&path));
        if name == "a.mkv" {
            let untagged = without_tags(&path);
            check_whole(&untagged);
            check_short(&first_half(&untagged));
            check_short(&second_half_lost(&untagged));
            check_short(&second_half_lost(&path));
        }
        if name == "a.avi" {
            check_short(&second_half_lost(&path));
        }
    }
}

#[test]
fn a_planned_length_is_no_promise_where_the_index_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.avi", &format!("{PICTURE} {PLAIN} -c:v mpeg4"));
    let plan = |bytes: &mut Vec<u8>| {
        let avih = bytes.windows(4).position(|name| name == b"avih").unwrap();
        let strh = bytes.windows(4).position(|name| name == b"strh").unwrap();
        bytes[avih + 24..avih + 28].copy_from_slice(&9000_u32.to_le_bytes());
        bytes[strh + 40..strh + 44].copy_from_slice(&9000_u32.to_le_bytes());
    };
    let planned = changed(&path, "planned.avi", plan);
    check_whole(&planned);
    check_short(&first_half(&planned));
}

#[test]
fn a_video_that_follows_in_the_same_file_where_no_player_goes_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [
        ("a.flv", "libx264"),
        ("a.mp4", "libx264"),
        ("a.wmv", "wmv2"),
        ("a.mkv", "libx264"),
        ("a.webm", "libvpx"),
    ] {
        let path = video(folder.path(), name, &format!("{PICTURE} {PLAIN} -c:v {codec}"));
        let twice = changed(&path, &format!("twice_{name}"), |bytes| bytes.extend(bytes.clone()));
        let damage = damage(&twice).unwrap_or_else(|| panic!("{name}"));
        assert!(
            damage.contains("from 00:00:12 on the file contains another video, which is not indexed"),
            "{name}: {damage}"
        );
    }
}
