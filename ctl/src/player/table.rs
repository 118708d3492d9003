//! The table of players: how each one is made to start at a time.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use montage::quote;

use super::Moment;

/// A player, and its own way to start at a time. In an argument `{seconds}` is `12.345`, `{whole_seconds}` `12`, `{ms}` `12345`.
///
/// **Source**: each was tested with the real program (its release is given next to it). Those without a release follow their documentation.
#[derive(Debug)]
pub(super) struct Known {
    /// Names of the program, without `.exe`.
    pub(super) programs: &'static [&'static str],
    /// Names of its desktop file or bundle, without `.desktop` or `.app`, in case another program runs it (flatpak, snap).
    pub(super) desktop_ids: &'static [&'static str],
    pub(super) before_file: &'static [&'static str],
    pub(super) behind_file: &'static [&'static str],
    /// Shows the picture track `{track}`, counted from 1.
    pub(super) track: &'static [&'static str],
    /// Set if the player can play a range of a file: the prefix to FFmpeg's own name for such a range.
    pub(super) stretch: Option<&'static str>,
    /// Arguments in its desktop file that would defeat the start time.
    pub(super) without: &'static [&'static str],
}

const fn known(programs: &'static [&'static str], desktop_ids: &'static [&'static str], before_file: &'static [&'static str]) -> Known {
    Known {
        programs,
        desktop_ids,
        before_file,
        behind_file: &[],
        track: &[],
        stretch: None,
        without: &[],
    }
}

/// Missing because they cannot start at a time: Haruna (0.10), Totem (43: its hidden `--seek` had no effect in our test).
///
/// If no player is the default for a type, the first installed one of these is used.
pub(super) static PLAYERS: &[Known] = &[
    // mpv 0.35.
    Known {
        track: &["--vid={track}"],
        stretch: Some("lavf://"),
        ..known(&["mpv", "mpvnet"], &["mpv", "io.mpv.Mpv", "mpv_mpv"], &["--start={seconds}"])
    },
    // VLC 3.0.24. A running instance would receive only the file: options are not passed on between instances.
    Known {
        without: &["--started-from-file", "--one-instance"],
        ..known(
            &["vlc", "qvlc"],
            &["vlc", "org.videolan.VLC", "vlc_vlc"],
            &["--no-one-instance", "--start-time={seconds}"],
        )
    },
    // Celluloid 0.20.
    Known {
        track: &["--mpv-vid={track}"],
        ..known(
            &["celluloid", "gnome-mpv"],
            &["io.github.celluloid_player.Celluloid", "io.github.GnomeMpv"],
            &["--mpv-start={seconds}"],
        )
    },
    // SMPlayer 22.7, which accepts no fractions.
    known(
        &["smplayer"],
        &["smplayer", "info.smplayer.SMPlayer"],
        &["-start", "{whole_seconds}"],
    ),
    Known {
        track: &["--mpv-vid={track}"],
        ..known(&["iina-cli", "iina"], &["IINA"], &["--no-stdin", "--mpv-start={seconds}"])
    },
    known(&["mplayer"], &["mplayer"], &["-ss", "{seconds}"]),
    Known {
        stretch: Some(""),
        ..known(&["ffplay"], &[], &["-ss", "{seconds}"])
    },
    Known {
        behind_file: &["/start", "{ms}"],
        ..known(&["mpc-hc64", "mpc-hc", "mpc-be64", "mpc-be"], &[], &[])
    },
];

impl Known {
    /// Finds a player by the name of the program.
    pub(super) fn by_program(program: &Path) -> Option<&'static Self> {
        let name = program.file_name()?.to_str()?;
        let name = name.strip_suffix(".exe").unwrap_or(name);
        PLAYERS.iter().find(|known| known.programs.contains(&name))
    }

    /// Finds a player by the name of the desktop file, without its extension.
    pub(super) fn by_desktop_id(id: &str) -> Option<&'static Self> {
        PLAYERS.iter().find(|known| known.desktop_ids.contains(&id))
    }
}

/// Formats a time so that every player in the table can read it, in any locale.
pub(super) fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

pub(super) fn filled(form: &str, at_ms: u64) -> OsString {
    form.replace("{seconds}", &seconds(at_ms))
        .replace("{whole_seconds}", &(at_ms / 1000).to_string())
        .replace("{ms}", &at_ms.to_string())
        .into()
}

pub(super) fn track(form: &str, track: u32) -> OsString {
    form.replace("{track}", &track.to_string()).into()
}

/// Replaces the file by a range of it, in FFmpeg's notation; returns whether the file was among the arguments.
pub(super) fn put_stretch(form: &str, file: &Path, (from, to): (u64, u64), arguments: &mut [OsString]) -> bool {
    let url = quote::file_url(file);
    let Some(argument) = arguments
        .iter_mut()
        .find(|argument| *argument == file.as_os_str() || *argument == url.as_str())
    else {
        return false;
    };
    let mut stretch = OsString::from(format!("{form}subfile,,start,{from},end,{to},,:file:"));
    stretch.push(file);
    *argument = stretch;
    true
}

/// Fills in a word of the user's own command. Without a time the video starts at its beginning.
pub(super) fn with_file(word: &str, moment: Moment<'_>) -> OsString {
    let mut filled = OsString::new();
    let file: &OsStr = moment.file.as_os_str();
    let word = word.replace("{seconds}", &seconds(moment.at_ms().unwrap_or(0)));
    for (i, part) in word.split("{file}").enumerate() {
        if i > 0 {
            filled.push(file);
        }
        filled.push(part);
    }
    filled
}
