//! Small files that cost much: each ends within the limits, with scenes or with a reason.

use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use super::boxes::{find, inside, replace_in_boxes};
use super::*;

/// Replaces the minute for which a worker may be silent. A worker may make no progress for ten times this long.
const SILENCE: Duration = Duration::from_secs(6);
/// For bombs that the watchdog is expected to end.
const SHORT_SILENCE: Duration = Duration::from_secs(2);

/// How a bomb may end other than with scenes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fizzle {
    /// It may be reported as unusable.
    Words,
    /// The watchdog may also end it, because it takes long and gives nothing.
    Watchdog,
}

/// Analyses a bomb frame by frame and in fast mode. Returns how the last analysis ended.
fn goes_off(path: &Path, fizzle: Fizzle) -> Result<Answer, String> {
    goes_off_in(path, fizzle, &[(SceneMode::Exact, 1), (SceneMode::Fast, 2)], SILENCE)
}

/// Does the same as [`goes_off`] for a bomb that would run for hours.
fn goes_on(path: &Path) -> Result<Answer, String> {
    goes_off_in(
        path,
        Fizzle::Watchdog,
        &[(SceneMode::Exact, 1), (SceneMode::Fast, 2)],
        SHORT_SILENCE,
    )
}

fn goes_off_in(path: &Path, fizzle: Fizzle, ways: &[(SceneMode, u32)], silence: Duration) -> Result<Answer, String> {
    let mut last = Err("nothing".to_owned());
    for (mode, threads) in ways.iter().copied() {
        let request = AnalyseRequest {
            detector: Detector::Shot,
            mode,
            threads,
            keyframe_px: 224,
            ..request()
        };
        last = match analyse_with(&worker().with_silence(silence), path, &request) {
            Ok(told) => Ok(told),
            Err(MediaError::Unusable { reason }) => Err(reason),
            Err(error @ MediaError::TimedOut { .. }) if fizzle == Fizzle::Watchdog => Err(error.to_string()),
            Err(other) => panic!("{} ({mode:?}): {other}", path.display()),
        };
    }
    let asked = picture(path, Some(1000));
    assert!(
        matches!(asked, Ok(_) | Err(MediaError::Unusable { .. } | MediaError::TimedOut { .. })),
        "{asked:?}"
    );
    last
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn huge_pictures_end_within_the_limits() {
    let folder = tempfile::tempdir().unwrap();
    // It has 144 million pixels, which FFmpeg itself would decode.
    let one = "-f lavfi -i color=red:s=12000x12000:r=1:d=1 -frames:v 1 -pix_fmt yuv420p";
    let x264 = video(
        folder.path(),
        "x264.mp4",
        &format!("{one} -c:v libx264 -preset ultrafast -threads 1"),
    );
    let reason = goes_off(&x264, Fizzle::Watchdog).map(|told| told.analysis).unwrap_err();
    assert!(reason.contains("144000000 pixels"), "{reason}");
    // These have a few pixels and claim to have many.
    for (name, codec, marker, at) in [
        ("jpeg.mkv", "mjpeg -pix_fmt yuvj420p", &[0xff, 0xc0, 0x00, 0x11, 0x08][..], 5),
        ("png.mkv", "png", b"IHDR\0\0", 4),
    ] {
        let bytes = std::fs::read(video(
            folder.path(),
            name,
            &format!("-f lavfi -i testsrc=s=64x64:r=25:d=1 -c:v {codec}"),
        ))
        .unwrap();
        for side_px in [16_000_u16, 16_384, 65_500] {
            let mut bytes = bytes.clone();
            let found: Vec<usize> = (0..bytes.len() - marker.len())
                .filter(|i| bytes[*i..].starts_with(marker))
                .collect();
            assert_eq!(found.len(), 25, "{name}");
            for start in found {
                let [high, low] = side_px.to_be_bytes();
                if codec == "png" {
                    bytes[start + at..start + at + 8].copy_from_slice(&[0, 0, high, low, 0, 0, high, low]);
                } else {
                    bytes[start + at..start + at + 4].copy_from_slice(&[high, low, high, low]);
                }
            }
            let ended = goes_off(&write(folder.path(), name, &bytes), Fizzle::Watchdog).map(|told| told.analysis);
            assert!(ended.is_err(), "{name}: {ended:?}");
        }
    }
}

#[test]
fn thousands_of_streams_are_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(video(
        folder.path(),
        "one.mp4",
        &format!("{RED_BLUE} -c:v libx264 -preset ultrafast"),
    ))
    .unwrap();
    let moov = inside(&bytes, &[b"moov"]);
    let track = find(&moov, &[b"trak"]).remove(0);
    let track = moov[track].to_vec();
    let mut many = moov;
    for _ in 0..5000 {
        many.extend(&track);
    }
    replace_in_boxes(&mut bytes, &[b"moov"], &many);
    let ended = goes_off(&write(folder.path(), "streams.mp4", &bytes), Fizzle::Watchdog);
    if let Ok(told) = ended {
        assert!(told.probe.streams.len() <= 64);
        assert_eq!(told.cuts_ms(), [2000]);
    }
}

