//! Keeps a problem that occurs a thousand times from filling the log with a thousand lines.
//!
//! Each place in the source may write [`COMPLAINTS`] or [`NEWS`] lines a minute. The number of further lines is logged when the minute is
//! over. Lines that somebody asked for (`debug`, `trace`) are not counted. **Threads**: one while lines are left out, until the minute is
//! over.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::dispatcher::WeakDispatch;
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines that one place in the source may write in a [`MINUTE`], for warnings and errors …
const COMPLAINTS: u64 = 20;
/// … and for `info`. More than a machine indexes; fewer than the files of a renamed folder.
const NEWS: u64 = 500;
const MINUTE: Duration = Duration::from_mins(1);

pub(super) struct RateLimit(Arc<Shared>);

struct Shared {
    minute: Duration,
    state: Mutex<State>,
    /// The log that receives the summaries.
    log: OnceLock<WeakDispatch>,
}

#[derive(Default)]
struct State {
    minutes: HashMap<Identifier, Minute>,
    /// Lines left out in minutes that are over, to be logged.
    over: Vec<Hidden>,
    /// Whether a thread waits for the end of a minute.
    is_waited: bool,
}

/// The lines of one place since `began`.
struct Minute {
    began: Instant,
    n_lines: u64,
    hidden: Option<Hidden>,
}

struct Hidden {
    level: Level,
    /// Message of the first line that was left out.
    message: String,
    n_lines: u64,
    /// Whether the lines are about videos, which `scenectl incidents` lists.
    are_incidents: bool,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self::of(MINUTE)
    }
}

impl RateLimit {
    pub(super) fn of(minute: Duration) -> Self {
        let shared = Shared {
            minute,
            state: Mutex::default(),
            log: OnceLock::new(),
        };
        Self(Arc::new(shared))
    }
}

impl<S: Subscriber> Layer<S> for RateLimit {
    fn on_register_dispatch(&self, log: &Dispatch) {
        // There is one subscriber.
        let _first = self.0.log.set(log.downgrade());
    }

    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // This module logs the summaries.
        if *metadata.level() > Level::INFO || metadata.target() == module_path!() {
            return true;
        }
        self.0.take(event, Instant::now())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a line, and returns whether to write it.
    fn take(self: &Arc<Self>, event: &Event<'_>, now: Instant) -> bool {
        let mut state = self.lock();
        let minute = state.minutes.entry(event.metadata().callsite()).or_insert(Minute {
            began: now,
            n_lines: 0,
            hidden: None,
        });
        let mut over = None;
        if now.saturating_duration_since(minute.began) >= self.minute {
            over = minute.hidden.take();
            minute.began = now;
            minute.n_lines = 0;
        }
        minute.n_lines += 1;
        let is_news = *event.metadata().level() == Level::INFO;
        let is_written = minute.n_lines <= if is_news { NEWS } else { COMPLAINTS };
        if !is_written {
            minute.hidden.get_or_insert_with(|| Hidden::of(event)).n_lines += 1;
        }
        state.over.extend(over);
        let wants_telling = !is_written || !state.over.is_empty();
        if wants_telling && !std::mem::replace(&mut state.is_waited, true) {
            drop(state);
            self.report_at_end();
        }
        is_written
    }

    /// Starts a thread that logs how many lines were left out. The logging thread cannot: it is in the middle of a line.
    fn report_at_end(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().name("log-summary".to_owned()).spawn(move || {
            let Some(log) = shared.log.get().and_then(WeakDispatch::upgrade) else {
                return;
            };
            tracing::dispatcher::with_default(&log, || {
                while let Some(end) = shared.report_what_is_over() {
                    std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
                }
            });
        });
        if thread.is_err() {
            // The next line that is left out tries again.
            self.lock().is_waited = false;
        }
    }

    /// Logs how many lines were left out in minutes that are over. Returns the end of the next minute in which some were.
    fn report_what_is_over(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.lock();
        let State { minutes, over, .. } = &mut *state;
        minutes.retain(|_, minute| {
            let is_over = now.saturating_duration_since(minute.began) >= self.minute;
            if is_over {
                over.extend(minute.hidden.take());
            }
            !is_over
        });
        let over = std::mem::take(over);
        let pending = state.minutes.values().filter(|minute| minute.hidden.is_some());
        let next = pending.map(|minute| minute.began + self.minute).min();
        state.is_waited = next.is_some();
        drop(state);
        over.iter().for_each(Hidden::report);
        next
    }
}

impl Hidden {
    fn of(event: &Event<'_>) -> Self {
        let mut message = Message(String::new());
        event.record(&mut message);
        Self {
            level: *event.metadata().level(),
            message: message.0,
            n_lines: 0,
            are_incidents: event.metadata().target().starts_with("scened::pipeline"),
        }
    }

    fn report(&self) {
        let Self { message, n_lines, .. } = self;
        let n = grouped(*n_lines);
        let rest = if self.are_incidents {
            "; scenectl incidents lists what cannot be indexed"
        } else {
            ""
        };
        match self.level {
            Level::ERROR => tracing::error!("{message}: … and {n} more like it within a minute{rest}"),
            Level::WARN => tracing::warn!("{message}: … and {n} more like it within a minute{rest}"),
            _ => tracing::info!("{message}: … and {n} more like it within a minute{rest}"),
        }
    }
}

/// `1,204`
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").expect("a string takes any text");
        }
    }
}
