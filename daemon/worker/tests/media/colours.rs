//! Properties that change the meaning of a picture's numbers: matrices, Dolby Vision, primaries.

use super::*;

type Rgb = [f64; 3];
type Matrix = [[f64; 3]; 3];

const FIELDS: [Rgb; 4] = [[0.9, 0.05, 0.05], [0.05, 0.8, 0.05], [0.05, 0.05, 0.9], [0.5, 0.5, 0.5]];

fn times(matrix: &Matrix, value: Rgb) -> Rgb {
    matrix.map(|row| row.iter().zip(value).map(|(a, b)| a * b).sum())
}

/// The inverse transfer function of SMPTE ST 2084, from nits.
fn pq(nits: f64) -> f64 {
    let y = (nits.max(0.0) / 10_000.0).min(1.0).powf(2610.0 / 16384.0);
    ((3424.0 / 4096.0 + 2413.0 / 128.0 * y) / (1.0 + 2392.0 / 128.0 * y)).powf(2523.0 / 32.0)
}

/// Converts a colour of sRGB to light of BT.2020 in nits; white has 203.
fn wide_light(srgb: Rgb) -> Rgb {
    let light = srgb.map(|value| {
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055_f64).powf(2.4)
        }
    });
    let wide: Matrix = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]];
    times(&wide, light).map(|light| 203.0 * light)
}

/// Converts a colour of sRGB to I, P and T as Dolby Vision stores them, 0 to 1.
fn ipt(srgb: Rgb) -> Rgb {
    const C: f64 = 0.02;
    let xyz: Matrix = [
        [0.636_958, 0.144_616_9, 0.168_881],
        [0.262_700_2, 0.677_998_1, 0.059_301_7],
        [0.0, 0.028_072_7, 1.060_985_1],
    ];
    let lms: Matrix = [[0.40024, 0.70760, -0.08081], [-0.22630, 1.16532, 0.04570], [0.0, 0.0, 0.91822]];
    let crosstalk: Matrix = [[1.0 - 2.0 * C, C, C], [C, 1.0 - 2.0 * C, C], [C, C, 1.0 - 2.0 * C]];
    let ipt: Matrix = [[0.4, 0.4, 0.2], [4.4550, -4.8510, 0.3960], [0.8056, 0.3572, -1.1628]];
    let light = times(&crosstalk, times(&lms, times(&xyz, wide_light(srgb))));
    let [i, p, t] = times(&ipt, light.map(pq));
    [i, p / 2.0 + 0.5, t / 2.0 + 0.5]
}

/// Converts a colour of sRGB to ICtCp with PQ, 0 to 1.
fn ictcp(srgb: Rgb) -> Rgb {
    let lms: Matrix = [
        [1688.0 / 4096.0, 2146.0 / 4096.0, 262.0 / 4096.0],
        [683.0 / 4096.0, 2951.0 / 4096.0, 462.0 / 4096.0],
        [99.0 / 4096.0, 309.0 / 4096.0, 3688.0 / 4096.0],
    ];
    let ictcp: Matrix = [
        [0.5, 0.5, 0.0],
        [6610.0 / 4096.0, -13613.0 / 4096.0, 7003.0 / 4096.0],
        [17933.0 / 4096.0, -17390.0 / 4096.0, -543.0 / 4096.0],
    ];
    let [i, ct, cp] = times(&ictcp, times(&lms, wide_light(srgb)).map(pq));
    [i, ct + 0.5, cp + 0.5]
}

fn ycgco([r, g, b]: Rgb) -> Rgb {
    [
        r / 4.0 + g / 2.0 + b / 4.0,
        -r / 4.0 + g / 2.0 - b / 4.0 + 0.5,
        r / 2.0 - b / 2.0 + 0.5,
    ]
}

