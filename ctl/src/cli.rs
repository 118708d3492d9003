//! What can be typed: flags and arguments as text and plain values, nothing opened or looked up.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use montage::timeline::rate::Rate;

use crate::input::{date, limit, span};

mod examples;
mod model;

use examples as ex;
pub(crate) use model::{Model, ModelInstall};

/// Searches folders of videos by what they show: the client of scened.
#[derive(Debug, Parser)]
#[command(name = "scenectl", version, after_help = ex::TOP, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The daemon's socket [env: SCENED_SOCKET] [default: scened/scened.sock in $XDG_RUNTIME_DIR, or scened.sock in the data folder]
    #[arg(long, global = true, help_heading = "Everywhere", value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// The daemon's data folder [env: SCENED_DATA_DIR]
    #[arg(long, global = true, help_heading = "Everywhere", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print JSON: one object per answer, on one line
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Find scenes by words
    #[command(after_help = ex::SEARCH)]
    Search(Search),
    /// Find scenes that look like a moment of a video, or like a picture
    #[command(after_help = ex::SIMILAR)]
    Similar(Similar),
    /// Search on a full screen, as you type
    #[cfg(feature = "browse")]
    #[command(after_help = ex::BROWSE)]
    Browse(Browse),
    /// Open a video in your player, at a moment
    #[command(after_help = ex::OPEN)]
    Open(Open),
    /// List the scenes of one video
    #[command(after_help = ex::SCENES)]
    Scenes(Scenes),
    /// Write a contact sheet of one video: a page with a picture and a link for each scene
    #[command(after_help = ex::SHEET)]
    Sheet(Sheet),
    /// Cut scenes out of videos and write them into a new video
    #[command(after_help = ex::EXPORT)]
    Export(Export),
    /// Show what is indexed, pending, failed and offline
    #[command(after_help = ex::STATUS)]
    Status(Status),
    /// Watch a folder from now on
    #[command(after_help = ex::ADD)]
    Add(Add),
    /// Stop watching a folder and drop its videos from the index (the files stay)
    #[command(after_help = ex::REMOVE)]
    Remove(Remove),
    /// Drop the videos of a drive or folder that is away (videos that are there and watched stay)
    #[command(after_help = ex::FORGET)]
    Forget(Forget),
    /// List the watched folders
    #[command(after_help = ex::FOLDERS)]
    Folders,
    /// Wait until nothing is left to index; exit status 1 if the time ran out first
    #[command(after_help = ex::WAIT)]
    Wait(Wait),
    /// Scan the watched folders again
    #[command(after_help = ex::RESCAN)]
    Rescan(Rescan),
    /// Try failed files again
    #[command(after_help = ex::RETRY)]
    Retry(Scope),
    /// List the files that could not be indexed, with reasons
    #[command(after_help = ex::INCIDENTS)]
    Incidents,
    /// Stop indexing; search goes on
    #[command(after_help = ex::PAUSE)]
    Pause(Pause),
    /// Index again after `pause`
    #[command(after_help = ex::RESUME)]
    Resume,
    /// Explain why a file is found or not
    #[command(after_help = ex::WHY)]
    Why(Why),
    /// Measure how well known moments are found: recall, ranks and calibration
    #[command(after_help = ex::EVAL)]
    Eval(Eval),
    /// List, install, choose and remove models
    #[command(subcommand, after_help = ex::MODEL, disable_help_subcommand = true)]
    Model(Model),
    /// Check the installation and the data
    #[command(after_help = ex::DOCTOR)]
    Doctor,
    /// Print a completion script for a shell
    #[command(after_help = ex::COMPLETIONS)]
    Completions(Completions),
    /// Print the manual page, or write one page for each verb into a folder
    #[command(after_help = ex::MAN)]
    Man(Man),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Video,
    Scene,
}

/// What `search` and `similar` share: which hits, and how they are shown.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Number of hits, 1 to 1,000
    #[arg(short = 'n', value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) n: u32,
    /// Only in this folder or file (repeatable)
    #[arg(long = "in", value_name = "DIR")]
    pub(crate) within: Vec<PathBuf>,
    /// Only files modified since DATE: 2024, 2024-05, 2024-05-01, an RFC 3339 time, `3 days ago`, `7d`
    #[arg(long, value_name = "DATE", value_parser = date::parse)]
    pub(crate) since: Option<date::Period>,
    /// Only files modified until the end of DATE (same forms)
    #[arg(long, value_name = "DATE", value_parser = date::parse)]
    pub(crate) until: Option<date::Period>,
    /// Only videos at least this long: 90s, 2m, 1h30m, 1:30
    #[arg(long, value_name = "D", value_parser = span::parse)]
    pub(crate) min_duration: Option<span::Span>,
    /// Only videos at most this long
    #[arg(long, value_name = "D", value_parser = span::parse)]
    pub(crate) max_duration: Option<span::Span>,
    /// One row for each scene, or one for each video
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = By::Scene)]
    pub(crate) by: By,
    /// Only hits with at least this confidence, 0 to 1 (text queries)
    #[arg(long, value_name = "X", value_parser = fraction)]
    pub(crate) min_confidence: Option<f32>,
    /// Draw the hits' pictures if standard output is a terminal
    #[arg(long, conflicts_with_all = ["json", "paths", "null"])]
    pub(crate) preview: bool,
    /// Open a hit in your player at its moment [default: the first]; must come after the query
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1", value_parser = rank)]
    pub(crate) open: Option<usize>,
    /// Print only the paths, each once, one per line
    #[arg(long, conflicts_with = "json")]
    pub(crate) paths: bool,
    /// Like --paths, with a NUL after each (for `xargs -0`)
    #[arg(short = '0', long = "null", conflicts_with = "json")]
    pub(crate) null: bool,
    #[command(flatten)]
    pub(crate) files: Files,
}

