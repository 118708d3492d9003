//! The application with which macOS opens a file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::table::{self, Known};
use super::{Moment, Plan};

/// Asks the system for the application; the file is an argument of the script, never part of it.
const WHICH: &str = "ObjC.import('AppKit');
function run(argv) {
  const url = $.NSWorkspace.sharedWorkspace.URLForApplicationToOpenURL($.NSURL.fileURLWithPath(argv[0]));
  return url.isNil() ? '' : url.path.js;
}";

/// QuickTime Player takes no flags. AppleScript controls it, with file and time as arguments.
const QUICKTIME: &str = "on run argv
  tell application \"QuickTime Player\"
    activate
    set video to open (POSIX file (item 1 of argv))
    set current time of video to ((item 2 of argv) as number) / 1000
    play video
  end tell
end run";

/// Plans the default application; `None` if it cannot start at a time, in which case `open` starts it.
pub(super) fn default_player(moment: Moment<'_>) -> Option<Plan> {
    let at_ms = moment.at_ms()?;
    let output = Command::new("/usr/bin/osascript")
        .args(["-l", "JavaScript", "-e", WHICH])
        .arg(moment.file)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let bundle = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end_matches('\n'));
    let name = bundle.file_stem()?.to_str()?.to_owned();
    let plan = |program: PathBuf, arguments: Vec<OsString>| Plan {
        player: name.clone(),
        program,
        arguments,
        is_told_time: true,
        folder: None,
    };
    if name == "QuickTime Player" {
        let arguments = vec!["-e".into(), QUICKTIME.into(), moment.file.into(), at_ms.to_string().into()];
        return Some(plan(PathBuf::from("/usr/bin/osascript"), arguments));
    }
    let program = match name.as_str() {
        "IINA" => "iina-cli",
        "VLC" => "VLC",
        "mpv" => "mpv",
        _ => return None,
    };
    let known = Known::by_program(Path::new(&program.to_lowercase()))?;
    // VLC for macOS cannot choose between instances, and rejects flags that it does not know.
    let forms = known.before_file.iter().filter(|form| **form != "--no-one-instance");
    let mut arguments: Vec<OsString> = forms.map(|form| table::filled(form, at_ms)).collect();
    arguments.push(moment.file.into());
    Some(plan(bundle.join("Contents/MacOS").join(program), arguments))
}
