//! What one client, and all clients together, may hold: seats, long lines, large answers.
//!
//! Exceeding a limit is answered with [`ErrorKind::Overloaded`], never with a wait. If no seat is free, a process that has few gets one
//! from the process that has most, so that no one can lock the others out by connecting often.
//!
//! [`ErrorKind::Overloaded`]: scened_shared::message::ErrorKind::Overloaded

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::requests::ClientProcess;

/// Clients connected at the same time. A further client takes the seat of a process that has more, or of a client that was idle for
/// [`LONG_IDLE`]. If there is neither, it is told "overloaded" and disconnected.
pub(super) const MAX_CONNECTIONS: usize = 256;
/// Clients get at most one in this many of the process's descriptors: the store, videos and workers need some.
const SHARE_OF_DESCRIPTORS: u64 = 3;
/// A client that asked nothing for this long may lose its seat if no other is free.
const LONG_IDLE: Duration = Duration::from_mins(1);

/// An unfinished line up to this size needs no permit.
pub(super) const LONG_LINE_BYTES: usize = 64 << 10;
/// Lines over [`LONG_LINE_BYTES`] that are received at the same time. A further one is refused and its connection closed.
const MAX_LONG_LINES: usize = 8;

/// An answer up to this size needs no permit.
const LARGE_ANSWER_BYTES: usize = 256 << 10;
/// Bytes of all answers over [`LARGE_ANSWER_BYTES`] that are sent at the same time. An answer that does not fit is replaced by
/// "overloaded".
const MAX_OUTSTANDING_BYTES: usize = 192 << 20;
/// The unit in which the bytes of large answers are counted.
const OUTSTANDING_UNIT: usize = 1 << 10;

pub(super) struct Limits {
    pub(super) slots: Arc<ConnectionSlots>,
    long_lines: Arc<Semaphore>,
    outstanding: Arc<Semaphore>,
}

/// A permit, held while something counts towards a limit.
pub(super) type Held = OwnedSemaphorePermit;

impl Limits {
    pub(super) fn of_system() -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let affordable = descriptors.map_or(MAX_CONNECTIONS, |n| (n / SHARE_OF_DESCRIPTORS) as usize);
        Self {
            slots: Arc::new(ConnectionSlots {
                n_slots: affordable.clamp(1, MAX_CONNECTIONS),
                taken: Mutex::default(),
            }),
            long_lines: Arc::new(Semaphore::new(MAX_LONG_LINES)),
            outstanding: Arc::new(Semaphore::new(MAX_OUTSTANDING_BYTES / OUTSTANDING_UNIT)),
        }
    }

    /// Returns a permit for a line that has grown over [`LONG_LINE_BYTES`]; `None` if there are too many long lines already.
    pub(super) fn long_line(&self) -> Option<Held> {
        Arc::clone(&self.long_lines).try_acquire_owned().ok()
    }

    /// Returns the permit for an answer of this size, `None` if it needs none; `Err` if too much is being sent already.
    pub(super) fn answer(&self, n_bytes: usize) -> Result<Option<Held>, ()> {
        if n_bytes <= LARGE_ANSWER_BYTES {
            return Ok(None);
        }
        let units = n_bytes.div_ceil(OUTSTANDING_UNIT) as u32;
        let held = Arc::clone(&self.outstanding).try_acquire_many_owned(units);
        held.map(Some).map_err(|_| ())
    }
}

/// The connected clients.
pub(super) struct ConnectionSlots {
    n_slots: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next_id: u64,
    /// In order of arrival.
    slots: Vec<TakenSlot>,
}

struct TakenSlot {
    id: u64,
    client: ClientProcess,
    /// Since when it has asked nothing; `None` while it is answered.
    idle_since: Option<Instant>,
    leave: Arc<Notify>,
}

/// The seat of one client, given back when dropped.
pub(super) struct Slot {
    slots: Arc<ConnectionSlots>,
    id: u64,
    leave: Arc<Notify>,
}

impl ConnectionSlots {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a seat for a client of this process; `None` if there is none.
    pub(super) fn take(self: &Arc<Self>, client: ClientProcess, now: Instant) -> Option<Slot> {
        let mut taken = self.taken();
        if taken.slots.len() >= self.n_slots {
            let index = taken.must_leave_for(client, now)?;
            taken.slots.remove(index).leave.notify_one();
        }
        let id = taken.next_id;
        taken.next_id += 1;
        let leave = Arc::new(Notify::new());
        taken.slots.push(TakenSlot {
            id,
            client,
            idle_since: Some(now),
            leave: Arc::clone(&leave),
        });
        Some(Slot {
            slots: Arc::clone(self),
            id,
            leave,
        })
    }
}

