//! Measures a disk, and what engines cost on this machine, so that a simulation takes as long.
//!
//! A [`Profile`] is written as a file; see there. Syncs are measured as engines make them, through
//! [`OsEnv`] and its threads, after appends of different sizes; alone and beside others.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use seedbed::faults::timing::{Timing, TimingPoint};
use seedbed_env::{File, Fs, OpenOptions, OsEnv, OsFile};
use serde::{Deserialize, Serialize};

use crate::simulate::{Costs, bytes_per_operation, simulate};
use crate::workload::{Engine, Workload};
use crate::{Failed, Launch, Worker};

/// Sizes of appends before a sync.
const SIZES: [usize; 7] = [512, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];
/// How many syncs are under way at once.
const DEPTHS: [usize; 4] = [1, 2, 4, 8];
/// Steps of a distribution: about as many as there are calls, so that the slowest of them count as
/// often as they happened.
const STEPS: usize = 250;
/// Calls of each kind and size; fewer where they take long.
const CALLS: usize = 300;
/// Trials when a cost is fitted: to a hundredth, from five orders of magnitude.
const FITS: usize = 10;
/// Processes of a workload to which what waiting costs is fitted.
const PROCESSES: usize = 5;
/// Rounds of a workload that a cost is fitted to, as many as `seedbed bench` has: an engine slows
/// down as it is filled.
const ROUNDS: usize = 12;
/// In so many turns.
const TURNS: usize = 6;
/// The longest that one kind and size may take in a turn.
const LONGEST: Duration = Duration::from_millis(1500);

/// A disk and a machine, as measured; or made up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Where it was measured; empty if it was not.
    #[serde(default)]
    pub machine: String,
    /// How long the disk takes.
    pub timing: Timing,
    /// What engines cost.
    #[serde(default)]
    pub costs: BTreeMap<Engine, Costs>,
}

