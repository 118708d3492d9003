//! The containers a video can be put into, and which of its streams each accepts without re-encoding.

use crate::ffmpeg::probe::{ProbedVideo, Stream};

/// The container of a video, selected by the extension of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container {
    /// FFmpeg's name for the muxer.
    pub(super) muxer: &'static str,
    pub(super) is_mp4: bool,
    pub(super) is_webm: bool,
}

/// The supported extensions, in words.
pub const EXTENSIONS: &str = ".mp4, .m4v, .mov, .mkv, .webm or .ts";

impl Container {
    /// Returns the container for an extension in lower case; `None` if it is not among [`EXTENSIONS`].
    pub fn of_extension(extension: &str) -> Option<Self> {
        let (muxer, is_mp4, is_webm) = match extension {
            "mp4" | "m4v" => ("mp4", true, false),
            "mov" => ("mov", true, false),
            "mkv" => ("matroska", false, false),
            "webm" => ("webm", false, true),
            "ts" => ("mpegts", false, false),
            _ => return None,
        };
        Some(Self { muxer, is_mp4, is_webm })
    }

    /// Returns whether it accepts the video's picture and first sound without re-encoding, so that players understand it.
    pub(crate) fn takes(self, video: &ProbedVideo) -> bool {
        self.takes_picture(&video.picture) && video.sounds.first().is_none_or(|sound| self.takes_sound(sound))
    }

    fn takes_picture(self, picture: &Stream) -> bool {
        const MPEG: &str = "h264 hevc mpeg4 mpeg2video mpeg1video";
        let codecs = match self.muxer {
            "mp4" => [MPEG, "av1 vp9 mjpeg"],
            "mov" => [MPEG, "mjpeg prores dnxhd qtrle png dvvideo"],
            "webm" => ["vp8 vp9 av1", ""],
            "mpegts" => [MPEG, ""],
            // Matroska accepts everything.
            _ => return true,
        };
        is_one(picture, &codecs)
    }

    fn takes_sound(self, sound: &Stream) -> bool {
        const USUAL: &str = "aac mp3 mp2 ac3 eac3";
        let codecs = match self.muxer {
            "mp4" => [USUAL, "opus flac alac dts"],
            "mov" => [USUAL, "alac pcm_"],
            "webm" => ["vorbis opus", ""],
            "mpegts" => [USUAL, "dts opus"],
            _ => return true,
        };
        is_one(sound, &codecs)
    }

    /// Returns whether it accepts subtitles unchanged. FFmpeg can convert them, but then cannot cut those that outlast the clip, and they
    /// make it longer.
    fn takes_subtitles(self, subtitles: &Stream) -> bool {
        let codecs = match self.muxer {
            "mp4" | "mov" => "mov_text",
            "webm" => "webvtt",
            "mpegts" => "dvb_subtitle dvb_teletext",
            _ => "subrip srt ass ssa webvtt hdmv_pgs_subtitle dvd_subtitle dvb_subtitle hdmv_text_subtitle",
        };
        is_one(subtitles, &[codecs])
    }

    /// Returns whether it accepts the fonts that subtitles use.
    fn takes_attachments(self) -> bool {
        self.muxer == "matroska"
    }
}

/// Returns whether a stream's codec is in lists of names; a name that ends in `_` stands for all that begin with it.
fn is_one(stream: &Stream, codecs: &[&str]) -> bool {
    let codec = stream.codec_name.as_deref().unwrap_or_default();
    let mut names = codecs.iter().flat_map(|names| names.split(' ')).filter(|name| !name.is_empty());
    names.any(|name| codec == name || name.ends_with('_') && codec.starts_with(name))
}

/// The streams that accompany the picture, by their position among the streams of their kind.
#[derive(Debug, Default)]
pub(crate) struct OtherStreams {
    pub(super) sounds: Vec<usize>,
    pub(super) subtitles: Vec<usize>,
    pub(super) has_attachments: bool,
    /// What is left out and why, in words.
    pub(crate) left_out: Vec<String>,
}

