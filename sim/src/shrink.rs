//! Shrinking: from a trace that breaks a law to a small one that breaks the same law.
//!
//! By re-execution only. A candidate is a workload and a sparse list of decisions; everything the
//! list does not state is 0, the most benign answer. A candidate is taken if its run breaks the
//! same law, and is then replaced by what that run really asked, so that answers nobody asked for
//! any more disappear. Faults need no treatment of their own: whether a kind is on, its rate and
//! each injection are decisions.
//!
//! First, where there are many decisions, other worlds are searched: the same workload under a few
//! seeds, in worlds in which more and more questions are answered by 0. Leaving decisions out of
//! one run moves all later ones of a label by one, so a run that needs three faults at certain
//! places may be far from any run with only three faults; another seed finds one.
//!
//! Then passes (delta debugging, Zeller and Hildebrandt, IEEE TSE 2002): whole labels, then ranges
//! of operations and of decisions in halving sizes, then smaller answers; again until nothing
//! changes or the budget is spent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use seedbed_env::map::FxHashSet;
use seedbed_faults::PlanError;
use seedbed_traces::{Decision, OpText, Trace, Verdict};

use crate::choices::Source;
use crate::testbed::{Job, Run, Scenario};
use crate::trace::{job_of, trace_of};

/// How long to try.
#[derive(Debug)]
pub struct ShrinkLimits<'a> {
    /// Most runs.
    pub runs_max: u64,
    /// Set from outside to stop with the best so far.
    pub stop: &'a AtomicBool,
}

/// What shrinking came to.
#[derive(Debug)]
pub struct Shrunk {
    /// The small trace; it breaks the same law.
    pub trace: Trace,
    /// Runs it took.
    pub runs: u64,
    /// Whether a full round of passes found nothing more to leave out.
    pub finished: bool,
    /// Operations and decisions that are not 0, before.
    pub before: (usize, usize),
    /// The same, after.
    pub after: (usize, usize),
}

/// Why a trace cannot be shrunk.
#[derive(Debug)]
pub enum ShrinkError {
    /// The plan inside cannot be read by this version.
    Plan(PlanError),
    /// The trace breaks no law, or does not when it is run now.
    NoViolation(String),
}

impl std::fmt::Display for ShrinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plan(error) => error.fmt(f),
            Self::NoViolation(what) => write!(f, "there is nothing to shrink: {what}"),
        }
    }
}

impl std::error::Error for ShrinkError {}

/// Makes a violating trace small.
///
/// # Errors
/// [`ShrinkError`] if the trace, run now, breaks no law.
pub fn shrink(
    scenario: &dyn Scenario,
    trace: &Trace,
    limits: &ShrinkLimits<'_>,
) -> Result<Shrunk, ShrinkError> {
    let job = job_of(trace).map_err(ShrinkError::Plan)?;
    let run = scenario.run(&job);
    let Some(violation) = run.outcome.violation() else {
        let what = "run again, the trace breaks no law (`replay` says where it differs)";
        return Err(ShrinkError::NoViolation(what.to_owned()));
    };
    let best = Candidate { ops: run.workload, decisions: stated(run.finished.decisions) };
    let before = best.size();
    let law = violation.law.clone();
    let recorded = match &trace.end.verdict {
        Verdict::Violation { law, .. } => law.as_str(),
        _ => "no law",
    };
    if recorded != law {
        let what = format!("the trace says that it breaks {recorded}; run again it breaks {law}");
        return Err(ShrinkError::NoViolation(what));
    }
    let mut shrinker =
        Shrinker { scenario, job, law, best, runs: 1, limits, tried: FxHashSet::default() };
    let finished = shrinker.rounds();
    let (trace, runs, after) = shrinker.conclude()?;
    Ok(Shrunk { trace, runs, finished, before, after })
}

/// More decisions than these are tried to be found anew before they are left out one by one.
const MANY_DECISIONS: usize = 50;
/// Seeds for each quieter world.
const QUIETER_SEEDS: u64 = 6;

#[derive(Clone)]
struct Candidate {
    ops: Vec<OpText>,
    /// Answers that are not 0.
    decisions: Vec<Decision>,
}

impl Candidate {
    fn size(&self) -> (usize, usize) {
        (self.ops.len(), self.decisions.len())
    }

    /// Smaller is better: fewer decisions and operations, then smaller answers.
    fn weight(&self) -> (usize, u128) {
        let answers = self.decisions.iter().map(|d| u128::from(d.value)).sum();
        (self.ops.len() + self.decisions.len(), answers)
    }

    fn fingerprint(&self) -> u64 {
        let mut digest = crate::digest::Digest::new();
        for op in &self.ops {
            digest.bytes(&op.bytes);
        }
        for decision in &self.decisions {
            digest.bytes(decision.label.as_bytes());
            digest.pair(decision.nth, decision.value);
        }
        digest.value()
    }
}

fn stated(mut decisions: Vec<Decision>) -> Vec<Decision> {
    decisions.retain(|decision| decision.value != 0);
    decisions
}

struct Shrinker<'a> {
    scenario: &'a dyn Scenario,
    job: Job,
    law: String,
    best: Candidate,
    runs: u64,
    limits: &'a ShrinkLimits<'a>,
    /// Fingerprints of candidates that were run.
    tried: FxHashSet<u64>,
}

