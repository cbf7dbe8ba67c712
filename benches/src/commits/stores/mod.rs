//! The contenders behind one trait: `put` returns when its value is durable, as its library
//! promises it, and `find` asks for it again after reopening.
//!
//! Each library is used as its documentation shows, with its defaults but for what durability asks
//! for. Where it has one writer, callers wait for each other in it or at a mutex.

pub(crate) mod direct;
mod fjall;
mod limits;
mod lmdb;
mod okaywal;
mod redb;
mod sled;
mod sqlite;
pub(crate) mod threads;
pub(crate) mod wal;

use std::fmt::Display;
use std::path::Path;

use super::cell::Subject;
use super::load::{Key, Value};

/// One commit: a key of the writer's own gets a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Put<'a> {
    pub(crate) writer: usize,
    /// Which of all keys it is.
    pub(crate) index: u64,
    pub(crate) key: &'a Key,
    pub(crate) value: &'a Value,
}

/// What is found after reopening.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Value(Vec<u8>),
    /// A log that let go of it, as it may after a checkpoint, or a file that was overwritten.
    LetGo,
    Missing,
}

impl From<Option<Vec<u8>>> for Kept {
    fn from(found: Option<Vec<u8>>) -> Self {
        found.map_or(Self::Missing, Self::Value)
    }
}

/// A store that many threads commit to.
pub(crate) trait Store: Sync {
    /// Puts these keys before anything is measured, in as few commits as possible.
    fn fill(&self, entries: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), String>;

    /// Commits, and returns a receipt with which a log finds it again.
    fn put(&self, put: Put<'_>) -> Result<u64, String>;

    /// Closes and opens again what is on the disk.
    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String>;

    /// What is stored for a key, or in a log under this receipt.
    fn find(&self, writer: usize, index: u64, key: &Key, receipt: u64) -> Result<Kept, String>;
}

/// Opens a contender in an empty folder.
pub(crate) fn open(subject: Subject, dir: &Path, writers: usize) -> Result<Box<dyn Store>, String> {
    use ::fjall::PersistMode::{SyncAll, SyncData};
    Ok(match subject {
        Subject::Seedbed | Subject::SeedbedOne | Subject::SeedbedInline => {
            return Err("seedbed's tasks have a loop of their own".to_owned());
        }
        Subject::SeedbedThreads => Box::new(threads::Threads::open(dir)?),
        Subject::Wal => Box::new(wal::Wal::create(dir)?),
        Subject::Okaywal => Box::new(okaywal::Log::open(dir)?),
        Subject::Sled => Box::new(sled::Tree::open(dir)?),
        Subject::FjallData => Box::new(fjall::Lsm::open(dir, SyncData)?),
        Subject::FjallAll => Box::new(fjall::Lsm::open(dir, SyncAll)?),
        Subject::Sqlite => Box::new(sqlite::Sql::open(dir)?),
        Subject::Redb => Box::new(redb::Pages::open(dir)?),
        Subject::Lmdb => Box::new(lmdb::Map::open(dir)?),
        Subject::Rewrite | Subject::Rename | Subject::Reopen | Subject::Pwrite => {
            Box::new(direct::Direct::create(subject, dir, writers)?)
        }
        Subject::SyncOverwrite | Subject::SyncAppend | Subject::Roots => {
            Box::new(limits::Limit::create(subject, dir)?)
        }
    })
}

/// An error with what was done.
pub(crate) fn text<E: Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
