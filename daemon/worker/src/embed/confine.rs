//! Gives up an embed worker's rights after ONNX Runtime's library is open and before a model is read. Weights come from a hub, and a model
//! is a program for ONNX Runtime.
//!
//! Landlock still allows reading the model, the libraries and the system's description of the processor, and writing to the cache of
//! graphs. seccomp forbids sockets, other programs and other processes. A model on the processor needs nothing else.
//!
//! A graphics driver reads files all over the system, writes to its devices and to shared memory, and talks to services through local
//! sockets. With a provider for a card, reading is therefore not restricted, and local sockets are allowed. If the driver's devices do not
//! exist yet, only one of the driver's own programs can create them, so nothing is restricted.
//!
//! Both layers apply to this thread and to the threads that it starts, so [`enter`] comes before any session.

use std::path::Path;

use scened_common::embed::protocol::LoadRequest;

use super::providers::Provider;

/// Whether a model is confined, and how, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Confinement {
    pub(super) stands: bool,
    pub(super) words: String,
}

/// Gives up what `providers` do not need. If that fails, the result says so, and the caller decides whether to continue.
pub(super) fn enter(request: &LoadRequest, providers: &[Provider]) -> Confinement {
    let on_card = providers
        .iter()
        .any(|provider| !matches!(provider, Provider::Cpu | Provider::Xnnpack));
    let needs_program = providers.iter().any(|provider| provider.is_nvidia()) && lacks_its_devices();
    if needs_program {
        return Confinement {
            stands: false,
            words: "the NVIDIA driver's devices do not exist yet; only the driver's own program creates them".to_owned(),
        };
    }
    match confine(request, on_card) {
        Ok(words) => Confinement { stands: true, words },
        Err(words) => Confinement { stands: false, words },
    }
}

/// Returns whether there is an NVIDIA card whose devices do not exist yet.
fn lacks_its_devices() -> bool {
    /// **Source**: NVIDIA Corporation in the list of PCI IDs.
    const NVIDIA: &str = "0x10de";
    let mut devices = std::fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let is_nvidia = |device: std::fs::DirEntry| std::fs::read_to_string(device.path().join("vendor")).is_ok_and(|id| id.trim() == NVIDIA);
    Path::new("/dev/nvidia-uvm").symlink_metadata().is_err() && devices.any(is_nvidia)
}

#[cfg(not(target_os = "linux"))]
fn confine(_request: &LoadRequest, _on_card: bool) -> Result<String, String> {
    Err("scened has no sandbox on this system".to_owned())
}

