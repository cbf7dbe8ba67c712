//! The one protocol that creates a store and makes checkpoints.
//!
//! Invariants: when `snapshot` is replaced, the new log's header and name and the new snapshot's
//! bytes are durable already; nothing old is removed before the replacement is durable.

use std::path::{Path, PathBuf};

use seedbed_env::{Env, File, OpenOptions};

use super::error::{Error, at};
use super::format::SnapshotHeader;
use super::options::Options;
use super::plant::Plant;
use super::shared::Shared;
use super::snapshot;
use crate::record_log::{FileHeader, Writer};

/// The snapshot's name.
pub(super) const SNAPSHOT: &str = "snapshot";
/// The name of a snapshot that is being written.
pub(super) const SNAPSHOT_TMP: &str = "snapshot.tmp";
/// The name of the planted hint.
pub(super) const HINT: &str = "hint";

/// The path of a log.
pub(super) fn wal_path(dir: &Path, generation: u64) -> PathBuf {
    assert!(generation > 0, "generations start at 1");
    dir.join(format!("wal.{generation:016x}"))
}

/// The generation in a log's name, if it is one.
pub(super) fn wal_generation(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("wal.").filter(|digits| digits.len() == 16)?;
    let lower = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let generation = u64::from_str_radix(digits, 16).ok().filter(|_| lower)?;
    (generation > 0).then_some(generation)
}

/// Writes `shared`'s visible state as a snapshot that names the new log `generation`, and returns
/// that log's writer. On an error the old snapshot or the new one is in place, each with its log.
pub(super) async fn switch<E: Env>(
    env: &E,
    dir: &Path,
    options: &Options,
    generation: u64,
    shared: &Shared,
) -> Result<Writer<E::File>, Error> {
    let (seq, root, entries) = {
        let visible = shared.visible();
        (visible.seq, visible.root, visible.entries.len() as u64)
    };
    let wal = wal_path(dir, generation);
    let fresh = OpenOptions::read_write_create().truncate(true);
    let file = env.open(&wal, fresh).await.map_err(at(&wal, "create"))?;
    let file_header = FileHeader { generation, salt: env.random_u64(), base_seq: seq };
    let log = Writer::create(file, file_header).await.map_err(at(&wal, "write the header of"))?;
    let log = log.write_ahead(options.zeros_ahead());
    log.file().sync_all().await.map_err(at(&wal, "sync the header of"))?;
    if options.planted(Plant::WalSwitchedBeforeSnapshotDurable) && generation > 1 {
        let old = wal_path(dir, generation - 1);
        env.remove_file(&old).await.map_err(at(&old, "remove"))?;
    }

    let header = SnapshotHeader { generation, seq, wal_salt: file_header.salt, entries, root };
    let in_place = options.planted(Plant::SnapshotInPlace);
    let tmp = dir.join(if in_place { SNAPSHOT } else { SNAPSHOT_TMP });
    let file = env.open(&tmp, fresh).await.map_err(at(&tmp, "create"))?;
    let header_last = options.planted(Plant::SnapshotHeaderLast);
    crate::classes::snapshot(snapshot::write(&file, &tmp, &header, shared, header_last)).await?;
    file.sync_all().await.map_err(at(&tmp, "sync the new snapshot"))?;
    drop(file);

    // The log's name: without this sync the rename may be durable before the log has a name.
    env.sync_dir(dir).await.map_err(at(dir, "sync the new log's name in"))?;
    let target = dir.join(SNAPSHOT);
    if options.planted(Plant::OnlyCopyCleanedUp) && generation > 1 {
        env.remove_file(&target).await.map_err(at(&target, "remove"))?;
    }
    if !in_place {
        env.rename(&tmp, &target).await.map_err(at(&target, "replace"))?;
    }
    if options.planted(Plant::OldLogRemovedBeforeRenameDurable) && generation > 1 {
        let old = wal_path(dir, generation - 1);
        env.remove_file(&old).await.map_err(at(&old, "remove"))?;
    }
    if generation > 1 || !options.planted(Plant::CreationSyncedLate) {
        env.sync_dir(dir).await.map_err(at(dir, "sync the new snapshot's name in"))?;
    }
    assert!(log.is_empty(), "nothing is logged before the switch is done");
    Ok(log)
}
