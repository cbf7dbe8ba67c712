//! redb: a write transaction for each commit, with `Durability::Immediate`. It has one writer and
//! lets the others wait.

use std::path::{Path, PathBuf};

use redb::{Database, Durability, Error, ReadableDatabase, TableDefinition};

use super::{Kept, Put, Store, text};
use crate::commits::load::{Key, Value};

const VALUES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("values");

/// See the module.
#[derive(Debug)]
pub(crate) struct Pages {
    path: PathBuf,
    db: Database,
}

impl Pages {
    pub(crate) fn open(dir: &Path) -> Result<Self, String> {
        let path = dir.join("redb");
        let db = Database::create(&path).map_err(text("redb"))?;
        Ok(Self { path, db })
    }

    fn write(&self, entries: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), Error> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut table = transaction.open_table(VALUES)?;
            for (key, value) in entries {
                table.insert(&key[..], &value[..])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn read(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        let table = self.db.begin_read()?.open_table(VALUES)?;
        Ok(table.get(&key[..])?.map(|found| found.value().to_vec()))
    }
}

impl Store for Pages {
    fn fill(&self, entries: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), String> {
        self.write(entries).map_err(text("redb"))
    }

    fn put(&self, put: Put<'_>) -> Result<u64, String> {
        self.write(&mut std::iter::once((*put.key, *put.value))).map_err(text("redb"))?;
        Ok(0)
    }

    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String> {
        let Self { path, db } = *self;
        drop(db);
        let db = Database::open(&path).map_err(text("redb"))?;
        Ok(Box::new(Self { path, db }))
    }

    fn find(&self, _: usize, _: u64, key: &Key, _: u64) -> Result<Kept, String> {
        Ok(self.read(key).map_err(text("redb"))?.into())
    }
}
