//! Two bounded lanes of inputs to embed, and the calls that wait for them.
//!
//! Knows nothing about processes, so that its order can be tested without one.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use scened_common::domain::{Embedding, Frame};
use scened_common::embed::protocol::{MAX_BATCH, MAX_TEXT_BYTES};

use crate::embed::EmbedError;

/// Number of texts that may wait. Further callers block until there is space.
const MAX_WAITING_TEXTS: usize = 256;
/// Number of frames that may wait (224×224: 7 MB). Further callers block until there is space.
const MAX_WAITING_FRAMES: usize = 3 * MAX_BATCH;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Texts,
    Frames,
}

/// One input to embed: a text's UTF-8 or a frame's RGB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload(pub(super) Vec<u8>);

impl Payload {
    /// Takes a text, cut at [`MAX_TEXT_BYTES`], far beyond every context length.
    pub(super) fn text(text: &str) -> Self {
        Self(text.as_bytes()[..text.floor_char_boundary(MAX_TEXT_BYTES)].to_vec())
    }

    pub(super) fn frame(frame: &Frame) -> Self {
        Self(frame.rgb.clone())
    }
}

/// One call of `embed_texts` or `embed_frames`, waiting for all its vectors.
#[derive(Debug)]
pub(super) struct Call {
    state: Mutex<CallState>,
    done: Condvar,
}

#[derive(Debug)]
struct CallState {
    results: Vec<Option<Embedding>>,
    n_missing: usize,
    error: Option<EmbedError>,
}

impl Call {
    pub(super) fn new(n: usize) -> Self {
        Self {
            state: Mutex::new(CallState {
                results: vec![None; n],
                n_missing: n,
                error: None,
            }),
            done: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, CallState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until every vector is there or one failed. Returns `None` if the deadline comes first.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Option<Result<Vec<Embedding>, EmbedError>> {
        let is_unfinished = |state: &CallState| state.error.is_none() && state.n_missing > 0;
        let mut state = self.state();
        while is_unfinished(&state) {
            state = wait_until(&self.done, state, deadline)?;
        }
        Some(match state.error.take() {
            Some(error) => Err(error),
            None => Ok(state.results.drain(..).flatten().collect()),
        })
    }

    pub(super) fn fail(&self, error: EmbedError) {
        self.state().error.get_or_insert(error);
        self.done.notify_all();
    }

    fn is_failed(&self) -> bool {
        self.state().error.is_some()
    }
}

/// Waits for a notification. Returns `None` if the deadline has passed.
fn wait_until<'a, T>(changed: &Condvar, state: MutexGuard<'a, T>, deadline: Option<Instant>) -> Option<MutexGuard<'a, T>> {
    match deadline {
        None => Some(changed.wait(state).unwrap_or_else(PoisonError::into_inner)),
        Some(deadline) => {
            let left = deadline.checked_duration_since(Instant::now())?;
            Some(changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0)
        }
    }
}

/// One input of one call. If it is dropped without a result, its call fails, so that no caller waits forever.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) payload: Payload,
    call: Arc<Call>,
    index: usize,
    is_finished: bool,
}

impl Drop for Item {
    fn drop(&mut self) {
        if !self.is_finished {
            self.call.fail(EmbedError::Bug);
        }
    }
}

impl Item {
    pub(super) fn finish(mut self, result: Result<Embedding, EmbedError>) {
        self.is_finished = true;
        match result {
            Err(error) => self.call.fail(error),
            Ok(vector) => {
                let mut state = self.call.state();
                if state.error.is_none() && state.results[self.index].replace(vector).is_none() {
                    state.n_missing -= 1;
                }
                if state.n_missing == 0 {
                    drop(state);
                    self.call.done.notify_all();
                }
            }
        }
    }

    /// Returns its position in its call, from 0.
    pub(super) fn index(&self) -> usize {
        self.index
    }
}

/// The next task of the owner.
#[derive(Debug)]
pub(super) enum Work {
    Embed(Lane, Vec<Item>),
    /// Nothing came until the deadline.
    Idle,
    Stop,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: Mutex<Lanes>,
    /// There is something to do for the owner.
    work: Condvar,
    /// Space became free in a lane, or the queue has ended.
    room: Condvar,
}

#[derive(Debug, Default)]
struct Lanes {
    texts: VecDeque<Item>,
    frames: VecDeque<Item>,
    /// Why no more inputs are accepted.
    over: Option<EmbedError>,
}

