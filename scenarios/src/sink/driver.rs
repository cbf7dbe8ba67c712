//! Nodes, their processes, crashes, and the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seedbed::check::laws::EXACTLY_ONCE;
use seedbed::check::{self, CHECKERS, Fact, Given, Offset, Process, Processes};
use seedbed::seam::sync::{Notify, race};
use seedbed::seam::{Clock, Spawn};
use seedbed::{
    Failure, FaultKind, NetRule, NodeId, Packet, PacketKind, Sim, SimEnv, Stop, Verdict, Violation,
};
use seedbed_engines::atomic_commit;
use seedbed_engines::sink::embedded::{self, Remote, Server};
use seedbed_engines::sink::{
    Column, ColumnType, Decision, Error, Event, Observer, OnRejected, Options, Plant, Schema, Sink,
    WriteMode, Writer,
};

use super::model::{self, Table};
use super::probes::Probe;
use super::recorder::{Recorder, SINK, participant};
use super::workload::{Op, Source, Step};
use super::{OPENS, RESOLVED, WORKS, plants};

/// How many participants there are.
const PARTICIPANTS: u8 = 3;
/// And where all runs are gone through.
const EXPLORED_PARTICIPANTS: u8 = 2;
/// There, the label of the question what becomes of a message.
pub(super) const MESSAGE: &str = "message";
/// And its answers: it arrives; it is lost; it arrives when nobody waits for it any more; it
/// arrives while it is asked for again.
pub(super) const FATES: u64 = 4;
const NEVER: Duration = Duration::from_secs(100_000);
/// There, the longest that anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
const TOO_LATE: Duration = Duration::from_millis(3010);
/// An attempt is made again 20 ms after the first has failed.
const AT_THE_SAME_TIME: Duration = Duration::from_micros(3_020_100);
/// Where they listen.
const PORT: u16 = 7000;
/// Of so many answers one takes each participant away when the others are healed, and one cuts it
/// off: with three of them, half.
const AWAY_OF: u64 = 12;
/// What may make a store fail, and with it a process end. A node that stands still may find that a
/// call has taken too long.
const FAULTS_OF_DISKS: [FaultKind; 13] = [
    FaultKind::ReadError,
    FaultKind::WriteError,
    FaultKind::SyncError,
    FaultKind::MetadataError,
    FaultKind::NoSpace,
    FaultKind::WritebackError,
    FaultKind::Evicted,
    FaultKind::Shutdown,
    FaultKind::Stall,
    FaultKind::SlowSync,
    FaultKind::Hang,
    FaultKind::LatentError,
    FaultKind::Pause,
];
/// For so long things go wrong at most: until there is no row left to write, as a rule, or until
/// somewhere in the middle of it.
const FAULTY: [Duration; 4] = [
    Duration::from_secs(300),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];
/// Within this time of the healing everything is resolved: a call of the disk that hangs, a request
/// that was sent before, another attempt, and a look at what is left over.
const BOUND: Duration = Duration::from_secs(60);
/// And where participants have so few places that batches go one after the other, each with a few
/// syncs of a disk that may be slow.
const BOUND_OF_FEW: Duration = Duration::from_secs(1800);
/// Fewer places are few.
const PLACES_FEW: usize = 10;
/// What a store waits for a call of the disk.
const STALL_LIMIT: Duration = Duration::from_secs(15);
/// The longest that one caller may wait for a connection: those before it each have their time.
const WAIT_MAX: Duration = Duration::from_secs(200);
/// A process that starts so often has no end.
const STARTS_MAX: u32 = 3000;

/// What is drawn for a run.
#[derive(Clone, Debug)]
struct Setup {
    schema: Arc<Schema>,
    writer: Writer,
    sink: Options,
    participant: embedded::Options,
}

/// What outlives all nodes: the source, and what was noted.
#[derive(Default)]
struct Bench {
    recorder: Recorder,
    source: Source,
    /// Steps of the source that are not rows and were done.
    steps_done: usize,
    servers: Vec<Option<Server<SimEnv>>>,
    /// Processes that ended by themselves.
    ended: Vec<(Process, Error)>,
    /// All rows of the source are in a checkpoint, and settled.
    finished: bool,
    /// The sink is to be closed.
    closing: bool,
    closed: bool,
    violation: Option<Violation>,
}

