//! `wait`: one connection waits, a second one shows the progress meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use scened_shared::client::Subscription;
use scened_shared::message::WaitRequest;
use scened_shared::method;

use crate::command::Context;
use crate::failure::{Failure, Outcome};
use crate::input::span::Span;
use crate::render::progress::{self, Lines, Progress};
use crate::render::{Out, text};

/// How much later than its own limit the daemon may report that the time ran out.
const GRACE: Duration = Duration::from_secs(30);

pub(super) fn run(context: &mut Context, timeout: Option<Span>) -> Result<Outcome, Failure> {
    let mut client = context.connect()?;
    let beside = if context.out.json { None } else { show_beside(context) };

    let timeout_ms = timeout.map(|span| span.ms);
    client.set_answer_limit(timeout_ms.map(|ms| Duration::from_millis(ms) + GRACE));
    let answer = client.call::<method::Wait>(&WaitRequest { timeout_ms });
    if let Some(progress) = beside
        && let Some(mut progress) = progress.lock().unwrap_or_else(PoisonError::into_inner).take()
    {
        progress.clear();
    }
    let answer = answer?;
    let out = &mut context.out;
    if out.json {
        out.json(&answer)?;
    } else if answer.idle {
        out.line(&format!("idle: {}", progress::coverage(&answer.videos)))?;
    } else {
        let left = answer.queue.walks + answer.queue.settling + answer.queue.jobs;
        out.line(&format!(
            "still busy, {} left: {}",
            text::count(left, "task"),
            progress::coverage(&answer.videos)
        ))?;
    }
    Ok(Outcome::found(answer.idle))
}

/// Emptied when the wait is over; the thread ends with the process.
type Shared = Arc<Mutex<Option<Progress>>>;

/// Shows progress next to the wait. Progress is optional: without it the wait continues all the same.
fn show_beside(context: &Context) -> Option<Shared> {
    let events = context.connect().ok()?.subscribe().ok()?;
    let out = Out::new(false);
    let mut progress = Progress::new(&out, Lines::Stderr);
    progress.status(&out, events.status()).ok()?;
    let shared: Shared = Arc::new(Mutex::new(Some(progress)));
    let theirs = Arc::clone(&shared);
    thread::Builder::new()
        .name("progress".to_owned())
        .spawn(move || follow(events, &out, &theirs))
        .ok()?;
    Some(shared)
}

fn follow(events: Subscription, out: &Out, shared: &Shared) {
    for event in events.map_while(Result::ok) {
        let mut progress = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(progress) = progress.as_mut() else { return };
        if progress.event(out, &event).is_err() {
            return;
        }
    }
}
