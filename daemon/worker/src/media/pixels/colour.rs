//! Finds the colours that a frame's samples mean: matrix, range, transfer and primaries, as the frame states them or as players guess.

#![expect(unsafe_code, reason = "ffmpeg-next turns values of a newer FFmpeg into enums, which is undefined")]

use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;

/// How luma and chroma make red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
    Fcc,
    Smpte240m,
    /// Luma, and the distances of green and orange from it.
    Ycgco,
    /// ICtCp of BT.2100, which makes L, M and S.
    Ictcp,
}

/// A 3 × 3 matrix, in rows.
pub(crate) type Matrix3 = [[f32; 3]; 3];

/// Returns the matrix that applies `second` first, then `first`.
pub(crate) fn product(first: &Matrix3, second: &Matrix3) -> Matrix3 {
    first.map(|row| std::array::from_fn(|column| (0..3).map(|at| row[at] * second[at][column]).sum()))
}

/// How sample values become light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// Standard dynamic range, for common screens.
    Sdr,
    /// SMPTE ST 2084: absolute light.
    Pq,
    /// Hybrid log-gamma, ARIB STD-B67.
    Hlg,
    /// Values are linear light already.
    Linear,
}

/// The colours of a planar frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour {
    pub(crate) matrix: Matrix,
    pub(crate) is_full_range: bool,
    pub(crate) transfer: Transfer,
    pub(crate) gamut: Gamut,
}

/// The primaries: which red, green and blue are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gamut {
    /// Those of common screens: BT.709 and similar ones.
    Common,
    Bt2020,
    /// P3, used by cinemas and by current screens.
    P3,
}

impl Gamut {
    /// Returns the matrix that converts linear light of this gamut to BT.709; `None` if it already is.
    ///
    /// **Source**: ITU-R BT.2087; P3 with the white of D65 from the chromaticities of SMPTE RP 431-2.
    pub(crate) fn to_common(self) -> Option<Matrix3> {
        match self {
            Self::Common => None,
            Self::Bt2020 => Some([
                [1.660_491, -0.587_641, -0.072_85],
                [-0.124_550, 1.132_9, -0.008_349],
                [-0.018_151, -0.100_579, 1.118_73],
            ]),
            Self::P3 => Some([
                [1.224_940_2, -0.224_940_2, 0.0],
                [-0.042_056_95, 1.042_057, 0.0],
                [-0.019_637_55, -0.078_636_05, 1.098_273_6],
            ]),
        }
    }
}

impl Matrix {
    /// Returns the matrix that a player uses. If the video states none, players take BT.709 for HD and BT.601 for smaller pictures.
    ///
    /// **Source**: mpv `mp_image_params_guess_csp` (width ≥ 1280 or height > 576).
    pub(crate) fn of(frame: &Video) -> Self {
        use ffi::AVColorSpace as Space;
        const BT709: i32 = Space::AVCOL_SPC_BT709 as i32;
        const FCC: i32 = Space::AVCOL_SPC_FCC as i32;
        const BT470BG: i32 = Space::AVCOL_SPC_BT470BG as i32;
        const SMPTE170M: i32 = Space::AVCOL_SPC_SMPTE170M as i32;
        const SMPTE240M: i32 = Space::AVCOL_SPC_SMPTE240M as i32;
        const BT2020_NCL: i32 = Space::AVCOL_SPC_BT2020_NCL as i32;
        const BT2020_CL: i32 = Space::AVCOL_SPC_BT2020_CL as i32;
        const YCGCO: i32 = Space::AVCOL_SPC_YCGCO as i32;
        const ICTCP: i32 = Space::AVCOL_SPC_ICTCP as i32;
        const CHROMA_DERIVED_NCL: i32 = Space::AVCOL_SPC_CHROMA_DERIVED_NCL as i32;
        const CHROMA_DERIVED_CL: i32 = Space::AVCOL_SPC_CHROMA_DERIVED_CL as i32;
        // SAFETY: `frame` is a live AVFrame; the field is read as a plain number.
        let space = unsafe { (&raw const (*frame.as_ptr()).colorspace).cast::<i32>().read() };
        match space {
            BT709 => Self::Bt709,
            FCC => Self::Fcc,
            BT470BG | SMPTE170M => Self::Bt601,
            SMPTE240M => Self::Smpte240m,
            YCGCO => Self::Ycgco,
            ICTCP => Self::Ictcp,
            CHROMA_DERIVED_NCL | CHROMA_DERIVED_CL => Self::of_primaries(primaries(frame)),
            BT2020_NCL | BT2020_CL => Self::Bt2020,
            _ if frame.width() >= 1280 || frame.height() > 576 => Self::Bt709,
            _ => Self::Bt601,
        }
    }

    /// Returns the matrix derived from the primaries, or the nearest one with a name.
    fn of_primaries(primaries: i32) -> Self {
        use ffi::AVColorPrimaries as Primaries;
        const BT2020: i32 = Primaries::AVCOL_PRI_BT2020 as i32;
        const BT470M: i32 = Primaries::AVCOL_PRI_BT470M as i32;
        const SMPTE170M: i32 = Primaries::AVCOL_PRI_SMPTE170M as i32;
        const SMPTE240M: i32 = Primaries::AVCOL_PRI_SMPTE240M as i32;
        match primaries {
            BT2020 => Self::Bt2020,
            BT470M => Self::Bt601,
            SMPTE170M | SMPTE240M => Self::Smpte240m,
            _ => Self::Bt709,
        }
    }

