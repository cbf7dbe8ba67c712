//! What something costs: CPU time of this thread. Nothing of a run depends on it.

/// CPU time of this thread so far, in nanoseconds; where no clock says that, the time that has
/// passed.
#[cfg(unix)]
pub(crate) fn thread_ns() -> u64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (seconds, ns) = (spent.tv_sec as u64, spent.tv_nsec as u64);
    seconds.saturating_mul(1_000_000_000).saturating_add(ns)
}

/// CPU time of this thread so far, in nanoseconds; where no clock says that, the time that has
/// passed.
#[cfg(not(unix))]
pub(crate) fn thread_ns() -> u64 {
    use std::sync::LazyLock;
    use std::time::Instant;
    #[expect(clippy::disallowed_methods, reason = "a cost, which decides nothing")]
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGUN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
