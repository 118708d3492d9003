//! The part that both interfaces share: searching, remembering the moments shown, and acting on a chosen one.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use scened_shared::endpoint::Endpoint;
use tokio::sync::Semaphore;
use zbus::{Connection, Variant, fdo};

use crate::finder::{Finder, Found};
use crate::launch::{self, Launched, Programs};
use crate::moment::{Asked, Moment};
use crate::picture::{Picture, Pictures};
use crate::rate_limit::{Permit, RateLimit};
use crate::{log, notify};

/// Moments remembered by id: those of the last few dozen questions.
const N_REMEMBERED: usize = 512;
/// Timeout for pictures; late ones are shown at the next key press.
const PICTURE_TIMEOUT: Duration = Duration::from_millis(200);
/// Timeout after the user chose a moment that is not remembered: now the answer is worth a wait.
pub(crate) const CHOSEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Programs that may be started, at once and in a row. No user chooses faster than that; further requests are refused.
const N_STARTS: u32 = 5;
/// Interval after which one more program may start.
const ONE_MORE_START: Duration = Duration::from_secs(8);
/// The same for notifications: a desktop shows them one after the other.
const N_NOTIFICATIONS: u32 = 3;
const ONE_MORE_NOTIFICATION: Duration = Duration::from_secs(10);
/// Answers whose pictures are fetched at the same time; further answers have none.
const N_PICTURES: usize = 2;
/// How long a file manager may take to show a folder.
const FOLDER_TIMEOUT: Duration = Duration::from_secs(10);

/// Shown if a scene has no picture.
pub(crate) const ICON: &str = "video-x-generic";

pub(crate) struct Search {
    finder: Finder,
    /// For moments that are not remembered: in `finder`, typing would replace the question.
    recaller: Finder,
    pictures: Pictures,
    drawing: Arc<Semaphore>,
    starts: Arc<RateLimit>,
    told: Arc<RateLimit>,
    remembered: Mutex<VecDeque<Moment>>,
    programs: Programs,
    pub(crate) home: Option<PathBuf>,
}

impl Search {
    pub(crate) fn new(endpoint: &Endpoint, programs: Programs) -> Self {
        Self {
            finder: Finder::new(endpoint.clone()),
            recaller: Finder::new(endpoint.clone()),
            pictures: Pictures::new(endpoint.clone()),
            drawing: Arc::new(Semaphore::new(N_PICTURES)),
            starts: RateLimit::new(N_STARTS, ONE_MORE_START),
            told: RateLimit::new(N_NOTIFICATIONS, ONE_MORE_NOTIFICATION),
            remembered: Mutex::default(),
            programs,
            home: std::env::home_dir(),
        }
    }

    /// Searches, and remembers the results.
    pub(crate) async fn find(&self, query: &str, timeout: Duration) -> Found {
        let found = self.finder.find(query, timeout).await;
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

    /// Returns the moment of an id: from memory, otherwise by searching for the same query again.
    pub(crate) async fn recall(&self, id: &str, timeout: Duration) -> Option<Moment> {
        if let Some(moment) = self.remembered(id) {
            return Some(moment);
        }
        let asked = Asked::parse(id)?;
        let found = self.recaller.find(&asked.query, timeout).await;
        self.remember(&found);
        found.iter().find(|moment| moment.scene == asked.scene).cloned()
    }

    /// Returns the pictures of moments that have one, if it arrived in time.
    pub(crate) async fn pictures(&self, moments: &[Moment]) -> Vec<Option<Arc<Picture>>> {
        let scenes: Vec<String> = moments.iter().map(|moment| moment.scene.clone()).collect();
        // The daemon may not answer; typing must not leave a thread behind with each letter.
        let Ok(permit) = Arc::clone(&self.drawing).try_acquire_owned() else {
            return vec![None; moments.len()];
        };
        let pictures = self.pictures.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let found = pictures.of(&scenes);
            drop(permit);
            found
        });
        match tokio::time::timeout(PICTURE_TIMEOUT, looked).await {
            Ok(Ok(pictures)) => pictures,
            // Late, or the decoder panicked on a picture.
            _ => vec![None; moments.len()],
        }
    }

    /// Opens the video at the moment. A notification shows any obstacle, because the user does not see our standard error.
    pub(crate) async fn open(&self, connection: &Connection, moment: Moment, startup_id: Option<String>) -> fdo::Result<()> {
        let programs = self.programs.clone();
        let title = moment.title();
        let ran = start(self.permit()?, move || launch::open(&programs, &moment, startup_id)).await;
        self.tell(connection, &format!("{title} could not be opened"), ran).await;
        Ok(())
    }

    /// Shows all results on one page.
    pub(crate) async fn show_all(&self, connection: &Connection, query: &str, startup_id: Option<String>) -> fdo::Result<()> {
        let programs = self.programs.clone();
        let query = query.to_owned();
        let ran = start(self.permit()?, move || launch::sheet(&programs, &query, startup_id)).await;
        self.tell(connection, "The scenes could not be shown", ran).await;
        Ok(())
    }

    /// Shows the video in the file manager.
    pub(crate) async fn show_folder(&self, connection: &Connection, moment: &Moment) -> fdo::Result<()> {
        let _permit = self.permit()?;
        let uris = [launch::uri(&moment.path)];
        let arguments = (&uris[..], "");
        let name = "org.freedesktop.FileManager1";
        let call = connection.call_method(Some(name), "/org/freedesktop/FileManager1", Some(name), "ShowItems", &arguments);
        let why = match tokio::time::timeout(FOLDER_TIMEOUT, call).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        let what = format!("no file manager shows {}: {why}", moment.title());
        self.tell(connection, "The folder could not be opened", Err(what)).await;
        Ok(())
    }

    /// Takes a permit to start something. Too many or too frequent requests are refused; none of them waits.
    fn permit(&self) -> fdo::Result<Permit> {
        let refused = || fdo::Error::LimitsExceeded("too many videos and pages are being opened: try again in a few seconds".to_owned());
        self.starts.take(Instant::now()).ok_or_else(refused)
    }

    async fn tell(&self, connection: &Connection, summary: &str, ran: Launched) {
        let Err(why) = ran else { return };
        let Some(_permit) = self.told.take(Instant::now()) else { return };
        log::warn(&format!("{summary}: {why}"));
        notify::show(connection, summary, &why).await;
    }
}

/// Runs a program on its own thread; the permit ends with it.
async fn start(permit: Permit, program: impl FnOnce() -> Launched + Send + 'static) -> Launched {
    let ran = tokio::task::spawn_blocking(move || {
        let launched = program();
        drop(permit);
        launched
    });
    ran.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Properties of a result, in D-Bus's a{sv}.
pub(crate) type Properties = HashMap<&'static str, Variant<'static>>;
