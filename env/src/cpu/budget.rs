//! The budget of an operation, and what is noted of one that goes over it.

use std::fmt;
use std::time::Duration;

/// The most CPU time that one operation may burn: a call of [`run`](super::run), a future of
/// [`in_class`](super::in_class), or one of its polls.
///
/// Each operation is judged at the end of each of its slices, by an upper bound of its CPU time:
/// that is at most the monotonic time of the slice, and at most what the thread has burned since a
/// reading before it. Hence
/// * **none is missed**, however short the interval in which it burned and whatever was before;
/// * nothing is flagged without a reading of the CPU clock: sleeping and being preempted are free;
/// * a flag may be wrong by less than a [quantum](super::CpuOptions::quantum) for each slice of the
///   operation (and each stretch of it between nested ones), and only where the thread was stopped
///   within the slice. An operation of one slice below the limit less a quantum is not flagged.
///
/// What never ends its slice is never judged, and slices on threads without a meter do not count.
///
/// The two clocks may run at rates that differ by 1/1000, which is more than time servers do to a
/// kernel's (500 ppm); the bound is wider by that.
///
/// On Windows the CPU clock advances in ticks of 15.6 ms and bounds nothing below that: there only
/// the monotonic time decides, and an operation that sleeps is flagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuBudget {
    limit: Duration,
}

impl CpuBudget {
    /// The smallest limit. Below, interrupts of the machine would be flagged.
    pub const LIMIT_MIN: Duration = Duration::from_micros(100);

    /// A budget of `limit` for each operation.
    ///
    /// # Errors
    /// [`CpuError::LimitTooSmall`] below [`Self::LIMIT_MIN`].
    pub fn new(limit: Duration) -> Result<Self, CpuError> {
        match limit < Self::LIMIT_MIN {
            true => Err(CpuError::LimitTooSmall { limit }),
            false => Ok(Self { limit }),
        }
    }

    /// The limit.
    pub const fn limit(self) -> Duration {
        self.limit
    }
}

/// An operation that went over its budget. It is noted at the end of the slice in which it did,
/// once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The name of its class.
    pub class: &'static str,
    /// What it has burned until then, at most.
    pub cpu: Duration,
    /// When, after the meter or the accounts began.
    pub at: Duration,
}

/// Why nothing can be measured as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CpuError {
    /// A budget below [`CpuBudget::LIMIT_MIN`].
    LimitTooSmall {
        /// What was asked for.
        limit: Duration,
    },
    /// The thread has a meter already.
    AlreadyMetered,
}

impl fmt::Display for CpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LimitTooSmall { limit } => write!(
                f,
                "a CPU budget of {limit:?} is below {:?}, where a machine's interrupts would be \
                 flagged: choose a larger one",
                CpuBudget::LIMIT_MIN
            ),
            Self::AlreadyMetered => f.write_str(
                "this thread's CPU time is already metered: drop the other meter first, or ask \
                 the accounts that it belongs to",
            ),
        }
    }
}

impl std::error::Error for CpuError {}
