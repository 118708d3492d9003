//! `scened`: reads the arguments and runs the command they ask for. Everything else is in the library.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use scened::app::{self, Paths, TestDoubles, process};
use scened::command::inspect::{self, InspectOptions};
use scened::command::probe_model::{self, ProbeOptions};
use scened::command::set_aside::{self, SetAsideError};
use scened::command::thumbnail::{self, LARGEST_PX, SMALLEST_PX};
use scened::config::{Config, ConfigError};
use scened::fatal::Fatal;
use scened::instance::Instance;
use scened::media::{Detector, Hardware, SceneMode};
use scened_common::domain::Crop;
use scened_common::media::extras::{self, Extras};
use scened_shared::{standard_error, terminal};

/// Makes folders of videos searchable by what they show. Runs in the foreground and logs to standard error.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  scened                                 watch the folders of config.toml\n  scened --check-config                  check config.toml\n  scened inspect holiday.mp4 --json      show what the media worker finds in one file\n\nAsk it with scenectl: scenectl add ~/Videos; scenectl search \"a dog on the beach\"\nThe configuration is described in scened-config(5) and docs/config.md."
)]
struct Arguments {
    /// Configuration file [default: $XDG_CONFIG_HOME/scened/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for store, index and models [default: $XDG_DATA_HOME/scened]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Socket to listen on [default: $XDG_RUNTIME_DIR/scened/scened.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Check the configuration and exit
    #[arg(long)]
    check_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Open the store and exit; a daemon runs this if an earlier one died while it opened the store
    #[command(hide = true)]
    TryStore { data_dir: PathBuf },
    /// Run the media worker on one file, without a daemon: streams, scenes, sampled frames, times
    Inspect {
        file: PathBuf,
        /// How scenes are found: exact decodes every frame, fast only where packets and keyframes leave doubt
        #[arg(long, default_value = "exact")]
        mode: SceneMode,
        /// Scene detector: shot, or, for comparison, content and adaptive (PySceneDetect)
        #[arg(long, default_value = "shot", value_parser = parse_detector)]
        detector: Detector,
        /// Decoder threads; 0 = one for each core allowed
        #[arg(long, default_value_t = 0)]
        threads: u32,
        /// Decode on a graphics card if possible: none, auto, vaapi, cuda, videotoolbox
        #[arg(long, default_value = "none", value_name = "NAME")]
        hardware: Hardware,
        /// Decode without the sandbox if there is none, or if a graphics card decodes
        #[arg(long)]
        allow_unsandboxed: bool,
        /// Read this container too, as `extra-formats` in config.toml
        #[arg(long, value_name = "NAME", value_parser = parse_ffmpeg_name)]
        extra_formats: Vec<String>,
        /// Decode this codec too, as `extra-codecs` in config.toml
        #[arg(long, value_name = "NAME", value_parser = parse_ffmpeg_name)]
        extra_codecs: Vec<String>,
        /// How frames are shown to models of CLIP's size, as `crop` in config.toml: auto, reference, squash, letterbox, two
        #[arg(long, default_value = "reference", value_name = "NAME")]
        crop: Crop,
        /// Write the sampled frames into this folder, as PPM pictures of the model's size; the folder is created
        #[arg(long, value_name = "DIR")]
        frames: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write the frame that represents a video best as a PNG, without a daemon; desktops use it for thumbnails
    #[command(
        after_help = "Examples:\n  scened thumbnail holiday.mp4 holiday.png\n  scened thumbnail --size 512 file:///home/me/a%20film.mkv /tmp/a.png"
    )]
    Thumbnail {
        /// Longest side of the picture in pixels, 32 to 1024; a smaller video is not enlarged
        #[arg(long, short, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u32).range(i64::from(SMALLEST_PX)..=65_535))]
        size: u32,
        /// The video: a path or a file:// address
        input: OsString,
        /// Output file; replaced if it is empty or a PNG
        output: PathBuf,
    },
    /// Move unreadable files of the data folder away, and nothing else; scened must not be running
    #[command(
        after_help = "`scenectl doctor` suggests this after scened could not open its store ten times in a row. First try to repair the disk, its cable or\nits mount: then nothing is lost. Nothing is deleted: unreadable files move to `unreadable-<date>` in the data folder, and scened\nindexes again what is missing."
    )]
    SetAsideUnreadable,
    /// Compare fp32 and int8 of a model on this machine and print which to keep, as one line of JSON (for `scenectl model install`)
    #[command(hide = true)]
    ProbeModel {
        folder: PathBuf,
        /// How long it may take
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Write the manual pages of scened and of config.toml into a folder (`make install` does)
    #[command(hide = true)]
    Man { folder: PathBuf },
}

