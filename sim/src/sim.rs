//! `Sim`: one simulated run, driven from outside.
//!
//! A driver adds nodes, runs futures on them, and gets control back when the future ends or the
//! node crashes. At a crash the order is always: **fence** (handles of that life do nothing any
//! more), **drop** (its tasks), **image** (what the disk is left with). An engine whose `Drop`
//! writes cannot cheat.

use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};

use seedbed_faults::{Faults, Plan, Rule, Then, Timing};
use seedbed_traces::{Decision, Digest, Event};

use crate::budget::Tolerance;
use crate::choices::{Divergence, Source};
use crate::cpu;
use crate::disk::{Disk, Reads};
use crate::env::SimEnv;
use crate::executor::TaskFuture;
use crate::node::{CrashKind, DOWN, NodeId};
use crate::stats::{CheckerCosts, FaultKind, Probes, Stats};
use crate::tape::Tape;
use crate::testbed::Outcome;
use crate::timing::Timed;
use crate::waker::{Token, drain_woken, waker};
use crate::world::{Note, Stop, World, install, uninstall, with};
use crate::{panics, probes};

/// Polls after which a run is taken to go in circles; see [`Sim::set_poll_limit`].
pub const POLL_LIMIT: u64 = 2_000_000;

/// A simulated world on this thread; dropping it ends the world. One at a time per thread.
#[derive(Debug)]
pub struct Sim {
    poll_limit: u64,
    checkers: CheckerCosts,
    /// The world is this thread's.
    _not_send: PhantomData<*const ()>,
}

/// A task that [`Sim::go_on`] runs to its end.
#[derive(Debug)]
pub struct Started<T> {
    token: Token,
    output: Rc<RefCell<Option<T>>>,
}

/// What a run leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Digest of everything that happened, and the number of decisions.
    pub digest: Digest,
    /// Counts.
    pub stats: Stats,
    /// Where a replay left its trace, if it did.
    pub divergence: Option<Divergence>,
    /// How many decisions were made.
    pub decision_count: u64,
    /// How many events happened.
    pub event_count: u64,
    /// The decisions, if they were recorded.
    pub decisions: Vec<Decision>,
    /// The events, if they were recorded.
    pub events: Vec<Event>,
    /// What was done to disks, if it was kept.
    pub tape: Option<Tape>,
    /// How often probes were reached. Those of the world are all named, unless it had one node.
    pub probes: Probes,
    /// What checkers have cost.
    pub checkers: CheckerCosts,
}

impl Sim {
    /// A world without faults. Decisions come from the seed.
    ///
    /// # Panics
    /// If this thread has a world already.
    pub fn new(seed: u64) -> Self {
        Self::with_source(seed, Source::Seed, false)
    }

    /// A world whose decisions come from `source`; `record` keeps decisions and events.
    ///
    /// # Panics
    /// If this thread has a world already.
    pub fn with_source(seed: u64, source: Source, record: bool) -> Self {
        install(seed, source, record);
        // What an earlier world on this thread did not take.
        drop(seedbed_env::probe::take());
        Self { poll_limit: POLL_LIMIT, checkers: CheckerCosts::new(), _not_send: PhantomData }
    }

    /// Draws what may go wrong in this world from a plan. Do it before adding nodes.
    pub fn apply_plan(&mut self, plan: &Plan) {
        with(|world| {
            let faults = plan.draw(&mut |label, bound| world.choices.choose(label, bound));
            world.crashes_left = faults.node.crash_count;
            world.set_faults(faults);
        });
    }

    /// What may go wrong.
    pub fn faults(&self) -> Faults {
        with(|world| world.faults.clone())
    }

    /// Changes what may go wrong, from now on, for all nodes.
    pub fn set_faults(&mut self, faults: Faults) {
        with(|world| world.set_faults(faults));
    }

    /// From now on calls of the disk take as long as this one lets them, whatever the plan says.
    pub fn set_timing(&mut self, timing: Timing) {
        with(|world| world.timed = Some(Timed::new(timing)));
    }

