//! Boots, clients, crashes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seedbed::explore::{Boot, Goal, Setting};
use seedbed::faults::Faults;
use seedbed::seam::{Clock, Env, OsEnv};
use seedbed::{CrashKind, Failure, FaultKind, NodeId, Sim, SimEnv, Stats, Stop, Violation};
use seedbed_engines::atomic_commit::{Durability, Error, Options, Plant, Store, Ticket};

use super::answers::{Allowance, Answers, CALLS_AT_A_TIME, Delays, STALLS};
use super::oracle::{LifeEnded, Oracle};
use super::workload::{CLIENTS, Op, Write};
use super::{DETECTED, OPENS, WORKS};

/// The store's directory.
const DIR: &str = "store";
/// How often a boot tries to open before the driver heals the disk.
const OPEN_TRIES: usize = 3;
/// What the store waits for a call of the disk, besides what this world's takes in good times.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// Boots after which a run must be over: more than any plan's crashes and their repairs.
const BOOTS_MAX: u64 = 10_000;

/// What outlives the node: the clients' queues and what they were told.
#[derive(Clone, Debug, Default)]
pub(super) struct Bench {
    queues: Vec<VecDeque<Op>>,
    oracle: Oracle,
    answers: Answers,
    /// The store of this boot stopped after a failure.
    poisoned: bool,
    /// What had happened up to the last boot's end.
    before: Stats,
    /// Bits and bytes that had rotted up to then.
    bits_before: u64,
    /// Misread pages up to then.
    misreads_before: u64,
    /// Pages that the cache had dropped up to then.
    evicted_before: u64,
}

/// How often faults of these kinds happened in this boot.
fn since(sim: &Sim, before: &Stats, kinds: &[FaultKind]) -> u64 {
    sim.stats().faults_of(kinds) - before.faults_of(kinds)
}

/// Whether the disk gave the store of the last boot a reason to stop, or not to open: a call that
/// failed, or delays that can add up to the limit of one.
fn is_provoked(sim: &Sim, memory: &Memory) -> bool {
    let failed = since(sim, &memory.bench.before, &FaultKind::FAILURES) > 0;
    let (limit_ns, _) = clock_bounds(sim, memory.options.stall_limit);
    failed || delay_ns_max(sim, &memory.bench.before) >= limit_ns
}

/// The longest that one call of the engine can have been delayed in this boot without a failure:
/// by its own stall, and by that of the one call that may be under way beside it.
///
/// Where a read or write was cut short, what is one call of the engine was several of the disk, and
/// the node may have stood still between them. (A pause alone delays no call: what has ended
/// meanwhile is there when the node goes on.)
fn delay_ns_max(sim: &Sim, before: &Stats) -> u64 {
    let faults = sim.faults();
    let stalls = since(sim, before, &STALLS);
    let cuts = since(sim, before, &[FaultKind::ShortRead, FaultKind::ShortWrite]);
    let pauses = if cuts > 0 { since(sim, before, &[FaultKind::Pause]) } else { 0 };
    let in_a_row = stalls.min((1 + cuts) * CALLS_AT_A_TIME);
    let stalled = stall_ns_max(&faults).saturating_mul(in_a_row);
    stalled.saturating_add(pause_ns_max(&faults).saturating_mul(pauses))
}

/// The longest that one call of the disk stalls by itself.
fn stall_ns_max(faults: &Faults) -> u64 {
    let device = &faults.device;
    let chances = [device.stall_probability, device.slow_sync_probability];
    let stalls = chances.iter().any(|chance| !chance.is_never());
    let own = if stalls { device.stall.max_ns } else { 0 };
    let rules = faults.rules.iter().filter_map(|rule| rule.stall);
    own.saturating_add(rules.map(|range| range.max_ns).max().unwrap_or(0))
}

/// The longest that a node stands still.
fn pause_ns_max(faults: &Faults) -> u64 {
    let clock = &faults.clock;
    if clock.pause_probability.is_never() { 0 } else { clock.pause.max_ns }
}

/// The least and the most that `time` on a node's clock can be in this world, in nanoseconds.
fn clock_bounds(sim: &Sim, time: Duration) -> (u64, u64) {
    let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let off = (u128::from(ns) * u128::from(sim.faults().clock.drift_ppm)).div_ceil(1_000_000);
    let off = u64::try_from(off).unwrap_or(u64::MAX);
    (ns.saturating_sub(off), ns.saturating_add(off))
}

