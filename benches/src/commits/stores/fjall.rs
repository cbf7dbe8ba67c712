//! fjall: insert, then persist the journal in one of its two durable ways.

use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Kept, Put, Store, text};
use crate::commits::load::{Key, Value};

/// See the module.
pub(crate) struct Lsm {
    dir: PathBuf,
    mode: PersistMode,
    db: Database,
    values: Keyspace,
}

impl Lsm {
    pub(crate) fn open(dir: &Path, mode: PersistMode) -> Result<Self, String> {
        Self::with(dir.join("fjall"), mode).map_err(text("fjall"))
    }

    fn with(dir: PathBuf, mode: PersistMode) -> fjall::Result<Self> {
        let db = Database::builder(&dir).manual_journal_persist(true).open()?;
        let values = db.keyspace("values", KeyspaceCreateOptions::default)?;
        Ok(Self { dir, mode, db, values })
    }

    fn write(&self, key: &Key, value: &Value) -> fjall::Result<()> {
        self.values.insert(&key[..], &value[..])?;
        self.db.persist(self.mode)
    }
}

impl Store for Lsm {
    fn fill(&self, entries: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), String> {
        for (key, value) in entries {
            self.values.insert(&key[..], &value[..]).map_err(text("fjall"))?;
        }
        self.db.persist(self.mode).map_err(text("fjall"))
    }

    fn put(&self, put: Put<'_>) -> Result<u64, String> {
        self.write(put.key, put.value).map_err(text("fjall"))?;
        Ok(0)
    }

    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String> {
        let Self { dir, mode, db, values } = *self;
        drop((values, db));
        Ok(Box::new(Self::with(dir, mode).map_err(text("fjall"))?))
    }

    fn find(&self, _: usize, _: u64, key: &Key, _: u64) -> Result<Kept, String> {
        let found = self.values.get(&key[..]).map_err(text("fjall"))?;
        Ok(found.map(|value| value.to_vec()).into())
    }
}
