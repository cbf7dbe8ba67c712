//! What engines' own code costs on this machine.
//!
//! Costs are not read off the CPU time of threads, which the machine's cores work off side by side
//! while the simulated engine has none: they are fitted, so that the simulated engine takes as long
//! as the real one does for a few workloads. Others are then predicted.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use seedbed::faults::timing::Timing;
use seedbed_env::{Listener, Net, OsEnv, Spawn, Stream, StreamRead, StreamWrite};

use super::{interrupted, machine};
use crate::simulate::{Costs, bytes_per_operation, simulate};
use crate::workload::{Engine, Workload};
use crate::{Failed, Launch, Worker};

/// Trials when a cost is fitted: to a hundredth, from five orders of magnitude.
const FITS: usize = 10;
/// Processes of a workload to which what waiting costs is fitted.
const PROCESSES: usize = 5;
/// Rounds of a workload that a cost is fitted to, as many as `seedbed bench` has: an engine slows
/// down as it is filled.
const ROUNDS: usize = 12;
/// The longest that a round should take, in nanoseconds.
const ROUND_NS_MAX: u64 = 1_000_000_000;
/// Messages whose time is measured.
const MESSAGES: usize = 3000;
/// Bytes of such a message: about what a participant is told of a transaction.
const MESSAGE_LEN: usize = 64;

/// Measures what engines' own code costs: where syncs do not, or beyond them. `told` hears what is
/// being measured.
///
/// # Errors
/// What the machine or the engine says; [`Failed::Machine`] "interrupted" once it is to stop.
pub fn costs(
    launch: Launch<'_>,
    timing: &Timing,
    mut told: impl FnMut(&str),
) -> Result<BTreeMap<Engine, Costs>, Failed> {
    let fitting = Fitting { launch, timing };
    told("messages");
    let message_ns = message_ns(launch.dir, launch.stop)?;
    told("what atomic_commit costs");
    let known = Costs { message_ns, ..Costs::default() };
    let store = fitting.costs_of_code(Engine::AtomicCommit, known)?;
    let store = fitting.costs_of_waiting(store)?;
    told("what sink costs");
    // It waits for threads and disks as the store does.
    let sink = fitting.costs_of_code(Engine::Sink, store)?;
    Ok(BTreeMap::from([(Engine::AtomicCommit, store), (Engine::Sink, sink)]))
}

/// Finds costs with which a simulated engine takes as long as the real one does.
struct Fitting<'a> {
    launch: Launch<'a>,
    timing: &'a Timing,
}

