//! How little does a violation need to lose? From a trace that breaks a law to one in which power
//! losses take as few persist nodes as possible.
//!
//! Shrinking makes traces short, and "everything that was not durable is lost" is a short answer
//! that names nothing. Here that answer is spelled out, lane by lane, and whatever the violation
//! does not need is given back: what is still lost says what should have been durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use seedbed_traces::{Decision, Trace};

use crate::choices::Source;
use crate::shrink::{ShrinkError, ShrinkLimits};
use crate::testbed::{Job, Run, Scenario};
use crate::trace::{job_of, trace_of};

/// The question what a power loss takes, and two of its answers.
const MODE: &str = "loss.mode";
const LOSE_ALL: u64 = 1;
const MIXED: u64 = 3;
/// The questions how much of a lane is lost.
const LANES: [&str; 4] = ["loss.page", "loss.len", "loss.name", "loss.journal"];
/// More lanes of a kind than one power loss has in workloads that were shrunk.
const LANES_MAX: u64 = 256;

/// A violation that loses little.
#[derive(Debug)]
pub struct GivenBack {
    /// It breaks the same law.
    pub trace: Trace,
    /// Persist nodes that its power losses take: writes, lengths and names.
    pub lost: u64,
}

/// Gives back to a violating trace what it need not lose.
///
/// # Errors
/// [`ShrinkError`] if the trace, run now, breaks no law.
pub fn give_back(
    scenario: &dyn Scenario,
    trace: &Trace,
    limits: &ShrinkLimits<'_>,
) -> Result<GivenBack, ShrinkError> {
    let job = Job { record: true, ..job_of(trace).map_err(ShrinkError::Plan)? };
    let best = scenario.run(&job);
    let Some(violation) = best.outcome.violation() else {
        return Err(ShrinkError::NoViolation("run again, the trace breaks no law".to_owned()));
    };
    let law = violation.law.clone();
    let mut search = Search { scenario, job, law, best, runs: 1, limits };
    search.spell_out();
    while search.give_one_back() {}
    let lost = search.best.finished.stats.lost;
    let decisions = stated(&search.best);
    let job = Job { source: Source::Sparse(Arc::from(decisions)), ..search.job };
    let trace = trace_of(scenario, &job, search.best, true);
    Ok(GivenBack { trace, lost })
}

struct Search<'a> {
    scenario: &'a dyn Scenario,
    job: Job,
    law: String,
    /// The run with the fewest nodes lost so far; it was recorded.
    best: Run,
    runs: u64,
    limits: &'a ShrinkLimits<'a>,
}

/// The answers of a run that are not 0.
fn stated(run: &Run) -> Vec<Decision> {
    run.finished.decisions.iter().filter(|decision| decision.value != 0).cloned().collect()
}

impl Search<'_> {
    fn is_spent(&self) -> bool {
        self.runs >= self.limits.runs_max || self.limits.stop.load(Ordering::Relaxed)
    }

    /// Runs these answers; takes the run if it breaks the same law and `is_better` likes it.
    fn take(&mut self, answers: Vec<Decision>, is_better: impl Fn(&Run, &Run) -> bool) -> bool {
        if self.is_spent() {
            return false;
        }
        self.runs += 1;
        let source = Source::Sparse(Arc::from(answers));
        let run = self.scenario.run(&Job { source, ..self.job.clone() });
        let same = run.outcome.violation().is_some_and(|violation| violation.law == self.law);
        let taken = same && is_better(&run, &self.best);
        if taken {
            self.best = run;
        }
        taken
    }

    /// Says of each power loss that takes everything what that is. The image stays the same.
    fn spell_out(&mut self) {
        let mut losses = 0;
        loop {
            let all = &self.best.finished.decisions;
            let is_next = |d: &Decision| &*d.label == MODE && d.nth >= losses;
            let Some(at) = all.iter().position(|d| is_next(d) && d.value == LOSE_ALL) else {
                return;
            };
            losses = all[at].nth + 1;
            let mut answers = stated(&self.best);
            let modes = answers.iter_mut().filter(|d| &*d.label == MODE && d.nth + 1 == losses);
            modes.for_each(|mode| mode.value = MIXED);
            for label in LANES {
                let asked = all[..at].iter().filter(|d| &*d.label == label).count() as u64;
                answers.extend((asked..asked + LANES_MAX).map(|nth| Decision {
                    label: label.into(),
                    nth,
                    bound: u64::MAX,
                    value: u64::MAX - 1,
                }));
            }
            self.take(answers, |run, best| run.finished.stats.lost <= best.finished.stats.lost);
        }
    }

    /// Tries to lose less of one lane: nothing, or one node less.
    fn give_one_back(&mut self) -> bool {
        let answers = stated(&self.best);
        let lanes = answers.iter().enumerate().rev();
        let lanes = lanes.filter(|(_, decision)| LANES.contains(&&*decision.label));
        let lanes: Vec<_> = lanes.map(|(at, decision)| (at, decision.value)).collect();
        for (at, value) in lanes {
            for less in [0, value - 1] {
                let mut fewer = answers.clone();
                fewer[at].value = less;
                fewer.retain(|decision| decision.value != 0);
                let is_better =
                    |run: &Run, best: &Run| run.finished.stats.lost < best.finished.stats.lost;
                if self.take(fewer, is_better) {
                    return true;
                }
            }
        }
        false
    }
}