#[cfg(target_os = "linux")]
fn confine(request: &LoadRequest, on_card: bool) -> Result<String, String> {
    linux::close_files(request, on_card)?;
    linux::forbid_calls(on_card).map_err(|error| format!("seccomp cannot be used: {error}"))?;
    let words = if on_card {
        "Landlock and seccomp, with what a graphics driver needs"
    } else {
        "Landlock and seccomp"
    };
    Ok(words.to_owned())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::error::Error;
    use std::fs;
    use std::path::{Path, PathBuf};

    use landlock::{
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
        Scope, path_beneath_rules,
    };
    use libc::c_long;
    use scened_common::embed::protocol::LoadRequest;
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition as Condition, SeccompFilter,
        SeccompRule, TargetArch,
    };

    /// Paths that ONNX Runtime and the C library read: libraries opened late, the processor, memory, the time.
    const SYSTEM: [&str; 10] = [
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/nix/store",
        "/proc",
        "/sys",
        "/etc/ld.so.cache",
        "/etc/localtime",
    ];
    /// Folders that a graphics driver writes to.
    const DEVICES: [&str; 2] = ["/dev", "/tmp"];
    const HARMLESS_DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/urandom"];
    /// A model's folder is not deeper than this.
    const MAX_DEPTH: usize = 4;

    pub(super) fn close_files(request: &LoadRequest, on_card: bool) -> Result<(), String> {
        let mut readable: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        if on_card {
            readable = vec![PathBuf::from("/")];
        } else {
            readable.extend(HARMLESS_DEVICES.map(PathBuf::from));
            // If a link names the library, its companions are where the link leads.
            readable.extend(
                request
                    .onnxruntime
                    .canonicalize()
                    .ok()
                    .and_then(|library| library.parent().map(Path::to_owned)),
            );
            readable.extend(request.onnxruntime.parent().map(Path::to_owned));
            readable.push(request.model.path.clone());
            follow_links(&request.model.path, 0, &mut readable);
        }
        let mut writable: Vec<PathBuf> = Vec::new();
        if let Some(cache) = &request.graph_cache {
            // The folders above it cannot be created later. Without a cache, loading takes longer and nothing else changes.
            match fs::create_dir_all(cache) {
                Ok(()) => writable.push(cache.clone()),
                Err(error) => tracing::debug!(%error, cache = %cache.display(), "no graph is kept"),
            }
        }
        if on_card {
            writable.extend(DEVICES.map(PathBuf::from));
        }
        let closed = || -> Result<_, RulesetError> {
            Ruleset::default()
                .set_compatibility(CompatLevel::HardRequirement)
                .handle_access(AccessFs::from_all(ABI::V1))?
                .set_compatibility(CompatLevel::BestEffort)
                .handle_access(AccessFs::from_all(ABI::V4))?
                .handle_access(AccessNet::from_all(ABI::V9))?
                .scope(Scope::from_all(ABI::V9))?
                .create()?
                .add_rules(path_beneath_rules(&readable, AccessFs::from_read(ABI::V1)))?
                .add_rules(path_beneath_rules(&writable, AccessFs::from_all(ABI::V4)))?
                .restrict_self()
        };
        match closed().map_err(|error| format!("Landlock cannot be used: {error}"))?.ruleset {
            RulesetStatus::NotEnforced => Err("Landlock took no effect".to_owned()),
            _ => Ok(()),
        }
    }

    /// Adds the targets of links below a folder: a hub's cache keeps files elsewhere under their hashes.
    fn follow_links(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_symlink() => found.extend(path.canonicalize().ok()),
                Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => follow_links(&path, depth + 1, found),
                _ => {}
            }
        }
    }

    /// Calls that a model does not need and a graphics driver may need. A refused call fails with `EPERM`.
    const FORBIDDEN: &[c_long] = &[
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept,
        libc::SYS_accept4,
    ];

    /// Calls that neither a model nor a driver needs.
    const FORBIDDEN_TO_ALL: &[c_long] = &[
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_pidfd_send_signal,
        libc::SYS_io_uring_setup,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_open_by_handle_at,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_vfork,
    ];

    pub(super) fn forbid_calls(on_card: bool) -> Result<(), Box<dyn Error>> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = FORBIDDEN_TO_ALL.iter().map(|call| (*call, Vec::new())).collect();
        let unless = |index: u8, is: Is, value: u64| -> Result<_, Box<dyn Error>> {
            Ok(SeccompRule::new(vec![Condition::new(index, Width::Dword, is, value)?])?)
        };
        if on_card {
            // A driver's services listen on local sockets. Landlock restricts these to sockets with a path.
            let is_other = |family: i32| Condition::new(0, Width::Dword, Is::Ne, family as u64);
            let others = SeccompRule::new(vec![is_other(libc::AF_UNIX)?, is_other(libc::AF_NETLINK)?])?;
            rules.insert(libc::SYS_socket, vec![others]);
        } else {
            rules.extend(FORBIDDEN.iter().map(|call| (*call, Vec::new())));
            rules.insert(libc::SYS_socket, Vec::new());
        }
        // It may start threads but no processes, and send signals only to itself.
        let thread = libc::CLONE_THREAD as u64;
        let no_thread = Condition::new(0, Width::Qword, Is::MaskedEq(thread), 0)?;
        rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![no_thread])?]);
        let itself = u64::from(std::process::id());
        for call in [libc::SYS_kill, libc::SYS_tgkill] {
            rules.insert(call, vec![unless(0, Is::Ne, itself)?]);
        }
        rules.insert(libc::SYS_tkill, Vec::new());
        let arch = TargetArch::try_from(std::env::consts::ARCH)?;
        let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        // If the kernel seems not to know clone3, the C library uses clone, whose flags a filter can see.
        for (rules, errno) in [(unknown, libc::ENOSYS), (rules, libc::EPERM)] {
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch)?;
            let program: BpfProgram = filter.try_into()?;
            seccompiler::apply_filter(&program)?;
        }
        Ok(())
    }
}
