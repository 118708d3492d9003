//! The frame that a video's thumbnail shows.

use scened::media::Poster;
use scened_common::media::request::PosterRequest;

use super::*;

fn poster_with(path: &Path, longer_px: u32) -> Result<Poster, MediaError> {
    let request = PosterRequest {
        longer_px,
        label: "test".to_owned(),
    };
    worker().poster(File::open(path).unwrap(), &request, &Cancel::default())
}

fn poster(path: &Path) -> Poster {
    poster_with(path, 256).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the ffmpeg arguments for a video of several sources, one after another.
fn joined(parts: &[&str], arguments: &str) -> String {
    let n = parts.len();
    let inputs = parts.iter().map(|part| format!("-f lavfi -i {part} ")).collect::<Vec<_>>().concat();
    let labels = (0..n)
        .map(|at| format!("[{at}]format=yuv420p,setsar=1[p{at}];"))
        .collect::<Vec<_>>()
        .concat();
    let pads = (0..n).map(|at| format!("[p{at}]")).collect::<Vec<_>>().concat();
    format!("{inputs}-filter_complex {labels}{pads}concat=n={n} {arguments}")
}

const BLACK_4S: &str = "color=black:s=320x180:r=25:d=4";
/// A plain background with a little writing, as far as a glimpse can show it.
const CARD_4S: &str = "color=navy:s=320x180:r=25:d=4,drawbox=x=60:y=80:w=200:h=16:c=white:t=fill";
const SCENE_6S: &str = "mandelbrot=s=320x180:r=25:end_scale=0.2,trim=duration=6";

#[test]
fn black_and_cards_are_passed_over_in_every_kind_of_video() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [BLACK_4S, CARD_4S, SCENE_6S, BLACK_4S];
    for (name, arguments) in [
        // Many keyframes, few, one, and nothing but keyframes; no clock; no index.
        ("many.mp4", "-c:v libx264 -preset ultrafast -g 12"),
        ("few.mkv", "-c:v libx264 -preset ultrafast -g 125 -sc_threshold 0"),
        ("one.mp4", "-c:v libx264 -preset ultrafast -g 10000 -sc_threshold 0"),
        ("all.avi", "-c:v mjpeg -pix_fmt yuvj420p"),
        ("bare.h264", "-c:v libx264 -preset ultrafast -g 50"),
        ("stream.ts", "-c:v mpeg2video -g 12 -b:v 2M"),
        ("p.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -g 60"),
        ("live.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -g 60 -f webm -live 1"),
    ] {
        let found = poster(&video(folder.path(), name, &joined(&parts, arguments)));
        assert!((8_000..14_000).contains(&found.time_ms), "{name}: {} ms", found.time_ms);
        assert_eq!((found.width_px, found.height_px), (256, 144), "{name}");
    }
}

#[test]
fn a_fade_in_is_shown_when_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let scene = format!("{SCENE_6S},fade=in:d=3");
    for gop in [10, 1000] {
        let arguments = joined(&[&scene], &format!("-c:v libx264 -preset ultrafast -g {gop}"));
        let found = poster(&video(folder.path(), &format!("{gop}.mp4"), &arguments));
        assert!(found.time_ms >= 1_800, "{gop}: {} ms", found.time_ms);
    }
}

#[test]
fn pictures_are_upright_with_square_pixels_and_never_enlarged() {
    let folder = tempfile::tempdir().unwrap();
    let plain = video(
        folder.path(),
        "plain.mp4",
        "-f lavfi -i testsrc=s=320x180:r=25:d=1 -pix_fmt yuv420p",
    );
    let found = poster_with(&plain, 1024).unwrap();
    assert_eq!((found.width_px, found.height_px), (320, 180));
    let found = poster_with(&plain, 32).unwrap();
    assert_eq!((found.width_px, found.height_px), (32, 18));

    let turned = video(
        folder.path(),
        "turned.mp4",
        &format!("-i {} -c copy -metadata:s:v rotate=90", plain.display()),
    );
    let found = poster(&turned);
    assert_eq!((found.width_px, found.height_px), (144, 256));

    let wide = "-f lavfi -i testsrc=s=180x180:r=25:d=1,setsar=2 -pix_fmt yuv420p";
    let found = poster(&video(folder.path(), "wide.mp4", wide));
    assert_eq!((found.width_px, found.height_px), (256, 128));
}

#[test]
fn a_video_that_shows_nothing_has_a_poster_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for (name, source) in [
        ("black.mp4", "color=black:s=64x64:r=25:d=3"),
        ("one.mp4", "color=red:s=64x64:r=25:d=0.04"),
    ] {
        let found = poster(&video(folder.path(), name, &format!("-f lavfi -i {source} -pix_fmt yuv420p")));
        assert_eq!(found.rgb.len(), 64 * 64 * 3, "{name}");
    }
}

#[test]
fn what_is_no_video_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let bad = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        poster_with(&path, 256).unwrap_err().to_string()
    };
    assert_eq!(bad("empty.mp4", b""), "the file is empty (0 bytes)");
    assert_eq!(
        bad("text.mp4", b"a letter to somebody, not a video at all"),
        "not a media file, or damaged at its beginning"
    );
    let sound = video(folder.path(), "sound.mp4", "-f lavfi -i sine=d=1");
    assert_eq!(poster_with(&sound, 256).unwrap_err().to_string(), "has sound but no video");
    let whole = video(folder.path(), "whole.mp4", RED_BLUE);
    let bytes = std::fs::read(&whole).unwrap();
    let cut = bad("cut.mp4", &bytes[..bytes.len() / 2]);
    assert!(cut.contains("truncated or was never finished"), "{cut}");
    for longer_px in [0, 1025] {
        let refused = poster_with(&whole, longer_px).unwrap_err().to_string();
        assert!(refused.contains("1 to 1024 are possible"), "{refused}");
    }
}

#[test]
fn half_of_a_video_has_the_poster_of_that_half() {
    let folder = tempfile::tempdir().unwrap();
    let whole = video(
        folder.path(),
        "whole.mkv",
        &joined(&[SCENE_6S, BLACK_4S, BLACK_4S], "-c:v libx264 -preset ultrafast -g 25"),
    );
    let bytes = std::fs::read(&whole).unwrap();
    let half = folder.path().join("half.mkv");
    std::fs::write(&half, &bytes[..bytes.len() / 3]).unwrap();
    let found = poster(&half);
    assert!(found.time_ms < 6_000, "{} ms", found.time_ms);
}
