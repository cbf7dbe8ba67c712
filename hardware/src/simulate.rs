//! The same workload in the simulated world, on a disk that takes as long as a measured one: what
//! the engine would do on that machine, and figures that have no noise.
//!
//! Simulated code takes no time by itself. What the engine's own code costs is put on its writes:
//! so much for each call, which stands for the hops between tasks and threads, and so much for each
//! byte, which stands for encoding, hashing and the operation's share of everything else. A log's
//! write carries the bytes of all operations that share it, so the cost grows with them, and it
//! falls between two syncs, as it does on the machine. How many bytes an operation comes to is found
//! by a first run in which nothing costs anything.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use seedbed::faults::timing::{Timing, TimingPoint};
use seedbed::faults::{DurationRange, Plan};
use seedbed::{Sim, SimEnv, Stop};
use seedbed_measure::Summary;
use serde::{Deserialize, Serialize};

use crate::Failed;
use crate::load::{self, Load};
use crate::target::sink::SinkTarget;
use crate::target::store::StoreTarget;
use crate::workload::{Engine, Workload};

/// What an engine's own code costs on a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// Nanoseconds of each write of a file.
    pub call_ns: f64,
    /// Nanoseconds of each operation, whatever its size.
    pub operation_ns: f64,
    /// Nanoseconds of each byte written.
    pub byte_ns: f64,
    /// Nanoseconds of a message from node to node.
    pub message_ns: f64,
}

/// What a simulated round came to. The same for the same workload, timing, costs and seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Simulated {
    /// Operations that were acknowledged.
    pub operations: u64,
    /// Simulated time of the round in nanoseconds.
    pub elapsed_ns: u64,
    /// Latencies, corrected for coordinated omission.
    pub latency: Summary,
    /// Figures of the whole run that have no noise.
    pub counters: BTreeMap<String, u64>,
}

/// Runs a round of `workload.operations`, after one of a tenth to warm up.
///
/// # Errors
/// The engine failed, or the workload makes no sense.
pub fn simulate(
    workload: &Workload,
    timing: &Timing,
    costs: Costs,
    seed: u64,
) -> Result<Simulated, Failed> {
    workload.check().map_err(Failed::Machine)?;
    if costs.operation_ns > 0.0 {
        let bytes = bytes_per_operation(workload, timing, seed)?;
        let byte_ns = costs.byte_ns + costs.operation_ns / bytes;
        return simulate(workload, timing, Costs { byte_ns, operation_ns: 0.0, ..costs }, seed);
    }
    let mut sim = Sim::new(seed);
    let mut plan = Plan::preset("none").expect("a preset");
    let message = DurationRange::just(costs.message_ns.max(0.0) as u64);
    plan.net.latency = message;
    sim.apply_plan(&plan);
    sim.set_timing(with_costs(timing, costs));
    sim.set_poll_limit(u64::MAX);
    let node = sim.add_node("bench");
    let env = sim.boot(node);
    let ended = sim.run(env, run(env, workload.clone()));
    let load = ended.map_err(|stop: Stop| Failed::Engine(stop.to_string()))??;
    let stats = sim.stats();
    let counters = [
        ("disk_calls", stats.ops),
        ("syncs", stats.syncs),
        ("written_bytes", stats.written_bytes),
        ("simulated_events", stats.polls),
        ("simulated_ns", sim.now_ns()),
    ];
    Ok(Simulated {
        operations: load.operations,
        elapsed_ns: u64::try_from(load.elapsed.as_nanos()).unwrap_or(u64::MAX),
        latency: load.latencies.summary(),
        counters: counters.map(|(name, count)| (name.to_owned(), count)).into(),
    })
}

/// What an operation writes, everything that goes with it included.
pub(crate) fn bytes_per_operation(
    workload: &Workload,
    timing: &Timing,
    seed: u64,
) -> Result<f64, Failed> {
    let free = Costs::default();
    let simulated = simulate(workload, timing, free, seed)?;
    let bytes = simulated.counters.get("written_bytes").copied().unwrap_or(0);
    // It counts the round to warm up as well.
    let all = simulated.operations + warm_up(workload);
    Ok((bytes as f64 / all.max(1) as f64).max(1.0))
}

/// Operations of the round before the one that counts.
fn warm_up(workload: &Workload) -> u64 {
    (workload.operations / 10).max(workload.outstanding()).max(1)
}

/// The engine's costs in the place of what a write costs by itself.
fn with_costs(timing: &Timing, costs: Costs) -> Timing {
    let point = |bytes: u64| {
        let ns = bytes as f64 * costs.byte_ns + costs.call_ns;
        TimingPoint { bytes, ns: vec![ns.max(1.0) as u64] }
    };
    Timing { write: vec![point(0), point(1 << 20)], ..timing.clone() }
}

async fn run(env: SimEnv, workload: Workload) -> Result<Load, Failed> {
    match workload.engine {
        Engine::AtomicCommit => {
            let target = StoreTarget::open(env, &workload).await?;
            let load = rounds(env, &target, &workload).await?;
            target.close().await?;
            let done: Vec<u64> = load.1;
            StoreTarget::check(env, &workload, &done).await?;
            Ok(load.0)
        }
        Engine::Sink => {
            let addr = SocketAddr::new(env.node().ip().into(), 0);
            let target = SinkTarget::open(env, addr, &workload).await?;
            let (load, done) = rounds(env, &target, &workload).await?;
            target.close().await?;
            SinkTarget::check(env, addr, &workload, done[0]).await?;
            Ok(load)
        }
    }
}

/// A round to warm up, and one that counts; and what each client has done in all.
async fn rounds<T: load::Target>(
    env: SimEnv,
    target: &T,
    workload: &Workload,
) -> Result<(Load, Vec<u64>), Failed> {
    let stop = Arc::new(AtomicBool::new(false));
    let warm = Workload { operations: warm_up(workload), ..workload.clone() };
    let mut done = vec![0; workload.clients as usize];
    let first = load::round(&env, target, &warm, &done, &stop).await?;
    done.iter_mut().zip(&first.clients).for_each(|(done, more)| *done += more);
    let load = load::round(&env, target, workload, &done, &stop).await?;
    done.iter_mut().zip(&load.clients).for_each(|(done, more)| *done += more);
    Ok((load, done))
}
