//! How a worker process behaves towards the machine and its parent. Everything but `give_back_memory` is called once, before there are
//! other threads.

#![expect(
    unsafe_code,
    reason = "prctl, ioprio_set, setrlimit and malloc_trim have no safe wrapper in the crates already used"
)]

/// Ends this process when the thread that started it ends, leaves Ctrl-C to the parent and writes no core files. If memory runs out, this
/// process is killed first.
pub(crate) fn follow_parent() {
    #[cfg(target_os = "linux")]
    // SAFETY: PR_SET_PDEATHSIG takes one integer and touches no memory.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
    // SAFETY: ignoring a signal installs no handler of ours.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_IGN);
    }
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` is a valid `rlimit` that outlives the call.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
    }
    be_ended_first();
}

/// Has the system kill this process before the daemon and the user's programs if memory runs out, because its job can be repeated. Raising
/// one's own score needs no privilege. If it fails, the system chooses as usual.
fn be_ended_first() {
    #[cfg(target_os = "linux")]
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "900") {
        tracing::debug!(%error, "cannot offer this process to the out-of-memory killer");
    }
}

/// Takes only the processor and disk time that no other program wants. Failures are harmless: some systems forbid it.
pub(crate) fn stay_in_background() {
    // SAFETY: `setpriority` takes integers only; 0 names this process.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
    }
    #[cfg(target_os = "linux")]
    {
        /// From linux/ioprio.h: `WHO_PROCESS` means this process, `CLASS_IDLE` the idle class.
        const WHO_PROCESS: libc::c_int = 1;
        const CLASS_IDLE: libc::c_int = 3 << 13;
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: `parameters` is valid for the call. 0 names this thread, the only one so far, and later ones inherit from it.
        unsafe {
            libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters);
        }
        // SAFETY: the call takes integers only.
        unsafe {
            libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE);
        }
    }
}

/// Returns freed memory to the system that the allocator would keep for later.
pub(crate) fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes an integer, and any thread may call it at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
