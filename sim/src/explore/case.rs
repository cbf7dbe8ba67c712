//! One case: a workload in one setting under one profile, at every crash point, with every legal
//! image, down to crashes inside the recovery of a recovery.

use std::sync::Arc;

use seedbed_env::map::{FxHashMap, FxHashSet};
use seedbed_faults::{Faults, Plan};
use seedbed_traces::{Decision, OpText};

use super::failures::{FailingCall, ways};
use super::unread::Unread;
use super::{Boot, Case, Explore, Goal, MissingBarrier, Phase, Sequence, Setting, Tally};
use crate::choices::Source;
use crate::disk::{Disk, Kept, Pending, Spoil, Tear};
use crate::node::{CrashKind, NodeId};
use crate::panics;
use crate::sim::Sim;
use crate::stats::FaultKind;
use crate::testbed::{Failure, Violation, encode_ops, generate};
use crate::world::with;

/// A testbed whose cases can be explored; made from any [`Explore`] by [`explorer`].
pub trait CaseExplorer: Send + Sync {
    /// The settings to explore.
    fn settings(&self) -> Vec<Setting>;
    /// How many operations the exhaustive sequences are made of.
    fn letters(&self) -> usize;
    /// See [`Explore::judges_failures`].
    fn judges_failures(&self) -> bool;
    /// See [`Explore::judges_unstable`].
    fn judges_unstable(&self) -> bool;
    /// A sequence's operations.
    ///
    /// # Errors
    /// If no workload can be made.
    fn workload(&self, sequence: &Sequence) -> Result<Vec<OpText>, String>;
    /// Explores a case; adds to `tally`. `go_on` is asked now and then and stops it by false.
    fn explore(&self, case: &Case, tally: &mut Tally, go_on: &dyn Fn() -> bool) -> CaseEnd;
}

/// How a case ended.
#[derive(Debug)]
pub enum CaseEnd {
    /// All images were looked at, within the bounds.
    Done,
    /// It was stopped.
    Stopped,
    /// A law was broken.
    Broken(Box<Broken>),
    /// There is no verdict, and why.
    Inconclusive(String),
}

/// A law that an image broke, and how to come to that image.
#[derive(Debug)]
pub struct Broken {
    /// The law and how.
    pub violation: Violation,
    /// Answers that are not 0, as in a shrunk trace.
    pub answers: Vec<Decision>,
    /// What the power losses kept and lost.
    pub story: Vec<Lost>,
    /// The call that failed on the way, if one did.
    pub failing: Option<FailingCall>,
    /// The barrier that would have kept the law, if it was sought.
    pub missing: Option<MissingBarrier>,
}

/// What one crash on the way to a broken law left.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Lost {
    /// The operation of its boot before which it crashed; `None`: after its last one.
    pub at_op: Option<u64>,
    /// The power went; else only the process died.
    pub power: bool,
    /// Persist nodes that are lost, with their source locations, and whether they are torn. Each
    /// is needed for the violation.
    pub lost: Vec<(String, bool)>,
    /// Persist nodes that stayed although something older is lost.
    pub kept: Vec<String>,
    /// The write that stayed as junk, and what that is.
    pub junk: Option<String>,
}

/// Makes a testbed's cases explorable.
pub fn explorer<T: Explore>(testbed: &T) -> Box<dyn CaseExplorer + '_> {
    Box::new(Explorer(testbed))
}

struct Explorer<'a, T>(&'a T);

impl<T: Explore> CaseExplorer for Explorer<'_, T> {
    fn settings(&self) -> Vec<Setting> {
        self.0.settings()
    }

    fn letters(&self) -> usize {
        self.0.alphabet().len()
    }

    fn judges_failures(&self) -> bool {
        self.0.judges_failures()
    }

    fn judges_unstable(&self) -> bool {
        self.0.judges_unstable()
    }

    fn workload(&self, sequence: &Sequence) -> Result<Vec<OpText>, String> {
        Ok(encode_ops(&self.ops(sequence)?))
    }

    fn explore(&self, case: &Case, tally: &mut Tally, go_on: &dyn Fn() -> bool) -> CaseEnd {
        panics::hook();
        let ops = match self.ops(&case.sequence) {
            Ok(ops) => ops,
            Err(reason) => return CaseEnd::Inconclusive(reason),
        };
        let plan = case.plan();
        let faults = plan.draw(&mut |_, _| 0);
        let seen = FxHashMap::default();
        let failing = None;
        let spoiled = FxHashSet::default();
        let mut run = CaseRun {
            testbed: self.0,
            case,
            depth: case.depth,
            again: false,
            spoiled,
            ops,
            faults,
            failing,
            seen,
            unread: Unread::default(),
            tally,
            go_on,
        };
        let ended = panics::catch(|| run.explore());
        match ended {
            Ok(Ok(())) => CaseEnd::Done,
            Ok(Err(end)) => end,
            Err(panic) => CaseEnd::Inconclusive(format!("the testbed panicked: {panic}")),
        }
    }
}