/// What an explorer clones: the clients, and how their store is set up.
#[derive(Clone, Debug)]
pub struct Memory {
    options: Options,
    bench: Bench,
}

impl Bench {
    /// What has happened to bytes so far that nobody was told of.
    fn note_losses(&mut self, stats: &Stats) {
        let evicted = stats.fault(FaultKind::Evicted);
        if evicted > self.evicted_before {
            self.oracle.cache_lost();
            self.evicted_before = evicted;
        }
        let bits = stats.fault(FaultKind::BitRot) - self.bits_before;
        let passing = stats.faults_of(&MISREADS);
        let lasting = stats.faults_of(&FaultKind::MEDIA) - passing;
        self.oracle.damaged(bits, lasting, lasting - stats.fault(FaultKind::BitRot));
        self.oracle.misread |= passing > self.misreads_before;
    }
}

/// Damage that does not last: the medium is as it was.
const MISREADS: [FaultKind; 2] = [FaultKind::StaleRead, FaultKind::MisdirectedRead];

type Shared = Arc<Mutex<Bench>>;

fn lock(bench: &Shared) -> MutexGuard<'_, Bench> {
    bench.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a boot ended by itself.
enum LifeEnd {
    /// The workload is done and the store closed.
    Done,
    /// The store did not open.
    NotOpened(Error),
    /// The store stopped after a failure.
    Poisoned,
}

pub(super) fn drive(sim: &mut Sim, ops: &[Op], plant: Option<Plant>) -> Result<(), Failure> {
    let mut memory = begin(sim, ops, plant);
    let node = sim.add_node("store");
    let mut healed = false;
    for _ in 0..BOOTS_MAX {
        let end = boot(sim, node, &mut memory, Goal::Work)?;
        match end {
            Ok(LifeEnd::Done) if healed => return Ok(()),
            Ok(LifeEnd::Done) => {
                // While there are crashes left they hit recoveries. Then once more, on a healthy
                // disk: all that was told must be there.
                restart(sim, node, &mut memory.bench);
                if sim.crashes_left() == 0 {
                    heal(sim, &mut healed);
                }
            }
            Ok(LifeEnd::Poisoned) => {
                memory.bench.note_losses(&sim.stats());
                let damaged = memory.bench.oracle.is_damaged();
                if !is_provoked(sim, &memory) && !damaged {
                    return Err(unprovoked("it stopped").into());
                }
                restart(sim, node, &mut memory.bench);
            }
            Ok(LifeEnd::NotOpened(error)) => {
                if refuses(&error) && sim.has_unstable_junk() {
                    return Ok(());
                }
                memory.bench.note_losses(&sim.stats());
                let damaged = memory.bench.oracle.is_damaged();
                let expected = is_provoked(sim, &memory) || damaged;
                if matches!(error, Error::Io { .. }) && !expected {
                    return Err(unprovoked(&error.to_string()).into());
                }
                if judge_open_error(&error, damaged, healed)? {
                    return Ok(());
                }
                restart(sim, node, &mut memory.bench);
                heal(sim, &mut healed);
            }
            Err(Stop::Crashed(_, kind)) => after_crash(sim, kind, &mut memory.bench),
            Err(stop) => return Err(stop.into()),
        }
    }
    Err(Failure::Inconclusive(format!("not over after {BOOTS_MAX} boots")))
}

pub(super) fn begin(sim: &mut Sim, ops: &[Op], plant: Option<Plant>) -> Memory {
    let options = draw_options(sim, plant);
    let oracle = Oracle::new(options.durability, flush_ns_max(sim));
    let answers = Answers::new(allowance(sim, &options));
    Memory { bench: Bench { answers, ..bench(ops, oracle) }, options }
}

/// What a request may take in this world.
fn allowance(sim: &Sim, options: &Options) -> Allowance {
    let own = match options.durability {
        Durability::Group { max_delay, .. } => max_delay,
        Durability::WriteBehind { interval } => interval,
        _ => Duration::ZERO,
    };
    let (_, own_ns) = clock_bounds(sim, own);
    let (_, limit_ns) = clock_bounds(sim, options.stall_limit);
    let faults = sim.faults();
    let (stall_ns, pause_ns) = (stall_ns_max(&faults), pause_ns_max(&faults));
    Allowance { limit_ns, stall_ns, pause_ns, piece_ns: flush_ns_max(sim).saturating_add(own_ns) }
}

