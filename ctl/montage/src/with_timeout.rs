//! Asking a file system that may never answer.

use std::time::Duration;

/// How long a file system may take to say what a path is.
const LIMIT: Duration = Duration::from_secs(2);

/// Runs `look` on a thread of its own and gives what it says. After two seconds it gives `None`; the thread is left behind then, and ends
/// with the program.
pub fn run<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, answer) = std::sync::mpsc::sync_channel(1);
    // Nobody listens any more once the time is up.
    std::thread::spawn(move || drop(done.send(look())));
    answer.recv_timeout(LIMIT).ok()
}
