//! Good videos: cuts, times, turned and oblong pictures, colours, still pictures.

use super::*;

#[test]
fn a_cut_is_found_on_its_frame_and_scenes_have_frames_and_thumbnails() {
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [
        ("a.mp4", "-c:v libx264"),
        ("a.webm", "-c:v libvpx-vp9 -cpu-used 8"),
        ("a.mkv", "-c:v ffv1"),
    ] {
        let told = analyse(&video(folder.path(), name, &format!("{RED_BLUE} {codec}"))).unwrap();
        assert_eq!(told.starts(), [(0, Boundary::Start), (2000, Boundary::Cut)], "{name}");
        assert_eq!(
            (told.analysis.duration_ms, told.analysis.n_frames, told.analysis.n_scenes),
            (4000, 100, 2),
            "{name}"
        );
        assert_eq!(told.analysis.damage, None, "{name}");
        for (scene, expected) in told.scenes.iter().zip([RED, BLUE]) {
            assert_eq!(scene.frames.len(), 1, "{name}: a picture that stays the same is embedded once");
            assert_eq!(jpeg_size(&scene.thumbnail), (96, 72), "{name}");
            for frame in &scene.frames {
                assert_colour(frame, (1, 1), expected);
            }
        }
    }
}

#[test]
fn the_adaptive_detector_finds_the_same_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.mp4", RED_BLUE);
    let adaptive = AnalyseRequest {
        detector: Detector::Adaptive,
        ..request()
    };
    assert_eq!(analyse_with(&worker(), &path, &adaptive).unwrap().cuts_ms(), [2000]);
}

#[test]
fn no_cut_is_one_scene_and_no_thumbnail_is_made_when_none_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.mp4", "-f lavfi -i testsrc2=s=320x240:r=25:d=5 -pix_fmt yuv420p");
    let plain = AnalyseRequest {
        thumbnail_px: 0,
        keyframe_px: 0,
        ..request()
    };
    let told = analyse_with(&worker(), &path, &plain).unwrap();
    assert_eq!(told.starts(), [(0, Boundary::Start)]);
    assert!(told.scenes[0].thumbnail.is_empty());
}

/// Makes a video of a noise field that fills the picture, seen through a window that moves by some pixels a second.
fn walk(folder: &Path, name: &str, seconds: u32, px_per_second: u32, more: &str) -> PathBuf {
    let width = 64 * 12 + px_per_second * seconds;
    // Random grey squares, so that no two places look alike.
    let still = video(
        folder,
        "field.png",
        &format!(
            "-f lavfi -i nullsrc=s={}x9,geq=random(1)*255:128:128 -vf scale={width}:144:flags=neighbor -frames:v 1",
            width / 16
        ),
    );
    video(
        folder,
        name,
        &format!(
            "-loop 1 -framerate 10 -t {seconds} -i {} -vf crop=256:144:x=t*{px_per_second}:y=0:exact=1{more} -pix_fmt yuv420p -c:v libx264",
            still.display()
        ),
    )
}

#[test]
fn a_take_that_moves_is_divided_and_sampled_and_one_that_does_not_is_neither() {
    let folder = tempfile::tempdir().unwrap();
    let moving = analyse(&walk(folder.path(), "walk.mp4", 40, 20, "")).unwrap();
    assert!(moving.scenes.len() > 2, "{:?}", moving.starts());
    let lengths: Vec<_> = moving.scenes.iter().map(|scene| scene.span.end_ms - scene.span.start_ms).collect();
    assert!(lengths.iter().all(|ms| (3000..=15_200).contains(ms)), "{lengths:?}");
    let times: Vec<_> = moving
        .scenes
        .iter()
        .flat_map(|scene| &scene.frames)
        .map(|frame| frame.time_ms)
        .collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 5000), "{times:?}");

    let still = analyse(&walk(folder.path(), "still.mp4", 120, 0, "")).unwrap();
    assert_eq!(still.starts(), [(0, Boundary::Start)]);
    assert_eq!(still.scenes[0].frames.len(), 1);
}

