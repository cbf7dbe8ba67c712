//! **No sync after compaction.** Every put becomes a table file. Compaction merges all tables into
//! a new one and removes the inputs, and syncs neither the output nor its name before.
//!
//! Met in log-structured stores: after a power loss the inputs were gone and the output was an
//! empty file, or not there at all, so that old, long acknowledged content was lost, not only the
//! latest. ext4 shows it too: a rename to a fresh name writes nothing back, and the journal keeps
//! the removals. Where space is allocated at the write (`nodelalloc`) the data comes before them.
//!
//! Tables are merged in the order of their numbers, so an input that came back does no harm.

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::{File, Fs};

use super::files::{corrupt, create, read_whole, seal, unseal};
use super::{About, Engine, KEYS, OPENS, State, with_put};

/// The engine.
pub(super) struct Tables<F: Fs> {
    fs: F,
    planted: bool,
    /// Their numbers, in order.
    tables: Vec<u64>,
    state: State,
}

impl<F: Fs> Tables<F> {
    fn next(&self) -> u64 {
        self.tables.last().map_or(1, |last| last + 1)
    }

    /// Writes a table and gives it its name, durably if `synced`.
    async fn write(&mut self, values: State, synced: bool) -> io::Result<()> {
        let number = self.next();
        let file = create(&self.fs, "table.tmp").await?;
        file.write_all_at(&seal(&values), 0).await?;
        if synced {
            file.sync_all().await?;
        }
        self.fs.rename("table.tmp", &path(number)).await?;
        if synced {
            self.fs.sync_dir("").await?;
        }
        self.tables.push(number);
        Ok(())
    }
}

fn path(number: u64) -> String {
    format!("{number:06}.table")
}

impl<F: Fs> Engine for Tables<F> {
    type Fs = F;

    const ABOUT: About = About {
        name: "pattern_unsynced_compaction",
        about: "table files that compaction merges into one",
        plant: "output_unsynced",
        deviation: "Compaction removes its inputs before its output and the name of it are synced.",
        met: "SurrealKV (issue 390)",
        breaks: &[OPENS.name],
        severity: Profile::EXT4,
        left_open: "",
        puts_are_durable: true,
    };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        // What is served must be durable: the process that named it may have died before that.
        fs.sync_dir("").await?;
        let mut store = Self { fs, planted, tables: Vec::new(), state: State::default() };
        for entry in store.fs.read_dir("").await? {
            let number = entry.name.strip_suffix(".table").map(str::parse::<u64>);
            store.tables.extend(number.and_then(Result::ok));
        }
        for &number in &store.tables {
            let bytes = read_whole(&store.fs, &path(number)).await?.unwrap_or_default();
            let table: State =
                unseal(&bytes).ok_or_else(|| corrupt(&format!("{} is not valid", path(number))))?;
            for key in (0..KEYS).filter(|key| table[*key] > 0) {
                store.state[key] = table[key];
            }
        }
        Ok(store)
    }

    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()> {
        self.write(with_put(State::default(), keys, number), true).await?;
        self.state = with_put(self.state, keys, number);
        Ok(())
    }

    async fn checkpoint(&mut self) -> io::Result<()> {
        let inputs = self.tables.clone();
        if inputs.len() < 2 {
            return Ok(());
        }
        self.write(self.state, !self.planted).await?;
        for input in inputs {
            self.fs.remove_file(&path(input)).await?;
            self.tables.remove(0);
        }
        self.fs.sync_dir("").await
    }

    fn state(&self) -> State {
        self.state
    }
}
