//! The `atomic_commit` store under concurrent clients, crashed at any operation.
//!
//! One node, one store. Each boot opens the store, compares what was recovered with what the
//! clients were told, and goes on with the workload. Between boots the node crashes or loses its
//! power; some boots are crashed inside recovery. The last boot runs on a healed world.
//!
//! Acknowledgements are noted where the client receives them, never by the engine.

mod answers;
mod driver;
mod oracle;
mod plants;
mod workload;

use proptest::strategy::BoxedStrategy;
use seedbed::explore::{Boot, CaseExplorer, Explore, Goal, Setting, explorer};
use seedbed::seam::OsEnv;
use seedbed::{CrashKind, Failure, Law, NodeId, PlantInfo, Sim, SyncInfo, Testbed, Violation};
use seedbed_engines::atomic_commit::{Durability, Plant};

pub use driver::Memory;
pub use workload::{Op, Write};

/// The scenario `atomic_commit`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtomicCommit;

pub(crate) const OPENS: Law = Law {
    name: "opens",
    statement: "after any crash the store opens, once the disk answers; without damage to the \
                media it never reports corruption",
};
pub(crate) const DURABLE: Law = Law {
    name: "acknowledged is durable",
    statement: "every acknowledged commit survives: any process crash in every mode, and a power \
                loss except for the mode's documented window",
};
pub(crate) const PREFIX: Law = Law {
    name: "atomic prefix",
    statement: "the recovered entries are exactly those after some number of commits: each whole \
                or absent, in order, without a hole, nothing invented and nothing resurrected",
};
pub(crate) const IN_DOUBT: Law = Law {
    name: "failed is absent",
    statement: "a commit reported as not done never appears; only one without an answer, or \
                reported in doubt, may be there or not",
};
pub(crate) const OBSERVED: Law = Law {
    name: "observed is durable",
    statement: "what a reader was shown, or an earlier recovery served, does not disappear, \
                except for the mode's documented window",
};
pub(crate) const IDEMPOTENT: Law = Law {
    name: "recovery is idempotent",
    statement: "recovering again, also after crashes inside recovery, gives the same state as long \
                as nothing was submitted in between",
};
pub(crate) const ROOT: Law = Law {
    name: "root matches content",
    statement: "the Merkle root, recomputed from the entries, is the one that the store reports, \
                and the one that it reported when it acknowledged that commit",
};
pub(crate) const READS: Law = Law {
    name: "reads are current",
    statement: "a read returns the state after some commit that is not older than the last one \
                acknowledged before the read, and not newer than the last one submitted",
};
pub(crate) const MONOTONE: Law = Law {
    name: "sequence numbers are monotone",
    statement: "a new commit's number is greater than every number that was acknowledged, \
                recovered or given out in this boot",
};
pub(crate) const DETECTED: Law = Law {
    name: "damage is detected",
    statement: "after bit rot the store reports corruption or recovers a true prefix (with every \
                commit that the files confirm, for one damage between recoveries); it never \
                serves or launders damaged bytes",
};

/// The same clients and the same oracle on a real folder, without crashes.
///
/// # Errors
/// The first law that is broken.
pub async fn run_on_real_folder(
    env: OsEnv,
    ops: &[Op],
    durability: Durability,
) -> Result<(), Violation> {
    driver::drive_on_os(env, ops, durability).await
}

pub(crate) const WORKS: Law = Law {
    name: "works while the disk does",
    statement: "as long as no disk operation fails, and none can take longer than the stall limit, \
                the store opens, takes commits and does not stop",
};

pub(crate) const ANSWERED: Law = Law {
    name: "answered in time",
    statement: "every request is answered, done or not, also when the disk hangs: in two stall \
                limits (a call that hangs, and one beside it), as long as the disk stalled and the \
                node stood still since, and the ordinary time of the work before it",
};

const LAWS: &[Law] = &[
    OPENS, DURABLE, PREFIX, IN_DOUBT, OBSERVED, IDEMPOTENT, ROOT, READS, MONOTONE, DETECTED, WORKS,
    ANSWERED,
];

impl Testbed for AtomicCommit {
    type Op = Op;

    fn name(&self) -> &'static str {
        "atomic_commit"
    }

    fn about(&self) -> &'static str {
        "a key-value store with WAL, checkpoints and Merkle root, under four concurrent clients"
    }

    fn laws(&self) -> &'static [Law] {
        LAWS
    }

    fn plants(&self) -> Vec<PlantInfo> {
        plants::all()
    }

    fn syncs(&self) -> &'static [SyncInfo] {
        &plants::SYNCS
    }

    fn workload(&self) -> BoxedStrategy<Vec<Op>> {
        workload::strategy()
    }

    fn drive(&self, sim: &mut Sim, ops: &[Op], plant: Option<&str>) -> Result<(), Failure> {
        driver::drive(sim, ops, plant_of(plant)?)
    }

    fn explorer(&self) -> Option<Box<dyn CaseExplorer + '_>> {
        Some(explorer(self))
    }
}

fn plant_of(name: Option<&str>) -> Result<Option<Plant>, Failure> {
    let plant = name.map(str::parse).transpose();
    plant.map_err(|unknown| Failure::Inconclusive(format!("{unknown}")))
}

impl Explore for AtomicCommit {
    type Memory = Memory;

    fn settings(&self) -> Vec<Setting> {
        driver::settings()
    }

    fn alphabet(&self) -> Vec<Op> {
        workload::alphabet()
    }

    fn begin(
        &self,
        sim: &mut Sim,
        ops: &[Op],
        plant: Option<&str>,
    ) -> Result<Self::Memory, Failure> {
        Ok(driver::begin(sim, ops, plant_of(plant)?))
    }

    fn boot(
        &self,
        sim: &mut Sim,
        node: NodeId,
        memory: &mut Self::Memory,
        goal: Goal,
    ) -> Result<Boot, Failure> {
        driver::explored_boot(sim, node, memory, goal)
    }

    fn judges_failures(&self) -> bool {
        true
    }

    fn judges_unstable(&self) -> bool {
        true
    }

    fn crashed(&self, sim: &Sim, memory: &mut Self::Memory, kind: CrashKind) {
        driver::explored_crash(sim, memory, kind);
    }

    fn fingerprint(&self, memory: &Self::Memory) -> u64 {
        driver::fingerprint(memory)
    }
}