#[test]
fn a_black_lead_in_is_not_what_is_embedded() {
    let folder = tempfile::tempdir().unwrap();
    let told = analyse(&walk(folder.path(), "a.mp4", 6, 0, ",drawbox=color=black:t=fill:enable='lt(t,3)'")).unwrap();
    for scene in told.scenes.iter().filter(|scene| scene.span.end_ms > 3000) {
        for frame in &scene.frames {
            assert!(frame.rgb.iter().any(|value| *value > 60), "{} ms is black", frame.time_ms);
        }
    }
}

#[test]
fn pictures_too_large_to_keep_are_sampled_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    // 4K in 8 bits is 12 MB a frame, so ten frames, one second, are more than may be kept.
    let path = walk(folder.path(), "a.mp4", 3, 60, ",scale=3840:2160:flags=neighbor");
    let told = analyse(&path).unwrap();
    assert!(told.scenes.iter().all(|scene| !scene.frames.is_empty()));
    let n_frames: usize = told.scenes.iter().map(|scene| scene.frames.len()).sum();
    assert!(n_frames >= 2, "{n_frames} of a picture that moved by half its width");
}

#[test]
fn variable_frame_rates_and_start_offsets_keep_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let source = "-f lavfi -i color=red:s=320x240:r=25:d=2 -f lavfi -i color=blue:s=320x240:r=25:d=2";
    let graph = "[0][1]concat=n=2,select='lt(n\\,20)+not(mod(n\\,5))'";
    let vfr = video(
        folder.path(),
        "vfr.mkv",
        &format!("{source} -filter_complex {graph} -vsync vfr -pix_fmt yuv420p -c:v libx264"),
    );
    let told = analyse(&vfr).unwrap();
    assert_eq!(told.cuts_ms(), [2000]);
    assert_eq!(told.analysis.n_frames, 36);

    // A transport stream normally begins at 1.4 s, and this one begins at 11.4 s.
    let late = video(folder.path(), "late.ts", &format!("{RED_BLUE} -c:v libx264 -output_ts_offset 10"));
    let told = analyse(&late).unwrap();
    assert_eq!(told.cuts_ms(), [2000]);
    assert_eq!(told.analysis.duration_ms, 4000);
}

#[test]
fn a_picture_that_begins_after_the_sound_keeps_the_players_clock() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(
        folder.path(),
        "a.mkv",
        "-f lavfi -i sine=d=5 -f lavfi -i color=red:s=64x64:r=25:d=2 -f lavfi -i color=blue:s=64x64:r=25:d=2 \
         -filter_complex [1][2]concat=n=2,setpts=PTS+1/TB[v] -map 0 -map [v] -pix_fmt yuv420p -c:a aac",
    );
    let told = analyse(&path).unwrap();
    assert_eq!(told.scenes[0].span.start_ms, 0, "scenes tile the video from its beginning");
    assert_eq!(told.cuts_ms().len(), 1);
    let cut = told.cuts_ms()[0];
    assert!((2990..=3050).contains(&cut), "the cut is at {cut} ms on the player's clock");
    assert!(told.scenes[0].frames[0].time_ms >= 990, "{}", told.scenes[0].frames[0].time_ms);
}

#[test]
fn videos_without_a_duration_are_measured_by_decoding() {
    let folder = tempfile::tempdir().unwrap();
    let raw = video(folder.path(), "a.h264", &format!("{RED_BLUE} -c:v libx264"));
    let told = analyse(&raw).unwrap();
    assert_eq!(told.analysis.n_frames, 100);
    assert_eq!(told.analysis.duration_ms, 4000);
    assert_eq!(told.cuts_ms(), [2000]);

    let live = video(folder.path(), "live.mkv", &format!("{RED_BLUE} -c:v libx264 -live 1"));
    let told = analyse(&live).unwrap();
    assert_eq!((told.analysis.duration_ms, told.cuts_ms()), (4000, vec![2000]));
}