impl Shrinker<'_> {
    /// Runs the passes until a round changes nothing; false if the budget ended first.
    fn rounds(&mut self) -> bool {
        // The sparse form of the very run is the first candidate.
        self.try_candidate(self.best.clone());
        if self.best.decisions.len() > MANY_DECISIONS {
            self.search_quieter_worlds();
        }
        loop {
            let before = self.best.weight();
            self.drop_labels();
            self.drop_ops();
            self.drop_decisions();
            self.lower_answers();
            if self.is_spent() {
                return false;
            }
            if self.best.weight() >= before {
                return true;
            }
        }
    }

    /// Looks for the same violation in worlds with fewer and fewer kinds of decisions.
    fn search_quieter_worlds(&mut self) {
        let mut quiet: Vec<String> = Vec::new();
        for label in self.labels() {
            quiet.push(label);
            let found = (0..QUIETER_SEEDS).any(|nth| self.try_quieter_world(&quiet, nth));
            if !found {
                quiet.pop();
            }
        }
    }

    /// The labels of the decisions, those with the most first.
    fn labels(&self) -> Vec<String> {
        let mut counts = BTreeMap::<&str, usize>::new();
        for decision in &self.best.decisions {
            *counts.entry(&decision.label).or_default() += 1;
        }
        let mut labels: Vec<_> = counts.into_iter().collect();
        labels.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        labels.into_iter().map(|(label, _)| label.to_owned()).collect()
    }

    /// Runs the workload under another seed, with these labels answered by 0.
    fn try_quieter_world(&mut self, quiet: &[String], nth: u64) -> bool {
        if self.is_spent() {
            return false;
        }
        self.runs += 1;
        let job = Job {
            seed: self.job.seed.wrapping_add(nth),
            workload: Some(self.best.ops.clone()),
            source: Source::Quiet(Arc::from(quiet)),
            record: true,
            ..self.job.clone()
        };
        let run = self.scenario.run(&job);
        if run.outcome.violation().is_none_or(|violation| violation.law != self.law) {
            return false;
        }
        let decisions = stated(run.finished.decisions);
        let found = Candidate { ops: run.workload, decisions };
        if found.weight() <= self.best.weight() {
            self.best = found;
        }
        true
    }

    fn is_spent(&self) -> bool {
        self.runs >= self.limits.runs_max || self.limits.stop.load(Ordering::Relaxed)
    }

    fn job_for(&self, candidate: &Candidate) -> Job {
        Job {
            workload: Some(candidate.ops.clone()),
            source: Source::Sparse(Arc::from(candidate.decisions.clone())),
            ..self.job.clone()
        }
    }

    fn run(&mut self, candidate: &Candidate) -> Run {
        self.runs += 1;
        self.scenario.run(&self.job_for(candidate))
    }

    /// Runs a candidate and takes it if it breaks the same law and is not larger.
    fn try_candidate(&mut self, candidate: Candidate) -> bool {
        if self.is_spent() || !self.tried.insert(candidate.fingerprint()) {
            return false;
        }
        let run = self.run(&candidate);
        if run.outcome.violation().is_none_or(|violation| violation.law != self.law) {
            return false;
        }
        let asked = Candidate { ops: candidate.ops, decisions: stated(run.finished.decisions) };
        let better = asked.weight() <= self.best.weight();
        if better {
            self.best = asked;
        }
        better
    }

    /// Leaves out all decisions of a label at once: schedules and latencies rarely matter.
    fn drop_labels(&mut self) {
        let mut labels: Vec<_> = self.best.decisions.iter().map(|d| d.label.clone()).collect();
        labels.sort();
        labels.dedup();
        for label in labels {
            let mut candidate = self.best.clone();
            candidate.decisions.retain(|decision| decision.label != label);
            self.try_candidate(candidate);
        }
    }

    fn drop_ops(&mut self) {
        self.drop_ranges(
            |candidate| candidate.ops.len(),
            |candidate, from, to| {
                candidate.ops.drain(from..to);
            },
        );
    }

    fn drop_decisions(&mut self) {
        self.drop_ranges(
            |candidate| candidate.decisions.len(),
            |candidate, from, to| {
                candidate.decisions.drain(from..to);
            },
        );
    }

    /// Leaves out ranges of halving sizes, from the end, since what comes last matters least often.
    fn drop_ranges(
        &mut self,
        len: impl Fn(&Candidate) -> usize,
        cut: impl Fn(&mut Candidate, usize, usize),
    ) {
        let mut size = len(&self.best).div_ceil(2);
        while size > 0 && !self.is_spent() {
            let mut end = len(&self.best);
            while end > 0 {
                let from = end.saturating_sub(size);
                let mut candidate = self.best.clone();
                cut(&mut candidate, from, end);
                self.try_candidate(candidate);
                end = from.min(len(&self.best));
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    /// Tries 1, a half, and one less for every answer.
    fn lower_answers(&mut self) {
        let mut index = 0;
        while index < self.best.decisions.len() && !self.is_spent() {
            let value = self.best.decisions[index].value;
            for smaller in [1, value / 2, value - 1] {
                if smaller == 0 || smaller >= value {
                    continue;
                }
                let mut candidate = self.best.clone();
                candidate.decisions[index].value = smaller;
                if self.try_candidate(candidate) {
                    break;
                }
            }
            index += 1;
        }
    }

    /// Records the best candidate once more, as a trace.
    fn conclude(mut self) -> Result<(Trace, u64, (usize, usize)), ShrinkError> {
        let best = self.best.clone();
        let run = self.run(&best);
        if run.outcome.violation().is_none_or(|violation| violation.law != self.law) {
            let what = "its run is not repeatable: check the engine for ambient nondeterminism";
            return Err(ShrinkError::NoViolation(what.to_owned()));
        }
        let trace = trace_of(self.scenario, &self.job_for(&best), run, true);
        Ok((trace, self.runs, best.size()))
    }
}
