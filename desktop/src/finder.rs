//! Searches while the user types: only the newest question counts, and no caller waits longer than its timeout.
//!
//! Owns one thread and one connection. The daemon answers one request of a connection at a time, and neither GNOME nor KDE can withdraw a
//! question. So there is one slot for a waiting question, and a newer question replaces it. A question that wakes a sleeping model runs to
//! its end, even if the caller has given up.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use scened_shared::client::ClientError;
use scened_shared::endpoint::Endpoint;
use scened_shared::message::{Filters, GroupBy, SearchRequest};
use scened_shared::method;
use tokio::sync::oneshot;

use crate::daemon::Daemon;
use crate::log;
use crate::moment::Moment;

/// Results per question: GNOME shows three to five, KRunner a few more.
const N_RESULTS: u32 = 8;
/// A hit below this is more likely wrong than right. Hits without a confidence, as in the first seconds of a slow model, are left out.
const MIN_CONFIDENCE: f32 = 0.5;
/// A query with fewer letters is only the beginning of a word.
const MIN_LETTERS: usize = 3;
/// The longest query that the daemon accepts.
const MAX_QUERY_BYTES: usize = 4_096;
/// Answers kept for a short time, for a deleted letter, or the same question after the model has woken.
const N_KEPT: usize = 16;
const KEEP_FOR: Duration = Duration::from_secs(10);

pub(crate) type Found = Arc<[Moment]>;

#[derive(Clone)]
pub(crate) struct Finder {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Option<Question>,
    has_thread: bool,
    kept: VecDeque<(Instant, String, Found)>,
}

struct Question {
    query: String,
    /// Dropped when a newer question replaces this one: then the caller gets "nothing" at once.
    answer: oneshot::Sender<Found>,
}

impl State {
    fn kept(&self, query: &str) -> Option<Found> {
        let kept = self.kept.iter().find(|(since, of, _)| of == query && since.elapsed() < KEEP_FOR);
        kept.map(|(_, _, found)| Arc::clone(found))
    }
}

impl Finder {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            shared: Arc::new(Shared {
                endpoint,
                state: Mutex::default(),
                asked: Condvar::new(),
            }),
        }
    }

    /// Returns what is found within `timeout`. Returns nothing if it takes longer, the daemon is off, the query is too short, or a newer
    /// one arrived.
    pub(crate) async fn find(&self, query: &str, timeout: Duration) -> Found {
        let Some(query) = worth_asking(query) else {
            self.shared.lock().waiting = None;
            return Found::default();
        };
        let answer = {
            let mut state = self.shared.lock();
            if let Some(found) = state.kept(&query) {
                state.waiting = None;
                return found;
            }
            let (sender, answer) = oneshot::channel();
            state.waiting = Some(Question { query, answer: sender });
            if !state.has_thread {
                let shared = Arc::clone(&self.shared);
                let started = std::thread::Builder::new().name("finder".to_owned()).spawn(move || shared.work());
                if let Err(error) = started {
                    log::warn(&format!("no thread could be started: {error}"));
                    return Found::default();
                }
                state.has_thread = true;
            }
            self.shared.asked.notify_one();
            answer
        };
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(found)) => found,
            _ => Found::default(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers questions for as long as the program lives.
    fn work(&self) {
        let mut daemon = Daemon::new(self.endpoint.clone());
        let mut complaint = String::new();
        loop {
            let question = {
                let mut state = self.lock();
                loop {
                    if let Some(question) = state.waiting.take() {
                        break question;
                    }
                    state = self.asked.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            };
            // Another caller may have asked the same while this question waited.
            let kept = self.lock().kept(&question.query);
            let found = kept.map_or_else(|| search(&mut daemon, &question.query), Ok);
            let mut state = self.lock();
            match found {
                Ok(found) => {
                    complaint.clear();
                    state.kept.truncate(N_KEPT - 1);
                    state.kept.push_front((Instant::now(), question.query, Arc::clone(&found)));
                    // A caller that gave up has dropped its receiver.
                    if state.waiting.is_none() {
                        question.answer.send(found).ok();
                    }
                }
                Err(error) => {
                    drop(state);
                    // Log it once, not with every letter.
                    let now = error.to_string();
                    if complaint != now {
                        log::warn(&now);
                        complaint = now;
                    }
                }
            }
        }
    }
}

/// Returns the query to send, or `None` if it is not complete enough.
fn worth_asking(query: &str) -> Option<String> {
    let query = query.trim();
    let n_letters = query.chars().filter(|c| c.is_alphanumeric()).count();
    (n_letters >= MIN_LETTERS && query.len() <= MAX_QUERY_BYTES).then(|| query.to_owned())
}

fn search(daemon: &mut Daemon, query: &str) -> Result<Found, ClientError> {
    let request = SearchRequest {
        query: query.to_owned(),
        n: N_RESULTS,
        not: Vec::new(),
        by: GroupBy::Scene,
        min_confidence: Some(MIN_CONFIDENCE),
        filters: Filters::default(),
    };
    let answer = daemon.call::<method::Search>(&request)?;
    let certain = answer
        .hits
        .iter()
        .filter(|hit| hit.confidence.is_some_and(|confidence| confidence >= MIN_CONFIDENCE));
    Ok(certain.filter_map(|hit| Moment::of(query, hit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_three_letters() {
        let check = |query: &str, asked: Option<&str>| assert_eq!(worth_asking(query).as_deref(), asked, "{query:?}");
        check("", None);
        check("do", None);
        check("  d  o ", None);
        check("!?!?!", None);
        check("dog", Some("dog"));
        check("  a dog ", Some("a dog"));
        check("日本語", Some("日本語"));
        check(&"x".repeat(MAX_QUERY_BYTES + 1), None);
    }
}
