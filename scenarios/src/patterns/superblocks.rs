//! **Superblocks without a barrier.** The whole state is in a superblock of two pages, of which the
//! file has two copies, so that one is always whole: the first is written and synced, then the
//! second. The plant writes both and syncs once.
//!
//! Two copies help only if no power loss finds both half written. Each page of them is written back
//! by itself, so a power loss may take one page of the first copy and one of the second. Copy on
//! write hides it.

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::{File, Fs};

use super::files::{PAGE, corrupt, open_or_create, read_whole, seal, unseal};
use super::{About, Engine, KEYS, OPENS, State, with_put};

/// Pages of a copy.
const PAGES: u64 = 2;
/// Bytes of a copy.
const COPY: u64 = PAGES * PAGE;
/// Values in each page of a copy.
const HALF: usize = KEYS / PAGES as usize;

/// The engine.
pub(super) struct Superblocks<F: Fs> {
    planted: bool,
    file: F::File,
    version: u64,
    state: State,
}

/// A copy's pages: the version and half of the values in each.
fn encode(version: u64, state: State) -> [Vec<u8>; PAGES as usize] {
    let page = |half: &[u64]| seal(&[&[version], half].concat());
    [page(&state[..HALF]), page(&state[HALF..])]
}

/// What a copy says, if it is whole.
fn decode(copy: &[u8]) -> Option<(u64, State)> {
    let mut state = State::default();
    let mut versions = [0; PAGES as usize];
    let pages = copy.chunks_exact(PAGE as usize).zip(state.chunks_exact_mut(HALF));
    for ((page, half), version) in pages.zip(&mut versions) {
        let words = unseal::<{ 1 + HALF }>(page)?;
        *version = words[0];
        half.copy_from_slice(&words[1..]);
    }
    (versions[0] == versions[1]).then_some((versions[0], state))
}

impl<F: Fs> Engine for Superblocks<F> {
    type Fs = F;

    const ABOUT: About = About {
        name: "pattern_superblocks",
        about: "a superblock in two copies",
        plant: "no_barrier",
        deviation: "Both copies are written before the first is synced.",
        met: "",
        breaks: &[OPENS.name],
        severity: Profile::EXT4,
        left_open: "",
        puts_are_durable: true,
    };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        let mut first = Vec::new();
        for (page, bytes) in encode(0, State::default()).iter().enumerate() {
            first.extend(bytes);
            first.resize((1 + page) * PAGE as usize, 0);
        }
        let file = open_or_create(&fs, "blocks", &first, 2 * COPY).await?;
        let bytes = read_whole(&fs, "blocks").await?.unwrap_or_default();
        let copies: Vec<_> = bytes.chunks_exact(COPY as usize).map(decode).collect();
        let newest = (0..).zip(copies).filter_map(|(at, copy)| Some((copy?, at))).max();
        let ((version, state), at) = newest.ok_or_else(|| corrupt("no copy is whole"))?;
        // Makes the other copy whole again, behind a barrier.
        file.sync_all().await?;
        let blocks = Self { planted, file, version, state };
        blocks.write_copy(1 - at, version, state).await?;
        blocks.file.sync_all().await?;
        Ok(blocks)
    }

    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()> {
        self.write(with_put(self.state, keys, number)).await
    }

    async fn checkpoint(&mut self) -> io::Result<()> {
        // Every put is one.
        Ok(())
    }

    fn state(&self) -> State {
        self.state
    }
}

impl<F: Fs> Superblocks<F> {
    async fn write(&mut self, state: State) -> io::Result<()> {
        self.version += 1;
        self.write_copy(0, self.version, state).await?;
        if !self.planted {
            self.file.sync_all().await?;
        }
        self.write_copy(1, self.version, state).await?;
        self.file.sync_all().await?;
        self.state = state;
        Ok(())
    }

    async fn write_copy(&self, copy: u64, version: u64, state: State) -> io::Result<()> {
        for (page, bytes) in (0..).zip(encode(version, state)) {
            self.file.write_all_at(&bytes, copy * COPY + page * PAGE).await?;
        }
        Ok(())
    }
}
