//! Many seeds, on all cores: one world per thread, one seed at a time.
//!
//! The result does not depend on the number of threads: counts and digest are sums over seeds, and
//! when a sweep stops at its limit of violations it reports exactly the seeds up to the last
//! violation that counts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use seedbed_faults::Plan;
use seedbed_traces::{Diff, diff};

use crate::cpu;
use crate::digest::Digest;
use crate::stats::{CheckerCosts, CpuTime, Probes, Stats};
use crate::testbed::{Job, Law, Outcome, Scenario, Violation};
use crate::trace::record;

/// The law that two runs of one seed are the same run.
pub const LAW_DETERMINISTIC: Law = Law {
    name: "deterministic",
    statement: "two runs of one seed have the same decisions, events and digest",
};

/// What to sweep.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Seeds.
    pub seeds: Range<u64>,
    /// Threads.
    pub jobs: usize,
    /// What may go wrong.
    pub plan: Arc<Plan>,
    /// The deviation to switch on.
    pub plant: Option<String>,
    /// Stop after this many violations; 0 = never.
    pub violations_max: usize,
    /// Run every seed that this number divides twice and compare; 0 = none.
    pub check_every: u64,
}

impl Sweep {
    /// A sweep on one thread that stops at the first violation.
    pub fn new(seeds: Range<u64>, plan: Plan) -> Self {
        let plan = Arc::new(plan);
        Self { seeds, jobs: 1, plan, plant: None, violations_max: 1, check_every: 0 }
    }

    /// The job of one seed.
    pub fn job(&self, seed: u64) -> Job {
        Job { plant: self.plant.clone(), ..Job::new(seed, Arc::clone(&self.plan)) }
    }
}

/// A seed that broke a law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// The law and how.
    pub violation: Violation,
}

/// What a sweep came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Seeds that were run.
    pub seeds: u64,
    /// Counts over all seeds.
    pub stats: Stats,
    /// Sum of the seeds' digests: the same for every order and number of threads.
    pub digest: u64,
    /// Violations in seed order.
    pub found: Vec<Found>,
    /// Seeds without a verdict, with the reason.
    pub inconclusive: Vec<(u64, String)>,
    /// Seeds on which the testbed itself failed, with the reason.
    pub internal: Vec<(u64, String)>,
    /// Whether it was stopped from outside.
    pub interrupted: bool,
    /// How often probes were reached. Those of the world are all named if runs had several nodes.
    pub probes: Probes,
    /// What checkers have cost.
    pub checkers: CheckerCosts,
    /// What the threads spent on all of it.
    pub cpu: CpuTime,
}

impl Swept {
    fn add_probes(&mut self, probes: &Probes) {
        for (name, count) in probes {
            *self.probes.entry(name).or_default() += count;
        }
    }

    fn add_costs(&mut self, checkers: &CheckerCosts) {
        for (name, cost) in checkers {
            let sum = self.checkers.entry(name).or_default();
            sum.events += cost.events;
            sum.ns += cost.ns;
        }
    }
}

/// How far a sweep is; read by a progress display while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    /// Seeds done.
    pub seeds: AtomicU64,
    /// Checked recoveries.
    pub checks: AtomicU64,
    /// Violations.
    pub violations: AtomicU64,
    /// Set it to stop the sweep soon.
    pub stop: AtomicBool,
}

/// Seeds handed to a thread at once.
const BLOCK: u64 = 16;

/// Runs a sweep on this and further threads.
pub fn sweep(scenario: &dyn Scenario, sweep: &Sweep, progress: &Progress) -> Swept {
    let shared = Shared {
        scenario,
        sweep,
        progress,
        next: AtomicU64::new(0),
        done: Mutex::new(Blocks::default()),
    };
    std::thread::scope(|scope| {
        for _ in 1..sweep.jobs.max(1) {
            scope.spawn(|| shared.work());
        }
        shared.work();
    });
    shared.into_swept()
}

struct Shared<'a> {
    scenario: &'a dyn Scenario,
    sweep: &'a Sweep,
    progress: &'a Progress,
    /// The next block to hand out.
    next: AtomicU64,
    done: Mutex<Blocks>,
}

#[derive(Default)]
struct Blocks {
    /// All blocks before this one are in `merged`.
    frontier: u64,
    merged: Swept,
    /// Finished blocks beyond the frontier.
    waiting: BTreeMap<u64, Swept>,
    /// The first block after which no further one is needed.
    last: Option<u64>,
}

