//! One place to learn that anything changed: jobs, walks, the model, pauses.
//!
//! Producers on any thread call [`Activity::bump`]. Async readers (such as the requests `wait` and `subscribe`) await the next change
//! without polling. A `watch` channel holds one value, so a burst of bumps costs one wake-up and nothing queues.

use tokio::sync::watch;

#[derive(Clone, Debug)]
pub struct Activity(watch::Sender<u64>);

impl Default for Activity {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Activity {
    pub fn bump(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Returns a receiver that notices every bump after this call.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
