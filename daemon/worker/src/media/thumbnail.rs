//! Small JPEGs: of scenes, to look at, and of frames, to be embedded by another model some day.

use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, QuantizationTableType, SamplingFactor};
use scened::media::keyframes::SHORTER_SIDE_PX;

/// Of thumbnails.
const QUALITY: u8 = 82;
/// Of keyframe pictures: the cosine of a network trained on photographs between a picture so compressed and the frame is 0.98 in the
/// mean (`tests/compare/keyframes.py`), and an hour of film, with its 1,775 frames, takes 12 MB.
const KEYFRAME_QUALITY: u8 = 66;
/// Of those of small films, which models see enlarged, and which cost little; their colours are kept whole, too.
const SMALL_KEYFRAME_QUALITY: u8 = 88;

/// A picture at thumbnail size. **Shape**: `rgb` is `[height, width, 3]` u8 without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Small {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) rgb: Vec<u8>,
}

impl Small {
    /// Encodes the picture as JPEG; `None` when it cannot be, which costs a thumbnail and nothing else.
    pub(crate) fn to_jpeg(&self) -> Option<Vec<u8>> {
        let mut jpeg = Vec::new();
        self.encode(Encoder::new(&mut jpeg, QUALITY))?;
        Some(jpeg)
    }

    /// Encodes the picture as one that is kept for other models; `None` when it cannot be.
    pub(crate) fn to_keyframe(&self) -> Option<Vec<u8>> {
        let mut jpeg = Vec::new();
        let (quality, sampling) = if self.width.min(self.height) < SHORTER_SIDE_PX * 3 / 4 {
            (SMALL_KEYFRAME_QUALITY, SamplingFactor::F_1_1)
        } else {
            (KEYFRAME_QUALITY, SamplingFactor::F_2_2)
        };
        let mut encoder = Encoder::new(&mut jpeg, quality);
        encoder.set_quantization_tables(QuantizationTableType::CustomPsnrHvs, QuantizationTableType::CustomPsnrHvs);
        encoder.set_sampling_factor(sampling);
        // The mean of the four pixels, which is what a decoder takes it for.
        encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
        encoder.set_optimized_huffman_tables(true);
        self.encode(encoder)?;
        Some(jpeg)
    }

    fn encode(&self, encoder: Encoder<&mut Vec<u8>>) -> Option<()> {
        let (width, height) = (u16::try_from(self.width).ok()?, u16::try_from(self.height).ok()?);
        encoder.encode(&self.rgb, width, height, ColorType::Rgb).ok()
    }
}
