//! Files that are not videos, or not whole: each is an incident with a reason, and the daemon continues.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::{Daemon, Sandbox, videos};

/// One daemon, one good video, one bad file. The good one is indexed after the bad one was tried.
struct Case {
    sandbox: Sandbox,
    bad: PathBuf,
}

impl Case {
    fn new(name: &str, make: impl FnOnce(&Path)) -> Self {
        let sandbox = Sandbox::new();
        let bad = sandbox.videos().join(name);
        make(&bad);
        Self { sandbox, bad }
    }

    fn run(&self) -> Daemon<'_> {
        let daemon = self.sandbox.start();
        self.sandbox.settle();
        daemon
    }

    /// Checks that the daemon still indexes and answers.
    fn goes_on(&self, mut daemon: Daemon<'_>) {
        self.sandbox.video("good.mp4", &[("red", 1.0)]);
        self.sandbox.settle();
        assert!(daemon.is_alive());
        let good = self
            .sandbox
            .ctl_json([Path::new("scenes"), &self.sandbox.videos().join("good.mp4")]);
        assert_eq!(good["duration_ms"], 1000, "{good}");
        assert!(daemon.stop().success());
    }

    fn is_an_incident(&self, reason: &str) {
        let daemon = self.run();
        let incidents = self.sandbox.ctl_json(["incidents"]);
        let rows = incidents["incidents"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{incidents}\n{}", self.sandbox.log_tail());
        assert_eq!(rows[0]["path"], self.bad.to_str().unwrap());
        let told = rows[0]["reason"].as_str().unwrap();
        assert!(told.contains(reason), "{reason:?} is not in {told:?}");
        assert!(!told.contains("worker"), "the file is at fault, not a process: {told:?}");
        self.sandbox.say("incidents").expect(0).says(reason);
        assert_eq!(self.sandbox.counts(), [0, 0, 1, 0]);
        self.goes_on(daemon);
    }

    fn is_indexed(&self, n_scenes: usize) {
        let daemon = self.run();
        assert_eq!(self.sandbox.counts(), [1, 0, 0, 0], "{}", self.sandbox.say("incidents").stdout);
        let scenes = self.sandbox.ctl_json([Path::new("scenes"), &self.bad]);
        assert_eq!(scenes["scenes"].as_array().unwrap().len(), n_scenes, "{scenes}");
        self.goes_on(daemon);
    }
}

#[test]
fn an_empty_file() {
    Case::new("empty.mp4", |path| fs::write(path, "").unwrap()).is_an_incident("empty (0 bytes)");
}

#[test]
fn a_text_named_like_a_video() {
    Case::new("text.mp4", |path| fs::write(path, "To whom it may concern.\n".repeat(100)).unwrap()).is_an_incident("not a media file");
}

#[test]
fn a_video_without_its_index_because_the_download_broke_off() {
    Case::new("truncated.mp4", |path| {
        videos::colours(path, &[("red", 2.0), ("green", 2.0)]);
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    })
    .is_an_incident("truncated");
}

#[test]
fn a_video_that_breaks_off_in_the_middle_is_indexed_as_far_as_it_goes() {
    let case = Case::new("half.ts", |path| {
        videos::ffmpeg_line(
            "-f lavfi -i testsrc=s=160x120:r=25:d=3 -c:v libx264 -preset ultrafast -g 10 -pix_fmt yuv420p -f mpegts",
            path,
        );
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    });
    let daemon = case.run();
    assert_eq!(case.sandbox.counts(), [1, 0, 0, 0]);
    let scenes = case.sandbox.ctl_json([Path::new("scenes"), &case.bad]);
    let duration = scenes["duration_ms"].as_u64().unwrap();
    assert!((500..2500).contains(&duration), "{scenes}");
    case.goes_on(daemon);
}

#[test]
fn an_encrypted_video() {
    Case::new("encrypted.mp4", |path| {
        videos::ffmpeg_line(
            "-f lavfi -i testsrc=s=160x120:r=25:d=2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -encryption_scheme cenc-aes-ctr \
             -encryption_key 76a6c65c5ea762046bd749a2e632ccbb -encryption_kid a7e61c373e219033c21091fa607bf3b8 -f mp4",
            path,
        );
    })
    .is_an_incident("encrypted");
}

#[test]
fn sound_without_a_picture() {
    Case::new("sound.mp4", |path| {
        videos::ffmpeg_line("-f lavfi -i sine=d=1 -c:a aac -f mp4", path);
    })
    .is_an_incident("sound but no video");
}

