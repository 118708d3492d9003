//! The life of the process: the signals that end it, and its restart if no service manager does that.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::fatal::Fatal;
use crate::supervise::{self, End, Supervised};

/// Environment variable: how often in a row this program has restarted itself.
const RESTARTS: &str = "SCENED_RESTARTS";
/// Pause before the first restart of a row. Each further pause is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// A run of this length ends a row of restarts.
const GOOD_RUN: Duration = Duration::from_mins(10);

/// Does what a service manager does: waits, and starts the program again. `exec` replaces this program, because it may still hold what a
/// panic or an error left behind: threads, locks, a database that accepts no more changes.
pub fn start_again(fatal: Fatal, program: Option<&Path>, stop: &watch::Receiver<bool>) -> Result<(), Fatal> {
    use std::os::unix::process::CommandExt as _;
    let known = std::env::var(RESTARTS).ok().and_then(|text| text.parse().ok()).unwrap_or(0_u32);
    let n_before = if STARTED.elapsed() < GOOD_RUN { known } else { 0 };
    let pause = FIRST_PAUSE.saturating_mul(1 << n_before.min(10)).min(LONGEST_PAUSE);
    tracing::warn!(reason = %fatal, "starting again in {} s", pause.as_secs());
    wait_for_stop(stop.clone(), pause)?;
    if *stop.borrow() {
        return Ok(());
    }
    let Some(program) = program else { return Err(fatal) };
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(RESTARTS, (n_before + 1).to_string())
        .exec();
    tracing::error!(program = %program.display(), %error, "cannot start again");
    Err(fatal)
}

/// The start of this process.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Records the start of the process.
pub fn note_start() {
    LazyLock::force(&STARTED);
}

fn wait_for_stop(mut stop: watch::Receiver<bool>, limit: Duration) -> Result<(), Fatal> {
    let failed = |error: std::io::Error| Fatal::Internal(format!("cannot wait: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        // The result does not matter: the caller checks `stop`.
        let _stopped = tokio::time::timeout(limit, stop.wait_for(|stop| *stop)).await;
    });
    Ok(())
}

/// The thread that waits for signals. It keeps a sender of the stop channel: if the thread is given up, a channel without a sender would
/// end the daemon.
pub struct Listening {
    _supervised: Arc<Supervised>,
    _stop: watch::Sender<bool>,
}

/// A second signal within this time after the first one does not end the process at once.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// Returns a channel that becomes true at SIGTERM or SIGINT.
pub fn stop_on_signal() -> Result<(watch::Receiver<bool>, Listening), Fatal> {
    use tokio::signal::unix::{SignalKind, signal};
    let (stop, stopping) = watch::channel(false);
    let kept = stop.clone();
    let failed = |error: std::io::Error| Fatal::Internal(format!("cannot listen for signals: {error}"));
    let new_runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut runtime = Some(new_runtime().map_err(failed)?);
    let body = move || {
        let runtime = match runtime.take().map_or_else(new_runtime, Ok) {
            Ok(runtime) => runtime,
            Err(error) => return End::Lost(format!("cannot listen for signals: {error}")),
        };
        runtime.block_on(async {
            // With a handler for SIGXFSZ, writing to a log (or anything else) at its size limit fails with an error instead of ending the
            // process.
            let _too_large = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
            let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
                tracing::error!("cannot listen for signals; stop scened with SIGKILL, which loses nothing");
                return std::future::pending().await;
            };
            if *stop.borrow() {
                // The stop was requested before this thread died and was started again.
                return;
            }
            crate::failpoint::panic_here("signals");
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.send_replace(true);
            let asked_at = Instant::now();
            // A second signal ends a shutdown that hangs. One that comes at once is the same request sent twice: `timeout` sends it to the
            // process and to its group, and so do terminals that close.
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if asked_at.elapsed() >= IMPATIENCE {
                    break;
                }
            }
            tracing::warn!("second signal: ending at once");
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap_or_default();
        });
        End::Asked
    };
    let supervised = Supervised::new("signals", "SIGTERM does not stop scened; SIGKILL does, and loses nothing");
    supervise::spawn(&supervised, body, |_| ()).map_err(failed)?;
    Ok((
        stopping,
        Listening {
            _supervised: supervised,
            _stop: kept,
        },
    ))
}
