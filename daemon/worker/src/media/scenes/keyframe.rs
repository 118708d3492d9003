//! Keyframe pictures: whole frames, stored small for embedding by another model later.
//!
//! They are WebP if this FFmpeg can write it, otherwise JPEG. WebP takes a third less than JPEG for the same similarity. FFmpeg's own
//! decoders read both.

use ffmpeg_next::codec::context::Context;
use ffmpeg_next::encoder::{self, Video as VideoEncoder};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Dictionary, Packet, Rational};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder as JpegEncoder, QuantizationTableType, SamplingFactor};
use scened_common::media::keyframe_file::SHORTER_SIDE_PX;

use super::thumbnail::Small;

/// WebP quality. The cosine similarity between a compressed picture and the frame is 0.98 on average, for a network trained on photographs
/// (`tests/compare/keyframes.py`).
const QUALITY: u8 = 80;
/// JPEG quality with the same similarity.
const JPEG_QUALITY: u8 = 66;
/// Quality for small videos, which models see enlarged and which cost little.
const SMALL_QUALITY: u8 = 92;

/// Compresses the pictures of one video, most of which have the same size.
#[derive(Default)]
pub(crate) struct Compressor {
    webp: Option<Webp>,
    /// Whether WebP has failed once, most likely because this FFmpeg cannot write it.
    only_jpeg: bool,
    n_compressed: i64,
}

struct Webp {
    size: (u32, u32),
    encoder: VideoEncoder,
    frame: Video,
}

impl Compressor {
    /// Compresses a picture; `None` if that fails, which costs only a decoding later.
    pub(crate) fn compress(&mut self, picture: &Small) -> Option<Vec<u8>> {
        if !self.only_jpeg {
            match self.webp(picture) {
                Ok(webp) => return Some(webp),
                Err(error) => {
                    tracing::debug!(%error, "this FFmpeg writes no WebP; keyframe pictures are JPEGs");
                    self.only_jpeg = true;
                }
            }
        }
        jpeg(picture)
    }

    fn webp(&mut self, picture: &Small) -> Result<Vec<u8>, ffmpeg_next::Error> {
        let size = (picture.width, picture.height);
        let webp = match self.webp.take() {
            Some(webp) if webp.size == size => webp,
            _ => Webp::new(size)?,
        };
        let webp = self.webp.insert(webp);
        self.n_compressed += 1;
        webp.frame.set_pts(Some(self.n_compressed));
        let stride = webp.frame.stride(0);
        let lines = picture.rgb.chunks_exact(picture.width as usize * 3);
        for (to, line) in webp.frame.data_mut(0).chunks_exact_mut(stride).zip(lines) {
            for (to, [red, green, blue]) in to.as_chunks_mut::<4>().0.iter_mut().zip(line.as_chunks::<3>().0) {
                *to = [*blue, *green, *red, u8::MAX];
            }
        }
        webp.encoder.send_frame(&webp.frame)?;
        let mut packet = Packet::empty();
        webp.encoder.receive_packet(&mut packet)?;
        packet.data().map(<[u8]>::to_vec).ok_or(ffmpeg_next::Error::InvalidData)
    }
}

impl Webp {
    fn new(size: (u32, u32)) -> Result<Self, ffmpeg_next::Error> {
        let codec = encoder::find_by_name("libwebp").ok_or(ffmpeg_next::Error::EncoderNotFound)?;
        let mut context = Context::new_with_codec(codec).encoder().video()?;
        context.set_width(size.0);
        context.set_height(size.1);
        context.set_format(Pixel::BGRA);
        context.set_time_base(Rational(1, 25));
        let quality = quality(size, QUALITY);
        let mut options = Dictionary::new();
        options.set("quality", &quality.to_string());
        options.set("compression_level", "4");
        Ok(Self {
            size,
            encoder: context.open_with(options)?,
            frame: Video::new(Pixel::BGRA, size.0, size.1),
        })
    }
}

fn quality((width, height): (u32, u32), usual: u8) -> u8 {
    if width.min(height) < SHORTER_SIDE_PX * 3 / 4 {
        SMALL_QUALITY
    } else {
        usual
    }
}

fn jpeg(picture: &Small) -> Option<Vec<u8>> {
    let (width, height) = (u16::try_from(picture.width).ok()?, u16::try_from(picture.height).ok()?);
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new(&mut jpeg, quality((picture.width, picture.height), JPEG_QUALITY));
    encoder.set_quantization_tables(QuantizationTableType::CustomPsnrHvs, QuantizationTableType::CustomPsnrHvs);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    // The mean of the four pixels, which is also what a decoder assumes.
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder.set_optimized_huffman_tables(true);
    encoder.encode(&picture.rgb, width, height, ColorType::Rgb).ok()?;
    Some(jpeg)
}

#[cfg(test)]
mod tests {
    use super::super::replay::Pictures;
    use super::*;
    use scened_common::domain::{ImageSpec, Resample, ResizeMode};

    fn waves(width: u32, height: u32) -> Small {
        let value = |x: u32, y: u32| {
            let wave = |phase: f64| ((f64::from(x) / 9.0 + phase).sin() * (f64::from(y) / 13.0).cos() * 110.0 + 128.0) as u8;
            [wave(0.0), wave(0.7), wave(1.4)]
        };
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| value(x, y))).collect();
        Small { width, height, rgb }
    }

    fn difference(picture: &Small, compressed: &[u8]) -> f64 {
        let image = ImageSpec {
            width_px: picture.width,
            height_px: picture.height,
            shortest_side_px: picture.height,
            resize: ResizeMode::Squash,
            resample: Resample::Bicubic,
        };
        let read = Pictures::new(image).unwrap().model(compressed).unwrap();
        assert_eq!(read.len(), picture.rgb.len());
        let total: u64 = read.iter().zip(&picture.rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        total as f64 / read.len() as f64
    }

    #[test]
    fn pictures_of_any_size_are_read_again_almost_as_they_were() {
        ffmpeg_next::init().unwrap();
        let mut compressor = Compressor::default();
        for (width, height) in [(398, 224), (398, 224), (224, 398), (97, 33), (1, 1)] {
            let picture = waves(width, height);
            let compressed = compressor.compress(&picture).unwrap();
            assert!(compressed.starts_with(b"RIFF"), "FFmpeg of this machine writes WebP");
            let lost = difference(&picture, &compressed);
            assert!(lost < 3.0, "{width}×{height}: {lost}");
            let lost = difference(&picture, &jpeg(&picture).unwrap());
            assert!(lost < 3.0, "{width}×{height} as JPEG: {lost}");
        }
    }

    #[test]
    fn without_webp_pictures_are_jpegs() {
        let mut compressor = Compressor {
            only_jpeg: true,
            ..Compressor::default()
        };
        let compressed = compressor.compress(&waves(398, 224)).unwrap();
        assert!(compressed.starts_with(&[0xff, 0xd8, 0xff]));
    }
}