/// Writes a second of each field as raw video, 10 bits at full range, and returns the input arguments for ffmpeg.
fn raw(folder: &Path, stored: impl Fn(Rgb) -> Rgb) -> String {
    let (width, height) = (320, 240);
    let mut raw = Vec::new();
    for field in FIELDS {
        let codes = stored(field).map(|value| ((value * 1023.0).round().clamp(0.0, 1023.0) as u16).to_le_bytes());
        let mut frame = codes[0].repeat(width * height);
        frame.extend(codes[1].repeat(width * height / 4));
        frame.extend(codes[2].repeat(width * height / 4));
        raw.extend(frame.repeat(25));
    }
    let path = folder.join("raw");
    std::fs::write(&path, raw).unwrap();
    format!(
        "-f rawvideo -pix_fmt yuv420p10le -s {width}x{height} -r 25 -color_range pc -i {}",
        path.display()
    )
}

/// Checks the colour of each field. The tolerance allows for the model seeing them a little darker.
fn check_fields(path: &Path) {
    for (number, field) in FIELDS.into_iter().enumerate() {
        let frame = picture(path, Some(number as u64 * 1000 + 500)).unwrap();
        let found = colour(&frame, 1, 1);
        let near = found
            .iter()
            .zip(field)
            .all(|(found, value)| (f64::from(*found) - value * 255.0).abs() < 45.0);
        assert!(near, "field {number} of {} is {found:?}", path.display());
    }
}

/// Adds a box with the configuration of Dolby Vision to the sample entry.
fn mark_as_dolby_vision(path: &Path, profile: u8, compatible: u8) {
    let mut bytes = std::fs::read(path).unwrap();
    let mut configuration = vec![0, 0, 0, 32];
    configuration.extend(b"dvcC");
    configuration.extend([1, 0, profile << 1, 3 << 3 | 0b101, compatible << 4]);
    configuration.resize(32, 0);
    let find = |bytes: &[u8], name: &[u8], from: usize| from + bytes[from..].windows(4).position(|here| here == name).unwrap() - 4;
    let moov = bytes.windows(4).rposition(|here| here == b"moov").unwrap() - 4;
    let mut at = moov;
    let mut boxes = vec![moov];
    for name in [&b"trak"[..], b"mdia", b"minf", b"stbl", b"stsd", b"hvc1"] {
        at = find(&bytes, name, at);
        boxes.push(at);
    }
    let size = |bytes: &[u8], at: usize| u32::from_be_bytes(*bytes[at..].first_chunk().unwrap());
    let end = at + size(&bytes, at) as usize;
    for at in boxes {
        let grown = size(&bytes, at) + 32;
        bytes[at..at + 4].copy_from_slice(&grown.to_be_bytes());
    }
    bytes.splice(end..end, configuration);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn dolby_vision_that_no_other_player_can_show_has_its_own_colours() {
    let folder = tempfile::tempdir().unwrap();
    let x265 = "-c:v libx265 -preset ultrafast -x265-params log-level=error:range=full:crf=8 -color_range pc -tag:v hvc1";
    let path = video(folder.path(), "dv5.mp4", &format!("{} {x265}", raw(folder.path(), ipt)));
    mark_as_dolby_vision(&path, 5, 0);
    check_fields(&path);
    for name in ["dv5.mkv", "dv5.ts"] {
        let arguments = format!("-i {} -c copy -strict unofficial", path.display());
        let remuxed = video(folder.path(), name, &arguments);
        // FFmpeg 5.1 writes no descriptor of Dolby Vision into a transport stream.
        if name != "dv5.ts" {
            check_fields(&remuxed);
        }
    }
}

#[test]
fn dolby_vision_on_hdr10_is_shown_as_hdr10_even_where_only_its_box_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let bt2020 = |srgb: Rgb| {
        let [r, g, b] = wide_light(srgb).map(pq);
        let y = 0.2627 * r + 0.6780 * g + 0.0593 * b;
        [y, (b - y) / 1.8814 + 0.5, (r - y) / 1.4746 + 0.5]
    };
    let x265 =
        "-c:v libx265 -preset ultrafast -x265-params log-level=error:range=full:crf=8:colormatrix=bt2020nc -color_range pc -tag:v hvc1";
    let path = video(folder.path(), "dv8.mp4", &format!("{} {x265}", raw(folder.path(), bt2020)));
    mark_as_dolby_vision(&path, 8, 1);
    check_fields(&path);
}

