//! Dolby Vision pictures that only Dolby Vision players can show (profile 5 and similar): IPT with PQ, reshaped by curves that each frame
//! may bring.
//!
//! Videos of the other profiles have a picture that is HDR10, HLG or SDR by itself, and are shown as such.
//!
//! **Source**: ETSI GS CCM 001 (the metadata); FFmpeg's `dovi_meta.h` and `dovi_rpu.c` (their layout and scale); Ebner and Fairchild 1998
//! (IPT); libplacebo (the order of the steps, and that the LMS are those of Hunt, Pointer and Estevez).

#![expect(unsafe_code, reason = "ffmpeg-next does not show what FFmpeg says of Dolby Vision")]

use ffmpeg_next::codec::packet::side_data::Type as PacketSideData;
use ffmpeg_next::frame::{self, Video};
use ffmpeg_next::{Stream, ffi};

use super::colour::{Matrix3, product};

/// LMS to BT.2020, both linear.
const LMS_TO_BT2020: Matrix3 = [
    [3.064_418_8, -2.165_976_8, 0.101_558_18],
    [-0.656_121_1, 1.785_541_2, -0.129_437_5],
    [0.017_363_21, -0.047_251_54, 1.030_042_5],
];
/// Removes the crosstalk: each of L, M and S contains 2 % of the others.
const WITHOUT_CROSSTALK: Matrix3 = [
    [1.042_553_2, -0.021_276_6, -0.021_276_6],
    [-0.021_276_6, 1.042_553_2, -0.021_276_6],
    [-0.021_276_6, -0.021_276_6, 1.042_553_2],
];
/// IPT to LMS. P and T are stored at half their value.
const IPT_TO_LMS: Matrix3 = [
    [1.0, 2.0 * 0.097_568_9, 2.0 * 0.205_226],
    [1.0, 2.0 * -0.113_876_5, 2.0 * 0.133_217_2],
    [1.0, 2.0 * 0.032_615_1, 2.0 * -0.676_887_2],
];

/// A stream's Dolby Vision configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    profile: u8,
    /// Whether the stream has complete pictures, not only additions to those of another stream.
    pub(crate) has_base_layer: bool,
    /// The base layer's signal compatibility ID: how players without Dolby Vision may show the picture.
    compatible: u8,
}

impl Configuration {
    /// **Source**: FFmpeg's `AVDOVIDecoderConfigurationRecord`, eight numbers of one byte.
    pub(crate) fn of(stream: &Stream<'_>) -> Option<Self> {
        let data = stream.side_data().find(|data| data.kind() == PacketSideData::DOVI_CONF)?;
        let [_, _, profile, _, _, _, base, compatible, ..] = *data.data() else {
            return None;
        };
        Some(Self {
            profile,
            has_base_layer: base != 0,
            compatible,
        })
    }

    /// Returns whether the picture is IPT, which no player without Dolby Vision can show.
    pub(crate) fn is_ipt(self) -> bool {
        // Profiles up to 9 imply it; in later ones 0 means that nothing is compatible.
        self.profile == 5 || self.profile >= 10 && self.compatible == 0
    }

    /// Returns whether the picture is HDR10, if nothing else states it.
    pub(crate) fn is_hdr10(self) -> bool {
        matches!(self.compatible, 1 | 6)
    }

    /// Returns whether the picture is HLG, if nothing else states it.
    pub(crate) fn is_hlg(self) -> bool {
        self.compatible == 4
    }
}

/// The conversion of one frame's samples to light.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dovi {
    curves: [Curve; 3],
    offsets: [f32; 3],
    /// To LMS in PQ values.
    to_lms: Matrix3,
    /// From LMS to BT.2020, both linear.
    pub(crate) to_bt2020: Matrix3,
    /// The brightest light, as a PQ value.
    pub(crate) peak_pq: Option<f32>,
}

