//! What both interfaces share: who searches, which moments were shown, and what happens when one is chosen.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use scened_shared::endpoint::Endpoint;
use zbus::{Connection, Variant};

use crate::finder::{Finder, Found};
use crate::launch::{self, Launched, Programs};
use crate::moment::{Asked, Moment};
use crate::picture::{Picture, Pictures};
use crate::{log, notify};

/// Moments that are remembered by name: those of the last dozens of questions.
const N_REMEMBERED: usize = 512;
/// How long pictures may take; later ones are shown at the next key press.
const PICTURE_PATIENCE: Duration = Duration::from_millis(200);
/// Somebody chose a moment that is not remembered: now an answer is worth waiting for.
pub(crate) const CHOSEN_PATIENCE: Duration = Duration::from_secs(10);

/// Shown where a scene has no picture.
pub(crate) const ICON: &str = "video-x-generic";

pub(crate) struct Desk {
    finder: Finder,
    /// For moments that are not remembered: whoever types takes the place of every other question in `finder`.
    recaller: Finder,
    pictures: Pictures,
    remembered: Mutex<VecDeque<Moment>>,
    programs: Programs,
    pub(crate) home: Option<PathBuf>,
}

impl Desk {
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        Self {
            finder: Finder::new(endpoint.clone()),
            recaller: Finder::new(endpoint.clone()),
            pictures: Pictures::new(endpoint.clone()),
            remembered: Mutex::default(),
            programs: Programs::of(endpoint),
            home: std::env::home_dir(),
        }
    }

    /// Searches, and remembers what was found.
    pub(crate) async fn find(&self, query: &str, patience: Duration) -> Found {
        let found = self.finder.find(query, patience).await;
        self.remember(&found);
        found
    }

    fn remember(&self, found: &[Moment]) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        for moment in found {
            remembered.retain(|old| old.id != moment.id);
            remembered.push_front(moment.clone());
        }
        remembered.truncate(N_REMEMBERED);
    }

    fn remembered(&self, id: &str) -> Option<Moment> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.iter().find(|moment| moment.id == id).cloned()
    }

    /// The moment of a name: as remembered, else as the daemon finds it for the same query.
    pub(crate) async fn recall(&self, id: &str, patience: Duration) -> Option<Moment> {
        if let Some(moment) = self.remembered(id) {
            return Some(moment);
        }
        let asked = Asked::parse(id)?;
        let found = self.recaller.find(&asked.query, patience).await;
        self.remember(&found);
        found.iter().find(|moment| moment.scene == asked.scene).cloned()
    }

    /// The pictures of moments, each where there is one and it came in time.
    pub(crate) async fn pictures(&self, moments: &[Moment]) -> Vec<Option<Arc<Picture>>> {
        let scenes: Vec<String> = moments.iter().map(|moment| moment.scene.clone()).collect();
        let pictures = self.pictures.clone();
        let looked = tokio::task::spawn_blocking(move || pictures.of(&scenes));
        match tokio::time::timeout(PICTURE_PATIENCE, looked).await {
            Ok(Ok(pictures)) => pictures,
            // Late, or a picture that the decoder panicked on.
            _ => vec![None; moments.len()],
        }
    }

    /// Opens the film there; what hinders it is shown as a notification, because nobody reads our standard error.
    pub(crate) async fn open(&self, connection: &Connection, moment: Moment, startup_id: Option<String>) {
        let programs = self.programs.clone();
        let title = moment.title();
        let ran = tokio::task::spawn_blocking(move || launch::open(&programs, &moment, startup_id)).await;
        tell(connection, &format!("{title} could not be opened"), ran.map_err(|e| e.to_string())).await;
    }

    /// Shows everything that is found on one page.
    pub(crate) async fn show_all(&self, connection: &Connection, query: &str, startup_id: Option<String>) {
        let programs = self.programs.clone();
        let query = query.to_owned();
        let ran = tokio::task::spawn_blocking(move || launch::sheet(&programs, &query, startup_id)).await;
        tell(connection, "The scenes could not be shown", ran.map_err(|e| e.to_string())).await;
    }

    /// Shows the film in the file manager.
    pub(crate) async fn show_folder(&self, connection: &Connection, moment: &Moment) {
        let uris = [launch::uri(&moment.path)];
        let shown = connection
            .call_method(
                Some("org.freedesktop.FileManager1"),
                "/org/freedesktop/FileManager1",
                Some("org.freedesktop.FileManager1"),
                "ShowItems",
                &(&uris[..], ""),
            )
            .await;
        if let Err(error) = shown {
            let what = format!("no file manager shows {}: {error}", moment.title());
            tell(connection, "The folder could not be opened", Ok(Err(what))).await;
        }
    }
}

async fn tell(connection: &Connection, summary: &str, ran: Result<Launched, String>) {
    if let Err(why) | Ok(Err(why)) = ran {
        log::warn(&format!("{summary}: {why}"));
        notify::show(connection, summary, &why).await;
    }
}

/// Properties of a result, in D-Bus's a{sv}.
pub(crate) type Properties = HashMap<&'static str, Variant<'static>>;
