//! The world of this thread: everything that one simulated run consists of.
//!
//! It is a scoped thread-local: handles are `Copy` numbers, and every access goes through
//! [`with`]. Nothing outside the simulator is ever called while the world is borrowed: no future is
//! polled or dropped, no closure of an engine runs.

use std::cell::RefCell;

use seedbed_faults::{CompiledRule, Faults, Ratio, RuleState};
use seedbed_traces::Event;

use crate::budget::Tolerance;
use crate::choices::{Choices, Source};
use crate::device::Queue;
use crate::digest::Digest;
use crate::disk::{Chooser, Device, Lost, PAGE, Pending};
use crate::executor::Executor;
use crate::net::{Network, Rules};
use crate::node::{CrashKind, DOWN, Node, NodeClock, NodeId};
use crate::probes::EARLY_OPS;
use crate::stats::{FaultKind, Stats};
use crate::tape::Tape;
use crate::timing::Timed;
use crate::waker::drain_woken;

thread_local! {
    static WORLD: RefCell<Option<Box<World>>> = const { RefCell::new(None) };
    /// The last world of this thread, for its allocations.
    static SPARE: RefCell<Option<Box<World>>> = const { RefCell::new(None) };
}

/// Why the executor stopped before the main task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The node crashed; its tasks are gone and its disk is the image that was left.
    Crashed(NodeId, CrashKind),
    /// No task can run and no timer is set.
    Deadlock,
    /// More polls than the limit: the code runs in circles, or the limit is too low.
    PollLimit(u64),
    /// A task panicked.
    Panicked(String),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Crashed(node, kind) => write!(f, "{node} ended in a {}", kind.name()),
            Self::Deadlock => f.write_str("no task can run and no timer is set"),
            Self::PollLimit(limit) => write!(f, "still running after {limit} polls"),
            Self::Panicked(message) => write!(f, "a task panicked: {message}"),
        }
    }
}

pub(crate) struct World {
    pub now: u64,
    pub choices: Choices,
    pub digest: Digest,
    pub exec: Executor,
    pub nodes: Vec<Node>,
    /// How many of `nodes` belong to this run; the others are spare.
    pub node_count: usize,
    pub faults: Faults,
    /// No fault can happen at an operation: nothing to ask.
    pub quiet: bool,
    pub rules: Vec<(CompiledRule, RuleState)>,
    pub stats: Stats,
    /// Crashes that the plan still has to give.
    pub crashes_left: u64,
    pub stop: Option<Stop>,
    /// The most nodes that were down at once.
    pub nodes_down_most: u64,
    /// What the engine must survive.
    pub tolerance: Tolerance,
    /// The last boot number given out; never reset, so that a handle of another world is stale.
    pub lives: u32,
    /// The task being polled, by number.
    pub current: u32,
    pub events: Option<Vec<Event>>,
    pub event_count: u64,
    /// What the run does to its disks, if that is kept.
    pub tape: Option<Tape>,
    /// Takes the place of the plan's latencies of the disk.
    pub timed: Option<Timed>,
    pub net: Network,
    /// The driver's rules for packets.
    pub net_rules: Rules,
}

/// Runs `f` on this thread's world.
///
/// # Panics
/// If there is none: a simulated handle was used outside its simulation.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    try_with(f).expect(
        "a simulated handle was used outside its simulation: SimEnv and what it opened live only \
         while their Sim does, on its thread",
    )
}

/// Runs `f` on this thread's world, if there is one.
#[inline]
pub(crate) fn try_with<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    WORLD.try_with(|world| world.borrow_mut().as_mut().map(|world| f(world))).ok().flatten()
}

/// Simulated time on this thread in nanoseconds, if a simulation is running and at rest: for log
/// lines, which must never disturb it.
pub fn simulated_ns() -> Option<u64> {
    let world = |world: &RefCell<Option<Box<World>>>| {
        world.try_borrow().ok().and_then(|world| world.as_ref().map(|world| world.now))
    };
    WORLD.try_with(world).ok().flatten()
}

/// Puts a fresh world in place.
///
/// # Panics
/// If this thread has one already.
pub(crate) fn install(seed: u64, source: Source, record: bool) {
    let spare = SPARE.with(|spare| spare.borrow_mut().take());
    let world = match spare {
        Some(mut world) => {
            world.reset(seed, source, record);
            world
        }
        None => Box::new(World::new(seed, source, record)),
    };
    drain_woken(|_| {});
    WORLD.with(|slot| {
        let mut slot = slot.borrow_mut();
        assert!(slot.is_none(), "this thread has a simulation already: drop its Sim first");
        *slot = Some(world);
    });
}

