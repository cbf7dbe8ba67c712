//! The same workload in the simulated world, on a disk that takes as long as a measured one: what
//! the engine would do on that machine, and figures that have no noise.
//!
//! Simulated code takes no time by itself. What the engine's own code costs is put on its writes:
//! so much for each call, which stands for the hops between tasks and threads, and so much for each
//! byte, which stands for encoding, hashing and the operation's share of everything else. A log's
//! write carries the bytes of all operations that share it, so the cost grows with them, and it
//! falls between two syncs, as it does on the machine. How many bytes an operation comes to is
//! found by a first run in which nothing costs anything. A client that sleeps until its operation
//! is done has to be woken, which costs as much for one operation as for a window of them; and a
//! thread that waits for a sync sleeps as well, which makes every sync longer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use seedbed::faults::timing::{Timing, TimingPoint};
use seedbed::faults::{DurationRange, Plan};
use seedbed::{Sim, SimEnv, Stop};
use seedbed_measure::{Latencies, Summary};
use serde::{Deserialize, Serialize};

use crate::Failed;
use crate::allocations;
use crate::load::{self, Load, WorldPace};
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
    /// Nanoseconds of waking a client of the store.
    #[serde(default)]
    pub wake_ns: f64,
    /// Nanoseconds of each sync beyond the disk's.
    #[serde(default)]
    pub sync_ns: f64,
    /// Nanoseconds of a message from node to node.
    pub message_ns: f64,
}

/// What simulated rounds came to. The same for the same workload, timing, costs and seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Simulated {
    /// Operations that were acknowledged.
    pub operations: u64,
    /// Simulated time of the rounds in nanoseconds.
    pub elapsed_ns: u64,
    /// Operations a second, the median of the rounds.
    pub throughput: f64,
    /// Latencies, corrected for coordinated omission.
    pub latency: Summary,
    /// Figures without noise, of the rounds.
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
    simulate_rounds(workload, timing, costs, seed, 1)
}

/// Runs so many rounds, after one to warm up: engines slow down as they are filled.
///
/// # Errors
/// As [`simulate()`].
pub fn simulate_rounds(
    workload: &Workload,
    timing: &Timing,
    costs: Costs,
    seed: u64,
    rounds: usize,
) -> Result<Simulated, Failed> {
    workload.check().map_err(Failed::Machine)?;
    let operation_ns = match workload.engine {
        Engine::AtomicCommit => costs.operation_ns + costs.wake_ns / f64::from(workload.window),
        Engine::Sink => costs.operation_ns,
    };
    if operation_ns > 0.0 {
        let bytes = bytes_per_operation(workload, timing, seed)?;
        let byte_ns = costs.byte_ns + operation_ns / bytes;
        let all = Costs { byte_ns, operation_ns: 0.0, wake_ns: 0.0, ..costs };
        return simulate_rounds(workload, timing, all, seed, rounds);
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
    // Each piece owns what it needs.
    let own = workload.clone();
    match workload.engine {
        Engine::AtomicCommit => {
            let opening = async move { StoreTarget::open(env, &own).await };
            let target = on(&mut sim, env, opening)?;
            let (simulated, done) = measure(&mut sim, env, &target, workload, rounds)?;
            let own = workload.clone();
            on(&mut sim, env, async move {
                target.close().await?;
                StoreTarget::check(env, &own, &done).await
            })?;
            Ok(simulated)
        }
        Engine::Sink => {
            let addr = SocketAddr::new(env.node().ip().into(), 0);
            let opening = async move { SinkTarget::open(env, addr, &own).await };
            let target = on(&mut sim, env, opening)?;
            let (simulated, done) = measure(&mut sim, env, &target, workload, rounds)?;
            let own = workload.clone();
            on(&mut sim, env, async move {
                target.close().await?;
                SinkTarget::check(env, addr, &own, done[0]).await
            })?;
            Ok(simulated)
        }
    }
}

/// Runs something in the world.
fn on<T: 'static>(
    sim: &mut Sim,
    env: SimEnv,
    future: impl Future<Output = Result<T, Failed>> + 'static,
) -> Result<T, Failed> {
    sim.run(env, future).map_err(|stop: Stop| Failed::Engine(stop.to_string()))?
}

