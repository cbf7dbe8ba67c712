//! LMDB through heed, with its default of a sync for each transaction. It has one writer and lets
//! the others wait.

use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions};

use super::{Kept, Put, Store, text};
use crate::commits::load::{Key, Value};

/// Bytes that the map may grow to.
const MAP_MAX: usize = 1 << 30;

/// See the module.
#[derive(Debug)]
pub(crate) struct Map {
    dir: PathBuf,
    env: Env,
    values: Database<Bytes, Bytes>,
}

impl Map {
    pub(crate) fn open(dir: &Path) -> Result<Self, String> {
        let dir = dir.join("lmdb");
        std::fs::create_dir(&dir).map_err(text("LMDB's folder"))?;
        Self::with(dir).map_err(text("LMDB"))
    }

    #[expect(unsafe_code, reason = "heed opens a memory map, and nobody else has the file")]
    fn with(dir: PathBuf) -> heed::Result<Self> {
        // SAFETY: the folder is a temporary one of this process, which opens it once at a time.
        let env = unsafe { EnvOpenOptions::new().map_size(MAP_MAX).open(&dir)? };
        let mut transaction = env.write_txn()?;
        let values = env.create_database(&mut transaction, None)?;
        transaction.commit()?;
        Ok(Self { dir, env, values })
    }

    fn write(&self, entries: &mut dyn Iterator<Item = (Key, Value)>) -> heed::Result<()> {
        let mut transaction = self.env.write_txn()?;
        for (key, value) in entries {
            self.values.put(&mut transaction, &key, &value)?;
        }
        transaction.commit()
    }

    fn read(&self, key: &Key) -> heed::Result<Option<Vec<u8>>> {
        let transaction = self.env.read_txn()?;
        Ok(self.values.get(&transaction, key)?.map(<[u8]>::to_vec))
    }
}

impl Store for Map {
    fn fill(&self, entries: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), String> {
        self.write(entries).map_err(text("LMDB"))
    }

    fn put(&self, put: Put<'_>) -> Result<u64, String> {
        self.write(&mut std::iter::once((*put.key, *put.value))).map_err(text("LMDB"))?;
        Ok(0)
    }

    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String> {
        let Self { dir, env, .. } = *self;
        env.prepare_for_closing().wait();
        Ok(Box::new(Self::with(dir).map_err(text("LMDB"))?))
    }

    fn find(&self, _: usize, _: u64, key: &Key, _: u64) -> Result<Kept, String> {
        Ok(self.read(key).map_err(text("LMDB"))?.into())
    }
}
