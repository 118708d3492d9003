//! Removes a media worker's access to files, sockets, other processes and most system calls before it reads the first byte of a video.
//!
//! Landlock without any rule forbids every path and TCP port, and abstract sockets and signals of outside processes. seccomp forbids system
//! calls that decoding does not need. Limits bound memory, descriptors and processor time. Descriptors that are already open stay usable:
//! the video and the pipes. Both layers apply to the calling thread and to threads it starts, so [`enter`] must run before any other thread
//! exists.
//!
//! The sandbox knows nothing about videos except their size.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(all(feature = "malice", target_os = "linux"))]
pub(crate) mod malice;

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use scened_common::media::budget::Budget;
use scened_common::media::wire::Confinement;

/// Argument after the role: decode even if no sandbox is available, and let a graphics driver open its devices.
pub(crate) const ALLOW_UNSANDBOXED: &str = scened_common::media::wire::ALLOW_UNSANDBOXED;

static ENTERED: AtomicBool = AtomicBool::new(false);

/// The layers to set up. Only tests leave one out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layers {
    pub(crate) landlock: bool,
    pub(crate) seccomp: bool,
}

impl Layers {
    pub(crate) const ALL: Self = Self {
        landlock: true,
        seccomp: true,
    };
}

/// Returns whether this process is in the sandbox, where no graphics driver works.
pub(crate) fn is_entered() -> bool {
    ENTERED.load(Ordering::Relaxed)
}

/// Sets up the sandbox for the rest of the process. If a part fails, returns [`Confinement::Refused`] unless `allow_unsandboxed`; the other
/// parts stay active in either case.
pub(crate) fn enter(layers: Layers, budget: Budget, allow_unsandboxed: bool) -> Confinement {
    let Confined { held, missing } = confine(layers, budget);
    // Either layer keeps a driver from opening its devices.
    ENTERED.store(!held.is_empty(), Ordering::Relaxed);
    if missing.is_empty() {
        return Confinement::Sandboxed { how: held.join(" and ") };
    }
    let mut reason = missing.join("; ");
    if !held.is_empty() {
        reason = format!("{reason} (still active: {})", held.join(" and "));
    }
    // Other systems have no such sandbox, and refusing every video would help nobody there; `doctor` reports it.
    if allow_unsandboxed || !cfg!(target_os = "linux") {
        Confinement::Unsandboxed { reason }
    } else {
        Confinement::Refused { reason }
    }
}

/// Sets up the sandbox around this process and prints its layers. The daemon requests this when it starts.
pub(crate) fn try_out() -> anyhow::Result<()> {
    match enter(Layers::ALL, Budget::of_bytes(0), false) {
        Confinement::Sandboxed { how } => {
            writeln!(std::io::stdout(), "{how}")?;
            Ok(())
        }
        Confinement::Unsandboxed { reason } | Confinement::Refused { reason } => anyhow::bail!(reason),
    }
}

/// The active layers of the sandbox, and the reasons why others are missing.
#[derive(Default)]
struct Confined {
    held: Vec<String>,
    missing: Vec<String>,
}

#[cfg(not(target_os = "linux"))]
fn confine(_layers: Layers, _budget: Budget) -> Confined {
    Confined {
        missing: vec!["scened has no sandbox on this system".to_owned()],
        ..Confined::default()
    }
}

#[cfg(target_os = "linux")]
fn confine(layers: Layers, budget: Budget) -> Confined {
    let mut confined = Confined::default();
    if let Err(error) = limit(budget) {
        confined
            .missing
            .push(format!("the limits of a media worker cannot be set: {error}"));
    }
    if layers.landlock {
        match close_paths_and_ports() {
            Ok(how) => confined.held.push(how),
            Err(reason) => confined.missing.push(reason),
        }
    }
    if layers.seccomp {
        match calls::forbid() {
            Ok(()) => confined.held.push("seccomp".to_owned()),
            Err(error) => confined.missing.push(format!("seccomp cannot be used: {error}")),
        }
    }
    confined
}