/// The inverse reshaping of one component, in pieces.
#[derive(Clone, Debug, Default, PartialEq)]
struct Curve {
    /// Where each piece ends.
    ends: Vec<f32>,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Polynomial([f32; 3]),
    /// Multivariate regression: a constant, and seven factors for each power of the three components.
    Regression {
        constant: f32,
        powers: Vec<[f32; 7]>,
    },
}

impl Default for Dovi {
    /// The conversion for frames without curves.
    fn default() -> Self {
        Self {
            curves: Default::default(),
            offsets: [0.0, 0.5, 0.5],
            to_lms: IPT_TO_LMS,
            to_bt2020: product(&LMS_TO_BT2020, &WITHOUT_CROSSTALK),
            peak_pq: None,
        }
    }
}

impl Dovi {
    /// Reads the frame's metadata, or takes the usual values.
    pub(crate) fn of(frame: &Video) -> Self {
        let said = frame.side_data(frame::side_data::Type::DOVI_METADATA);
        said.and_then(|data| Self::read(data.data())).unwrap_or_default()
    }

    /// Returns LMS in PQ values. `samples`: 0 to 1, as stored.
    pub(crate) fn lms(&self, samples: [f32; 3]) -> [f32; 3] {
        let samples = samples.map(|value| value.clamp(0.0, 1.0));
        let bent: [f32; 3] = std::array::from_fn(|component| {
            let value = self.curves[component].bend(samples[component], samples);
            value - self.offsets[component]
        });
        self.to_lms
            .map(|row| row.iter().zip(bent).map(|(factor, value)| factor * value).sum())
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        // SAFETY: the structures are plain numbers that may have any value, and `part` checks that they are within the bytes.
        let (header, mapping, colour) = unsafe {
            let offsets: Offsets = part(bytes, 0)?;
            (
                part::<Header>(bytes, offsets.header)?,
                part::<Mapping>(bytes, offsets.mapping)?,
                part::<Colour>(bytes, offsets.colour)?,
            )
        };
        let scale = 1.0 / 2_f32.powi(i32::from(header.coef_log2_denom.min(32)));
        let largest = 2_f32.powi(i32::from(header.bl_bit_depth.clamp(8, 16))) - 1.0;
        let [first, second, third] = &mapping.curves;
        let to_lms = matrix(&colour.ycc_to_rgb_matrix)?;
        let linear = matrix(&colour.rgb_to_lms_matrix)?;
        Some(Self {
            curves: [
                Curve::of(first, scale, largest)?,
                Curve::of(second, scale, largest)?,
                Curve::of(third, scale, largest)?,
            ],
            offsets: [
                fraction(colour.ycc_to_rgb_offset[0])?,
                fraction(colour.ycc_to_rgb_offset[1])?,
                fraction(colour.ycc_to_rgb_offset[2])?,
            ],
            to_lms,
            to_bt2020: product(&LMS_TO_BT2020, &linear),
            peak_pq: (colour.source_max_pq > 0).then(|| f32::from(colour.source_max_pq) / 4095.0),
        })
    }
}

impl Curve {
    fn of(raw: &RawCurve, scale: f32, largest: f32) -> Option<Self> {
        let n_pieces = usize::from(raw.num_pivots).checked_sub(1)?;
        let pivots = raw.pivots.get(1..=n_pieces)?;
        let number = |coefficient: i64| coefficient as f32 * scale;
        let piece = |at: usize| match raw.mapping_idc[at] {
            0 => {
                // FFmpeg does not write the coefficients above the order: they may be those of an earlier picture.
                let mut coefficients = raw.poly_coef[at].map(number);
                coefficients
                    .iter_mut()
                    .skip(usize::from(raw.poly_order[at]) + 1)
                    .for_each(|unused| *unused = 0.0);
                Piece::Polynomial(coefficients)
            }
            _ => Piece::Regression {
                constant: number(raw.mmr_constant[at]),
                powers: raw.mmr_coef[at][..usize::from(raw.mmr_order[at]).min(3)]
                    .iter()
                    .map(|factors| factors.map(number))
                    .collect(),
            },
        };
        Some(Self {
            ends: pivots.iter().map(|pivot| f32::from(*pivot) / largest).collect(),
            pieces: (0..n_pieces).map(piece).collect(),
        })
    }

