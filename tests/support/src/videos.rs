//! Small videos with exactly known content, made by the `ffmpeg` command at test time.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Runs ffmpeg quietly, overwriting its output.
pub fn ffmpeg<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
        .args(arguments);
    let output = command.output().expect("the ffmpeg command is installed (make setup)");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs [`ffmpeg`] with a line of words and an output file.
pub fn ffmpeg_line(words: &str, output: &Path) {
    ffmpeg(words.split_ascii_whitespace().map(OsStr::new).chain([output.as_os_str()]));
}

/// Makes a video of plain colours with hard cuts. Each part is a colour name of ffmpeg and a length in seconds. 160×120, 25 frames per
/// second, H.264.
pub fn colours(path: &Path, parts: &[(&str, f64)]) {
    let mut command: Vec<String> = Vec::new();
    for (colour, seconds) in parts {
        command.extend([
            "-f".into(),
            "lavfi".into(),
            "-i".into(),
            format!("color=c={colour}:s=160x120:r=25:d={seconds}"),
        ]);
    }
    let inputs = (0..parts.len()).map(|index| format!("[{index}:v]")).collect::<Vec<_>>().concat();
    command.extend(["-filter_complex".into(), format!("{inputs}concat=n={}:v=1:a=0", parts.len())]);
    command.extend([
        "-c:v".into(),
        "libx264".into(),
        "-preset".into(),
        "ultrafast".into(),
        "-threads".into(),
        "1".into(),
        "-pix_fmt".into(),
        "yuv420p".into(),
        "-f".into(),
        "mp4".into(),
    ]);
    let mut arguments: Vec<&OsStr> = command.iter().map(OsStr::new).collect();
    arguments.push(path.as_os_str());
    ffmpeg(arguments);
}

/// Makes a picture of one colour, in the format of the extension.
pub fn picture(path: &Path, colour: &str) {
    ffmpeg_line(&format!("-f lavfi -i color=c={colour}:s=160x120:d=1 -frames:v 1"), path);
}