/// Takes the world away. Its tasks must be gone.
pub(crate) fn uninstall() {
    let world = WORLD.with(|slot| slot.borrow_mut().take());
    drain_woken(|_| {});
    SPARE.with(|spare| *spare.borrow_mut() = world);
}

impl World {
    fn new(seed: u64, source: Source, record: bool) -> Self {
        Self {
            now: 0,
            choices: Choices::new(seed, source, record),
            digest: Digest::new(),
            exec: Executor::default(),
            nodes: Vec::new(),
            node_count: 0,
            faults: Faults::default(),
            quiet: true,
            rules: Vec::new(),
            stats: Stats::default(),
            crashes_left: 0,
            stop: None,
            nodes_down_most: 0,
            tolerance: Tolerance::ANY,
            lives: DOWN,
            current: 0,
            events: record.then(Vec::new),
            event_count: 0,
            tape: None,
            timed: None,
            net: Network::default(),
            net_rules: Rules::default(),
        }
    }

    /// Makes a used world like a new one, in place, keeping its allocations.
    fn reset(&mut self, seed: u64, source: Source, record: bool) {
        // By name, so that no field can be forgotten.
        let Self {
            now,
            choices,
            digest,
            exec,
            nodes: _,
            node_count,
            faults,
            quiet,
            rules,
            stats,
            crashes_left,
            stop,
            nodes_down_most,
            tolerance,
            lives: _,
            current,
            events,
            event_count,
            tape,
            timed,
            net,
            net_rules,
        } = self;
        *choices = Choices::new(seed, source, record);
        *digest = Digest::new();
        exec.reset();
        *faults = Faults::default();
        *quiet = true;
        rules.clear();
        *stats = Stats::default();
        *stop = None;
        *nodes_down_most = 0;
        *tolerance = Tolerance::ANY;
        *events = record.then(Vec::new);
        *tape = None;
        *timed = None;
        net.reset();
        assert!(net_rules.is_empty(), "rules end with their Sim");
        (*now, *node_count, *crashes_left, *current, *event_count) = (0, 0, 0, 0, 0);
    }

    /// Sets what may go wrong from now on.
    pub(crate) fn set_faults(&mut self, faults: Faults) {
        let rules = faults.rules.iter().filter_map(|rule| rule.compile().ok());
        self.rules = rules.map(|rule| (rule, RuleState::default())).collect();
        let disk = &faults.disk;
        self.quiet = self.rules.is_empty()
            && faults.device.is_quiet()
            && [
                disk.read_error_probability,
                disk.write_error_probability,
                disk.sync_error_probability,
                disk.metadata_error_probability,
                disk.no_space_probability,
                disk.short_read_probability,
                disk.short_write_probability,
                disk.background_probability,
                disk.shutdown_probability,
            ]
            .iter()
            .all(|probability| probability.is_never());
        self.nodes.iter_mut().for_each(|node| set_limits(node, &faults));
        self.net.set_faults(faults.net.clone(), faults.budget.nodes_cut_off_max);
        self.faults = faults;
    }

    pub(crate) fn add_node(&mut self, name: &str) -> NodeId {
        let index = self.node_count;
        match self.nodes.get_mut(index) {
            Some(spare) => spare.renew(name, self.faults.disk.profile),
            None => self.nodes.push(Node::new(name, self.faults.disk.profile)),
        }
        self.node_count += 1;
        self.net.add_host();
        self.draw_victims();
        let node = &mut self.nodes[index];
        node.clock = NodeClock::draw(&self.faults.clock, &mut self.choices);
        // A victim may have taken the place of an earlier one.
        let faults = &self.faults;
        self.nodes[..=index].iter_mut().for_each(|node| set_limits(node, faults));
        NodeId(u16::try_from(index).expect("at most 65 536 nodes"))
    }

