//! The embedded resource manager: prepare, commit and abort on an `atomic_commit` store.
//!
//! Invariants: an answer follows the durable write that it speaks of; no lock is held across an
//! `await`; a transaction on which somebody works is reserved in the kernel, so that nobody else
//! does; after a failure of the store nothing is answered any more (open it again).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seedbed_env::Env;
use seedbed_env::sync::Notify;

use super::super::error::Error;
use super::super::event::{Event, Observer};
use super::super::participant::{Decision, Gid, No, Outcome, Vote, WriteMode, Writer};
use super::super::plant::Plant;
use super::super::row::{Row, Rows, Schema};
use super::Options;
use super::kernel::{Barred, Begun, Foreign, Kernel, Prepared, Table, row_key, transaction_key};
use crate::atomic_commit::{self, Batch, Entries, Store};

/// What the store's entry `m` says: the version of the keys, and the table.
const STORE_VERSION: u32 = 1;
/// How long a planted participant waits before it decides alone.
const PLANTED_PATIENCE: Duration = Duration::from_secs(2);

/// A participant's rows and transactions. Cloning gives another handle.
#[derive(Debug)]
pub(super) struct Manager<E> {
    env: E,
    store: Store<E>,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    schema: Arc<Schema>,
    kernel: Mutex<Kernel>,
    /// A transaction is not reserved any more.
    changed: Notify,
    options: Options,
}

impl<E: Env> Clone for Manager<E> {
    fn clone(&self) -> Self {
        let (env, store) = (self.env.clone(), self.store.clone());
        Self { env, store, inner: Arc::clone(&self.inner) }
    }
}

impl Table for Entries {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key).cloned()
    }

    fn len(&self, key: &[u8]) -> Option<usize> {
        self.get(key).map(Vec::len)
    }
}

