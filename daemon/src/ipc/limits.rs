//! What one client, and all of them together, may hold: seats, long lines, large answers.
//!
//! Each limit is answered with [`ErrorKind::Overloaded`] and never waited out. Where seats are short, a process that has few
//! gets one of the process that has most, so that nobody can lock the others out by connecting often.
//!
//! [`ErrorKind::Overloaded`]: scened_shared::message::ErrorKind::Overloaded

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::requests::ClientProcess;

/// Clients connected at the same time. One more takes the seat of a process that has more, or of a client that was idle for
/// [`LONG_IDLE`]; where there is neither, it is told "overloaded" and closed.
pub(super) const MAX_CONNECTIONS: usize = 256;
/// Of the descriptors that the system allows us, so many at most are clients': the store, videos and workers need some.
const SHARE_OF_DESCRIPTORS: u64 = 3;
/// A client that asked nothing for so long may lose its seat when there are none left.
const LONG_IDLE: Duration = Duration::from_mins(1);

/// An unfinished line may have so many bytes without further ado.
pub(super) const LONG_LINE_BYTES: usize = 64 << 10;
/// Lines over [`LONG_LINE_BYTES`] that are being received at the same time; one more is refused and its connection closed.
const MAX_LONG_LINES: usize = 8;

/// An answer may have so many bytes without further ado.
const LARGE_ANSWER_BYTES: usize = 256 << 10;
/// Bytes of all answers over [`LARGE_ANSWER_BYTES`] that are being sent at the same time; what does not fit is answered "overloaded".
const MAX_OUTSTANDING_BYTES: usize = 192 << 20;
/// In what the bytes of large answers are counted.
const OUTSTANDING_UNIT: usize = 1 << 10;

pub(super) struct Limits {
    pub(super) seats: Arc<Seats>,
    long_lines: Arc<Semaphore>,
    outstanding: Arc<Semaphore>,
}

/// Held while something is counted.
pub(super) type Held = OwnedSemaphorePermit;

impl Limits {
    pub(super) fn of_system() -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let affordable = descriptors.map_or(MAX_CONNECTIONS, |n| (n / SHARE_OF_DESCRIPTORS) as usize);
        Self {
            seats: Arc::new(Seats {
                n_seats: affordable.clamp(1, MAX_CONNECTIONS),
                taken: Mutex::default(),
            }),
            long_lines: Arc::new(Semaphore::new(MAX_LONG_LINES)),
            outstanding: Arc::new(Semaphore::new(MAX_OUTSTANDING_BYTES / OUTSTANDING_UNIT)),
        }
    }

    /// For a line that has grown over [`LONG_LINE_BYTES`]; `None` where too many are long already.
    pub(super) fn long_line(&self) -> Option<Held> {
        Arc::clone(&self.long_lines).try_acquire_owned().ok()
    }

    /// For an answer of so many bytes; `Err` where too much is being sent already.
    pub(super) fn answer(&self, n_bytes: usize) -> Result<Option<Held>, ()> {
        if n_bytes <= LARGE_ANSWER_BYTES {
            return Ok(None);
        }
        let units = n_bytes.div_ceil(OUTSTANDING_UNIT) as u32;
        let held = Arc::clone(&self.outstanding).try_acquire_many_owned(units);
        held.map(Some).map_err(|_| ())
    }
}

/// Who is connected.
pub(super) struct Seats {
    n_seats: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next_id: u64,
    /// In the order in which they came.
    seats: Vec<Sitting>,
}

struct Sitting {
    id: u64,
    client: ClientProcess,
    /// Since when it asks nothing; `None` while it is answered.
    idle_since: Option<Instant>,
    leave: Arc<Notify>,
}

/// One client's place, given back when dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    id: u64,
    leave: Arc<Notify>,
}

impl Seats {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a client of this process; `None` where there is none.
    pub(super) fn take(self: &Arc<Self>, client: ClientProcess, now: Instant) -> Option<Seat> {
        let mut taken = self.taken();
        if taken.seats.len() >= self.n_seats {
            let index = taken.must_leave_for(client, now)?;
            taken.seats.remove(index).leave.notify_one();
        }
        let id = taken.next_id;
        taken.next_id += 1;
        let leave = Arc::new(Notify::new());
        taken.seats.push(Sitting {
            id,
            client,
            idle_since: Some(now),
            leave: Arc::clone(&leave),
        });
        Some(Seat {
            seats: Arc::clone(self),
            id,
            leave,
        })
    }
}

impl Taken {
    /// Of the process that has most seats, and more than `client` would have, the one that is idle longest; else of all processes one
    /// that is idle for long.
    fn must_leave_for(&self, client: ClientProcess, now: Instant) -> Option<usize> {
        let mut counts: HashMap<ClientProcess, usize> = HashMap::new();
        for seat in &self.seats {
            *counts.entry(seat.client).or_default() += 1;
        }
        let mine = counts.get(&client).copied().unwrap_or_default() + 1;
        let most = counts.values().max().copied().unwrap_or_default();
        let idlest = |admits: &dyn Fn(&Sitting) -> bool| {
            let seats = self.seats.iter().enumerate().filter(|(_, seat)| admits(seat));
            // Who is being answered comes last, and among these who came first.
            let index = seats.min_by_key(|(index, seat)| (seat.idle_since.is_none(), seat.idle_since, *index));
            index.map(|(index, _)| index)
        };
        let is_idle_for_long = |seat: &Sitting| {
            seat.idle_since
                .is_some_and(|since| now.saturating_duration_since(since) > LONG_IDLE)
        };
        if most > mine {
            idlest(&|seat| counts.get(&seat.client) == Some(&most))
        } else {
            idlest(&is_idle_for_long)
        }
    }
}

impl Seat {
    /// Notes that the client is being answered, or that it is not any more.
    pub(super) fn set_busy(&self, is_busy: bool) {
        let idle_since = (!is_busy).then(Instant::now);
        if let Some(seat) = self.seats.taken().seats.iter_mut().find(|seat| seat.id == self.id) {
            seat.idle_since = idle_since;
        }
    }

    /// Returns when another client needs the seat.
    pub(super) async fn must_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().seats.retain(|seat| seat.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(n_seats: usize) -> Arc<Seats> {
        Arc::new(Seats {
            n_seats,
            taken: Mutex::default(),
        })
    }

    fn left(seat: &Seat) -> bool {
        !seat.seats.taken().seats.iter().any(|sitting| sitting.id == seat.id)
    }

    #[test]
    fn who_has_most_seats_makes_room_and_nobody_for_an_equal() {
        let (room, now) = (seats(4), Instant::now());
        let greedy: Vec<Seat> = (0..4).map(|_| room.take(ClientProcess(1), now).unwrap()).collect();
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
        let n_greedy = greedy.iter().filter(|seat| !left(seat)).count();
        assert_eq!(room.taken().seats.len(), n_greedy, "seats are given back");
    }

    #[test]
    fn a_seat_that_is_idle_for_long_is_given_to_who_comes() {
        let (room, now) = (seats(2), Instant::now());
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
