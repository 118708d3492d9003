//! What the numbers of a frame mean as colours: matrix, range, transfer and primaries, as the frame says or as players guess.

#![expect(unsafe_code, reason = "ffmpeg-next turns values of a newer FFmpeg into enums, which is undefined")]

use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;

/// How brightness and colour differences make red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
    Fcc,
    Smpte240m,
}

/// How values become light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// Made for the screens everyone has.
    Sdr,
    /// SMPTE ST 2084, absolute light.
    Pq,
    /// Hybrid log-gamma, ARIB STD-B67.
    Hlg,
}

/// The colours of a frame of planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour {
    pub(crate) matrix: Matrix,
    pub(crate) is_full_range: bool,
    pub(crate) transfer: Transfer,
    /// Its red, green and blue are those of BT.2020.
    pub(crate) is_wide_gamut: bool,
}

impl Matrix {
    /// The matrix a player uses. Where the film says nothing, players take BT.709 for HD and BT.601 for smaller pictures.
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
        // SAFETY: `frame` is a live AVFrame; the field is read as the plain number it is.
        let space = unsafe { (&raw const (*frame.as_ptr()).colorspace).cast::<i32>().read() };
        match space {
            BT709 => Self::Bt709,
            FCC => Self::Fcc,
            BT470BG | SMPTE170M => Self::Bt601,
            SMPTE240M => Self::Smpte240m,
            BT2020_NCL | BT2020_CL => Self::Bt2020,
            _ if frame.width() >= 1280 || frame.height() > 576 => Self::Bt709,
            _ => Self::Bt601,
        }
    }

    /// The parts of red and blue in the brightness; green has the rest.
    pub(crate) fn weights(self) -> (f32, f32) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
            Self::Fcc => (0.30, 0.11),
            Self::Smpte240m => (0.212, 0.087),
        }
    }
}

impl Colour {
    pub(crate) fn of(frame: &Video) -> Self {
        const PQ: i32 = ffi::AVColorTransferCharacteristic::AVCOL_TRC_SMPTE2084 as i32;
        const HLG: i32 = ffi::AVColorTransferCharacteristic::AVCOL_TRC_ARIB_STD_B67 as i32;
        const BT2020: i32 = ffi::AVColorPrimaries::AVCOL_PRI_BT2020 as i32;
        const UNSAID: i32 = ffi::AVColorPrimaries::AVCOL_PRI_UNSPECIFIED as i32;
        // SAFETY: as in `Matrix::of`.
        let (transfer, primaries) = unsafe {
            let frame = frame.as_ptr();
            (
                (&raw const (*frame).color_trc).cast::<i32>().read(),
                (&raw const (*frame).color_primaries).cast::<i32>().read(),
            )
        };
        let transfer = match transfer {
            PQ => Transfer::Pq,
            HLG => Transfer::Hlg,
            _ => Transfer::Sdr,
        };
        Self {
            matrix: Matrix::of(frame),
            is_full_range: is_full_range(frame),
            transfer,
            is_wide_gamut: primaries == BT2020 || primaries == UNSAID && transfer != Transfer::Sdr,
        }
    }
}

/// Whether samples use all values, black being 0.
pub(crate) fn is_full_range(frame: &Video) -> bool {
    // SAFETY: as in `Matrix::of`.
    let range = unsafe { (&raw const (*frame.as_ptr()).color_range).cast::<i32>().read() };
    is_full_range_format(frame.format()) || range == ffi::AVColorRange::AVCOL_RANGE_JPEG as i32
}

/// Whether the format itself says so.
pub(crate) fn is_full_range_format(format: Pixel) -> bool {
    matches!(
        format,
        Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P | Pixel::YUVJ411P
    )
}