    /// Starts a node's next life. Whether and when it will end by itself is decided here.
    pub(crate) fn boot(&mut self, id: NodeId) -> u32 {
        self.lives = self.lives.checked_add(1).expect("fewer than 2^32 boots on one thread");
        let crash_at = self.draw_crash();
        let disturb_at = self.draw_disturbance();
        let node = &mut self.nodes[id.0 as usize];
        assert_eq!(node.life, DOWN, "{id} is up already");
        node.life = self.lives;
        node.boot += 1;
        node.ops = 0;
        node.crash_at = node.crash_next_boot_at.take().or(crash_at);
        node.disturb_at = disturb_at;
        node.clock.boot(self.now);
        node.queue = Queue::default();
        let boot = node.boot;
        self.digest.pair(u64::from(id.0), u64::from(boot));
        self.log(id, || Note { op: "boot", ..Note::default() });
        self.change_network(|net, moment| net.power_on(moment, id.0));
        self.mark_boot(id);
        self.lives
    }

    /// The operation at which this boot crashes: none, or one of the plan's range, or (during
    /// recovery) one of the first few.
    fn draw_crash(&mut self) -> Option<u64> {
        if self.crashes_left == 0 {
            return None;
        }
        let node = &self.faults.node;
        let (range, early) = (node.crash_after_ops, node.recovery_crash_probability);
        let op = if self.choices.chance("crash.early", early) {
            self.choices.choose("crash.early_op", EARLY_OPS + 1)
        } else {
            match self.choices.choose("crash.op", range.span().saturating_add(1)) {
                0 => 0,
                nth => range.min.max(1).saturating_add(nth - 1),
            }
        };
        (op > 0).then_some(op)
    }

    fn draw_disturbance(&mut self) -> Option<u64> {
        let clock = &self.faults.clock;
        if clock.step_probability.is_never() && clock.pause_probability.is_never() {
            return None;
        }
        let range = self.faults.node.crash_after_ops;
        Some(range.min.max(1).saturating_add(self.choices.choose("clock.op", range.span())))
    }

    /// Steps a node's clock, or stops it for a while, or neither.
    pub(crate) fn disturb(&mut self, index: usize) {
        let clock = self.faults.clock.clone();
        if self.choices.chance("clock.step", clock.step_probability) {
            let size = clock.step.min_ns + self.choices.choose("clock.step_ns", clock.step.span());
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            let back = self.choices.choose("clock.step_back", 2) == 1;
            let by = if back { -size } else { size };
            self.nodes[index].clock.step(by);
            self.stats.count_fault(FaultKind::ClockStep);
            self.digest.word(by as u64);
            self.log(NodeId(index as u16), || Note {
                op: "clock_step",
                detail: format!("wall clock {by:+} ns"),
                cause: Some("clock_step"),
                ..Note::default()
            });
        }
        if self.choices.chance("clock.pause", clock.pause_probability) {
            let ns = clock.pause.min_ns + self.choices.choose("clock.pause_ns", clock.pause.span());
            let until = self.now.saturating_add(ns);
            self.nodes[index].paused_until = until;
            self.change_network(|net, moment| net.pause(moment, index as u16, until));
            self.stats.count_fault(FaultKind::Pause);
            self.digest.word(ns);
            self.log(NodeId(index as u16), || Note {
                op: "pause",
                detail: format!("for {ns} ns"),
                cause: Some("pause"),
                ..Note::default()
            });
        }
    }

    /// The disk part of a crash. The node is fenced and its tasks are gone already.
    pub(crate) fn crash_disk(&mut self, id: NodeId, kind: CrashKind) {
        let node = &mut self.nodes[id.0 as usize];
        assert_eq!(node.life, DOWN, "fence, then drop, then image");
        node.media_faults = 0;
        self.note_down();
        self.mark_down(id, kind);
        self.crashes_left = self.crashes_left.saturating_sub(1);
        let node = &mut self.nodes[id.0 as usize];
        match kind {
            CrashKind::Process => {
                node.disk.process_crash();
                self.stats.crashes += 1;
                self.digest.word(1);
                self.log(id, || Note { op: kind.name(), ..Note::default() });
            }
            CrashKind::PowerLoss => {
                let before = self.tape.is_some().then(|| node.disk.clone());
                let mut losses = Losses::new(&mut self.choices, &self.faults);
                losses.tape = self.tape.as_mut();
                if !node.damage.may && !self.faults.device.garbage_in_write {
                    losses.garbage = Ratio::NEVER;
                }
                let lost = node.disk.power_loss(&mut losses);
                if let (Some(before), Some(tape), true) =
                    (before, &mut self.tape, lost == Lost::default())
                {
                    let pending = before.pending();
                    tape.keep(&pending, &vec![true; pending.len()]);
                }
                self.stats.power_losses += 1;
                self.stats.lost += lost.writes + lost.lens + lost.names;
                self.stats.faults[FaultKind::TornPage as usize] += lost.torn;
                match lost.junk {
                    0 => {}
                    // No fault of the medium: which bytes are there was open anyway.
                    _ if self.faults.device.garbage_in_write => {
                        self.stats.count_fault(FaultKind::Unstable);
                    }
                    _ => self.spend_media_fault(id, FaultKind::Garbage),
                }
                self.digest.pair(lost.writes << 32 | lost.lens, lost.names << 32 | lost.torn);
                self.log(id, || Note {
                    op: kind.name(),
                    detail: format!(
                        "lost {} writes ({} torn), {} lengths, {} names{}",
                        lost.writes,
                        lost.torn,
                        lost.lens,
                        lost.names,
                        if lost.junk > 0 { ", junk" } else { "" }
                    ),
                    ..Note::default()
                });
            }
        }
        if let Some(tape) = &mut self.tape {
            tape.crash(id.0, kind, &self.nodes[id.0 as usize].disk);
        }
        self.damage_at_rest(id);
    }

