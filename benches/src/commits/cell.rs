//! One figure: who commits, in which shape, for how long, and what came of it.

use serde::{Deserialize, Serialize};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// Ours, callers are tasks of a runtime as `#[tokio::main]` makes it.
    Seedbed,
    /// Ours, callers are tasks of a runtime with one thread.
    SeedbedOne,
    /// Ours, callers are threads.
    SeedbedThreads,
    /// As [`Self::SeedbedOne`], and a sync blocks that thread (`OsEnv::with_inline_syncs`).
    SeedbedInline,
    /// The floor: a hand-written log with group commit.
    Wal,
    Okaywal,
    Sled,
    FjallData,
    FjallAll,
    Sqlite,
    Redb,
    Lmdb,
    /// Baseline: create, truncate, write, close.
    Rewrite,
    /// Baseline: temporary file and rename.
    Rename,
    /// Baseline: open, pwrite, close.
    Reopen,
    /// Baseline: pwrite, the file stays open.
    Pwrite,
    /// Limit: overwrite 4 KiB and fdatasync.
    SyncOverwrite,
    /// Limit: append 1 KiB and fdatasync.
    SyncAppend,
    /// Limit: the Merkle root of each commit, on one core and without a disk.
    Roots,
}

impl Subject {
    /// Stores and logs whose commits are compared.
    pub(crate) const CONTENDERS: [Self; 12] = [
        Self::Seedbed,
        Self::SeedbedOne,
        Self::SeedbedThreads,
        Self::SeedbedInline,
        Self::Wal,
        Self::Okaywal,
        Self::Sled,
        Self::FjallData,
        Self::FjallAll,
        Self::Sqlite,
        Self::Redb,
        Self::Lmdb,
    ];
    /// Ours, as it can be used.
    pub(crate) const OURS: [Self; 4] =
        [Self::Seedbed, Self::SeedbedOne, Self::SeedbedThreads, Self::SeedbedInline];
    /// Ways to write that are not durable.
    pub(crate) const BASELINES: [Self; 4] =
        [Self::Rewrite, Self::Rename, Self::Reopen, Self::Pwrite];
    /// What the machine allows.
    pub(crate) const LIMITS: [Self; 3] = [Self::SyncOverwrite, Self::SyncAppend, Self::Roots];

    /// Its name in tables.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Seedbed => "seedbed (tasks)",
            Self::SeedbedOne => "seedbed (tasks, one thread)",
            Self::SeedbedThreads => "seedbed (threads)",
            Self::SeedbedInline => "seedbed (tasks, one thread, inline)",
            Self::Wal => "minimal WAL (floor)",
            Self::Okaywal => "okaywal",
            Self::Sled => "sled flush",
            Self::FjallData => "fjall SyncData",
            Self::FjallAll => "fjall SyncAll",
            Self::Sqlite => "SQLite WAL FULL",
            Self::Redb => "redb Immediate",
            Self::Lmdb => "LMDB",
            Self::Rewrite => "rewrite the file",
            Self::Rename => "temporary + rename",
            Self::Reopen => "open + pwrite + close",
            Self::Pwrite => "pwrite in place",
            Self::SyncOverwrite => "overwrite 4 KiB + fdatasync",
            Self::SyncAppend => "append 1 KiB + fdatasync",
            Self::Roots => "root of each commit, no disk",
        }
    }

    /// Other people's stores.
    pub(crate) fn is_peer(self) -> bool {
        let others = Self::CONTENDERS.contains(&self) && !Self::OURS.contains(&self);
        others && self != Self::Wal
    }

    /// Whether a commit is so short that reading the clock at each would show.
    pub(crate) fn is_short(self) -> bool {
        Self::BASELINES.contains(&self) || self == Self::Roots
    }
}

/// How commits come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    /// So many callers, each of which waits for its commit.
    Callers(u32),
    /// One submitter with so many commits under way.
    Window(u32),
}

impl Shape {
    /// The most commits that are under way at once.
    pub(crate) const fn in_flight(self) -> u32 {
        match self {
            Self::Callers(count) | Self::Window(count) => count,
        }
    }
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stop {
    /// After so long, a quarter of which is run before to warm up.
    Seconds(f64),
    /// After so many commits of all callers together.
    Commits(u64),
}

/// What one worker process measures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) subject: Subject,
    pub(crate) shape: Shape,
    pub(crate) stop: Stop,
}

/// What it found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) commits: u64,
    pub(crate) seconds: f64,
    /// CPU seconds of the process.
    pub(crate) cpu_s: f64,
    /// Latency of a commit in microseconds, where it was taken.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    /// Values that were compared after reopening, and were right.
    pub(crate) compared: u64,
    /// Share of the machine's CPU time that went to other programs.
    pub(crate) foreign: f64,
}

impl Found {
    /// Commits per second.
    pub(crate) fn rate(&self) -> f64 {
        self.commits as f64 / self.seconds
    }
}