    /// From now on nothing goes wrong: no faults, no crashes, no blocked links. Latencies stay, and
    /// what is wrong already: damage, and a file system that has given up, until [`Sim::restart`].
    /// Rules for packets stay as long as their guards live.
    pub fn heal(&mut self) {
        with(|world| {
            let disk = &world.faults.disk;
            let mut faults = Faults::default();
            faults.disk.profile = disk.profile;
            let device = &world.faults.device;
            faults.device.volatile_cache = device.volatile_cache;
            faults.device.atomic_write_bytes = device.atomic_write_bytes;
            faults.device.powersafe_overwrite = device.powersafe_overwrite;
            faults.device.garbage_in_write = device.garbage_in_write;
            faults.disk.read_latency = disk.read_latency;
            faults.disk.write_latency = disk.write_latency;
            faults.disk.sync_latency = disk.sync_latency;
            faults.disk.metadata_latency = disk.metadata_latency;
            faults.net = world.faults.net.healed();
            faults.budget = world.faults.budget;
            world.crashes_left = 0;
            // Planted omissions are part of the engine under test, not of the weather.
            let omits = |rule: &Rule| matches!(rule.then, Then::Omit | Then::Weaken);
            faults.rules = world.faults.rules.iter().filter(|rule| omits(rule)).cloned().collect();
            world.set_faults(faults);
            for node in &mut world.nodes {
                node.crash_at = None;
                node.disturb_at = None;
                node.paused_until = 0;
                node.queue.thaw();
                node.disk.heal();
            }
            world.change_network(|net, moment| net.heal(moment));
        });
    }

    /// Adds a node with an empty disk. It is down.
    pub fn add_node(&mut self, name: &str) -> NodeId {
        with(|world| world.add_node(name))
    }

    /// How many crashes the plan still has to give.
    pub fn crashes_left(&self) -> u64 {
        with(|world| world.crashes_left)
    }

    /// A decision of the driver's own; see [`SimEnv::choose`].
    pub fn choose(&mut self, label: &'static str, bound: u64) -> u64 {
        with(|world| world.choices.choose(label, bound))
    }

    /// Boots a node (ending its former life by a process crash if it is up) and gives the handle
    /// of its new life.
    pub fn boot(&mut self, node: NodeId) -> SimEnv {
        if with(|world| world.nodes[node.0 as usize].life) != DOWN {
            self.crash(node, CrashKind::Process);
        }
        SimEnv { node: node.0, life: with(|world| world.boot(node)) }
    }

