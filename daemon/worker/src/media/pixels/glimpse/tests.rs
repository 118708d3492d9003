use super::*;
use ffmpeg_next::format::Pixel;

const FORMATS: [Pixel; 16] = [
    Pixel::YUV420P,
    Pixel::YUV422P,
    Pixel::YUV444P,
    Pixel::YUV410P,
    Pixel::YUV411P,
    Pixel::YUV440P,
    Pixel::YUVJ420P,
    Pixel::YUVA420P,
    Pixel::NV12,
    Pixel::NV21,
    Pixel::P010LE,
    Pixel::YUV420P10LE,
    Pixel::YUV422P12LE,
    Pixel::YUV444P16LE,
    Pixel::GRAY8,
    Pixel::GRAY10LE,
];

/// Makes a picture of smooth gradients in any format. libswscale, which knows all of them, converts it from RGB.
fn slopes(format: Pixel, width: u32, height: u32) -> Video {
    let mut rgb = Video::new(Pixel::RGB24, width, height);
    let stride = rgb.stride(0);
    for (y, row) in rgb.data_mut(0).chunks_mut(stride).take(height as usize).enumerate() {
        for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().take(width as usize).enumerate() {
            let (across, down) = (x as u32 * 255 / width, y as u32 * 255 / height);
            *pixel = [across as u8, down as u8, (255 - across / 2 - down / 2) as u8];
        }
    }
    let mut converted = Video::empty();
    let flags = ffmpeg_next::software::scaling::Flags::ACCURATE_RND | ffmpeg_next::software::scaling::Flags::BILINEAR;
    ffmpeg_next::software::scaling::Context::get(Pixel::RGB24, width, height, format, width, height, flags)
        .unwrap()
        .run(&rgb, &mut converted)
        .unwrap();
    // libswscale writes BT.601 by default.
    converted.set_color_space(ffmpeg_next::color::Space::BT470BG);
    converted
}

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn every_planar_format_is_read_straight_and_gives_what_swscale_gives() {
    for format in FORMATS {
        for (width, height) in [(1920, 1080), (1280, 720), (640, 480), (320, 240), (500, 900), (2600, 300)] {
            let frame = slopes(format, width, height);
            let (mut straight, mut slow) = (Glimpse::default(), Glimpse::default());
            let mut glimpser = Glimpser::new();
            assert!(glimpser.shrink_planes(&frame, &mut straight).is_some(), "{format:?}");
            glimpser.slow.shrink(&frame, &mut slow).unwrap();
            let luma = largest_difference(&straight.luma, &slow.luma);
            let blue = largest_difference(&straight.blue, &slow.blue);
            let red = largest_difference(&straight.red, &slow.red);
            assert!(
                luma <= 4 && blue <= 6 && red <= 6,
                "{format:?} {width}×{height}: {luma} {blue} {red}"
            );
        }
    }
}

#[test]
fn a_change_of_size_or_format_is_noticed() {
    let mut glimpser = Glimpser::new();
    for (format, width, height) in [
        (Pixel::YUV420P, 640, 480),
        (Pixel::YUV420P10LE, 640, 480),
        (Pixel::RGB24, 640, 480),
        (Pixel::YUV420P, 320, 480),
        (Pixel::NV12, 320, 480),
        (Pixel::YUV420P, 1920, 1080),
    ] {
        let frame = slopes(format, width, height);
        let (mut glimpse, mut expected) = (Glimpse::default(), Glimpse::default());
        glimpser.shrink(&frame, &mut glimpse).unwrap();
        Glimpser::new().shrink(&frame, &mut expected).unwrap();
        assert!(glimpse == expected, "{format:?} {width}×{height}");
    }
}

#[test]
fn tiny_pictures_are_enlarged() {
    for (width, height) in [(1, 1), (2, 2), (3, 50), (70, 3)] {
        let mut frame = Video::new(Pixel::YUV420P, width, height);
        for (plane, value) in [(0, 235), (1, 16), (2, 240)] {
            frame.data_mut(plane).fill(value);
        }
        let mut glimpse = Glimpse::default();
        assert!(Glimpser::new().shrink_planes(&frame, &mut glimpse).is_some());
        assert!(glimpse.luma.iter().all(|value| *value == 255), "{width}×{height}");
        assert!(
            glimpse.blue.iter().all(|value| *value <= 1),
            "{width}×{height}: {}",
            glimpse.blue[0]
        );
        assert!(glimpse.red.iter().all(|value| *value == 255), "{width}×{height}");
    }
}

#[test]
fn formats_without_such_planes_go_through_swscale() {
    for format in [Pixel::RGB24, Pixel::GBRP, Pixel::YUYV422, Pixel::YUV420P10BE, Pixel::BGRA] {
        let frame = slopes(format, 640, 480);
        let mut glimpse = Glimpse::default();
        assert!(Glimpser::new().shrink_planes(&frame, &mut glimpse).is_none(), "{format:?}");
        Glimpser::new().shrink(&frame, &mut glimpse).unwrap();
        let mut expected = Glimpse::default();
        Glimpser::new().shrink(&slopes(Pixel::YUV444P, 640, 480), &mut expected).unwrap();
        assert!(largest_difference(&glimpse.luma, &expected.luma) <= 4, "{format:?}");
    }
}
