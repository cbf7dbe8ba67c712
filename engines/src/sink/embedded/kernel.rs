//! The participant's state: which transactions it holds, and which rows they hold. Takes values,
//! does no I/O; what must be durable is given back as a batch for the store.
//!
//! # Keys in the store
//! `m` what the store is; `w` writer: its incarnation and identity; `f` writer: what is finished;
//! `p` writer, NUL, gid: a prepared transaction; `c` writer, NUL, gid: a decided one, until it is
//! finished; `r` key: a row. Numbers in keys are big-endian, so that they are in the order of age.

use std::collections::BTreeMap;

use seedbed_env::map::FxHashMap;

use crate::atomic_commit::{BATCH_LEN_MAX, Batch, VALUE_LEN_MAX};
use crate::bytes::{be_u64_at, put_u64, u64_at};

use super::super::participant::{Decision, Gid, No, Outcome, WriteMode, Writer};
use super::super::row::{ROW_LEN_MAX, Row, Rows, Schema, Value};
use super::wire::{mode_byte, mode_of};

/// Bytes of rows that a transaction may have here. Prepared, they are one value of the store. When
/// they become entries, a row of one byte and its length makes 12 of 5, which is the worst case:
/// what was prepared has to fit into one batch of the store then.
pub const TRANSACTION_LEN_MAX: usize = 12 << 20;
/// Bytes of a change in a batch, besides its key and value, and of the key before the row's.
const ENTRY_LEN: usize = 10;
/// Bytes in a batch that a decision takes besides rows: the prepared transaction goes, a mark
/// comes.
const DECISION_LEN: usize = 256;

const _: () = assert!(TRANSACTION_LEN_MAX < VALUE_LEN_MAX);
const _: () = assert!(TRANSACTION_LEN_MAX / 5 * 12 + 2 * DECISION_LEN < BATCH_LEN_MAX);

/// What is known of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Somebody works on it: it is being made durable that it is prepared, or decided.
    Busy,
    Prepared,
    Committed,
    /// It was to be aborted before it came: then it comes in vain. Not on disk: what comes late
    /// comes on a connection of this life.
    Refused,
    /// A person decided it. It is listed until its coordinator has decided the same or says that it
    /// has reported the damage.
    ByHand {
        decision: Decision,
        told: bool,
    },
}

/// What is known of a writer.
#[derive(Clone, Debug, Default)]
struct Known {
    /// 0 if none has come.
    incarnation: u64,
    identity: u64,
    finished: Gid,
    transactions: BTreeMap<Gid, State>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    writers: BTreeMap<Writer, Known>,
    /// Keys of the rows of prepared transactions.
    locks: FxHashMap<Box<[u8]>, Lock>,
    /// What tells the next transaction's locks from all others.
    next_holder: u64,
    /// How many transactions are prepared, or on their way to it or from it.
    prepared: usize,
}

/// A key that belongs to a prepared transaction.
#[derive(Clone, Copy, Debug)]
struct Lock {
    holder: u64,
    /// No longer than this can the row become.
    len: usize,
}

/// Who may not speak for a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barred {
    /// A later incarnation has taken over: this one.
    Later(u64),
    /// The name belongs to a sink with another identity.
    Stranger,
}

