//! Decides when indexing waits for the rest of the machine: on battery, and if memory or the disks are scarce.
//!
//! The processor does not matter here: workers run at idle priority, and [`crate::worker::throttle`] does the rest.

use std::time::{Duration, Instant};

use crate::machine::pressure::Pressure;

/// Interval of looks at the machine while something is indexed or held.
pub(super) const INTERVAL: Duration = if cfg!(test) {
    Duration::from_millis(100)
} else {
    Duration::from_secs(5)
};
/// Time for which pressure on the disks counts as our own, after it went away as soon as indexing paused.
const OURS: Duration = Duration::from_mins(10);

/// The user's settings; see the keys `on-battery` and `pressure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrakeConfig {
    pub pause_on_battery: bool,
    /// Percent; 0 = never.
    pub pressure_percent: u32,
}

/// The observed state of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineState {
    pub on_battery: bool,
    pub pressure: Pressure,
}

impl MachineState {
    pub fn now() -> Self {
        Self {
            on_battery: crate::machine::power::on_battery(),
            pressure: Pressure::now(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Brake {
    looked: Option<Instant>,
    /// Why indexing holds, in words for `status`.
    hold: Option<&'static str>,
    /// The pause for busy disks, with their stall time at the last look; `None` if there is none.
    io_held: Option<IoHold>,
    io_is_ours_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct IoHold {
    since: Instant,
    looked: Instant,
    total_us: u64,
}

impl Brake {
    /// Returns whether the last look at the machine is too long ago.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= INTERVAL)
    }

    /// Returns why indexing holds, according to the last look.
    pub(super) fn hold(&self) -> Option<&'static str> {
        self.hold
    }

    /// Decides by the state of the machine at `now`.
    pub(super) fn poll(&mut self, config: BrakeConfig, machine_state: &MachineState, now: Instant) {
        self.looked = Some(now);
        let limit = f64::from(config.pressure_percent);
        self.hold = if config.pause_on_battery && machine_state.on_battery {
            Some("on battery: indexing waits for mains power (on-battery = \"pause\")")
        } else if config.pressure_percent == 0 {
            None
        } else if machine_state.pressure.memory_percent > limit {
            Some("memory is short: indexing waits (pressure)")
        } else if self.io_is_scarce(machine_state.pressure, limit, now) {
            Some("the disks are busy: indexing waits for other programs (pressure)")
        } else {
            None
        };
    }

    /// The kernel does not say who causes the pressure on the disks. So indexing pauses and looks again. If the pressure is gone then,
    /// indexing caused it, and pressure is ignored for a while: somebody who indexes a slow disk wants it indexed.
    fn io_is_scarce(&mut self, pressure: Pressure, limit: f64, now: Instant) -> bool {
        let Some(held) = &mut self.io_held else {
            let is_ours = self.io_is_ours_until.is_some_and(|until| now < until);
            if is_ours || pressure.io_percent <= limit {
                return false;
            }
            self.io_held = Some(IoHold {
                since: now,
                looked: now,
                total_us: pressure.io_total_us,
            });
            return true;
        };
        let elapsed_us = now.saturating_duration_since(held.looked).as_micros().max(1) as f64;
        let stalled_us = pressure.io_total_us.saturating_sub(held.total_us) as f64;
        if 100.0 * stalled_us / elapsed_us > limit {
            (held.looked, held.total_us) = (now, pressure.io_total_us);
            return true;
        }
        if now.saturating_duration_since(held.since) <= INTERVAL + INTERVAL / 2 {
            self.io_is_ours_until = Some(now + OURS);
        }
        self.io_held = None;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BrakeConfig = BrakeConfig {
        pause_on_battery: true,
        pressure_percent: 20,
    };

    fn machine_state(memory_percent: f64, io_percent: f64, io_total_us: u64) -> MachineState {
        MachineState {
            on_battery: false,
            pressure: Pressure {
                memory_percent,
                io_percent,
                io_total_us,
            },
        }
    }

    /// Polls with each state, an interval apart, and returns when indexing held.
    fn holds(brake: &mut Brake, start: Instant, machine_states: &[MachineState]) -> Vec<bool> {
        let poll = |(index, machine_state)| {
            let now = start + INTERVAL * index as u32;
            assert!(brake.is_due(now));
            brake.poll(CONFIG, machine_state, now);
            assert!(!brake.is_due(now));
            brake.hold().is_some()
        };
        machine_states.iter().enumerate().map(poll).collect()
    }

    #[test]
    fn battery_and_scarce_memory_hold_as_the_user_wants_it() {
        let (mut brake, now) = (Brake::default(), Instant::now());
        let on_battery = MachineState {
            on_battery: true,
            ..MachineState::default()
        };
        brake.poll(CONFIG, &on_battery, now);
        assert!(brake.hold().is_some_and(|hold| hold.contains("on-battery")));
        brake.poll(CONFIG, &machine_state(20.1, 0.0, 0), now);
        assert!(brake.hold().is_some_and(|hold| hold.contains("memory")));
        brake.poll(CONFIG, &machine_state(19.9, 0.0, 0), now);
        assert_eq!(brake.hold(), None);
        let never = BrakeConfig {
            pause_on_battery: false,
            pressure_percent: 0,
        };
        brake.poll(never, &machine_state(100.0, 100.0, 0), now);
        assert_eq!(brake.hold(), None);
    }

    #[test]
    fn disks_that_others_keep_busy_are_waited_for() {
        let second = 1_000_000;
        let (mut brake, start) = (Brake::default(), Instant::now());
        let busy = [0, 4 * second, 8 * second, 12 * second].map(|total_us| machine_state(0.0, 80.0, total_us));
        assert_eq!(holds(&mut brake, start, &busy), [true; 4]);
        // The average still says 60 %, but nothing has waited since the last look.
        assert_eq!(
            holds(&mut brake, start + INTERVAL * 4, &[machine_state(0.0, 60.0, 12 * second)]),
            [false]
        );
        assert_eq!(
            holds(&mut brake, start + INTERVAL * 5, &[machine_state(0.0, 60.0, 12 * second)]),
            [true],
            "others may come back"
        );
    }

    #[test]
    fn pressure_that_ends_when_we_hold_still_was_ours_and_is_not_minded_for_a_while() {
        let (mut brake, start) = (Brake::default(), Instant::now());
        let busy = machine_state(0.0, 80.0, 1_000_000);
        assert_eq!(holds(&mut brake, start, &[busy, busy, busy, busy]), [true, false, false, false]);
        assert_eq!(holds(&mut brake, start + OURS + INTERVAL * 2, &[busy]), [true]);
    }
}
