//! What plants make the log task do otherwise. Without the feature `plants` none of it happens.

use std::io;
use std::path::Path;
use std::time::Duration;

use seedbed_env::sync::{Either, race};
use seedbed_env::{Env, File, OpenOptions};

use super::{Done, LogTask};
use crate::atomic_commit::checkpoint::{self, HINT, wal_path};
use crate::atomic_commit::error::{Error, at};
use crate::atomic_commit::kernel;
use crate::atomic_commit::plant::Plant;
use crate::atomic_commit::shared::{Pending, Shared, Visible};
use crate::record_log::Writer;

/// How often the planted retry goes on before it gives up; a real bug would not.
const RETRIES_MAX: u32 = 64;
/// After which a sync counts as done by a planted bug.
const PATIENCE: Duration = Duration::from_millis(500);
/// Zeros that a planted checkpoint lets the new log begin with, in bytes.
const PREALLOCATED: u64 = 8192;

impl<E: Env> LogTask<E> {
    /// Benign plants: what is done before a group is staged.
    pub(super) async fn before_planted_group(&mut self) -> Result<(), Error> {
        let header = *self.log.header();
        self.sync_creation_late().await?;
        if self.options.planted(Plant::LogReopened) {
            let path = wal_path(&self.dir, header.generation);
            let writable = OpenOptions::reading().write(true);
            let file = self.env.open(&path, writable).await.map_err(at(&path, "open again"))?;
            self.log = Writer::resume(file, header, self.log.len(), self.kernel.seq());
        }
        Ok(())
    }

    /// A benign plant: as long as a new store has no commit, losing it is no loss.
    pub(super) async fn sync_creation_late(&self) -> Result<(), Error> {
        if self.options.planted(Plant::CreationSyncedLate) && self.kernel.seq() == 0 {
            self.env.sync_dir(&self.dir).await.map_err(at(&self.dir, "sync late"))?;
        }
        Ok(())
    }

    /// Benign plants: what is done after a group was acknowledged.
    pub(super) async fn after_planted_group(&self) -> Result<(), Error> {
        if self.options.planted(Plant::ExtraDirSync) {
            self.env.sync_dir(&self.dir).await.map_err(at(&self.dir, "sync once more"))?;
        }
        if self.options.planted(Plant::UnsyncedHint) {
            self.write_hint().await;
        }
        Ok(())
    }

    /// A benign plant: a file that may be lost or torn at any time.
    async fn write_hint(&self) {
        let mut bytes = self.kernel.seq().to_le_bytes().to_vec();
        let crc = crc32c::crc32c(&bytes) ^ u32::MAX;
        bytes.extend_from_slice(&crc.to_le_bytes());
        assert_eq!(bytes.len(), 12, "a hint is a number and its checksum");
        let options = OpenOptions::read_write_create();
        if let Ok(file) = self.env.open(self.dir.join(HINT), options).await {
            // Only a hint: without it nothing is lost.
            let _ = file.write_all_at(&bytes, 0).await;
        }
    }

    /// A planted bug: as if the group were written and synced.
    pub(super) fn acknowledge_from_memory(&mut self) {
        self.now_durable(self.kernel.seq());
        self.publish_group();
        self.acknowledge_group();
    }

    /// A planted bug: who waits long enough is told that it worked.
    pub(super) async fn sync_a_while(&mut self) -> io::Result<()> {
        match race(self.log.sync(), self.env.sleep(PATIENCE)).await {
            Either::Left(synced) => synced,
            Either::Right(()) => Ok(()),
        }
    }

    /// What planted bugs make of the result of the log's sync.
    pub(super) async fn with_planted_sync(&mut self, mut synced: io::Result<()>) -> io::Result<()> {
        if self.options.planted(Plant::ExtraSync) && synced.is_ok() {
            synced = self.log.sync().await;
        }
        if self.options.planted(Plant::SyncRetriedUntilOk) {
            for _ in 0..RETRIES_MAX {
                if synced.is_ok() {
                    break;
                }
                synced = self.log.sync().await;
            }
        }
        if self.options.planted(Plant::SyncErrorIgnored) {
            synced = Ok(());
        }
        if self.options.planted(Plant::FailedSyncMovesOn) && synced.is_err() {
            synced = self.move_on().await.map_err(io::Error::other);
        }
        synced
    }

    /// A benign plant: what could not be synced is made durable in new files.
    async fn move_on(&mut self) -> Result<(), Error> {
        let generation = self.log.header().generation;
        let written = {
            let visible = self.shared.visible();
            let mut entries = visible.entries.clone();
            let group = self.group.iter().map(|done| &done.pending.batch);
            group.for_each(|batch| kernel::apply(&mut entries, batch.encoded().0));
            let (seq, root) = (self.kernel.seq(), self.kernel.root());
            Shared::new(Visible { seq, root, entries }, seq)
        };
        let next = generation + 1;
        self.log = checkpoint::switch(&self.env, &self.dir, &self.options, next, &written).await?;
        self.old_logs.push(wal_path(&self.dir, generation));
        Ok(())
    }

    /// A benign plant: zeros behind the last record are no records.
    pub(super) async fn preallocate_log(&self) -> Result<(), Error> {
        let path = wal_path(&self.dir, self.log.header().generation);
        let len = self.log.len() + PREALLOCATED;
        self.log.file().set_len(len).await.map_err(at(&path, "preallocate"))
    }

    /// A benign plant: what comes back of an old log after a power loss is not the live log's.
    pub(super) async fn empty_log(&self, path: &Path) -> io::Result<()> {
        let file = self.env.open(path, OpenOptions::reading().write(true)).await?;
        file.set_len(0).await
    }

    /// A planted bug: committers have their answers a while before readers see the commits.
    pub(super) async fn answer_then_publish(&mut self) {
        let mut late = Vec::new();
        for Done { pending, commit } in self.group.drain(..) {
            let Pending { batch, reply, .. } = pending;
            let _ = reply.send(Ok(commit));
            late.push((batch, commit));
        }
        self.env.sleep(Duration::from_micros(100)).await;
        let mut visible = self.shared.visible_mut();
        for (batch, commit) in late {
            kernel::apply(&mut visible.entries, batch.encoded().0);
            (visible.seq, visible.root) = (commit.seq, commit.root);
        }
    }
}