fn main() -> ExitCode {
    let status = run();
    standard_error::finish();
    status
}

fn run() -> ExitCode {
    process::note_start();
    scened::logging::report_panics("scened");
    let arguments = Arguments::try_parse().unwrap_or_else(|error| explain(&error));
    if !matches!(
        &arguments.command,
        Some(Command::Inspect { .. } | Command::Thumbnail { .. } | Command::Man { .. })
    ) {
        // From here on, only the user can read what scened writes. The commands excluded above write files that the user asked for, with
        // the usual rights.
        let _of_user = rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    }
    let outcome = match &arguments.command {
        Some(Command::Inspect {
            file,
            mode,
            detector,
            threads,
            hardware,
            allow_unsandboxed,
            extra_formats,
            extra_codecs,
            crop,
            frames,
            json,
        }) => {
            let options = InspectOptions {
                mode: *mode,
                detector: *detector,
                threads: *threads,
                hardware: *hardware,
                allow_unsandboxed: *allow_unsandboxed,
                extras: Extras {
                    formats: extra_formats.clone(),
                    codecs: extra_codecs.clone(),
                },
                crop: *crop,
                frames: frames.clone(),
                json: *json,
                ..InspectOptions::default()
            };
            return run_inspect(file, &options);
        }
        Some(Command::Thumbnail { size, input, output }) => return run_thumbnail(input, output, *size),
        Some(Command::TryStore { data_dir }) => {
            scened::store::try_open(data_dir);
            Ok(())
        }
        Some(Command::SetAsideUnreadable) => set_aside_unreadable(&arguments),
        Some(Command::ProbeModel { folder, seconds }) => probe_model(&arguments, folder, *seconds),
        Some(Command::Man { folder }) => write_manual(folder).map_err(|error| {
            Fatal::Setup(terminal::escape(&format!(
                "the manual pages cannot be written into {}: {error}",
                folder.display()
            )))
        }),
        None if arguments.check_config => return check_config(&arguments),
        None => serve(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            complain(&fatal.to_string());
            ExitCode::from(fatal.exit_code())
        }
    }
}

/// Prints what is wrong with the command line, or the requested text (`--help`), and ends the program. The message repeats words that may
/// be file names, so it is built again from escaped words.
fn explain(error: &clap::Error) -> ! {
    match Arguments::try_parse_from(terminal::escape_words(std::env::args_os())) {
        Err(error) => error.exit(),
        // The escaped words form a valid command line: the original error is shown without its words.
        Ok(_) => clap::Error::new(error.kind()).exit(),
    }
}

fn parse_detector(text: &str) -> Result<Detector, String> {
    match text {
        "shot" => Ok(Detector::Shot),
        "content" => Ok(Detector::Content),
        "adaptive" => Ok(Detector::Adaptive),
        _ => Err(format!("{text:?} is no detector (shot, content, adaptive)")),
    }
}

fn parse_ffmpeg_name(text: &str) -> Result<String, String> {
    if extras::is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no name of FFmpeg's (ffmpeg -demuxers, ffmpeg -decoders)"))
    }
}

