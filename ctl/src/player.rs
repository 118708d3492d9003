//! Which program plays a video, and how it is made to start at a moment.
//!
//! Owns the choice: the user's own setting, the desktop's default for the type, an installed player, the system's opener. Also owns the
//! table of players (`table`), and the start of a program that outlives this one (`launch`). It never uses a shell: a video's name is one
//! argument throughout. It knows nothing of the daemon, and prints nothing.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

#[cfg(unix)]
mod desktop;
pub(crate) mod launch;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(unix)]
mod mime;
mod table;
mod words;

use table::Known;

/// Names the program that plays videos, with its arguments; overrides the desktop's default.
pub(crate) const PLAYER_VARIABLE: &str = "SCENED_PLAYER";

/// A video, and where to start in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    /// Absolute: such a path cannot be mistaken for a flag, and can be turned into a URL if necessary.
    pub(crate) file: &'a Path,
    pub(crate) place: Option<Place>,
    /// Which of several picture tracks is meant, from 1.
    pub(crate) track: Option<u32>,
}

/// Where to start in a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// By the video's own time.
    Time { at_ms: u64 },
    /// By a range of the file, treated as the whole file, and the time within it; `to` is 0 if the range extends to the end of the file.
    Bytes { from: u64, to: u64, at_ms: u64 },
    /// No player can seek there.
    Nowhere,
}

impl Moment<'_> {
    /// Returns the time, if the file's own clock leads there.
    fn at_ms(self) -> Option<u64> {
        match self.place {
            Some(Place::Time { at_ms }) => Some(at_ms),
            _ => None,
        }
    }
}

/// The program to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Name for people: `mpv`, `VLC media player`.
    pub(crate) player: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Whether the arguments say where to start.
    pub(crate) is_told_time: bool,
    /// The working folder, if its desktop file specifies one.
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PlayerError {
    #[error("{PLAYER_VARIABLE} cannot be understood: {0}")]
    BadOverride(String),
    #[error("the program `{}`, named by {PLAYER_VARIABLE}, does not exist", .0.display())]
    NoSuchProgram(PathBuf),
    #[error("there is no player for {}", .0.display())]
    NoPlayer(PathBuf),
    #[error("there is no display to show a video on")]
    NoDisplay,
}

impl PlayerError {
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::BadOverride(_) | Self::NoSuchProgram(_) => {
                format!("for example {PLAYER_VARIABLE}=mpv, or {PLAYER_VARIABLE}=\"myplayer --from {{seconds}} {{file}}\"")
            }
            Self::NoPlayer(_) => format!("install one such as mpv or VLC, or name one with {PLAYER_VARIABLE}"),
            Self::NoDisplay => format!("run it where the desktop is; a player named with {PLAYER_VARIABLE} is started all the same"),
        }
    }
}

/// What the choice depends on: environment variables, read once into plain values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    player: Option<OsString>,
    path: Vec<PathBuf>,
    has_display: bool,
    #[cfg(unix)]
    xdg: desktop::Folders,
}

impl Environment {
    pub(crate) fn of_process() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            player: variable(PLAYER_VARIABLE),
            path: variable("PATH")
                .map(|path| std::env::split_paths(&path).collect())
                .unwrap_or_default(),
            has_display: cfg!(not(all(unix, not(target_os = "macos"))))
                || variable("WAYLAND_DISPLAY").is_some()
                || variable("DISPLAY").is_some(),
            #[cfg(unix)]
            xdg: desktop::Folders::new(variable),
        }
    }

    /// Locates a program: a path is used as it is, a name is searched for in `PATH`.
    fn program(&self, name: &OsStr) -> Option<PathBuf> {
        let as_path = Path::new(name);
        if as_path.components().nth(1).is_some() {
            return is_program(as_path).then(|| as_path.to_path_buf());
        }
        let mut places = self
            .path
            .iter()
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name));
        places.find(|place| is_program(place))
    }
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Chooses the player: the user's setting, else the desktop's default for the type, else an installed player, else the system's opener.
pub(crate) fn plan(moment: Moment<'_>, environment: &Environment) -> Result<Plan, PlayerError> {
    if let Some(command) = &environment.player {
        return overridden(command, moment, environment);
    }
    if !environment.has_display {
        return Err(PlayerError::NoDisplay);
    }
    #[cfg(target_os = "macos")]
    if let Some(plan) = macos::default_player(moment) {
        return Ok(plan);
    }
    #[cfg(all(unix, not(target_os = "macos")))]
    for application in environment.xdg.applications_for(moment.file) {
        if let Some(plan) = application.plan(moment, environment) {
            return Ok(plan);
        }
    }
    let mut installed = table::PLAYERS
        .iter()
        .flat_map(|known| known.programs)
        .filter_map(|name| Some((name, environment.program(OsStr::new(name))?)));
    if let Some((name, program)) = installed.next() {
        return Ok(plain(name, program, moment));
    }
    opener(moment, environment).ok_or_else(|| PlayerError::NoPlayer(moment.file.to_path_buf()))
}