    /// Runs a future as a task of a node's running life until it ends or something stops it.
    /// Other tasks of the world run meanwhile, and stay when it ends.
    ///
    /// If another node crashes, the task stays as well, but its result is lost: use [`Sim::start`]
    /// and [`Sim::go_on`] where that matters.
    ///
    /// # Errors
    /// A [`Stop`]; after [`Stop::Crashed`] the node is down and its disk is what the crash left.
    pub fn run<F>(&mut self, env: SimEnv, future: F) -> Result<F::Output, Stop>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let main = self.start(env, future);
        self.go_on(&main)
    }

    /// Makes a future a task of a node's running life, for [`Sim::go_on`] to run.
    pub fn start<F>(&mut self, env: SimEnv, future: F) -> Started<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let output = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&output);
        let token = with(|world| {
            let task: TaskFuture = Box::pin(async move {
                let value = future.await;
                *slot.borrow_mut() = Some(value);
            });
            world.exec.spawn(env.node, task)
        });
        Started { token, output }
    }

    /// Runs the world until a started task ends or something stops it. After the crash of another
    /// node the task is still there: boot that node, or do not, and go on.
    ///
    /// # Errors
    /// A [`Stop`]; after [`Stop::Crashed`] that node is down and its disk is what the crash left.
    ///
    /// # Panics
    /// If the task's own node has crashed, or its result was taken before.
    pub fn go_on<T>(&mut self, main: &Started<T>) -> Result<T, Stop> {
        if main.output.borrow().is_none() {
            let lives = with(|world| world.exec.is_live(main.token));
            assert!(lives, "a task is over: its node has crashed, or its result was taken");
            let stopped = self.run_until_done(main.token);
            if let Err(Stop::Crashed(node, kind)) = &stopped {
                self.crash(*node, *kind);
            }
            stopped?;
        }
        let value = main.output.borrow_mut().take();
        Ok(value.expect("the main task is done"))
    }

    fn run_until_done(&mut self, main: Token) -> Result<(), Stop> {
        panics::hook();
        let mut polls = 0_u64;
        let mut polled: Option<(Token, TaskFuture)> = None;
        loop {
            let step = with(|world| next_step(world, polled.take()));
            let (token, mut future) = match step {
                Step::Poll(token, future) => (token, future),
                Step::Drop(future) => {
                    drop(future);
                    continue;
                }
                Step::Stop(stop) => return Err(stop),
            };
            polls += 1;
            if polls > self.poll_limit {
                let orphan = with(|world| put_back(world, Some((token, future))));
                drop(orphan);
                return Err(Stop::PollLimit(self.poll_limit));
            }
            // Dropping a waker of ours does nothing: spare the indirect call.
            let waker = ManuallyDrop::new(waker(token));
            let mut cx = Context::from_waker(&waker);
            match panics::catch(|| future.as_mut().poll(&mut cx)) {
                Ok(Poll::Pending) => polled = Some((token, future)),
                Ok(Poll::Ready(())) => {
                    drop(future);
                    with(|world| world.exec.remove(token));
                    if token == main {
                        return Ok(());
                    }
                }
                Err(message) => {
                    // What a panicking future's remains do when dropped says nothing new.
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
                    with(|world| {
                        world.exec.remove(token);
                        world.digest.bytes(message.as_bytes());
                    });
                    return Err(Stop::Panicked(message));
                }
            }
        }
    }

    /// Crashes a node now: fence, drop, image.
    ///
    /// # Panics
    /// If the node is down.
    pub fn crash(&mut self, node: NodeId, kind: CrashKind) {
        let tasks = with(|world| {
            let state = &mut world.nodes[node.0 as usize];
            assert_ne!(state.life, DOWN, "{node} is down already");
            state.life = DOWN;
            world.stop = None;
            world.exec.remove_tasks(Some(node.0))
        });
        drop_tasks(tasks);
        with(|world| {
            world.crash_disk(node, kind);
            let power_lost = kind == CrashKind::PowerLoss;
            world.change_network(|net, moment| net.crash(moment, node.0, power_lost));
        });
    }

    /// Ends a boot that did not crash by itself: in which way is a decision. A file system that has
    /// given up is mounted again, so the power goes then.
    ///
    /// # Panics
    /// If the node is down.
    pub fn restart(&mut self, node: NodeId) -> CrashKind {
        let given_up = with(|world| world.nodes[node.0 as usize].disk.is_shut_down());
        let kind = match self.choose("restart", 2) {
            0 if !given_up => CrashKind::Process,
            _ => CrashKind::PowerLoss,
        };
        self.crash(node, kind);
        kind
    }

    /// The next boot of a node crashes before its operation `op` (counted from 1) takes effect.
    pub fn crash_next_boot_at(&mut self, node: NodeId, op: u64) {
        with(|world| world.nodes[node.0 as usize].crash_next_boot_at = Some(op));
    }

    /// From now on keeps the node's disk as it is before each operation, where it changed.
    pub(crate) fn film(&mut self, node: NodeId) {
        with(|world| world.nodes[node.0 as usize].film = Some(Vec::new()));
    }

    /// What was kept: the number of each operation of the boot and the disk before it.
    pub(crate) fn take_film(&mut self, node: NodeId) -> Vec<(u64, Disk)> {
        with(|world| world.nodes[node.0 as usize].film.take().unwrap_or_default())
    }

    /// From now on notes what is read of the node's disk.
    pub(crate) fn note_reads(&mut self, node: NodeId) {
        with(|world| world.nodes[node.0 as usize].reads = Some(Reads::default()));
    }

    /// What was noted.
    pub(crate) fn take_reads(&mut self, node: NodeId) -> Reads {
        with(|world| world.nodes[node.0 as usize].reads.take().unwrap_or_default())
    }

    /// How many calls the last rule has matched; 0 without rules.
    pub(crate) fn last_rule_matched(&self) -> u64 {
        with(|world| world.rules.last().map_or(0, |(_, state)| state.matched))
    }

    /// Disk operations of a node's last boot.
    pub fn ops(&self, node: NodeId) -> u64 {
        with(|world| world.nodes[node.0 as usize].ops)
    }

    /// A copy of a node's disk, as its cache has it.
    pub fn disk(&self, node: NodeId) -> Disk {
        with(|world| world.nodes[node.0 as usize].disk.clone())
    }

    /// Gives a node that is down another disk, for example an image to recover from.
    ///
    /// # Panics
    /// If the node is up.
    pub fn set_disk(&mut self, node: NodeId, disk: Disk) {
        with(|world| {
            let state = &mut world.nodes[node.0 as usize];
            assert_eq!(state.life, DOWN, "{node} is up: crash it first");
            state.disk = disk;
        });
    }

    /// Counts so far.
    pub fn stats(&self) -> Stats {
        with(|world| Stats { simulated_ns: world.now, ..world.stats })
    }

    /// How this run has gone beyond what the engine must survive ([`Testbed::tolerates`]), if it
    /// has: then a broken law of liveness or durability says nothing about the engine.
    ///
    /// [`Testbed::tolerates`]: crate::Testbed::tolerates
    pub fn beyond_tolerance(&self) -> Option<String> {
        let beyond = with(|world| world.hit().beyond(&world.tolerance));
        (!beyond.is_empty()).then(|| beyond.join("; "))
    }

    pub(crate) fn set_tolerance(&mut self, tolerance: Tolerance) {
        with(|world| world.tolerance = tolerance);
    }

    /// Whether a power loss has left junk in the place of a write that nothing had made durable.
    /// Then an engine may refuse to start; what it serves must be right all the same.
    pub fn has_unstable_junk(&self) -> bool {
        self.stats().fault(FaultKind::Unstable) > 0
    }

    /// The disks come from such a power loss.
    pub(crate) fn note_unstable_junk(&mut self) {
        with(|world| world.stats.count_fault(FaultKind::Unstable));
    }

    /// Counts one recovery whose result was checked.
    pub fn count_check(&mut self) {
        with(|world| world.stats.checks += 1);
    }

    /// Runs a checker over so many events, and counts what it costs. Nothing of the run depends on
    /// the time that it takes.
    pub fn time_checker<T>(
        &mut self,
        name: &'static str,
        events: usize,
        check: impl FnOnce() -> T,
    ) -> T {
        let begun = cpu::thread_ns();
        let result = check();
        let cost = self.checkers.entry(name).or_default();
        cost.events += events as u64;
        cost.ns += cpu::thread_ns().saturating_sub(begun);
        result
    }

    /// Puts an event of the driver's own into trace and digest; see [`SimEnv::note`].
    pub fn note(&mut self, op: &'static str, value: u64, detail: impl FnOnce() -> String) {
        with(|world| {
            world.digest.bytes(op.as_bytes());
            world.digest.word(value);
            world.log(NodeId(0), || Note { op, detail: detail(), ..Note::default() });
        });
    }

    /// Simulated time since the world began, in nanoseconds.
    pub fn now_ns(&self) -> u64 {
        with(|world| world.now)
    }

    /// Events so far.
    pub fn event_count(&self) -> u64 {
        with(|world| world.event_count)
    }

    /// Decisions so far.
    pub fn decision_count(&self) -> u64 {
        with(|world| world.choices.count())
    }

    /// Stops [`Sim::run`] after this many polls; the default is [`POLL_LIMIT`].
    pub fn set_poll_limit(&mut self, polls: u64) {
        self.poll_limit = polls;
    }

    /// The verdict is part of the run: into trace and digest with it.
    pub(crate) fn note_outcome(&mut self, outcome: &Outcome) {
        let (op, text) = match outcome {
            Outcome::Passed => ("passed", String::new()),
            Outcome::Violation(v) => ("violation", format!("{}: {}", v.law, v.got)),
            Outcome::Inconclusive(reason) => ("inconclusive", reason.clone()),
            Outcome::Internal(reason) => ("internal", reason.clone()),
        };
        with(|world| world.digest.bytes(text.as_bytes()));
        self.note(op, 0, || text);
    }

    /// From now on keeps what is done to disks; [`Sim::finish`] gives it.
    pub(crate) fn keep_tape(&mut self) {
        with(|world| world.tape = Some(Tape::default()));
    }

    /// Ends the world and gives what it leaves.
    pub fn finish(mut self) -> Finished {
        let tasks = with(|world| world.exec.remove_tasks(None));
        drop_tasks(tasks);
        let reached = seedbed_env::probe::take().into_iter().collect();
        with(|world| {
            let divergence = world.choices.finish();
            world.stats.simulated_ns = world.now;
            world.digest.pair(world.now, world.choices.count());
            Finished {
                digest: Digest([world.digest.value(), world.choices.count()]),
                stats: world.stats,
                divergence,
                decision_count: world.choices.count(),
                event_count: world.event_count,
                decisions: world.choices.take_record(),
                events: world.events.take().unwrap_or_default(),
                tape: world.tape.take(),
                probes: probes::of_run(reached, world.node_count),
                checkers: std::mem::take(&mut self.checkers),
            }
        })
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // Every life is over first, so that what the tasks do when dropped is refused.
        let (tasks, rules) = with(|world| {
            world.nodes.iter_mut().for_each(|node| node.life = DOWN);
            (world.exec.remove_tasks(None), world.net_rules.end())
        });
        drop_tasks(tasks);
        drop(rules);
        uninstall();
    }
}

