//! **A range written back for a sync.** A log appends a record for each put and makes it durable.
//! The plant calls sync_file_range(2) for that, which waits until the record's page is on the
//! device, and does nothing else: the device's cache is not flushed, and neither the new length nor
//! the place of the new page is written. On btrfs it does not even wait for the page's way there.
//!
//! The manual page warns of it ("extremely dangerous"); databases that use the call do so to spread
//! writing out, and sync all the same.

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::{File, Fs};

use super::files::{PAGE, key_bits, open_or_create, read_whole, seal, unseal, with_bits};
use super::{About, DURABLE, Engine, State, with_put};

/// The engine.
pub(super) struct Log<F: Fs> {
    planted: bool,
    wal: F::File,
    /// Records, each in a page of its own.
    records: u64,
    state: State,
}

impl<F: Fs> Engine for Log<F> {
    type Fs = F;

    const ABOUT: About = About {
        name: "pattern_range_sync",
        about: "a log that makes each record durable",
        plant: "range_for_sync",
        deviation: "A record is written back by sync_file_range, and not synced.",
        met: "",
        breaks: &[DURABLE.name],
        severity: Profile::EXT4,
        left_open: "",
        puts_are_durable: true,
    };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        let wal = open_or_create(&fs, "wal", &[], 0).await?;
        let mut log = Self { planted, wal, records: 0, state: State::default() };
        let bytes = read_whole(&fs, "wal").await?.unwrap_or_default();
        for [bits, number] in bytes.chunks(PAGE as usize).map_while(unseal) {
            log.state = with_bits(log.state, bits, number);
            log.records += 1;
        }
        // Records behind the end must not follow those to come.
        log.wal.set_len(log.records * PAGE).await?;
        log.wal.sync_all().await?;
        Ok(log)
    }

    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()> {
        let mut page = seal(&[key_bits(keys), number]);
        page.resize(PAGE as usize, 0);
        let at = self.records * PAGE;
        self.wal.write_all_at(&page, at).await?;
        match self.planted {
            true => self.wal.sync_range(at, PAGE).await?,
            false => self.wal.sync_data().await?,
        }
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
