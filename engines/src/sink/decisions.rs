//! The coordinator's durable state, in an `atomic_commit` store: which start this is, the last
//! checkpoint, the decisions that not everybody has carried out, and the damage that was reported.
//!
//! A checkpoint and the decision to commit its transactions are one write: there is no moment at
//! which one holds without the other. A transaction without a decision is aborted (*presumed
//! abort*: Mohan, Lindsay and Obermarck, "Transaction Management in the R* Distributed Database
//! Management System", TODS 1986), so an abort needs no record, and nobody has to answer one.
//!
//! # Keys
//! `m` what the store is; `n` the sink's identity; `i` the incarnation; `c` the last checkpoint and
//! its offset; `d` and a checkpoint's number, big-endian: its transactions; `h`, a transaction, a
//! participant: damage.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use seedbed_env::Env;

use super::error::Error;
use super::event::{Event, Observer};
use super::options::Options;
use super::participant::{Gid, Writer};
use super::plant::Plant;
use crate::atomic_commit::{self, Batch, Store};
use crate::bytes::{be_u64_at, put_u32, put_u64, u32_at, u64_at};

/// The version of the keys.
const VERSION: u32 = 1;
/// Bytes of a transaction in a decision.
const DECIDED_LEN: usize = 24;

/// A checkpoint that is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its number; the first one is 1, and 0 means that there is none yet.
    pub number: u64,
    /// The first offset that is not in it.
    pub offset: u64,
}

/// A transaction that is to be committed, and by whom: a bit for each participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) gid: Gid,
    pub(super) participants: u64,
}

/// The store.
#[derive(Debug)]
pub(super) struct Decisions<E> {
    env: E,
    store: Store<E>,
    observer: Observer,
    logs_first_only: bool,
}

/// What a start finds.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) identity: Option<u64>,
    pub(super) incarnation: u64,
    pub(super) checkpoint: Checkpoint,
    /// By the number of the checkpoint.
    pub(super) decided: BTreeMap<u64, Vec<Decided>>,
    /// Where damage was reported.
    pub(super) damage: Vec<(Gid, u8)>,
}

impl<E: Env> Decisions<E> {
    /// Opens the store in `dir`, and makes durable that this is a new start.
    pub(super) async fn open(
        env: E,
        dir: &Path,
        writer: &Writer,
        participants: &[&str],
        options: &Options,
    ) -> Result<(Self, Found), Error> {
        let store = Store::open(env.clone(), dir, options.store.clone()).await?;
        let foreign = |reason: String| Error::Foreign { folder: dir.display().to_string(), reason };
        let participants: Vec<String> = participants.iter().map(|name| escaped(name)).collect();
        let mark = format!("{VERSION} sink {writer} {}", participants.join(","));
        match store.get(b"m")? {
            Some(found) if found == mark.as_bytes() => (),
            Some(found) => {
                // Other participants would be asked to commit what these have prepared, and rows
                // of one key would go to another one.
                let found = String::from_utf8_lossy(&found).into_owned();
                return Err(foreign(format!("holds {found:?}, not {mark:?}")));
            }
            None if store.seq() > 0 => return Err(foreign("a store of something else".to_owned())),
            None => {
                let mut made = Batch::putting(b"m", mark);
                made.put(b"n", env.random_u64().to_le_bytes());
                store.commit(made).await?;
            }
        }
        let found = store.view(|entries| {
            let entries = entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
            Found::read(entries)
        });
        let found = found.filter(|found| found.identity.is_some());
        let mut found = found.ok_or_else(|| foreign("entries of another version".to_owned()))?;
        if options.planted(Plant::NumberedFromOne) {
            found.checkpoint.number = 0;
        }
        if options.planted(Plant::RestoresTooEarly) {
            found.checkpoint.offset /= 2;
        }
        let (observer, logs_first_only) =
            (options.observer.clone(), options.planted(Plant::ParticipantsNotLogged));
        let decisions = Self { env, store, observer, logs_first_only };
        if found.incarnation == 0 || !options.planted(Plant::IdentifierReused) {
            found.incarnation += 1;
        }
        let started = Batch::putting(b"i", found.incarnation.to_le_bytes());
        decisions.write(started, std::iter::empty()).await?;
        Ok((decisions, found))
    }