impl Lanes {
    fn lane(&mut self, lane: Lane) -> (&mut VecDeque<Item>, usize) {
        match lane {
            Lane::Texts => (&mut self.texts, MAX_WAITING_TEXTS),
            Lane::Frames => (&mut self.frames, MAX_WAITING_FRAMES),
        }
    }

    /// Takes up to `n` inputs whose calls have not failed.
    fn take(&mut self, lane: Lane, n: usize) -> Vec<Item> {
        let waiting = self.lane(lane).0;
        let mut batch = Vec::new();
        while batch.len() < n
            && let Some(item) = waiting.pop_front()
        {
            if !item.call.is_failed() {
                batch.push(item);
            }
        }
        batch
    }
}

impl Queue {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts all `payloads` of `call` into its lane, and waits for space if it is full. At the deadline the rest is left out, and the call
    /// stays unfinished.
    pub(super) fn put(&self, lane: Lane, call: &Arc<Call>, payloads: Vec<Payload>, deadline: Option<Instant>) -> Result<(), EmbedError> {
        let mut lanes = self.lanes();
        for (index, payload) in payloads.into_iter().enumerate() {
            let full = |lanes: &mut Lanes| {
                let (waiting, limit) = lanes.lane(lane);
                let is_full = waiting.len() >= limit;
                is_full && lanes.over.is_none() && !call.is_failed()
            };
            while full(&mut lanes) {
                match wait_until(&self.room, lanes, deadline) {
                    Some(again) => lanes = again,
                    None => return Ok(()),
                }
            }
            if let Some(error) = &lanes.over {
                return Err(error.clone());
            }
            if call.is_failed() {
                return Ok(());
            }
            lanes.lane(lane).0.push_back(Item {
                payload,
                call: Arc::clone(call),
                index,
                is_finished: false,
            });
            self.work.notify_one();
        }
        Ok(())
    }