#[test]
fn clocks_that_stand_or_leap_by_years_end() {
    let folder = tempfile::tempdir().unwrap();
    let noisy = "-f lavfi -i testsrc=s=160x120:r=25:d=8 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 10";
    for (name, times) in [
        (
            "years.mkv",
            "setts=ts=if(mod(N\\,50)\\,PTS+floor(N/50)*30000000000\\,PTS+floor(N/50)*30000000000)",
        ),
        ("backwards.mkv", "setts=pts=PTS+mod(N\\,7)*1000000:dts=DTS"),
        ("standing.ts", "setts=ts=90000"),
        ("standing.avi", "setts=ts=N/1000"),
    ] {
        let path = video(folder.path(), name, &format!("{noisy} -bsf:v {times}"));
        let ended = goes_off(&path, Fizzle::Words);
        assert!(ended.is_ok(), "{name}: {ended:?}");
    }

    let mut bytes = std::fs::read(video(folder.path(), "rated.mp4", noisy)).unwrap();
    // The track's clock has no unit, and no frame has a duration.
    let media = find(&bytes, &[b"moov", b"trak", b"mdia", b"mdhd"]).pop().unwrap();
    bytes[media.start + 20..media.start + 24].fill(0);
    let times = find(&bytes, &[b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"]).pop().unwrap();
    bytes[times.start + 20..times.start + 24].fill(0);
    goes_off(&write(folder.path(), "no rate.mp4", &bytes), Fizzle::Words).ok();
    bytes[times.start + 20..times.start + 24].fill(0xff);
    goes_off(&write(folder.path(), "negative rate.mp4", &bytes), Fizzle::Words).ok();
}

#[test]
fn a_video_that_repeats_itself_for_ever_ends() {
    let folder = tempfile::tempdir().unwrap();
    let lavfi = "-f lavfi -i testsrc=s=64x64:r=25:d=4 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 25";
    let mut bytes = std::fs::read(video(folder.path(), "edited.mp4", lavfi)).unwrap();
    // The edit list plays the same second fifteen hundred times.
    let n_edits = 1500_u32;
    let mut edits = [0_u32.to_be_bytes(), n_edits.to_be_bytes()].concat();
    for _ in 0..n_edits {
        edits.extend([1000_u32.to_be_bytes(), 0_u32.to_be_bytes(), 0x0001_0000_u32.to_be_bytes()].concat());
    }
    replace_in_boxes(&mut bytes, &[b"moov", b"trak", b"edts", b"elst"], &edits);
    goes_on(&write(folder.path(), "edits.mp4", &bytes)).ok();

    // An endless stream: fragments of unknown length, then the same ones 60 times again.
    let once = std::fs::read(video(
        folder.path(),
        "live.mp4",
        &format!("{lavfi} -movflags frag_keyframe+empty_moov+default_base_moof"),
    ))
    .unwrap();
    let start = once.windows(4).position(|kind| kind == b"moof").unwrap() - 4;
    let mut again = once.clone();
    for _ in 0..60 {
        again.extend(&once[start..]);
    }
    let ended = goes_off(&write(folder.path(), "fragments.mp4", &again), Fizzle::Words);
    assert!(ended.is_ok(), "{ended:?}");
}

#[test]
fn sparse_terabytes_are_not_read_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [
        ("a.mp4", "-c:v libx264 -movflags faststart"),
        ("a.mkv", "-c:v libx264"),
        ("a.ts", "-c:v libx264"),
        ("a.mpg", "-c:v mpeg2video"),
    ] {
        let path = video(folder.path(), name, &format!("{RED_BLUE} {codec}"));
        std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        goes_on(&path).ok();
    }
    // A file whose content begins after a hole of a terabyte.
    let hole = folder.path().join("hole.mp4");
    let mut late = std::fs::File::create(&hole).unwrap();
    late.seek(SeekFrom::Start((1 << 40) - 4096)).unwrap();
    late.write_all(b"the end").unwrap();
    assert!(goes_on(&hole).is_err());
}

#[test]
fn a_million_packets_of_a_byte_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(video(
        folder.path(),
        "a.mkv",
        "-f lavfi -i testsrc=s=64x64:r=25:d=1 -c:v mpeg4 -live 1",
    ))
    .unwrap();
    // Clusters of unknown size, with blocks of one byte each.
    for cluster in 0..20_u8 {
        bytes.extend([0x1f, 0x43, 0xb6, 0x75, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        bytes.extend([0xe7, 0x82, 20 + cluster, 0]);
        for block in 0..50_000_u32 {
            let time = (block / 200) as u16;
            bytes.extend([0xa3, 0x85, 0x81]);
            bytes.extend(time.to_be_bytes());
            bytes.extend([if block % 100 == 0 { 0x80 } else { 0 }, block as u8]);
        }
    }
    let path = write(folder.path(), "packets.mkv", &bytes);
    let ended = goes_off_in(&path, Fizzle::Words, &[(SceneMode::Exact, 1)], SILENCE);
    assert!(ended.is_ok(), "{ended:?}");
}

#[test]
fn a_video_whose_every_frame_has_another_size_is_a_video() {
    let folder = tempfile::tempdir().unwrap();
    let mut jpegs = Vec::new();
    for n in 0..12 {
        let size = format!("{}x{}", 2 + (n * 397) % 1900, 2 + (n * 211) % 1000);
        let path = video(
            folder.path(),
            &format!("{n}.jpg"),
            &format!("-f lavfi -i testsrc=s={size} -frames:v 1 -pix_fmt yuvj420p"),
        );
        jpegs.push(std::fs::read(path).unwrap());
    }
    let all: Vec<u8> = jpegs.iter().cycle().take(300).flatten().copied().collect();
    let raw = write(folder.path(), "all.mjpeg", &all);
    let path = video(
        folder.path(),
        "sizes.mkv",
        &format!("-f mjpeg -framerate 25 -i {} -c copy", raw.display()),
    );
    let told = goes_off(&path, Fizzle::Words).unwrap();
    assert_eq!(told.analysis.n_frames, 300);

    let pixel = "-f lavfi -i color=red:s=16x16:r=25:d=1,format=rgb24,scale=1:1 -c:v png";
    assert!(goes_off(&video(folder.path(), "pixel.mov", pixel), Fizzle::Words).is_ok());
    let mut none = std::fs::read(video(folder.path(), "none.mov", pixel)).unwrap();
    let entry = find(&none, &[b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"]).pop().unwrap();
    none[entry.start + 16 + 32..entry.start + 16 + 36].fill(0);
    goes_off(&write(folder.path(), "no size.mov", &none), Fizzle::Words).ok();
}
