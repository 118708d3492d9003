//! The actions in the menus of file managers: one action on one video or folder.
//!
//! Every menu runs this program, so all behave alike; a notification reports any obstacle. File names are passed to `scenectl` as
//! arguments, and to dialogs as titles, which no toolkit reads as markup.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use scened_shared::terminal;

use crate::launch::{self, Launched, N_ON_PAGE, Programs};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    /// Scenes that look like a video, on a page
    Like,
    /// All scenes of a video, on a page
    Scenes,
    /// Ask for words, and show what is found in a folder
    Search,
    /// Watch a folder
    Index,
    /// Stop watching a folder, after asking
    Unindex,
}

/// What to report after an action.
pub(crate) struct Done {
    pub(crate) summary: String,
    pub(crate) outcome: Result<Option<String>, String>,
}

/// Performs the action. Blocks while the user considers a dialog.
pub(crate) fn act(programs: &Programs, action: Action, path: &Path) -> Done {
    let name = terminal::escape(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
    let _place = match launch::action() {
        Ok(place) => place,
        Err(why) => {
            return Done {
                summary: format!("Nothing was done with {name}"),
                outcome: Err(why),
            };
        }
    };
    let (summary, outcome) = match action {
        Action::Like => (
            format!("Scenes like {name} could not be found"),
            show(programs, &["similar", "-n", N_ON_PAGE], path, "--html", None),
        ),
        Action::Scenes => (
            format!("The scenes of {name} could not be shown"),
            show(programs, &["sheet"], path, "--output", None),
        ),
        Action::Search => (format!("{name} could not be searched"), search(programs, path, &name)),
        Action::Index => {
            let added = launch::scenectl(programs, ["add".as_ref(), path.as_os_str()]);
            return Done {
                summary: match added {
                    Ok(()) => format!("{name} is being indexed"),
                    Err(_) => format!("{name} could not be indexed"),
                },
                outcome: added.map(|()| {
                    Some("Its scenes can be found as soon as they are indexed; `scenectl status` shows the progress.".to_owned())
                }),
            };
        }
        Action::Unindex => (format!("{name} is still indexed"), unindex(programs, path, &name)),
    };
    Done {
        summary,
        outcome: outcome.map(|()| None),
    }
}

/// Makes a page and opens it.
fn show(programs: &Programs, verb: &[&str], path: &Path, flag: &str, words: Option<&str>) -> Launched {
    let page = launch::page()?;
    let mut arguments: Vec<&OsStr> = verb.iter().map(OsStr::new).collect();
    arguments.extend([path.as_os_str(), "--force".as_ref(), flag.as_ref(), page.as_os_str()]);
    if let Some(words) = words {
        arguments.extend([OsStr::new("--"), words.as_ref()]);
    }
    launch::scenectl(programs, arguments)?;
    launch::browse(&page, None)
}

fn search(programs: &Programs, folder: &Path, name: &str) -> Launched {
    let asked = dialog(
        &format!("Search videos in {name}"),
        &["--entry", "--text=What do the scenes show?"],
        &["--inputbox", "What do the scenes show?"],
    );
    match asked? {
        Some(words) if !words.trim().is_empty() => {
            show(programs, &["search", "-n", N_ON_PAGE, "--in"], folder, "--html", Some(words.trim()))
        }
        _ => Ok(()),
    }
}

fn unindex(programs: &Programs, folder: &Path, name: &str) -> Launched {
    let question = "Its videos are dropped from the index. The files stay.";
    let asked = dialog(
        &format!("Stop indexing {name}?"),
        &["--question", &format!("--text={question}")],
        &["--warningcontinuecancel", question],
    );
    match asked? {
        Some(_) => launch::scenectl(programs, ["remove".as_ref(), "--yes".as_ref(), folder.as_os_str()]),
        None => Ok(()),
    }
}

/// Asks with the desktop's own dialog program. Returns `None` if the user cancelled.
fn dialog(title: &str, zenity: &[&str], kdialog: &[&str]) -> Result<Option<String>, String> {
    let title_of_zenity = format!("--title={title}");
    let zenity = ("zenity", [&[title_of_zenity.as_str()], zenity].concat());
    let kdialog = ("kdialog", [&["--title", title], kdialog].concat());
    let is_kde = std::env::var("XDG_CURRENT_DESKTOP").is_ok_and(|desktop| desktop.split(':').any(|name| name == "KDE"));
    let programs = if is_kde { [kdialog, zenity] } else { [zenity, kdialog] };
    for (program, arguments) in programs {
        let ran = Command::new(program)
            .args(&arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        match ran {
            Ok(ran) if ran.status.success() => return Ok(Some(String::from_utf8_lossy(&ran.stdout).trim_end_matches('\n').to_owned())),
            Ok(ran) if ran.status.code() == Some(1) => return Ok(None),
            Ok(ran) => return Err(format!("{program} shows no dialog ({})", ran.status)),
            Err(_) => {}
        }
    }
    Err("no program can show a dialog: install zenity or kdialog, or use scenectl in a terminal".to_owned())
}

/// Makes the path from the menu absolute, so that it is not a flag.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
