//! Crash bugs as they were found in real projects, each as a model of about a hundred lines: an
//! engine that has the one protocol in which the bug sits, written twice, right and wrong. The
//! plant switches to the wrong one.
//!
//! All share a workload, an oracle and three laws; what differs is the engine. They are models of
//! what crashes do: injected errors and damage to the media are switched off under every plan,
//! since engines of this size answer them with nothing but the error.

mod direct_append;
mod files;
mod grown_header;
mod increment_redo;
mod oracle;
mod page_image;
mod range_sync;
mod recycled_wal;
mod renamed_wal;
mod superblocks;
mod testbed;
mod unsynced_compaction;
mod wal_after_pages;
mod zero_byte_file;
mod zero_record;

use std::io;

use seedbed::faults::Profile;
use seedbed::seam::Fs;
use seedbed::{Law, Scenario, SimEnv};

use testbed::Pattern;

/// Every pattern, in the order of the book.
pub(crate) fn all() -> Vec<Box<dyn Scenario>> {
    vec![
        Box::new(Pattern::<grown_header::Tree<SimEnv>>::new()),
        Box::new(Pattern::<zero_byte_file::Store<SimEnv>>::new()),
        Box::new(Pattern::<wal_after_pages::Pager<SimEnv>>::new()),
        Box::new(Pattern::<unsynced_compaction::Tables<SimEnv>>::new()),
        Box::new(Pattern::<recycled_wal::Log<SimEnv>>::new()),
        Box::new(Pattern::<renamed_wal::Log<SimEnv>>::new()),
        Box::new(Pattern::<page_image::Page<SimEnv, false>>::new()),
        Box::new(Pattern::<page_image::Page<SimEnv, true>>::new()),
        Box::new(Pattern::<superblocks::Superblocks<SimEnv>>::new()),
        Box::new(Pattern::<zero_record::Log<SimEnv>>::new()),
        Box::new(Pattern::<increment_redo::Counters<SimEnv>>::new()),
        Box::new(Pattern::<range_sync::Log<SimEnv>>::new()),
        Box::new(Pattern::<direct_append::Log<SimEnv>>::new()),
    ]
}

/// Keys that an engine has.
const KEYS: usize = 8;

/// What an engine holds: of each key the number of the put that wrote it last, 0 for none.
type State = [u64; KEYS];

/// The state with a put applied.
fn with_put(mut state: State, keys: &[u8], number: u64) -> State {
    keys.iter().for_each(|key| state[*key as usize % KEYS] = number);
    state
}

/// A pattern's names and texts.
#[derive(Clone, Copy, Debug)]
struct About {
    /// The scenario's name.
    name: &'static str,
    /// What the engine is, in a sentence.
    about: &'static str,
    /// The plant's name.
    plant: &'static str,
    /// What the plant does, in a sentence.
    deviation: &'static str,
    /// Who met it; empty if that is not known.
    met: &'static str,
    /// The names of the laws that it may break.
    breaks: &'static [&'static str],
    /// The most realistic file system on which it shows.
    severity: Profile,
    /// Why it may show on a more realistic one as well; empty if it must not.
    left_open: &'static str,
    /// Whether a put is durable when it returns; otherwise the next checkpoint makes it so.
    puts_are_durable: bool,
}

/// An engine with one pattern in it. Puts are atomic over all their keys.
trait Engine: Sized + 'static {
    /// The file system that it runs on.
    type Fs: Fs;

    const ABOUT: About;

    /// Opens what is there or creates it; `planted` is the wrong way.
    async fn open(fs: Self::Fs, planted: bool) -> io::Result<Self>;

    /// Writes the put's number to all its keys.
    async fn put(&mut self, keys: &[u8], number: u64) -> io::Result<()>;

    /// Moves what was put to where it stays. Afterwards all of it is durable.
    async fn checkpoint(&mut self) -> io::Result<()>;

    fn state(&self) -> State;
}

const OPENS: Law = Law {
    name: "opens",
    statement: "after any crash the engine opens, takes puts and reports no corruption",
};
const DURABLE: Law = Law {
    name: "acknowledged is durable",
    statement: "every put that was acknowledged as durable survives a power loss",
};
const PREFIX: Law = Law {
    name: "atomic prefix",
    statement: "the recovered state is the one after some number of puts: each whole or absent, \
                in order, nothing resurrected",
};
