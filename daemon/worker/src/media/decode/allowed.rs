//! Which of FFmpeg's containers and codecs a video may use.
//!
//! FFmpeg reads some 350 formats and decodes some 350 kinds of pictures, most of them for files that nobody has, and its worst bugs
//! live there. Allowed is what cameras, phones, discs, broadcasters, editors and the web have made in numbers; the configuration can
//! add to it. Sound, subtitles and attachments are never decoded, so that no decoder of theirs is here.

#![expect(
    unsafe_code,
    reason = "ffmpeg-next cannot look formats up by name, nor tell a format from its first bytes"
)]

use std::ffi::{CStr, CString};

use ffmpeg_next::{Codec, codec, decoder, ffi};
use scened_common::media::extras::Extras;

/// Demuxers of videos. Playlists (HLS, DASH, concat) are not here: they open other files.
const FORMATS: &[&str] = &[
    "mov",
    "matroska",
    "avi",
    "flv",
    "mpegts",
    "mpeg",
    "mpegvideo",
    "asf",
    "ogg",
    "dv",
    "mxf",
    "ivf",
    "h264",
    "hevc",
    "av1",
    "obu",
    "m4v",
    "gif",
    "apng",
];

/// Demuxers of the pictures that may be asked about besides.
const PICTURE_FORMATS: &[&str] = &[
    "png_pipe",
    "jpeg_pipe",
    "webp_pipe",
    "bmp_pipe",
    "tiff_pipe",
    "gif_pipe",
    "jpegxl_pipe",
    "jpegxl_anim",
    "j2k_pipe",
    "pgm_pipe",
    "ppm_pipe",
    "pbm_pipe",
    "qoi_pipe",
];

/// Decoders of videos. Of several for one codec the first that this FFmpeg has is taken.
const CODECS: &[&str] = &[
    "h264",
    "libopenh264",
    "hevc",
    "libdav1d",
    "libaom-av1",
    "vp8",
    "libvpx",
    "vp9",
    "libvpx-vp9",
    "mpeg1video",
    "mpeg2video",
    "mpegvideo",
    "mpeg4",
    "msmpeg4v1",
    "msmpeg4v2",
    "msmpeg4",
    "wmv1",
    "wmv2",
    "wmv3",
    "vc1",
    "h263",
    "h263p",
    "flv",
    "vp6",
    "vp6a",
    "vp6f",
    "theora",
    "mjpeg",
    "prores",
    "dnxhd",
    "dvvideo",
    "ffv1",
    "huffyuv",
    "ffvhuff",
    "jpeg2000",
    "libopenjpeg",
    "svq1",
    "svq3",
    "qtrle",
    "rawvideo",
    "png",
    "apng",
    "gif",
];

/// Decoders of pictures besides.
const PICTURE_CODECS: &[&str] = &["webp", "bmp", "tiff", "libjxl", "jpegxl", "pgm", "ppm", "pbm", "qoi"];

/// Demuxers that open what a file names: no sandbox lets them, and nobody may ask for them.
const OPENING_FORMATS: &[&str] = &["hls", "dash", "concat", "sdp", "rtsp", "rtp", "sap", "imf", "webm_dash_manifest"];

/// What one request may read.
#[derive(Clone)]
pub(crate) struct Allowed {
    formats: Vec<String>,
    codecs: Vec<Codec>,
}

impl Allowed {
    /// For a video.
    pub(crate) fn videos(extras: &Extras) -> Self {
        Self::new(FORMATS, CODECS, extras)
    }

    /// For a video or a picture that is asked about.
    pub(crate) fn pictures(extras: &Extras) -> Self {
        Self::new(&[FORMATS, PICTURE_FORMATS].concat(), &[CODECS, PICTURE_CODECS].concat(), extras)
    }

    fn new(formats: &[&str], codecs: &[&str], extras: &Extras) -> Self {
        let extra_formats = extras.formats.iter().map(String::as_str).filter(|name| check_format(name).is_ok());
        let extra_codecs = extras.codecs.iter().map(String::as_str);
        Self {
            formats: formats.iter().copied().chain(extra_formats).map(str::to_owned).collect(),
            codecs: codecs.iter().copied().chain(extra_codecs).filter_map(find_decoder).collect(),
        }
    }

    /// For FFmpeg's option `format_whitelist`.
    pub(crate) fn format_list(&self) -> String {
        self.formats.join(",")
    }

    /// For FFmpeg's option `codec_whitelist`: also while it finds out what streams there are, it opens no other decoder.
    pub(crate) fn codec_list(&self) -> String {
        self.codecs.iter().map(Codec::name).collect::<Vec<_>>().join(",")
    }

    /// The decoder for a codec.
    pub(crate) fn decoder(&self, id: codec::Id) -> Option<Codec> {
        self.codecs.iter().copied().find(|codec| codec.id() == id)
    }

    /// The decoder of that name.
    pub(crate) fn named(&self, name: &str) -> Option<Codec> {
        self.codecs.iter().copied().find(|codec| codec.name() == name)
    }

    /// Why there is no decoder for a codec, in words for the user.
    pub(crate) fn why_not(id: codec::Id) -> String {
        let Some(codec) = decoder::find(id) else {
            return format!("this FFmpeg has no decoder for the codec {}", id.name());
        };
        format!(
            "its codec {} is not decoded, because rare decoders are a risk; to allow it, set extra-codecs = [{:?}] in config.toml",
            id.name(),
            codec.name()
        )
    }

