//! What the machine lets anybody do: one sync for each commit, and the hashes that our commits are
//! made of.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use seedbed_engines::atomic_commit::merkle::{Change, Tree, state_root};

use super::wal::write_zeros;
use super::{Kept, Put, Store, text};
use crate::commits::cell::Subject;
use crate::commits::load::{Key, VALUE_LEN, Value};

/// A page, in bytes.
const PAGE: usize = 4096;
/// Pages of the file that is overwritten: 16 MiB.
const PAGES: u64 = 4096;

/// A limit that is measured as if it was a store.
#[derive(Debug)]
pub(crate) enum Limit {
    /// A page of a written file is overwritten and synced.
    Overwrite { file: File, next: AtomicU64 },
    /// A value is appended to a growing file and synced.
    Append { file: File, len: AtomicU64 },
    /// The Merkle root after each commit, without a disk.
    Roots(Mutex<Roots>),
}

/// Commits in a group: their roots are worked out together, as the store does it.
const GROUP: usize = 256;

/// Roots, group by group.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    seq: u64,
    tree: Tree,
    waiting: Vec<(Key, Value)>,
}

impl Roots {
    fn put(&mut self, key: Key, value: Value) {
        self.waiting.push((key, value));
        if self.waiting.len() < GROUP {
            return;
        }
        let puts = self.waiting.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice())));
        for change in &mut Change::all(&puts.collect::<Vec<_>>()) {
            self.tree.change_all(std::slice::from_mut(change));
            self.tree.ask_root();
        }
        for root in self.tree.take_roots() {
            self.seq += 1;
            std::hint::black_box(state_root(self.seq, &root));
        }
        self.waiting.clear();
    }
}

impl Limit {
    pub(crate) fn create(subject: Subject, dir: &Path) -> Result<Self, String> {
        if subject == Subject::Roots {
            return Ok(Self::Roots(Mutex::default()));
        }
        let file = File::create(dir.join("file")).map_err(text("a file"))?;
        if subject == Subject::SyncAppend {
            return Ok(Self::Append { file, len: AtomicU64::new(0) });
        }
        write_zeros(&file, PAGES * PAGE as u64).map_err(text("zeros"))?;
        Ok(Self::Overwrite { file, next: AtomicU64::new(0) })
    }

    fn write(&self, put: Put<'_>) -> std::io::Result<()> {
        match self {
            Self::Overwrite { file, next } => {
                let mut page = [0; PAGE];
                page[..VALUE_LEN].copy_from_slice(put.value);
                let at = next.fetch_add(1, Ordering::Relaxed) % PAGES * PAGE as u64;
                file.write_all_at(&page, at)?;
                file.sync_data()
            }
            Self::Append { file, len } => {
                let at = len.fetch_add(VALUE_LEN as u64, Ordering::Relaxed);
                file.write_all_at(put.value, at)?;
                file.sync_data()
            }
            Self::Roots(roots) => {
                let mut roots = roots.lock().map_err(|_| std::io::Error::other("poisoned"))?;
                roots.put(*put.key, *put.value);
                Ok(())
            }
        }
    }
}

impl Store for Limit {
    fn fill(&self, entries: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), String> {
        if let Self::Roots(roots) = self {
            let mut roots = roots.lock().map_err(text("the tree"))?;
            entries.for_each(|(key, value)| roots.tree.put(&key, &value));
        }
        Ok(())
    }

    fn put(&self, put: Put<'_>) -> Result<u64, String> {
        self.write(put).map_err(text("a limit's write"))?;
        Ok(0)
    }

    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String> {
        Ok(self)
    }

    /// Not a store: there is nothing to find.
    fn find(&self, _: usize, _: u64, _: &Key, _: u64) -> Result<Kept, String> {
        Ok(Kept::LetGo)
    }
}