/// What hits are written into, besides or instead of lines on the terminal.
#[derive(Debug, Default, Args)]
pub(crate) struct Files {
    /// Write a contact sheet: one HTML page with pictures, times and links
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(crate) html: Option<PathBuf>,
    /// Write a playlist with start and stop times: .m3u8 or .xspf for VLC, .mpv for mpv
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(crate) playlist: Option<PathBuf>,
    /// Write an edit list (CMX 3600)
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(crate) edl: Option<PathBuf>,
    /// Write a timeline (OpenTimelineIO)
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(crate) otio: Option<PathBuf>,
    /// Frames per second of the edit list, and of videos whose rate ffprobe does not know [default: that of the first video, else 25]
    #[arg(long, value_name = "FPS", help_heading = "Files")]
    pub(crate) rate: Option<Rate>,
    /// Replace existing files (never a video that was found)
    #[arg(long, help_heading = "Files")]
    pub(crate) force: bool,
}

impl Files {
    pub(crate) fn is_empty(&self) -> bool {
        self.html.is_none() && self.playlist.is_none() && self.edl.is_none() && self.otio.is_none()
    }
}

fn rank(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rank) if (1..=1000).contains(&rank) => Ok(rank),
        _ => Err("give the number of a hit, or write --open after the query".to_owned()),
    }
}