/// The store's content is not what this build writes.
#[derive(Debug)]
pub(super) struct Foreign(pub(super) &'static str);

/// What the rows that a decision needs are found in.
pub(super) trait Table {
    /// The value of a key of the store.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;
    /// The value's length.
    fn len(&self, key: &[u8]) -> Option<usize>;
}

/// How a decision starts.
#[derive(Debug)]
pub(super) enum Begun {
    /// Nothing is left to do: the answer.
    Answer(Outcome),
    /// A person was first, and decided the same: done, once it is durable that this is known.
    Agreed(Batch),
    /// Somebody else is at it: ask again when that has changed.
    Wait,
    /// It is reserved for the caller.
    Ours,
}

impl Kernel {
    /// The state that a store's entries hold.
    pub(super) fn recover<'a>(
        schema: &Schema,
        entries: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, Foreign> {
        let mut kernel = Self::default();
        for (key, value) in entries {
            match key.first() {
                Some(b'w') => {
                    let known = kernel.known(writer_of(&key[1..])?);
                    if value.len() != 16 {
                        return Err(Foreign("a writer's entry of another length"));
                    }
                    (known.incarnation, known.identity) = (u64_at(value, 0), u64_at(value, 8));
                }
                Some(b'f') => {
                    let known = kernel.known(writer_of(&key[1..])?);
                    if value.len() != 16 {
                        return Err(Foreign("a writer's entry of another length"));
                    }
                    known.finished =
                        Gid { incarnation: u64_at(value, 0), number: u64_at(value, 8) };
                }
                Some(b'p') => {
                    let (writer, gid) = transaction_of(&key[1..])?;
                    let prepared = Prepared::parse(schema, value)?;
                    for row in prepared.rows.iter() {
                        kernel.locks.insert(row.key(schema).into(), Lock { holder: 0, len: 0 });
                    }
                    kernel.set(&writer, gid, Some(State::Prepared));
                }
                Some(b'c') => {
                    let (writer, gid) = transaction_of(&key[1..])?;
                    let state = match value {
                        b"c" => State::Committed,
                        b"C" => State::ByHand { decision: Decision::Commit, told: false },
                        b"A" => State::ByHand { decision: Decision::Abort, told: false },
                        b"CT" => State::ByHand { decision: Decision::Commit, told: true },
                        b"AT" => State::ByHand { decision: Decision::Abort, told: true },
                        _ => return Err(Foreign("a decision of another kind")),
                    };
                    kernel.known(writer).transactions.insert(gid, state);
                }
                _ => (),
            }
        }
        Ok(kernel)
    }

    fn known(&mut self, writer: Writer) -> &mut Known {
        self.writers.entry(writer).or_default()
    }

    /// The incarnation that may speak for a writer.
    pub(super) fn incarnation(&self, writer: &Writer) -> u64 {
        self.writers.get(writer).map_or(0, |known| known.incarnation)
    }

    /// Whether an incarnation may speak for a writer.
    pub(super) fn admits(
        &self,
        writer: &Writer,
        identity: u64,
        incarnation: u64,
    ) -> Result<(), Barred> {
        match self.writers.get(writer).filter(|known| known.incarnation > 0) {
            Some(known) if known.identity != identity => Err(Barred::Stranger),
            Some(known) if known.incarnation > incarnation => Err(Barred::Later(known.incarnation)),
            _ => Ok(()),
        }
    }

    /// Lets an incarnation speak for a writer from now on; gives what must become durable first.
    pub(super) fn fence(&mut self, writer: &Writer, identity: u64, incarnation: u64) -> Batch {
        let known = self.known(writer.clone());
        assert!(incarnation > known.incarnation, "incarnations go up");
        (known.incarnation, known.identity) = (incarnation, identity);
        let mut value = incarnation.to_le_bytes().to_vec();
        put_u64(&mut value, identity);
        Batch::putting(writer_key(writer), value)
    }

    /// That could not be written: as before.
    pub(super) fn unfence(&mut self, writer: &Writer, incarnation: u64) {
        self.known(writer.clone()).incarnation = incarnation;
    }

    /// Refuses a transaction where `max` are prepared already.
    pub(super) fn has_room(&self, max: usize) -> Result<(), No> {
        if self.prepared < max {
            return Ok(());
        }
        let reason = format!(
            "{max} transactions are prepared already (prepared_max): it passes when they are \
             committed or aborted"
        );
        Err(No::Unable { reason })
    }

    /// Takes the rows' keys for a transaction; gives what makes it prepared.
    pub(super) fn prepare(
        &mut self,
        schema: &Schema,
        table: &impl Table,
        writer: &Writer,
        gid: Gid,
        prepared: &Prepared,
    ) -> Result<Batch, No> {
        let known = self
            .writers
            .get(writer)
            .is_some_and(|known| known.transactions.contains_key(&gid) || gid < known.finished);
        if known {
            let reason = format!("transaction {gid} was here before: names are used once");
            return Err(No::Unable { reason });
        }
        self.lock(schema, table, prepared)?;
        self.set(writer, gid, Some(State::Busy));
        Ok(Batch::putting(transaction_key(b'p', writer, gid), prepared.encode()))
    }

    /// Takes the keys of all rows, or none. What they will make of the table fits into one batch.
    pub(super) fn lock(
        &mut self,
        schema: &Schema,
        table: &impl Table,
        of: &Prepared,
    ) -> Result<(), No> {
        self.next_holder += 1;
        let mut len = DECISION_LEN;
        for (nth, row) in of.rows.iter().enumerate() {
            let locked = self.lock_row(schema, table, of.mode, row);
            // The first row fits, whatever is stored.
            let locked = locked.and_then(|more| {
                len += more;
                if len <= BATCH_LEN_MAX { Ok(()) } else { Err(too_much(nth)) }
            });
            if let Err(no) = locked {
                let taken = if matches!(no, No::Unable { .. }) { nth + 1 } else { nth };
                for earlier in of.rows.iter().take(taken) {
                    self.locks.remove(earlier.key(schema));
                }
                return Err(match no {
                    No::Rejected { reason, .. } => No::Rejected { row: nth as u32, reason },
                    other => other,
                });
            }
        }
        Ok(())
    }

    /// Takes a row's key for the holder that comes next. Gives how many bytes of a batch it can
    /// become at most, with what is stored.
    fn lock_row(
        &mut self,
        schema: &Schema,
        table: &impl Table,
        mode: WriteMode,
        row: Row<'_>,
    ) -> Result<usize, No> {
        let holder = self.next_holder;
        let key = row.key(schema);
        let lock = self.locks.get_mut(key);
        if lock.as_ref().is_some_and(|lock| lock.holder != holder) {
            return Err(No::Conflict);
        }
        let stored = match (&lock, mode) {
            (Some(lock), WriteMode::Insert | WriteMode::Upsert) => Some(lock.len),
            (None, WriteMode::Insert | WriteMode::Upsert) => table.len(&row_key(key)),
            (_, WriteMode::Replace) => None,
        };
        if stored.is_some() && mode == WriteMode::Insert {
            return Err(rejected(row, schema));
        }
        let mut len = stored.unwrap_or(0) + row.bytes().len();
        if len > ROW_LEN_MAX && lock.is_none() && mode == WriteMode::Upsert {
            // So long it is only if nothing takes the place of something.
            let stored = table.get(&row_key(key));
            len = Rows::len_of(&merged(schema, row, stored.as_deref())) - 4;
        }
        if len > ROW_LEN_MAX {
            let reason = format!("with what is stored, a row of {len} bytes: up to {ROW_LEN_MAX}");
            return Err(No::Rejected { row: 0, reason });
        }
        let more = match lock {
            Some(lock) => {
                lock.len = len;
                row.bytes().len()
            }
            None => {
                self.locks.insert(key.into(), Lock { holder, len });
                len
            }
        };
        Ok(ENTRY_LEN + key.len() + more)
    }

    /// Gives back the keys of a transaction's rows.
    pub(super) fn unlock(&mut self, schema: &Schema, rows: &Rows) {
        for row in rows.iter() {
            self.locks.remove(row.key(schema));
        }
    }

    /// It is durable that the transaction is prepared.
    pub(super) fn prepared(&mut self, writer: &Writer, gid: Gid) {
        self.set(writer, gid, Some(State::Prepared));
    }

    /// Starts to carry out a decision.
    pub(super) fn decide(&mut self, writer: &Writer, gid: Gid, decision: Decision) -> Begun {
        let known = self.known(writer.clone());
        let Some(state) = known.transactions.get_mut(&gid) else {
            let finished = gid < known.finished;
            if decision == Decision::Abort && !finished {
                known.transactions.insert(gid, State::Refused);
            }
            let done = decision == Decision::Abort || finished;
            return Begun::Answer(if done { Outcome::Done } else { Outcome::Missing });
        };
        match *state {
            State::Busy => Begun::Wait,
            State::Prepared => {
                *state = State::Busy;
                Begun::Ours
            }
            State::Refused if decision == Decision::Commit => Begun::Answer(Outcome::Missing),
            State::Refused => Begun::Answer(Outcome::Done),
            State::Committed if decision == Decision::Commit => Begun::Answer(Outcome::Done),
            State::Committed => Begun::Answer(Outcome::Heuristic(Decision::Commit)),
            State::ByHand { decision: by, .. } if by != decision => {
                Begun::Answer(Outcome::Heuristic(by))
            }
            State::ByHand { .. } => match self.tell(writer, gid) {
                Some(batch) => Begun::Agreed(batch),
                None => Begun::Answer(Outcome::Done),
            },
        }
    }

    /// A transaction that a person decided need not be listed any more: gives what makes that
    /// durable, if it is not yet. Only then it is [`Kernel::told`].
    pub(super) fn tell(&self, writer: &Writer, gid: Gid) -> Option<Batch> {
        match self.writers.get(writer)?.transactions.get(&gid)? {
            State::ByHand { decision, told: false } => {
                let mark: &[u8] = if *decision == Decision::Commit { b"CT" } else { b"AT" };
                Some(Batch::putting(transaction_key(b'c', writer, gid), mark))
            }
            _ => None,
        }
    }

    /// It is durable that a transaction which a person decided need not be listed any more.
    pub(super) fn told(&mut self, writer: &Writer, gid: Gid) {
        let transactions = &mut self.known(writer.clone()).transactions;
        if let Some(State::ByHand { told, .. }) = transactions.get_mut(&gid) {
            *told = true;
        }
    }

    /// A decision is durable.
    pub(super) fn decided(
        &mut self,
        schema: &Schema,
        writer: &Writer,
        gid: Gid,
        decision: Decision,
        by_hand: bool,
        rows: &Rows,
    ) {
        let state = match decision {
            _ if by_hand => Some(State::ByHand { decision, told: false }),
            Decision::Commit => Some(State::Committed),
            Decision::Abort => None,
        };
        self.set(writer, gid, state);
        self.unlock(schema, rows);
    }

    fn set(&mut self, writer: &Writer, gid: Gid, to: Option<State>) {
        let transactions = &mut self.known(writer.clone()).transactions;
        let before = match to {
            Some(state) => transactions.insert(gid, state),
            None => transactions.remove(&gid),
        };
        let is_held = |state| matches!(state, Some(State::Busy | State::Prepared));
        self.prepared += usize::from(is_held(to));
        self.prepared -= usize::from(is_held(before));
    }

    /// Nobody will ask about transactions below `finished` again: adds to the batch what that
    /// removes.
    pub(super) fn finish(&mut self, writer: &Writer, finished: Gid, batch: &mut Batch) {
        let known = self.known(writer.clone());
        if finished <= known.finished {
            return;
        }
        known.finished = finished;
        let over = |state: &State| {
            matches!(state, State::Committed | State::Refused | State::ByHand { told: true, .. })
        };
        let gone: Vec<Gid> = known
            .transactions
            .range(..finished)
            .filter(|(_, state)| over(state))
            .map(|(gid, _)| *gid)
            .collect();
        for gid in &gone {
            known.transactions.remove(gid);
            batch.delete(transaction_key(b'c', writer, *gid));
        }
        let mut value = Vec::with_capacity(16);
        put_u64(&mut value, finished.incarnation);
        put_u64(&mut value, finished.number);
        batch.put(finished_key(writer), value);
    }

    /// What is known of all transactions: the decision, if there is one, and whether a person made
    /// it.
    pub(super) fn recovered(&self) -> impl Iterator<Item = (Gid, Option<Decision>, bool)> {
        let transactions = self.writers.values().flat_map(|known| &known.transactions);
        transactions.filter_map(|(gid, state)| match state {
            State::Refused => None,
            State::Busy | State::Prepared => Some((*gid, None, false)),
            State::Committed => Some((*gid, Some(Decision::Commit), false)),
            State::ByHand { decision, .. } => Some((*gid, Some(*decision), true)),
        })
    }

    /// The writer's transactions whose coordinator has not told what becomes of them: prepared
    /// ones, those on which somebody works, and those that a person has decided.
    pub(super) fn list(&self, writer: &Writer) -> Vec<Gid> {
        let Some(known) = self.writers.get(writer) else { return Vec::new() };
        let open = |state: &State| {
            matches!(state, State::Busy | State::Prepared | State::ByHand { told: false, .. })
        };
        known.transactions.iter().filter(|(_, state)| open(state)).map(|(gid, _)| *gid).collect()
    }

    /// Whether a transaction is prepared, and nobody works on it.
    pub(super) fn is_prepared(&self, writer: &Writer, gid: Gid) -> bool {
        let known = self.writers.get(writer);
        known.and_then(|known| known.transactions.get(&gid)) == Some(&State::Prepared)
    }
}

fn too_much(rows: usize) -> No {
    let reason = format!(
        "with what is stored, {rows} rows of the transaction fill the {BATCH_LEN_MAX} bytes that \
         can be written at once: let the sink make smaller ones (batch_rows, batch_bytes)"
    );
    No::Unable { reason }
}

fn rejected(row: Row<'_>, schema: &Schema) -> No {
    let key: Vec<_> = row.values().take(schema.key_columns()).collect();
    let reason = format!("{} has a row with the key {key:?} already", schema.table());
    No::Rejected { row: 0, reason }
}

/// The content of a prepared transaction.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) mode: WriteMode,
    pub(super) rows: Rows,
}