/// One boot. The outer error is a broken law.
fn boot(
    sim: &mut Sim,
    node: NodeId,
    memory: &mut Memory,
    goal: Goal,
) -> Result<Result<LifeEnd, Stop>, Violation> {
    // The end of the boot before may have shown that a law was broken.
    if let Some(violation) = memory.bench.oracle.violation.take() {
        return Err(violation);
    }
    let env = sim.boot(node);
    let shared = Arc::new(Mutex::new(std::mem::take(&mut memory.bench)));
    let end = sim.run(env, life(env, memory.options.clone(), Arc::clone(&shared), goal));
    memory.bench = std::mem::take(&mut *lock(&shared));
    match memory.bench.oracle.violation.take() {
        Some(violation) => Err(violation),
        None => Ok(end),
    }
}

/// One boot for an explorer, in a world of its own or with other boots before it.
pub(super) fn explored_boot(
    sim: &mut Sim,
    node: NodeId,
    memory: &mut Memory,
    goal: Goal,
) -> Result<Boot, Failure> {
    memory.bench.before = sim.stats();
    let end = boot(sim, node, memory, goal)?;
    // Explored worlds have no delays.
    let provoked = since(sim, &memory.bench.before, &FaultKind::FAILURES) > 0;
    match end {
        Ok(LifeEnd::Done) => Ok(Boot::Done),
        Ok(LifeEnd::NotOpened(error)) if refuses(&error) && sim.has_unstable_junk() => {
            Ok(Boot::Refused)
        }
        Ok(LifeEnd::Poisoned) if provoked => Ok(Boot::Done),
        Ok(LifeEnd::Poisoned) => Err(unprovoked("it stopped").into()),
        Ok(LifeEnd::NotOpened(Error::Io { .. })) if provoked => Ok(Boot::Done),
        Ok(LifeEnd::NotOpened(error @ Error::Io { .. })) => {
            Err(unprovoked(&error.to_string()).into())
        }
        Ok(LifeEnd::NotOpened(error)) => match judge_open_error(&error, false, true)? {
            true => Ok(Boot::Done),
            false => Err(unprovoked(&error.to_string()).into()),
        },
        Err(Stop::Crashed(..)) => Ok(Boot::Crashed),
        Err(stop) => Err(stop.into()),
    }
}

/// Tells the oracle of a crash.
pub(super) fn explored_crash(sim: &Sim, memory: &mut Memory, kind: CrashKind) {
    after_crash(sim, kind, &mut memory.bench);
}

pub(super) fn fingerprint(memory: &Memory) -> u64 {
    let left = memory.bench.queues.iter().map(|queue| queue.len() as u64);
    left.fold(memory.bench.oracle.fingerprint(), |hash, left| hash.rotate_left(7) ^ left)
}

/// The store failed although the disk did not.
fn unprovoked(got: &str) -> Violation {
    Violation::new(WORKS.name, WORKS.statement, got)
}

fn heal(sim: &mut Sim, healed: &mut bool) {
    sim.heal();
    *healed = true;
}

/// Whether the store says that what it found is not what it wrote.
fn refuses(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. } | Error::FutureVersion { .. } | Error::NotOurs { .. })
}

/// Whether the run is over (damage was detected); an error that must not be is a violation.
fn judge_open_error(error: &Error, damaged: bool, healed: bool) -> Result<bool, Violation> {
    match error {
        error if damaged && refuses(error) => Ok(true),
        Error::Io { .. } if !healed => Ok(false),
        // A page that cannot be read is detected damage.
        Error::Io { .. } if damaged => Ok(true),
        error => {
            let law = if damaged { DETECTED } else { OPENS };
            Err(Violation::new(law.name, law.statement, error.to_string()))
        }
    }
}

/// Ends a boot that did not crash by itself, in either way.
fn restart(sim: &mut Sim, node: NodeId, bench: &mut Bench) {
    let kind = sim.restart(node);
    after_crash(sim, kind, bench);
}

fn after_crash(sim: &Sim, kind: CrashKind, bench: &mut Bench) {
    let stats = sim.stats();
    let disk_failed = since(sim, &bench.before, &FaultKind::FAILURES) > 0
        || since(sim, &bench.before, &FaultKind::DELAYS) > 0;
    bench.before = stats;
    if let Some(violation) = bench.answers.ended(sim.now_ns(), Delays::of(&stats)) {
        bench.oracle.violation.get_or_insert(violation);
    }
    // What went wrong during a boot may show only now: what its recovery was told does not count.
    bench.note_losses(&stats);
    bench.bits_before = stats.fault(FaultKind::BitRot);
    bench.misreads_before = stats.faults_of(&MISREADS);
    bench.oracle.crashed(&LifeEnded { kind, now_ns: sim.now_ns(), disk_failed });
    bench.poisoned = false;
}

