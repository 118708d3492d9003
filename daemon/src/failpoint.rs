//! Fail points: named places where tests make the program fail, panic or die. In a release they do nothing.
//!
//! `SCENED_FAIL_POINT=name=what` chooses one point. `what` is `error`, `panic`, `kill`, or the number of an operating system error. A
//! suffix limits it: `panic:3` applies only to the first three hits of the point.

/// Fails, panics or dies here if the environment names this point.
///
/// **Errors**: the error that the environment asks for.
#[cfg(not(any(test, feature = "testing")))]
#[inline]
pub(crate) fn hit(_point: &'static str) -> std::io::Result<()> {
    Ok(())
}

#[cfg(any(test, feature = "testing"))]
pub(crate) fn hit(point: &'static str) -> std::io::Result<()> {
    static ASKED: std::sync::LazyLock<Option<(String, String)>> = std::sync::LazyLock::new(|| {
        let asked = std::env::var("SCENED_FAIL_POINT").ok()?;
        asked.split_once('=').map(|(point, what)| (point.to_owned(), what.to_owned()))
    });
    match &*ASKED {
        Some((asked, what)) if asked == point => {
            static N_HITS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
            let (what, times) = what.split_once(':').unwrap_or((what, ""));
            let limit = times.parse().unwrap_or(u64::MAX);
            if N_HITS.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= limit {
                return Ok(());
            }
            tracing::warn!(point, what, "fail point");
            assert!(what != "panic", "fail point {point}");
            if what == "kill" {
                let myself = rustix::process::getpid();
                rustix::process::kill_process(myself, rustix::process::Signal::KILL)?;
            }
            Err(match what.parse() {
                Ok(code) => std::io::Error::from_raw_os_error(code),
                Err(_) => std::io::Error::other(format!("fail point {point}")),
            })
        }
        _ => Ok(()),
    }
}

/// Marks a fail point in code that returns no error: only `panic` and `kill` have an effect here.
#[inline]
pub fn panic_here(point: &'static str) {
    let _error = hit(point);
}