#[test]
fn ictcp_and_ycgco_have_their_own_colours() {
    let folder = tempfile::tempdir().unwrap();
    let ictcp = video(
        folder.path(),
        "ictcp.mkv",
        &format!(
            "{} -c:v ffv1 -color_range pc -colorspace ictcp -color_trc smpte2084 -color_primaries bt2020",
            raw(folder.path(), ictcp)
        ),
    );
    check_fields(&ictcp);
    let ycgco = video(
        folder.path(),
        "ycgco.mkv",
        &format!("{} -c:v ffv1 -color_range pc -colorspace ycgco", raw(folder.path(), ycgco)),
    );
    check_fields(&ycgco);
}

#[test]
fn videos_for_two_eyes_show_what_one_of_them_sees() {
    let folder = tempfile::tempdir().unwrap();
    // Each eye sees red beside blue, or red above blue.
    let beside = |size: &str, half: u32| {
        format!(
            "-f lavfi -i color=blue:s={size}:r=25:d=1 -vf drawbox=0:0:{half}:ih:red:fill,drawbox={}:0:{half}:ih:red:fill -pix_fmt yuv420p",
            2 * half
        )
    };
    let above = "-f lavfi -i color=blue:s=320x240:r=25:d=1 -vf drawbox=0:0:iw:60:red:fill,drawbox=0:120:iw:60:red:fill -pix_fmt yuv420p";
    for (name, arguments, size, red, blue) in [
        (
            "sei.mp4",
            format!("{} -c:v libx264 -x264-params frame-packing=3", beside("320x240", 80)),
            (96, 72),
            (1, 1),
            (2, 1),
        ),
        (
            "box.mkv",
            format!("{} -c:v ffv1 -metadata:s:v:0 stereo_mode=left_right", beside("640x160", 160)),
            (96, 48),
            (1, 1),
            (2, 1),
        ),
        (
            "sei.mkv",
            format!("{above} -c:v libx264 -x264-params frame-packing=4"),
            (96, 72),
            (1, 1),
            (1, 2),
        ),
    ] {
        let path = video(folder.path(), name, &arguments);
        for threads in [1, 2] {
            let request = AnalyseRequest {
                detector: Detector::Shot,
                threads,
                ..request()
            };
            let told = analyse_with(&worker(), &path, &request).unwrap();
            assert_eq!(jpeg_size(&told.scenes[0].thumbnail), size, "{name}");
            assert_colour(&told.scenes[0].frames[0], red, RED);
            assert_colour(&told.scenes[0].frames[0], blue, BLUE);
        }
    }
}

#[test]
fn hdr_in_red_green_and_blue_is_mapped_as_hdr_in_planes_is() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<u8> = FIELDS
        .into_iter()
        .flat_map(|field| {
            let [r, g, b] = wide_light(field).map(|nits| ((pq(nits) * 255.0).round() as u8).to_le_bytes()[0]);
            [r, g, b].repeat(64 * 64 * 25)
        })
        .collect();
    let raw = folder.path().join("rgb");
    std::fs::write(&raw, values).unwrap();
    let path = video(
        folder.path(),
        "rgb.mkv",
        &format!(
            "-f rawvideo -pix_fmt rgb24 -s 64x64 -r 25 -i {} -c:v ffv1 -pix_fmt bgr0 -color_trc smpte2084 -color_primaries bt2020",
            raw.display()
        ),
    );
    check_fields(&path);
}
