//! Deliberate bugs that a testbed must catch, and benign twins that it must not report.
//!
//! A plant is one small deviation, switched on by name at run time in a build with the feature
//! `plants`. Without the feature there is no switch, and [`Options::planted`] is constantly false.
//!
//! [`Options::planted`]: super::Options

use std::fmt;
use std::str::FromStr;

macro_rules! plants {
    ($($variant:ident, $name:literal, $benign:literal, $about:literal;)*) => {
        /// A deliberate deviation of the engine.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Plant {
            $(#[doc = $about] $variant,)*
        }

        impl Plant {
            /// All plants, the bugs first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name that selects it, in snake case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence on what it does.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }

            /// Whether it breaks no law: a testbed must stay silent.
            pub const fn benign(self) -> bool {
                match self { $(Self::$variant => $benign,)* }
            }
        }
    };
}

plants! {
    AckBeforeSync, "ack_before_sync", false,
        "Commits are acknowledged before the log is synced.";
    SyncErrorIgnored, "sync_error_ignored", false,
        "The result of the log's sync is dropped.";
    SyncRetriedUntilOk, "sync_retried_until_ok", false,
        "A failed sync of the log is repeated until it succeeds, and then taken for good.";
    FailedCommitStays, "failed_commit_stays", false,
        "A commit whose sync failed is reported as not done although its record is in the log.";
    ShortWriteNotContinued, "short_write_not_continued", false,
        "A short write to the log is taken for a whole one.";
    RecordChecksumIgnored, "record_checksum_ignored", false,
        "Recovery takes records whose checksum and root do not match.";
    BadRecordSkipped, "bad_record_skipped", false,
        "Recovery skips a bad record and goes on with later ones.";
    TornTailNotTruncated, "torn_tail_not_truncated", false,
        "Recovery leaves a torn tail in place, and new records are appended behind it.";
    SequenceRestarts, "sequence_restarts", false,
        "After recovery sequence numbers start again at 1.";
    WalSwitchedBeforeSnapshotDurable, "wal_switched_before_snapshot_durable", false,
        "A checkpoint removes the old log before the snapshot that replaces it is durable.";
    VisibleBeforeDurable, "visible_before_durable", false,
        "Readers see a commit before its sync.";
    AckBeforeVisible, "ack_before_visible", false,
        "Commits are acknowledged before readers see them.";
    BackgroundSyncMissing, "background_sync_missing", false,
        "The modes that sync in the background never do.";
    StopsByItself, "stops_by_itself", false,
        "The store stops at every third commit although nothing failed.";
    TailAlwaysTorn, "tail_always_torn", false,
        "Recovery takes all damage to the log for a torn tail.";
    StaleRootOnDelete, "stale_root_on_delete", false,
        "Deletes do not change the root.";
    RecoveryNotSynced, "recovery_not_synced", false,
        "Recovery serves the log's tail without making it durable.";
    RecoveryDropsTailRecord, "recovery_drops_tail_record", false,
        "Recovery drops the last valid record.";
    ExtraSync, "extra_sync", true,
        "The log is synced twice.";
    RedoTwice, "redo_twice", true,
        "Recovery applies the log twice, with the same result.";
    LeftoversKept, "leftovers_kept", true,
        "Old logs are removed by recovery only.";
    UnsyncedHint, "unsynced_hint", true,
        "A checksummed hint file is written without sync, and ignored where it is not valid.";
}

impl fmt::Display for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No plant has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no plant is called {name:?}; Plant::ALL lists them")]
pub struct UnknownPlant {
    /// The name.
    pub name: String,
}

impl FromStr for Plant {
    type Err = UnknownPlant;

    fn from_str(name: &str) -> Result<Self, UnknownPlant> {
        let found = Self::ALL.iter().copied().find(|plant| plant.name() == name);
        found.ok_or_else(|| UnknownPlant { name: name.to_owned() })
    }
}
