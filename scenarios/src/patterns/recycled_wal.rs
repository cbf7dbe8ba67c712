//! **Recycled WAL without generation.** After a checkpoint the WAL is written again from its start,
//! over the records of the former round. Their checksums stay valid. A record of zeros behind the
//! last one marks the end.
//!
//! Met in stores that recycle WAL files to save allocations. A power loss keeps a new record and
//! loses the end mark behind it, which lies in the next page; or it keeps the mark and loses the
//! record. Recovery goes on with what it finds there: some of the old records, replayed over newer
//! content. Records that carry the number of their round end the WAL by themselves. It needs no
//! particular file system: two pages of one write persist each by itself.

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::{File, Fs};

use super::files::{
    PAGE, corrupt, create, key_bits, open_or_create, read_whole, seal, unseal, with_bits,
};
use super::{About, DURABLE, Engine, KEYS, PREFIX, State, with_put};

/// Bytes of an end mark: as long as a record's used part.
const MARK: usize = 32;

/// The engine.
pub(super) struct Log<F: Fs> {
    fs: F,
    planted: bool,
    wal: F::File,
    /// Records of this round, each in a page of its own.
    records: u64,
    /// The round's number: the generation of its records.
    round: u64,
    state: State,
}

impl<F: Fs> Log<F> {
    /// What records of this round carry.
    fn generation(&self) -> u64 {
        if self.planted { 0 } else { self.round }
    }
}

/// The file that a checkpoint leaves: the round that begins with it, and the state.
fn base(round: u64, state: State) -> Vec<u8> {
    let mut words = vec![round];
    words.extend(state);
    seal(&words)
}

impl<F: Fs> Engine for Log<F> {
    type Fs = F;

    const ABOUT: About = About {
        name: "pattern_recycled_wal",
        about: "a WAL that is written again from its start after each checkpoint",
        plant: "no_generation",
        deviation: "Records do not carry the number of their round.",
        met: "Pebble (issue 567)",
        breaks: &[PREFIX.name, DURABLE.name],
        severity: Profile::EXT4,
        left_open: "",
        puts_are_durable: true,
    };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        let first = base(1, State::default());
        drop(open_or_create(&fs, "base", &first, first.len() as u64).await?);
        let wal = open_or_create(&fs, "wal", &[], 0).await?;
        let bytes = read_whole(&fs, "base").await?.unwrap_or_default();
        let words = unseal::<{ 1 + KEYS }>(&bytes).ok_or_else(|| corrupt("base is not valid"))?;
        let state = std::array::from_fn(|key| words[1 + key]);
        let mut log = Self { fs, planted, wal, records: 0, round: words[0], state };
        let pages = read_whole(&log.fs, "wal").await?.unwrap_or_default();
        for [generation, bits, put] in pages.chunks(PAGE as usize).map_while(unseal) {
            if generation != log.generation() {
                break;
            }
            log.state = with_bits(log.state, bits, put);
            log.records += 1;
        }
        Ok(log)
    }

    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()> {
        let mut bytes = seal(&[self.generation(), key_bits(keys), number]);
        bytes.resize(PAGE as usize + MARK, 0);
        self.wal.write_all_at(&bytes, self.records * PAGE).await?;
        self.wal.sync_all().await?;
        self.records += 1;
        self.state = with_put(self.state, keys, number);
        Ok(())
    }

    async fn checkpoint(&mut self) -> io::Result<()> {
        let file = create(&self.fs, "base.tmp").await?;
        file.write_all_at(&base(self.round + 1, self.state), 0).await?;
        file.sync_all().await?;
        self.fs.rename("base.tmp", "base").await?;
        self.fs.sync_dir("").await?;
        self.round += 1;
        self.records = 0;
        Ok(())
    }

    fn state(&self) -> State {
        self.state
    }
}
