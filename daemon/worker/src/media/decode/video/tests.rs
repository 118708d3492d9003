#![expect(unsafe_code, reason = "ffmpeg-next shows no format of sound")]

use std::process::Command;

use scened_common::media::extras::Extras;

use super::*;

/// FFmpeg tries decoders while it finds out what streams there are. A sound decoder that was tried would have set the sample format.
#[test]
fn no_decoder_of_sound_or_subtitles_is_ever_opened() {
    ffmpeg_next::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mkv");
    let subtitles = folder.path().join("words.srt");
    std::fs::write(&subtitles, "1\n00:00:00,000 --> 00:00:01,000\nwords\n").unwrap();
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-nostdin",
            "-f",
            "lavfi",
            "-i",
            "testsrc=d=1",
            "-f",
            "lavfi",
            "-i",
            "sine=d=1",
            "-i",
        ])
        .arg(&subtitles)
        .args([
            "-map", "0", "-map", "1", "-map", "2", "-pix_fmt", "yuv420p", "-c:a", "aac", "-c:s", "ass",
        ])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    let sample_format = |video: &OpenVideo| {
        let sound = video.reader.input().stream(1).unwrap();
        // SAFETY: the parameters are valid while the stream is; the field is a plain number.
        unsafe { (*sound.parameters().as_ptr()).format }
    };
    let video = OpenVideo::open(File::open(&path).unwrap(), 1, Allowed::videos(&Extras::default())).unwrap();
    assert_eq!(video.probe().streams[1].kind, "audio");
    assert_eq!(sample_format(&video), -1);
}
