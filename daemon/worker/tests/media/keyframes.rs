//! Keyframe pictures: an analysis keeps them, and a replay gives them to a model without the video.

use scened::media::keyframes::Keyframes;
use scened_common::domain::Fingerprint;
use scened_common::media::keyframe_file::{KeyframeScene, SHORTER_SIDE_PX};
use scened_common::media::request::KeyframesRequest;

use super::*;

const CROPPED: ImageSpec = ImageSpec {
    width_px: 64,
    height_px: 64,
    shortest_side_px: 64,
    resize: ResizeMode::ShortestSideCrop,
    resample: Resample::Bicubic,
};

fn analysed(path: &Path, image: ImageSpec) -> Answer {
    let request = AnalyseRequest {
        image,
        keyframe_px: SHORTER_SIDE_PX,
        ..request()
    };
    analyse_with(&worker(), path, &request).unwrap()
}

/// Keeps the keyframe pictures of an analysis, as the pipeline does.
fn keep(folder: &Path, scenes: &[FoundScene]) -> File {
    let keyframes = Keyframes::new(folder.join("keyframes"));
    let fingerprint = Fingerprint([7; 16]);
    let mut writer = keyframes.begin(&fingerprint).unwrap();
    for scene in scenes {
        let (span, boundary, keyframes) = (scene.span, scene.boundary, scene.keyframes.clone());
        writer.put(&KeyframeScene { span, boundary, keyframes }).unwrap();
    }
    writer.finish().unwrap();
    keyframes.open(&fingerprint).unwrap().unwrap()
}

fn replay(file: File, image: ImageSpec) -> Result<Vec<FoundScene>, MediaError> {
    let request = KeyframesRequest {
        image,
        label: "test".to_owned(),
    };
    let mut scenes = Vec::new();
    let n_scenes = worker().replay(file, &request, &Cancel::default(), &mut |event| {
        match event {
            MediaEvent::SceneFound(scene) => scenes.push(scene),
            other => panic!("{other:?}"),
        }
        ControlFlow::Continue(())
    })?;
    assert_eq!(n_scenes, scenes.len() as u64);
    Ok(scenes)
}

/// Returns the mean difference between two pictures, of 255.
fn mean_difference(a: &Frame, b: &Frame) -> f64 {
    let total: u64 = a.rgb.iter().zip(&b.rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    total as f64 / a.rgb.len() as f64
}

/// Returns the width and height of a lossy WebP, from the header of its one frame.
fn webp_size(webp: &[u8]) -> (u32, u32) {
    assert_eq!((&webp[..4], &webp[8..16]), (&b"RIFF"[..], &b"WEBPVP8 "[..]));
    let side = |at: usize| u32::from(u16::from_le_bytes([webp[at], webp[at + 1]]) & 0x3fff);
    (side(26), side(28))
}

#[test]
fn a_replay_gives_the_scenes_and_almost_the_pictures_of_the_analysis() {
    let folder = tempfile::tempdir().unwrap();
    // A moving picture with detail, one that is stored turned, one with oblong pixels, a small one and a large one.
    for (name, arguments) in [
        ("wide.mp4", "-f lavfi -i testsrc2=s=640x360:r=25:d=4 -pix_fmt yuv420p"),
        (
            "turned.mp4",
            "-f lavfi -i testsrc2=s=640x360:r=25:d=2 -pix_fmt yuv420p -metadata:s:v rotate=90",
        ),
        (
            "oblong.mp4",
            "-f lavfi -i testsrc2=s=320x480:r=25:d=2 -vf setsar=2/1 -pix_fmt yuv420p",
        ),
        ("small.mp4", "-f lavfi -i testsrc2=s=96x64:r=25:d=2 -pix_fmt yuv420p"),
        ("hd.mkv", "-f lavfi -i mandelbrot=s=1280x720:r=25 -t 2 -pix_fmt yuv420p"),
    ] {
        let path = video(folder.path(), name, arguments);
        let two = ImageSpec {
            resize: ResizeMode::TwoCrops,
            ..CROPPED
        };
        for image in [square(64), CROPPED, two] {
            let told = analysed(&path, image);
            let replayed = replay(keep(folder.path(), &told.scenes), image).unwrap();
            assert_eq!(replayed.len(), told.scenes.len(), "{name}");
            for (fresh, again) in told.scenes.iter().zip(&replayed) {
                assert_eq!((fresh.span, fresh.boundary), (again.span, again.boundary), "{name}");
                let times = |scene: &FoundScene| scene.frames.iter().map(|frame| frame.time_ms).collect::<Vec<_>>();
                assert_eq!(times(fresh), times(again), "{name}");
                for (fresh, again) in fresh.frames.iter().zip(&again.frames) {
                    let difference = mean_difference(fresh, again);
                    assert!(difference < 4.0, "{name} at {} ms, {:?}: {difference}", fresh.time_ms, image.resize);
                }
            }
        }
    }
}

#[test]
fn keyframe_pictures_show_the_whole_frame_upright() {
    let folder = tempfile::tempdir().unwrap();
    let wide = video(
        folder.path(),
        "wide.mp4",
        "-f lavfi -i testsrc2=s=640x360:r=25:d=2 -pix_fmt yuv420p",
    );
    let told = analysed(&wide, CROPPED);
    assert_eq!(webp_size(&told.scenes[0].keyframes[0].picture), (398, 224));
    let small = video(folder.path(), "small.mp4", "-f lavfi -i testsrc2=s=96x64:r=25:d=2 -pix_fmt yuv420p");
    assert_eq!(webp_size(&analysed(&small, CROPPED).scenes[0].keyframes[0].picture), (96, 64));
    assert!(analyse(&wide).unwrap().scenes[0].keyframes.is_empty(), "nobody asked for any");
}

#[test]
fn damaged_pictures_are_unusable_and_never_another_picture() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.mp4", "-f lavfi -i testsrc2=s=320x240:r=25:d=2 -pix_fmt yuv420p");
    let told = analysed(&path, square(64));
    keep(folder.path(), &told.scenes);
    let name = Fingerprint([7; 16]).to_string();
    let stored = folder.path().join(format!("keyframes/{}/{name}.keyframes", &name[..2]));
    let whole = std::fs::read(&stored).unwrap();
    let damaged_at = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    for bytes in [
        whole[..whole.len() / 2].to_vec(),
        damaged_at(whole.len() / 2),
        b"not pictures".to_vec(),
        Vec::new(),
    ] {
        std::fs::write(&stored, bytes).unwrap();
        let refused = replay(File::open(&stored).unwrap(), square(64)).unwrap_err();
        assert!(matches!(refused, MediaError::Unusable { .. }), "{refused:?}");
    }
    // The file is complete, but its first picture is not a valid JPEG.
    let mut scenes = told.scenes;
    scenes[0].keyframes[0].picture = vec![0xff, 0xd8, 0xff, 1, 2, 3];
    let refused = replay(keep(folder.path(), &scenes), square(64)).unwrap_err();
    assert!(
        matches!(&refused, MediaError::Unusable { reason } if reason.contains("damaged")),
        "{refused:?}"
    );
}
