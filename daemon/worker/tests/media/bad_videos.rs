//! Videos from which nothing or only a part can be indexed; the user always gets a reason.

use super::*;

fn check(path: &Path, expected: &str) {
    let reason = unusable(path);
    assert!(
        reason.contains(expected),
        "{}: {reason:?} does not say {expected:?}",
        path.display()
    );
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("the test folder is writable");
    path
}

#[test]
fn what_is_no_video_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| write(folder.path(), name, bytes);
    check(&put("empty.mp4", b""), "the file is empty");
    check(
        &put("text.mp4", b"Dear diary, today I was a video.\n".repeat(50).as_slice()),
        "not a media file",
    );
    check(&put("zero.mp4", &vec![0; 100_000]), "not a media file");
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n";
    check(&put("list.mp4", playlist.as_bytes()), "scened reads no playlists");
    let sound = video(folder.path(), "sound.wav", "-f lavfi -i sine=d=1");
    check(&sound, "extra-formats = [\"wav\"]");
}

#[test]
fn sound_and_covers_are_no_video() {
    let folder = tempfile::tempdir().unwrap();
    let sound = video(folder.path(), "sound.m4a", "-f lavfi -i sine=d=1 -c:a aac");
    check(&sound, "has sound but no video");
    let cover = video(folder.path(), "cover.png", "-f lavfi -i color=red:s=64x64 -frames:v 1");
    let arguments = format!(
        "-f lavfi -i sine=d=1 -i {} -map 0 -map 1 -c:a aac -c:v copy -disposition:v attached_pic",
        cover.display()
    );
    check(
        &video(folder.path(), "song.m4a", &arguments),
        "has sound and a cover picture, but no video",
    );
}

#[test]
fn a_video_cut_short_without_its_index_is_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(video(folder.path(), "a.mp4", RED_BLUE)).unwrap();
    check(&write(folder.path(), "half.mp4", &whole[..whole.len() / 2]), "moov");
}

#[test]
fn a_video_cut_short_behind_its_index_gives_what_is_there_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let noisy = "-f lavfi -i testsrc2=s=320x240:r=25:d=20 -vf noise=alls=20:allf=t -pix_fmt yuv420p -c:v libx264 -g 25";
    let whole = std::fs::read(video(folder.path(), "a.mp4", &format!("{noisy} -movflags faststart"))).unwrap();
    let told = analyse(&write(folder.path(), "half.mp4", &whole[..whole.len() / 2])).unwrap();
    assert!(
        (5_000..15_000).contains(&told.analysis.duration_ms),
        "{}",
        told.analysis.duration_ms
    );
    let damage = told.analysis.damage.expect("half a video is damaged");
    assert!(
        damage.starts_with("indexed to 00:00:") && damage.contains("of 00:00:20"),
        "{damage}"
    );

    let whole = std::fs::read(video(folder.path(), "a.mkv", noisy)).unwrap();
    let told = analyse(&write(folder.path(), "half.mkv", &whole[..whole.len() / 2])).unwrap();
    assert!(told.analysis.damage.is_some());
}

#[test]
fn damage_in_the_middle_costs_the_middle_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(video(
        folder.path(),
        "a.ts",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=8 -pix_fmt yuv420p -c:v libx264 -g 25",
    ))
    .unwrap();
    let (third, half) = (bytes.len() / 3, bytes.len() / 2);
    for byte in bytes[third..half].iter_mut().skip(100).step_by(300) {
        *byte ^= 0x5a;
    }
    let told = analyse(&write(folder.path(), "damaged.ts", &bytes)).unwrap();
    assert!(told.analysis.duration_ms >= 7_900, "{}", told.analysis.duration_ms);
    assert!(told.analysis.damage.is_some());
}

#[test]
fn encrypted_videos_are_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(
        folder.path(),
        "a.mp4",
        &format!(
            "{RED_BLUE} -c:v libx264 -encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb \
             -encryption_kid a7e61c373e219033c21091fa607bf3b8"
        ),
    );
    check(&path, "the video is encrypted");
}

#[test]
fn rare_codecs_and_containers_are_decoded_only_where_they_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let extras = |formats: &[&str], codecs: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        worker().with_extras(Extras {
            formats: owned(formats),
            codecs: owned(codecs),
        })
    };
    let magic = video(folder.path(), "magic.mkv", &format!("{RED_BLUE} -c:v magicyuv"));
    check(&magic, "extra-codecs = [\"magicyuv\"]");
    let other = analyse_with(&extras(&[], &["utvideo"]), &magic, &request());
    assert!(matches!(other, Err(MediaError::Unusable { .. })), "{other:?}");
    let told = analyse_with(&extras(&[], &["magicyuv"]), &magic, &request()).unwrap();
    assert_eq!(told.cuts_ms(), [2000]);

    let nut = video(folder.path(), "film.nut", &format!("{RED_BLUE} -c:v libx264"));
    check(&nut, "extra-formats = [\"nut\"]");
    assert_eq!(analyse_with(&extras(&["nut"], &[]), &nut, &request()).unwrap().cuts_ms(), [2000]);
    // If one stream of a video has a rare codec, another stream is used.
    let arguments = format!(
        "-i {} -f lavfi -i testsrc=s=640x480:r=25:d=4 -map 1 -map 0 -c:v:0 magicyuv -c:v:1 libx264",
        magic.display()
    );
    let both = video(folder.path(), "both.mkv", &arguments);
    assert_eq!(analyse(&both).unwrap().cuts_ms(), [2000]);
}