impl Fitting<'_> {
    /// What a sync costs beyond the disk's, and waking a client: what 8 clients, and 64, take
    /// longer than predicted without. (One client alone is fast or slow by a quarter, depending on
    /// the cores on which a process happens to have its threads.)
    fn costs_of_waiting(&self, known: Costs) -> Result<Costs, Failed> {
        let some = Workload { clients: 8, operations: 7_000, ..Workload::default() };
        let takes_ns = self.usual_time_of_one(&some)?;
        let with = |sync_ns| Costs { sync_ns, ..known };
        let known = with(self.found(takes_ns, |ns| self.takes(&some, with(ns)))?);
        let many = Workload { clients: 64, operations: 25_000, ..some };
        let takes_ns = self.usual_time_of_one(&many)?;
        let with = |wake_ns| Costs { wake_ns, ..known };
        Ok(with(self.found(takes_ns, |ns| self.takes(&many, with(ns)))?))
    }

    /// What an engine's own code costs for each write, operation and byte.
    fn costs_of_code(&self, engine: Engine, known: Costs) -> Result<Costs, Failed> {
        let base =
            Workload { engine, durability: "none".parse().expect("a mode"), ..Workload::default() };
        // Two sizes: what does not grow with the size is the operation's.
        let [small, large] = match engine {
            Engine::AtomicCommit => [128, 4096].map(|value_bytes| Workload {
                value_bytes,
                window: 1024,
                operations: 50_000,
                ..base.clone()
            }),
            Engine::Sink => [64, 1024].map(|value_bytes| Workload {
                value_bytes,
                window: 50_000,
                operations: 150_000,
                ..base.clone()
            }),
        };
        let small = self.fit(&small, known)?;
        let large = self.fit(&large, known)?;
        let per_operation =
            (small.byte_ns - large.byte_ns) / (1.0 / small.bytes - 1.0 / large.bytes);
        let operation_ns = per_operation.clamp(0.0, small.byte_ns * small.bytes);
        let byte_ns = (small.byte_ns - operation_ns / small.bytes).max(0.0);
        let costs = Costs { operation_ns, byte_ns, ..known };
        if engine == Engine::Sink {
            return Ok(costs);
        }
        // One at a time: what is beyond is that of the hops.
        let alone = Workload { operations: 10_000, ..base };
        let one_ns = self.time_of_one(&alone)?;
        let bytes = bytes_per_operation(&alone, self.timing, 0)?;
        Ok(Costs { call_ns: (one_ns - operation_ns - byte_ns * bytes).max(100.0), ..costs })
    }

    /// What a byte costs if all is put on bytes. Participants share the machine's cores, the
    /// simulated ones do not, and syncs fall between: so it is found by trying. With it the
    /// simulated engine takes as long for an operation as the real one did; other workloads are
    /// then predicted.
    fn fit(&self, workload: &Workload, known: Costs) -> Result<Fitted, Failed> {
        let takes_ns = self.time_of_one(workload)?;
        // A thousand times what a byte costs.
        let with = |milli: f64| Costs { byte_ns: milli / 1e3, operation_ns: 0.0, ..known };
        let milli = self.found(takes_ns, |milli| self.takes(workload, with(milli)))?;
        let bytes = bytes_per_operation(workload, self.timing, 0)?;
        Ok(Fitted { byte_ns: milli / 1e3, bytes })
    }

    /// The cost with which an operation takes so long, from 10 ns to a millisecond: one of these
    /// where it would be less or more.
    fn found(
        &self,
        takes_ns: f64,
        takes: impl Fn(f64) -> Result<f64, Failed>,
    ) -> Result<f64, Failed> {
        let (mut low, mut high) = (10.0_f64, 1e6_f64);
        for _ in 0..FITS {
            self.go_on()?;
            let middle = (low * high).sqrt();
            match takes(middle)? < takes_ns {
                true => low = middle,
                false => high = middle,
            }
        }
        Ok((low * high).sqrt())
    }

    /// What an operation takes in simulation, in nanoseconds.
    fn takes(&self, workload: &Workload, costs: Costs) -> Result<f64, Failed> {
        let simulated = simulate(workload, self.timing, costs, 0)?;
        Ok(simulated.elapsed_ns as f64 / simulated.operations.max(1) as f64)
    }

    /// Nanoseconds of an operation, the median of several processes.
    fn usual_time_of_one(&self, workload: &Workload) -> Result<f64, Failed> {
        let one = |_| self.time_of_one(workload);
        let times: Vec<f64> = (0..PROCESSES).map(one).collect::<Result<_, _>>()?;
        Ok(seedbed_measure::sample::median(&times).unwrap_or(0.0))
    }

    /// Nanoseconds of an operation, the median of rounds.
    fn time_of_one(&self, workload: &Workload) -> Result<f64, Failed> {
        let mut worker = Worker::start(self.launch, workload)?;
        // As many as a round is meant to have, unless that takes too long here.
        let in_time = worker.warm_up(workload, ROUND_NS_MAX)?;
        let operations = workload.operations.min(in_time);
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            self.go_on()?;
            let round = worker.round(operations)?;
            times.push(round.elapsed_ns as f64 / round.operations.max(1) as f64);
        }
        worker.end()?;
        Ok(seedbed_measure::sample::median(&times).unwrap_or(0.0))
    }

    fn go_on(&self) -> Result<(), Failed> {
        match self.launch.stop.load(Ordering::Relaxed) {
            true => Err(interrupted()),
            false => Ok(()),
        }
    }
}

/// What a byte costs, and how many bytes an operation writes.
struct Fitted {
    byte_ns: f64,
    bytes: f64,
}

/// What a message from one task to another costs, through sockets of this machine: half of the time
/// until an answer is there.
fn message_ns(dir: &Path, stop: &AtomicBool) -> Result<f64, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| machine(format!("no runtime: {error}")))?;
    let env = OsEnv::new(dir);
    let times = runtime.block_on(async {
        let listener = env.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let addr = listener.local_addr()?;
        drop(env.spawn(async move {
            let (stream, _) = listener.accept().await?;
            let (mut from, mut to) = stream.split();
            let mut message = [0; MESSAGE_LEN];
            loop {
                from.read_exact(&mut message).await?;
                to.write_all(&message).await?;
            }
            #[expect(unreachable_code, reason = "says what a failure is of")]
            Ok::<(), io::Error>(())
        }));
        let (mut from, mut to) = env.connect(addr).await?.split();
        let (mut message, mut times) = ([7; MESSAGE_LEN], Vec::new());
        while times.len() < MESSAGES && !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            to.write_all(&message).await?;
            from.read_exact(&mut message).await?;
            times.push(begun.elapsed().as_nanos() as f64 / 2.0);
        }
        Ok::<_, io::Error>(times)
    });
    let times = times.map_err(|error| machine(format!("sockets of this machine: {error}")))?;
    Ok(seedbed_measure::sample::median(&times).unwrap_or(0.0))
}
