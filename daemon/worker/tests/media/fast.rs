//! Fast mode and GOPs decoded side by side give the same scenes as frame by frame, for every kind of file.

use super::*;

/// Eight shots of 2 to 4 s at 25 frames a second, some moving and some still. Cuts at 3, 5, 8, 10.4, 13, 17 and 20 s, end at 24 s.
const SHOTS: &str = "-f lavfi -i testsrc2=s=160x120:r=25:d=3 -f lavfi -i smptebars=s=160x120:r=25:d=2 \
                     -f lavfi -i mandelbrot=s=160x120:r=25:end_scale=0.05 -f lavfi -i color=navy:s=160x120:r=25:d=2.4 \
                     -f lavfi -i testsrc=s=160x120:r=25:d=2.6 -f lavfi -i rgbtestsrc=s=160x120:r=25:d=4 \
                     -f lavfi -i color=orange:s=160x120:r=25:d=3 -f lavfi -i yuvtestsrc=s=160x120:r=25:d=4 \
                     -filter_complex [2]trim=duration=3,setsar=1[m];[0][1][m][3][4][5][6][7]concat=n=8,format=yuv420p";
const CUTS_MS: [u64; 7] = [3000, 5000, 8000, 10_400, 13_000, 17_000, 20_000];

const X264: &str = "-c:v libx264";
const X264_CLOCK: &str = "-c:v libx264 -g 25 -keyint_min 25 -sc_threshold 0";
const X265_OPEN: &str = "-c:v libx265 -x265-params log-level=error:open-gop=1:keyint=30";
const MPEG2_OPEN: &str = "-c:v mpeg2video -g 15 -bf 2 -q:v 4";
const MJPEG: &str = "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p";
const VP9: &str = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M -g 50";
const MPEG4: &str = "-c:v mpeg4 -g 25 -bf 2 -q:v 4";

fn shots(folder: &Path, name: &str, codec: &str) -> PathBuf {
    video(folder, name, &format!("{SHOTS} {codec}"))
}

fn request_with(mode: SceneMode, threads: u32) -> AnalyseRequest {
    AnalyseRequest {
        detector: Detector::Shot,
        mode,
        threads,
        ..request()
    }
}