    fn bend(&self, value: f32, all: [f32; 3]) -> f32 {
        let at = self.ends.iter().position(|end| value < *end);
        let Some(piece) = self.pieces.get(at.unwrap_or(self.pieces.len().saturating_sub(1))) else {
            return value;
        };
        let bent = match piece {
            Piece::Polynomial([c0, c1, c2]) => c0 + value * (c1 + value * c2),
            Piece::Regression { constant, powers } => {
                let [a, b, c] = all;
                let products = [a, b, c, a * b, a * c, b * c, a * b * c];
                let terms = powers.iter().zip(1..).map(|(factors, power)| -> f32 {
                    factors
                        .iter()
                        .zip(products)
                        .map(|(factor, product)| factor * product.powi(power))
                        .sum()
                });
                constant + terms.sum::<f32>()
            }
        };
        bent.clamp(0.0, 1.0)
    }
}

fn fraction(fraction: ffi::AVRational) -> Option<f32> {
    (fraction.den != 0).then(|| fraction.num as f32 / fraction.den as f32)
}

fn matrix(fractions: &[ffi::AVRational; 9]) -> Option<Matrix3> {
    let mut matrix = Matrix3::default();
    for (value, number) in matrix.as_flattened_mut().iter_mut().zip(fractions) {
        *value = fraction(*number)?;
    }
    (matrix != Matrix3::default()).then_some(matrix)
}

/// Reads a structure of plain numbers.
///
/// # Safety
/// `T` must be valid whatever its bytes are.
unsafe fn part<T: Copy>(bytes: &[u8], offset: usize) -> Option<T> {
    let bytes = bytes.get(offset..offset.checked_add(size_of::<T>())?)?;
    // SAFETY: the slice has that many bytes, and the caller guarantees that any bytes are valid.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// FFmpeg's `AVDOVIMetadata`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Offsets {
    header: usize,
    mapping: usize,
    colour: usize,
}

/// The beginning of FFmpeg's `AVDOVIRpuDataHeader`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    rpu_type: u8,
    rpu_format: u16,
    vdr_rpu_profile: u8,
    vdr_rpu_level: u8,
    chroma_resampling_explicit_filter_flag: u8,
    coef_data_type: u8,
    coef_log2_denom: u8,
    vdr_rpu_normalized_idc: u8,
    bl_video_full_range_flag: u8,
    bl_bit_depth: u8,
}

/// FFmpeg's `AVDOVIReshapingCurve`.
#[derive(Clone, Copy)]
#[repr(C)]
struct RawCurve {
    num_pivots: u8,
    pivots: [u16; 9],
    mapping_idc: [i32; 8],
    poly_order: [u8; 8],
    poly_coef: [[i64; 3]; 8],
    mmr_order: [u8; 8],
    mmr_constant: [i64; 8],
    mmr_coef: [[[i64; 7]; 3]; 8],
}

/// The beginning of FFmpeg's `AVDOVIDataMapping`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Mapping {
    vdr_rpu_id: u8,
    color_space: u8,
    chroma_format_idc: u8,
    curves: [RawCurve; 3],
}

