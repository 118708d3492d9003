//! The daemon's side of the finder: a thread with one connection, the newest question first, pictures while there is none.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use scened_shared::client::{Client, ClientError};
use scened_shared::endpoint::Endpoint;
use scened_shared::message::SearchRequest;
use scened_shared::method;

use super::Event;
use crate::command::preview::thumbnail;
use crate::failure::Failure;

/// A word is typed in less: only the last of its letters is asked about.
const QUIET: Duration = Duration::from_millis(80);

/// How often a daemon that went away is looked for.
const RETRY: Duration = Duration::from_secs(1);

/// What is to be done. A newer question takes the place of an older one, and so do wishes for pictures.
#[derive(Debug, Default)]
struct Desk {
    question: Option<Question>,
    wanted: Vec<String>,
    /// The scene whose picture is being fetched.
    fetched: Option<String>,
    is_closed: bool,
}

#[derive(Clone, Debug)]
struct Question {
    number: u64,
    request: SearchRequest,
    due: Instant,
}

/// Hands questions to the thread; which ends when this is dropped, or with the program.
#[derive(Debug)]
pub(super) struct Connection {
    desk: Arc<(Mutex<Desk>, Condvar)>,
    n_asked: u64,
}

impl Connection {
    pub(super) fn start(client: Client, endpoint: Endpoint, tell: SyncSender<Event>) -> Self {
        let desk = Arc::<(Mutex<Desk>, Condvar)>::default();
        let worker = Worker {
            desk: Arc::clone(&desk),
            client: Some(client),
            endpoint,
            tell,
        };
        std::thread::spawn(move || worker.run());
        Self { desk, n_asked: 0 }
    }

    /// Asks soon, unless another question comes; `None` takes back what was asked. The first question is asked at once.
    pub(super) fn ask(&mut self, number: u64, request: Option<SearchRequest>) {
        let wait = if self.n_asked == 0 { Duration::ZERO } else { QUIET };
        self.n_asked += 1;
        let due = Instant::now() + wait;
        let mut desk = lock(&self.desk.0);
        desk.question = request.map(|request| Question { number, request, due });
        desk.wanted.clear();
        self.desk.1.notify_all();
    }

    /// The scenes whose pictures are missing, the most important first.
    pub(super) fn want(&self, mut scenes: Vec<String>) {
        let mut desk = lock(&self.desk.0);
        scenes.retain(|scene| desk.fetched.as_ref() != Some(scene));
        if desk.wanted != scenes {
            desk.wanted = scenes;
            self.desk.1.notify_all();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.desk.0).is_closed = true;
        self.desk.1.notify_all();
    }
}

/// Nothing is left half done in the desk: a thread that panicked has not spoiled it.
fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Job {
    Question(Question),
    Picture(String),
}

struct Worker {
    desk: Arc<(Mutex<Desk>, Condvar)>,
    client: Option<Client>,
    endpoint: Endpoint,
    tell: SyncSender<Event>,
}

impl Worker {
    fn run(mut self) {
        while let Some(job) = self.next() {
            let done = match &job {
                Job::Question(question) => self.answer(question),
                Job::Picture(scene) => self.picture(scene),
            };
            let error = match done {
                Ok(true) => continue,
                // The finder is gone.
                Ok(false) => return,
                Err(error) => error,
            };
            if let Job::Question(question) = job {
                let mut desk = lock(&self.desk.0);
                desk.question.get_or_insert(question);
            }
            if !self.reconnect(error) {
                return;
            }
        }
    }

    /// Waits for a question that is due, else for a picture; `None` at the end.
    fn next(&self) -> Option<Job> {
        let mut desk = lock(&self.desk.0);
        loop {
            if desk.is_closed {
                return None;
            }
            let left = desk
                .question
                .as_ref()
                .map(|question| question.due.saturating_duration_since(Instant::now()));
            match left {
                Some(Duration::ZERO) => return desk.question.take().map(Job::Question),
                Some(left) => desk = self.desk.1.wait_timeout(desk, left).unwrap_or_else(PoisonError::into_inner).0,
                None if !desk.wanted.is_empty() => {
                    let scene = desk.wanted.remove(0);
                    desk.fetched = Some(scene.clone());
                    return Some(Job::Picture(scene));
                }
                None => desk = self.desk.1.wait(desk).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn client(&mut self) -> Result<&mut Client, ClientError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => crate::command::connect(&self.endpoint)?,
        };
        Ok(self.client.insert(client))
    }

    /// **Errors**: the connection is of no more use. What the daemon refuses is an answer.
    fn answer(&mut self, question: &Question) -> Result<bool, ClientError> {
        let answer = match self.client()?.call::<method::Search>(&question.request) {
            Ok(answer) => Ok(answer),
            Err(error @ (ClientError::Rpc(_) | ClientError::RequestTooLarge { .. })) => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        Ok(self.tell.send(Event::Answer(question.number, answer)).is_ok())
    }

    fn picture(&mut self, scene: &str) -> Result<bool, ClientError> {
        let fetched = self.client().and_then(|client| thumbnail(client, scene));
        let told = match fetched {
            Ok(picture) => Ok(self.tell.send(Event::Picture(scene.to_owned(), picture)).is_ok()),
            Err(error) => Err(error),
        };
        // Not before it was told: until then it would be asked for again.
        lock(&self.desk.0).fetched = None;
        told
    }

    /// Tries until the daemon is there again; false when the finder is gone.
    fn reconnect(&mut self, error: ClientError) -> bool {
        self.client = None;
        let mut error = error;
        loop {
            let failure = Failure::from(error);
            let hint = failure.hints.first().map(|hint| format!(": {hint}")).unwrap_or_default();
            if self.tell.send(Event::Lost(format!("{}{hint}", failure.message))).is_err() {
                return false;
            }
            let again = Instant::now() + RETRY;
            let mut desk = lock(&self.desk.0);
            while let Some(left) = again.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                if desk.is_closed {
                    return false;
                }
                desk = self.desk.1.wait_timeout(desk, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            drop(desk);
            match self.client() {
                Ok(_) => return self.tell.send(Event::Connected).is_ok(),
                Err(again) => error = again,
            }
        }
    }
}