/// Mode, checkpoint size and garbage collection are part of the seed; 0 is the plainest.
fn draw_options(sim: &mut Sim, plant: Option<Plant>) -> Options {
    let durability = match sim.choose("store.mode", 6) {
        0 => Durability::Immediate,
        1 => Durability::Group {
            max_batch: 8,
            max_delay: Duration::from_micros(100 * sim.choose("store.delay", 4)),
        },
        2 => Durability::Batch(2 + sim.choose("store.batch", 9) as usize),
        3 => Durability::AsyncSync,
        4 => Durability::WriteBehind { interval: Duration::from_millis(2) },
        _ => Durability::None,
    };
    let mut options = Options::new(durability);
    options.checkpoint_every_bytes =
        [64 << 20, 400, 2000, 8000][sim.choose("store.wal", 4) as usize];
    options.preallocate_bytes = [0, 4096, 16_384][sim.choose("store.ahead", 3) as usize];
    options.gc_every_commits = [100, 1, 3][sim.choose("store.gc", 3) as usize];
    options.stall_limit = STALL_LIMIT + Duration::from_nanos(flush_ns_max(sim));
    options.plant = plant;
    options
}

/// What an explorer goes through: the strict mode without and with checkpoints and garbage
/// collection, and a mode of every other kind.
pub(super) fn settings() -> Vec<Setting> {
    let setting = |name, mode, wal, gc| Setting {
        name,
        answers: vec![("store.mode", mode), ("store.wal", wal), ("store.gc", gc)],
    };
    let mut ahead = setting("immediate_preallocated", 0, 0, 0);
    ahead.answers.push(("store.ahead", 1));
    vec![
        setting("immediate", 0, 0, 0),
        ahead,
        setting("immediate_checkpoints", 0, 1, 1),
        setting("group_checkpoints", 1, 1, 1),
        setting("batch_checkpoints", 2, 1, 1),
        setting("async_sync", 3, 1, 1),
        setting("write_behind", 4, 1, 1),
        setting("none_checkpoints", 5, 1, 1),
    ]
}

/// The longest that a commit can take to become durable in the background, besides the mode's
/// interval: the sync under way, the next one, or a checkpoint with its own.
fn flush_ns_max(sim: &Sim) -> u64 {
    const SYNCS: u64 = 6;
    const OTHERS: u64 = 24;
    let faults = sim.faults();
    let disk = &faults.disk;
    let others = [disk.read_latency, disk.write_latency, disk.metadata_latency];
    let other = others.iter().map(|range| range.max_ns).max().unwrap_or(0);
    let syncs = disk.sync_latency.max_ns.saturating_mul(SYNCS);
    syncs.saturating_add(other.saturating_mul(OTHERS))
}

/// A world that lets a client's observations be noted.
pub(super) trait Witness: Env {
    /// Puts an observation into the record, if there is one.
    fn witness(&self, op: &'static str, value: u64, detail: impl FnOnce() -> String);
    /// Counts a checked recovery.
    fn checked(&self) {}
    /// What has gone wrong so far, if that is known.
    fn faults_so_far(&self) -> Option<Stats> {
        None
    }
    /// Time for the oracle, in nanoseconds; not a clock that steps or drifts.
    fn ns(&self) -> u64;
}

impl Witness for SimEnv {
    fn witness(&self, op: &'static str, value: u64, detail: impl FnOnce() -> String) {
        self.note(op, value, detail);
    }

    fn checked(&self) {
        self.count_check();
    }

    fn faults_so_far(&self) -> Option<Stats> {
        Some(self.stats())
    }

