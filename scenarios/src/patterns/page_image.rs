//! **Torn page**, and **unsynced double write.** All values are in one page, each in a sector of
//! its own, which is written in place. Before that its image goes to a file of its own, the double
//! write, from which recovery makes the page whole again.
//!
//! One plant writes no image: the device may persist some sectors of the page and not others, and
//! no recovery can tell the page from that. Every engine that updates pages in place has had to
//! answer this: PostgreSQL with full page images in its WAL, InnoDB with its double write buffer.
//! The other plant writes the image and does not sync it before the page: then both are on their
//! way at once, and a power loss may tear the page and lose the image. Copy on write hides both:
//! btrfs shows the old page or the new one.

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::{File, Fs};

use super::files::{PAGE, corrupt, open_or_create, read_whole, seal, unseal};
use super::{About, DURABLE, Engine, KEYS, OPENS, State, with_put};

/// Bytes from one value to the next: a sector.
const SECTOR: usize = PAGE as usize / KEYS;

/// The engine; `IMAGE`: its plant is about the image's sync, not about the image.
pub(super) struct Page<F: Fs, const IMAGE: bool> {
    planted: bool,
    page: F::File,
    image: F::File,
    state: State,
}

/// The page's bytes: the values, and in its first sector their checksum.
fn encode(state: State) -> Vec<u8> {
    let mut bytes = vec![0; PAGE as usize];
    for (sector, value) in bytes.chunks_exact_mut(SECTOR).zip(state) {
        sector[..8].copy_from_slice(&value.to_le_bytes());
    }
    let sum = &seal(&state)[KEYS * 8..];
    bytes[8..16].copy_from_slice(sum);
    bytes
}

/// The values in the page's bytes, if the page is not torn.
fn decode(bytes: &[u8]) -> Option<State> {
    let mut sealed = Vec::new();
    for sector in bytes.chunks_exact(SECTOR) {
        sealed.extend(&sector[..8]);
    }
    sealed.extend(bytes.get(8..16)?);
    unseal(&sealed)
}

const TORN_PAGE: About = About {
    name: "pattern_torn_page",
    about: "a page that is written in place, after its image elsewhere",
    plant: "no_image",
    deviation: "The page is written in place without an image of it.",
    met: "engines with pages in place, which is why PostgreSQL logs full pages",
    breaks: &[OPENS.name],
    severity: Profile::EXT4,
    left_open: "",
    puts_are_durable: true,
};

const DOUBLE_WRITE: About = About {
    name: "pattern_double_write",
    plant: "image_unsynced",
    deviation: "The image is not synced before the page is written.",
    met: "",
    // An image of an earlier put may still be there.
    breaks: &[OPENS.name, DURABLE.name],
    ..TORN_PAGE
};

impl<F: Fs, const IMAGE: bool> Engine for Page<F, IMAGE> {
    type Fs = F;

    const ABOUT: About = if IMAGE { DOUBLE_WRITE } else { TORN_PAGE };

    async fn open(fs: F, planted: bool) -> io::Result<Self> {
        let first = encode(State::default());
        let page = open_or_create(&fs, "page", &first, PAGE).await?;
        let image = open_or_create(&fs, "image", &[], PAGE).await?;
        let bytes = read_whole(&fs, "page").await?.unwrap_or_default();
        let saved = read_whole(&fs, "image").await?.unwrap_or_default();
        let state = match decode(&bytes).or_else(|| unseal(&saved)) {
            Some(state) => state,
            None => return Err(corrupt("the page is torn, and there is no image of it")),
        };
        page.write_all_at(&encode(state), 0).await?;
        page.sync_all().await?;
        Ok(Self { planted, page, image, state })
    }

    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()> {
        let state = with_put(self.state, keys, number);
        if IMAGE || !self.planted {
            self.image.write_all_at(&seal(&state), 0).await?;
        }
        if !self.planted {
            self.image.sync_all().await?;
        }
        self.page.write_all_at(&encode(state), 0).await?;
        self.page.sync_all().await?;
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