impl<T: Explore> Explorer<'_, T> {
    fn ops(&self, sequence: &Sequence) -> Result<Vec<T::Op>, String> {
        match sequence {
            Sequence::Letters(letters) => {
                let alphabet = self.0.alphabet();
                Ok(letters.iter().map(|&letter| alphabet[letter].clone()).collect())
            }
            Sequence::Seed(seed) => generate(&self.0.workload(), *seed),
        }
    }
}

/// A recorded step towards an image: where it crashed and what the crash left.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The operation of its boot before which it crashed; `None`: after its last one.
    at_op: Option<u64>,
    loss: Loss,
}

#[derive(Clone, Debug)]
pub(super) enum Loss {
    /// A process crash: the cache stays.
    Process,
    /// A power loss that asks these questions and gets these answers.
    Power {
        answers: Vec<(&'static str, u64)>,
        /// What is lost, and whether it is torn.
        lost: Vec<(String, bool)>,
        /// What stayed although something older is lost.
        kept: Vec<String>,
        junk: Option<String>,
    },
}

/// What a power loss leaves of what is pending.
#[derive(Clone)]
pub(super) struct Left {
    pub(super) kept: Kept,
    pub(super) tears: Vec<Tear>,
    pub(super) spoil: Option<Spoil>,
}

pub(super) struct CaseRun<'a, T: Explore> {
    pub(super) testbed: &'a T,
    pub(super) case: &'a Case,
    /// See [`Case::depth`].
    pub(super) depth: u32,
    /// Images are looked at again to find out what a violation needs.
    pub(super) again: bool,
    /// Images with junk that were looked at, like `seen`.
    pub(super) spoiled: FxHashSet<(u128, u64)>,
    ops: Vec<T::Op>,
    faults: Faults,
    /// The call of the workload that fails.
    failing: Option<FailingCall>,
    /// Images and other states seen, with what was known of them: after how many crashes at least.
    pub(super) seen: FxHashMap<(u128, u64), usize>,
    /// Images that differ only in what nobody reads.
    pub(super) unread: Unread,
    pub(super) tally: &'a mut Tally,
    pub(super) go_on: &'a dyn Fn() -> bool,
}

/// What is known when a crash is over.
pub(super) struct Told<M> {
    process: M,
    pub(super) power: M,
    pub(super) fingerprints: (u64, u64),
}

/// What a boot that worked came to.
struct Worked {
    /// Operations.
    ops: u64,
    /// The call that is to fail was made.
    failed: bool,
}