/// Red above blue.
const HALVES: &str = "-f lavfi -i color=blue:s=320x240:r=25:d=1 -vf drawbox=0:0:320:120:red:fill -pix_fmt yuv420p -c:v libx264";

#[test]
fn turned_pictures_are_turned_back() {
    let folder = tempfile::tempdir().unwrap();
    let upright = video(folder.path(), "0.mp4", HALVES);
    // Fields that must be red, and fields that must be blue. ffmpeg 5.1 writes a matrix that turns in the opposite direction to its
    // `rotate`.
    for (degrees, size, red, blue) in [
        (0, (96, 72), (1, 0), (1, 3)),
        (90, (72, 96), (3, 1), (0, 1)),
        (180, (96, 72), (1, 3), (1, 0)),
        (270, (72, 96), (0, 1), (3, 1)),
    ] {
        let turned = video(
            folder.path(),
            &format!("turned{degrees}.mp4"),
            &format!("-i {} -c copy -metadata:s:v:0 rotate={}", upright.display(), (360 - degrees) % 360),
        );
        let told = analyse(&turned).unwrap();
        assert_eq!(told.probe.streams[0].rotation, degrees);
        assert_eq!(jpeg_size(&told.scenes[0].thumbnail), size, "{degrees}°");
        assert_colour(&told.scenes[0].frames[0], red, RED);
        assert_colour(&told.scenes[0].frames[0], blue, BLUE);
    }
}

#[test]
fn oblong_pixels_are_made_square() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(
        folder.path(),
        "a.mp4",
        "-f lavfi -i color=blue:s=160x240:r=25:d=1 -vf setsar=2 -pix_fmt yuv420p",
    );
    assert_eq!(jpeg_size(&analyse(&path).unwrap().scenes[0].thumbnail), (96, 72));
}

#[test]
fn shortest_side_crop_shows_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    // Blue, with a red square in the middle of a wide picture.
    let path = video(
        folder.path(),
        "a.mp4",
        "-f lavfi -i color=blue:s=480x160:r=25:d=1 -vf drawbox=160:0:160:160:red:fill -pix_fmt yuv420p -c:v libx264 -crf 5",
    );
    let crop = AnalyseRequest {
        image: ImageSpec {
            resize: ResizeMode::ShortestSideCrop,
            ..square(64)
        },
        ..request()
    };
    let frame = &analyse_with(&worker(), &path, &crop).unwrap().scenes[0].frames[0];
    for field in [(0, 0), (3, 0), (0, 3), (3, 3), (1, 1)] {
        assert_colour(frame, field, RED);
    }
}

/// Red to the left of blue, twice as wide as high.
const LONG: &str = "-f lavfi -i color=blue:s=320x160:r=25:d=1 -vf drawbox=0:0:160:160:red:fill -pix_fmt yuv420p -c:v libx264 -crf 5";

#[test]
fn two_crops_show_both_ends_of_one_moment_however_the_video_is_turned() {
    let folder = tempfile::tempdir().unwrap();
    let upright = video(folder.path(), "0.mp4", LONG);
    let image = ImageSpec {
        resize: ResizeMode::TwoCrops,
        ..square(64)
    };
    let crops = AnalyseRequest { image, ..request() };
    for (degrees, expected) in [(0, [RED, BLUE]), (90, [RED, BLUE]), (180, [BLUE, RED]), (270, [BLUE, RED])] {
        let turned = video(
            folder.path(),
            &format!("turned{degrees}.mp4"),
            &format!("-i {} -c copy -metadata:s:v:0 rotate={}", upright.display(), (360 - degrees) % 360),
        );
        let told = analyse_with(&worker(), &turned, &crops).unwrap();
        assert_eq!(told.probe.streams[0].rotation, degrees);
        let asked = picture_with(&turned, Some(0), image).unwrap();
        for frames in [&told.scenes[0].frames, &asked] {
            assert_eq!(frames.len(), 2, "{degrees}°");
            assert_eq!(frames[0].time_ms, frames[1].time_ms, "{degrees}°");
            for (frame, expected) in frames.iter().zip(expected) {
                for field in [(0, 0), (3, 0), (0, 3), (3, 3), (1, 1)] {
                    assert_colour(frame, field, expected);
                }
            }
        }
    }
    let nearly_square = video(
        folder.path(),
        "square.mp4",
        "-f lavfi -i color=red:s=168x160:r=25:d=1 -pix_fmt yuv420p",
    );
    assert_eq!(picture_with(&nearly_square, None, image).unwrap().len(), 1);
}

