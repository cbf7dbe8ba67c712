//! What an exploration says: findings, counts, coverage, JSON.

use std::path::PathBuf;
use std::time::Duration;

use seedbed::Scenario;
use seedbed::disk::{Bounds, NodeOp};
use seedbed::explore::{
    Coverage, Exploration, Explored, Finding, Lost, MissingBarrier, Phase, Relaxation, Sequence,
    Tally,
};
use seedbed::faults::Rule;
use seedbed::traces::escape;
use serde::Serialize;

use super::{bound, exit_of, unmatched, why_unmatched};
use crate::args::ExploreArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::finding::quote;
use crate::output::{BAD, GOOD, HEAD, NOTE, paint};
use crate::progress::per_second;
use crate::tables::{duration, grouped, numbers, print, table};

pub(super) fn report(
    cx: &mut Context<'_>,
    scenario: &dyn Scenario,
    finding: &Finding,
    trace: &Result<PathBuf, String>,
) {
    let field = |cx: &mut Context<'_>, name: &str, value: &str| {
        let name = format!("{name:<9}");
        cx.out.line(format_args!("  {} {}", paint(HEAD, name), escape(value)));
    };
    let law = paint(BAD, escape(&finding.violation.law));
    cx.out.line(format_args!("\n{} {law}", paint(BAD, "violation:")));
    let case = &finding.case;
    let place =
        format!("{}, setting {}, case {}", scenario.name(), case.setting.name, finding.number);
    field(cx, "scenario", &place);
    let contract = format!("{}: {}", case.profile, case.profile.about);
    field(cx, "disk", &contract);
    field(cx, "workload", &workload(scenario, &case.sequence));
    field(cx, "got", &finding.violation.got);
    if let Some(call) = &finding.failing {
        let (nth, error) = (call.rule.nth.unwrap_or(0), call.rule.then.name());
        let what = format!("{error} at call {nth} of those that can ({})", call.effect);
        field(cx, "failure", &what);
    }
    for step in &finding.story {
        let kind = if step.power { "power loss" } else { "process crash" };
        let when = match step.at_op {
            Some(op) => format!("{kind} before operation {op} of its boot"),
            None => format!("{kind} after the last operation"),
        };
        field(cx, "crash", &when);
        for (what, torn) in &step.lost {
            field(cx, if *torn { "  torn" } else { "  lost" }, what);
        }
        for what in &step.kept {
            field(cx, "  kept", what);
        }
        if let Some(what) = &step.junk {
            field(cx, "  junk", what);
        }
    }
    if let Some(ordering) = finding.ordering() {
        field(cx, "order", &ordering);
    }
    if let Some(missing) = &finding.missing {
        field(cx, "missing", &missing.to_string());
    }
    match trace {
        Ok(path) => {
            let path = quote(&path.to_string_lossy());
            field(cx, "replay:", &format!("{} replay {path}", cx.program));
            field(cx, "shrink:", &format!("{} shrink {path}", cx.program));
        }
        Err(reason) => field(cx, "trace", &format!("none: {reason}")),
    }
}

/// The operations of a case, for people.
fn workload(scenario: &dyn Scenario, sequence: &Sequence) -> String {
    let texts = scenario.explorer().and_then(|explorer| explorer.workload(sequence).ok());
    match sequence {
        Sequence::Seed(seed) => format!("of seed {seed}"),
        Sequence::Letters(_) => {
            let texts = texts.unwrap_or_default();
            texts.iter().map(|op| op.text.as_str()).collect::<Vec<_>>().join("; ")
        }
    }
}

pub(super) fn tell(cx: &mut Context<'_>, explored: &Explored, wall: Duration) {
    let Tally { points, found, pruned, unread, checked, .. } = explored.tally;
    let mut rows = table(&[
        "cases",
        "crash points",
        "images",
        "seen before",
        "differ unread",
        "recovered",
        "wall",
        "images/s",
        "recoveries/s",
    ]);
    rows.add_row([
        format!("{} of {}", grouped(explored.done), grouped(explored.cases)),
        grouped(points),
        grouped(found),
        grouped(pruned - unread),
        grouped(unread),
        grouped(checked),
        duration(wall),
        grouped(per_second(found, wall)),
        grouped(per_second(checked, wall)),
    ]);
    numbers(&mut rows, &[]);
    print(&mut cx.out, &rows);
    tell_coverage(cx, &explored.tally.coverage);
}