impl Prepared {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + self.rows.bytes().len());
        out.push(mode_byte(self.mode));
        out.extend_from_slice(self.rows.bytes());
        out
    }

    pub(super) fn parse(schema: &Schema, bytes: &[u8]) -> Result<Self, Foreign> {
        let mode = bytes.first().and_then(|byte| mode_of(*byte));
        let mode = mode.ok_or(Foreign("a prepared transaction of another kind"))?;
        let rows = Rows::parse(schema, bytes[1..].to_vec());
        let rows = rows.map_err(|_| Foreign("a prepared transaction of another table"))?;
        Ok(Self { mode, rows })
    }

    /// Adds what the rows make of the table. `None` if the batch has no room for it.
    pub(super) fn apply(
        &self,
        schema: &Schema,
        table: &impl Table,
        batch: &mut Batch,
    ) -> Option<()> {
        let has_room = |len: usize| {
            batch.is_empty() || batch.encoded_len() + DECISION_LEN + len <= BATCH_LEN_MAX
        };
        if self.mode != WriteMode::Upsert {
            // An entry costs a head, and a key that is in the row already.
            if !has_room(2 * self.rows.bytes().len() + ENTRY_LEN * self.rows.len()) {
                return None;
            }
            for row in self.rows.iter() {
                batch.put(row_key(row.key(schema)), row.bytes());
            }
            return Some(());
        }
        // A row may change one that stands before it in the same transaction.
        let mut merged: BTreeMap<Vec<u8>, Rows> = BTreeMap::new();
        for row in self.rows.iter() {
            let key = row_key(row.key(schema));
            let before = merged.get(&key).map(|rows| rows.bytes()[4..].to_vec());
            let after = merge(schema, row, before.or_else(|| table.get(&key)).as_deref());
            merged.insert(key, after);
        }
        let entry_len = |(key, rows): (&Vec<u8>, &Rows)| ENTRY_LEN + key.len() + rows.bytes().len();
        if !has_room(merged.iter().map(entry_len).sum()) {
            return None;
        }
        for (key, rows) in &merged {
            batch.put(key, &rows.bytes()[4..]);
        }
        Some(())
    }
}

