//! How a worker process behaves towards the machine and its parent; set once, before any thread exists.

#![expect(
    unsafe_code,
    reason = "prctl, ioprio_set, setrlimit and malloc_trim have no safe wrapper in the crates already used"
)]

/// Ends this process when the thread that started it ends, leaves Ctrl-C to the parent, writes no core files, and goes first where memory runs out.
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

/// Where memory runs out, this process is ended before the daemon and before what the user works with: its job is done again.
/// Raising one's own score needs no privilege; where it fails the system chooses as it always does.
fn be_ended_first() {
    #[cfg(target_os = "linux")]
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "900") {
        tracing::debug!(%error, "cannot offer this process to the out-of-memory killer");
    }
}

/// Takes only the processor and disk time that nobody else wants. Failures are harmless: some systems forbid it.
pub(crate) fn stay_in_background() {
    // SAFETY: `setpriority` takes integers only; 0 names this process.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
    }
    #[cfg(target_os = "linux")]
    {
        /// From linux/ioprio.h: this process, class idle.
        const WHO_PROCESS: libc::c_int = 1;
        const CLASS_IDLE: libc::c_int = 3 << 13;
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: `parameters` is valid for the call; 0 names this thread, the only one so far, and later ones inherit from it.
        unsafe {
            libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters);
        }
        // SAFETY: takes integers only.
        unsafe {
            libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE);
        }
    }
}

/// Gives the system the memory that was freed and that the allocator keeps for later.
pub(crate) fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes an integer and may be called by any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