fn run_inspect(file: &std::path::Path, options: &InspectOptions) -> ExitCode {
    let mut told = Vec::new();
    let outcome = inspect::run(file, options, &mut told);
    let told = String::from_utf8_lossy(&told);
    let safe = if options.json {
        terminal::guard_json(&told)
    } else {
        terminal::guard(&told, false)
    };
    // A closed pipe does not change what was found.
    let _printed = std::io::stdout().lock().write_all(safe.as_bytes());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&terminal::escape(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

fn run_thumbnail(input: &std::ffi::OsStr, output: &std::path::Path, size_px: u32) -> ExitCode {
    match thumbnail::run(input, output, size_px.min(LARGEST_PX)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&terminal::escape(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

fn write_manual(folder: &std::path::Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Arguments::command(), folder)?;
    std::fs::write(folder.join("scened-config.5"), scened::config::manual_page())
}

fn probe_model(arguments: &Arguments, folder: &std::path::Path, seconds: u64) -> Result<(), Fatal> {
    let (config, _warnings) = load_config(arguments)?;
    let data_dir = data_dir(arguments)?;
    let options = ProbeOptions {
        folder,
        config: &config,
        data_dir: &data_dir,
        limit: Duration::from_secs(seconds),
    };
    probe_model::run(&options, &mut std::io::stdout().lock())
        .map_err(|error| Fatal::Setup(terminal::escape(&scened::fatal::with_causes(&error))))
}

fn set_aside_unreadable(arguments: &Arguments) -> Result<(), Fatal> {
    let data_dir = data_dir(arguments)?;
    let failed = |error: &SetAsideError| Fatal::Setup(terminal::escape(&scened::fatal::with_causes(error)));
    set_aside::check(&data_dir).map_err(|error| failed(&error))?;
    let _instance = Instance::acquire(&data_dir).map_err(|error| app::instance_fatal(&error))?;
    set_aside::run(&data_dir, &mut std::io::stdout().lock()).map_err(|error| failed(&error))
}

fn data_dir(arguments: &Arguments) -> Result<PathBuf, Fatal> {
    scened_shared::endpoint::data_dir(arguments.data_dir.as_deref()).map_err(|error| Fatal::Setup(terminal::escape(&error.to_string())))
}

fn load_config(arguments: &Arguments) -> Result<(Config, Vec<String>), Fatal> {
    let file = scened_shared::endpoint::config_file(arguments.config.as_deref())
        .map_err(|error| Fatal::Setup(format!("{}\n  hint: {}", terminal::escape(&error.to_string()), error.hint())))?;
    let (config, warnings) = Config::load(&file).map_err(|error| match &error {
        // One line for each mistake, already escaped.
        ConfigError::Invalid { .. } => Fatal::Setup(error.to_string()),
        ConfigError::Read { source, .. } => Fatal::of_system(terminal::escape(&error.to_string()), source),
        ConfigError::NotUtf8 { .. } => Fatal::Setup(terminal::escape(&error.to_string())),
    })?;
    Ok((
        config,
        warnings.iter().map(|warning| terminal::escape(&warning.to_string())).collect(),
    ))
}

/// Adds a hint to the copy of the last valid configuration, if there is one.
fn with_copy(fatal: Fatal, data_dir: &std::path::Path) -> Fatal {
    match (fatal, scened::config::kept::find(data_dir)) {
        (Fatal::Setup(text), Some(copy)) => Fatal::Setup(format!(
            "{text}\n  hint: the last valid configuration is at {}; correct the file, or replace it by that copy",
            copy.display()
        )),
        (fatal, _) => fatal,
    }
}

fn check_config(arguments: &Arguments) -> ExitCode {
    match load_config(arguments) {
        Ok((config, warnings)) => {
            for warning in &warnings {
                complain(&format!("warning: {warning}"));
            }
            let mut out = std::io::stdout().lock();
            // A closed pipe does not change what was found.
            let _printed = writeln!(
                out,
                "{}: the configuration is valid; {} folders",
                terminal::escape(&config.file.display().to_string()),
                config.folders.len()
            );
            ExitCode::SUCCESS
        }
        Err(fatal) => {
            complain(&fatal.to_string());
            ExitCode::from(2)
        }
    }
}

fn serve(arguments: &Arguments) -> Result<(), Fatal> {
    let data_dir = data_dir(arguments)?;
    let (config, warnings) = load_config(arguments).map_err(|fatal| with_copy(fatal, &data_dir))?;
    scened::logging::init(&config.log).map_err(|error| Fatal::Setup(error.to_string()))?;
    let endpoint = scened_shared::endpoint::Endpoint::resolve(arguments.socket.as_deref(), Some(&data_dir))
        .map_err(|error| Fatal::Setup(format!("{}\n  hint: {}", terminal::escape(&error.to_string()), error.hint())))?;
    let program = scened_shared::program::own();
    let paths = Paths {
        model_dirs: scened_common::embed::model::model_dirs(&data_dir, program.as_deref()),
        data_dir,
        socket: endpoint.path().to_owned(),
        program,
    };
    let (stop, _listening) = process::stop_on_signal()?;
    // A service manager would start it again; without one, it must do so itself.
    let is_supervised = ["NOTIFY_SOCKET", "LISTEN_FDS"].iter().any(|name| std::env::var_os(name).is_some());
    match app::run(&config, warnings, &paths, TestDoubles::default(), stop.clone()) {
        Err(fatal @ (Fatal::Store(_) | Fatal::Passing(_))) if !is_supervised && !*stop.borrow() => {
            process::start_again(fatal, paths.program.as_deref(), &stop)
        }
        outcome => outcome,
    }
}

fn complain(text: &str) {
    standard_error::say(format!("scened: {}\n", terminal::guard(text, false)).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_documents_tell_people_to_type_can_be_typed() {
        let commands = testkit::documents::commands_of("scened");
        assert!(commands.len() >= 2, "only {} commands were found", commands.len());
        for (place, words) in commands {
            if let Err(error) = Arguments::try_parse_from(&words) {
                panic!("{place}: {words:?}\n{error}");
            }
        }
    }
}
