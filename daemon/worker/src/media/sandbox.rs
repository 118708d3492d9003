//! What a media worker gives up before it reads the first byte of a film: files, sockets, other processes, and most system calls.
//!
//! Landlock without any rule forbids every path, TCP port, abstract socket and signal to the outside; seccomp forbids what is not
//! needed to decode; limits bound memory and descriptors. What is open stays open: the film and the pipes. Both layers hold for the
//! calling thread and those it starts, so [`enter`] comes before any thread exists.

#[cfg(target_os = "linux")]
mod calls;

use std::sync::atomic::{AtomicBool, Ordering};

use scened::media::wire::Confinement;

/// Argument after the role: decode even where no sandbox can be had, and let a graphics driver open its devices.
pub(crate) const ALLOW_UNSANDBOXED: &str = scened::media::wire::ALLOW_UNSANDBOXED;

static ENTERED: AtomicBool = AtomicBool::new(false);

/// The layers to put up. Only tests leave one out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layers {
    pub(super) landlock: bool,
    pub(super) seccomp: bool,
}

impl Layers {
    pub(super) const ALL: Self = Self {
        landlock: true,
        seccomp: true,
    };
}

/// Whether this process is in the sandbox: no graphics driver works there.
pub(super) fn is_entered() -> bool {
    ENTERED.load(Ordering::Relaxed)
}

/// Puts up the sandbox, for good. Where that fails, [`Confinement::Refused`] unless `allow_unsandboxed`.
pub(super) fn enter(layers: Layers, allow_unsandboxed: bool) -> Confinement {
    match confine(layers) {
        Ok(how) => {
            ENTERED.store(true, Ordering::Relaxed);
            Confinement::Sandboxed { how }
        }
        // Other systems have nothing of the kind, and scened without films would help nobody there; `doctor` says it.
        Err(reason) if allow_unsandboxed || !cfg!(target_os = "linux") => Confinement::Unsandboxed { reason },
        Err(reason) => Confinement::Refused { reason },
    }
}

/// Puts up the sandbox around this process and prints what it is made of: the daemon asks so at its start.
#[expect(clippy::print_stdout, reason = "the answer to --sandbox")]
pub(crate) fn try_out() -> anyhow::Result<()> {
    match enter(Layers::ALL, false) {
        Confinement::Sandboxed { how } => {
            println!("{how}");
            Ok(())
        }
        Confinement::Unsandboxed { reason } | Confinement::Refused { reason } => anyhow::bail!(reason),
    }
}

#[cfg(not(target_os = "linux"))]
fn confine(_layers: Layers) -> Result<String, String> {
    Err("scened knows no sandbox on this system".to_owned())
}

/// Says what holds, or why not all of it does.
#[cfg(target_os = "linux")]
fn confine(layers: Layers) -> Result<String, String> {
    limit().map_err(|error| format!("the limits of a media worker cannot be set: {error}"))?;
    let mut held = Vec::new();
    if layers.landlock {
        held.push(close_paths_and_ports()?);
    }
    if layers.seccomp {
        calls::forbid().map_err(|error| format!("seccomp cannot be used: {error}"))?;
        held.push("seccomp".to_owned());
    }
    Ok(held.join(" and "))
}

/// Address space for frames: 32 of 8K at 10 bits, with room. Bytes.
#[cfg(target_os = "linux")]
const ADDRESS_SPACE: u64 = 4 << 30;
/// Address space that a decoder's thread may take besides: its stack, its heap, its frame. Bytes.
#[cfg(target_os = "linux")]
const ADDRESS_SPACE_OF_THREAD: u64 = 256 << 20;
/// Descriptors: four are open, and making the Landlock ruleset takes one.
#[cfg(target_os = "linux")]
const N_DESCRIPTORS: u64 = 8;

#[cfg(target_os = "linux")]
fn limit() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    let n_threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let address_space = ADDRESS_SPACE + n_threads * ADDRESS_SPACE_OF_THREAD;
    for (resource, most) in [
        (Resource::As, address_space),
        (Resource::Fsize, 0),
        (Resource::Nofile, N_DESCRIPTORS),
        (Resource::Core, 0),
    ] {
        // The administrator's own limit may be lower, and cannot be raised.
        let most = rustix::process::getrlimit(resource)
            .maximum
            .map_or(most, |maximum| maximum.min(most));
        setrlimit(
            resource,
            Rlimit {
                current: Some(most),
                maximum: Some(most),
            },
        )?;
    }
    // Nobody but root reads the memory of a process that holds somebody's film.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Landlock without any rule. The file system must be covered; the rest is as much as this kernel knows.
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
        (_, LandlockStatus::Available { effective_abi, .. }) => Ok(format!("Landlock (version {})", effective_abi as i32)),
        (_, status) => Ok(format!("Landlock ({status:?})")),
    }
}
