//! What each plant of the store, and each sync left out, comes to: the laws that it may break, and
//! its severity, the most realistic file system on which it shows. The zoo holds runs against it.

use seedbed::faults::Profile;
use seedbed::{LAW_UNSTABLE, PlantInfo, SyncInfo};
use seedbed_engines::atomic_commit::Plant;

use super::{
    ANSWERED, DETECTED, DURABLE, IDEMPOTENT, IN_DOUBT, MONOTONE, OBSERVED, OPENS, PREFIX, READS,
    ROOT, WORKS,
};

/// Every plant of the engine.
pub(super) fn all() -> Vec<PlantInfo> {
    Plant::ALL.iter().map(|plant| info(*plant)).collect()
}

fn info(plant: Plant) -> PlantInfo {
    if plant.benign() {
        return PlantInfo::benign(plant.name(), plant.about());
    }
    let (breaks, severity) = needs(plant);
    let bug = PlantInfo::bug(plant.name(), plant.about()).met(plant.met());
    let bug = bug.breaks(breaks).shows_on(severity);
    match plant {
        Plant::SlowSyncCounts | Plant::StallsForEver | Plant::Impatient => bug.under("slow_disk"),
        Plant::ChecksumWithoutNumber => bug.under("bit_rot"),
        Plant::LostPageSkipped => bug.under("media"),
        _ => bug,
    }
}

/// Which laws a bug may break, and from which file system on. Most are bugs of the engine alone
/// and need nothing of the file system but that it loses what was not synced.
fn needs(bug: Plant) -> (&'static [&'static str], Profile) {
    let breaks: &[&str] = match bug {
        Plant::AckBeforeSync => &[DURABLE.name],
        Plant::SyncErrorIgnored | Plant::SlowSyncCounts => &[DURABLE.name, OPENS.name],
        Plant::SyncRetriedUntilOk => &[DURABLE.name, OPENS.name],
        Plant::FailedCommitStays => &[IN_DOUBT.name],
        Plant::ShortWriteNotContinued => &[DURABLE.name, OPENS.name],
        Plant::AcksFromMemory => &[DURABLE.name],
        Plant::RecordChecksumIgnored => &[DETECTED.name, OPENS.name, LAW_UNSTABLE.name],
        Plant::ChecksumWithoutNumber => &[DETECTED.name, PREFIX.name, LAW_UNSTABLE.name],
        Plant::LengthTrusted => &[seedbed::LAW_NO_PANIC.name, LAW_UNSTABLE.name],
        Plant::BadRecordSkipped | Plant::LostPageSkipped => &[DETECTED.name],
        Plant::TornTailNotTruncated => &[OPENS.name, DURABLE.name],
        Plant::SequenceRestarts => &[MONOTONE.name],
        Plant::WalSwitchedBeforeSnapshotDurable => &[OPENS.name],
        // Where names become durable in another order than they were changed in: in btrfs a file
        // that was synced takes its own out of the order.
        Plant::OldLogRemovedBeforeRenameDurable => return (&[OPENS.name], Profile::BTRFS),
        Plant::OnlyCopyCleanedUp => &[OPENS.name],
        Plant::SnapshotInPlace => &[OPENS.name],
        Plant::FailedCheckpointRemovesLog => &[OPENS.name],
        Plant::VisibleBeforeDurable => &[OBSERVED.name],
        Plant::AckBeforeVisible => &[READS.name],
        Plant::BackgroundSyncMissing => &[seedbed::LAW_LIVE.name],
        Plant::StallsForEver => &[ANSWERED.name],
        Plant::StopsByItself | Plant::Impatient => &[WORKS.name],
        Plant::TailAlwaysTorn => &[DETECTED.name],
        Plant::StaleRootOnDelete => &[ROOT.name, OPENS.name],
        Plant::RecoveryNotSynced => &[IDEMPOTENT.name, DURABLE.name],
        Plant::RecoveryDropsTailRecord => &[DURABLE.name],
        Plant::RecoveryRemovesLogEarly => &[OPENS.name],
        Plant::RecoveryRewritesInPlace => &[DURABLE.name, IDEMPOTENT.name],
        // A plant that nobody has declared: the zoo says so.
        _ => return (&[], Profile::EXT4),
    };
    (breaks, Profile::EXT4)
}

const fn sync(file: &'static str, nth: usize, severity: Profile, about: &'static str) -> SyncInfo {
    SyncInfo { file, nth, about, severity, plan: None }
}

/// The syncs of the engine.
pub(super) static SYNCS: [SyncInfo; 10] = [
    sync("checkpoint.rs", 0, Profile::EXT4, "header of the new log, before anything names it"),
    sync("checkpoint.rs", 1, Profile::EXT4, "bytes of the new snapshot, before it is renamed"),
    sync(
        "checkpoint.rs",
        2,
        Profile::POSIX,
        "name of the new log, before the rename makes the snapshot name it",
    ),
    sync("checkpoint.rs", 3, Profile::EXT4, "the rename itself, before commits go to the new log"),
    sync(
        "log_task.rs",
        0,
        Profile::EXT4,
        "the commits of a group (`Immediate`, `Group`, every n-th in `Batch`)",
    ),
    sync("log_task.rs", 1, Profile::EXT4, "background sync (`AsyncSync`, `WriteBehind`)"),
    sync("log_task.rs", 2, Profile::EXT4, "`flush` and `close`"),
    // Without errors: a journal that stops at one takes the name with it.
    SyncInfo {
        plan: Some("crashes"),
        ..sync(
            "recovery.rs",
            0,
            Profile::POSIX,
            "the directory's own name in its parent, at creation",
        )
    },
    sync("recovery.rs", 1, Profile::EXT4, "the recovered log, before it is served"),
    SyncInfo {
        plan: Some("crashes"),
        ..sync(
            "recovery.rs",
            2,
            Profile::EXT4,
            "recovered names, since a crash may have come between the rename and its sync",
        )
    },
];
