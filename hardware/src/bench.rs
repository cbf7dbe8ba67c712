//! One engine under load in this process: open, rounds, close, compare.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use seedbed_env::OsEnv;
use seedbed_env::cpu::{CpuAccounts, CpuOptions, CpuReport};
use seedbed_measure::{Latencies, Summary};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::Failed;
use crate::allocations::{self, Allocations};
use crate::load::{self, Load, RealPace};
use crate::target::sink::SinkTarget;
use crate::target::store::StoreTarget;
use crate::workload::{Engine, Workload};

/// What a round came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Operations that were acknowledged.
    pub operations: u64,
    /// From the first begin to the last acknowledgement, in nanoseconds.
    pub elapsed_ns: u64,
    /// Latencies, corrected for coordinated omission.
    pub latency: Summary,
    /// As clients saw them.
    pub seen: Summary,
    /// In open loop, how late an operation was begun at most, in nanoseconds.
    pub late_max_ns: u64,
    /// What was asked of the disk.
    pub disk: Disk,
    /// Allocations of the process.
    pub allocations: Allocations,
    /// Of the sink: which part of the time a connection was in use, on average.
    #[serde(default)]
    pub pools_busy: Option<f64>,
}

/// What was asked of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Calls that write.
    pub writes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Syncs of directories.
    pub dir_syncs: u64,
}

/// What is known after the last round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Keys or rows that were compared, and found right.
    pub checked: u64,
    /// CPU time of each thread that worked in measured rounds, in nanoseconds, by name.
    pub threads: BTreeMap<String, u64>,
    /// CPU time of each class of operations in them, and how many operations.
    pub classes: BTreeMap<String, Class>,
    /// The most memory that the process has had until then, in bytes; 0 if nobody tells. The
    /// latencies of a round are in it, and what compares afterwards is not.
    pub peak_memory: u64,
}

impl Ended {
    /// Adds what another process came to.
    pub fn add(&mut self, other: Self) {
        self.checked += other.checked;
        for (thread, ns) in other.threads {
            *self.threads.entry(thread).or_default() += ns;
        }
        for (name, Class { operations, cpu_ns }) in other.classes {
            let class = self.classes.entry(name).or_default();
            class.operations += operations;
            class.cpu_ns += cpu_ns;
        }
        self.peak_memory = self.peak_memory.max(other.peak_memory);
    }
}

/// What a class of operations has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Operations that began.
    pub operations: u64,
    /// CPU time in nanoseconds.
    pub cpu_ns: u64,
}

/// An engine that is open.
#[derive(Clone)]
enum Open {
    Store(StoreTarget<OsEnv>),
    Sink(SinkTarget<OsEnv>),
}

/// An engine under load, in a folder.
pub struct Bench {
    runtime: Runtime,
    env: OsEnv,
    accounts: CpuAccounts,
    open: Open,
    workload: Workload,
    /// Operations of each client that were acknowledged, of all rounds.
    done: Vec<u64>,
    /// What threads had used when measuring began.
    before: Vec<CpuReport>,
    stop: Arc<AtomicBool>,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("workload", &self.workload).finish_non_exhaustive()
    }
}

impl From<&Round> for seedbed_measure::Round {
    /// What the statistics need of a round.
    fn from(round: &Round) -> Self {
        let Round { operations, elapsed_ns, latency, .. } = *round;
        Self { operations, elapsed_ns, latency }
    }
}

impl Bench {
    /// Opens an engine in a folder that is empty. A round ends early once `stop` is set.
    ///
    /// # Errors
    /// A workload that makes no sense; what the machine or the engine says.
    pub fn open(dir: &Path, workload: &Workload, stop: Arc<AtomicBool>) -> Result<Self, Failed> {
        workload.check().map_err(Failed::Machine)?;
        allocations::count();
        let accounts = CpuAccounts::new(CpuOptions::default());
        let runtime = runtime(&accounts)?;
        let env = OsEnv::with_accounts(dir, &accounts);
        let open = runtime.block_on(open(env.clone(), workload))?;
        let done = vec![0; workload.clients as usize];
        let (workload, before) = (workload.clone(), accounts.threads());
        Ok(Self { runtime, env, accounts, open, workload, done, before, stop })
    }

    /// Runs a round of so many operations; gives all of its latencies, corrected, as well.
    ///
    /// # Errors
    /// The engine failed; nothing that follows means anything.
    pub fn round(&mut self, operations: u64) -> Result<(Round, Latencies), Failed> {
        self.workload.operations = operations;
        self.workload.check().map_err(Failed::Machine)?;
        let (disk, allocated) = (self.env.disk_counts(), allocations::counted());
        let pools = self.pools();
        let load = self.load()?;
        let pools_busy = self.pools().zip(pools).map(|((after, connections), (before, _))| {
            let all = load.elapsed.as_secs_f64() * connections as f64;
            (after - before).as_secs_f64() / all.max(f64::MIN_POSITIVE)
        });
        let (disk_after, allocated_after) = (self.env.disk_counts(), allocations::counted());
        for (done, more) in self.done.iter_mut().zip(&load.clients) {
            *done += more;
        }
        let round = Round {
            operations: load.operations,
            elapsed_ns: nanoseconds(load.elapsed),
            latency: load.latencies.summary(),
            seen: load.seen.summary(),
            late_max_ns: nanoseconds(load.late_max),
            disk: Disk {
                writes: disk_after.writes - disk.writes,
                written_bytes: disk_after.written_bytes - disk.written_bytes,
                syncs: disk_after.syncs - disk.syncs,
                dir_syncs: disk_after.dir_syncs - disk.dir_syncs,
            },
            allocations: Allocations {
                count: allocated_after.count - allocated.count,
                bytes: allocated_after.bytes - allocated.bytes,
            },
            pools_busy,
        };
        Ok((round, load.latencies))
    }

