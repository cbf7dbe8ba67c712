//! The workloads: what each one does, what one unit of it is, and the bar it is held to.
//!
//! Every library implements `run(work, n) -> Option<units>` with the same shape; `None` says that
//! the library has nothing of the kind. `n` scales the work, and the caller raises it until the
//! run is long enough to be measured.

use std::time::Duration;

/// Tasks of the timer workload.
pub(crate) const TASKS: u64 = 1_000;
/// Size of an appended record.
pub(crate) const RECORD: usize = 128;
/// Bytes of the file that the memory workload overwrites again and again.
pub(crate) const REGION: u64 = 64 * 1024;
/// What a simulated write or sync takes at most where the workload itself has to say it: the same
/// order as our defaults.
pub(crate) const LATENCY: Duration = Duration::from_millis(1);

/// What is sent over the simulated network.
pub(crate) const MESSAGE: [u8; 16] = [7; 16];

/// One piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// 1 000 tasks that sleep `n` times each, 1 to 64 ms.
    Timers,
    /// Pairs of tasks that send a number back and forth through bounded channels.
    PingPong { pairs: u64 },
    /// One pair of tasks with unbounded channels, which take no permits.
    Unbounded,
    /// A pair of tasks that wake each other with `Notify`: what switching costs without a channel.
    Notify,
    /// A client and a server on two nodes that send a message back and forth over a stream.
    NetPingPong,
    /// Append and sync, awaited, in `n` fresh files of so many records.
    AppendAwaited { records: u64 },
    /// Append and sync by synchronous calls.
    AppendBlocking { records: u64 },
    /// Append and sync on the model of a disk alone, without a world around it.
    DiskAlone { records: u64 },
    /// A world of three nodes with a trivial test, made and torn down through the API for users.
    FreshWorld,
    /// Power loss, reopen, verify one record, write and sync the next.
    CrashReopen,
    /// Nodes with one task each that wakes about once a simulated second.
    Idle { nodes: u64 },
    /// Timers and overwrites that should leave the size of the world as it is.
    Memory,
}

/// A workload as it is listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    pub(crate) unit: &'static str,
    /// Units per CPU second that ours is held to; 0 where there is none.
    pub(crate) bar: f64,
}

const fn row(name: &'static str, work: Work, unit: &'static str, bar: f64) -> Row {
    Row { name, work, unit, bar }
}

/// All workloads, in the order of the report.
pub(crate) const ROWS: &[Row] = &[
    row("timers", Work::Timers, "timers", 12e6),
    row("ping-pong-1", Work::PingPong { pairs: 1 }, "messages", 15e6),
    row("ping-pong-16", Work::PingPong { pairs: 16 }, "messages", 10e6),
    row("ping-pong-unbounded", Work::Unbounded, "messages", 0.0),
    row("notify", Work::Notify, "wakes", 0.0),
    row("net-ping-pong", Work::NetPingPong, "round trips", 1.7e6),
    row("append-awaited-1k", Work::AppendAwaited { records: 1_000 }, "records", 5e6),
    row("append-awaited-10k", Work::AppendAwaited { records: 10_000 }, "records", 5e6),
    row("append-awaited-100k", Work::AppendAwaited { records: 100_000 }, "records", 5e6),
    row("append-awaited-1m", Work::AppendAwaited { records: 1_000_000 }, "records", 5e6),
    row("append-blocking-1k", Work::AppendBlocking { records: 1_000 }, "records", 8e6),
    row("append-blocking-10k", Work::AppendBlocking { records: 10_000 }, "records", 8e6),
    row("append-blocking-100k", Work::AppendBlocking { records: 100_000 }, "records", 8e6),
    row("append-blocking-1m", Work::AppendBlocking { records: 1_000_000 }, "records", 8e6),
    row("disk-alone-100k", Work::DiskAlone { records: 100_000 }, "records", 0.0),
    row("fresh-world", Work::FreshWorld, "worlds", 1e6),
    row("crash-reopen", Work::CrashReopen, "crashes", 300e3),
    row("idle-3", Work::Idle { nodes: 3 }, "simulated s", 5e6),
    row("idle-100", Work::Idle { nodes: 100 }, "simulated s", 100e3),
];

/// How long the `nth` sleep of a task takes: 1 to 64 ms, in whole microseconds. Both peers have
/// timers of 1 ms at best, so shorter sleeps would measure something else there.
pub(crate) fn sleep_of(task: u64, nth: u64) -> Duration {
    Duration::from_micros(1_000 + (task * 7_919 + nth * 104_729) % 63_000)
}

/// How long a node of the idle workload sleeps: one simulated second on average.
pub(crate) fn idle_of(nth: u64) -> Duration {
    Duration::from_millis(999 + nth % 3)
}

/// The record that crash number `nth` must find intact.
pub(crate) fn record_of(nth: u64) -> [u8; RECORD] {
    [nth as u8; RECORD]
}

impl Work {
    /// How many units a run of size `n` is.
    pub(crate) fn units(self, n: u64) -> u64 {
        match self {
            Self::Timers => TASKS * n,
            Self::PingPong { pairs } => 2 * pairs * n,
            Self::Notify | Self::Unbounded => 2 * n,
            Self::AppendAwaited { records } | Self::AppendBlocking { records } => records * n,
            Self::DiskAlone { records } => records * n,
            Self::FreshWorld | Self::CrashReopen | Self::Idle { .. } => n,
            Self::NetPingPong | Self::Memory => n,
        }
    }
}
