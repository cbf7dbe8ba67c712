//! The `sink` with three participants, all of them crashed at any operation, over a network that
//! does what networks do.
//!
//! Four nodes: the sink, which is the coordinator, and the embedded participants. A fifth one,
//! which nothing happens to, is the driver's own. A source of rows is pushed into the sink;
//! whenever that starts anew, the source goes on where the last checkpoint says. Each node crashes
//! or loses its power by itself and comes back after a while. In the end everything is healed, and
//! all must be resolved within a bound of simulated time; then tables and history are judged.
//!
//! The laws of the history are those of the crate `seedbed-check`. Acknowledgements to the source
//! are noted where the source receives them, and the tables are read where a user would.

mod driver;
mod explore;
mod model;
mod plants;
mod probes;
mod recorder;
mod workload;

use proptest::strategy::BoxedStrategy;
use seedbed::check::laws;
use seedbed::vary::Variations;
use seedbed::{Failure, Law, PlantInfo, Sim, Testbed, Tolerance};
use seedbed_engines::sink::Plant;

pub use workload::Op;

/// The scenario `sink`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sink;

pub(crate) const CONTENT: Law = Law {
    name: "tables hold the source",
    statement: "in the end each participant's table is what the rows of the source that belong \
                to it make of it, in their order, each once; but for those rejected rightly, and \
                those decided by hand",
};
pub(crate) const RESOLVED: Law = Law {
    name: "resolved in time",
    statement: "once nothing goes wrong any more, all rows are in the tables and nothing is \
                prepared within the bound",
};
pub(crate) const OPENS: Law = Law {
    name: "opens",
    statement: "after any crash sink and participants open, once the disk answers; they never \
                report corruption, foreign files or a refusal",
};
pub(crate) const WORKS: Law = Law {
    name: "works while the world does",
    statement: "as long as nothing goes wrong, neither the sink nor a participant stops by itself",
};

const fn law(law: &'static seedbed::check::Law) -> Law {
    Law { name: law.name, statement: law.statement }
}

/// The scenario's own, and those of the checkers.
static LAWS: [Law; 36] = [
    CONTENT,
    RESOLVED,
    OPENS,
    WORKS,
    law(&laws::AC1),
    law(&laws::AC2),
    law(&laws::AC3),
    law(&laws::AC4),
    law(&laws::AC5),
    law(&laws::DURABLE_VOTE),
    law(&laws::DURABLE_DECISION),
    law(&laws::PRESUMPTION),
    law(&laws::WINDOW),
    law(&laws::UNIQUE),
    law(&laws::FENCING),
    law(&laws::HEURISTICS),
    law(&laws::ORPHANS),
    law(&laws::TCOMMIT),
    law(&laws::TWO_PHASE),
    law(&laws::FORCED_WRITES),
    law(&laws::MESSAGES),
    law(&laws::ORDER),
    law(&laws::VOTES),
    law(&laws::CONTIGUOUS),
    law(&laws::UPSTREAM),
    law(&laws::RESTORE),
    law(&laws::EXACTLY_ONCE),
    law(&laws::EPOCHS),
    law(&laws::POOL_MAX),
    law(&laws::ONE_HOLDER),
    law(&laws::CLEAN),
    law(&laws::LEAK),
    law(&laws::STARVATION),
    law(&laws::BUFFER_MAX),
    law(&laws::BUFFER_MIN),
    law(&laws::BUFFER_DRAINED),
];

impl Testbed for Sink {
    type Op = Op;

    fn name(&self) -> &'static str {
        "sink"
    }

    fn about(&self) -> &'static str {
        "a database sink that commits in two phases to three participants over a network"
    }

    fn laws(&self) -> &'static [Law] {
        &LAWS
    }

    fn plants(&self) -> Vec<PlantInfo> {
        plants::all()
    }

    /// They are the stores', and what they are needed for shows there.
    fn has_own_syncs(&self) -> bool {
        false
    }

    fn probes(&self) -> Vec<&'static str> {
        probes::all()
    }

    fn plan(&self) -> &'static str {
        "cluster"
    }

    fn variations(&self) -> Option<&dyn Variations> {
        Some(self)
    }

    /// There is one copy of everything. The rest it survives, however often and wherever.
    fn tolerates(&self) -> Tolerance {
        Tolerance { nodes_damaged_max: Some(0), ..Tolerance::ANY }
    }

    fn workload(&self) -> BoxedStrategy<Vec<Op>> {
        workload::strategy()
    }

    fn drive(&self, sim: &mut Sim, ops: &[Op], plant: Option<&str>) -> Result<(), Failure> {
        driver::drive(sim, ops, plant_of(plant)?)
    }
}

fn plant_of(name: Option<&str>) -> Result<Option<Plant>, Failure> {
    let plant = name.map(str::parse).transpose();
    plant.map_err(|unknown| Failure::Inconclusive(format!("{unknown}")))
}

#[cfg(test)]
mod tests {
    use seedbed::check::CHECKERS;

    use super::*;

    #[test]
    fn the_list_of_laws_has_those_of_all_checkers() {
        let listed: Vec<_> = LAWS.iter().map(|law| law.name).collect();
        for law in CHECKERS.iter().flat_map(|checker| checker.laws) {
            assert!(listed.contains(&law.name), "{} is not listed", law.name);
        }
    }
}
