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
use crate::simulate::{Costs, bytes_per_operation, simulate_rounds};
use crate::workload::{Engine, Workload};
use crate::{Failed, Launch, Worker};

/// Most trials when a cost is fitted, in which range, in nanoseconds, and how close is close
/// enough.
const FITS: usize = 12;
const RANGE: (f64, f64) = (10.0, 1e6);
const CLOSE: f64 = 0.005;
/// Processes of a workload to which what waiting costs is fitted.
const PROCESSES: usize = 5;
/// Rounds of a workload that a cost is fitted to, and how long one takes, about: as `seedbed bench`
/// has them, since engines slow down by a third and more as they are filled.
const ROUNDS: usize = 12;
const ROUND_NS: u64 = 300_000_000;
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
        let base = Workload::default();
        let some = self.sized(Workload { clients: 8, ..base.clone() })?;
        let takes_ns = self.usual_time_of_one(&some)?;
        let with = |sync_ns| Costs { sync_ns, ..known };
        let known = with(found(takes_ns, |ns| self.takes(&some, with(ns)))?);
        let many = self.sized(Workload { clients: 64, ..base })?;
        let takes_ns = self.usual_time_of_one(&many)?;
        let with = |wake_ns| Costs { wake_ns, ..known };
        Ok(with(found(takes_ns, |ns| self.takes(&many, with(ns)))?))
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
                ..base.clone()
            }),
            Engine::Sink => [64, 384].map(|value_bytes| Workload {
                value_bytes,
                window: 50_000,
                ..base.clone()
            }),
        };
        let small = self.fit(&self.sized(small)?, known)?;
        let large = self.fit(&self.sized(large)?, known)?;
        let per_operation =
            (small.byte_ns - large.byte_ns) / (1.0 / small.bytes - 1.0 / large.bytes);
        let operation_ns = per_operation.clamp(0.0, small.byte_ns * small.bytes);
        let byte_ns = (small.byte_ns - operation_ns / small.bytes).max(0.0);
        let costs = Costs { operation_ns, byte_ns, ..known };
        if engine == Engine::Sink {
            return Ok(costs);
        }
        // One at a time: what is beyond is that of the hops.
        let alone = self.sized(base)?;
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
        let milli = found(takes_ns, |milli| self.takes(workload, with(milli)))?;
        let bytes = bytes_per_operation(workload, self.timing, 0)?;
        Ok(Fitted { byte_ns: milli / 1e3, bytes })
    }

    /// What an operation takes in simulation, in nanoseconds.
    fn takes(&self, workload: &Workload, costs: Costs) -> Result<f64, Failed> {
        self.go_on()?;
        let simulated = simulate_rounds(workload, self.timing, costs, 0, ROUNDS)?;
        Ok(1e9 / simulated.throughput.max(1e-9))
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
        worker.warm_up(workload, ROUND_NS)?;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            self.go_on()?;
            let round = worker.round(workload.operations)?;
            times.push(round.elapsed_ns as f64 / round.operations.max(1) as f64);
        }
        worker.end()?;
        Ok(seedbed_measure::sample::median(&times).unwrap_or(0.0))
    }

    /// The workload with as many operations as a round has here.
    fn sized(&self, workload: Workload) -> Result<Workload, Failed> {
        let operations = Worker::start(self.launch, &workload)?.warm_up(&workload, ROUND_NS)?;
        Ok(Workload { operations, ..workload })
    }

    fn go_on(&self) -> Result<(), Failed> {
        match self.launch.stop.load(Ordering::Relaxed) {
            true => Err(interrupted()),
            false => Ok(()),
        }
    }
}

/// The cost with which an operation takes so long, in a range; one of its ends where it would be
/// less or more. By false position, which such an almost straight line needs few trials for
/// (M. Dowell and P. Jarratt, "A modified regula falsi method", BIT 11, 1971: "Illinois").
fn found(takes_ns: f64, takes: impl Fn(f64) -> Result<f64, Failed>) -> Result<f64, Failed> {
    let error = |cost: f64| Ok::<_, Failed>(takes(cost)? / takes_ns - 1.0);
    let (low, high) = RANGE;
    let mut low = (low, error(low)?);
    let mut high = (high, error(high)?);
    if low.1 >= 0.0 || high.1 <= 0.0 {
        return Ok(if low.1 >= 0.0 { low.0 } else { high.0 });
    }
    let mut was_low = None;
    let mut best = if -low.1 < high.1 { low } else { high };
    for _ in 0..FITS {
        let at = low.0 - low.1 * (high.0 - low.0) / (high.1 - low.1);
        let here = (at, error(at)?);
        if here.1.abs() < best.1.abs() {
            best = here;
        }
        if here.1.abs() < CLOSE {
            break;
        }
        let is_low = here.1 < 0.0;
        let (moved, other) = if is_low { (&mut low, &mut high) } else { (&mut high, &mut low) };
        *moved = here;
        if was_low == Some(is_low) {
            other.1 /= 2.0;
        }
        was_low = Some(is_low);
    }
    Ok(best.0)
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_cost_is_found_in_few_trials() {
        let trials = Cell::new(0);
        // A straight line; one on which little costs nothing; one that bends; one with steps.
        let shapes: [fn(f64) -> f64; 4] = [
            |cost| 700.0 + 3.0 * cost,
            |cost| (2.0 * cost).max(9_000.0),
            |cost| 100.0 + cost + cost * cost / 1e5,
            |cost| 50.0 + (cost / 10.0).floor() * 10.0,
        ];
        for (nth, takes) in shapes.iter().enumerate() {
            for cost in [20_000.0, 5_500.0, 300_000.0] {
                trials.set(0);
                let counted = |at| {
                    trials.set(trials.get() + 1);
                    Ok(takes(at))
                };
                let at = found(takes(cost), counted).expect("no failure");
                assert!((takes(at) / takes(cost) - 1.0).abs() < CLOSE, "{nth}, {cost}: {at}");
                assert!(trials.get() <= FITS + 2, "{nth}, {cost}: {} trials", trials.get());
            }
        }
        let line = |cost: f64| Ok(1_000.0 + cost);
        assert_eq!(found(900.0, line), Ok(RANGE.0), "less than nothing");
        assert_eq!(found(1e9, line), Ok(RANGE.1), "more than is tried");
        let stopped = found(5_000.0, |_| Err(interrupted()));
        assert_eq!(stopped, Err(interrupted()));
    }

    #[test]
    fn messages_take_time() {
        let stop = AtomicBool::new(false);
        let ns = message_ns(Path::new("."), &stop).expect("this machine has sockets");
        assert!(ns > 0.0 && ns.is_finite());
    }
}
