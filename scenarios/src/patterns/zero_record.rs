//! **Zeros that are a record.** A log of records, each in a page of its own, is synced at
//! checkpoints. The plant has a checksum that is zero for zeros, as a sum or an exclusive or is,
//! and a record of zeros means: put nothing.
//!
//! A power loss may leave a hole of zeros where a page was not written back, before one that was:
//! ext4, xfs and btrfs all do that to appended files. Preallocated logs have zeros at their end as
//! well. With a checksum of zero the hole is a valid record, recovery goes on behind it, and a put
//! is there whose predecessor is not.

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::{File, Fs};

use super::files::{PAGE, key_bits, open_or_create, read_whole, seal, unseal, with_bits};
use super::{About, Engine, PREFIX, State, with_put};

/// The engine.
pub(super) struct Log<F: Fs> {
    planted: bool,
    wal: F::File,
    /// Records, each in a page of its own.
    records: u64,
    state: State,
}

impl<F: Fs> Log<F> {
    /// A record's bytes: the put's keys and number, and their checksum.
    fn record(&self, bits: u64, number: u64) -> Vec<u8> {
        match self.planted {
            true => [bits, number, bits ^ number].iter().flat_map(|w| w.to_le_bytes()).collect(),
            false => seal(&[bits, number]),
        }
    }

    /// What the record that begins a page says, if it is valid.
    fn read(&self, page: &[u8]) -> Option<[u64; 2]> {
        if !self.planted {
            return unseal(page);
        }
        let mut words = page.chunks_exact(8);
        let mut next = || Some(u64::from_le_bytes(words.next()?.try_into().ok()?));
        let (bits, number, sum) = (next()?, next()?, next()?);
        (bits ^ number == sum).then_some([bits, number])
    }
}

impl<F: Fs> Engine for Log<F> {
    type Fs = F;

    const ABOUT: About = About {
        name: "pattern_zero_record",
        about: "a log of pages that is synced at checkpoints",
        plant: "zero_checksum",
        deviation: "The checksum of zeros is zero, so that zeros are a record.",
        met: "",
        breaks: &[PREFIX.name],
        severity: Profile::EXT4,
        left_open: "",
        puts_are_durable: false,
    };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        let wal = open_or_create(&fs, "wal", &[], 0).await?;
        let mut log = Self { planted, wal, records: 0, state: State::default() };
        let bytes = read_whole(&fs, "wal").await?.unwrap_or_default();
        for page in bytes.chunks(PAGE as usize) {
            let Some([bits, number]) = log.read(page) else { break };
            log.state = with_bits(log.state, bits, number);
            log.records += 1;
        }
        // Records behind the end must not follow those to come.
        log.wal.set_len(log.records * PAGE).await?;
        log.wal.sync_all().await?;
        Ok(log)
    }

    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()> {
        let mut page = self.record(key_bits(keys), number);
        page.resize(PAGE as usize, 0);
        self.wal.write_all_at(&page, self.records * PAGE).await?;
        self.records += 1;
        self.state = with_put(self.state, keys, number);
        Ok(())
    }

    async fn checkpoint(&mut self) -> io::Result<()> {
        self.wal.sync_all().await
    }

    fn state(&self) -> State {
        self.state
    }
}