/// How many images exercised each operation in each way, and which cells are empty.
fn tell_coverage(cx: &mut Context<'_>, coverage: &Coverage) {
    let columns = || {
        let phases = Phase::ALL.into_iter();
        phases.flat_map(|phase| Relaxation::ALL.map(|how| (how, phase)))
    };
    let names: Vec<_> =
        columns().map(|(how, phase)| format!("{} in {}", how.name(), phase.name())).collect();
    let header: Vec<_> =
        ["operation"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut cells = table(&header);
    for op in NodeOp::ALL {
        let counts = columns().map(|(how, phase)| coverage.count(op, how, phase));
        let shown = |count| if count == 0 { "-".to_owned() } else { grouped(count) };
        let row: Vec<_> = [op.name().to_owned()].into_iter().chain(counts.map(shown)).collect();
        cells.add_row(row);
    }
    numbers(&mut cells, &[0]);
    print(&mut cx.out, &cells);
    let empty = empty_cells(coverage);
    if !empty.is_empty() {
        cx.out.line(format_args!("never exercised: {}", empty.join(", ")));
    }
}

/// What no image exercised.
fn empty_cells(coverage: &Coverage) -> Vec<String> {
    let cell = |(op, how, phase): (NodeOp, Relaxation, Phase)| {
        format!("{} {} in {}", op.name(), how.name(), phase.name())
    };
    coverage.empty().map(cell).collect()
}

pub(super) fn conclude(
    cx: &mut Context<'_>,
    scenario: &dyn Scenario,
    (explored, before): (&Explored, &[(u64, String)]),
    (what, args): (&Exploration, &ExploreArgs),
) {
    for (case, law) in before.iter().take(5) {
        let message = format!("case {case} broke a law before: {}", escape(law));
        cx.out.line(paint(BAD, message));
    }
    for (case, reason) in explored.inconclusive.iter().take(5) {
        cx.err.line(paint(NOTE, format_args!("case {case} has no verdict: {}", escape(reason))));
    }
    if explored.interrupted {
        let (done, cases) = (grouped(explored.done), grouped(explored.cases));
        cx.err.line(paint(NOTE, format_args!("interrupted after {done} of {cases} cases")));
    }
    if explored.cases == 0 {
        let why = "there is nothing to explore: ask for a --length of 1 or more, or for --seeds";
        cx.err.line(format_args!("{} {why}", paint(NOTE, "warning:")));
        return;
    }
    for (option, site) in unmatched(explored, args) {
        let why = why_unmatched(scenario, option, site);
        let site = escape(site);
        let warning = paint(NOTE, "warning:");
        cx.err.line(format_args!("{warning} {option} {site} changed nothing: {why}"));
    }
    if exit_of(explored, before, args) == Exit::NothingSelected {
        let what = "nothing was left out or weakened: this is the engine as it is, no answer";
        cx.out.line(paint(NOTE, what));
        return;
    }
    tell_extent(cx, (explored, before), what);
    match explored.found.len() + before.len() {
        0 => cx.out.line(paint(GOOD, "no violation")),
        found => {
            let s = if found == 1 { "" } else { "s" };
            cx.out.line(paint(BAD, format_args!("{found} violation{s}")));
        }
    }
}

/// Within which bound that is all, or what is missing.
fn tell_extent(
    cx: &mut Context<'_>,
    (explored, before): (&Explored, &[(u64, String)]),
    what: &Exploration,
) {
    let extent = match explored.is_exhaustive() && before.is_empty() {
        true => paint(GOOD, "exhaustive"),
        false if explored.done < explored.cases => paint(NOTE, "not exhaustive: it ended early"),
        false if !explored.found.is_empty() || !before.is_empty() => {
            paint(NOTE, "not exhaustive: a violation ends its case")
        }
        false => paint(NOTE, "not exhaustive"),
    };
    cx.out.line(format_args!("{extent}: {}", bound(what)));
    if explored.tally.unexhausted > 0 {
        let points = grouped(explored.tally.unexhausted);
        let Bounds { images, flips } = what.bounds;
        cx.out.line(format_args!(
            "{points} crash points have more than {} images: there only prefixes of the program \
             order were looked at, with up to {flips} deviations",
            grouped(images)
        ));
    }
    if explored.tally.failures > 0 {
        let runs = grouped(explored.tally.failures);
        cx.out.line(format_args!("a call failed in {runs} runs of the workloads"));
    }
    if explored.tally.spoiled > 0 {
        let images = grouped(explored.tally.spoiled);
        cx.out.line(format_args!("in {images} images more an unstable write was junk"));
    }
}

#[derive(Serialize)]
pub(super) struct ExploreJson<'a> {
    scenario: &'a str,
    plant: Option<&'a str>,
    omit_sync: &'a [String],
    weaken_sync: &'a [String],
    /// Those of these sites at which nothing was changed.
    unmatched: Vec<&'a str>,
    profiles: Vec<&'static str>,
    cases: u64,
    done: u64,
    points: u64,
    images: u64,
    pruned: u64,
    unread: u64,
    checked: u64,
    spoiled: u64,
    exhaustive: bool,
    unexhausted: u64,
    failures: u64,
    never_exercised: Vec<String>,
    wall_ms: u64,
    violations: Vec<FoundJson<'a>>,
    inconclusive: &'a [(u64, String)],
    broken_before: &'a [(u64, String)],
    interrupted: bool,
    exit_code: u8,
}