/// Address space for frames: room for 32 frames of 8K at 10 bits. Bytes.
#[cfg(target_os = "linux")]
const ADDRESS_SPACE: u64 = 4 << 30;
/// Additional address space for each thread of a decoder: its stack, its heap, its frame. Bytes.
#[cfg(target_os = "linux")]
const ADDRESS_SPACE_OF_THREAD: u64 = 256 << 20;
/// Most descriptors. Four are open, and creating the Landlock ruleset takes one.
#[cfg(target_os = "linux")]
const N_DESCRIPTORS: u64 = 8;

/// Time between the signal that ends a worker and the one that it cannot catch.
#[cfg(target_os = "linux")]
const PROCESSOR_GRACE_SECONDS: u64 = 5;

/// Returns whether memory may run out before our own limit is reached: because an administrator set a limit, or because the kernel does not
/// overcommit.
#[cfg(target_os = "linux")]
fn memory_is_bounded_by_others() -> bool {
    use rustix::process::{Resource, getrlimit};
    let is_strict = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").is_ok_and(|mode| mode.trim() == "2");
    is_strict
        || [Resource::As, Resource::Data]
            .into_iter()
            .any(|resource| getrlimit(resource).current.is_some())
}

#[cfg(target_os = "linux")]
fn limit(budget: Budget) -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    if memory_is_bounded_by_others() {
        super::evidence::memory_is_scarce();
    }
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let address_space = ADDRESS_SPACE + n_threads * ADDRESS_SPACE_OF_THREAD;
    for (resource, most, grace) in [
        (Resource::As, address_space, 0),
        // The daemon's watchdog ends a worker that makes no progress. This limit ends one that never stops, even if the daemon is gone. The
        // catchable signal of this limit comes first, so that the end is not mistaken for a kill from outside.
        (Resource::Cpu, budget.most_processor_time().as_secs(), PROCESSOR_GRACE_SECONDS),
        (Resource::Fsize, 0, 0),
        (Resource::Nofile, N_DESCRIPTORS, 0),
        (Resource::Core, 0, 0),
    ] {
        // The administrator's own limit may be lower, and cannot be raised.
        let maximum = rustix::process::getrlimit(resource).maximum;
        let at_most = |wanted: u64| maximum.map_or(wanted, |maximum| maximum.min(wanted));
        setrlimit(
            resource,
            Rlimit {
                current: Some(at_most(most)),
                maximum: Some(at_most(most + grace)),
            },
        )?;
    }
    // Only root may read the memory of a process that holds somebody's video.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Applies Landlock without any rule. Covering the file system is required; the rest depends on the kernel.
#[cfg(target_os = "linux")]
fn close_paths_and_ports() -> Result<String, String> {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
    };

    let closed = || -> Result<_, RulesetError> {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V1))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V9))?
            .handle_access(AccessNet::from_all(ABI::V9))?
            .scope(Scope::from_all(ABI::V9))?
            .create()?
            .restrict_self()
    };
    let status =
        closed().map_err(|error| format!("Landlock cannot be used: {error}; Linux 5.13 and later have it, unless it is switched off"))?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => Err("Landlock took no effect".to_owned()),
        (_, LandlockStatus::Available { effective_abi, .. }) => Ok(landlock_in_words(effective_abi as i32)),
        (_, status) => Ok(format!("Landlock ({status:?})")),
    }
}

/// Describes what this kernel's Landlock covers. seccomp forbids sockets and signals as well.
#[cfg(target_os = "linux")]
fn landlock_in_words(version: i32) -> String {
    let lacks = match version {
        ..4 => ", an old one: it closes paths, but neither ports, nor abstract sockets, nor signals",
        4..6 => ", an old one: it closes paths and ports, but neither abstract sockets nor signals",
        _ => "",
    };
    format!("Landlock (version {version}{lacks})")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::landlock_in_words;

    #[test]
    fn what_an_old_kernel_does_not_close_is_said() {
        assert_eq!(landlock_in_words(7), "Landlock (version 7)");
        assert!(landlock_in_words(4).contains("neither abstract sockets"));
        assert!(landlock_in_words(1).contains("neither ports"));
    }
}