#[derive(Clone)]
struct Shared {
    bench: Arc<Mutex<Bench>>,
    /// Something has changed that the driver or the sink's process waits for.
    changed: Arc<Notify>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Bench> {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Bench)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }
}

pub(super) fn drive(sim: &mut Sim, ops: &[Op], plant: Option<Plant>) -> Result<(), Failure> {
    let mut cluster = Cluster::new(sim, ops, plant);
    let faulty = FAULTY[sim.choose("cluster.heals", FAULTY.len() as u64) as usize];
    cluster.run_until(sim, faulty, |bench| bench.finished)?;
    cluster.heal(sim);
    cluster.go_on_without_one(sim)?;
    let bound = cluster.setup.bound();
    cluster.run_until(sim, bound, |bench| bench.finished && bench.nothing_is_prepared())?;
    cluster.shared.change(|bench| bench.closing = true);
    cluster.run_until(sim, bound, |bench| bench.closed)?;
    // Who looks for abandoned transactions may be in the middle of it.
    cluster.run_until(sim, Duration::from_secs(20), |_| false)?;
    cluster.judge(sim)
}

/// How a participant stays away while the others are healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    Down,
    CutOff,
}

struct Cluster {
    setup: Setup,
    shared: Shared,
    /// Nothing happens to this one.
    driver: SimEnv,
    /// By process: the sink, then the participants.
    nodes: Vec<NodeId>,
    /// Nodes that are down, and when they come back.
    down: Vec<(u64, Process)>,
    starts: u32,
    healed: bool,
    /// A participant that is not back when the others are healed.
    away: Option<(Process, Away)>,
    /// Asks what becomes of messages, as long as it lives.
    _fates: Option<NetRule>,
}

impl Drop for Cluster {
    /// The bench has the servers and they tell the bench what they do: neither goes by itself.
    fn drop(&mut self) {
        let servers = std::mem::take(&mut self.shared.lock().servers);
        drop(servers);
    }
}

impl Cluster {
    fn new(sim: &mut Sim, ops: &[Op], plant: Option<Plant>) -> Self {
        let mut setup = Setup::draw(sim, plant);
        let explored = ops.first() == Some(&Op::Explored);
        if explored {
            (setup.sink.connect_timeout, setup.sink.request_timeout) = (PATIENCE, PATIENCE);
        }
        let participants = if explored { EXPLORED_PARTICIPANTS } else { PARTICIPANTS };
        let driver = sim.add_node("driver");
        let mut nodes = vec![sim.add_node("sink")];
        let names = ["p0", "p1", "p2"].into_iter().take(usize::from(participants));
        nodes.extend(names.map(|name| sim.add_node(name)));
        let driver = sim.boot(driver);
        let fates = explored.then(|| sim.net_rule(move |packet| fate(driver, packet)));
        let bench = Bench {
            source: Source::new(ops, setup.sink.mode),
            servers: (0..participants).map(|_| None).collect(),
            ..Bench::default()
        };
        let bench = Arc::new(Mutex::new(bench));
        let shared = Shared { bench, changed: Arc::new(Notify::new()) };
        let (starts, healed, away, down, _fates) = (0, false, None, Vec::new(), fates);
        let mut cluster = Self { setup, shared, driver, nodes, down, starts, healed, away, _fates };
        for process in (1..=participants).map(Process).chain([SINK]) {
            cluster.start(sim, process);
        }
        cluster
    }

    fn node(&self, process: Process) -> NodeId {
        self.nodes[usize::from(process.0)]
    }

    /// Boots a node and starts its process.
    fn start(&mut self, sim: &mut Sim, process: Process) {
        self.starts += 1;
        let env = sim.boot(self.node(process));
        let boot = self.shared.lock().recorder.booted(process, env);
        match process.0.checked_sub(1) {
            None => {
                let addresses = self.nodes[1..].iter().map(|node| node.ip().into()).collect();
                let (setup, shared) = (self.setup.clone(), self.shared.clone());
                drop(sim.start(env, run_sink((env, boot), setup, shared, addresses)));
            }
            Some(nth) => {
                let (setup, shared) = (self.setup.clone(), self.shared.clone());
                drop(sim.start(env, run_participant((env, boot), setup, shared, nth)));
            }
        }
    }