impl<T: Explore> CaseRun<'_, T> {
    /// The workload once without a crash, to count its operations; then with a crash before each.
    fn explore(&mut self) -> Result<(), CaseEnd> {
        let Worked { ops, .. } = self.work(None)?;
        (1..=ops).try_for_each(|op| self.work(Some(op)).map(drop))?;
        if !self.case.failures {
            return Ok(());
        }
        for calls in ways() {
            for call in calls {
                self.failing = Some(call);
                if !self.explore_failing()? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The same where a call fails, with a crash before each operation after it. False if there is
    /// no such call.
    fn explore_failing(&mut self) -> Result<bool, CaseEnd> {
        let Worked { ops, failed } = self.work(None)?;
        self.tally.failures += u64::from(failed);
        for op in (1..=ops).rev() {
            // What is before the failure was looked at without it.
            if !failed || !self.work(Some(op))?.failed {
                break;
            }
        }
        Ok(failed)
    }

    /// A world with this case's faults (left-out syncs) and no others. Calls fail in the workload's
    /// own only.
    pub(super) fn world(&self, source: Source) -> (Sim, NodeId) {
        let mut sim = Sim::with_source(0, source, false);
        sim.set_faults(self.faults.clone());
        let node = sim.add_node("node");
        (sim, node)
    }

    /// Runs the workload up to a crash before operation `at_op`, or to its end, then looks at what
    /// may be left.
    fn work(&mut self, at_op: Option<u64>) -> Result<Worked, CaseEnd> {
        let source = Source::Sparse(decisions(self.drawn()).into());
        let (mut sim, node) = self.world(source);
        if let Some(FailingCall { rule, .. }) = &self.failing {
            let mut faults = self.faults.clone();
            faults.rules.push(rule.clone());
            sim.set_faults(faults);
        }
        let memory = self
            .testbed
            .begin(&mut sim, &self.ops, self.case.plant.as_deref())
            .map_err(|failure| self.end(failure, &[]))?;
        self.crash_point(sim, node, memory, (at_op, &mut Vec::new()))
    }

    /// The answers that draw the engine's setting and what the failing call does.
    fn drawn(&self) -> Vec<(&'static str, u64)> {
        let failing = self.failing.iter().flat_map(|call| call.answers);
        self.case.setting.answers.iter().chain(failing).copied().collect()
    }

    /// Boots and works up to a crash before operation `at_op`, or to the end, then looks at what
    /// may be left.
    fn crash_point(
        &mut self,
        mut sim: Sim,
        node: NodeId,
        mut memory: T::Memory,
        (at_op, path): (Option<u64>, &mut Vec<Step>),
    ) -> Result<Worked, CaseEnd> {
        if let Some(op) = at_op {
            sim.crash_next_boot_at(node, op);
        }
        let from_image = !path.is_empty();
        if from_image {
            sim.note_reads(node);
        }
        let boot = self.testbed.boot(&mut sim, node, &mut memory, Goal::Work);
        self.note_rules(&sim);
        if from_image {
            self.unread.add(&sim.take_reads(node));
        }
        match boot.map_err(|failure| self.end(failure, path))? {
            Boot::Done => sim.crash(node, CrashKind::Process),
            Boot::Crashed => {}
            Boot::Refused => {
                let reason = "the testbed lets an engine refuse where nothing is spoiled";
                return Err(CaseEnd::Inconclusive(reason.to_owned()));
            }
        }
        let (ops, disk) = (sim.ops(node), sim.disk(node));
        let nth = self.failing.as_ref().and_then(|call| call.rule.nth);
        let failed = nth.is_some_and(|nth| sim.last_rule_matched() >= nth);
        let told = self.crashed(&sim, memory);
        drop(sim);
        self.after_crash(&disk, &told, (at_op, path))?;
        Ok(Worked { ops, failed })
    }

    /// The image must recover and satisfy the laws; so must what is left of crashes in between.
    pub(super) fn check(
        &mut self,
        image: &Disk,
        memory: &T::Memory,
        path: &mut Vec<Step>,
    ) -> Result<(), CaseEnd> {
        if !(self.go_on)() {
            return Err(CaseEnd::Stopped);
        }
        self.tally.checked += 1;
        let deeper = (path.len() as u32) < self.depth;
        let (mut sim, node) = self.world(Source::Sparse(Arc::from([])));
        sim.set_disk(node, image.clone());
        sim.note_reads(node);
        if deeper {
            sim.film(node);
        }
        let mut recovered = memory.clone();
        let boot = self.testbed.boot(&mut sim, node, &mut recovered, Goal::Recover);
        self.note_rules(&sim);
        self.unread.add(&sim.take_reads(node));
        if let Err(failure) = boot {
            return Err(self.end(failure, path));
        }
        if !deeper {
            return Ok(());
        }
        sim.crash(node, CrashKind::Process);
        let (last, film, disk) = (sim.ops(node), sim.take_film(node), sim.disk(node));
        let inside = self.crashed(&sim, memory.clone());
        let after = self.crashed(&sim, recovered);
        drop(sim);
        for (op, mut disk) in film {
            disk.process_crash();
            self.after_crash(&disk, &inside, (Some(op), path))?;
        }
        if self.case.goes_on {
            return self.work_on(image, memory, last, path);
        }
        // What follows a recovery is a crash before the next operation.
        self.after_crash(&disk, &after, (Some(last + 1), path))
    }

    /// The recovered node goes on with the workload: crashes before each operation after those of
    /// the recovery, and at the end.
    fn work_on(
        &mut self,
        image: &Disk,
        memory: &T::Memory,
        recovered: u64,
        path: &mut Vec<Step>,
    ) -> Result<(), CaseEnd> {
        let Worked { ops: last, .. } = self.work_from(image, memory, None, path)?;
        (recovered + 1..=last)
            .try_for_each(|op| self.work_from(image, memory, Some(op), path).map(drop))
    }

    /// Like [`CaseRun::work`], from an image.
    fn work_from(
        &mut self,
        image: &Disk,
        memory: &T::Memory,
        at_op: Option<u64>,
        path: &mut Vec<Step>,
    ) -> Result<Worked, CaseEnd> {
        let (mut sim, node) = self.world(Source::Sparse(Arc::from([])));
        sim.set_disk(node, image.clone());
        self.crash_point(sim, node, memory.clone(), (at_op, path))
    }

    /// Notes which syncs were left out or weakened in this boot.
    fn note_rules(&mut self, sim: &Sim) {
        self.tally.omitted += sim.stats().fault(FaultKind::Omitted);
        let rules = self.case.rules.len().min(64);
        with(|world| {
            for (bit, (_, state)) in world.rules.iter().take(rules).enumerate() {
                self.tally.rules |= u64::from(state.matched > 0) << bit;
            }
        });
    }

    /// What is known after a process crash, and after a power loss.
    fn crashed(&self, sim: &Sim, memory: T::Memory) -> Told<T::Memory> {
        let (mut process, mut power) = (memory.clone(), memory);
        self.testbed.crashed(sim, &mut process, CrashKind::Process);
        self.testbed.crashed(sim, &mut power, CrashKind::PowerLoss);
        let fingerprints = (self.testbed.fingerprint(&process), self.testbed.fingerprint(&power));
        Told { process, power, fingerprints }
    }

    /// A crash left this disk in the kernel's cache: goes through what may be left of it.
    fn after_crash(
        &mut self,
        disk: &Disk,
        told: &Told<T::Memory>,
        (at_op, path): (Option<u64>, &mut Vec<Step>),
    ) -> Result<(), CaseEnd> {
        self.tally.points += 1;
        self.tally.found += 1;
        let (process, power) = told.fingerprints;
        let state = (disk.state_hash(), process ^ power.rotate_left(1));
        // Where nothing changed since an earlier crash point, nothing new can be left.
        if !self.is_new(state, path.len() + 1) {
            return Ok(());
        }
        self.unread.begin(state);
        path.push(Step { at_op, loss: Loss::Process });
        // Power losses first: what they break is shorter told than what a crash in between does.
        let result = self.images(disk, told, path);
        if let Some(step) = path.last_mut() {
            step.loss = Loss::Process;
        }
        let result = result.and_then(|()| self.check(disk, &told.process, path));
        path.pop();
        self.unread.end();
        result
    }

    fn images(
        &mut self,
        disk: &Disk,
        told: &Told<T::Memory>,
        path: &mut Vec<Step>,
    ) -> Result<(), CaseEnd> {
        let pending = disk.pending();
        let mut stop = None;
        let phase = if path.len() > 1 { Phase::Recovery } else { Phase::Work };
        // Images are given with the fullest set that leaves them, so this one is not among them by
        // itself.
        self.tally.coverage.note(&pending, &vec![false; pending.len()], &[], phase);
        let count = pending.images(self.case.bounds, |image| {
            self.tally.found += 1;
            let (kept, tears) = (image.kept, image.tears);
            self.tally.coverage.note(&pending, kept, tears, phase);
            let (seen, depth) = ((image.hash, told.fingerprints.1), path.len());
            if !self.is_new(seen, depth) {
                return true;
            }
            if self.case.unread && self.unread.is_known(image, seen.1, depth) {
                self.tally.pruned += 1;
                self.tally.unread += 1;
                return true;
            }
            self.unread.begin(seen);
            let checked = self.check(&image.disk(), &told.power, path);
            let is_known = self.unread.end();
            match checked {
                Ok(()) => {
                    if is_known {
                        self.unread.looked_at(image, seen.1, depth);
                    }
                    true
                }
                Err(CaseEnd::Broken(broken)) => {
                    let left = Left { kept: kept.clone(), tears: tears.to_vec(), spoil: None };
                    stop = Some(self.smallest(&pending, left, &broken.violation, told, path));
                    false
                }
                Err(other) => {
                    stop = Some(other);
                    false
                }
            }
        });
        self.tally.unexhausted += u64::from(!count.exhaustive);
        match stop {
            Some(stop) => Err(stop),
            // What recovery verifies does not depend on which call had failed.
            None if self.case.unstable && self.failing.is_none() => {
                self.spoil_each(&pending, told, path)
            }
            None => Ok(()),
        }
    }

    /// Gives back to the image whatever the violation does not need to be lost: what remains lost
    /// must, each alone, have been durable. Then says which barrier would have kept the law.
    pub(super) fn smallest(
        &mut self,
        pending: &Pending<'_>,
        mut left: Left,
        violation: &Violation,
        told: &Told<T::Memory>,
        path: &mut Vec<Step>,
    ) -> CaseEnd {
        let again = std::mem::replace(&mut self.again, true);
        let mut broken = self.broken(pending, &left, told, path);
        // Newest first: older nodes are what newer ones need.
        let mut rest = left.lost();
        while let Some(node) = rest.pop() {
            let Some(fuller) = left.with(pending, node) else { continue };
            let still = self.broken(pending, &fuller, told, path);
            if let Some(CaseEnd::Broken(other)) = &still
                && other.violation.law == violation.law
            {
                (left, broken) = (fuller, still);
                rest = left.lost();
            }
        }
        self.again = again;
        let Some(mut broken) = broken else {
            let reason = format!("a broken law ({}) did not show again", violation.law);
            return CaseEnd::Inconclusive(reason);
        };
        if again {
            return broken;
        }
        if last_loss(&broken) > Some(path.len() - 1) {
            // A later crash is to blame: its crash point says what is missing.
            return self.broken(pending, &left, told, path).unwrap_or(broken);
        }
        self.find_missing(&mut broken, (pending, &left), told, path);
        broken
    }

    /// Checks one image afresh.
    pub(super) fn broken(
        &mut self,
        pending: &Pending<'_>,
        left: &Left,
        told: &Told<T::Memory>,
        path: &mut Vec<Step>,
    ) -> Option<CaseEnd> {
        if let Some(step) = path.last_mut() {
            step.loss = power_loss(pending, left, self.case.unstable);
        }
        self.forget();
        match left.spoil {
            None => self.check(&pending.image(&left.kept, &left.tears), &told.power, path).err(),
            Some(spoil) => {
                let image = pending.spoiled_image(&left.kept, spoil);
                self.check_spoiled(image, &told.power, path).err()
            }
        }
    }

    /// All images are new again.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
        self.unread.forget();
        self.spoiled.clear();
    }

    /// Whether this was not looked at yet with clients that were told the same, after as many
    /// crashes or fewer: fewer leave more to come.
    pub(super) fn is_new(&mut self, seen: (u128, u64), depth: usize) -> bool {
        let before = self.seen.entry(seen).or_insert(usize::MAX);
        let new = depth < *before;
        *before = depth.min(*before);
        self.tally.pruned += u64::from(!new);
        if !new {
            self.unread.leans_on(seen);
        }
        new
    }

    pub(super) fn end(&self, failure: Failure, path: &[Step]) -> CaseEnd {
        match failure {
            Failure::Inconclusive(reason) => CaseEnd::Inconclusive(reason),
            Failure::Violation(violation) => CaseEnd::Broken(Box::new(Broken {
                violation,
                answers: decisions(answers(self.drawn(), path)),
                missing: None,
                story: story(path),
                failing: self.failing.clone(),
            })),
        }
    }
}

impl Left {
    /// The nodes that do not stay, in program order.
    pub(super) fn lost(&self) -> Vec<usize> {
        (0..self.kept.len()).filter(|&node| !self.kept[node]).collect()
    }

    /// The same with one node more, and what that needs; `None` if the node stays anyway, or
    /// proves that the spoiled write is there.
    fn with(&self, pending: &Pending<'_>, node: usize) -> Option<Self> {
        let mut kept = self.kept.clone();
        kept[node] = true;
        pending.close_up(&mut kept);
        let can_spoil = |spoil: Spoil| pending.can_spoil(&kept, spoil.node);
        if self.kept[node] || !self.spoil.is_none_or(can_spoil) {
            return None;
        }
        let tears = self.tears.iter().copied().filter(|tear| !kept[tear.node]).collect();
        Some(Self { kept, tears, spoil: self.spoil })
    }
}

/// The number of the last crash that took anything.
pub(super) fn last_loss(end: &CaseEnd) -> Option<usize> {
    let CaseEnd::Broken(broken) = end else { return None };
    broken.story.iter().rposition(|step| !step.lost.is_empty())
}

/// A power loss that leaves this image, as questions and answers; `unstable` if junk is one of the
/// questions.
fn power_loss(pending: &Pending<'_>, left: &Left, unstable: bool) -> Loss {
    let Left { kept, tears, spoil } = left;
    let answers = pending.answers(kept, tears, unstable.then_some(*spoil));
    let is_torn = |node: usize| tears.iter().any(|tear| tear.node == node);
    let lost = left.lost().into_iter().map(|node| (pending.describe(node), is_torn(node)));
    // What stayed although something older did not.
    let first_lost = kept.iter().position(|kept| !kept).unwrap_or(kept.len());
    let later = (first_lost..pending.len()).filter(|&node| kept[node]);
    let junk =
        |spoil: &Spoil| format!("{}: {}", pending.describe(spoil.node), spoil.junk.describe());
    Loss::Power {
        answers,
        lost: lost.collect(),
        kept: later.map(|node| pending.describe(node)).collect(),
        junk: spoil.as_ref().map(junk),
    }
}

/// What a run is asked that crashes and loses power like this, after what was `drawn`.
fn answers(drawn: Vec<(&'static str, u64)>, path: &[Step]) -> Vec<(&'static str, u64)> {
    let mut asked = drawn;
    for step in path {
        match step.at_op {
            Some(op) => {
                asked.push(("crash.op", op));
                asked
                    .push(("crash.power_loss", u64::from(matches!(step.loss, Loss::Power { .. }))));
            }
            None => {
                asked.push(("crash.op", 0));
                asked.push(("restart", u64::from(matches!(step.loss, Loss::Power { .. }))));
            }
        }
        if let Loss::Power { answers, .. } = &step.loss {
            asked.extend(answers);
        }
    }
    // After a recovery there may be no next operation to crash at: then the boot ends by itself.
    if let Some(Step { at_op: Some(_), loss }) = path.last() {
        asked.push(("restart", u64::from(matches!(loss, Loss::Power { .. }))));
    }
    asked
}

/// These answers as decisions; 0 is left out.
fn decisions(asked: Vec<(&'static str, u64)>) -> Vec<Decision> {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    let mut decisions = Vec::new();
    for (label, value) in asked {
        let nth = match counts.iter_mut().find(|(known, _)| *known == label) {
            Some((_, count)) => {
                *count += 1;
                *count - 1
            }
            None => {
                counts.push((label, 1));
                0
            }
        };
        if value > 0 {
            decisions.push(Decision { label: label.into(), nth, bound: value + 1, value });
        }
    }
    decisions
}

fn story(path: &[Step]) -> Vec<Lost> {
    let lost = |step: &Step| {
        let (power, lost, kept, junk) = match &step.loss {
            Loss::Process => (false, Vec::new(), Vec::new(), None),
            Loss::Power { lost, kept, junk, .. } => {
                (true, lost.clone(), kept.clone(), junk.clone())
            }
        };
        Lost { at_op: step.at_op, power, lost, kept, junk }
    };
    path.iter().map(lost).collect()
}

impl Case {
    /// The plan under which this case's answers mean what they say.
    pub fn plan(&self) -> Plan {
        use seedbed_faults::{CountRange, DevicePlan, DiskPlan, NodePlan, Ratio, RatioRange};
        let half = Ratio::new(1, 2);
        Plan {
            name: "explore".to_owned(),
            about: "one explored crash image".to_owned(),
            disk: DiskPlan {
                profiles: vec![self.profile],
                torn_page_probability: RatioRange::just(half),
                ..DiskPlan::default()
            },
            node: NodePlan {
                crash_count: CountRange::new(u64::from(self.depth), u64::from(self.depth)),
                crash_after_ops: CountRange::new(1, OPS_MAX),
                power_loss_probability: RatioRange::just(half),
                ..NodePlan::default()
            },
            device: DevicePlan {
                garbage_probability: RatioRange::just(if self.unstable {
                    half
                } else {
                    Ratio::NEVER
                }),
                garbage_in_write: self.unstable,
                ..DevicePlan::default()
            },
            rules: self.rules.clone(),
            ..Plan::default()
        }
    }
}

/// More operations of one boot than any explored workload has.
const OPS_MAX: u64 = 1 << 20;
