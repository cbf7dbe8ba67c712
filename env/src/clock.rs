//! Time: a monotonic [`Instant`] for durations, and [`WallTime`] for what people read.
//!
//! The two are different types on purpose: wall time can jump in either direction, so it cannot
//! be subtracted from an instant, and nothing that must be ordered may use it.

use std::future::Future;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a node's monotonic clock, in nanoseconds since an origin that differs from node to
/// node and from boot to boot. In simulation every reading is greater than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// An instant `ns` nanoseconds after the origin.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the origin.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time (584 years).
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration_ns(duration)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Zero if `earlier` is later, like std's.
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// A duration in whole nanoseconds, saturating at `u64::MAX`.
pub(crate) fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A node's idea of calendar time: nanoseconds since 1970-01-01 UTC. May jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

impl WallTime {
    /// A wall time `ns` nanoseconds after the Unix epoch (negative: before it).
    pub const fn from_unix_ns(ns: i64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_unix_ns(self) -> i64 {
        self.0
    }
}

/// Clocks and timers of one node.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Reads the monotonic clock. Read it once per batch, not once per record.
    fn now(&self) -> Instant;

    /// Reads the wall clock.
    fn wall(&self) -> WallTime;

    /// Completes after `duration` on this node's monotonic clock.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static;
}