/// The row, with what the stored one has in the columns that are null in it.
fn merge(schema: &Schema, row: Row<'_>, stored: Option<&[u8]>) -> Rows {
    let mut rows = Rows::new();
    let pushed = rows.push(schema, &merged(schema, row, stored));
    pushed.expect("its length was checked when it was locked");
    rows
}

/// The values of the merged row.
fn merged<'a>(schema: &Schema, row: Row<'a>, stored: Option<&'a [u8]>) -> Vec<Value<'a>> {
    let stored = stored.and_then(|bytes| Row::parse(schema, bytes).ok());
    let old: Vec<Value<'_>> = stored.map(|row| row.values().collect()).unwrap_or_default();
    row.values()
        .enumerate()
        .map(|(nth, value)| match value {
            Value::Null => old.get(nth).copied().unwrap_or(Value::Null),
            value => value,
        })
        .collect()
}

fn finished_key(writer: &Writer) -> Vec<u8> {
    [b"f", writer.as_str().as_bytes()].concat()
}

fn writer_key(writer: &Writer) -> Vec<u8> {
    [b"w", writer.as_str().as_bytes()].concat()
}

/// The key of a prepared (`p`) or decided (`c`) transaction.
pub(super) fn transaction_key(kind: u8, writer: &Writer, gid: Gid) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(writer.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(&gid.incarnation.to_be_bytes());
    key.extend_from_slice(&gid.number.to_be_bytes());
    key
}

/// The key of a row.
pub(super) fn row_key(key: &[u8]) -> Vec<u8> {
    [b"r", key].concat()
}

fn writer_of(bytes: &[u8]) -> Result<Writer, Foreign> {
    let name = std::str::from_utf8(bytes).ok().and_then(|name| Writer::new(name).ok());
    name.ok_or(Foreign("a writer with another name"))
}

fn transaction_of(bytes: &[u8]) -> Result<(Writer, Gid), Foreign> {
    let end = bytes.len().checked_sub(17).filter(|end| bytes[*end] == 0);
    let end = end.ok_or(Foreign("a transaction with another name"))?;
    let gid = Gid { incarnation: be_u64_at(bytes, end + 1), number: be_u64_at(bytes, end + 9) };
    Ok((writer_of(&bytes[..end])?, gid))
}