    /// Why a file that begins so is not read, when its format is the reason.
    pub(crate) fn why_not_format(&self, head: &[u8]) -> Option<String> {
        let names = format_of(head)?;
        if names.split(',').any(|name| self.formats.iter().any(|allowed| allowed == name)) {
            return None;
        }
        let name = names.split(',').next().unwrap_or_default();
        if check_format(name).is_err() {
            return Some(format!(
                "its format ({name}) is not supported: scened reads no playlists, and opens no file that one names"
            ));
        }
        Some(format!(
            "its format {name} is not read, because rare formats are a risk; to allow it, set extra-formats = [{name:?}] in config.toml"
        ))
    }
}

/// Says how many formats and codecs a video may use, or what is wrong with the names that a user added.
pub(crate) fn describe(extras: &Extras) -> Result<String, String> {
    let mut wrong = Vec::new();
    for name in &extras.formats {
        if let Err(reason) = check_format(name) {
            wrong.push(format!("extra-formats: {reason}"));
        }
    }
    for name in &extras.codecs {
        if find_decoder(name).is_none() {
            wrong.push(format!(
                "extra-codecs: this FFmpeg has no decoder of pictures named {name:?} (ffmpeg -decoders lists them)"
            ));
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    let allowed = Allowed::videos(extras);
    Ok(format!("formats {}; codecs {}", allowed.format_list(), allowed.codec_list()))
}

fn find_decoder(name: &str) -> Option<Codec> {
    decoder::find_by_name(name).filter(|codec| codec.is_decoder() && codec.is_video())
}

/// Whether a video may be of this format if the user wants it so.
fn check_format(name: &str) -> Result<(), String> {
    let unknown = || format!("this FFmpeg knows no format named {name:?} (ffmpeg -demuxers lists them)");
    let text = CString::new(name).map_err(|_| unknown())?;
    // SAFETY: the text ends with NUL; the answer is static or null.
    let format = unsafe { ffi::av_find_input_format(text.as_ptr()).as_ref() }.ok_or_else(unknown)?;
    if format.flags & ffi::AVFMT_NOFILE != 0 || OPENING_FORMATS.contains(&name) {
        return Err(format!(
            "{name:?} is a playlist or a device, which opens other files; scened reads neither"
        ));
    }
    Ok(())
}

/// What FFmpeg takes a file for that begins so: the names of a format.
fn format_of(head: &[u8]) -> Option<String> {
    let mut padded = head.to_vec();
    padded.resize(head.len() + ffi::AVPROBE_PADDING_SIZE as usize, 0);
    let data = ffi::AVProbeData {
        filename: c"".as_ptr(),
        buf: padded.as_mut_ptr(),
        buf_size: i32::try_from(head.len()).ok()?,
        mime_type: std::ptr::null(),
    };
    // SAFETY: the buffer has the padding that is asked for and outlives the call; the answer is static or null.
    unsafe {
        let format = ffi::av_probe_input_format(&raw const data, 1).as_ref()?;
        Some(CStr::from_ptr(format.name).to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extras(formats: &[&str], codecs: &[&str]) -> Extras {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Extras {
            formats: owned(formats),
            codecs: owned(codecs),
        }
    }

    #[test]
    fn only_what_is_named_is_added() {
        let plain = Allowed::videos(&Extras::default());
        assert!(plain.decoder(codec::Id::H264).is_some());
        for id in [
            codec::Id::MAGICYUV,
            codec::Id::UTVIDEO,
            codec::Id::AAC,
            codec::Id::ASS,
            codec::Id::WEBP,
        ] {
            assert!(plain.decoder(id).is_none(), "{id:?}");
        }
        let wide = Allowed::videos(&extras(&["nut"], &["magicyuv", "aac"]));
        assert!(wide.decoder(codec::Id::MAGICYUV).is_some());
        assert!(wide.decoder(codec::Id::UTVIDEO).is_none());
        assert!(wide.decoder(codec::Id::AAC).is_none(), "sound is not decoded, whoever wants it");
        assert!(wide.format_list().ends_with(",nut"));
        assert!(Allowed::pictures(&Extras::default()).decoder(codec::Id::WEBP).is_some());
    }

    #[test]
    fn names_that_ffmpeg_does_not_have_are_told() {
        assert!(describe(&Extras::default()).unwrap().contains("matroska"));
        describe(&extras(&["nut", "mp4"], &["magicyuv"])).unwrap();
        for (formats, codecs, says) in [
            (&["matrjoschka"][..], &[][..], "knows no format named \"matrjoschka\""),
            (&["hls"], &[], "opens other files"),
            (&["concat"], &[], "opens other files"),
            (&["image2"], &[], "opens other files"),
            (&[], &["magicyuw"], "no decoder of pictures named \"magicyuw\""),
            (&[], &["aac"], "no decoder of pictures named \"aac\""),
        ] {
            let reason = describe(&extras(formats, codecs)).unwrap_err();
            assert!(reason.contains(says), "{reason}");
        }
        assert!(!Allowed::videos(&extras(&["hls"], &[])).format_list().contains("hls"));
    }

    #[test]
    fn every_decoder_of_the_list_but_those_of_other_builds_is_one() {
        for name in CODECS.iter().chain(PICTURE_CODECS) {
            let other_builds = name.starts_with("lib") || *name == "jpegxl";
            assert!(other_builds || find_decoder(name).is_some(), "{name}");
        }
    }
}