    fn ns(&self) -> u64 {
        self.world_ns()
    }
}

impl Witness for OsEnv {
    fn witness(&self, _op: &'static str, _value: u64, _detail: impl FnOnce() -> String) {}

    fn ns(&self) -> u64 {
        self.now().as_ns()
    }
}

/// Runs the same clients and oracle on a real folder, without crashes: work, close, open again.
///
/// # Errors
/// The first law that is broken.
pub(super) async fn drive_on_os(
    env: OsEnv,
    ops: &[Op],
    durability: Durability,
) -> Result<(), Violation> {
    let mut options = Options::new(durability);
    options.checkpoint_every_bytes = 4000;
    options.preallocate_bytes = 4096;
    let oracle = Oracle::new(durability, 0);
    let bench = Arc::new(Mutex::new(bench(ops, oracle)));
    for _ in 0..2 {
        let end = life(env.clone(), options.clone(), Arc::clone(&bench), Goal::Work).await;
        if let Some(violation) = lock(&bench).oracle.violation.take() {
            return Err(violation);
        }
        match end {
            LifeEnd::Done => {}
            LifeEnd::NotOpened(error) => {
                return Err(Violation::new(OPENS.name, OPENS.statement, error.to_string()));
            }
            LifeEnd::Poisoned => {
                let got = "the store stopped although nothing was injected";
                return Err(Violation::new(OPENS.name, OPENS.statement, got));
            }
        }
        let end = LifeEnded { kind: CrashKind::Process, now_ns: env.ns(), disk_failed: false };
        lock(&bench).oracle.crashed(&end);
    }
    Ok(())
}

/// The clients' queues, full.
fn bench(ops: &[Op], oracle: Oracle) -> Bench {
    let mut queues = vec![VecDeque::new(); CLIENTS as usize];
    for op in ops {
        queues[(op.client() % CLIENTS) as usize].push_back(op.clone());
    }
    Bench { queues, oracle, ..Bench::default() }
}

/// One boot: open, check, work, close.
async fn life<E: Witness>(env: E, options: Options, bench: Shared, goal: Goal) -> LifeEnd {
    let store = match open(&env, &options).await {
        Ok(store) => store,
        Err(error) => return LifeEnd::NotOpened(error),
    };
    let snapshot = store.scan();
    env.witness("recovered", snapshot.seq, || format!("commit {}", snapshot.seq));
    env.checked();
    {
        let mut bench = lock(&bench);
        if let Some(stats) = env.faults_so_far() {
            bench.note_losses(&stats);
        }
        bench.oracle.recovered(&snapshot);
        if goal == Goal::Recover || bench.oracle.violation.is_some() {
            return LifeEnd::Done;
        }
    }
    let mode = options.durability;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|id| {
            env.spawn(Client::new(id, env.clone(), store.clone(), Arc::clone(&bench), mode).run())
        })
        .collect();
    for client in clients {
        // A client that panicked has ended the run already.
        let _ = client.await;
    }
    if lock(&bench).poisoned || store.close().await.is_err() {
        return LifeEnd::Poisoned;
    }
    let seq = store.seq();
    lock(&bench).oracle.called_durable(seq);
    LifeEnd::Done
}

/// Opens the store, trying again after I/O errors.
async fn open<E: Env>(env: &E, options: &Options) -> Result<Store<E>, Error> {
    let mut tries = 1;
    loop {
        match Store::open(env.clone(), DIR, options.clone()).await {
            Err(Error::Io { .. }) if tries < OPEN_TRIES => tries += 1,
            result => return result,
        }
    }
}

/// One client: takes its operations in order, and notes what it is told.
struct Client<E> {
    id: u8,
    env: E,
    store: Store<E>,
    bench: Shared,
    mode: Durability,
    /// Submitted and not yet answered.
    open: Vec<Ticket>,
}

impl<E: Witness> Client<E> {
    fn new(id: u8, env: E, store: Store<E>, bench: Shared, mode: Durability) -> Self {
        Self { id, env, store, bench, mode, open: Vec::new() }
    }

    async fn run(mut self) {
        while let Some(op) = self.next() {
            self.perform(op).await;
            self.look();
        }
        self.await_open().await;
        self.look();
    }

    fn next(&self) -> Option<Op> {
        let mut bench = lock(&self.bench);
        if bench.poisoned || bench.oracle.violation.is_some() {
            return None;
        }
        bench.queues[self.id as usize].pop_front()
    }

    /// Waits for an answer of the store, and notes for how long.
    async fn answer<T>(&self, request: impl Future<Output = T>) -> T {
        let question = lock(&self.bench).answers.asked(self.env.ns(), self.delays());
        let answer = request.await;
        let late = lock(&self.bench).answers.answered(question, self.env.ns(), self.delays());
        if let Some(violation) = late {
            lock(&self.bench).oracle.violation.get_or_insert(violation);
        }
        answer
    }

