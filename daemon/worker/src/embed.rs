//! The embed worker: owns the model sessions.

/// Serves embed requests until standard input ends.
pub(crate) fn run() -> anyhow::Result<()> {
    anyhow::bail!("this build has no embed worker")
}