/// Plans a program with the file and the start position as its only arguments.
fn plain(name: &str, program: PathBuf, moment: Moment<'_>) -> Plan {
    let known = Known::by_program(&program);
    let mut arguments = vec![moment.file.as_os_str().to_owned()];
    let is_told_time = add_start(known, moment, &mut arguments, 0);
    Plan {
        player: name.to_owned(),
        program,
        arguments,
        is_told_time,
        folder: None,
    }
}

/// Adds the arguments that set the start position, at `at` or at the end; returns whether there were any. Also selects one of several
/// picture tracks, if the player supports that.
fn add_start(known: Option<&Known>, moment: Moment<'_>, arguments: &mut Vec<OsString>, at: usize) -> bool {
    let (Some(known), Some(place)) = (known, moment.place) else {
        return false;
    };
    let at_ms = match place {
        Place::Time { at_ms } => Some(at_ms),
        Place::Bytes { from, to, at_ms } => {
            let is_put = known
                .stretch
                .is_some_and(|form| table::put_stretch(form, moment.file, (from, to), arguments));
            is_put.then_some(at_ms)
        }
        Place::Nowhere => None,
    };
    let track = moment
        .track
        .map(|track| known.track.iter().map(move |form| table::track(form, track)));
    arguments.splice(at..at, track.into_iter().flatten());
    let Some(at_ms) = at_ms else { return false };
    let before = known.before_file.iter().map(|form| table::filled(form, at_ms));
    arguments.splice(at..at, before);
    arguments.extend(known.behind_file.iter().map(|form| table::filled(form, at_ms)));
    true
}

/// Plans the command in `SCENED_PLAYER`. `{file}` and `{seconds}` mark the places of these values; without them the table decides.
fn overridden(command: &OsStr, moment: Moment<'_>, environment: &Environment) -> Result<Plan, PlayerError> {
    let text = command
        .to_str()
        .ok_or_else(|| PlayerError::BadOverride("it is not UTF-8".to_owned()))?;
    let mut words = words::split(text)
        .map_err(|what| PlayerError::BadOverride(what.to_owned()))?
        .into_iter();
    let name = words
        .next()
        .ok_or_else(|| PlayerError::BadOverride("it names no program".to_owned()))?;
    let program = environment
        .program(OsStr::new(&name))
        .ok_or_else(|| PlayerError::NoSuchProgram(PathBuf::from(&name)))?;
    let words: Vec<String> = words.collect();
    let has_file = words.iter().any(|word| word.contains("{file}"));
    let is_told_time = words.iter().any(|word| word.contains("{seconds}"));
    let mut arguments: Vec<OsString> = words.iter().map(|word| table::with_file(word, moment)).collect();
    let mut plan = Plan {
        player: name,
        is_told_time: is_told_time && moment.at_ms().is_some(),
        arguments: Vec::new(),
        program,
        folder: None,
    };
    if !has_file {
        let at = arguments.len();
        arguments.push(moment.file.as_os_str().to_owned());
        if !is_told_time {
            plan.is_told_time = add_start(Known::by_program(&plan.program), moment, &mut arguments, at);
        }
    }
    plan.arguments = arguments;
    Ok(plan)
}

/// Plans the system's own opener. No such program can seek to a time.
fn opener(moment: Moment<'_>, environment: &Environment) -> Option<Plan> {
    let (name, arguments): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        // Does what `start` does, without the shell that `start` belongs to.
        ("rundll32.exe", &["url.dll,FileProtocolHandler"])
    } else {
        ("xdg-open", &[])
    };
    let program = environment.program(OsStr::new(name))?;
    let mut arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    arguments.push(moment.file.as_os_str().to_owned());
    Some(Plan {
        player: name.to_owned(),
        program,
        arguments,
        is_told_time: false,
        folder: None,
    })
}

#[cfg(all(test, unix, not(target_os = "macos")))]
mod tests;
