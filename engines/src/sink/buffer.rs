//! Rows on their way into transactions. Takes values, does no I/O.
//!
//! Each row is encoded once, into the allocation from which it is sent, and allocations are used
//! again. Invariants: batches are in the order of offsets, and cover them without a gap; the count
//! of bytes is exact.

use std::collections::VecDeque;
use std::hash::Hasher;

use seedbed_env::Instant;
use seedbed_env::map::FxHasher64;

use super::options::Options;
use super::plant::Plant;
use super::row::{RowError, Rows, Schema, Value};

/// Batches whose allocations are kept.
const SPARE_MAX: usize = 16;

/// Rows that go into one transaction.
#[derive(Debug)]
pub(super) struct Batch {
    /// The first offset that it covers.
    pub(super) from: u64,
    /// The first one after it.
    pub(super) to: u64,
    /// For each participant its rows, and their offsets.
    pub(super) parts: Vec<Part>,
    /// Hashes of the rows' keys.
    pub(super) keys: Vec<u64>,
    /// Length of its rows in bytes.
    pub(super) bytes: usize,
    /// When its first row came.
    since: Instant,
    /// A row of which it is not known yet where it goes.
    scratch: Rows,
}

/// What one participant gets.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) rows: Rows,
    pub(super) offsets: Vec<u64>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Buffer {
    participants: usize,
    batch_rows: usize,
    batch_bytes: usize,
    /// The one that is being filled.
    filling: Option<Batch>,
    /// Full ones, in order.
    sealed: VecDeque<Batch>,
    /// The first offset that is not in any.
    next: u64,
    /// Of all batches, those that left and are not released too.
    bytes: usize,
    spare: Vec<Batch>,
}

impl Buffer {
    /// A buffer for rows from `offset` on.
    pub(super) fn new(options: &Options, participants: usize, offset: u64) -> Self {
        Self {
            participants,
            batch_rows: if options.planted(Plant::SmallBatches) { 2 } else { options.batch_rows },
            batch_bytes: options.batch_bytes,
            filling: None,
            sealed: VecDeque::new(),
            next: offset,
            bytes: 0,
            spare: Vec::new(),
        }
    }

    /// The first offset that was not taken yet.
    pub(super) fn next_offset(&self) -> u64 {
        self.next
    }

    /// Bytes of rows that are not released.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a row; gives its length.
    pub(super) fn push(
        &mut self,
        schema: &Schema,
        offset: u64,
        values: &[Value<'_>],
        now: Instant,
    ) -> Result<usize, RowError> {
        assert!(offset >= self.next, "offsets go up");
        let mut batch = self.filling.take().unwrap_or_else(|| self.fresh(now));
        let pushed = batch.push(schema, offset, values);
        let full = batch.keys.len() >= self.batch_rows || batch.bytes >= self.batch_bytes;
        if pushed.is_ok() && full {
            self.sealed.push_back(batch);
        } else if !batch.keys.is_empty() {
            self.filling = Some(batch);
        } else {
            self.spare.push(batch);
        }
        let len = pushed?;
        self.next = offset + 1;
        self.bytes += len;
        Ok(len)
    }

    fn fresh(&mut self, now: Instant) -> Batch {
        let empty = || Batch {
            from: 0,
            to: 0,
            parts: (0..self.participants).map(|_| Part::default()).collect(),
            keys: Vec::new(),
            bytes: 0,
            since: now,
            scratch: Rows::new(),
        };
        let batch = self.spare.pop().unwrap_or_else(empty);
        Batch { from: self.next, to: self.next, since: now, ..batch }
    }

    /// Closes the batch that is being filled.
    pub(super) fn seal(&mut self) {
        self.sealed.extend(self.filling.take());
    }

    /// When the batch that is being filled has waited for long enough.
    pub(super) fn since(&self) -> Option<Instant> {
        self.filling.as_ref().map(|batch| batch.since)
    }

    /// The next batch that is ready.
    pub(super) fn take(&mut self) -> Option<Batch> {
        self.sealed.pop_front()
    }

    /// Whether a batch is ready.
    pub(super) fn is_ready(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// The rows of a batch are not needed any more.
    pub(super) fn release(&mut self, mut batch: Batch) {
        assert!(self.bytes >= batch.bytes, "what is released was taken");
        self.bytes -= batch.bytes;
        batch.clear();
        if self.spare.len() < SPARE_MAX {
            self.spare.push(batch);
        }
    }

    /// A row of a batch that left was left out.
    pub(super) fn release_row(&mut self, bytes: usize) {
        assert!(self.bytes >= bytes, "what is released was taken");
        self.bytes -= bytes;
    }
}

impl Batch {
    fn push(
        &mut self,
        schema: &Schema,
        offset: u64,
        values: &[Value<'_>],
    ) -> Result<usize, RowError> {
        // Where a row goes depends on its key alone, and never changes.
        let participants = self.parts.len();
        let (part, len, key) = if participants == 1 {
            let at = self.parts[0].rows.bytes().len();
            let len = self.parts[0].rows.push(schema, values)?;
            (0, len, hash(self.parts[0].rows.key_at(schema, at)))
        } else {
            self.scratch.clear();
            let len = self.scratch.push(schema, values)?;
            let key = self.scratch.key_at(schema, 0);
            let part = participant_of(key, participants);
            self.parts[part].rows.append(&self.scratch);
            (part, len, hash(key))
        };
        self.parts[part].offsets.push(offset);
        self.keys.push(key);
        self.bytes += len;
        self.to = offset + 1;
        Ok(len)
    }

    fn clear(&mut self) {
        for part in &mut self.parts {
            part.rows.clear();
            part.offsets.clear();
        }
        self.keys.clear();
        self.bytes = 0;
    }

    /// A bit for each participant that has rows in it.
    pub(super) fn participants(&self) -> u64 {
        let with =
            |bits: u64, (nth, part): (usize, &Part)| bits | u64::from(!part.rows.is_empty()) << nth;
        self.parts.iter().enumerate().fold(0, with)
    }

    /// Leaves out a row of a participant; gives its offset and length.
    pub(super) fn leave_out(&mut self, participant: usize, row: usize) -> (u64, usize) {
        let part = &mut self.parts[participant];
        let before = part.rows.bytes().len();
        part.rows = part.rows.without(row);
        let len = before - part.rows.bytes().len();
        self.bytes -= len;
        (part.offsets.remove(row), len)
    }
}

/// Which of so many participants a row with this encoded key belongs to. Must never change: rows of
/// one key would be at two of them.
pub(super) fn participant_of(key: &[u8], participants: usize) -> usize {
    crc32c::crc32c(key) as usize % participants
}

/// Tells keys apart, nearly always; two that it does not tell apart wait for each other.
fn hash(key: &[u8]) -> u64 {
    let mut hasher = FxHasher64::default();
    hasher.write(key);
    hasher.finish()
}
