//! The finder's connection to the daemon: one thread that sends the newest question first, and fetches pictures while there is none.

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

/// Words are typed faster than this, so only their last letter sends a question.
const QUIET: Duration = Duration::from_millis(80);

/// How often to retry a daemon that went away.
const RETRY: Duration = Duration::from_secs(1);

/// Pending work. A newer question replaces an older one, and the same holds for wanted pictures.
#[derive(Debug, Default)]
struct Inbox {
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

/// Hands questions to the thread, which ends when this is dropped, or with the program.
#[derive(Debug)]
pub(super) struct Connection {
    inbox: Arc<(Mutex<Inbox>, Condvar)>,
    n_asked: u64,
}

impl Connection {
    pub(super) fn start(client: Client, endpoint: Endpoint, tell: SyncSender<Event>) -> Self {
        let inbox = Arc::<(Mutex<Inbox>, Condvar)>::default();
        let worker = Worker {
            inbox: Arc::clone(&inbox),
            client: Some(client),
            endpoint,
            tell,
        };
        std::thread::spawn(move || worker.run());
        Self { inbox, n_asked: 0 }
    }

    /// Sends a question soon, unless another one follows; `None` withdraws it. The first question is sent at once.
    pub(super) fn ask(&mut self, number: u64, request: Option<SearchRequest>) {
        let wait = if self.n_asked == 0 { Duration::ZERO } else { QUIET };
        self.n_asked += 1;
        let due = Instant::now() + wait;
        let mut inbox = lock(&self.inbox.0);
        inbox.question = request.map(|request| Question { number, request, due });
        inbox.wanted.clear();
        self.inbox.1.notify_all();
    }

    /// Sets the scenes whose pictures are missing, the most important first.
    pub(super) fn want(&self, mut scenes: Vec<String>) {
        let mut inbox = lock(&self.inbox.0);
        scenes.retain(|scene| inbox.fetched.as_ref() != Some(scene));
        if inbox.wanted != scenes {
            inbox.wanted = scenes;
            self.inbox.1.notify_all();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.inbox.0).is_closed = true;
        self.inbox.1.notify_all();
    }
}

/// Locks the inbox. No update of it is ever left half done, so a panicked thread has not corrupted it.
fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Job {
    Question(Question),
    Picture(String),
}

struct Worker {
    inbox: Arc<(Mutex<Inbox>, Condvar)>,
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
                // The finder has ended.
                Ok(false) => return,
                Err(error) => error,
            };
            if let Job::Question(question) = job {
                let mut inbox = lock(&self.inbox.0);
                inbox.question.get_or_insert(question);
            }
            if !self.reconnect(error) {
                return;
            }
        }
    }

    /// Waits for a question that is due, otherwise for a wanted picture; `None` at the end.
    fn next(&self) -> Option<Job> {
        let mut inbox = lock(&self.inbox.0);
        loop {
            if inbox.is_closed {
                return None;
            }
            let left = inbox
                .question
                .as_ref()
                .map(|question| question.due.saturating_duration_since(Instant::now()));
            match left {
                Some(Duration::ZERO) => return inbox.question.take().map(Job::Question),
                Some(left) => inbox = self.inbox.1.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0,
                None if !inbox.wanted.is_empty() => {
                    let scene = inbox.wanted.remove(0);
                    inbox.fetched = Some(scene.clone());
                    return Some(Job::Picture(scene));
                }
                None => inbox = self.inbox.1.wait(inbox).unwrap_or_else(PoisonError::into_inner),
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

    /// **Errors**: the connection can no longer be used. A refusal by the daemon is an answer.
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
        // Clear this only after sending: until then the finder would request the picture again.
        lock(&self.inbox.0).fetched = None;
        told
    }

    /// Retries until the daemon is back; returns false if the finder has ended.
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
            let mut inbox = lock(&self.inbox.0);
            while let Some(left) = again.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                if inbox.is_closed {
                    return false;
                }
                inbox = self.inbox.1.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            drop(inbox);
            match self.client() {
                Ok(_) => return self.tell.send(Event::Connected).is_ok(),
                Err(again) => error = again,
            }
        }
    }
}