    /// Runs for so long, or until `done`, and brings back what goes down.
    fn run_until(
        &mut self,
        sim: &mut Sim,
        limit: Duration,
        done: fn(&Bench) -> bool,
    ) -> Result<(), Failure> {
        let end = sim.now_ns() + limit.as_nanos() as u64;
        loop {
            self.attend(sim)?;
            if done(&self.shared.lock()) || sim.now_ns() >= end {
                return Ok(());
            }
            if self.starts > STARTS_MAX {
                let reason = format!("processes were started {STARTS_MAX} times");
                return Err(Failure::Inconclusive(reason));
            }
            let next = self.down.iter().map(|(at, _)| *at).min().unwrap_or(end).min(end);
            let wait = Duration::from_nanos(next.saturating_sub(sim.now_ns()).max(1));
            let main = sim
                .start(self.driver, wait_for_change(self.driver, self.shared.clone(), wait, done));
            match sim.go_on(&main) {
                Ok(()) => {}
                Err(Stop::Crashed(node, _)) => self.crashed(sim, node),
                Err(stop) => return Err(stop.into()),
            }
        }
    }

    /// A node went down by itself.
    fn crashed(&mut self, sim: &mut Sim, node: NodeId) {
        let process = self.nodes.iter().position(|one| *one == node).expect("a node of ours");
        let process = Process(process as u8);
        self.is_down(sim, process);
    }

    /// Notes that a process is down, and decides when it comes back.
    fn is_down(&mut self, sim: &mut Sim, process: Process) {
        let mut bench = self.shared.lock();
        bench.recorder.crashed(process);
        bench.ended.retain(|(ended, _)| *ended != process);
        drop(bench);
        let ms = match self.healed {
            true => 0,
            false => [0, 20, 1500, 20_000][sim.choose("cluster.down", 4) as usize],
        };
        self.down.push((sim.now_ns() + ms * 1_000_000, process));
    }

    /// Boots what is due, and restarts processes that have ended.
    fn attend(&mut self, sim: &mut Sim) -> Result<(), Failure> {
        if let Some(violation) = self.shared.lock().violation.take() {
            return Err(violation.into());
        }
        let ended = std::mem::take(&mut self.shared.lock().ended);
        for (process, error) in ended {
            self.judge_end(sim, process, &error)?;
            sim.restart(self.node(process));
            self.is_down(sim, process);
        }
        let now = sim.now_ns();
        let due = self.down.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>();
        for (_, process) in due {
            self.start(sim, process);
            self.tell_healed();
        }
        Ok(())
    }

    /// Notes that all are healed that are to be, once all of them are up.
    fn tell_healed(&self) {
        if !self.healed || !self.down.is_empty() {
            return;
        }
        let away = self.away.map_or(Processes::NONE, |(process, _)| Processes::one(process));
        let core = Processes::ALL - away;
        self.shared.lock().recorder.add(SINK, Fact::Healed { core });
    }

    /// Whether a process had a reason to end.
    fn judge_end(&self, sim: &Sim, process: Process, error: &Error) -> Result<(), Failure> {
        match process == SINK {
            true => Probe::SinkStops.reached(),
            false => Probe::ParticipantStops.reached(),
        }
        let who = if process == SINK { "the sink" } else { "a participant" };
        let got = format!("{who} ended: {error}");
        if !is_failure_of_the_disk(error) {
            return Err(Violation::new(OPENS.name, OPENS.statement, got).into());
        }
        if sim.stats().faults_of(&FAULTS_OF_DISKS) == 0 {
            return Err(Violation::new(WORKS.name, WORKS.statement, got).into());
        }
        Ok(())
    }

    /// From here on nothing goes wrong; but one participant may be left as it is.
    fn heal(&mut self, sim: &mut Sim) {
        sim.heal();
        self.healed = true;
        for (at, _) in &mut self.down {
            *at = sim.now_ns();
        }
        self.shared.lock().recorder.faults_end();
        self.away = match sim.choose("cluster.away", AWAY_OF) as u8 {
            0 => None,
            nth @ 1..=PARTICIPANTS => Some((Process(nth), Away::Down)),
            nth if nth <= 2 * PARTICIPANTS => Some((Process(nth - PARTICIPANTS), Away::CutOff)),
            _ => None,
        }
        .filter(|(Process(nth), _)| usize::from(*nth) < self.nodes.len());
        if let Some((process, how)) = self.away {
            self.take_away(sim, process, how);
        }
        // What was told to be done may be looked at by a new start. If not, the sink that lives has
        // to get on by itself.
        let is_up = !self.down.iter().any(|(_, process)| *process == SINK);
        if is_up && sim.choose("cluster.new_start", 2) == 1 {
            self.shared.lock().finished = false;
            sim.restart(self.node(SINK));
            self.is_down(sim, SINK);
        } else {
            self.tell_healed();
        }
    }

