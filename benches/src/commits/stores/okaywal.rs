//! okaywal with its defaults. It is a log without a state, as the floor is: a checkpoint lets go of
//! entries and costs a real user more than here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use okaywal::{Entry, EntryId, LogManager, SegmentReader, WriteAheadLog};

use super::{Kept, Put, Store, text};
use crate::commits::load::{KEY_LEN, Key, Value};

/// What its manager is told.
#[derive(Debug, Default)]
struct Seen {
    /// Up to here entries were checkpointed.
    checkpointed: AtomicU64,
    /// What was recovered: number, then key and value.
    recovered: Mutex<std::collections::HashMap<u64, Vec<u8>>>,
}

#[derive(Debug)]
struct Manager(Arc<Seen>);

impl LogManager for Manager {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        if let Some(chunks) = entry.read_all_chunks()? {
            let mut recovered =
                self.0.recovered.lock().map_err(|_| io::Error::other("poisoned"))?;
            recovered.insert(entry.id().0, chunks.concat());
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        last: EntryId,
        _: &mut SegmentReader,
        _: &WriteAheadLog,
    ) -> io::Result<()> {
        self.0.checkpointed.fetch_max(last.0, Ordering::Relaxed);
        Ok(())
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Log {
    dir: PathBuf,
    wal: WriteAheadLog,
    seen: Arc<Seen>,
}

impl Log {
    pub(crate) fn open(dir: &Path) -> Result<Self, String> {
        Self::with(dir.join("wal"), Arc::default())
    }

    fn with(dir: PathBuf, seen: Arc<Seen>) -> Result<Self, String> {
        let wal = WriteAheadLog::recover(&dir, Manager(Arc::clone(&seen)));
        Ok(Self { dir, wal: wal.map_err(text("okaywal"))?, seen })
    }

    fn write(&self, put: Put<'_>) -> io::Result<u64> {
        let mut entry = self.wal.begin_entry()?;
        let mut record = [0; KEY_LEN + size_of::<Value>()];
        record[..KEY_LEN].copy_from_slice(put.key);
        record[KEY_LEN..].copy_from_slice(put.value);
        entry.write_chunk(&record)?;
        Ok(entry.commit()?.0)
    }
}

impl Store for Log {
    /// A log has no state to fill.
    fn fill(&self, _: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), String> {
        Ok(())
    }

    fn put(&self, put: Put<'_>) -> Result<u64, String> {
        self.write(put).map_err(text("okaywal"))
    }

    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String> {
        let Self { dir, wal, seen } = *self;
        wal.shutdown().map_err(text("okaywal"))?;
        Ok(Box::new(Self::with(dir, seen)?))
    }

    fn find(&self, _: usize, _: u64, key: &Key, receipt: u64) -> Result<Kept, String> {
        let recovered = self.seen.recovered.lock().map_err(text("what was recovered"))?;
        Ok(match recovered.get(&receipt) {
            Some(record) if record.starts_with(key) => Kept::Value(record[KEY_LEN..].to_vec()),
            Some(_) => Kept::Missing,
            None if receipt <= self.seen.checkpointed.load(Ordering::Relaxed) => Kept::LetGo,
            None => Kept::Missing,
        })
    }
}