/// A round to warm up, and those that count; and what each client has done in all.
fn measure<T: load::Target>(
    sim: &mut Sim,
    env: SimEnv,
    target: &T,
    workload: &Workload,
    rounds: usize,
) -> Result<(Simulated, Vec<u64>), Failed> {
    let mut done = vec![0; workload.clients as usize];
    let part = if rounds > 1 { 1 } else { 10 };
    let warm = (workload.operations / part).max(workload.outstanding());
    round(sim, env, target, &Workload { operations: warm, ..workload.clone() }, &mut done)?;
    let (before, began) = (sim.stats(), sim.now_ns());
    let (mut operations, mut elapsed) = (0, Duration::ZERO);
    let (mut latencies, mut throughputs) = (Latencies::new(), Vec::new());
    for _ in 0..rounds {
        let load = round(sim, env, target, workload, &mut done)?;
        operations += load.operations;
        elapsed += load.elapsed;
        latencies.merge(&load.latencies);
        throughputs.push(load.operations as f64 / load.elapsed.as_secs_f64().max(1e-9));
    }
    let (after, ended) = (sim.stats(), sim.now_ns());
    let counters = [
        ("disk_calls", after.ops - before.ops),
        ("syncs", after.syncs - before.syncs),
        ("written_bytes", after.written_bytes - before.written_bytes),
        ("simulated_events", after.polls - before.polls),
        ("simulated_ns", ended - began),
    ];
    let simulated = Simulated {
        operations,
        elapsed_ns: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX),
        throughput: seedbed_measure::sample::median(&throughputs).unwrap_or(0.0),
        latency: latencies.summary(),
        counters: counters.map(|(name, count)| (name.to_owned(), count)).into(),
    };
    Ok((simulated, done))
}

fn round<T: load::Target>(
    sim: &mut Sim,
    env: SimEnv,
    target: &T,
    workload: &Workload,
    done: &mut [u64],
) -> Result<Load, Failed> {
    let (target, workload, first) = (target.clone(), workload.clone(), done.to_vec());
    let pace = WorldPace(env);
    let running = async move { load::round(&env, &pace, &target, &workload, &first).await };
    let load = on(sim, env, running)?;
    done.iter_mut().zip(&load.clients).for_each(|(done, more)| *done += more);
    Ok(load)
}

/// Operations over which exact figures are counted, at least.
const EXACT_OPERATIONS: u64 = 2000;

/// Figures without noise: the workload on a simulated disk, with the allocations that it makes. Two
/// runs of one build agree to the last unit, so any difference is a change of the program.
///
/// # Errors
/// As [`simulate`].
pub fn exact(workload: &Workload) -> Result<(u64, BTreeMap<String, u64>), Failed> {
    allocations::count();
    let timing = Timing::preset("nvme").expect("a preset");
    let operations = EXACT_OPERATIONS.max(workload.outstanding() * 2);
    let workload = Workload { operations, ..workload.clone() };
    // A first world grows what later ones use again.
    simulate(&workload, &timing, Costs::default(), 0)?;
    let before = allocations::counted();
    let simulated = simulate(&workload, &timing, Costs::default(), 0)?;
    let after = allocations::counted();
    let mut counters = simulated.counters;
    counters.insert("allocations".to_owned(), after.count - before.count);
    counters.insert("allocated_bytes".to_owned(), after.bytes - before.bytes);
    Ok((operations, counters))
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
    Ok((bytes as f64 / simulated.operations.max(1) as f64).max(1.0))
}

/// The engine's costs in the place of what a write costs by itself.
fn with_costs(timing: &Timing, costs: Costs) -> Timing {
    let point = |bytes: u64| {
        let ns = bytes as f64 * costs.byte_ns + costs.call_ns;
        TimingPoint { bytes, ns: vec![ns.max(1.0) as u64] }
    };
    let longer = |points: &[TimingPoint]| {
        let longer = |ns: &u64| ns.saturating_add(costs.sync_ns as u64);
        let point = |TimingPoint { bytes, ns }: &TimingPoint| TimingPoint {
            bytes: *bytes,
            ns: ns.iter().map(longer).collect(),
        };
        points.iter().map(point).collect()
    };
    Timing {
        write: vec![point(0), point(1 << 20)],
        sync: longer(&timing.sync),
        sync_in_place: longer(&timing.sync_in_place),
        sync_dir: longer(&timing.sync_dir),
        ..timing.clone()
    }
}
