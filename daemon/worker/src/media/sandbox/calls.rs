//! The system calls that decoding needs, and the treatment of all others.

use std::collections::BTreeMap;
use std::error::Error;

use libc::{c_int, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition as Condition, SeccompFilter, SeccompRule,
    TargetArch,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that decoders, allocators and threads make on what is already open.
const ALLOWED: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    libc::SYS_ppoll,
    libc::SYS_fcntl,
    libc::SYS_getrusage,
    // glibc's qsort queries the amount of memory.
    libc::SYS_sysinfo,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Calls that libraries try but can do without: they fail with EPERM.
const REFUSED: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_ioctl,
    libc::SYS_uname,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
];

/// Forbids what decoding does not need, for this thread and all its descendants.
pub(super) fn forbid() -> Result<(), Box<dyn Error>> {
    // Each later filter is installed under the earlier ones. So the filter that would kill for that comes last. If several filters match a
    // call, the kernel applies the most severe action.
    for program in [unknown()?, refused()?, killed()?] {
        seccompiler::apply_filter(&program)?;
    }
    Ok(())
}

/// Makes clone3 fail as unknown, because its flags are in memory, where no filter sees them. The C library then uses clone.
fn unknown() -> Result<BpfProgram, Box<dyn Error>> {
    let rules = Rules::from([(libc::SYS_clone3, Vec::new())]);
    compile(rules, SeccompAction::Allow, errno(libc::ENOSYS))
}

fn refused() -> Result<BpfProgram, Box<dyn Error>> {
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    // A thread sets its name, and the next filter's installer sets no_new_privs again. Nothing else of prctl is needed.
    let other_than = |option: c_int| argument(0, Width::Dword, Is::Ne, option as u64);
    rules.insert(
        libc::SYS_prctl,
        vec![SeccompRule::new(vec![
            other_than(libc::PR_SET_NAME)?,
            other_than(libc::PR_SET_NO_NEW_PRIVS)?,
        ])?],
    );
    // No new machine code: all executable code was loaded before the video was read.
    let executable = || argument(2, Width::Dword, Is::MaskedEq(libc::PROT_EXEC as u64), libc::PROT_EXEC as u64);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![executable()?])?]);
    }
    compile(rules, SeccompAction::Allow, errno(libc::EPERM))
}

fn killed() -> Result<BpfProgram, Box<dyn Error>> {
    let known = ALLOWED.iter().chain(REFUSED).chain(&[libc::SYS_prctl, libc::SYS_clone3]);
    let mut rules: Rules = known.map(|call| (*call, Vec::new())).collect();
    // Allows threads, but no processes.
    let thread = argument(0, Width::Qword, Is::MaskedEq(libc::CLONE_THREAD as u64), libc::CLONE_THREAD as u64)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![thread])?]);
    // A process that aborts signals itself. The daemon should see why it ended.
    let itself = argument(0, Width::Dword, Is::Eq, u64::from(std::process::id()))?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![itself])?]);
    compile(rules, SeccompAction::KillProcess, SeccompAction::Allow)
}

fn argument(index: u8, width: Width, is: Is, value: u64) -> Result<Condition, seccompiler::BackendError> {
    Condition::new(index, width, is, value)
}

fn errno(code: c_int) -> SeccompAction {
    SeccompAction::Errno(code as u32)
}

fn compile(rules: Rules, otherwise: SeccompAction, on_match: SeccompAction) -> Result<BpfProgram, Box<dyn Error>> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, otherwise, on_match, arch)?.try_into()?)
}
