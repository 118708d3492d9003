//! Queries to a file system that may never answer.

use std::time::Duration;

/// How long a file system may take to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Runs `look` on its own thread and returns its result, or `None` after two seconds. In that case the thread is left behind and ends with
/// the program.
pub fn run<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, answer) = std::sync::mpsc::sync_channel(1);
    // After the timeout no receiver is left.
    std::thread::spawn(move || drop(done.send(look())));
    answer.recv_timeout(LIMIT).ok()
}
