//! **Grown header.** A file of pages whose first page records how many pages there are. The file
//! grows by `set_len`, the header is written, and one sync follows for both.
//!
//! Met in a B-tree store: the write to the header reached the disk before the new size did, and
//! after a power loss the store refused to open a file that was shorter than its header said. An
//! overwritten page is written back whenever the kernel likes, while the size waits for the
//! journal: ext4 and xfs show it. btrfs does not: what was overwritten becomes visible with the
//! journal's commit only, after the size.
//!
//! The tree is copy on write: a put writes a page that is not in use, syncs, and makes it the root.
//! Page 0 has two headers that are written in turn.

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::{File, Fs};

use super::files::{PAGE, corrupt, open_or_create, seal, unseal};
use super::{About, Engine, KEYS, OPENS, State, with_put};

/// Pages by which the file grows.
const GROWTH: u64 = 2;
/// Where the headers are in page 0, each in a sector of its own.
const HEADERS_AT: [u64; 2] = [0, 512];

/// The engine.
pub(super) struct Tree<F: Fs> {
    planted: bool,
    file: F::File,
    /// Counts headers.
    version: u64,
    /// The root's page, 0 for none.
    root: u64,
    pages: u64,
    state: State,
}

impl<F: Fs> Tree<F> {
    async fn grow(&mut self) -> io::Result<()> {
        self.pages += GROWTH;
        self.file.set_len(self.pages * PAGE).await?;
        if !self.planted {
            self.file.sync_all().await?;
        }
        self.write_header().await
    }

    /// The sync that makes it durable is the caller's.
    async fn write_header(&mut self) -> io::Result<()> {
        self.version += 1;
        let header = seal(&[self.version, self.root, self.pages]);
        self.file.write_all_at(&header, HEADERS_AT[self.version as usize % 2]).await
    }
}

impl<F: Fs> Engine for Tree<F> {
    type Fs = F;

    const ABOUT: About = About {
        name: "pattern_grown_header",
        about: "a file of pages whose header records its size",
        plant: "header_before_size",
        deviation: "The header with the grown size is written without a sync of the size.",
        met: "redb",
        breaks: &[OPENS.name],
        severity: Profile::EXT4,
        left_open: "",
        puts_are_durable: true,
    };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        let file = open_or_create(&fs, "tree", &seal(&[0, 0, 1]), PAGE).await?;
        let mut page = vec![0; PAGE as usize];
        file.read_exact_at(&mut page, 0).await?;
        let headers = HEADERS_AT.iter().filter_map(|at| unseal::<3>(&page[*at as usize..]));
        let [version, root, pages] = headers.max().ok_or_else(|| corrupt("there is no header"))?;
        if file.len().await? < pages * PAGE {
            return Err(corrupt("the file is shorter than its header says"));
        }
        let mut state = State::default();
        if root > 0 {
            let mut page = [0; KEYS * 8 + 8];
            file.read_exact_at(&mut page, root * PAGE).await?;
            state = unseal(&page).ok_or_else(|| corrupt("the root's page is not valid"))?;
        }
        Ok(Self { planted, file, version, root, pages, state })
    }

    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()> {
        if self.root + 1 == self.pages {
            self.grow().await?;
        }
        let state = with_put(self.state, keys, number);
        self.file.write_all_at(&seal(&state), (self.root + 1) * PAGE).await?;
        self.file.sync_all().await?;
        self.root += 1;
        self.state = state;
        self.write_header().await?;
        self.file.sync_all().await
    }

    async fn checkpoint(&mut self) -> io::Result<()> {
        self.file.sync_all().await
    }

    fn state(&self) -> State {
        self.state
    }
}
