//! Exploration: not a sample of what crashes can leave, but all of it.
//!
//! A *case* is a workload in one setting of the engine under one persistence profile. For every
//! operation of the workload the node is crashed before it takes effect; the disk at that point is
//! cloned, and every legal image of it is recovered and judged, at acknowledgements with the
//! knowledge that they were given. Recoveries are crashed in turn, to a given depth, and so is the
//! work that goes on after them. Images that were looked at before, with clients that knew the
//! same, are skipped.
//!
//! Besides, a call of the workload can be made to fail ([`Case::failures`]): each one once, in each
//! way that a fault plan knows, with crashes at all operations after it.
//!
//! While a disk has at most [`Bounds::images`] distinct images the answer is **exhaustive** for
//! that crash point; beyond, prefixes of the program order with a few deviations are looked at, and
//! the result says so. Besides, junk is put where an unstable write is ([`Case::unstable`]).
//!
//! A broken law comes as answers to the world's decisions: an ordinary trace,
//! which replays and shrinks like any other.

mod case;
mod cases;
mod coverage;
mod failures;
mod missing;
mod unread;
mod unstable;

use seedbed_faults::{Profile, Rule};

use crate::disk::Bounds;
use crate::node::{CrashKind, NodeId};
use crate::sim::Sim;
use crate::testbed::{Failure, Testbed};

pub use case::{Broken, CaseEnd, CaseExplorer, Lost, explorer};
pub use cases::{Exploration, ExploreProgress, Explored, Finding, case_count, explore};
pub use coverage::{Coverage, Phase, Relaxation};
pub use failures::FailingCall;
pub use missing::MissingBarrier;

/// A testbed whose parts can be run one by one, on clones of its disk.
pub trait Explore: Testbed {
    /// What outlives the node: what clients were told, and what they still want to do.
    type Memory: Clone;

    /// Settings of the engine to explore one after the other.
    fn settings(&self) -> Vec<Setting>;

    /// The operations that exhaustive sequences are made of.
    fn alphabet(&self) -> Vec<Self::Op>;

    /// Prepares a workload.
    ///
    /// # Errors
    /// Why there is no verdict, for example an unknown plant.
    fn begin(
        &self,
        sim: &mut Sim,
        ops: &[Self::Op],
        plant: Option<&str>,
    ) -> Result<Self::Memory, Failure>;

    /// Boots the node, recovers, checks the laws, and works if that is the goal. While it recovers
    /// `memory` must not change: an explorer takes it as it was before for crashes inside.
    ///
    /// # Errors
    /// The first violation, or why there is no verdict.
    fn boot(
        &self,
        sim: &mut Sim,
        node: NodeId,
        memory: &mut Self::Memory,
        goal: Goal,
    ) -> Result<Boot, Failure>;

    /// Whether the laws hold too when a disk call of the workload fails. A boot that ends by that
    /// is [`Boot::Done`].
    fn judges_failures(&self) -> bool {
        false
    }

    /// Whether the testbed knows what [`LAW_UNSTABLE`](crate::LAW_UNSTABLE) needs: where
    /// [`Sim::has_unstable_junk`], an engine that reports corruption and serves nothing is
    /// [`Boot::Refused`], and its run is over; all else is judged as ever.
    fn judges_unstable(&self) -> bool {
        false
    }

    /// The last boot ended in this way.
    fn crashed(&self, sim: &Sim, memory: &mut Self::Memory, kind: CrashKind);

    /// Two memories with the same number make the laws say the same of the same image, and the
    /// work go on in the same way.
    fn fingerprint(&self, memory: &Self::Memory) -> u64;
}

/// What a boot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Recover, check, go on with the workload to its end.
    Work,
    /// Recover and check.
    Recover,
}

/// How a boot ended, if no law was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// By itself; the node is up.
    Done,
    /// By its crash.
    Crashed,
    /// The engine reported corruption and served nothing; see [`Explore::judges_unstable`].
    Refused,
}

/// A setting of the engine: answers to the decisions that draw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name on the command line.
    pub name: &'static str,
    /// Label and answer, in the order in which they are asked.
    pub answers: Vec<(&'static str, u64)>,
}

/// A workload to explore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// Operations of the alphabet, by number.
    Letters(Vec<usize>),
    /// The workload of a seed.
    Seed(u64),
}

/// What to explore in one go.
#[derive(Clone, Debug)]
pub struct Case {
    /// The engine's setting.
    pub setting: Setting,
    /// What the file system promises.
    pub profile: Profile,
    /// The workload.
    pub sequence: Sequence,
    /// How many crashes in a row; 1 is none inside recovery.
    pub depth: u32,
    /// After a crash the node goes on with the workload, and is crashed there too.
    pub goes_on: bool,
    /// When a crash point is not exhausted any more.
    pub bounds: Bounds,
    /// The deviation to switch on.
    pub plant: Option<String>,
    /// Syncs to leave out or weaken.
    pub rules: Vec<Rule>,
    /// Each disk call of the workload fails once, one in a run.
    pub failures: bool,
    /// Junk is put in the place of each write that nothing has made durable, one in an image.
    pub unstable: bool,
    /// Images that differ only in bytes that nobody reads are looked at once. Right as long as the
    /// testbed itself judges by what its engine serves, not by the bytes of its disk.
    pub unread: bool,
}

/// Counts of an exploration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tally {
    /// Crash points.
    pub points: u64,
    /// Legal images.
    pub found: u64,
    /// Of these, images that had been looked at before.
    pub pruned: u64,
    /// Of the pruned ones, images that differ from one that was looked at only in bytes that
    /// nobody reads.
    pub unread: u64,
    /// Of these, images that were recovered and judged.
    pub checked: u64,
    /// Images with junk in the place of a write that were recovered and judged; not among `found`.
    pub spoiled: u64,
    /// Syncs that were left out or weakened, as the rules say.
    pub omitted: u64,
    /// Which of the rules matched a call: a bit for each of the first 64.
    pub rules: u64,
    /// Runs of workloads in which a call failed.
    pub failures: u64,
    /// Crash points that were not exhausted.
    pub unexhausted: u64,
    /// What the images of power losses exercised.
    pub coverage: Coverage,
}

impl Tally {
    /// Adds another one's counts.
    pub fn add(&mut self, other: &Self) {
        self.points += other.points;
        self.found += other.found;
        self.pruned += other.pruned;
        self.unread += other.unread;
        self.checked += other.checked;
        self.spoiled += other.spoiled;
        self.omitted += other.omitted;
        self.rules |= other.rules;
        self.failures += other.failures;
        self.unexhausted += other.unexhausted;
        self.coverage.add(&other.coverage);
    }
}
