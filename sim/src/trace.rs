//! Between runs and trace files: recording a run, and running a trace again.

use std::sync::Arc;

use seedbed_faults::{Plan, PlanError};
use seedbed_traces::{DecisionMode, Diff, End, Header, Trace, Verdict, Workload, diff};

use crate::choices::{Divergence, Source};
use crate::testbed::{Job, Outcome, Run, Scenario};

/// The setting under which a trace keeps the plant.
const PLANT: &str = "plant";

/// Runs a job again with everything recorded.
pub fn record(scenario: &dyn Scenario, job: &Job) -> Trace {
    let job = Job { record: true, ..job.clone() };
    let run = scenario.run(&job);
    trace_of(scenario, &job, run, false)
}

/// The trace of a recorded run.
pub(crate) fn trace_of(scenario: &dyn Scenario, job: &Job, run: Run, shrunk: bool) -> Trace {
    let Run { outcome, finished, workload } = run;
    let plan = job.plan.to_toml();
    let mode = match job.source {
        Source::Sparse(_) => DecisionMode::Sparse,
        Source::Seed | Source::Quiet(_) | Source::Complete(_) => DecisionMode::Complete,
    };
    let mut decisions = finished.decisions;
    if mode == DecisionMode::Sparse {
        decisions.retain(|decision| decision.value != 0);
    }
    let plant = job.plant.iter().map(|plant| (PLANT.to_owned(), plant.clone()));
    let header = Header {
        scenario: scenario.name().to_owned(),
        seed: job.seed,
        build: build(),
        config_digest: config_digest(scenario.name(), &plan, job.plant.as_deref()),
        plan,
        settings: plant.collect(),
        shrunk,
        ..Header::default()
    };
    let end = End {
        digest: finished.digest,
        events: finished.event_count,
        decisions: finished.decision_count,
        verdict: verdict(&outcome),
    };
    Trace {
        header,
        workload: Workload { ops: workload },
        mode,
        decisions,
        events: finished.events,
        end,
    }
}

fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Passed => Verdict::Passed,
        Outcome::Violation(violation) => Verdict::Violation {
            law: violation.law.clone(),
            expected: violation.expected.clone(),
            got: violation.got.clone(),
            at_event: violation.at_event,
            at_decision: violation.at_decision,
        },
        Outcome::Inconclusive(reason) | Outcome::Internal(reason) => {
            Verdict::Inconclusive { reason: reason.clone() }
        }
    }
}

/// Package version and profile, for people; a replay does not depend on it.
fn build() -> String {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("seedbed {} {profile}", env!("CARGO_PKG_VERSION"))
}

fn config_digest(scenario: &str, plan: &str, plant: Option<&str>) -> u64 {
    let mut digest = crate::digest::Digest::new();
    [scenario, plan, plant.unwrap_or("")].iter().for_each(|part| digest.bytes(part.as_bytes()));
    digest.value()
}

/// What came of running a trace again.
#[derive(Debug)]
pub struct Replayed {
    /// The new run's trace.
    pub trace: Trace,
    /// How the new run ended.
    pub outcome: Outcome,
    /// Where its decisions left the recorded ones, if they did.
    pub divergence: Option<Divergence>,
    /// The first difference between the recorded and the new run.
    pub diff: Diff,
}

impl Replayed {
    /// Whether the new run is the recorded one, event for event.
    pub fn is_same(&self) -> bool {
        self.divergence.is_none() && matches!(self.diff, Diff::Same)
    }
}

/// The job that a trace describes.
///
/// # Errors
/// If the plan inside cannot be read by this version.
pub fn job_of(trace: &Trace) -> Result<Job, PlanError> {
    let plan = Plan::from_toml(&trace.header.plan, "the trace's plan")?;
    let decisions = Arc::from(trace.decisions.clone());
    let plant = trace.header.settings.iter().find(|(name, _)| name == PLANT);
    Ok(Job {
        seed: trace.header.seed,
        plan: Arc::new(plan),
        plant: plant.map(|(_, value)| value.clone()),
        workload: Some(trace.workload.ops.clone()),
        source: match trace.mode {
            DecisionMode::Complete => Source::Complete(decisions),
            DecisionMode::Sparse => Source::Sparse(decisions),
        },
        record: true,
        tape: false,
    })
}

/// Runs a trace again and compares, decision by decision and event by event.
///
/// # Errors
/// If the plan inside cannot be read by this version.
pub fn replay(scenario: &dyn Scenario, recorded: &Trace) -> Result<Replayed, PlanError> {
    let job = job_of(recorded)?;
    let run = scenario.run(&job);
    let (outcome, divergence) = (run.outcome.clone(), run.finished.divergence.clone());
    let mut trace = trace_of(scenario, &job, run, recorded.header.shrunk);
    // Builds may differ, and how they write down the same plan; runs may not.
    let Header { build, plan, config_digest, .. } = recorded.header.clone();
    trace.header = Header { build, plan, config_digest, ..trace.header };
    let diff = diff(&without_sites(recorded), &without_sites(&trace));
    Ok(Replayed { trace, outcome, divergence, diff })
}

/// Lines move when code is edited; a run whose calls come from other lines is the same run.
fn without_sites(trace: &Trace) -> Trace {
    let mut trace = trace.clone();
    trace.events.iter_mut().for_each(|event| event.site = None);
    trace
}
