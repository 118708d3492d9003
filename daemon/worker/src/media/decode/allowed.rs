//! Which of FFmpeg's containers and codecs a video may use.
//!
//! FFmpeg reads some 350 formats and decodes some 350 kinds of pictures. Most of these serve files that hardly exist, and they hold its
//! worst bugs. The formats and codecs allowed here are those that cameras, phones, discs, broadcasters, editors and the web have produced
//! in quantity. The configuration can add more. Sound, subtitles and attachments are never decoded, so their decoders are not listed.

#![expect(
    unsafe_code,
    reason = "ffmpeg-next cannot look formats up by name, nor tell a format from its first bytes"
)]

use std::ffi::{CStr, CString};

use ffmpeg_next::{Codec, codec, decoder, ffi};
use scened_common::media::extras::Extras;

/// Demuxers of videos. Playlists (HLS, DASH, concat) are left out: they open other files.
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

/// Additional demuxers, for pictures used as queries.
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

/// Decoders of videos. If several decode the same codec, the first one that this FFmpeg has is used.
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

/// Additional decoders, for pictures.
const PICTURE_CODECS: &[&str] = &["webp", "bmp", "tiff", "libjxl", "jpegxl", "pgm", "ppm", "pbm", "qoi"];

/// Demuxers that open the files named in a file. No sandbox permits this, and the configuration cannot add them.
const OPENING_FORMATS: &[&str] = &["hls", "dash", "concat", "sdp", "rtsp", "rtp", "sap", "imf", "webm_dash_manifest"];

/// The formats and codecs that one request may read.
#[derive(Clone)]
pub(crate) struct Allowed {
    formats: Vec<String>,
    codecs: Vec<Codec>,
}

impl Allowed {
    /// Returns what is allowed for a video.
    pub(crate) fn videos(extras: &Extras) -> Self {
        Self::new(FORMATS, CODECS, extras)
    }

    /// Returns what is allowed for a video or a picture used as a query.
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

    /// Returns the value of FFmpeg's option `format_whitelist`.
    pub(crate) fn format_list(&self) -> String {
        self.formats.join(",")
    }

    /// Returns the value of FFmpeg's option `codec_whitelist`. With it FFmpeg opens no other decoder even while it finds out what streams
    /// there are.
    pub(crate) fn codec_list(&self) -> String {
        self.codecs.iter().map(Codec::name).collect::<Vec<_>>().join(",")
    }

    /// Returns the decoder for a codec.
    pub(crate) fn decoder(&self, id: codec::Id) -> Option<Codec> {
        self.codecs.iter().copied().find(|codec| codec.id() == id)
    }

    /// Returns the decoder of that name.
    pub(crate) fn named(&self, name: &str) -> Option<Codec> {
        self.codecs.iter().copied().find(|codec| codec.name() == name)
    }

    /// Explains why there is no decoder for a codec, in words for the user.
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

    /// Explains why a file with this beginning is not read, if its format is the reason.
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

/// Lists the formats and codecs that a video may use.
///
/// **Errors**: what is wrong with the names that a user added.
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

/// Checks whether the user may allow this format for videos.
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

/// Returns the names of the format that FFmpeg recognises in the beginning of a file.
fn format_of(head: &[u8]) -> Option<String> {
    let mut padded = head.to_vec();
    padded.resize(head.len() + ffi::AVPROBE_PADDING_SIZE as usize, 0);
    let data = ffi::AVProbeData {
        filename: c"".as_ptr(),
        buf: padded.as_mut_ptr(),
        buf_size: i32::try_from(head.len()).ok()?,
        mime_type: std::ptr::null(),
    };
    // SAFETY: the buffer has the required padding and outlives the call; the answer is static or null.
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