    /// Blocks until there is something to do, or until the deadline, if any. Texts come first; `max_frames` limits a batch of frames.
    pub(super) fn next(&self, deadline: Option<Instant>, max_frames: usize) -> Work {
        let mut lanes = self.lanes();
        loop {
            if lanes.over.is_some() {
                return Work::Stop;
            }
            for (lane, n) in [(Lane::Texts, MAX_BATCH), (Lane::Frames, max_frames.clamp(1, MAX_BATCH))] {
                let batch = lanes.take(lane, n);
                // Dropping only unwanted inputs also frees space.
                self.room.notify_all();
                if !batch.is_empty() {
                    return Work::Embed(lane, batch);
                }
            }
            lanes = match deadline {
                None => self.work.wait(lanes).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left == Duration::ZERO {
                        return Work::Idle;
                    }
                    self.work.wait_timeout(lanes, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Fails all waiting inputs.
    pub(super) fn fail_all(&self, error: &EmbedError) {
        let waiting: Vec<Item> = {
            let mut lanes = self.lanes();
            let Lanes { texts, frames, .. } = &mut *lanes;
            texts.drain(..).chain(frames.drain(..)).collect()
        };
        for item in waiting {
            item.finish(Err(error.clone()));
        }
        self.room.notify_all();
    }

    /// Fails all waiting inputs, and all later ones.
    pub(super) fn stop(&self) {
        self.end(&EmbedError::ShuttingDown);
    }

    /// Does the same for another reason.
    pub(super) fn end(&self, error: &EmbedError) {
        self.lanes().over.get_or_insert_with(|| error.clone());
        self.work.notify_all();
        self.fail_all(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(queue: &Queue, lane: Lane, n: usize) -> Arc<Call> {
        let call = Arc::new(Call::new(n));
        let payloads = (0..n).map(|i| Payload(vec![i as u8])).collect();
        queue.put(lane, &call, payloads, None).unwrap();
        call
    }

    fn batch(queue: &Queue, max_frames: usize) -> (Lane, Vec<Item>) {
        match queue.next(Some(Instant::now()), max_frames) {
            Work::Embed(lane, items) => (lane, items),
            other => panic!("a batch was expected, got {other:?}"),
        }
    }

    fn vector() -> Embedding {
        Embedding::normalised(vec![1.0, 0.0]).unwrap()
    }

    #[test]
    fn texts_go_ahead_of_frames_that_came_first() {
        let queue = Queue::default();
        put(&queue, Lane::Frames, 20);
        put(&queue, Lane::Texts, 2);
        assert!(matches!(batch(&queue, 16), (Lane::Texts, items) if items.len() == 2));
        assert!(matches!(batch(&queue, 16), (Lane::Frames, items) if items.len() == 16));
        put(&queue, Lane::Texts, 1);
        assert!(
            matches!(batch(&queue, 16), (Lane::Texts, _)),
            "a text waited for more than one batch"
        );
    }

    #[test]
    fn frames_of_several_calls_share_a_batch_and_each_call_gets_its_own() {
        let queue = Queue::default();
        let calls = [put(&queue, Lane::Frames, 3), put(&queue, Lane::Frames, 2)];
        let (_, items) = batch(&queue, 16);
        assert_eq!(items.len(), 5);
        for item in items {
            item.finish(Ok(vector()));
        }
        assert_eq!(calls.map(|call| call.wait(None).unwrap().unwrap().len()), [3, 2]);
    }

    #[test]
    fn a_failed_thing_fails_its_call_alone() {
        let queue = Queue::default();
        let (bad, good) = (put(&queue, Lane::Frames, 2), put(&queue, Lane::Frames, 2));
        for (i, item) in batch(&queue, 16).1.into_iter().enumerate() {
            item.finish(if i == 0 {
                Err(EmbedError::Degenerate { what: "it".into() })
            } else {
                Ok(vector())
            });
        }
        assert_eq!(bad.wait(None).unwrap(), Err(EmbedError::Degenerate { what: "it".into() }));
        assert_eq!(good.wait(None).unwrap().unwrap().len(), 2);
    }

    #[test]
    fn a_full_lane_blocks_its_callers_until_the_owner_takes() {
        let queue = Arc::new(Queue::default());
        let n = MAX_WAITING_FRAMES + 5;
        let caller = {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || put(&queue, Lane::Frames, n).wait(None).unwrap().unwrap().len())
        };
        let mut taken = 0;
        while taken < n {
            let Work::Embed(_, items) = queue.next(None, 16) else {
                panic!("no batch")
            };
            assert!(queue.lanes().frames.len() <= MAX_WAITING_FRAMES);
            taken += items.len();
            for item in items {
                item.finish(Ok(vector()));
            }
        }
        assert_eq!(caller.join().unwrap(), n);
    }

    #[test]
    fn a_thing_that_is_dropped_fails_its_call() {
        let queue = Queue::default();
        let call = put(&queue, Lane::Texts, 2);
        drop(batch(&queue, 16));
        assert_eq!(call.wait(None), Some(Err(EmbedError::Bug)));
    }

    #[test]
    fn nobody_waits_longer_than_they_want_to_and_what_nobody_waits_for_is_not_embedded() {
        let queue = Queue::default();
        let deadline = || Some(Instant::now() + Duration::from_millis(20));
        let call = put(&queue, Lane::Texts, 1);
        assert_eq!(call.wait(deadline()), None);
        call.fail(EmbedError::Bug);
        put(&queue, Lane::Texts, MAX_WAITING_TEXTS - 1);
        let late = Arc::new(Call::new(1));
        queue.put(Lane::Texts, &late, vec![Payload(vec![])], deadline()).unwrap();
        assert_eq!(late.wait(deadline()), None, "the lane is full");
        assert!(matches!(batch(&queue, 16), (Lane::Texts, items) if items.iter().all(|item| !Arc::ptr_eq(&item.call, &call))));
    }

    #[test]
    fn stopping_fails_what_waits_and_what_comes() {
        let queue = Queue::default();
        let waiting = put(&queue, Lane::Texts, 1);
        queue.stop();
        assert_eq!(waiting.wait(None).unwrap(), Err(EmbedError::ShuttingDown));
        let late = Arc::new(Call::new(1));
        assert_eq!(
            queue.put(Lane::Texts, &late, vec![Payload(vec![])], None),
            Err(EmbedError::ShuttingDown)
        );
        assert!(matches!(queue.next(None, 1), Work::Stop));
    }

    #[test]
    fn a_call_for_nothing_returns_at_once() {
        assert_eq!(put(&Queue::default(), Lane::Texts, 0).wait(None), Some(Ok(vec![])));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "ä".repeat(MAX_TEXT_BYTES);
        let Payload(bytes) = Payload::text(&format!("x{text}"));
        assert!(bytes.len() <= MAX_TEXT_BYTES && String::from_utf8(bytes).is_ok());
    }
}