impl Profile {
    /// A shipped profile, or a file's.
    ///
    /// # Errors
    /// There is none of that name, or the file is no profile.
    pub fn find(name: &str) -> Result<Self, String> {
        if let Some(timing) = Timing::preset(name) {
            return Ok(Self { machine: String::new(), timing, costs: usual_costs() });
        }
        let path = Path::new(name);
        let known: Vec<_> = Timing::presets().map(|preset| preset.name).collect();
        let told = |what: &dyn std::fmt::Display| {
            format!("{name}: {what}; shipped profiles are {}", known.join(", "))
        };
        let length = std::fs::metadata(path).map_err(|error| told(&error))?.len();
        if length > seedbed::faults::timing::TIMING_BYTES_MAX {
            return Err(told(&format!("{length} bytes are too many for a profile")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        Self::parse(&text).map_err(|why| format!("{name}: {why}"))
    }

    /// A profile from a file's text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let profile: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        Timing::parse(&profile.timing.to_text())?;
        let sane = |cost: f64| (0.0..1e12).contains(&cost);
        for (engine, costs) in &profile.costs {
            let Costs { call_ns, operation_ns, byte_ns, wake_ns, sync_ns, message_ns } = *costs;
            let all = [call_ns, operation_ns, byte_ns, wake_ns, sync_ns, message_ns];
            if !all.into_iter().all(sane) {
                return Err(format!("costs.{}: 0 to 1e12 nanoseconds", engine.name()));
            }
        }
        Ok(profile)
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("a profile is plain data")
    }

    /// What an engine costs; as usual, if nobody has measured it.
    pub fn costs_of(&self, engine: Engine) -> Costs {
        let usual = usual_costs();
        self.costs.get(&engine).or_else(|| usual.get(&engine)).copied().unwrap_or_default()
    }
}

/// What engines cost on two virtual cores of an AMD EPYC, where nothing else is known.
fn usual_costs() -> BTreeMap<Engine, Costs> {
    let store = Costs {
        call_ns: 5_000.0,
        operation_ns: 3_000.0,
        byte_ns: 3.0,
        wake_ns: 2_000.0,
        sync_ns: 20_000.0,
        message_ns: 20_000.0,
    };
    let sink = Costs { operation_ns: 7_000.0, byte_ns: 5.0, ..store };
    BTreeMap::from([(Engine::AtomicCommit, store), (Engine::Sink, sink)])
}

/// Measures the disk of a folder. `told` hears what is being measured.
///
/// # Errors
/// What the machine says; [`Failed::Machine`] "interrupted" once `stop` is set.
pub fn disk(
    dir: &Path,
    name: &str,
    stop: &AtomicBool,
    mut told: impl FnMut(&str),
) -> Result<Timing, Failed> {
    let folder = tempfile::Builder::new().prefix("seedbed-calibrate-").tempdir_in(dir);
    let folder =
        folder.map_err(|error| machine(format!("no folder in {}: {error}", dir.display())))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| machine(format!("no runtime: {error}")))?;
    let probe = Probe { env: OsEnv::new(folder.path()), stop };
    // In turn, so that a busy moment of the machine falls on all sizes alike.
    let mut appends: [[Vec<u64>; 4]; SIZES.len()] = Default::default();
    for turn in 1..=TURNS {
        told(&format!("appends of {} sizes, turn {turn} of {TURNS}", SIZES.len()));
        for (size, all) in SIZES.into_iter().zip(&mut appends) {
            runtime.block_on(probe.appends(size, all))?;
        }
    }
    let (mut sync, mut sync_in_place) = (Vec::new(), Vec::new());
    let (mut write, mut read) = (Vec::new(), Vec::new());
    for (size, [writes, syncs, reads, in_place]) in SIZES.into_iter().zip(appends) {
        write.push(point(size, writes));
        sync.push(point(size, syncs));
        sync_in_place.push(point(size, in_place));
        read.push(point(size, reads));
    }
    told("names");
    let [metadata, sync_dir] = runtime.block_on(probe.names())?;
    let mut beside = Vec::new();
    for depth in DEPTHS {
        told(&format!("{depth} syncs at once"));
        beside.push((depth, runtime.block_on(probe.beside(depth))?));
    }
    Ok(Timing {
        name: name.to_owned(),
        about: "measured by `seedbed calibrate`".to_owned(),
        read,
        write,
        sync,
        sync_in_place,
        sync_dir: vec![point(0, sync_dir)],
        metadata: vec![point(0, metadata)],
        beside: per_mille(&beside),
    })
}

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
    told("what atomic_commit costs");
    let usual = usual_costs();
    let store = Costs { wake_ns: 0.0, sync_ns: 0.0, ..usual[&Engine::AtomicCommit] };
    let store = fitting.costs_of_code(Engine::AtomicCommit, store)?;
    let store = fitting.costs_of_waiting(store)?;
    told("what sink costs");
    let sink = Costs { sync_ns: store.sync_ns, ..usual[&Engine::Sink] };
    let sink = fitting.costs_of_code(Engine::Sink, sink)?;
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
    fn costs_of_code(&self, engine: Engine, usual: Costs) -> Result<Costs, Failed> {
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
        let small = self.fit(&small, usual)?;
        let large = self.fit(&large, usual)?;
        let per_operation =
            (small.byte_ns - large.byte_ns) / (1.0 / small.bytes - 1.0 / large.bytes);
        let operation_ns = per_operation.clamp(0.0, small.byte_ns * small.bytes);
        let byte_ns = (small.byte_ns - operation_ns / small.bytes).max(0.0);
        let costs = Costs { operation_ns, byte_ns, ..usual };
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
    fn fit(&self, workload: &Workload, usual: Costs) -> Result<Fitted, Failed> {
        let takes_ns = self.time_of_one(workload)?;
        // A thousand times what a byte costs.
        let with = |milli: f64| Costs { byte_ns: milli / 1e3, operation_ns: 0.0, ..usual };
        let milli = self.found(takes_ns, |milli| self.takes(workload, with(milli)))?;
        let bytes = bytes_per_operation(workload, self.timing, 0)?;
        Ok(Fitted { byte_ns: milli / 1e3, bytes })
    }

    /// The cost with which an operation takes so long, from 10 ns to a millisecond.
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
        worker.round(workload.operations)?;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            self.go_on()?;
            let round = worker.round(workload.operations)?;
            times.push(round.elapsed_ns as f64 / round.operations.max(1) as f64);
        }
        worker.end()?;
        Ok(seedbed_measure::sample::median(&times).unwrap_or(0.0))
    }

    fn go_on(&self) -> Result<(), Failed> {
        match self.launch.stop.load(Ordering::Relaxed) {
            true => Err(machine("interrupted".to_owned())),
            false => Ok(()),
        }
    }
}

/// What a byte costs, and how many bytes an operation writes.
struct Fitted {
    byte_ns: f64,
    bytes: f64,
}

/// A disk that is asked.
struct Probe<'a> {
    env: OsEnv,
    stop: &'a AtomicBool,
}