#[test]
fn letterboxes_show_the_whole_picture_between_black_margins() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.mp4", LONG);
    let black = [0; 3];
    let image = ImageSpec {
        resize: ResizeMode::Letterbox,
        ..square(64)
    };
    let boxed = AnalyseRequest { image, ..request() };
    let told = analyse_with(&worker(), &path, &boxed).unwrap();
    let frame = &told.scenes[0].frames[0];
    for (field, expected) in [((1, 0), black), ((2, 3), black), ((0, 1), RED), ((3, 2), BLUE)] {
        assert_colour(frame, field, expected);
    }
    let [asked] = <[Frame; 1]>::try_from(picture_with(&path, Some(0), image).unwrap()).unwrap();
    assert_eq!(asked.rgb, frame.rgb, "`similar` sees what was indexed");
}

#[test]
fn colours_follow_matrix_range_and_depth() {
    let folder = tempfile::tempdir().unwrap();
    let source = "-f lavfi -i color=0xc04020:s=320x240:r=25:d=1";
    for (name, arguments) in [
        (
            "bt601.mp4",
            "-vf scale=out_color_matrix=bt601 -pix_fmt yuv420p -colorspace smpte170m",
        ),
        ("bt709.mp4", "-vf scale=out_color_matrix=bt709 -pix_fmt yuv420p -colorspace bt709"),
        (
            "full.mp4",
            "-vf scale=out_color_matrix=bt709:out_range=full -pix_fmt yuv420p -colorspace bt709 -color_range pc",
        ),
        (
            "deep.mp4",
            "-vf scale=out_color_matrix=bt709 -pix_fmt yuv420p10le -colorspace bt709 -c:v libx264",
        ),
        (
            "jpeg.avi",
            "-vf scale=out_color_matrix=bt601:out_range=full -pix_fmt yuvj420p -c:v mjpeg -q:v 2",
        ),
        ("rgb.mkv", "-c:v ffv1 -pix_fmt bgr0"),
    ] {
        let told = analyse(&video(folder.path(), name, &format!("{source} {arguments}"))).unwrap();
        assert_colour(&told.scenes[0].frames[0], (2, 2), [0xc0, 0x40, 0x20]);
    }
}

#[test]
fn of_several_pictures_the_default_or_the_largest_is_taken_and_never_the_cover() {
    let folder = tempfile::tempdir().unwrap();
    let check = |path: &Path, size: u32, expected| {
        let told = analyse(path).unwrap();
        let chosen: Vec<_> = told.probe.streams.iter().filter(|s| s.chosen).map(|s| s.width_px).collect();
        assert_eq!(chosen, [size], "{}", path.display());
        assert_colour(&told.scenes[0].frames[0], (1, 1), expected);
    };
    let two = "-f lavfi -i color=red:s=64x64:r=25:d=1 -f lavfi -i color=blue:s=128x128:r=25:d=1";
    let plain = video(folder.path(), "a.ts", &format!("{two} -map 0 -map 1 -c:v libx264 -pix_fmt yuv420p"));
    check(&plain, 128, BLUE);

    let cover = video(folder.path(), "cover.png", "-f lavfi -i color=green:s=1000x1000 -frames:v 1");
    let marked = format!(
        "{two} -i {} -map 2 -map 0 -map 1 -c:v libx264 -pix_fmt yuv420p -c:v:0 copy -disposition:v:0 attached_pic \
         -disposition:v:1 default -disposition:v:2 0",
        cover.display()
    );
    check(&video(folder.path(), "a.mp4", &marked), 64, RED);
}

