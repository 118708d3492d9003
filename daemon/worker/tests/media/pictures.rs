//! Pictures as a player shows them: HDR, transparency, interlacing, times of edited videos, and the choice of decoder.

use super::*;

/// Makes a video of one colour from raw samples of each plane.
fn plain(folder: &Path, name: &str, format: &str, samples: &[u8], arguments: &str) -> PathBuf {
    let raw = folder.join("raw");
    std::fs::write(&raw, samples.repeat(10)).unwrap();
    let input = format!("-f rawvideo -pix_fmt {format} -s 64x64 -r 10 -i {}", raw.display());
    video(folder, name, &format!("{input} {arguments}"))
}

fn wide(values: [u16; 3]) -> Vec<u8> {
    let [luma, blue, red] = values.map(u16::to_le_bytes);
    [luma.repeat(64 * 64), blue.repeat(32 * 32), red.repeat(32 * 32)].concat()
}

#[test]
fn hdr_looks_as_on_a_common_screen() {
    let folder = tempfile::tempdir().unwrap();
    let tags = "-colorspace bt2020nc -color_primaries bt2020 -color_range tv";
    // Paper white is 58 % of PQ and 75 % of HLG (BT.2408). Both are the same light; read as SDR they would be 148 and 191.
    for (transfer, luma) in [("smpte2084", 64 + 508), ("arib-std-b67", 64 + 657)] {
        let arguments = format!("-c:v libx265 -x265-params log-level=0 {tags} -color_trc {transfer}");
        let path = plain(
            folder.path(),
            &format!("{transfer}.mp4"),
            "yuv420p10le",
            &wide([luma, 512, 512]),
            &arguments,
        );
        let frame = &analyse(&path).unwrap().scenes[0].frames[0];
        let [r, g, b] = [frame.rgb[0], frame.rgb[1], frame.rgb[2]];
        assert!((222..=236).contains(&g), "{transfer}: {r} {g} {b}");
        assert!(r.abs_diff(g) <= 3 && b.abs_diff(g) <= 3, "{transfer}: {r} {g} {b}");
    }
}

#[test]
fn transparent_pixels_are_black() {
    let folder = tempfile::tempdir().unwrap();
    let source = "-f lavfi -i color=red:s=64x64:r=10:d=1,format=rgba,geq=r=255:g=0:b=0:a=if(lt(X\\,32)\\,255\\,0)";
    for (name, arguments) in [
        ("a.webm", "-c:v libvpx-vp9 -pix_fmt yuva420p -auto-alt-ref 0"),
        ("a8.webm", "-c:v libvpx -pix_fmt yuva420p -auto-alt-ref 0"),
        ("a.mov", "-c:v qtrle -pix_fmt argb"),
        ("a.mkv", "-c:v ffv1 -pix_fmt yuva444p"),
        ("a.apng", "-c:v apng -pix_fmt rgba -f apng"),
    ] {
        let told = analyse(&video(folder.path(), name, &format!("{source} {arguments}"))).unwrap();
        let frame = &told.scenes[0].frames[0];
        assert_colour(frame, (0, 1), RED);
        assert_colour(frame, (3, 1), [0, 0, 0]);
    }
}

#[test]
fn red_green_and_blue_stay_what_they_are_at_every_size() {
    let folder = tempfile::tempdir().unwrap();
    // Above 576 lines players assume BT.709 for the planes of other videos; here there is no matrix at all.
    for size in ["320x180", "1920x1080"] {
        for (name, arguments) in [
            ("a.png", "-frames:v 1"),
            ("a.bmp", "-frames:v 1"),
            ("a.gif", "-vf split[a][b];[a]palettegen[p];[b][p]paletteuse"),
            ("alpha.png", "-frames:v 1 -pix_fmt rgba"),
            ("a.mkv", "-c:v libx264rgb -qp 0"),
            ("a.mov", "-c:v qtrle"),
        ] {
            let source = format!("-f lavfi -i color=0xdc1e1e:s={size}:r=10:d=0.5,format=rgb24 {arguments}");
            let frame = picture(&video(folder.path(), name, &source), None).unwrap();
            let colour = [frame.rgb[0], frame.rgb[1], frame.rgb[2]];
            let off = colour.iter().zip([0xdc, 0x1e, 0x1e]).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(off <= 2, "{size} {name}: {colour:?}");
        }
    }
}

#[test]
fn of_two_fields_one_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    // Every frame has a red field, shown first, and a blue one. Together they would be purple.
    let path = video(
        folder.path(),
        "tff.mkv",
        "-f lavfi -i color=red:s=256x256:r=10:d=1 -f lavfi -i color=blue:s=256x256:r=10:d=1 \
         -filter_complex [0]format=yuv422p,crop=256:128[a];[1]format=yuv422p,crop=256:128[b];[a][b]vstack,il=l=i:c=i,setfield=tff \
         -c:v mpeg2video -flags +ildct+ilme -top 1 -q:v 1 -pix_fmt yuv422p",
    );
    let frame = &analyse(&path).unwrap().scenes[0].frames[0];
    assert_colour(frame, (1, 1), RED);
}

#[test]
fn an_edit_list_that_skips_the_beginning_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = video(folder.path(), "whole.mp4", &format!("{RED_BLUE} -c:v libx264 -g 100 -bf 2"));
    // A copy that starts inside a GOP keeps the frames before the start and hides them with an edit list.
    let cut = video(folder.path(), "cut.mp4", &format!("-ss 1.4 -i {} -c copy", whole.display()));
    let told = analyse(&cut).unwrap();
    assert_eq!(told.cuts_ms(), [600]);
    assert_eq!(told.analysis.duration_ms, 2600);
    assert_eq!(told.analysis.n_frames, 65);
}

#[test]
fn software_decodes_where_no_graphics_card_does_and_the_reason_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.mp4", RED_BLUE);
    assert_eq!(analyse(&path).unwrap().analysis.decoder, "software");
    // No machine has all of these, so at least one must fall back.
    for hardware in [Hardware::Vaapi, Hardware::Cuda, Hardware::Videotoolbox, Hardware::Auto] {
        let asked = AnalyseRequest { hardware, ..request() };
        let told = analyse_with(&worker(), &path, &asked).unwrap();
        assert_eq!(told.cuts_ms(), [2000], "{hardware:?}");
        let decoder = &told.analysis.decoder;
        let fell_back = decoder.starts_with("software (") && decoder.len() > "software (vaapi: )".len();
        assert!(
            fell_back || ["vaapi", "cuda", "videotoolbox"].contains(&decoder.as_str()),
            "{hardware:?}: {decoder}"
        );
        assert!(
            hardware != Hardware::Videotoolbox || fell_back || cfg!(target_os = "macos"),
            "{decoder}"
        );
    }
}
