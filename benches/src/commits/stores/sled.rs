//! sled: insert, then flush. On Linux its flush writes back with `sync_file_range`, which orders
//! no device cache and no metadata: see the syncs that are counted.

use std::path::{Path, PathBuf};

use sled::Db;

use super::{Kept, Put, Store, text};
use crate::commits::load::{Key, Value};

/// See the module.
#[derive(Debug)]
pub(crate) struct Tree {
    dir: PathBuf,
    db: Db,
}

impl Tree {
    pub(crate) fn open(dir: &Path) -> Result<Self, String> {
        let dir = dir.join("sled");
        let db = sled::open(&dir).map_err(text("sled"))?;
        Ok(Self { dir, db })
    }

    fn write(&self, key: &Key, value: &Value) -> sled::Result<()> {
        self.db.insert(key, &value[..])?;
        self.db.flush()?;
        Ok(())
    }
}

impl Store for Tree {
    fn fill(&self, entries: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), String> {
        for (key, value) in entries {
            self.db.insert(key, &value[..]).map_err(text("sled"))?;
        }
        self.db.flush().map(drop).map_err(text("sled"))
    }

    fn put(&self, put: Put<'_>) -> Result<u64, String> {
        self.write(put.key, put.value).map_err(text("sled"))?;
        Ok(0)
    }

    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String> {
        let Self { dir, db } = *self;
        drop(db);
        let db = sled::open(&dir).map_err(text("sled"))?;
        Ok(Box::new(Self { dir, db }))
    }

    fn find(&self, _: usize, _: u64, key: &Key, _: u64) -> Result<Kept, String> {
        let found = self.db.get(key).map_err(text("sled"))?;
        Ok(found.map(|value| value.to_vec()).into())
    }
}