#[derive(Serialize)]
struct FoundJson<'a> {
    case: u64,
    profile: &'static str,
    setting: &'static str,
    law: &'a str,
    expected: &'a str,
    got: &'a str,
    ordering: Option<String>,
    missing: Option<&'a MissingBarrier>,
    failing: Option<&'a Rule>,
    crashes: &'a [Lost],
    trace: Option<String>,
}

impl<'a> ExploreJson<'a> {
    pub(super) fn new(
        scenario: &'a dyn Scenario,
        args: &'a ExploreArgs,
        what: &Exploration,
        (explored, traces, wall): (&'a Explored, &[Result<PathBuf, String>], Duration),
        before: &'a [(u64, String)],
        exit: Exit,
    ) -> Self {
        let found = |(finding, trace): (&'a Finding, &Result<PathBuf, String>)| FoundJson {
            case: finding.number,
            profile: finding.case.profile.name,
            setting: finding.case.setting.name,
            law: &finding.violation.law,
            expected: &finding.violation.expected,
            got: &finding.violation.got,
            ordering: finding.ordering(),
            missing: finding.missing.as_ref(),
            failing: finding.failing.as_ref().map(|call| &call.rule),
            crashes: &finding.story,
            trace: trace.as_ref().ok().map(|path| path.to_string_lossy().into_owned()),
        };
        Self {
            scenario: scenario.name(),
            plant: args.target.plant.as_deref(),
            omit_sync: &args.target.omit_sync,
            weaken_sync: &args.weaken_sync,
            unmatched: unmatched(explored, args).into_iter().map(|(_, site)| site).collect(),
            profiles: what.profiles.iter().map(|profile| profile.name).collect(),
            cases: explored.cases,
            done: explored.done,
            points: explored.tally.points,
            images: explored.tally.found,
            pruned: explored.tally.pruned,
            unread: explored.tally.unread,
            checked: explored.tally.checked,
            spoiled: explored.tally.spoiled,
            exhaustive: explored.is_exhaustive()
                && before.is_empty()
                && exit != Exit::NothingSelected,
            unexhausted: explored.tally.unexhausted,
            failures: explored.tally.failures,
            never_exercised: empty_cells(&explored.tally.coverage),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            violations: explored.found.iter().zip(traces).map(found).collect(),
            inconclusive: &explored.inconclusive,
            broken_before: before,
            interrupted: explored.interrupted,
            exit_code: exit.code(),
        }
    }
}