impl Taken {
    /// Returns the index of the client whose seat `client` gets. If a process has more seats than `client` would have, it is the longest
    /// idle client of the process with most. Otherwise it is the longest idle client of all, if it is idle for over [`LONG_IDLE`].
    fn must_leave_for(&self, client: ClientProcess, now: Instant) -> Option<usize> {
        let mut counts: HashMap<ClientProcess, usize> = HashMap::new();
        for slot in &self.slots {
            *counts.entry(slot.client).or_default() += 1;
        }
        let mine = counts.get(&client).copied().unwrap_or_default() + 1;
        let most = counts.values().max().copied().unwrap_or_default();
        let idlest = |admits: &dyn Fn(&TakenSlot) -> bool| {
            let slots = self.slots.iter().enumerate().filter(|(_, slot)| admits(slot));
            // Clients being answered come last, and among these the first to arrive is chosen.
            let index = slots.min_by_key(|(index, slot)| (slot.idle_since.is_none(), slot.idle_since, *index));
            index.map(|(index, _)| index)
        };
        let is_idle_for_long = |slot: &TakenSlot| {
            slot.idle_since
                .is_some_and(|since| now.saturating_duration_since(since) > LONG_IDLE)
        };
        if most > mine {
            idlest(&|slot| counts.get(&slot.client) == Some(&most))
        } else {
            idlest(&is_idle_for_long)
        }
    }
}

impl Slot {
    /// Records whether the client is being answered.
    pub(super) fn set_busy(&self, is_busy: bool) {
        let idle_since = (!is_busy).then(Instant::now);
        if let Some(slot) = self.slots.taken().slots.iter_mut().find(|slot| slot.id == self.id) {
            slot.idle_since = idle_since;
        }
    }

    /// Returns when another client needs the seat.
    pub(super) async fn must_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.taken().slots.retain(|slot| slot.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(n_slots: usize) -> Arc<ConnectionSlots> {
        Arc::new(ConnectionSlots {
            n_slots,
            taken: Mutex::default(),
        })
    }

    fn left(slot: &Slot) -> bool {
        !slot.slots.taken().slots.iter().any(|sitting| sitting.id == slot.id)
    }

    #[test]
    fn who_has_most_seats_makes_room_and_nobody_for_an_equal() {
        let (room, now) = (slots(4), Instant::now());
        let greedy: Vec<Slot> = (0..4).map(|_| room.take(ClientProcess(1), now).unwrap()).collect();
        assert!(room.take(ClientProcess(1), now).is_none(), "a fifth of the same process");
        greedy[0].set_busy(true);
        let first = room.take(ClientProcess(2), now).unwrap();
        assert!(left(&greedy[1]) && !left(&greedy[0]), "one that is answered goes last");
        let second = room.take(ClientProcess(2), now).unwrap();
        assert!(left(&greedy[2]));
        assert!(room.take(ClientProcess(2), now).is_none(), "two and two is fair");
        let third = room.take(ClientProcess(3), now);
        assert!(third.is_some(), "one is fewer than two");
        drop((first, second, third));
        let n_greedy = greedy.iter().filter(|slot| !left(slot)).count();
        assert_eq!(room.taken().slots.len(), n_greedy, "seats are given back");
    }

    #[test]
    fn a_seat_that_is_idle_for_long_is_given_to_who_comes() {
        let (room, now) = (slots(2), Instant::now());
        let idle = room.take(ClientProcess(1), now).unwrap();
        let busy = room.take(ClientProcess(2), now).unwrap();
        busy.set_busy(true);
        assert!(room.take(ClientProcess(3), now + LONG_IDLE).is_none());
        let later = now + LONG_IDLE + Duration::from_secs(1);
        let _new = room.take(ClientProcess(3), later).unwrap();
        assert!(left(&idle) && !left(&busy));
        assert!(room.take(ClientProcess(4), now).is_none(), "who is answered or just came stays");
    }

    #[test]
    fn large_answers_and_long_lines_have_a_bound_and_small_ones_none() {
        let limits = Limits::of_system();
        let mut held = Vec::new();
        while let Ok(answer) = limits.answer(16 << 20) {
            held.push(answer);
            assert!(held.len() < 1000, "there is no bound");
        }
        assert_eq!(held.len(), MAX_OUTSTANDING_BYTES / (16 << 20));
        assert!(matches!(limits.answer(LARGE_ANSWER_BYTES), Ok(None)));
        held.pop();
        assert!(limits.answer(16 << 20).is_ok());
        let lines: Vec<_> = std::iter::from_fn(|| limits.long_line()).take(1000).collect();
        assert_eq!(lines.len(), MAX_LONG_LINES);
    }
}