#[test]
fn unknown_codecs_are_named_and_frames_of_rubbish_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(video(folder.path(), "a.mp4", &format!("{RED_BLUE} -c:v libx264"))).unwrap();
    let replaced = |from: &[u8; 4], to: &[u8; 4]| {
        let mut bytes = bytes.clone();
        let at: Vec<_> = (0..bytes.len() - 4).filter(|i| &bytes[*i..*i + 4] == from).collect();
        for i in at {
            bytes[i..i + 4].copy_from_slice(to);
        }
        bytes
    };
    check(&write(folder.path(), "unknown.mp4", &replaced(b"avc1", b"zz9z")), "no decoder");

    let mut rubbish = bytes.clone();
    let start = rubbish.windows(4).position(|kind| kind == b"mdat").unwrap() + 4;
    let end = rubbish.windows(4).rposition(|kind| kind == b"moov").unwrap() - 4;
    assert!(start < end);
    rubbish[start..end].fill(0xab);
    check(
        &write(folder.path(), "rubbish.mp4", &rubbish),
        "no frame of its video stream (h264) can be decoded",
    );
}

#[test]
fn random_damage_never_kills_the_daemons_side() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(video(folder.path(), "a.mp4", &format!("{RED_BLUE} -c:v libx264"))).unwrap();
    let mut state = 42_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..15 {
        let mut bytes = whole.clone();
        for _ in 0..=random(20) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        let path = write(folder.path(), "mutated.mp4", &bytes);
        match analyse(&path) {
            Ok(_) | Err(MediaError::Unusable { .. } | MediaError::WorkerDied { .. }) => {}
            Err(other) => panic!("round {round}: {other}"),
        }
    }
}

/// All ways of decoding: frame by frame, GOPs side by side, and only the GOPs in doubt.
const WAYS: [(SceneMode, u32); 3] = [(SceneMode::Exact, 1), (SceneMode::Exact, 2), (SceneMode::Fast, 2)];

/// Analyses a damaged video in every way. Each must give scenes and pass `check`.
fn damaged_in_every_way(path: &Path, check: impl Fn(&Answer, &str)) {
    for (mode, threads) in WAYS {
        let request = AnalyseRequest {
            detector: Detector::Shot,
            mode,
            threads,
            ..request()
        };
        let told = analyse_with(&worker(), path, &request).unwrap_or_else(|error| panic!("{mode:?}, {threads} threads: {error}"));
        let way = format!("{mode:?}, {threads} threads: {:?}", told.analysis);
        assert!(!told.scenes.is_empty(), "{way}");
        check(&told, &way);
    }
}

const NOISY: &str = "-f lavfi -i testsrc2=s=320x240:r=25:d=20 -vf noise=alls=20:allf=t -pix_fmt yuv420p -c:v libx264 -g 25";

#[test]
fn a_truncated_video_is_indexed_to_where_it_breaks_off_in_every_way_of_decoding() {
    let folder = tempfile::tempdir().unwrap();
    for (name, arguments) in [("a.mp4", "-movflags faststart"), ("a.mkv", ""), ("a.ts", ""), ("a.avi", "-bf 0")] {
        let whole = std::fs::read(video(folder.path(), name, &format!("{NOISY} {arguments}"))).unwrap();
        let path = write(folder.path(), name, &whole[..whole.len() / 2]);
        damaged_in_every_way(&path, |told, way| {
            assert!((5_000..15_000).contains(&told.analysis.duration_ms), "{name}: {way}");
            // A transport stream does not say how long it should be.
            if name != "a.ts" {
                let damage = told.analysis.damage.as_deref().unwrap_or_else(|| panic!("{name}: {way}"));
                assert!(
                    damage.starts_with("indexed to 00:00:") && damage.contains("of 00:00:20"),
                    "{name}: {way}"
                );
            }
        });
    }
}

#[test]
fn rubbish_in_the_middle_costs_the_middle_only_in_every_way_of_decoding() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(video(folder.path(), "a.ts", NOISY)).unwrap();
    let (third, half) = (bytes.len() / 3, bytes.len() / 2);
    bytes[third..half].fill(0xa5);
    damaged_in_every_way(&write(folder.path(), "rubbish.ts", &bytes), |told, way| {
        assert!(told.analysis.duration_ms >= 19_000, "{way}");
    });
}

#[test]
fn corrupt_slices_are_told_of_where_they_were_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(video(folder.path(), "a.mp4", &format!("{NOISY} -movflags faststart"))).unwrap();
    let (third, half) = (bytes.len() / 3, bytes.len() / 2);
    for byte in bytes[third..half].iter_mut().skip(100).step_by(700) {
        *byte ^= 0x5a;
    }
    damaged_in_every_way(&write(folder.path(), "corrupt.mp4", &bytes), |told, way| {
        assert!(told.analysis.duration_ms >= 19_900, "{way}");
        assert!(told.analysis.damage.is_some(), "{way}");
    });
}
