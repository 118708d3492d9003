//! `model install`: command line → what to fetch → fetched → checked by the daemon → placed.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use scened_hub::catalog::is_research_only;
use scened_hub::client::Client;
use scened_hub::error::HubError;
use scened_hub::install::{self, Plan, Report, Source};
use scened_hub::layout::{Layout, Precision};
use scened_hub::settings::Settings;
use scened_hub::staging::Staging;
use scened_hub::{disk_space, local};
use scened_shared::message::{ModelRequest, ModelRow, NoParams};
use scened_shared::stop::Stop;
use scened_shared::wire_path::WirePath;
use scened_shared::{endpoint, method, shell};
use serde::Serialize;
use serde_json::Value;

use super::probe::{self, Probed};
use super::wanted::Wanted;
use crate::cli::ModelInstall;
use crate::command::{Context, doctor, wire};
use crate::failure::{Failure, Kind, Outcome};
use crate::render::text;
use crate::render::transfer::Transfer;

/// How long an interrupted download may take to write its last bytes.
const GRACE: Duration = Duration::from_secs(2);

/// The answer.
#[derive(Serialize)]
struct Installed {
    name: String,
    #[serde(flatten)]
    folder: WirePath,
    #[serde(flatten)]
    source: Source,
    layout: Layout,
    precision: Precision,
    /// How the precision was chosen, if the machine chose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<Probed>,
    size_bytes: u64,
    downloaded_bytes: u64,
    /// `daemon`, or `files` if the daemon could not be reached.
    checked_by: &'static str,
    files: Vec<Report>,
}

/// A model that is assembled but not yet placed.
struct Gathered {
    staging: Staging,
    files: Vec<Report>,
    layout: Layout,
    precision: Precision,
    /// Its files are there as well; only one of the two precisions is kept.
    rival: Option<Precision>,
    probe: Option<Probed>,
    downloaded_bytes: u64,
    source: Source,
}

pub(super) fn run(context: &mut Context, args: &ModelInstall) -> Result<Outcome, Failure> {
    let models = super::folder_of_models(context)?;
    let wanted = Wanted::of(args)?;
    let name = wanted.name(args)?;
    let target = models.join(&name);
    if target.try_exists().map_err(HubError::file("look at", &target))? {
        if !args.force {
            return Err(HubError::Installed { name, folder: target }.into());
        }
        refuse_in_use(context, &name, &target)?;
    }
    if let Wanted::Entry(entry) = &wanted {
        if let Some(why) = &entry.unavailable {
            let failure = Failure::new(format!("{} cannot be installed from the hub", entry.name)).cause(why);
            return Err(failure.hint("a folder with an export of your own can be installed: `scenectl model install ./DIR`"));
        }
        if entry.research_only && !accepted(context, args, &entry.licence)? {
            return Ok(Outcome::Nothing);
        }
    }
    // This may create the data folder, which will hold the index: only the user may read it, whatever the umask.
    #[cfg(unix)]
    let _of_user = rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let stop = Stop::default();
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.ask()).map_err(|error| Failure::new("cannot listen for Ctrl-C").cause(error.to_string()))?;
    let transfer = Arc::new(Transfer::new(&context.out));
    let gathered = gather(context, args, wanted, (&models, &name), &stop, &transfer);
    transfer.clear();
    let Some(gathered) = gathered? else { return Ok(Outcome::Nothing) };
    let gathered = choose_precision(context, gathered, &stop)?;
    place(context, args, name, gathered)
}

/// Refuses to replace a model in use: vectors of the old and new files would be mixed under one name.
fn refuse_in_use(context: &Context, name: &str, target: &Path) -> Result<(), Failure> {
    let Ok(answer) = context.ask::<method::ModelList>(&NoParams {}) else {
        return Ok(());
    };
    if answer.models.iter().any(|row| row.active && is_folder(row, target)) {
        return Err(Failure::new(format!("{name} is in use"))
            .hint("install beside it with --name NAME, or use another model first: `scenectl model use starter`"));
    }
    Ok(())
}

fn is_folder(row: &ModelRow, folder: &Path) -> bool {
    row.folder
        .to_path()
        .is_ok_and(|path| path == folder || path.canonicalize().ok() == folder.canonicalize().ok())
}