#[test]
fn tiny_pictures_work() {
    let folder = tempfile::tempdir().unwrap();
    for size in ["1x1", "2x2", "3x1", "1x7", "16x2"] {
        let n_pixels: usize = size.split('x').map(|side| side.parse::<usize>().unwrap()).product();
        let raw = folder.path().join("raw");
        std::fs::write(&raw, RED.repeat(n_pixels * 25)).unwrap();
        let arguments = format!(
            "-f rawvideo -pix_fmt rgb24 -s {size} -r 25 -i {} -c:v ffv1 -pix_fmt yuv444p",
            raw.display()
        );
        let path = video(folder.path(), &format!("{size}.mkv"), &arguments);
        let told = analyse(&path).unwrap_or_else(|error| panic!("{size}: {error}"));
        assert_eq!((told.analysis.n_frames, told.analysis.n_scenes), (25, 1), "{size}");
        assert_colour(&told.scenes[0].frames[0], (1, 1), [254, 0, 0]);
    }
}

#[test]
fn a_video_of_one_frame_is_one_scene() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(
        folder.path(),
        "a.mp4",
        "-f lavfi -i color=red:s=64x64:r=25 -frames:v 1 -pix_fmt yuv420p",
    );
    let told = analyse(&path).unwrap();
    assert_eq!(
        (told.analysis.n_frames, told.analysis.duration_ms, told.scenes[0].frames.len()),
        (1, 40, 1)
    );
}

#[test]
fn names_play_no_part() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let plain = video(folder.path(), "a.mp4", RED_BLUE);
    for name in [&b"new\nline.mp4"[..], b"'quotes\".mp4", b"bytes\xff\xfe.mp4", b"%d-%s.m3u8"] {
        let path = folder.path().join(std::ffi::OsStr::from_bytes(name));
        std::fs::copy(&plain, &path).unwrap();
        let named = AnalyseRequest {
            label: path.to_string_lossy().into_owned(),
            ..request()
        };
        assert_eq!(
            analyse_with(&worker(), &path, &named).unwrap().cuts_ms(),
            [2000],
            "{}",
            path.display()
        );
    }
}

#[test]
fn still_pictures_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "a.jpg", "a.webp", "a.gif", "a.bmp"] {
        let path = video(
            folder.path(),
            name,
            "-f lavfi -i color=blue:s=320x240 -vf drawbox=0:0:320:120:red:fill -frames:v 1",
        );
        let frame = picture(&path, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_colour(&frame, (1, 0), RED);
        assert_colour(&frame, (1, 3), BLUE);
    }
}

#[test]
fn a_moment_of_a_video_is_the_frame_shown_then() {
    let folder = tempfile::tempdir().unwrap();
    for (name, arguments) in [
        ("a.mp4", "-c:v libx264 -g 250 -bf 2"),
        ("a.ts", "-c:v libx264"),
        ("a.h264", "-c:v libx264"),
    ] {
        let path = video(folder.path(), name, &format!("{RED_BLUE} {arguments}"));
        for (at_ms, time_ms, expected) in [
            (Some(0), 0, RED),
            (Some(1999), 1960, RED),
            (Some(2000), 2000, BLUE),
            (Some(3210), 3200, BLUE),
            (Some(3_600_000), 3960, BLUE),
        ] {
            let frame = picture(&path, at_ms).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(frame.time_ms, time_ms, "{name} at {at_ms:?}");
            assert_colour(&frame, (2, 2), expected);
        }
    }
    let middle = picture(&folder.path().join("a.mp4"), None).unwrap();
    assert_eq!(middle.time_ms, 2000);
}

#[test]
fn twenty_videos_on_two_threads_all_give_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.mp4", RED_BLUE);
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 20 {
                    assert_eq!(analyse(&path).unwrap().cuts_ms(), [2000]);
                }
            });
        }
    });
}