fn told(path: &Path, mode: SceneMode, threads: u32) -> Answer {
    analyse_with(&worker(), path, &request_with(mode, threads)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn fast_mode_finds_the_cuts_and_decodes_less_of_every_kind_of_file() {
    let folder = tempfile::tempdir().unwrap();
    for (name, codec, kind, most_decoded) in [
        ("scenecut.mp4", X264, "scenecut", 0.9),
        ("clock.mp4", X264_CLOCK, "clock", 0.7),
        ("clock.mkv", X265_OPEN, "", 0.95),
    ] {
        let path = shots(folder.path(), name, codec);
        let fast = told(&path, SceneMode::Fast, 2);
        let plan = &fast.analysis.plan;
        assert_eq!(fast.cuts_ms(), CUTS_MS, "{name}: {plan:?}");
        assert_eq!(plan.mode_used, SceneMode::Fast, "{name}: {plan:?}");
        assert!(kind.is_empty() || plan.kind == kind, "{name}: {plan:?}");
        let decoded = fast.analysis.n_frames as f64 / 600.0;
        assert!(decoded < most_decoded, "{name}: {decoded} of the frames were decoded; {plan:?}");
        assert_eq!(fast.analysis.duration_ms, 24_000, "{name}");
        assert_eq!(fast.analysis.damage, None, "{name}");
    }
}

#[test]
fn no_frame_is_lost_or_told_twice_where_gops_join() {
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [
        ("a.mp4", X264),
        ("a.mkv", X264_CLOCK),
        ("open.mp4", X265_OPEN),
        ("open.ts", MPEG2_OPEN),
        ("a.webm", VP9),
        ("a.mov", MJPEG),
        ("a.m4v", MPEG4),
    ] {
        let path = shots(folder.path(), name, codec);
        let one_after_the_other = told(&path, SceneMode::Exact, 1);
        let side_by_side = told(&path, SceneMode::Exact, 2);
        assert_eq!(one_after_the_other.analysis.plan.n_gops, 0, "{name}");
        assert_eq!(side_by_side.analysis.n_frames, one_after_the_other.analysis.n_frames, "{name}");
        assert_eq!(side_by_side.cuts_ms(), one_after_the_other.cuts_ms(), "{name}");
        assert_eq!(
            side_by_side.analysis.duration_ms, one_after_the_other.analysis.duration_ms,
            "{name}"
        );
        assert!(side_by_side.analysis.plan.n_gops > 1, "{name}: {:?}", side_by_side.analysis.plan);
    }
}

#[test]
fn what_the_shortcut_is_unsafe_for_is_decoded_through_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, codec: &str, why: &str| {
        let snow = Extras {
            formats: vec!["nut".to_owned()],
            codecs: vec!["snow".to_owned()],
        };
        let path = shots(folder.path(), name, codec);
        let fast = analyse_with(&worker().with_extras(snow), &path, &request_with(SceneMode::Fast, 2)).unwrap();
        let plan = &fast.analysis.plan;
        assert_eq!(plan.mode_used, SceneMode::Exact, "{name}: {plan:?}");
        assert!(plan.reason.contains(why), "{name}: {plan:?} does not say {why:?}");
        assert_eq!(fast.analysis.n_frames, 600, "{name}");
        assert_eq!(fast.cuts_ms().len(), CUTS_MS.len(), "{name}");
    };
    check("bare.h264", X264, "no clock");
    check(
        "one gop.mp4",
        "-c:v libx264 -g 1000 -keyint_min 1000 -sc_threshold 0",
        "few keyframes",
    );
    check("untimed.avi", "-c:v libx264 -bf 2", "no time");
    check("refreshed.ts", "-c:v libx264 -intra-refresh 1 -g 50", "keyframes");
    check("intra.mov", MJPEG, "every frame is a keyframe");
    check("strange.nut", "-c:v snow -strict -2", "codec");
}

#[test]
fn a_scene_found_in_fast_mode_has_frames_that_lie_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = shots(folder.path(), "a.mp4", X264_CLOCK);
    for scene in told(&path, SceneMode::Fast, 1).scenes {
        assert!(!scene.frames.is_empty());
        let inside = scene
            .frames
            .iter()
            .all(|frame| (scene.span.start_ms..scene.span.end_ms).contains(&frame.time_ms));
        assert!(inside, "{:?}", scene.span);
        assert!(!scene.thumbnail.is_empty(), "{:?}", scene.span);
    }
}

#[test]
fn with_keyframes_only_nothing_else_is_handed_to_the_decoder() {
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [
        ("x264.mp4", X264_CLOCK),
        ("open.mkv", X265_OPEN),
        ("mpeg2.mkv", MPEG2_OPEN),
        ("mpeg4.mp4", "-c:v mpeg4 -g 25"),
        ("intra.mov", MJPEG),
    ] {
        let path = shots(folder.path(), name, codec);
        let whole = told(&path, SceneMode::Exact, 1);
        // Every packet that is not a keyframe becomes noise.
        let noise = format!("-i {} -c copy -bsf:v noise=amount=not(key)", path.display());
        let path = video(folder.path(), &format!("noise {name}"), &noise);
        for mode in [SceneMode::Exact, SceneMode::Fast] {
            let request = AnalyseRequest {
                keyframes_only: true,
                ..request_with(mode, 2)
            };
            let keyframes = analyse_with(&worker(), &path, &request).unwrap_or_else(|error| panic!("{name}: {error}"));
            let analysis = &keyframes.analysis;
            assert_eq!(analysis.damage.as_deref(), Some("only its keyframes were decoded"), "{name}");
            assert_eq!(analysis.duration_ms, whole.analysis.duration_ms, "{name}");
            let n_most = if codec == MJPEG { 600 } else { 60 };
            assert!((6..=n_most).contains(&analysis.n_frames), "{name}: {} frames", analysis.n_frames);
            assert!(keyframes.scenes.len() >= 4, "{name}: {:?}", keyframes.starts());
            assert_eq!(keyframes.scenes.last().unwrap().span.end_ms, analysis.duration_ms, "{name}");
        }
    }
}