impl<E: Env> Manager<E> {
    /// Opens the store in `dir` and recovers the transactions in it.
    pub(super) async fn open(
        env: E,
        dir: &std::path::Path,
        schema: Arc<Schema>,
        options: Options,
    ) -> Result<Self, Error> {
        let store = Store::open(env.clone(), dir, options.store.clone()).await?;
        let foreign = |Foreign(reason): Foreign| Error::Foreign {
            folder: dir.display().to_string(),
            reason: format!("not a participant's store of this version: {reason}"),
        };
        let mut mark = STORE_VERSION.to_le_bytes().to_vec();
        mark.extend_from_slice(&schema.fingerprint().to_le_bytes());
        match store.get(b"m")? {
            Some(found) if found == mark => (),
            Some(found) if found.get(..4) == Some(&mark[..4]) => {
                let reason = format!("holds another table than {}", schema.table());
                return Err(Error::Foreign { folder: dir.display().to_string(), reason });
            }
            Some(_) => return Err(foreign(Foreign("another version"))),
            None if store.seq() > 0 => return Err(foreign(Foreign("a store of something else"))),
            None => drop(store.commit(Batch::putting(b"m", mark)).await?),
        }
        let kernel = store.view(|entries| {
            let entries = entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
            Kernel::recover(&schema, entries)
        });
        let kernel = kernel.map_err(foreign)?;
        for (gid, decision, by_hand) in kernel.recovered() {
            options.observer.tell(match decision {
                None => Event::Prepared { gid },
                Some(decision) if by_hand => Event::DecidedByHand { gid, decision },
                Some(decision) => Event::Applied { gid, decision },
            });
        }
        let kernel = Mutex::new(kernel);
        let inner = Inner { schema, kernel, changed: Notify::new(), options };
        Ok(Self { env, store, inner: Arc::new(inner) })
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    pub(super) fn observer(&self) -> &Observer {
        &self.inner.options.observer
    }

    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        // Poisoned only if an assertion of ours failed under it.
        self.inner.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an incarnation of a writer in, durably, or says what is in its way. Whoever
    /// comes second with the same one does not wait for that: what it has written is durable only
    /// with everything that was written before.
    pub(super) async fn fence(
        &self,
        writer: &Writer,
        identity: u64,
        incarnation: u64,
    ) -> Result<Result<(), Barred>, Error> {
        loop {
            let submitted = {
                let mut kernel = self.kernel();
                let known = kernel.incarnation(writer);
                match kernel.admits(writer, identity, incarnation) {
                    Err(barred) => return Ok(Err(barred)),
                    Ok(()) if known == incarnation => return Ok(Ok(())),
                    Ok(()) => {}
                }
                // Submitted under the lock: of two, the later one must be the last one written.
                let submitted = self.store.submit(kernel.fence(writer, identity, incarnation));
                if submitted.is_err() {
                    kernel.unfence(writer, known);
                }
                submitted
            };
            match submitted {
                Ok(mut ticket) => {
                    ticket.acknowledged().await?;
                    // A later one may have come meanwhile.
                    if let Some(by) = self.fenced(writer, incarnation) {
                        return Ok(Err(Barred::Later(by)));
                    }
                    self.observer().tell(Event::Admitted { incarnation });
                    return Ok(Ok(()));
                }
                Err(atomic_commit::Error::Busy { .. }) => {
                    self.env.sleep(Duration::from_millis(5)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The later incarnation that has taken over, if one has.
    pub(super) fn fenced(&self, writer: &Writer, incarnation: u64) -> Option<u64> {
        Some(self.kernel().incarnation(writer)).filter(|known| *known > incarnation)
    }

    /// Commits to the store; waits while it has too much to do.
    async fn write(&self, batch: Batch) -> Result<(), Error> {
        loop {
            match self.store.commit(batch.clone()).await {
                Ok(_) => return Ok(()),
                Err(atomic_commit::Error::Busy { .. }) => {
                    self.env.sleep(Duration::from_millis(5)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Has the store do it, but does not wait until it is durable.
    async fn write_later(&self, batch: Batch) -> Result<(), Error> {
        while let Err(error) = self.store.submit(batch.clone()) {
            match error {
                atomic_commit::Error::Busy { .. } => {
                    self.env.sleep(Duration::from_millis(5)).await;
                }
                error => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Prepares a transaction: the vote is durable.
    pub(super) async fn prepare(
        &self,
        writer: &Writer,
        gid: Gid,
        finished: Gid,
        mode: WriteMode,
        rows: Rows,
    ) -> Result<Vote, Error> {
        let mut prepared = Prepared { mode, rows };
        let mut started = self.start(writer, gid, &prepared);
        if let Err(No::Rejected { row, .. }) = &started
            && self.planted(Plant::PartialBatchAccepted)
        {
            prepared.rows = prepared.rows.first(*row as usize);
            started = self.start(writer, gid, &prepared);
        }
        let mut batch = match started {
            Ok(batch) => batch,
            Err(no) => return Ok(Vote::No(no)),
        };
        self.kernel().finish(writer, finished, &mut batch);
        if self.planted(Plant::VoteBeforeDurable) {
            let (manager, writer) = (self.clone(), writer.clone());
            let late = async move { manager.make_prepared(&writer, gid, batch).await };
            drop(self.env.spawn(late));
            return Ok(Vote::Yes);
        }
        self.make_prepared(writer, gid, batch).await?;
        if self.planted(Plant::UnilateralAbort) {
            self.abort_later(writer, gid);
        }
        Ok(Vote::Yes)
    }

    async fn make_prepared(&self, writer: &Writer, gid: Gid, batch: Batch) -> Result<(), Error> {
        self.write(batch).await?;
        self.kernel().prepared(writer, gid);
        self.inner.changed.notify_waiters();
        self.observer().tell(Event::Forced { gid });
        self.observer().tell(Event::Prepared { gid });
        Ok(())
    }

    fn start(&self, writer: &Writer, gid: Gid, prepared: &Prepared) -> Result<Batch, No> {
        let schema = &self.inner.schema;
        self.store.view(|entries| {
            let mut kernel = self.kernel();
            kernel.has_room(self.inner.options.prepared_max)?;
            kernel.prepare(schema, entries, writer, gid, prepared)
        })
    }

    /// Commits rows in one phase.
    pub(super) async fn commit_open(&self, mode: WriteMode, rows: Rows) -> Result<Vote, Error> {
        let schema = &self.inner.schema;
        let prepared = Prepared { mode, rows };
        let mut batch = Batch::new();
        let locked = self.store.view(|entries| {
            self.kernel().lock(schema, entries, &prepared)?;
            let applied = prepared.apply(schema, entries, &mut batch);
            assert!(applied.is_some(), "an empty batch has room for a transaction");
            Ok(())
        });
        if let Err(no) = locked {
            return Ok(Vote::No(no));
        }
        if !batch.is_empty() {
            self.write(batch).await?;
        }
        self.kernel().unlock(schema, &prepared.rows);
        Ok(Vote::Yes)
    }

    /// Carries out a decision about prepared transactions, with one forced write for as many as
    /// fit into one.
    pub(super) async fn decide(
        &self,
        writer: &Writer,
        gids: &[Gid],
        decision: Decision,
        by_hand: bool,
    ) -> Result<Vec<Outcome>, Error> {
        let mut group = Group::new(writer, decision, by_hand);
        let mut outcomes = Vec::with_capacity(gids.len());
        for gid in gids {
            let outcome = loop {
                let changed = self.inner.changed.notified();
                let begun = self.kernel().decide(writer, *gid, decision);
                match begun {
                    Begun::Answer(outcome) => break outcome,
                    // Another person was first, which tells nothing of the coordinator.
                    Begun::Agreed(_) if by_hand => break Outcome::Heuristic(decision),
                    Begun::Agreed(batch) => {
                        self.write(batch).await?;
                        self.kernel().told(writer, *gid);
                        break Outcome::Done;
                    }
                    Begun::Ours => {
                        self.add(&mut group, *gid).await?;
                        break Outcome::Done;
                    }
                    // Whoever works on it may in turn wait for one that this group holds.
                    Begun::Wait => self.write_group(&mut group).await?,
                }
                changed.await;
            };
            outcomes.push(outcome);
        }
        self.write_group(&mut group).await?;
        Ok(outcomes)
    }

    /// Damage at these transactions was reported.
    pub(super) async fn forget(&self, writer: &Writer, gids: &[Gid]) -> Result<(), Error> {
        for gid in gids {
            let batch = self.kernel().tell(writer, *gid);
            if let Some(batch) = batch {
                self.write(batch).await?;
                self.kernel().told(writer, *gid);
            }
        }
        Ok(())
    }

    /// Adds a reserved transaction to a group, which is written first if it has no room.
    async fn add(&self, group: &mut Group<'_>, gid: Gid) -> Result<(), Error> {
        let schema = &self.inner.schema;
        let key = transaction_key(b'p', group.writer, gid);
        let value = self.store.get(&key)?.expect("a prepared transaction has its rows");
        let prepared = Prepared::parse(schema, &value).expect("they were checked when they came");
        if group.decision == Decision::Commit {
            let apply = |group: &mut Group<'_>| {
                self.store.view(|entries| prepared.apply(schema, entries, &mut group.batch))
            };
            if apply(group).is_none() {
                self.write_group(group).await?;
                apply(group).expect("an empty batch has room for a transaction");
            }
        }
        group.batch.delete(key);
        if let Some(mark) = group.mark() {
            group.batch.put(transaction_key(b'c', group.writer, gid), mark);
        }
        group.transactions.push((gid, prepared.rows));
        Ok(())
    }

    /// Makes the decisions of a group durable. To abort, nothing needs to be: a transaction that
    /// comes back by a crash will be aborted again, and whatever is written later, to the same
    /// rows as well, is durable only with this.
    async fn write_group(&self, group: &mut Group<'_>) -> Result<(), Error> {
        if group.transactions.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut group.batch);
        let (decision, by_hand) = (group.decision, group.by_hand);
        let forced = decision == Decision::Commit || by_hand;
        if forced {
            self.write(batch).await?;
        } else {
            self.write_later(batch).await?;
        }
        for (gid, rows) in group.transactions.drain(..) {
            if forced {
                self.observer().tell(Event::Forced { gid });
            }
            let schema = &self.inner.schema;
            self.kernel().decided(schema, group.writer, gid, decision, by_hand, &rows);
            self.observer().tell(match by_hand {
                true => Event::DecidedByHand { gid, decision },
                false => Event::Applied { gid, decision },
            });
        }
        self.inner.changed.notify_waiters();
        Ok(())
    }

    /// The writer's transactions that have no end yet.
    pub(super) fn list(&self, writer: &Writer) -> Vec<Gid> {
        self.kernel().list(writer)
    }

    /// Whether a transaction is prepared, and nobody works on it.
    pub(super) fn is_prepared(&self, writer: &Writer, gid: Gid) -> bool {
        self.kernel().is_prepared(writer, gid)
    }

    /// The rows of the table, in the order of their encoded keys.
    pub(super) fn for_each_row(&self, mut with: impl FnMut(Row<'_>)) {
        self.store.view(|entries| {
            let rows = entries.range(row_key(&[])..).take_while(|(key, _)| key[0] == b'r');
            for (_, bytes) in rows {
                with(Row::parse(&self.inner.schema, bytes).expect("it was checked when it came"));
            }
        });
    }

    /// Stops: nothing is accepted any more, and everything is durable.
    pub(super) async fn close(&self) -> Result<(), Error> {
        Ok(self.store.close().await?)
    }

    pub(super) fn planted(&self, plant: Plant) -> bool {
        self.inner.options.planted(plant)
    }

    /// A planted bug.
    fn abort_later(&self, writer: &Writer, gid: Gid) {
        let (manager, writer) = (self.clone(), writer.clone());
        drop(self.env.spawn(async move {
            manager.env.sleep(PLANTED_PATIENCE).await;
            // The store may have failed: then it has other worries.
            let _ = manager.decide(&writer, &[gid], Decision::Abort, false).await;
        }));
    }
}

/// Decisions that are made durable together.
struct Group<'a> {
    writer: &'a Writer,
    decision: Decision,
    by_hand: bool,
    batch: Batch,
    transactions: Vec<(Gid, Rows)>,
}

impl<'a> Group<'a> {
    fn new(writer: &'a Writer, decision: Decision, by_hand: bool) -> Self {
        let (batch, transactions) = (Batch::new(), Vec::new());
        Self { writer, decision, by_hand, batch, transactions }
    }

    /// What is kept of such a transaction; of one that its coordinator aborts, nothing.
    fn mark(&self) -> Option<&'static [u8]> {
        match (self.decision, self.by_hand) {
            (Decision::Commit, false) => Some(b"c"),
            (Decision::Commit, true) => Some(b"C"),
            (Decision::Abort, true) => Some(b"A"),
            (Decision::Abort, false) => None,
        }
    }
}