/// Drops tasks while the world is not borrowed. A panic in a `Drop` of a crashed task is nobody's.
fn drop_tasks(tasks: Vec<TaskFuture>) {
    for task in tasks {
        let _ = panics::catch(|| drop(task));
    }
}

enum Step {
    Poll(Token, TaskFuture),
    Drop(TaskFuture),
    Stop(Stop),
}

/// Puts a polled task back; gives its future to be dropped if the task is gone.
#[inline]
fn put_back(world: &mut World, polled: Option<(Token, TaskFuture)>) -> Option<TaskFuture> {
    let (token, future) = polled?;
    world.exec.put_back(token, future)
}

/// Puts the last polled task back and picks the next one; lets time pass if none can run.
#[inline]
fn next_step(world: &mut World, polled: Option<(Token, TaskFuture)>) -> Step {
    if let Some(orphan) = put_back(world, polled) {
        return Step::Drop(orphan);
    }
    if world.stop.is_some()
        && let Some(stop) = world.stop.take()
    {
        return Step::Stop(stop);
    }
    loop {
        drain_woken(|token| world.exec.wake(token));
        let waiting = world.exec.ready_len();
        if waiting == 0 {
            match world.exec.fire_next() {
                Some(at) => world.now = at.max(world.now),
                None => return Step::Stop(Stop::Deadlock),
            }
            continue;
        }
        let index = world.choices.choose("schedule", waiting as u64);
        let Some((token, node)) = world.exec.take_ready(index as usize) else { continue };
        let paused_until = world.nodes[node as usize].paused_until;
        if paused_until > world.now {
            world.exec.timers.add_forgotten(paused_until, token);
            continue;
        }
        if let Some(future) = world.exec.take_future(token) {
            world.current = token.number;
            world.stats.polls += 1;
            world.digest.pair(u64::from(token.number), world.now);
            return Step::Poll(token, future);
        }
    }
}