    /// Returns the rows that make red, green and blue (or L, M and S) from luma and the first and second chroma component.
    pub(crate) fn rows(self, transfer: Transfer) -> Matrix3 {
        match (self, transfer) {
            (Self::Ycgco, _) => [[1.0, -1.0, 1.0], [1.0, 1.0, 0.0], [1.0, -1.0, -1.0]],
            // **Source**: ITU-R BT.2100-2, table 7, inverted.
            (Self::Ictcp, Transfer::Hlg) => [
                [1.0, 0.015_718_58, 0.209_581_07],
                [1.0, -0.015_718_58, -0.209_581_07],
                [1.0, 1.021_271_1, -0.605_274_5],
            ],
            (Self::Ictcp, _) => [
                [1.0, 0.008_609_037, 0.111_029_625],
                [1.0, -0.008_609_037, -0.111_029_625],
                [1.0, 0.560_031_36, -0.320_627_17],
            ],
            _ => {
                let (red, blue) = self.weights();
                let green = 1.0 - red - blue;
                let (from_red, from_blue) = (2.0 * (1.0 - red), 2.0 * (1.0 - blue));
                [
                    [1.0, 0.0, from_red],
                    [1.0, -from_blue * blue / green, -from_red * red / green],
                    [1.0, from_blue, 0.0],
                ]
            }
        }
    }

    /// Returns the matrix that converts linear L, M and S to linear BT.2020; `None` if this matrix makes red, green and blue already.
    ///
    /// **Source**: ITU-R BT.2100-2, table 7, inverted.
    pub(crate) fn lms_to_bt2020(self) -> Option<Matrix3> {
        (self == Self::Ictcp).then_some([
            [3.436_606_7, -2.506_452, 0.069_845_42],
            [-0.791_329_56, 1.983_600_5, -0.192_270_9],
            [-0.025_949_9, -0.098_913_71, 1.124_863_6],
        ])
    }

    /// Returns the weights of red and blue in luma; green has the rest.
    fn weights(self) -> (f32, f32) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 | Self::Ictcp => (0.2627, 0.0593),
            Self::Fcc => (0.30, 0.11),
            Self::Ycgco => (0.25, 0.25),
            Self::Smpte240m => (0.212, 0.087),
        }
    }
}

impl Colour {
    /// Reads the colours of a frame. `fallback`: the transfer of a frame that states none.
    pub(crate) fn of(frame: &Video, fallback: Option<Transfer>) -> Self {
        const PQ: i32 = ffi::AVColorTransferCharacteristic::AVCOL_TRC_SMPTE2084 as i32;
        const HLG: i32 = ffi::AVColorTransferCharacteristic::AVCOL_TRC_ARIB_STD_B67 as i32;
        const LINEAR: i32 = ffi::AVColorTransferCharacteristic::AVCOL_TRC_LINEAR as i32;
        const UNSAID_TRANSFER: i32 = ffi::AVColorTransferCharacteristic::AVCOL_TRC_UNSPECIFIED as i32;
        const BT2020: i32 = ffi::AVColorPrimaries::AVCOL_PRI_BT2020 as i32;
        const DCI_P3: i32 = ffi::AVColorPrimaries::AVCOL_PRI_SMPTE431 as i32;
        const DISPLAY_P3: i32 = ffi::AVColorPrimaries::AVCOL_PRI_SMPTE432 as i32;
        const UNSAID: i32 = ffi::AVColorPrimaries::AVCOL_PRI_UNSPECIFIED as i32;
        // SAFETY: as in `Matrix::of`.
        let transfer = unsafe { (&raw const (*frame.as_ptr()).color_trc).cast::<i32>().read() };
        let transfer = match transfer {
            PQ => Transfer::Pq,
            HLG => Transfer::Hlg,
            LINEAR => Transfer::Linear,
            UNSAID_TRANSFER => fallback.unwrap_or(Transfer::Sdr),
            _ => Transfer::Sdr,
        };
        Self {
            matrix: Matrix::of(frame),
            is_full_range: is_full_range(frame),
            transfer,
            gamut: match primaries(frame) {
                BT2020 => Gamut::Bt2020,
                DCI_P3 | DISPLAY_P3 => Gamut::P3,
                UNSAID if matches!(transfer, Transfer::Pq | Transfer::Hlg) => Gamut::Bt2020,
                _ => Gamut::Common,
            },
        }
    }

    /// Returns whether a common screen shows the values correctly without conversion.
    pub(crate) fn is_common(self) -> bool {
        self.transfer == Transfer::Sdr && self.gamut == Gamut::Common
    }
}

fn primaries(frame: &Video) -> i32 {
    // SAFETY: as in `Matrix::of`.
    unsafe { (&raw const (*frame.as_ptr()).color_primaries).cast::<i32>().read() }
}

/// Returns whether samples use the full range of values, with black at 0.
pub(crate) fn is_full_range(frame: &Video) -> bool {
    // SAFETY: as in `Matrix::of`.
    let range = unsafe { (&raw const (*frame.as_ptr()).color_range).cast::<i32>().read() };
    is_full_range_format(frame.format()) || range == ffi::AVColorRange::AVCOL_RANGE_JPEG as i32
}

/// Returns whether the pixel format itself implies full range.
pub(crate) fn is_full_range_format(format: Pixel) -> bool {
    matches!(
        format,
        Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P | Pixel::YUVJ411P
    )
}