impl Shared<'_> {
    fn work(&self) {
        loop {
            let block = self.next.fetch_add(1, Ordering::Relaxed);
            let seeds = self.seeds_of(block);
            let beyond = self.lock().last.is_some_and(|last| block > last);
            if seeds.is_empty() || beyond || self.progress.stop.load(Ordering::Relaxed) {
                return;
            }
            self.deliver(block, self.run_block(seeds));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Blocks> {
        self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn seeds_of(&self, block: u64) -> Range<u64> {
        let Range { start, end } = self.sweep.seeds;
        let from = start.saturating_add(block.saturating_mul(BLOCK)).min(end);
        from..from.saturating_add(BLOCK).min(end)
    }

    /// Runs a block, or the part of it before an interruption.
    fn run_block(&self, seeds: Range<u64>) -> Swept {
        let (mut swept, begun) = (Swept::default(), cpu::thread_ns());
        for seed in seeds {
            if self.progress.stop.load(Ordering::Relaxed) {
                break;
            }
            let before = (swept.stats.checks, swept.found.len());
            self.run_seed(seed, &mut swept);
            self.progress.seeds.fetch_add(1, Ordering::Relaxed);
            self.progress.checks.fetch_add(swept.stats.checks - before.0, Ordering::Relaxed);
            let found = (swept.found.len() - before.1) as u64;
            self.progress.violations.fetch_add(found, Ordering::Relaxed);
        }
        swept.cpu.ns = cpu::thread_ns().saturating_sub(begun);
        swept
    }

    fn run_seed(&self, seed: u64, swept: &mut Swept) {
        let job = self.sweep.job(seed);
        let run = self.scenario.run(&job);
        let mut digest = Digest::new();
        digest.pair(seed, run.finished.digest.0[0]);
        swept.seeds += 1;
        swept.digest = swept.digest.wrapping_add(digest.value());
        swept.stats.add(&run.finished.stats);
        swept.add_probes(&run.finished.probes);
        swept.add_costs(&run.finished.checkers);
        match run.outcome {
            Outcome::Passed => {}
            Outcome::Violation(violation) => swept.found.push(Found { seed, violation }),
            Outcome::Inconclusive(reason) => swept.inconclusive.push((seed, reason)),
            Outcome::Internal(reason) => swept.internal.push((seed, reason)),
        }
        let every = self.sweep.check_every;
        if every > 0 && seed.is_multiple_of(every) {
            let again = self.scenario.run(&job);
            swept.add_costs(&again.finished.checkers);
            if again.finished.digest != run.finished.digest {
                let violation = nondeterminism(self.scenario, &job);
                swept.found.push(Found { seed, violation });
            }
        }
    }

    fn deliver(&self, block: u64, swept: Swept) {
        let mut blocks = self.lock();
        blocks.waiting.insert(block, swept);
        let Blocks { frontier, merged, waiting, last } = &mut *blocks;
        while let Some(swept) = waiting.remove(frontier) {
            if last.is_some() {
                break;
            }
            let limit = self.sweep.violations_max;
            if limit > 0 && merged.found.len() + swept.found.len() >= limit {
                *last = Some(*frontier);
                let needed = limit - merged.found.len();
                merge(merged, self.up_to_violation(*frontier, swept, needed));
            } else {
                merge(merged, swept);
            }
            *frontier += 1;
        }
    }

    /// The part of a block up to its `needed`th violation, by running it again if that is not its
    /// end: so that what is reported does not depend on where blocks end.
    fn up_to_violation(&self, block: u64, swept: Swept, needed: usize) -> Swept {
        let end = swept.found[needed - 1].seed + 1;
        let seeds = self.seeds_of(block);
        if end == seeds.end {
            return swept;
        }
        let (mut part, begun) = (Swept::default(), cpu::thread_ns());
        (seeds.start..end).for_each(|seed| self.run_seed(seed, &mut part));
        part.cpu.ns = cpu::thread_ns().saturating_sub(begun);
        part
    }

    fn into_swept(self) -> Swept {
        let blocks = self.done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut swept = blocks.merged;
        if blocks.last.is_none() {
            // Interrupted: what later blocks found is kept.
            blocks.waiting.into_values().for_each(|block| merge(&mut swept, block));
            let all = self.sweep.seeds.end.saturating_sub(self.sweep.seeds.start);
            swept.interrupted = swept.seeds < all;
        }
        swept
    }
}

fn merge(into: &mut Swept, block: Swept) {
    into.seeds += block.seeds;
    into.stats.add(&block.stats);
    into.add_probes(&block.probes);
    into.add_costs(&block.checkers);
    into.cpu.ns += block.cpu.ns;
    into.digest = into.digest.wrapping_add(block.digest);
    into.found.extend(block.found);
    into.inconclusive.extend(block.inconclusive);
    into.internal.extend(block.internal);
}

/// Two recorded runs of one seed, and where they first differ.
pub fn nondeterminism(scenario: &dyn Scenario, job: &Job) -> Violation {
    let (a, b) = (record(scenario, job), record(scenario, job));
    let difference = diff(&a, &b);
    let (got, at_event) = match &difference {
        Diff::Same => ("the digests differed once, but two recorded runs agree".to_owned(), 0),
        Diff::Event { number, .. } => (format!("{difference}"), *number as u64),
        _ => (format!("{difference}"), a.events.len().min(b.events.len()) as u64),
    };
    Violation {
        at_event,
        ..Violation::new(LAW_DETERMINISTIC.name, LAW_DETERMINISTIC.statement, got)
    }
}
