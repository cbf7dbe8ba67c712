//! **Direct I/O taken for durable.** A log appends a page for each put through `O_DIRECT`. The
//! plant leaves it at that: the page is on the device when the write returns, past every cache of
//! the kernel's.
//!
//! Not past the device's, which a power loss empties; and the file's new length and the place of
//! the page are metadata, which only a sync writes. `O_DIRECT` needs fdatasync(2) as other writes
//! do, or `O_DSYNC` in its place.

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::{File, Fs, OpenOptions};

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
        name: "pattern_direct_append",
        about: "a log that appends past the page cache",
        plant: "direct_for_sync",
        deviation: "Records are appended by O_DIRECT and not synced.",
        met: "",
        breaks: &[DURABLE.name],
        severity: Profile::EXT4,
        left_open: "",
        puts_are_durable: true,
    };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        drop(open_or_create(&fs, "wal", &[], 0).await?);
        let options = OpenOptions::reading().write(true).append(true).direct(true);
        let wal = fs.open("wal", options).await?;
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
        // At the end of the file, whatever the offset.
        self.wal.write_all_at(&page, 0).await?;
        if !self.planted {
            self.wal.sync_data().await?;
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
