//! The floor: a hand-written log with group commit that does nothing else.
//!
//! The file is preallocated, written once, and used as a ring of slots of one size, so that a sync
//! has no metadata to write. A group is one write (two where it wraps round) and one `fdatasync`.
//! With blocking callers the first one that comes writes for all that wait (leader and followers);
//! in a pipeline a log thread does.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{Kept, Put, Store, text};
use crate::commits::load::{KEY_LEN, Key, VALUE_LEN, Value};

/// A slot: number, key, value, checksum of these.
const SLOT: usize = 8 + KEY_LEN + VALUE_LEN + 4;
/// Slots of the ring: about 64 MiB, what our log has between checkpoints.
const SLOTS: u64 = 63_000;

#[derive(Debug, Default)]
struct State {
    /// Records that no group has taken.
    staged: Vec<u8>,
    /// The last number that was given out.
    last: u64,
    durable: u64,
    /// A group is being written.
    writing: bool,
    failed: Option<String>,
    /// No more comes: the log thread ends.
    ended: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Wal {
    path: PathBuf,
    file: File,
    state: Mutex<State>,
    /// A group became durable, or failed.
    done: Condvar,
    /// Something was staged, for the log thread.
    arrived: Condvar,
}

impl Wal {
    pub(crate) fn create(dir: &Path) -> Result<Self, String> {
        let path = dir.join("ring");
        let file = options().create(true).open(&path).map_err(text("the ring's file"))?;
        write_zeros(&file, SLOTS * SLOT as u64).map_err(text("the ring's zeros"))?;
        Ok(Self::with(path, file))
    }

    fn with(path: PathBuf, file: File) -> Self {
        let (done, arrived) = (Condvar::new(), Condvar::new());
        Self { path, file, state: Mutex::default(), done, arrived }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes and syncs what is staged, for all.
    fn write_group<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.writing = true;
        let last = state.last;
        let group = std::mem::take(&mut state.staged);
        drop(state);
        let result = self.write(&group, last);
        let mut state = self.lock();
        state.writing = false;
        match result {
            Ok(()) => state.durable = last,
            Err(error) => state.failed = Some(error.to_string()),
        }
        if state.staged.is_empty() {
            // Its memory serves the next but one.
            state.staged = group;
            state.staged.clear();
        }
        self.done.notify_all();
        state
    }

    fn write(&self, group: &[u8], last: u64) -> io::Result<()> {
        let count = (group.len() / SLOT) as u64;
        let first = (last + 1 - count) % SLOTS;
        let to_end = (SLOTS - first).min(count) as usize * SLOT;
        self.file.write_all_at(&group[..to_end], first * SLOT as u64)?;
        self.file.write_all_at(&group[to_end..], 0)?;
        self.file.sync_data()
    }

    /// Stages a record for the log thread and returns its number.
    pub(crate) fn submit(&self, key: &Key, value: &Value) -> u64 {
        let mut state = self.lock();
        let seq = state.stage(key, value);
        let is_first = state.staged.len() == SLOT;
        drop(state);
        if is_first {
            self.arrived.notify_one();
        }
        seq
    }

    /// Waits until this number is durable, and returns how far the log is.
    pub(crate) fn wait(&self, seq: u64) -> Result<u64, String> {
        let mut state = self.lock();
        while state.durable < seq {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(state.durable)
    }

    /// The log thread of a pipeline.
    pub(crate) fn serve(&self) {
        let mut state = self.lock();
        loop {
            if !state.staged.is_empty() && state.failed.is_none() {
                state = self.write_group(state);
            } else if state.ended {
                return;
            } else {
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// A log thread may come again.
    pub(crate) fn go_on(&self) {
        self.lock().ended = false;
    }

    /// Lets the log thread end.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.arrived.notify_one();
    }
}

impl State {
    fn stage(&mut self, key: &Key, value: &Value) -> u64 {
        self.last += 1;
        let start = self.staged.len();
        self.staged.extend_from_slice(&self.last.to_le_bytes());
        self.staged.extend_from_slice(key);
        self.staged.extend_from_slice(value);
        let checksum = crc32c::crc32c(&self.staged[start..]);
        self.staged.extend_from_slice(&checksum.to_le_bytes());
        self.last
    }
}

impl Store for Wal {
    /// A log has no state to fill.
    fn fill(&self, _: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), String> {
        Ok(())
    }

    fn put(&self, put: Put<'_>) -> Result<u64, String> {
        let mut state = self.lock();
        let seq = state.stage(put.key, put.value);
        while state.durable < seq {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            state = match state.writing {
                true => self.done.wait(state).unwrap_or_else(PoisonError::into_inner),
                false => self.write_group(state),
            };
        }
        Ok(seq)
    }

    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String> {
        let path = self.path.clone();
        drop(self);
        let file = options().open(&path).map_err(text("the ring's file"))?;
        Ok(Box::new(Self::with(path, file)))
    }

    fn find(&self, _: usize, _: u64, key: &Key, receipt: u64) -> Result<Kept, String> {
        let mut slot = [0; SLOT];
        let at = receipt % SLOTS * SLOT as u64;
        self.file.read_exact_at(&mut slot, at).map_err(text("a slot"))?;
        let (record, checksum) = slot.split_at(SLOT - 4);
        let (number, rest) = record.split_at(8);
        let (found, value) = rest.split_at(KEY_LEN);
        let number = u64::from_le_bytes(number.try_into().expect("8 bytes"));
        Ok(match crc32c::crc32c(record).to_le_bytes() == checksum {
            true if number == receipt && found == key => Kept::Value(value.to_vec()),
            true if number > receipt => Kept::LetGo,
            _ => Kept::Missing,
        })
    }
}

fn options() -> std::fs::OpenOptions {
    let mut options = File::options();
    options.read(true).write(true);
    options
}

/// Writes so many zeros and syncs: later overwrites then change no metadata.
pub(super) fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < len {
        let part = (len - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..part as usize], at)?;
        at += part;
    }
    file.sync_all()
}
