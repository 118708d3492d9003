use ffmpeg_next::format::Pixel;

use super::*;

/// Returns stripes of a width, with `depth` bits.
fn stripes(format: Pixel, width_px: usize, depth: u32) -> Video {
    let mut frame = Video::new(format, 640, 360);
    let (stride, rows) = (frame.stride(0), frame.data_mut(0));
    let step = if depth > 8 { 2 } else { 1 };
    for row in rows.chunks_mut(stride) {
        for (x, bytes) in row.chunks_exact_mut(step).enumerate() {
            // The narrower the ramps, the steeper: the same picture, less or more blurred.
            let ramp = (x % 32).min(32 - x % 32).min(width_px) * 200 / width_px;
            let value = (ramp as u16) << (depth - 8);
            bytes.copy_from_slice(&value.to_le_bytes()[..step]);
        }
    }
    frame
}

#[test]
fn a_kept_frame_shares_its_pixels_and_outlives_the_decoders_reference() {
    let mut frame = stripes(Pixel::YUV420P, 3, 8);
    let kept = FrameRef::of(&frame).unwrap();
    assert_eq!(kept.frame().data(0).as_ptr(), frame.data(0).as_ptr(), "nothing is copied");
    assert!(kept.bytes() >= 640 * 360 * 3 / 2, "{}", kept.bytes());
    let before = kept.frame().data(0).to_vec();
    // As a decoder releases its frame.
    // SAFETY: the frame is live.
    unsafe { ffi::av_frame_unref(frame.as_mut_ptr()) };
    drop(frame);
    assert_eq!(kept.frame().data(0), before);
    assert_eq!((kept.frame().width(), kept.frame().height()), (640, 360));
}

#[test]
fn blur_of_a_few_pixels_is_seen_though_a_glimpse_would_not_show_it() {
    for (format, depth) in [(Pixel::YUV420P, 8), (Pixel::NV12, 8), (Pixel::YUV420P10LE, 10), (Pixel::P010LE, 16)] {
        let (sharp, soft) = (sharpness(&stripes(format, 1, depth)), sharpness(&stripes(format, 4, depth)));
        assert!(
            soft > Some(0) && sharp > soft.map(|soft| soft * 2),
            "{format:?}: {sharp:?}, {soft:?}"
        );
    }
}

#[test]
fn pixels_that_are_no_plain_numbers_are_left_to_the_glimpse() {
    for format in [Pixel::RGB24, Pixel::PAL8, Pixel::MonoBlack, Pixel::YUV420P10BE, Pixel::YUYV422] {
        assert_eq!(sharpness(&Video::new(format, 640, 360)), None, "{format:?}");
    }
    assert_eq!(sharpness(&Video::new(Pixel::YUV420P, 640, 2)), None);
}
