//! `replay`: a trace, or a seed, once more.

use std::path::Path;

use seedbed::traces::{Diff, Trace, Verdict, escape};
use seedbed::{Found, Outcome, Replayed, Scenario, Violation, record, replay as replay_trace};

use crate::args::ReplayArgs;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::finding::{self, Finding};
use crate::lookup;
use crate::output::{BAD, GOOD, NOTE, paint};
use crate::settings::Target;

/// Runs a trace or a seed again.
pub(crate) fn replay(cx: &mut Context<'_>, args: &ReplayArgs) -> Result<Exit, Failure> {
    match (&args.file, args.seed, &args.scenario) {
        (Some(file), ..) => replay_file(cx, file, args.trace.as_deref()),
        (None, Some(seed), Some(name)) => replay_seed(cx, args, name, seed),
        (None, ..) => Err(Failure::usage("replay needs a FILE, or --scenario NAME --seed N")),
    }
}

/// The scenario of a trace, which has to know the trace's plant and its operations.
pub(crate) fn scenario_of<'a>(
    scenarios: &'a [Box<dyn Scenario>],
    file: &Path,
    trace: &Trace,
) -> Result<&'a dyn Scenario, Failure> {
    let place = |failure: Failure| Failure {
        message: format!("{}: {}", file.display(), failure.message),
        ..failure
    };
    let scenario = lookup::scenario(scenarios, &trace.header.scenario).map_err(place)?;
    let job = seedbed::job_of(trace)?;
    if let Some(plant) = &job.plant {
        lookup::plant(scenario, plant).map_err(place)?;
    }
    let workload = scenario.check_workload(&trace.workload.ops);
    workload.map_err(|reason| place(Failure::usage(escape(&reason))))?;
    Ok(scenario)
}

fn replay_file(cx: &mut Context<'_>, file: &Path, to: Option<&Path>) -> Result<Exit, Failure> {
    let recorded = Trace::read(file)?;
    let scenario = scenario_of(cx.scenarios, file, &recorded)?;
    let replayed = replay_trace(scenario, &recorded)?;
    save(&replayed.trace, to)?;
    if let Outcome::Internal(reason) = &replayed.outcome {
        return Err(Failure::new(Exit::Internal, escape(reason)));
    }
    if !is_reproduced(&recorded, &replayed) {
        diverged(cx, &replayed);
        return Ok(Exit::Diverged);
    }
    let digest = recorded.end.digest;
    cx.out.line(format_args!("{} same digest {digest}", paint(GOOD, "reproduced:")));
    if let Diff::Header { field, .. } = &replayed.diff {
        cx.out.line(format_args!("(the headers differ in {field}; the runs do not)"));
    }
    Ok(verdict(cx, &replayed.trace))
}

/// Whether the new run is the recorded one. How a plan is written may change from version to
/// version; what was decided and what happened may not.
fn is_reproduced(recorded: &Trace, replayed: &Replayed) -> bool {
    let same_digest = recorded.end.digest == replayed.trace.end.digest;
    let same_run = matches!(replayed.diff, Diff::Same | Diff::Header { .. });
    replayed.divergence.is_none() && same_digest && same_run
}

fn diverged(cx: &mut Context<'_>, replayed: &Replayed) {
    let head = paint(BAD, "diverged:");
    match &replayed.divergence {
        Some(divergence) => {
            let text = escape(&divergence.to_string());
            cx.out.line(format_args!("{head} at {text}"));
        }
        None => cx.out.line(format_args!("{head} {}", replayed.diff)),
    }
    let now = match &replayed.outcome {
        Outcome::Passed => "all laws held".to_owned(),
        Outcome::Violation(violation) => format!("{} was broken", escape(&violation.law)),
        Outcome::Inconclusive(reason) | Outcome::Internal(reason) => escape(reason),
    };
    let reason = "the code, the plan format or the testbed changed since the trace was made, or \
                  something outside the simulation decides";
    cx.out.line(format_args!("this run: {now}\n{} {reason}", paint(NOTE, "why:")));
}

/// Prints how a run ended.
fn verdict(cx: &mut Context<'_>, trace: &Trace) -> Exit {
    finding::ending(cx, trace);
    exit_of(&trace.end.verdict)
}

fn exit_of(verdict: &Verdict) -> Exit {
    match verdict {
        Verdict::Passed => Exit::Fine,
        Verdict::Violation { .. } => Exit::Violation,
        _ => Exit::Inconclusive,
    }
}

fn replay_seed(
    cx: &mut Context<'_>,
    args: &ReplayArgs,
    name: &str,
    seed: u64,
) -> Result<Exit, Failure> {
    let scenario = lookup::scenario(cx.scenarios, name)?;
    let (target, _) = Target::resolve(scenario, args.faults.as_deref(), &args.target)?;
    target.check(scenario)?;
    let job = finding::job(&target, seed);
    let trace = record(scenario, &job);
    save(&trace, args.trace.as_deref())?;
    let Verdict::Violation { law, expected, got, at_event, at_decision } = &trace.end.verdict
    else {
        return plain_verdict(cx, scenario, &trace, &job);
    };
    let violation = Violation {
        at_event: *at_event,
        at_decision: *at_decision,
        ..Violation::new(law, expected, got)
    };
    let found = Found { seed, violation };
    let mut finding = Finding::of_trace(cx.program, scenario, &target, found, &trace);
    if let Some(path) = &args.trace {
        finding.trace = Ok(path.clone());
    }
    finding.report(&mut cx.out);
    Ok(Exit::Violation)
}

/// A seed that broke no law: says so, or why there is no verdict.
fn plain_verdict(
    cx: &mut Context<'_>,
    scenario: &dyn Scenario,
    trace: &Trace,
    job: &seedbed::Job,
) -> Result<Exit, Failure> {
    if trace.end.verdict == Verdict::Passed {
        let (events, decisions) = (trace.end.events, trace.end.decisions);
        let (name, seed, head) = (scenario.name(), job.seed, paint(GOOD, "all laws held:"));
        cx.out.line(format_args!(
            "{head} {name}, seed {seed}, {events} events, {decisions} decisions"
        ));
        return Ok(Exit::Fine);
    }
    match scenario.run(job).outcome {
        Outcome::Internal(reason) => Err(Failure::new(Exit::Internal, escape(&reason))),
        Outcome::Inconclusive(reason) => Err(Failure::new(Exit::Inconclusive, escape(&reason))),
        Outcome::Passed | Outcome::Violation(_) => {
            let message = "two runs of the seed end differently: check it with --check-determinism";
            Err(Failure::new(Exit::Inconclusive, message))
        }
    }
}

fn save(trace: &Trace, to: Option<&Path>) -> Result<(), Failure> {
    match to {
        Some(path) => Ok(trace.write(path)?),
        None => Ok(()),
    }
}