    /// Records an event, if events are recorded.
    #[inline]
    pub(crate) fn log(&mut self, id: NodeId, note: impl FnOnce() -> Note) {
        self.event_count += 1;
        if self.events.is_some() {
            self.push_event(id, note());
        }
    }

    #[inline(never)]
    fn push_event(&mut self, id: NodeId, note: Note) {
        let event = Event {
            seq: self.event_count - 1,
            at_ns: self.now,
            node: id.0,
            boot: self.nodes[..self.node_count].get(id.0 as usize).map_or(0, |node| node.boot),
            task: self.current,
            op: note.op.into(),
            subject: note.subject.into(),
            detail: note.detail,
            outcome: note.outcome,
            cause: note.cause.map(Into::into),
            site: note.site.map(|site| format!("{}:{}", site.file(), site.line()).into()),
        };
        if let Some(events) = &mut self.events {
            events.push(event);
        }
    }
}

/// What to record of an event, besides when and where.
#[derive(Default)]
pub(crate) struct Note {
    pub op: &'static str,
    pub subject: String,
    pub detail: String,
    pub outcome: seedbed_traces::Outcome,
    pub cause: Option<&'static str>,
    pub site: Option<&'static std::panic::Location<'static>>,
}

/// Sets what a seed fixes of a disk.
fn set_limits(node: &mut Node, faults: &Faults) {
    let fails = node.disk_faults.may;
    let limit = |limit: u64| if limit == 0 || !fails { u64::MAX } else { limit };
    let disk = &mut node.disk;
    disk.set_capacity(limit(faults.disk.capacity_bytes));
    disk.set_inodes_max(limit(faults.disk.capacity_files));
    disk.set_device(Device {
        volatile_cache: faults.device.volatile_cache,
        tears: faults.device.atomic_write_bytes < PAGE as u64,
        powersafe_overwrite: faults.device.powersafe_overwrite,
        garbage_in_write: faults.device.garbage_in_write,
    });
}

/// The decisions of a power loss, and of damage, with the plan's rates.
pub(crate) struct Losses<'a> {
    choices: &'a mut Choices,
    torn: Ratio,
    garbage: Ratio,
    tape: Option<&'a mut Tape>,
}

impl<'a> Losses<'a> {
    pub(crate) fn new(choices: &'a mut Choices, faults: &Faults) -> Self {
        let budget = faults.device.media_fault_max > 0;
        let garbage = if budget { faults.device.garbage_probability } else { Ratio::NEVER };
        Self { choices, torn: faults.disk.torn_page_probability, garbage, tape: None }
    }
}

impl Chooser for Losses<'_> {
    fn choose(&mut self, label: &'static str, bound: u64) -> u64 {
        self.choices.choose(label, bound)
    }

    fn torn(&mut self) -> bool {
        self.choices.chance("loss.torn", self.torn)
    }

    fn garbage(&mut self) -> bool {
        self.choices.chance("loss.garbage", self.garbage)
    }

    fn told(&mut self, pending: &Pending<'_>, kept: &[bool]) {
        if let Some(tape) = &mut self.tape {
            tape.keep(pending, kept);
        }
    }
}