    fn take_away(&mut self, sim: &mut Sim, process: Process, how: Away) {
        let scope = Processes::one(process);
        self.shared.lock().recorder.add(SINK, Fact::FaultBegin { scope });
        let was_down = self.down.extract_if(.., |(_, down)| *down == process).count() > 0;
        match how {
            Away::Down if was_down => {}
            Away::Down => {
                sim.restart(self.node(process));
                self.is_down(sim, process);
                self.down.retain(|(_, down)| *down != process);
            }
            Away::CutOff => {
                let one = self.node(process);
                let is_other = |node: &NodeId| *node != one;
                let others: Vec<_> = self.nodes.iter().copied().filter(is_other).collect();
                sim.partition(&[one], &others);
                if was_down {
                    self.down.push((sim.now_ns(), process));
                }
            }
        }
    }

    /// While one participant is away, the others have to carry out what is decided within the
    /// bound. Then it comes back.
    fn go_on_without_one(&mut self, sim: &mut Sim) -> Result<(), Failure> {
        let Some((process, how)) = self.away else { return Ok(()) };
        self.run_until(sim, BOUND + BOUND / 10, |_| false)?;
        self.away = None;
        let scope = Processes::one(process);
        self.shared.lock().recorder.add(SINK, Fact::FaultEnd { scope });
        match how {
            Away::Down => self.down.push((sim.now_ns(), process)),
            Away::CutOff => sim.heal_network(),
        }
        self.tell_healed();
        Ok(())
    }

    /// Judges tables and history.
    fn judge(&mut self, sim: &mut Sim) -> Result<(), Failure> {
        let mut bench = self.shared.lock();
        let tables = bench.tables();
        let unresolved = (!bench.closed).then(|| bench.what_is_open());
        bench.recorder.add(SINK, Fact::Quiescent);
        let prepared = bench.prepared(&self.setup.writer);
        for (nth, gid) in &prepared {
            let tx = bench.recorder.tx(*gid);
            bench.recorder.add(participant(*nth), Fact::PreparedAtEnd { tx });
        }
        let wrongs = bench.recorder.wrongs();
        bench.recorder.traffic.mark(&wrongs);
        sim.count_check();
        let given = self.given(&bench, &tables);
        let history = std::mem::take(&mut bench.recorder.history);
        let mut unknown = Ok(());
        // The one that shows first, by the last event that it takes to see it.
        let mut broken: Option<(Option<usize>, check::Violation)> = None;
        for checker in &CHECKERS {
            let judged =
                sim.time_checker(checker.name, history.len(), || (checker.check)(&history, &given));
            for judgement in judged {
                match judgement.verdict {
                    check::Verdict::Ok => {}
                    check::Verdict::Violation(found) => {
                        let shows = found.witness.last().copied();
                        if broken.as_ref().is_none_or(|(first, _)| shows < *first) {
                            broken = Some((shows, found));
                        }
                    }
                    check::Verdict::Unknown(reason) => {
                        let name = judgement.law.name;
                        if given.target.is_some() || name != EXACTLY_ONCE.name {
                            unknown = Err(Failure::Inconclusive(format!("{name}: {reason}")));
                        }
                    }
                }
            }
        }
        if let Some((_, found)) = broken {
            return Err(violation(&found, &history).into());
        }
        if let Some(open) = unresolved {
            return Err(Violation::new(RESOLVED.name, RESOLVED.statement, open).into());
        }
        // Only where nothing else is to be said.
        unknown?;
        let (schema, mode) = (&self.setup.schema, self.setup.sink.mode);
        Ok(model::check(schema, mode, &bench.source, &bench.recorder, &tables)?)
    }

