//! **Redo that adds.** A record of the WAL says by how much a put changes values. A checkpoint
//! brings the values to the main file and empties the WAL. The plant does not look whether the main
//! file has a record already.
//!
//! A crash between the two, of the process or of the power, leaves values that contain the records,
//! and the records. Redo that sets a value may be done twice; redo that adds may not, and needs the
//! number of the last record in what it changes. Recovery must not rely on having been alone, and
//! neither on the WAL being empty: btrfs takes back truncations that were not synced.

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::{File, Fs};

use super::files::{PAGE, corrupt, create, key_bits, open_or_create, read_whole, seal, unseal};
use super::{About, Engine, KEYS, PREFIX, State, with_put};

/// Words of a record: its number and, for each key, what is added.
const WORDS: usize = 1 + KEYS;

/// The engine.
pub(super) struct Counters<F: Fs> {
    fs: F,
    wal: F::File,
    /// Records in the WAL, each in a page of its own.
    records: u64,
    /// The number of the last record.
    number: u64,
    state: State,
}

impl<F: Fs> Engine for Counters<F> {
    type Fs = F;

    const ABOUT: About = About {
        name: "pattern_increment_redo",
        about: "values with a WAL of what was added to them",
        plant: "redone_twice",
        deviation: "Recovery adds what the values have already.",
        met: "",
        breaks: &[PREFIX.name],
        severity: Profile::EXT4,
        left_open: "",
        puts_are_durable: true,
    };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        let first = seal(&[0; WORDS]);
        drop(open_or_create(&fs, "main", &first, first.len() as u64).await?);
        let wal = open_or_create(&fs, "wal", &[], 0).await?;
        let bytes = read_whole(&fs, "main").await?.unwrap_or_default();
        let words = unseal::<WORDS>(&bytes).ok_or_else(|| corrupt("main is not valid"))?;
        let (done, state) = (words[0], std::array::from_fn(|key| words[1 + key]));
        let mut store = Self { fs, wal, records: 0, number: done, state };
        let pages = read_whole(&store.fs, "wal").await?.unwrap_or_default();
        for words in pages.chunks(PAGE as usize).map_while(unseal::<WORDS>) {
            store.records += 1;
            if words[0] > done || planted {
                store.number = words[0];
                let values = store.state.iter_mut().zip(&words[1..]);
                values.for_each(|(value, more)| *value = value.wrapping_add(*more));
            }
        }
        Ok(store)
    }

    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()> {
        let state = with_put(self.state, keys, number);
        let mut words = vec![self.number + 1];
        let changed = key_bits(keys);
        words.extend((0..KEYS).map(|key| match changed >> key & 1 {
            1 => state[key].wrapping_sub(self.state[key]),
            _ => 0,
        }));
        self.wal.write_all_at(&seal(&words), self.records * PAGE).await?;
        self.wal.sync_all().await?;
        self.records += 1;
        self.number += 1;
        self.state = state;
        Ok(())
    }

    async fn checkpoint(&mut self) -> io::Result<()> {
        let mut words = vec![self.number];
        words.extend(self.state);
        let file = create(&self.fs, "main.tmp").await?;
        file.write_all_at(&seal(&words), 0).await?;
        file.sync_all().await?;
        self.fs.rename("main.tmp", "main").await?;
        self.fs.sync_dir("").await?;
        self.wal.set_len(0).await?;
        self.wal.sync_all().await?;
        self.records = 0;
        Ok(())
    }

    fn state(&self) -> State {
        self.state
    }
}
