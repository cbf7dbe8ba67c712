//! Deliberate bugs that a testbed must catch, and benign twins that it must not report.
//!
//! A plant is one small deviation, switched on by name at run time in a build with the feature
//! `plants`. Without the feature there is no switch, and [`Options::planted`] is constantly false.
//!
//! [`Options::planted`]: super::Options

use crate::plants::plants;

plants! {
    bug AckBeforeSync, "ack_before_sync",
        "Commits are acknowledged before the log is synced.",
        met: "etcd (issue 14370)";
    bug SyncErrorIgnored, "sync_error_ignored",
        "The result of the log's sync is dropped.",
        met: "Redis (Rebello et al., ATC 2020)";
    bug SyncRetriedUntilOk, "sync_retried_until_ok",
        "A failed sync of the log is repeated until it succeeds, and then taken for good.",
        met: "PostgreSQL before 2018 (\"fsyncgate\")";
    bug SlowSyncCounts, "slow_sync_counts",
        "A sync of the log that takes longer than half a second counts as done.";
    bug StallsForEver, "stalls_for_ever",
        "The store waits for a disk that hangs for as long as it hangs, and its clients with it.",
        met: "gray failures (Huang et al., HotOS 2017)";
    bug Impatient, "impatient",
        "A call of the disk that takes longer than a tenth of a second counts as failed.";
    bug FailedCommitStays, "failed_commit_stays",
        "A commit whose sync failed is reported as not done although its record is in the log.",
        met: "several stores (Rebello et al., ATC 2020)";
    bug ShortWriteNotContinued, "short_write_not_continued",
        "A short write to the log is taken for a whole one.";
    bug AcksFromMemory, "acks_from_memory",
        "After a failed write to the log commits are acknowledged from memory.";
    bug RecordChecksumIgnored, "record_checksum_ignored",
        "Recovery takes records whose checksum and root do not match.",
        met: "appends taken for atomic (ALICE, OSDI 2014)";
    bug ChecksumWithoutNumber, "checksum_without_number",
        "The checksum of a record does not cover its number, which recovery believes.";
    bug LengthTrusted, "length_trusted",
        "Recovery believes the length in a torn record.";
    bug BadRecordSkipped, "bad_record_skipped",
        "Recovery skips a bad record and goes on with later ones.",
        met: "Pebble (issue 864)";
    bug LostPageSkipped, "lost_page_skipped",
        "Recovery skips zeros in the log, where a page never reached the disk, and does not \
         compare what later records say came before them.",
        met: "lost writes (Bairavasundaram et al., FAST 2008)";
    bug TornTailNotTruncated, "torn_tail_not_truncated",
        "Recovery leaves a torn tail in place, and new records are appended behind it.";
    bug SequenceRestarts, "sequence_restarts",
        "After recovery sequence numbers start again at 1.",
        met: "Typhon (issue 712)";
    bug WalSwitchedBeforeSnapshotDurable, "wal_switched_before_snapshot_durable",
        "A checkpoint removes the old log before the snapshot that replaces it is durable.";
    bug OldLogRemovedBeforeRenameDurable, "old_log_removed_before_rename_durable",
        "A checkpoint removes the old log before the rename of the snapshot is durable.",
        met: "LevelDB, with its old manifest (ALICE, OSDI 2014)";
    bug OnlyCopyCleanedUp, "only_copy_cleaned_up",
        "A checkpoint removes the old snapshot and then renames the new one, which a start in \
         between removes as unfinished.";
    bug SnapshotInPlace, "snapshot_in_place",
        "A checkpoint writes the new snapshot over the old one.";
    bug FailedCheckpointRemovesLog, "failed_checkpoint_removes_log",
        "A checkpoint that fails, on a full disk for one, removes the log to make room.";
    bug VisibleBeforeDurable, "visible_before_durable",
        "Readers see a commit before its sync.";
    bug AckBeforeVisible, "ack_before_visible",
        "Commits are acknowledged before readers see them.";
    bug BackgroundSyncMissing, "background_sync_missing",
        "The modes that sync in the background never do.";
    bug StopsByItself, "stops_by_itself",
        "The store stops at every third commit although nothing failed.";
    bug TailAlwaysTorn, "tail_always_torn",
        "Recovery takes all damage to the log for a torn tail.",
        met: "Kafka and others (Ganesan et al., FAST 2017)";
    bug StaleRootOnDelete, "stale_root_on_delete",
        "Deletes do not change the root.";
    bug RecoveryNotSynced, "recovery_not_synced",
        "Recovery serves the log's tail without making it durable.";
    bug RecoveryDropsTailRecord, "recovery_drops_tail_record",
        "Recovery drops the last valid record.";
    bug RecoveryRemovesLogEarly, "recovery_removes_log_early",
        "Recovery makes a snapshot of what it replayed and removes the log before that is durable.";
    bug RecoveryRewritesInPlace, "recovery_rewrites_in_place",
        "Recovery cuts off the tail of the log that it is about to write once more.";
    benign ExtraSync, "extra_sync",
        "The log is synced twice.";
    benign ExtraDirSync, "extra_dir_sync",
        "The directory is synced after every group of commits.";
    benign SyncAllForData, "sync_all_for_data",
        "The log is synced with all its metadata where its data would do.";
    benign WriteInTwoParts, "write_in_two_parts",
        "A group is written to the log in two parts.";
    benign LogReopened, "log_reopened",
        "The log is opened afresh for every group.";
    benign LogPreallocated, "log_preallocated",
        "A checkpoint gives the new log zeros to grow into, which recovery takes for its end.";
    benign FailedSyncMovesOn, "failed_sync_moves_on",
        "After a failed sync everything is written once more, to new files, before it counts.";
    benign CreationSyncedLate, "creation_synced_late",
        "The name of a new store's snapshot is synced before the first commit or checkpoint.";
    benign EagerCheckpoints, "eager_checkpoints",
        "A checkpoint is made after every group.";
    benign SnapshotHeaderLast, "snapshot_header_last",
        "The header of a snapshot is written after its blocks.";
    benign OldLogsEmptied, "old_logs_emptied",
        "Old logs are cut to nothing, without a sync, instead of being removed.";
    benign RedoTwice, "redo_twice",
        "Recovery applies the log twice, with the same result.";
    benign LeftoversKept, "leftovers_kept",
        "Old logs are removed by recovery only.";
    benign UnsyncedHint, "unsynced_hint",
        "A checksummed hint file is written without sync, and ignored where it is not valid.";
}