/// Returns whether the user accepted a licence that allows research only.
fn accepted(context: &mut Context, args: &ModelInstall, licence: &str) -> Result<bool, Failure> {
    if args.accept_licence {
        return Ok(true);
    }
    let licence = text::escape(licence);
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(
            Failure::new(format!("its licence allows research only: {licence}")).hint("read it, and use --accept-licence if you agree")
        );
    }
    let question = format!("Its licence allows research only: {licence}. Do you accept it?");
    let accepted = context.out.confirm(&question)?;
    if !accepted {
        context.out.note("nothing was installed")?;
    }
    Ok(accepted)
}

/// Assembles all files; `None` if the licence was not accepted.
fn gather(
    context: &mut Context,
    args: &ModelInstall,
    wanted: Wanted,
    (models, name): (&Path, &str),
    stop: &Stop,
    transfer: &Arc<Transfer>,
) -> Result<Option<Gathered>, Failure> {
    let (models, name) = (models.to_path_buf(), name.to_owned());
    let kept_bytes = disk_space::kept_bytes(endpoint::config_file(None).ok().as_deref());
    let watcher = Arc::clone(transfer);
    if let Wanted::Folder(folder) = wanted {
        let (wish, inner) = (args.precision.fixed(), stop.clone());
        let gathered = work(stop, move || {
            let (choice, precision, rival) = local::choose(&folder, wish)?;
            let mut staging = Staging::open(&models, &name, kept_bytes)?;
            let files = local::copy(&folder, &choice, &mut staging, &inner, &*watcher)?;
            Ok(Gathered {
                staging,
                files,
                layout: choice.layout,
                precision,
                rival,
                probe: None,
                downloaded_bytes: 0,
                source: Source::default(),
            })
        })?;
        return Ok(Some(gathered));
    }
    let settings = Settings::of_process().map_err(|error| Failure::new(error.to_string()).hint("give it as https://HOST, or unset it"))?;
    let client = Arc::new(Client::new(settings, stop.clone()));
    let wish = args.precision.fixed();
    let is_known = matches!(wanted, Wanted::Entry(_));
    let (asking, watching) = (Arc::clone(&client), Arc::clone(&watcher));
    let plan: Plan = work(stop, move || match wanted {
        Wanted::Entry(entry) => install::plan_entry(&asking, &entry, wish, &*watching),
        Wanted::Repository { repository, revision } => install::plan_repository(&asking, &repository, &revision, wish, &*watching),
        Wanted::Folder(_) => unreachable!("folders are copied above"),
    })?;
    if let Some(licence) = plan
        .source
        .licence
        .as_deref()
        .filter(|licence| !is_known && is_research_only(licence))
    {
        transfer.clear();
        if !accepted(context, args, licence)? {
            return Ok(None);
        }
    }
    let gathered = work(stop, move || {
        let (staging, files) = install::gather(&client, (&models, kept_bytes), &name, &plan, &*watcher)?;
        Ok(Gathered {
            staging,
            downloaded_bytes: files.iter().map(|file| file.network_bytes).sum(),
            files,
            layout: plan.layout,
            precision: plan.precision,
            rival: plan.rival,
            probe: None,
            source: plan.source,
        })
    })?;
    Ok(Some(gathered))
}

