//! SQLite with a WAL and `synchronous=FULL`: every transaction syncs the log. One connection behind
//! a mutex, since SQLite has one writer.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::{Connection, OptionalExtension};

use super::{Kept, Put, Store, text};
use crate::commits::load::{Key, Value};

const PUT: &str = "INSERT INTO kv (key, value) VALUES (?1, ?2) \
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// See the module.
#[derive(Debug)]
pub(crate) struct Sql {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Sql {
    pub(crate) fn open(dir: &Path) -> Result<Self, String> {
        Self::with(dir.join("db")).map_err(text("SQLite"))
    }

    fn with(path: PathBuf) -> rusqlite::Result<Self> {
        let connection = Connection::open(&path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute(
            "CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID",
            [],
        )?;
        Ok(Self { path, connection: Mutex::new(connection) })
    }
}

impl Store for Sql {
    fn fill(&self, entries: &mut dyn Iterator<Item = (Key, Value)>) -> Result<(), String> {
        let mut connection = self.connection.lock().map_err(text("SQLite"))?;
        let fill = connection.transaction().map_err(text("SQLite"))?;
        for (key, value) in entries {
            fill.execute(PUT, (&key[..], &value[..])).map_err(text("SQLite"))?;
        }
        fill.commit().map_err(text("SQLite"))
    }

    fn put(&self, put: Put<'_>) -> Result<u64, String> {
        let connection = self.connection.lock().map_err(text("SQLite"))?;
        let mut statement = connection.prepare_cached(PUT).map_err(text("SQLite"))?;
        statement.execute((&put.key[..], &put.value[..])).map_err(text("SQLite"))?;
        Ok(0)
    }

    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String> {
        let Self { path, connection } = *self;
        let connection = connection.into_inner().map_err(text("SQLite"))?;
        connection.close().map_err(|(_, error)| error.to_string())?;
        Ok(Box::new(Self::with(path).map_err(text("SQLite"))?))
    }

    fn find(&self, _: usize, _: u64, key: &Key, _: u64) -> Result<Kept, String> {
        let connection = self.connection.lock().map_err(text("SQLite"))?;
        let mut statement = connection
            .prepare_cached("SELECT value FROM kv WHERE key = ?1")
            .map_err(text("SQLite"))?;
        let found = statement.query_row([&key[..]], |row| row.get::<_, Vec<u8>>(0)).optional();
        Ok(found.map_err(text("SQLite"))?.into())
    }
}
