//! Ours with blocking callers: each is a thread that waits for its ticket, the store's task runs on
//! a runtime beside them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use seedbed_engines::atomic_commit::{Batch, Durability, Error, Options};
use seedbed_env::OsEnv;
use tokio::runtime::{Builder, Runtime};

use super::{Kept, Put, Store, text};
use crate::commits::load::{Key, Value};

/// The store in the real world.
type Ours = seedbed_engines::atomic_commit::Store<OsEnv>;

/// Groups are as large as what waits: the sync before limits them.
pub(crate) fn options() -> Options {
    Options::new(Durability::Group { max_batch: 1 << 16, max_delay: Duration::ZERO })
}

/// A runtime as `#[tokio::main]` makes it.
pub(crate) fn runtime() -> Result<Runtime, String> {
    Builder::new_multi_thread().enable_all().build().map_err(text("a runtime"))
}

/// One batch of these keys.
pub(crate) fn batch_of(entries: &mut dyn Iterator<Item = (Key, Value)>) -> Batch {
    let mut batch = Batch::new();
    entries.for_each(|(key, value)| {
        batch.put(key, value);
    });
    batch
}

/// See the module.
pub(crate) struct Threads {
    dir: PathBuf,
    runtime: Runtime,
    store: Ours,
}

impl Threads {
    pub(crate) fn open(dir: &Path) -> Result<Self, String> {
        Self::with(dir.to_path_buf(), runtime()?)
    }

    /// Goes on with a store that was closed.
    pub(crate) fn with(dir: PathBuf, runtime: Runtime) -> Result<Self, String> {
        let opened = Ours::open(OsEnv::new(&dir), "store", options());
        let store = runtime.block_on(opened).map_err(text("seedbed"))?;
        Ok(Self { dir, runtime, store })
    }

    fn commit(&self, batch: Batch) -> Result<u64, Error> {
        self.runtime.block_on(self.store.commit(batch)).map(|commit| commit.seq)
    }
}

impl Store for Threads {
    fn fill(&self, entries: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), String> {
        self.commit(batch_of(entries)).map(drop).map_err(text("seedbed"))
    }

    fn put(&self, put: Put<'_>) -> Result<u64, String> {
        self.commit(Batch::putting(put.key, put.value)).map_err(text("seedbed"))
    }

    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String> {
        let Self { dir, runtime, store } = *self;
        runtime.block_on(store.close()).map_err(text("seedbed"))?;
        drop(store);
        Ok(Box::new(Self::with(dir, runtime)?))
    }

    fn find(&self, _: usize, _: u64, key: &Key, _: u64) -> Result<Kept, String> {
        Ok(self.store.get(key).map_err(text("seedbed"))?.into())
    }
}