/// Does the work on its own thread, so that Ctrl-C ends the command even if a server is silent. The work may be interrupted at any point.
fn work<T: Send + 'static>(stop: &Stop, job: impl FnOnce() -> Result<T, HubError> + Send + 'static) -> Result<T, HubError> {
    struct Finish(Stop);
    impl Drop for Finish {
        fn drop(&mut self) {
            self.0.finish();
        }
    }
    stop.begin();
    let finish = Finish(stop.clone());
    let worker = std::thread::spawn(move || {
        let _finish = finish;
        job()
    });
    if !stop.wait_for_end(GRACE) {
        return Err(HubError::Interrupted);
    }
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Benchmarks fp32 and int8 if both were fetched, removes the one that is not kept, and records what the files are.
fn choose_precision(context: &mut Context, mut gathered: Gathered, stop: &Stop) -> Result<Gathered, Failure> {
    let program = doctor::find_daemon();
    let data_dir = context.data_dir.clone();
    if gathered.rival.is_some() {
        context
            .out
            .note("comparing fp32 and int8 on this machine; this takes up to half a minute")?;
    }
    Ok(work(stop, move || {
        if gathered.rival.is_some() {
            let probed = probe::probe(program.as_deref(), data_dir.as_deref(), &gathered.staging.files());
            install::keep_only(&mut gathered.staging, &mut gathered.files, probed.chosen)?;
            gathered.precision = probed.chosen;
            gathered.probe = Some(probed);
        }
        let Gathered {
            staging,
            files,
            precision,
            probe,
            source,
            ..
        } = &gathered;
        install::describe(staging, *precision, probe.as_ref(), source, files)?;
        Ok(gathered)
    })?)
}

/// Has a running daemon check the files, and installs the model.
fn place(context: &mut Context, args: &ModelInstall, name: String, gathered: Gathered) -> Result<Outcome, Failure> {
    let checked = match examine(context, &gathered.staging.files()) {
        Ok(checked) => checked,
        Err(failure) => {
            gathered.staging.discard();
            return Err(failure);
        }
    };
    let folder = gathered.staging.place(args.force)?;
    let installed = Installed {
        folder: wire(&folder)?,
        source: gathered.source,
        layout: gathered.layout,
        precision: gathered.precision,
        probe: gathered.probe,
        size_bytes: gathered.files.iter().map(|file| file.size_bytes).sum(),
        downloaded_bytes: gathered.downloaded_bytes,
        checked_by: if checked { "daemon" } else { "files" },
        files: gathered.files,
        name,
    };
    let name = installed.name.clone();
    let sees_it = !checked || finds(context, &name, &folder);
    let out = &mut context.out;
    if out.json {
        out.json(&installed)?;
    } else {
        let line = format!(
            "installed {name} ({}, {}) in {}",
            installed.precision,
            text::size(installed.size_bytes),
            out.path(&installed.folder)
        );
        out.line(&line)?;
    }
    if let Some(probe) = &installed.probe {
        let on = match (
            probe.measured.get("n_frames"),
            probe.measured.get("frames_from").and_then(Value::as_str),
        ) {
            (Some(n), Some(folder)) => format!(", on {n} pictures of {}", text::path(Path::new(folder), None)),
            _ => String::new(),
        };
        out.note(&format!("{} was kept: {}{on}", probe.chosen, probe.reason))?;
    }
    if !checked {
        out.note(&format!(
            "the daemon is not running, so the model is untested: `scenectl model info {name}` tests it"
        ))?;
    }
    if installed.files.iter().any(|file| file.hash.is_none()) && installed.source.repository.is_some() {
        out.note("the hub has no hash for some files: only their size was checked")?;
    }
    if sees_it {
        out.note(&format!("`scenectl model use {name}` indexes with it"))?;
    } else {
        let use_it = shell::word(&folder).map_or_else(String::new, |word| format!(": `scenectl model use {word}` uses it there"));
        out.note(&format!("the daemon searches other folders for models{use_it}"))?;
    }
    Ok(Outcome::Done)
}

/// Returns whether the daemon could be reached; fails if it says that the files are not a usable model.
fn examine(context: &Context, files: &Path) -> Result<bool, Failure> {
    let mut client = match context.connect() {
        Ok(client) => client,
        Err(failure) if matches!(failure.kind, Kind::Unreachable | Kind::Mismatch) => return Ok(false),
        Err(failure) => return Err(failure),
    };
    let Ok(model) = std::path::absolute(files)
        .map(PathBuf::into_os_string)
        .unwrap_or_default()
        .into_string()
    else {
        return Ok(false);
    };
    let refused = |cause: String| {
        Failure::new("the download is complete, but this version of scened cannot use the model; nothing was installed").cause(cause)
    };
    match client.call::<method::ModelInfo>(&ModelRequest { model, reindex: false }) {
        Ok(answer) => match answer.models.into_iter().find(|row| row.state != "usable") {
            Some(row) => Err(refused(row.state)),
            None => Ok(true),
        },
        Err(error) => {
            let failure = Failure::from(error);
            if failure.kind == Kind::Unreachable {
                return Ok(false);
            }
            let mut refused = refused(failure.message);
            refused.causes.extend(failure.causes);
            refused.hints = failure.hints;
            Err(refused)
        }
    }
}

/// Returns whether the daemon finds the model by its name at this place.
fn finds(context: &Context, name: &str, folder: &Path) -> bool {
    let request = ModelRequest {
        model: name.to_owned(),
        reindex: false,
    };
    let answer = context.ask::<method::ModelInfo>(&request);
    answer.is_ok_and(|answer| answer.models.iter().any(|row| is_folder(row, folder)))
}