impl Probe<'_> {
    fn go_on(&self, begun: Instant) -> Result<bool, Failed> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(machine("interrupted".to_owned()));
        }
        Ok(begun.elapsed() < LONGEST)
    }

    /// Adds times of appends of one size, of the syncs after them, of reading back, and of syncs
    /// after writing to the same places once more.
    async fn appends(&self, size: usize, all: &mut [Vec<u64>; 4]) -> Result<(), Failed> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true);
        let file = self.env.open("appends", options).await.map_err(io)?;
        let begun = Instant::now();
        let (mut bytes, mut back) = (vec![0x5a; size], vec![0; size]);
        for nth in 0..CALLS / TURNS {
            if !self.go_on(begun)? {
                break;
            }
            let at = (nth * size) as u64;
            bytes[..8].copy_from_slice(&at.to_le_bytes());
            all[0].push(timed(file.write_all_at(&bytes, at)).await?);
            all[1].push(timed(file.sync_data()).await?);
            all[2].push(timed(file.read_exact_at(&mut back, at)).await?);
            file.write_all_at(&bytes, at).await.map_err(io)?;
            all[3].push(timed(file.sync_data()).await?);
        }
        drop(file);
        self.env.remove_file("appends").await.map_err(io)
    }

    /// Times of making, renaming and removing a name, and of syncing the folder.
    async fn names(&self) -> Result<[Vec<u64>; 2], Failed> {
        let (mut metadata, mut syncs, begun) = (Vec::new(), Vec::new(), Instant::now());
        while syncs.len() < CALLS && self.go_on(begun)? {
            let open = self.env.open("one", OpenOptions::read_write_create());
            metadata.push(timed(async { open.await.map(drop) }).await?);
            metadata.push(timed(self.env.rename("one", "two")).await?);
            syncs.push(timed(self.env.sync_dir(".")).await?);
            metadata.push(timed(self.env.remove_file("two")).await?);
        }
        Ok([metadata, syncs])
    }

    /// Times of a sync of 4 KiB while so many are under way, each of a file of its own.
    async fn beside(&self, depth: usize) -> Result<u64, Failed> {
        let mut files = Vec::new();
        for nth in 0..depth {
            let opened = self.env.open(format!("beside{nth}"), OpenOptions::read_write_create());
            files.push(opened.await.map_err(io)?);
        }
        let begun = Instant::now();
        let all = try_join_all(files.iter().map(|file| self.syncs(file, begun))).await?;
        let mut times = all.concat();
        times.sort_unstable();
        Ok(times.get(times.len() / 2).copied().unwrap_or(1))
    }

    /// Times of syncs of 4 KiB.
    async fn syncs(&self, file: &OsFile, begun: Instant) -> Result<Vec<u64>, Failed> {
        let (bytes, mut times) = ([0x5a; 4096], Vec::new());
        while times.len() < CALLS && self.go_on(begun)? {
            file.write_all_at(&bytes, times.len() as u64 * 4096).await.map_err(io)?;
            times.push(timed(file.sync_data()).await?);
        }
        Ok(times)
    }
}

async fn timed(call: impl Future<Output = std::io::Result<()>>) -> Result<u64, Failed> {
    let begun = Instant::now();
    call.await.map_err(io)?;
    Ok(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// Equal steps of a distribution.
fn point(bytes: usize, mut ns: Vec<u64>) -> TimingPoint {
    ns.sort_unstable();
    let last = ns.len().saturating_sub(1);
    let step = |step: usize| ns.get(step * last / STEPS).copied().unwrap_or(0);
    TimingPoint { bytes: bytes as u64, ns: (0..=STEPS).map(step).collect() }
}

/// How much longer a sync takes beside 0, 1, 2, ... others, from what was measured at some depths.
fn per_mille(measured: &[(usize, u64)]) -> Vec<u64> {
    let alone = measured.first().map_or(1, |(_, ns)| (*ns).max(1));
    let most = measured.last().map_or(1, |(depth, _)| *depth);
    let at = |depth: usize| {
        let after = measured.iter().position(|(known, _)| *known >= depth).unwrap_or(0);
        let (high, to) = measured[after];
        let (low, from) = measured[after.saturating_sub(1)];
        let part = if high > low { (depth - low) as f64 / (high - low) as f64 } else { 0.0 };
        let ns = (to as f64 - from as f64).mul_add(part, from as f64);
        ((ns * 1000.0 / alone as f64) as u64).max(1)
    };
    (1..=most).map(at).collect()
}

fn machine(what: String) -> Failed {
    Failed::Machine(what)
}

fn io(error: std::io::Error) -> Failed {
    machine(format!("the disk: {error}"))
}