#[test]
fn a_song_with_its_cover() {
    Case::new("song.m4v", |path| {
        let folder = path.parent().unwrap().parent().unwrap();
        let (cover, sound) = (folder.join("cover.png"), folder.join("sound.m4a"));
        videos::picture(&cover, "red");
        videos::ffmpeg_line("-f lavfi -i sine=d=1 -c:a aac", &sound);
        videos::ffmpeg(
            ["-i", sound.to_str().unwrap(), "-i", cover.to_str().unwrap()].into_iter().chain(
                "-map 0 -map 1 -c copy -disposition:v:0 attached_pic -f mp4"
                    .split(' ')
                    .chain([path.to_str().unwrap()]),
            ),
        );
    })
    .is_an_incident("cover");
}

#[test]
fn sound_in_matroska_with_an_attached_picture() {
    Case::new("song.mkv", |path| {
        let cover = path.parent().unwrap().parent().unwrap().join("cover.jpg");
        videos::picture(&cover, "red");
        videos::ffmpeg_line(
            &format!(
                "-f lavfi -i sine=d=1 -c:a aac -attach {} -metadata:s:t mimetype=image/jpeg -f matroska",
                cover.display()
            ),
            path,
        );
    })
    .is_an_incident("cover picture, but no video");
}

#[test]
fn a_video_of_one_pixel_is_a_video() {
    Case::new("pixel.mkv", |path| {
        videos::ffmpeg_line(
            "-f lavfi -i color=c=red:s=16x16:r=25:d=1,format=rgb24,scale=1:1 -c:v png -f matroska",
            path,
        );
    })
    .is_indexed(1);
}

#[test]
fn a_codec_that_nobody_knows() {
    Case::new("unknown.mp4", |path| {
        videos::colours(path, &[("red", 1.0)]);
        let mut bytes = fs::read(path).unwrap();
        for at in 0..bytes.len() - 4 {
            if &bytes[at..at + 4] == b"avc1" || &bytes[at..at + 4] == b"avcC" {
                bytes[at..at + 4].copy_from_slice(b"zzzz");
            }
        }
        fs::write(path, bytes).unwrap();
    })
    .is_an_incident("codec");
}

#[test]
fn a_video_that_does_not_say_how_long_it_is() {
    Case::new("live.mkv", |path| {
        videos::ffmpeg_line(
            "-f lavfi -i color=c=red:s=160x120:r=25:d=2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -f matroska -live 1",
            path,
        );
    })
    .is_indexed(1);
}

#[test]
fn a_video_whose_frames_are_all_garbage() {
    Case::new("garbage.mp4", |path| {
        videos::colours(path, &[("red", 1.0)]);
        let mut bytes = fs::read(path).unwrap();
        let start = bytes.windows(4).position(|window| window == b"mdat").unwrap() + 4;
        let end = bytes.windows(4).position(|window| window == b"moov").unwrap() - 4;
        assert!(start < end);
        bytes[start..end].fill(0xa5);
        fs::write(path, bytes).unwrap();
    })
    .is_an_incident("decoded");
}

/// Checks that files that name other files do not make the daemon read those.
#[test]
fn a_playlist_named_like_a_video_opens_nothing() {
    for (name, text) in [
        (
            "playlist.mp4",
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{}\n#EXT-X-ENDLIST\n",
        ),
        ("concat.mp4", "ffconcat version 1.0\nfile '{}'\n"),
        ("concat.mkv", "ffconcat version 1.0\nfile 'secret.mp4'\n"),
    ] {
        Case::new(name, |path| {
            let secret = path.parent().unwrap().parent().unwrap().join("secret.mp4");
            videos::colours(&secret, &[("red", 1.0)]);
            fs::write(path, text.replace("{}", secret.to_str().unwrap())).unwrap();
        })
        .is_an_incident("scened reads no playlists");
    }
}

#[test]
fn a_video_that_may_not_be_read() {
    let case = Case::new("locked.mp4", |path| {
        videos::colours(path, &[("red", 1.0)]);
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    });
    if fs::read(&case.bad).is_ok() {
        eprintln!("NOT RUN: this user may read everything (root), so a file that may not be read cannot be made");
        return;
    }
    case.is_an_incident("permission denied");
}

#[test]
fn a_codec_that_is_kept_away_until_the_configuration_names_it() {
    let case = Case::new("magic.mkv", |path| {
        videos::ffmpeg_line("-f lavfi -i color=c=red:s=160x120:r=25:d=1 -c:v magicyuv -f matroska", path);
    });
    case.is_an_incident("extra-codecs = [\"magicyuv\"]");
    case.sandbox.configure("extra-codecs = [\"magicyuv\", \"nonsense\"]");
    let daemon = case.sandbox.start();
    case.sandbox.settle();
    assert_eq!(case.sandbox.counts(), [2, 0, 0, 0], "{}", case.sandbox.say("incidents").stdout);
    case.sandbox.say("doctor").says("nonsense").says("FFmpeg");
    case.sandbox.say("status").says("nonsense");
    assert!(daemon.stop().success());
}