    fn given(&self, bench: &Bench, tables: &[Table]) -> Given {
        let sink = &self.setup.sink;
        let insert = sink.mode == WriteMode::Insert;
        let lost = bench.recorder.transactions.values().any(|known| !known.by_hand.is_empty());
        let rejected = bench.recorder.rejected.iter().map(|offset| Offset(*offset as u32));
        Given {
            faults_recorded: true,
            decide_ns_max: Some(BOUND.as_nanos() as u64),
            pool_connections_max: Some(sink.connections_max as u32),
            wait_ns_max: Some(WAIT_MAX.as_nanos() as u64),
            buffer_bytes_max: Some(sink.buffer_bytes_max.max(ROW_BYTES_MAX) as u64),
            // Where rows change each other, or a person took some, the model judges alone.
            target: (insert && !lost).then(|| model::target(tables)),
            rejected: rejected.collect(),
            ..Given::default()
        }
    }
}

/// Longer is no row of the source, so a buffer with one row in it has no more.
const ROW_BYTES_MAX: usize = 200;

fn violation(found: &check::Violation, history: &[check::Event]) -> Violation {
    let witness = found.witness.iter().filter_map(|nth| history.get(*nth));
    let witness: Vec<String> = witness.map(ToString::to_string).collect();
    let got = format!("{} [{}]", found.got, witness.join("; "));
    Violation::new(found.law.name, format!("{}; {}", found.law.statement, found.expected), got)
}

fn is_failure_of_the_disk(error: &Error) -> bool {
    match error {
        Error::Store(error) => is_failure_of_a_store(error),
        Error::Stopped { reason } => is_failure_of_the_disk(reason),
        _ => false,
    }
}

fn is_failure_of_a_store(error: &atomic_commit::Error) -> bool {
    match error {
        atomic_commit::Error::Io { .. } | atomic_commit::Error::Closed => true,
        atomic_commit::Error::InDoubt { reason, .. }
        | atomic_commit::Error::Poisoned { reason } => is_failure_of_a_store(reason),
        _ => false,
    }
}

impl Bench {
    fn tables(&self) -> Vec<Table> {
        let table = |server: &Option<Server<SimEnv>>| {
            let mut table = Table::new();
            if let Some(server) = server {
                server.for_each_row(|row| {
                    drop(table.insert(model::stored(row).0, model::stored(row).1))
                });
            }
            table
        };
        self.servers.iter().map(table).collect()
    }

    fn prepared(&self, writer: &Writer) -> Vec<(u8, seedbed_engines::sink::Gid)> {
        let at = |(nth, server): (usize, &Option<Server<SimEnv>>)| {
            let gids = server.as_ref().map(|server| server.prepared(writer)).unwrap_or_default();
            gids.into_iter().map(move |gid| (nth as u8, gid)).collect::<Vec<_>>()
        };
        self.servers.iter().enumerate().flat_map(at).collect()
    }

    fn nothing_is_prepared(&self) -> bool {
        let writer = Setup::writer();
        self.servers.iter().all(Option::is_some) && self.prepared(&writer).is_empty()
    }

    /// Whether a step of the source was not done yet; it is, from now on.
    fn is_new_step(&mut self, nth: usize) -> bool {
        let new = self.steps_done <= nth;
        self.steps_done = self.steps_done.max(nth + 1);
        new
    }

    /// What is not as it should be in the end, for people.
    fn what_is_open(&self) -> String {
        let prepared = self.prepared(&Setup::writer());
        let down = self.servers.iter().filter(|server| server.is_none()).count();
        let finished = if self.finished { "all rows settled" } else { "rows are on their way" };
        format!("{finished}; prepared: {prepared:?}; {down} participants are down")
    }
}

/// What becomes of a message, where all runs are gone through.
fn fate(driver: SimEnv, packet: &Packet<'_>) -> Verdict {
    // What only opens a connection is no message; a connect that fails has a retry of its own.
    if packet.kind != PacketKind::Stream {
        return Verdict::Pass;
    }
    match driver.choose(MESSAGE, FATES) {
        0 => Verdict::Pass,
        1 => Verdict::Delay(NEVER),
        2 => Verdict::Delay(TOO_LATE),
        _ => Verdict::Delay(AT_THE_SAME_TIME),
    }
}

