//! Decoded frames that are kept for later, by reference. Nothing is copied, and the decoder's buffer is free again when the last reference
//! is dropped.

#![expect(unsafe_code, reason = "ffmpeg-next's clone of a frame copies its pixels")]

use ffmpeg_next::ffi;
use ffmpeg_next::frame::Video;

/// Rows of the brightness plane that sharpness is measured on.
const ROWS: usize = 4;
/// Columns, from the middle. They are limited because every frame of a moving picture is measured.
const COLUMNS: usize = 1024;

/// A reference to a decoded frame, which stays unchanged.
pub(crate) struct FrameRef(Video);

impl FrameRef {
    /// Keeps a frame; `None` if memory is exhausted.
    pub(crate) fn of(frame: &Video) -> Option<Self> {
        let mut kept = Video::empty();
        // SAFETY: both are live AVFrames, and the new one is empty. It gets its own references. Nothing writes to its planes, because
        // decoders replace or copy buffers that others refer to.
        let code = unsafe { ffi::av_frame_ref(kept.as_mut_ptr(), frame.as_ptr()) };
        (code >= 0).then_some(Self(kept))
    }

    pub(crate) fn frame(&self) -> &Video {
        &self.0
    }

    /// Returns the size of the buffers that the reference keeps in use.
    pub(crate) fn bytes(&self) -> usize {
        // SAFETY: the frame is live, and each entry is null or a live buffer.
        unsafe {
            let buffers = (*self.0.as_ptr()).buf;
            buffers.iter().filter_map(|buffer| buffer.as_ref()).map(|buffer| buffer.size).sum()
        }
    }
}

/// Measures how sharp a frame is, for comparison only with its neighbours in time. The value is proportional to the mean square of the
/// differences between adjacent pixels, on a few rows of the brightness plane. Motion blur shows at full size and is gone in a glimpse.
/// Returns `None` if the pixels are not plain numbers.
pub(crate) fn sharpness(frame: &Video) -> Option<u32> {
    let step = plain_step(frame)?;
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    // Rows are compared two apart, because the next row of an interlaced picture is another moment.
    if height < 2 * ROWS || width < 16 {
        return None;
    }
    let n_columns = width.min(COLUMNS);
    let left = (width - n_columns) / 2 * step;
    let (rows, stride) = (frame.data(0), frame.stride(0));
    let mut total = 0;
    for row in 0..ROWS {
        let y = (2 * row + 1) * height / (2 * ROWS);
        let y = y.min(height - 3);
        let line = rows.get(y * stride + left..)?.get(..n_columns * step)?;
        let below = rows.get((y + 2) * stride + left..)?.get(..n_columns * step)?;
        total += if step == 1 {
            squares(line, &line[1..]) + squares(line, below)
        } else {
            wide_squares(line, &line[2..]) + wide_squares(line, below)
        };
    }
    u32::try_from(total / (ROWS * n_columns / 16) as u64).ok()
}

fn squares(a: &[u8], b: &[u8]) -> u64 {
    const LANES: usize = 16;
    // Sums of such pieces fit 32 bits, which vector instructions add faster.
    let piece = |(a, b): (&[u8], &[u8])| -> u32 {
        let mut sums = [0_u32; LANES];
        for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                let difference = u16::from(a[lane].abs_diff(b[lane]));
                sums[lane] += u32::from(difference * difference);
            }
        }
        sums.iter().sum()
    };
    a.chunks(4096).zip(b.chunks(4096)).map(piece).map(u64::from).sum()
}

/// As [`squares`], for 9 to 16 bits, little endian.
fn wide_squares(a: &[u8], b: &[u8]) -> u64 {
    let pairs = a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0);
    pairs
        .map(|(a, b)| u64::from(u16::from_le_bytes(*a).abs_diff(u16::from_le_bytes(*b))).pow(2))
        .sum()
}

/// Returns the bytes from one brightness value to the next in the first plane, if the plane holds nothing else.
fn plain_step(frame: &Video) -> Option<usize> {
    // SAFETY: `frame` is live; a descriptor is static or null.
    let (descriptor, stride) = unsafe {
        (
            ffi::av_pix_fmt_desc_get(frame.format().into()).as_ref()?,
            (*frame.as_ptr()).linesize[0],
        )
    };
    let odd = ffi::AV_PIX_FMT_FLAG_PAL | ffi::AV_PIX_FMT_FLAG_BITSTREAM | ffi::AV_PIX_FMT_FLAG_BE | ffi::AV_PIX_FMT_FLAG_HWACCEL;
    let first = descriptor.comp[0];
    if stride <= 0 || descriptor.flags & u64::from(odd.unsigned_abs()) != 0 {
        return None;
    }
    match (first.step, first.depth) {
        (1, 8) => Some(1),
        (2, 9..=16) => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
