//! **Renamed WAL.** A checkpoint gives the old WAL file the name of the next one, so that its space
//! is used again, and records are written over the old ones. They are synced with `sync_data`, and
//! the directory is not synced.
//!
//! No engine is known to have shipped it; kernels were asked. After a rename and an overwrite in
//! place, `fdatasync` leaves ext4 with the old name and the new data: there it commits the journal
//! for a new length only. xfs and btrfs persist the name with it. Recovery looks for the WAL by
//! its name, finds none, begins an empty one, and what was acknowledged is gone.

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::{File, Fs};

use super::files::{
    PAGE, corrupt, create, key_bits, open_or_create, read_whole, seal, unseal, with_bits,
};
use super::{About, DURABLE, Engine, KEYS, State, with_put};

/// The engine.
pub(super) struct Log<F: Fs> {
    fs: F,
    planted: bool,
    wal: F::File,
    /// Records of this round, each in a page of its own.
    records: u64,
    /// The WAL's number.
    round: u64,
    state: State,
}

fn path(round: u64) -> String {
    format!("{round:06}.wal")
}

/// The file that a checkpoint leaves: the number of the WAL that goes on from it, and the state.
fn base(round: u64, state: State) -> Vec<u8> {
    let mut words = vec![round];
    words.extend(state);
    seal(&words)
}

impl<F: Fs> Engine for Log<F> {
    type Fs = F;

    const ABOUT: About = About {
        name: "pattern_renamed_wal",
        about: "a WAL file that each checkpoint renames to be written again",
        plant: "name_unsynced",
        deviation: "The new name is left to the sync of the data.",
        met: "",
        breaks: &[DURABLE.name],
        severity: Profile::EXT4,
        left_open: "",
        puts_are_durable: true,
    };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        let first = base(1, State::default());
        drop(open_or_create(&fs, "base", &first, first.len() as u64).await?);
        let bytes = read_whole(&fs, "base").await?.unwrap_or_default();
        let words = unseal::<{ 1 + KEYS }>(&bytes).ok_or_else(|| corrupt("base is not valid"))?;
        let (round, state) = (words[0], std::array::from_fn(|key| words[1 + key]));
        // A crash may have come between the new base and the new name.
        let wal = open_or_create(&fs, &path(round), &[], 0).await?;
        let mut log = Self { fs, planted, wal, records: 0, round, state };
        let pages = read_whole(&log.fs, &path(round)).await?.unwrap_or_default();
        for [generation, bits, put] in pages.chunks(PAGE as usize).map_while(unseal) {
            if generation != round {
                break;
            }
            log.state = with_bits(log.state, bits, put);
            log.records += 1;
        }
        Ok(log)
    }

    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()> {
        let mut page = seal(&[self.round, key_bits(keys), number]);
        page.resize(PAGE as usize, 0);
        self.wal.write_all_at(&page, self.records * PAGE).await?;
        self.wal.sync_data().await?;
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
        self.fs.rename(&path(self.round), &path(self.round + 1)).await?;
        if !self.planted {
            self.fs.sync_dir("").await?;
        }
        self.round += 1;
        self.records = 0;
        Ok(())
    }

    fn state(&self) -> State {
        self.state
    }
}