    /// Commits to the store, for these transactions; waits while it has too much to do.
    async fn write(&self, batch: Batch, of: impl Iterator<Item = Gid>) -> Result<(), Error> {
        loop {
            match self.store.commit(batch.clone()).await {
                Ok(_) => {
                    of.for_each(|gid| self.observer.tell(Event::Forced { gid }));
                    return Ok(());
                }
                Err(atomic_commit::Error::Busy { .. }) => {
                    self.env.sleep(Duration::from_millis(5)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes a checkpoint durable, and with it the decision to commit these transactions. Removes
    /// the decisions of earlier checkpoints that everybody has carried out.
    pub(super) async fn checkpoint(
        &self,
        checkpoint: Checkpoint,
        decided: &[Decided],
        carried_out: &[u64],
    ) -> Result<(), Error> {
        let mut value = Vec::with_capacity(16);
        put_u64(&mut value, checkpoint.number);
        put_u64(&mut value, checkpoint.offset);
        let mut batch = Batch::putting(b"c", value);
        if !decided.is_empty() {
            let mut value = Vec::with_capacity(4 + decided.len() * DECIDED_LEN);
            put_u32(&mut value, decided.len() as u32);
            for one in decided {
                let all = one.participants;
                let first = all & all.wrapping_neg();
                put_u64(&mut value, one.gid.incarnation);
                put_u64(&mut value, one.gid.number);
                put_u64(&mut value, if self.logs_first_only { first } else { all });
            }
            batch.put(decision_key(checkpoint.number), value);
        }
        for number in carried_out {
            batch.delete(decision_key(*number));
        }
        self.write(batch, decided.iter().map(|one| one.gid)).await
    }

    /// Removes the decisions of checkpoints that everybody has carried out: these transactions.
    /// That need not be durable: decisions that come back are carried out once more.
    pub(super) async fn forget(
        &self,
        carried_out: &[u64],
        gids: &[Gid],
        durably: bool,
    ) -> Result<(), Error> {
        let mut batch = Batch::new();
        for number in carried_out {
            batch.delete(decision_key(*number));
        }
        if batch.is_empty() {
            return Ok(());
        }
        if durably {
            return self.write(batch, gids.iter().copied()).await;
        }
        drop(self.store.submit(batch)?);
        Ok(())
    }

    /// Notes damage durably; `false` if it was noted before.
    pub(super) async fn note_damage(&self, gid: Gid, participant: u8) -> Result<bool, Error> {
        let mut key = b"h".to_vec();
        key.extend_from_slice(&gid.incarnation.to_be_bytes());
        key.extend_from_slice(&gid.number.to_be_bytes());
        key.push(participant);
        if self.store.get(&key)?.is_some() {
            return Ok(false);
        }
        self.write(Batch::putting(key, b""), std::iter::empty()).await?;
        Ok(true)
    }

    /// Stops, with everything durable.
    pub(super) async fn close(&self) -> Result<(), Error> {
        Ok(self.store.close().await?)
    }
}

/// A participant's name in a list: no two lists look the same.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace(',', "\\,")
}

fn decision_key(checkpoint: u64) -> Vec<u8> {
    let mut key = b"d".to_vec();
    key.extend_from_slice(&checkpoint.to_be_bytes());
    key
}

impl Found {
    pub(super) fn read<'a>(entries: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<Self> {
        let mut found = Self::default();
        for (key, value) in entries {
            match (key.first()?, value.len()) {
                (b'n', 8) => found.identity = Some(u64_at(value, 0)),
                (b'i', 8) => found.incarnation = u64_at(value, 0),
                (b'c', 16) => {
                    let (number, offset) = (u64_at(value, 0), u64_at(value, 8));
                    found.checkpoint = Checkpoint { number, offset };
                }
                (b'd', len) if key.len() == 9 && len >= 4 => {
                    let count = u32_at(value, 0) as usize;
                    if len != 4 + count.checked_mul(DECIDED_LEN)? {
                        return None;
                    }
                    let number = be_u64_at(key, 1);
                    let at = |nth: usize| {
                        let at = 4 + nth * DECIDED_LEN;
                        let gid =
                            Gid { incarnation: u64_at(value, at), number: u64_at(value, at + 8) };
                        Decided { gid, participants: u64_at(value, at + 16) }
                    };
                    found.decided.insert(number, (0..count).map(at).collect());
                }
                (b'h', _) if key.len() == 18 => {
                    let gid = Gid { incarnation: be_u64_at(key, 1), number: be_u64_at(key, 9) };
                    found.damage.push((gid, key[17]));
                }
                (b'n' | b'i' | b'c' | b'd' | b'h', _) => return None,
                _ => (),
            }
        }
        Some(found)
    }
}