impl OtherStreams {
    /// Selects the streams of a single clip: everything that the container accepts.
    pub(crate) fn of_one(video: &ProbedVideo, container: Container, is_encoded: bool) -> Self {
        let mut others = Self {
            has_attachments: video.has_attachments && container.takes_attachments(),
            ..Self::default()
        };
        let left_out = |what: &str, stream: &Stream| {
            let codec = stream.codec_name.as_deref().unwrap_or("an unknown codec");
            format!("{what} in {codec}")
        };
        for (place, sound) in video.sounds.iter().enumerate() {
            // A stream without a codec name in ffprobe cannot be decoded.
            let goes = if is_encoded {
                sound.codec_name.is_some()
            } else {
                container.takes_sound(sound)
            };
            if goes {
                others.sounds.push(place);
            } else {
                others.left_out.push(left_out("sound", sound));
            }
        }
        for (place, stream) in video.subtitles.iter().enumerate() {
            if container.takes_subtitles(stream) {
                others.subtitles.push(place);
            } else {
                others.left_out.push(left_out("subtitles", stream));
            }
        }
        others
    }

    /// Selects the streams of joined clips. If packets are copied and the videos have the same audio tracks, keeps all of them; otherwise
    /// the first.
    pub(crate) fn of_joined(videos: &[&ProbedVideo], container: Container, is_encoded: bool) -> Self {
        let mut others = Self::default();
        let Some((first, rest)) = videos.split_first() else {
            return others;
        };
        if !is_encoded && rest.iter().all(|video| first.sounds_as(video)) {
            let places = 0..first.sounds.len();
            others.sounds = places.filter(|place| container.takes_sound(&first.sounds[*place])).collect();
        } else {
            others.sounds = vec![0];
        }
        if videos.iter().any(|video| video.sounds.len() > others.sounds.len()) {
            others.left_out.push("additional audio tracks, because clips are joined".to_owned());
        }
        if videos.iter().any(|video| !video.subtitles.is_empty()) {
            others.left_out.push("subtitles, because clips are joined".to_owned());
        }
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(sounds: &[&str], subtitles: &[&str]) -> ProbedVideo {
        let stream = |codec: &&str| serde_json::from_value(serde_json::json!({"index": 0, "codec_name": codec})).unwrap();
        ProbedVideo {
            sounds: sounds.iter().map(stream).collect(),
            subtitles: subtitles.iter().map(stream).collect(),
            has_attachments: true,
            ..ProbedVideo::default()
        }
    }

    #[test]
    fn a_clip_keeps_what_its_container_takes_and_says_what_not() {
        let video = video(&["aac", "truehd", "ac3"], &["subrip", "hdmv_pgs_subtitle", "mov_text"]);
        let check = |extension: &str, sounds: &[usize], subtitles: &[usize], left_out: &[&str]| {
            let container = Container::of_extension(extension).unwrap();
            let others = OtherStreams::of_one(&video, container, false);
            assert_eq!(
                (others.sounds.as_slice(), others.subtitles.as_slice()),
                (sounds, subtitles),
                "{extension}"
            );
            assert_eq!(others.left_out, left_out, "{extension}");
            assert_eq!(others.has_attachments, extension == "mkv");
        };
        check("mkv", &[0, 1, 2], &[0, 1], &["subtitles in mov_text"]);
        check(
            "mp4",
            &[0, 2],
            &[2],
            &["sound in truehd", "subtitles in subrip", "subtitles in hdmv_pgs_subtitle"],
        );
        // When re-encoding, sound of any kind is kept.
        let webm = Container::of_extension("webm").unwrap();
        let others = OtherStreams::of_one(&video, webm, true);
        assert_eq!((others.sounds, others.subtitles.len()), (vec![0, 1, 2], 0));
    }

    #[test]
    fn joined_clips_keep_the_tracks_that_all_have() {
        let (both, one) = (video(&["aac", "ac3"], &["subrip"]), video(&["aac"], &[]));
        let mkv = Container::of_extension("mkv").unwrap();
        let others = OtherStreams::of_joined(&[&both, &both], mkv, false);
        assert_eq!(others.sounds, [0, 1]);
        assert_eq!(others.left_out, ["subtitles, because clips are joined"]);
        assert_eq!(OtherStreams::of_joined(&[&both, &one], mkv, false).sounds, [0]);
        assert_eq!(OtherStreams::of_joined(&[&both, &both], mkv, true).sounds, [0]);
    }
}