/// Waits until something has changed, but not for longer.
async fn wait_for_change(env: SimEnv, shared: Shared, limit: Duration, done: fn(&Bench) -> bool) {
    let changed = async {
        loop {
            let changed = shared.changed.notified();
            {
                let bench = shared.lock();
                if !bench.ended.is_empty() || bench.violation.is_some() || done(&bench) {
                    return;
                }
            }
            changed.await;
        }
    };
    race(changed, env.sleep(limit)).await;
}

async fn run_participant((env, boot): (SimEnv, u32), setup: Setup, shared: Shared, nth: u8) {
    let mut options = setup.participant;
    let observer = shared.clone();
    options.observer =
        Observer::new(move |event| observer.lock().recorder.participant_told(nth, boot, event));
    let addr = (env.node().ip(), PORT).into();
    shared.lock().servers[usize::from(nth)] = None;
    let error = match Server::open(env, "rows", addr, setup.schema, options).await {
        Err(error) => error,
        Ok(server) => {
            shared.change(|bench| {
                bench.servers[usize::from(nth)] = Some(server.clone());
                bench.recorder.traffic.serves(participant(nth));
            });
            env.count_check();
            server.serve().await
        }
    };
    shared.change(|bench| bench.ended.push((participant(nth), error)));
}

async fn run_sink(
    life: (SimEnv, u32),
    setup: Setup,
    shared: Shared,
    addresses: Vec<std::net::IpAddr>,
) {
    if let Err(error) = try_sink(life, setup, &shared, addresses).await {
        shared.change(|bench| bench.ended.push((SINK, error)));
    }
}

type Running = Sink<SimEnv, Remote<SimEnv>>;

/// The sink's process: opens it, pushes the source from where it has to go on, and closes it when
/// it is told to.
async fn try_sink(
    (env, boot): (SimEnv, u32),
    setup: Setup,
    shared: &Shared,
    addresses: Vec<std::net::IpAddr>,
) -> Result<(), Error> {
    let mut options = setup.sink;
    let observer = shared.clone();
    options.observer =
        Observer::new(move |event: Event| observer.lock().recorder.sink_told(boot, event));
    let remote = |(nth, ip): (usize, std::net::IpAddr)| {
        Remote::new(env, format!("p{nth}"), (ip, PORT).into())
    };
    let participants = addresses.into_iter().enumerate().map(remote).collect();
    let sink: Running =
        Sink::open(env, "sink", setup.writer, setup.schema, participants, options).await?;
    env.count_check();
    drop(env.spawn(acknowledge(sink.clone(), shared.clone())));
    push_source(env, &sink, shared).await?;
    sink.checkpoint().await?;
    sink.settled().await?;
    shared.change(|bench| bench.finished = true);
    loop {
        let changed = shared.changed.notified();
        if shared.lock().closing {
            break;
        }
        if let Some(stopped) = sink.stopped() {
            return Err(stopped);
        }
        changed.await;
    }
    sink.close().await?;
    shared.change(|bench| bench.closed = true);
    Ok(())
}

/// The source hears of each checkpoint that it may forget what is in it.
async fn acknowledge(sink: Running, shared: Shared) {
    let mut acked = 0;
    while let Ok(checkpoint) = sink.reached(acked + 1).await {
        acked = checkpoint.offset;
        shared.lock().recorder.add(SINK, Fact::UpstreamAck { offset: Offset(acked as u32) });
    }
    // Whoever waits for the end of the sink has to look.
    shared.changed.notify_waiters();
}

async fn push_source(env: SimEnv, sink: &Running, shared: &Shared) -> Result<(), Error> {
    let source = shared.lock().source.clone();
    for (nth, step) in source.steps.iter().enumerate() {
        match step {
            Step::RowsUpTo(end) => {
                while sink.next_offset() < *end {
                    let offset = sink.next_offset();
                    let record = &source.records[offset as usize];
                    sink.push(offset, &model::values(offset, record)).await?;
                }
            }
            Step::Other(op) => {
                if shared.lock().is_new_step(nth) {
                    take_step(env, sink, shared, *op).await?;
                }
            }
        }
    }
    Ok(())
}

async fn take_step(env: SimEnv, sink: &Running, shared: &Shared, op: Op) -> Result<(), Error> {
    match op {
        Op::Wait { ms } => env.sleep(Duration::from_millis(u64::from(ms))).await,
        Op::Checkpoint => drop(sink.checkpoint().await?),
        Op::ByHand { participant, commit } => decide_by_hand(shared, participant, commit).await,
        Op::Rows { .. } | Op::Again { .. } | Op::Explored => unreachable!("no step of these"),
    }
    Ok(())
}