    fn pools(&self) -> Option<(Duration, usize)> {
        match &self.open {
            Open::Store(_) => None,
            Open::Sink(target) => Some(target.pools()),
        }
    }

    fn load(&self) -> Result<Load, Failed> {
        // On a thread of the runtime, as all else is: `block_on`'s own one is not metered.
        let (env, open) = (self.env.clone(), self.open.clone());
        let (workload, first) = (self.workload.clone(), self.done.clone());
        let pace = RealPace(Arc::clone(&self.stop));
        let round = async move {
            match &open {
                Open::Store(target) => load::round(&env, &pace, target, &workload, &first).await,
                Open::Sink(target) => load::round(&env, &pace, target, &workload, &first).await,
            }
        };
        let joined = self.runtime.block_on(async { tokio::spawn(round).await });
        joined.map_err(|error| Failed::Engine(error.to_string()))?
    }

    /// From here on CPU time counts: what was before was to warm up.
    pub fn start_measuring(&mut self) {
        self.before = self.accounts.threads();
    }

    /// Closes the engine, opens what it left and compares it with what was acknowledged.
    ///
    /// # Errors
    /// [`Failed::Wrong`] if that is not the same.
    pub fn end(self) -> Result<Ended, Failed> {
        self.end_after(|| ())
    }

    /// As [`Bench::end`], but something happens between closing and comparing: how a test shows
    /// that a wrong engine is found out.
    ///
    /// # Errors
    /// As [`Bench::end`].
    #[doc(hidden)]
    pub fn end_after(self, meanwhile: impl FnOnce()) -> Result<Ended, Failed> {
        let Self { runtime, env, accounts, open, workload, done, before, .. } = self;
        let (threads, classes) = used(&before, &accounts.threads());
        let peak_memory = peak_memory();
        runtime.block_on(async {
            match &open {
                Open::Store(target) => target.close().await,
                Open::Sink(target) => target.close().await,
            }
        })?;
        drop(open);
        meanwhile();
        let checked = runtime.block_on(async {
            match workload.engine {
                Engine::AtomicCommit => StoreTarget::check(env, &workload, &done).await,
                Engine::Sink => SinkTarget::check(env, anywhere(), &workload, done[0]).await,
            }
        })?;
        Ok(Ended { checked, threads, classes, peak_memory })
    }
}

async fn open(env: OsEnv, workload: &Workload) -> Result<Open, Failed> {
    Ok(match workload.engine {
        Engine::AtomicCommit => Open::Store(StoreTarget::open(env, workload).await?),
        Engine::Sink => Open::Sink(SinkTarget::open(env, anywhere(), workload).await?),
    })
}

/// Any port of this machine.
fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A runtime whose threads have names of their own, and are metered.
fn runtime(accounts: &CpuAccounts) -> Result<Runtime, Failed> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    accounts.install(&mut builder);
    let next = AtomicUsize::new(0);
    let name = move || format!("thread {}", next.fetch_add(1, Ordering::Relaxed));
    let built = builder.thread_name_fn(name).enable_all().build();
    built.map_err(|error| Failed::Machine(format!("no runtime: {error}")))
}

/// What threads and classes have used since.
fn used(
    before: &[CpuReport],
    after: &[CpuReport],
) -> (BTreeMap<String, u64>, BTreeMap<String, Class>) {
    let (mut threads, mut classes) =
        (BTreeMap::<String, u64>::new(), BTreeMap::<String, Class>::new());
    for report in after {
        *threads.entry(report.thread.clone()).or_default() += nanoseconds(report.cpu);
        for usage in &report.classes {
            let class = classes.entry(usage.class.to_owned()).or_default();
            class.operations += usage.operations;
            class.cpu_ns += nanoseconds(usage.cpu);
        }
    }
    for report in before {
        if let Some(thread) = threads.get_mut(&report.thread) {
            *thread = thread.saturating_sub(nanoseconds(report.cpu));
        }
        for usage in &report.classes {
            if let Some(class) = classes.get_mut(usage.class) {
                class.operations = class.operations.saturating_sub(usage.operations);
                class.cpu_ns = class.cpu_ns.saturating_sub(nanoseconds(usage.cpu));
            }
        }
    }
    threads.retain(|_, ns| *ns > 0);
    classes.retain(|_, class| class.cpu_ns > 0);
    (threads, classes)
}

#[cfg(target_os = "linux")]
fn peak_memory() -> u64 {
    let status = procfs::process::Process::myself().and_then(|myself| myself.status());
    status.ok().and_then(|status| status.vmhwm).unwrap_or(0) * 1024
}

#[cfg(not(target_os = "linux"))]
fn peak_memory() -> u64 {
    0
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
