//! **Zero-byte file.** Every change writes the whole content to a temporary file and renames it
//! over the old one. The temporary is not synced before the rename; and a file without a byte
//! counts as a new database.
//!
//! Met in stores that keep a small file of their own, again and again: after a power loss the new
//! name stands for a file whose data was never written back. It has no bytes, the next start takes
//! it for a new database, and what was acknowledged is gone without an error. xfs shows it, btrfs,
//! ext4 with `noauto_da_alloc`, and what POSIX allows. ext4's default writes the data back at a
//! rename that replaces a file, which is why it goes unnoticed there.

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::{File, Fs};

use super::files::{corrupt, create, open_or_create, read_whole, seal, unseal};
use super::{About, DURABLE, Engine, OPENS, State, with_put};

/// The engine.
pub(super) struct Store<F: Fs> {
    fs: F,
    planted: bool,
    state: State,
}

impl<F: Fs> Engine for Store<F> {
    type Fs = F;

    const ABOUT: About = About {
        name: "pattern_zero_byte_file",
        about: "a small file that every change replaces by a rename",
        plant: "rename_unsynced",
        deviation: "The temporary file is renamed without having been synced.",
        met: "many that replace a file by a rename (ALICE, OSDI 2014)",
        breaks: &[DURABLE.name, OPENS.name],
        severity: Profile::XFS,
        left_open: "ext4 starts to write back at the rename, and the model does not make it wait",
        puts_are_durable: true,
    };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        let first = seal(&State::default());
        drop(open_or_create(&fs, "db", &first, first.len() as u64).await?);
        let bytes = read_whole(&fs, "db").await?.unwrap_or_default();
        let state = match bytes.is_empty() {
            true => State::default(),
            false => unseal(&bytes).ok_or_else(|| corrupt("the file is not valid"))?,
        };
        Ok(Self { fs, planted, state })
    }

    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()> {
        let state = with_put(self.state, keys, number);
        let file = create(&self.fs, "db.tmp").await?;
        file.write_all_at(&seal(&state), 0).await?;
        if !self.planted {
            file.sync_all().await?;
        }
        self.fs.rename("db.tmp", "db").await?;
        self.fs.sync_dir("").await?;
        self.state = state;
        Ok(())
    }

    async fn checkpoint(&mut self) -> io::Result<()> {
        // Every put is one.
        Ok(())
    }

    fn state(&self) -> State {
        self.state
    }
}
