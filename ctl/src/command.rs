//! The verbs, one file each: command line → request → answer → lines.

use std::path::{Path, PathBuf};

use scened_shared::client::{Client, ClientError, ClientOptions};
use scened_shared::endpoint::Endpoint;
use scened_shared::method::Method;
use scened_shared::wire_path::WirePath;

use crate::cli::{Global, Verb};
use crate::failure::{Failure, Outcome};
use crate::input::place;
use crate::render::{Out, text};

mod answer;
#[cfg(feature = "browse")]
mod browse;
mod clocks;
mod doctor;
mod eval;
mod export;
mod files;
mod folders;
mod forget;
mod generate;
mod hits;
mod incidents;
mod model;
mod moments;
mod open;
mod pause;
mod preview;
mod scenes;
mod scope;
mod search;
mod sheet;
mod similar;
mod status;
mod wait;
mod why;

/// What every verb needs: the daemon's address, and where answers go.
#[derive(Debug)]
pub(crate) struct Context {
    socket: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    pub(crate) out: Out,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        Self {
            socket: global.socket,
            data_dir: global.data_dir,
            out: Out::new(global.json),
        }
    }

    fn endpoint(&self) -> Result<Endpoint, Failure> {
        Ok(Endpoint::resolve(self.socket.as_deref(), self.data_dir.as_deref())?)
    }

    fn data_dir(&self) -> Result<PathBuf, Failure> {
        Ok(scened_shared::endpoint::data_dir(self.data_dir.as_deref())?)
    }

    fn connect(&self) -> Result<Client, Failure> {
        Ok(connect(&self.endpoint()?)?)
    }

    /// Connects and sends one request.
    fn ask<M: Method>(&self, params: &M::Params) -> Result<M::Answer, Failure> {
        Ok(self.connect()?.call::<M>(params)?)
    }
}

fn connect(endpoint: &Endpoint) -> Result<Client, ClientError> {
    let options = ClientOptions {
        client: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ClientOptions::default()
    };
    Client::connect_with(endpoint, &options)
}

fn wire(path: &Path) -> Result<WirePath, Failure> {
    place::wire(path).map_err(|e| Failure::new(format!("{} cannot be made absolute", path.display())).cause(e.to_string()))
}

/// **Errors**: the path is not a regular file; opening a pipe would block forever. A missing file is left to the caller, which reports it.
fn check_file(path: &Path) -> Result<(), Failure> {
    let Some(what) = place::oddity(path) else { return Ok(()) };
    Err(Failure::new(format!("{} is {what}, not a video", text::path(path, None))).hint("give the name of a video's file"))
}

pub(crate) fn run(context: &mut Context, verb: Verb) -> Result<Outcome, Failure> {
    match verb {
        Verb::Search(args) => search::run(context, args),
        Verb::Similar(args) => similar::run(context, &args),
        #[cfg(feature = "browse")]
        Verb::Browse(args) => browse::run(context, &args),
        Verb::Open(args) => open::run(context, &args),
        Verb::Scenes(args) => scenes::run(context, &args),
        Verb::Sheet(args) => sheet::run(context, &args),
        Verb::Export(args) => export::run(context, &args),
        Verb::Status(args) => status::run(context, args.watch),
        Verb::Add(args) => folders::add(context, &args.folders),
        Verb::Remove(args) => folders::remove(context, &args),
        Verb::Forget(args) => forget::run(context, &args),
        Verb::Folders => folders::list(context),
        Verb::Wait(args) => wait::run(context, args.timeout),
        Verb::Rescan(args) => scope::rescan(context, &args),
        Verb::Retry(args) => scope::retry(context, args.scope.as_deref()),
        Verb::Incidents => incidents::run(context),
        Verb::Pause(args) => pause::pause(context, args.duration),
        Verb::Resume => pause::resume(context),
        Verb::Why(args) => why::run(context, &args),
        Verb::Eval(args) => eval::run(context, &args),
        Verb::Model(args) => model::run(context, args),
        Verb::Doctor => doctor::run(context),
        Verb::Completions(args) => generate::completions(context, args.shell),
        Verb::Man(args) => generate::man(context, args.folder.as_deref()),
    }
}