/// A person decides the oldest prepared transaction of a participant, if there is one.
async fn decide_by_hand(shared: &Shared, nth: u8, commit: bool) {
    let decision = if commit { Decision::Commit } else { Decision::Abort };
    let server = shared.lock().servers.get(usize::from(nth)).cloned().flatten();
    let Some(server) = server else { return };
    let writer = Setup::writer();
    let Some(gid) = server.prepared(&writer).first().copied() else { return };
    if !shared.lock().recorder.tries_by_hand(gid, nth, decision) {
        return;
    }
    Probe::DecidedByHand.reached();
    // It may have had its end meanwhile, or its participant: then nobody knows.
    let decided = server.decide_by_hand(&writer, gid, decision).await;
    if matches!(decided, Ok(()) | Err(Error::NotPrepared { .. })) {
        shared.lock().recorder.tried_by_hand(gid, nth);
    }
}

impl Setup {
    fn writer() -> Writer {
        Writer::new("sim").expect("a name that is allowed")
    }

    /// Within which all is resolved once nothing goes wrong any more.
    fn bound(&self) -> Duration {
        if self.participant.prepared_max < PLACES_FEW { BOUND_OF_FEW } else { BOUND }
    }

    /// Modes and limits are part of the seed; 0 is the plainest.
    fn draw(sim: &mut Sim, plant: Option<Plant>) -> Self {
        let mut one_of = |label: &'static str, values: &[u64]| {
            values[sim.choose(label, values.len() as u64) as usize]
        };
        let column = |name: &str, kind| Column { name: name.to_owned(), kind };
        let columns = vec![
            column("id", ColumnType::Int),
            column("source_offset", ColumnType::Int),
            column("note", ColumnType::Text),
        ];
        let schema = Schema::new("events", columns, 1).expect("a table that is allowed");
        let mut sink = Options::default();
        sink.mode = match one_of("sink.mode", &[0, 1, 2]) {
            0 => WriteMode::Insert,
            1 => WriteMode::Upsert,
            _ => WriteMode::Replace,
        };
        sink.on_rejected = OnRejected::LeaveOut;
        sink.batch_rows = one_of("sink.batch_rows", &[16, 1, 4]) as usize;
        sink.buffer_bytes_max = one_of("sink.buffer", &[32 << 20, 1000]) as usize;
        let checkpoint_ms = one_of("sink.checkpoint", &[50, 0, 2000]);
        sink.checkpoint_delay = Duration::from_millis(checkpoint_ms);
        sink.connections_max = one_of("sink.connections", &[4, 1, 2]) as usize;
        sink.connect_timeout = Duration::from_secs(3);
        sink.request_timeout = Duration::from_secs(10);
        sink.store.stall_limit = STALL_LIMIT;
        sink.plant = plant;
        sink.store.plant = plant.and_then(plants::of_the_stores);
        let mut participant = embedded::Options::default();
        participant.store.stall_limit = STALL_LIMIT;
        participant.plant = plant;
        participant.store.plant = sink.store.plant;
        participant.prepared_max = one_of("participant.prepared", &[10_000, 1, 3]) as usize;
        let wal = one_of("sink.wal", &[64 << 20, 2000]);
        sink.store.checkpoint_every_bytes = wal;
        participant.store.checkpoint_every_bytes = wal;
        let ahead = one_of("sink.ahead", &[0, 4096]);
        sink.store.preallocate_bytes = ahead;
        participant.store.preallocate_bytes = ahead;
        Self { schema: Arc::new(schema), writer: Self::writer(), sink, participant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_run_is_left_when_its_world_is_gone() {
        let mut sim = Sim::new(1);
        let mut cluster = Cluster::new(&mut sim, &[], None);
        let has_servers = |bench: &Bench| bench.servers.iter().all(Option::is_some);
        assert!(cluster.run_until(&mut sim, FAULTY[0], has_servers).is_ok());
        assert!(has_servers(&cluster.shared.lock()), "participants are open");
        let bench = Arc::downgrade(&cluster.shared.bench);
        drop((cluster, sim));
        assert_eq!(bench.strong_count(), 0);
    }
}
