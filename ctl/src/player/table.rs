//! The one table of players: how each is told where to start.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use montage::quote;

use super::Moment;

/// A player, and its own way to start at a time. In an argument `{seconds}` is `12.345`, `{whole_seconds}`
/// `12`, `{ms}` `12345`.
///
/// **Source**: each tried with the real program (the release is beside it) or, where none is named, read in its documentation.
#[derive(Debug)]
pub(super) struct Known {
    /// Names of the program, without `.exe`.
    pub(super) programs: &'static [&'static str],
    /// Names of its desktop file or bundle, without `.desktop` or `.app`, where the program that is run is another one (flatpak, snap).
    pub(super) desktop_ids: &'static [&'static str],
    pub(super) before_file: &'static [&'static str],
    pub(super) behind_file: &'static [&'static str],
    /// Shows the picture track `{track}`, counted from 1.
    pub(super) track: &'static [&'static str],
    /// The file's name where a stretch of it is meant: what stands before FFmpeg's own name of such a stretch.
    pub(super) stretch: Option<&'static str>,
    /// What a desktop file says and would undo it.
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

/// Not here, because they take no time: Haruna (0.10), Totem (43: its hidden `--seek` did nothing when it was tried).
///
/// Where no player is the default for a type, the first of these that is installed is taken.
pub(super) static PLAYERS: &[Known] = &[
    // mpv 0.35.
    Known {
        track: &["--vid={track}"],
        stretch: Some("lavf://"),
        ..known(&["mpv", "mpvnet"], &["mpv", "io.mpv.Mpv", "mpv_mpv"], &["--start={seconds}"])
    },
    // VLC 3.0.24. One that already runs would be handed the file alone: its options are not passed on between instances.
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
    // SMPlayer 22.7, which takes no fractions.
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
    /// By the name of the program that is run.
    pub(super) fn by_program(program: &Path) -> Option<&'static Self> {
        let name = program.file_name()?.to_str()?;
        let name = name.strip_suffix(".exe").unwrap_or(name);
        PLAYERS.iter().find(|known| known.programs.contains(&name))
    }

    /// By the name of the desktop file, without its end.
    pub(super) fn by_desktop_id(id: &str) -> Option<&'static Self> {
        PLAYERS.iter().find(|known| known.desktop_ids.contains(&id))
    }
}

/// A time as every player in the table reads it, in whatever language it speaks.
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

/// Puts a stretch in the place of the file, by the name that FFmpeg has for it; whether the file was there.
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

/// A word of the user's own command. Without a time it starts at the beginning.
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