fn fraction(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(x) if (0.0..=1.0).contains(&x) => Ok(x),
        _ => Err("give a number from 0 to 1".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// What the scene shows, in words
    #[arg(required = true, value_name = "QUERY")]
    pub(crate) query: Vec<String>,
    /// What the scene must not show (repeatable)
    #[arg(long, value_name = "TEXT")]
    pub(crate) not: Vec<String>,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
pub(crate) struct Similar {
    /// A video or picture, indexed or not; TIME is 90, 90.5, 1:30, 0:01:30.5 or 1h2m3s
    #[arg(value_name = "FILE[@TIME]")]
    pub(crate) target: OsString,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[cfg(feature = "browse")]
#[derive(Debug, Default, Args)]
pub(crate) struct Browse {
    /// First query
    #[arg(value_name = "QUERY")]
    pub(crate) query: Vec<String>,
    /// Only in this folder
    #[arg(long = "in", value_name = "DIR")]
    pub(crate) within: Option<PathBuf>,
    /// Print the marked hits with a NUL after each instead of a line break (for `xargs -0`)
    #[arg(short = '0', long = "null", conflicts_with = "json")]
    pub(crate) null: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Open {
    /// A video; TIME is 90, 90.5, 1:30, 0:01:30.5 or 1h2m3s
    #[arg(value_name = "FILE[@TIME]")]
    pub(crate) target: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// TSV or JSON: a query, a file, and from and to as times; a query without a file has nothing to find
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Number of hits that are asked for, 1 to 1,000
    #[arg(short = 'n', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) n: u32,
    /// Exit with 1 if a figure is below X: r1, r5, r10, map, first-hit-auc or no-match-auc (repeatable)
    #[arg(long, value_name = "FIGURE=X", value_parser = limit::parse)]
    pub(crate) at_least: Vec<limit::Limit>,
    /// Write a page with the worst queries and pictures of what came first
    #[arg(long, value_name = "PAGE")]
    pub(crate) html: Option<PathBuf>,
    /// Replace an existing page
    #[arg(long)]
    pub(crate) force: bool,
    /// Make such a file: search in the finder, mark what is right with Tab, and leave with Esc
    #[cfg(feature = "browse")]
    #[arg(long, conflicts_with_all = ["html", "at_least", "json"])]
    pub(crate) record: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Scenes {
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Draw the scenes' pictures if standard output is a terminal
    #[arg(long, conflicts_with = "json")]
    pub(crate) preview: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sheet {
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The page [default: the video's name with .html, in the current folder]
    #[arg(long, short = 'o', value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Replace an existing page
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A part of a video, or the scene at TIME; `-` reads the answer of `search --json` from standard input
    #[arg(required = true, value_name = "FILE@START-END|FILE@TIME|-")]
    pub(crate) hits: Vec<OsString>,
    /// The new video: .mp4, .m4v, .mov, .mkv, .webm or .ts
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Cut exactly at the frame, which re-encodes; otherwise packets are copied, starting at the keyframe before
    #[arg(long)]
    pub(crate) exact: bool,
    /// Replace an existing file (never a video that is cut from)
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    #[arg(value_name = "DIR", required = true)]
    pub(crate) folders: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Keep running and show changes
    #[arg(long, short = 'w')]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[arg(value_name = "DIR", required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// Keep the folder's videos in the index, marked offline
    #[arg(long)]
    pub(crate) keep: bool,
    /// Don't ask
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// A watched folder, or any folder or file inside or above one
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Don't ask
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Give up after this time: seconds, or 90s, 2m, 1h30m
    #[arg(long, value_name = "S", value_parser = span::parse)]
    pub(crate) timeout: Option<span::Span>,
}

#[derive(Debug, Args)]
pub(crate) struct Rescan {
    /// Only this folder or file
    #[arg(value_name = "PATH")]
    pub(crate) scope: Option<PathBuf>,
    /// Decode this file again even if it seems unchanged
    #[arg(long, requires = "scope")]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Scope {
    /// Only this folder or file
    #[arg(value_name = "PATH")]
    pub(crate) scope: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// Resume after this time: 90s, 2m, 1h30m
    #[arg(long = "for", value_name = "D", value_parser = span::parse)]
    pub(crate) duration: Option<span::Span>,
}

#[derive(Debug, Args)]
pub(crate) struct Why {
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Show at which rank the file's best scene is for this query
    #[arg(value_name = "QUERY")]
    pub(crate) query: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder for one page per verb [default: print the page of scenectl]
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;
    use testkit::documents;

    fn parse(words: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(words.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_a_help_with_examples() {
        fn check(command: &clap::Command) {
            for verb in command.get_subcommands() {
                let help = verb.clone().render_long_help().to_string();
                assert!(help.contains("scenectl "), "{}", verb.get_name());
                assert!(help.contains("Examples:"), "{}: {help}", verb.get_name());
                check(verb);
            }
        }
        let mut command = Cli::command();
        command.build();
        check(&command);
    }

    #[test]
    fn flags_may_stand_before_among_and_after_the_words() {
        let cli = parse("scenectl --json search -n 3 a dog --not cat --in /a --in /b on grass --by video").unwrap();
        assert!(cli.global.json);
        let Verb::Search(search) = cli.verb else { panic!("{:?}", cli.verb) };
        assert_eq!(search.query, ["a", "dog", "on", "grass"]);
        assert_eq!(search.not, ["cat"]);
        assert_eq!(search.selection.within, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!((search.selection.n, search.selection.by), (3, By::Video));
    }

    #[test]
    fn wrong_words_are_usage_errors() {
        let check = |words: &str, kind: ErrorKind| assert_eq!(parse(words).expect_err(words).kind(), kind, "{words}");
        check("scenectl", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
        check("scenectl search", ErrorKind::MissingRequiredArgument);
        check("scenectl search x -n 0", ErrorKind::ValueValidation);
        check("scenectl search x -n 1001", ErrorKind::ValueValidation);
        check("scenectl search x --since soon", ErrorKind::ValueValidation);
        check("scenectl search x --min-duration long", ErrorKind::ValueValidation);
        check("scenectl search x --min-confidence 2", ErrorKind::ValueValidation);
        check("scenectl search x --json --paths", ErrorKind::ArgumentConflict);
        check("scenectl search x --by frame", ErrorKind::InvalidValue);
        check("scenectl pause --for tomorrow", ErrorKind::ValueValidation);
        check("scenectl dance", ErrorKind::InvalidSubcommand);
    }

    #[test]
    fn what_the_documents_tell_people_to_type_can_be_typed() {
        let commands = documents::commands_of("scenectl");
        assert!(commands.len() >= 20, "only {} commands were found", commands.len());
        for (place, words) in commands {
            Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{place}: {words:?}\n{error}"));
        }
    }

    #[test]
    fn verbs_and_flags_that_the_documents_name_exist() {
        let mut scenectl = Cli::command();
        scenectl.build();
        let mentions = documents::mentions_of("scenectl");
        assert!(mentions.len() >= 20, "only {} commands were found", mentions.len());
        for (place, words) in mentions {
            let mut command = &scenectl;
            for word in words[1..].iter().map(|word| word.trim_matches(['[', ']'])) {
                if let Some(verb) = command.find_subcommand(word) {
                    command = verb;
                } else if let Some(flag) = word.strip_prefix("--") {
                    let mut flags = command.get_arguments().filter_map(clap::Arg::get_long);
                    assert!(flags.any(|known| known == flag), "{place}: `{}` has no {word}", command.get_name());
                } else {
                    assert!(!command.has_subcommands(), "{place}: there is no verb {word:?}");
                }
            }
        }
    }

    #[test]
    fn the_documents_name_every_verb() {
        let mentions = documents::mentions_of("scenectl");
        for verb in Cli::command().get_subcommands() {
            let verb = verb.get_name();
            assert!(mentions.iter().any(|(_, words)| words[1] == verb), "{verb} is in no document");
        }
    }
}