/// FFmpeg's `AVDOVIColorMetadata`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Colour {
    dm_metadata_id: u8,
    scene_refresh_flag: u8,
    ycc_to_rgb_matrix: [ffi::AVRational; 9],
    ycc_to_rgb_offset: [ffi::AVRational; 3],
    rgb_to_lms_matrix: [ffi::AVRational; 9],
    signal_eotf: u16,
    signal_eotf_param0: u16,
    signal_eotf_param1: u16,
    signal_eotf_param2: u32,
    signal_bit_depth: u8,
    signal_color_space: u8,
    signal_chroma_format: u8,
    signal_full_range_flag: u8,
    source_min_pq: u16,
    source_max_pq: u16,
    source_diagonal: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ffi::AVRational = ffi::AVRational { num: 1, den: 1 };
    const NONE: ffi::AVRational = ffi::AVRational { num: 0, den: 1 };

    fn bytes_of<T>(value: &T) -> &[u8] {
        // SAFETY: the value is plain numbers; the padding bytes are zero, since the value was made of zeros.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
    }

    /// Returns the metadata that FFmpeg passes on for a frame. The first component is doubled below a quarter and unchanged above. The
    /// second one is the product of all three, the third is squared, and the matrices do nothing.
    fn metadata() -> Vec<u8> {
        // SAFETY: plain numbers may all be zero.
        let (mut header, mut mapping, mut colour): (Header, Mapping, Colour) = unsafe { std::mem::zeroed() };
        header.coef_log2_denom = 23;
        header.bl_bit_depth = 10;
        let one = 1 << 23;
        let [first, second, third] = &mut mapping.curves;
        first.num_pivots = 3;
        first.pivots = [0, 256, 1023, 0, 0, 0, 0, 0, 0];
        // The last coefficient is above the order of the curve, and must not count.
        first.poly_order = [1; 8];
        first.poly_coef[0] = [0, 2 * one, 7 * one];
        first.poly_coef[1] = [0, one, 7 * one];
        second.num_pivots = 2;
        second.pivots[1] = 1023;
        second.mapping_idc[0] = 1;
        second.mmr_order[0] = 1;
        second.mmr_coef[0][0][6] = one;
        third.num_pivots = 2;
        third.pivots[1] = 1023;
        third.poly_order[0] = 2;
        third.poly_coef[0] = [0, 0, one];
        for at in [0, 4, 8] {
            colour.ycc_to_rgb_matrix[at] = ONE;
            colour.rgb_to_lms_matrix[at] = ONE;
        }
        for at in [1, 2, 3, 5, 6, 7] {
            colour.ycc_to_rgb_matrix[at] = NONE;
            colour.rgb_to_lms_matrix[at] = NONE;
        }
        colour.ycc_to_rgb_offset = [NONE; 3];
        colour.source_max_pq = 3079;
        let at = size_of::<Offsets>();
        let offsets = Offsets {
            header: at,
            mapping: at + size_of::<Header>(),
            colour: at + size_of::<Header>() + size_of::<Mapping>(),
        };
        [bytes_of(&offsets), bytes_of(&header), bytes_of(&mapping), bytes_of(&colour)].concat()
    }

    #[test]
    fn the_curves_and_matrices_of_a_frame_are_followed() {
        let bytes = metadata();
        let dovi = Dovi::read(&bytes).unwrap();
        assert_eq!(dovi.to_bt2020, LMS_TO_BT2020);
        assert!((dovi.peak_pq.unwrap() - 0.7519).abs() < 0.001);
        for (samples, expected) in [([0.2, 0.5, 0.5], [0.4, 0.05, 0.25]), ([0.5, 0.5, 1.0], [0.5, 0.25, 1.0])] {
            let found = dovi.lms(samples);
            let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(near, "{samples:?} become {found:?}");
        }
        for n_bytes in 0..bytes.len() {
            assert_eq!(Dovi::read(&bytes[..n_bytes]), None, "{n_bytes} bytes");
        }
    }

    #[test]
    fn grey_without_curves_is_grey() {
        let dovi = Dovi::default();
        let [l, m, s] = dovi.lms([0.5, 0.5, 0.5]);
        assert!((l - 0.5).abs() < 1e-4 && (m - 0.5).abs() < 1e-4 && (s - 0.5).abs() < 1e-4);
        for row in dovi.to_bt2020 {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-3, "{row:?}");
        }
    }
}
