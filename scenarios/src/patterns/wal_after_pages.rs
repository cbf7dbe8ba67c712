//! **Unsynced WAL frames checkpointed.** Puts go to a WAL that is synced at the checkpoint only.
//! The checkpoint writes the pages into the main file, but does not sync the WAL first.
//!
//! Met in an embedded SQL engine: pages of a transaction were in the main file after a power loss,
//! and its frames were not in the WAL, so that nothing could complete it: stealing without forcing
//! the log. It needs no particular file system: pages of two files are written back in any order
//! everywhere.
//!
//! The main file has a page for each key, and in page 0, in two headers that are written in turn,
//! the number of the last frame whose put is in it. Frames up to that one are skipped.

use std::io;

use seedbed::LAW_UNSTABLE;
use seedbed::faults::Profile;
use seedbed::seam::{File, Fs};

use super::files::{PAGE, corrupt, key_bits, open_or_create, read_whole, seal, unseal, with_bits};
use super::{About, Engine, KEYS, PREFIX, State, with_put};

/// Bytes of a frame: its number, the put's keys and number, and their checksum.
const FRAME: u64 = 32;
/// Where the headers are in page 0, each in a sector of its own.
const HEADERS_AT: [u64; 2] = [0, 512];
/// Bytes of the main file.
const MAIN_LEN: u64 = PAGE * (1 + KEYS as u64);

/// The engine.
pub(super) struct Pager<F: Fs> {
    planted: bool,
    main: F::File,
    wal: F::File,
    /// Bytes of frames in the WAL.
    end: u64,
    /// Of the last frame.
    number: u64,
    /// Counts headers.
    version: u64,
    state: State,
    /// Keys that were put since the last checkpoint.
    dirty: u64,
}

impl<F: Fs> Pager<F> {
    /// Applies the frames of the WAL that are not in the main file.
    fn replay(&mut self, wal: &[u8]) {
        let mut last = None;
        for [frame, bits, put] in wal.chunks(FRAME as usize).map_while(unseal) {
            if last.is_some_and(|last| frame != last + 1) {
                break;
            }
            if frame > self.number {
                self.state = with_bits(self.state, bits, put);
                self.number = frame;
                self.dirty |= bits;
            }
            last = Some(frame);
            self.end += FRAME;
        }
    }
}

impl<F: Fs> Engine for Pager<F> {
    type Fs = F;

    const ABOUT: About = About {
        name: "pattern_wal_after_pages",
        about: "a file of pages with a WAL that is synced at checkpoints",
        plant: "wal_unsynced",
        deviation: "The checkpoint writes pages whose WAL frames are not synced.",
        met: "Turso (issue 7952)",
        breaks: &[PREFIX.name, LAW_UNSTABLE.name],
        severity: Profile::EXT4,
        left_open: "",
        puts_are_durable: false,
    };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        let main = open_or_create(&fs, "main", &seal(&[0, 0]), MAIN_LEN).await?;
        let wal = open_or_create(&fs, "wal", &[], 0).await?;
        let mut bytes = vec![0; MAIN_LEN as usize];
        main.read_exact_at(&mut bytes, 0).await?;
        let headers = HEADERS_AT.iter().filter_map(|at| unseal::<2>(&bytes[*at as usize..]));
        let [version, number] = headers.max().ok_or_else(|| corrupt("there is no header"))?;
        let mut pages = bytes.chunks_exact(PAGE as usize).skip(1);
        let mut value = || Some(u64::from_le_bytes(*pages.next()?.first_chunk()?));
        let state = std::array::from_fn(|_| value().unwrap_or_default());
        let mut pager = Self { planted, main, wal, end: 0, number, version, state, dirty: 0 };
        let frames = read_whole(&fs, "wal").await?.unwrap_or_default();
        pager.replay(&frames);
        // Frames behind the end must not follow those to come.
        pager.wal.set_len(pager.end).await?;
        pager.wal.sync_all().await?;
        Ok(pager)
    }

    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()> {
        let frame = seal(&[self.number + 1, key_bits(keys), number]);
        self.wal.write_all_at(&frame, self.end).await?;
        self.number += 1;
        self.end += FRAME;
        self.state = with_put(self.state, keys, number);
        self.dirty |= key_bits(keys);
        Ok(())
    }

    async fn checkpoint(&mut self) -> io::Result<()> {
        if !self.planted {
            self.wal.sync_all().await?;
        }
        for key in (0..KEYS).filter(|key| self.dirty >> key & 1 == 1) {
            let at = (1 + key as u64) * PAGE;
            self.main.write_all_at(&self.state[key].to_le_bytes(), at).await?;
        }
        self.main.sync_all().await?;
        self.version += 1;
        let header = seal(&[self.version, self.number]);
        self.main.write_all_at(&header, HEADERS_AT[self.version as usize % 2]).await?;
        self.main.sync_all().await?;
        self.dirty = 0;
        self.wal.set_len(0).await?;
        self.wal.sync_all().await?;
        self.end = 0;
        Ok(())
    }

    fn state(&self) -> State {
        self.state
    }
}