    /// What has kept the store waiting so far, if that is known.
    fn delays(&self) -> Delays {
        self.env.faults_so_far().as_ref().map(Delays::of).unwrap_or_default()
    }

    async fn perform(&mut self, op: Op) {
        match op {
            Op::Commit { writes, .. } => {
                self.await_open().await;
                if let Some(ticket) = self.submit(&writes) {
                    self.acknowledge(ticket).await;
                }
            }
            Op::Submit { writes, .. } => {
                let ticket = self.submit(&writes);
                self.open.extend(ticket);
            }
            Op::CommitDurably { writes, .. } => {
                if let Some(ticket) = self.submit(&writes) {
                    self.await_durable(ticket).await;
                }
            }
            Op::Get { key, .. } => {
                let value = self.store.get(&super::workload::key_bytes(key));
                let seq = self.store.seq();
                if let Ok(value) = value {
                    lock(&self.bench).oracle.read(key, value.as_deref(), seq);
                }
            }
            Op::Scan { .. } => {
                let snapshot = self.store.scan();
                lock(&self.bench).oracle.scanned(&snapshot);
            }
            Op::Flush { .. } => self.flush().await,
            Op::Checkpoint { .. } => {
                let before = self.store.seq();
                let result = self.answer(self.store.checkpoint()).await;
                self.made_durable(before, result);
            }
            Op::Wait { us, .. } => self.env.sleep(Duration::from_micros(us.into())).await,
        }
    }

    fn submit(&self, writes: &[Write]) -> Option<Ticket> {
        let mut bench = lock(&self.bench);
        let batch = bench.oracle.batch(writes);
        let tag = bench.oracle.tag();
        match self.store.submit(batch) {
            Ok(ticket) => {
                let seq = ticket.seq();
                bench.oracle.submitted(seq, tag, writes);
                self.env.witness("submit", seq, || format!("commit {seq} by client {}", self.id));
                Some(ticket)
            }
            Err(error @ Error::Busy { .. }) => {
                // The queue is longer than all workloads together.
                bench.oracle.violation.get_or_insert(unprovoked(&error.to_string()));
                None
            }
            Err(_) => {
                bench.poisoned = true;
                None
            }
        }
    }

    async fn acknowledge(&self, mut ticket: Ticket) {
        let seq = ticket.seq();
        let answer = self.answer(ticket.acknowledged()).await;
        let mut bench = lock(&self.bench);
        match answer {
            Ok(commit) => {
                self.env.witness("ack", seq, || format!("commit {seq} to client {}", self.id));
                let now = self.env.ns();
                bench.oracle.acknowledged(seq, commit.root, now);
            }
            Err(Error::InDoubt { .. }) => {
                self.env.witness("in_doubt", seq, || format!("commit {seq}"));
                bench.poisoned = true;
            }
            Err(error) => {
                self.env.witness("not_done", seq, || format!("commit {seq}: {error}"));
                bench.oracle.failed(seq);
                bench.poisoned = true;
            }
        }
    }

    /// Where the mode syncs by itself, waits for that: it must come. Elsewhere asks for it.
    async fn await_durable(&self, mut ticket: Ticket) {
        let by_itself = !matches!(self.mode, Durability::Batch(_) | Durability::None);
        let durable = if by_itself { Some(self.answer(ticket.durable()).await) } else { None };
        let seq = ticket.seq();
        self.acknowledge(ticket).await;
        match durable {
            Some(Ok(_)) => lock(&self.bench).oracle.called_durable(seq),
            Some(Err(_)) => lock(&self.bench).poisoned = true,
            None => self.flush().await,
        }
    }

    async fn await_open(&mut self) {
        for ticket in std::mem::take(&mut self.open) {
            self.acknowledge(ticket).await;
        }
    }

    async fn flush(&self) {
        let before = self.store.seq();
        let result = self.answer(self.store.flush()).await;
        self.made_durable(before, result);
    }

    /// A flush or checkpoint covers at least what was visible when it was asked for.
    fn made_durable(&self, seq: u64, result: Result<(), Error>) {
        let mut bench = lock(&self.bench);
        match result {
            Ok(()) => bench.oracle.called_durable(seq),
            Err(_) => bench.poisoned = true,
        }
    }

    /// Looks at what the store shows to anyone who asks.
    fn look(&self) {
        let mut bench = lock(&self.bench);
        bench.oracle.observed(self.store.seq());
        bench.oracle.called_durable(self.store.durable_seq());
    }
}
