//! No command (the main job) and `run`: sweeping seeds.

use std::collections::BTreeMap;
use std::time::Duration;

use seedbed::faults::Seeds;
use seedbed::{FaultKind, Scenario, Swept};
use serde::Serialize;

use crate::args::{RunArgs, SweepArgs, TargetArgs};
use crate::commands::Context;
use crate::coverage::{self, CheckerJson};
use crate::exit::{Exit, Failure};
use crate::finding::{Finding, FindingJson};
use crate::lookup;
use crate::output::{BAD, GOOD, NOTE, paint};
use crate::progress::Meter;
use crate::settings::{Settings, Target};
use crate::tables::{self, Row, grouped};

/// The main job compares every so many seeds with a second run.
const MAIN_CHECK_EVERY: u64 = 64;
/// Seeds of `run` when nobody says how many.
const RUN_SEEDS: u64 = 1000;
/// Violations that are reported in full; further ones get a line each.
const REPORTS_MAX: usize = 3;
/// Violations that get a trace file.
const TRACES_MAX: usize = 100;
/// Seeds without a verdict that are listed.
const REASONS_MAX: usize = 5;

/// One scenario's sweep, to be made.
struct Plot<'a> {
    scenario: &'a dyn Scenario,
    settings: Settings,
    seeds: Seeds,
}

/// One scenario's sweep and what it found.
struct Swath<'a> {
    scenario: &'a dyn Scenario,
    settings: Settings,
    seeds: Seeds,
    swept: Swept,
    wall: Duration,
    findings: Vec<Finding>,
    exit: Exit,
}

/// Sweeps all scenarios, each under its own plan unless one is asked for.
pub(crate) fn main_job(cx: &mut Context<'_>, args: &SweepArgs) -> Result<Exit, Failure> {
    let mut plots = Vec::new();
    for scenario in cx.scenarios {
        let settings =
            Settings::resolve(&**scenario, args, &TargetArgs::default(), MAIN_CHECK_EVERY)?;
        if settings.target.plant.is_some() || !settings.target.omit_sync.is_empty() {
            let plan = &settings.target.plan_arg;
            let what = "its [run] table sets plant or omit_sync, which belong to one scenario";
            return Err(Failure::usage(format!("{plan}: {what}: use `run SCENARIO`")));
        }
        let own = || Seeds::first((cx.main_seeds)(scenario.name()));
        let seeds = settings.seeds.unwrap_or_else(own);
        plots.push(Plot { scenario: &**scenario, settings, seeds });
    }
    if plots.is_empty() {
        return Err(Failure::new(Exit::NothingSelected, "there are no scenarios"));
    }
    let swaths = sweep_all(cx, plots, args.quiet);
    let exit = worst(swaths.iter().map(|swath| swath.exit));
    if args.json {
        let scenarios = swaths.iter().map(swath_json).collect();
        let interrupted = swaths.iter().any(|swath| swath.swept.interrupted);
        cx.out.json(&MainJson { scenarios, interrupted, exit_code: exit.code() });
    } else {
        print(cx, &swaths, args.quiet);
    }
    Ok(exit)
}

/// Sweeps one scenario.
pub(crate) fn run(cx: &mut Context<'_>, args: &RunArgs) -> Result<Exit, Failure> {
    let scenario = lookup::scenario(cx.scenarios, &args.scenario)?;
    let settings = Settings::resolve(scenario, &args.sweep, &args.target, 0)?;
    settings.target.check(scenario)?;
    let seeds = settings.seeds.unwrap_or(Seeds::first(RUN_SEEDS));
    let plots = vec![Plot { scenario, settings, seeds }];
    let swaths = sweep_all(cx, plots, args.sweep.quiet);
    let exit = worst(swaths.iter().map(|swath| swath.exit));
    match swaths.first() {
        Some(swath) if args.sweep.json => cx.out.json(&swath_json(swath)),
        _ => print(cx, &swaths, args.sweep.quiet),
    }
    Ok(exit)
}

fn sweep_all<'a>(cx: &mut Context<'_>, plots: Vec<Plot<'a>>, quiet: bool) -> Vec<Swath<'a>> {
    let counts = plots.iter().map(|plot| plot.seeds.end - plot.seeds.start);
    let total = counts.fold(0, u64::saturating_add);
    if !quiet {
        plots.iter().for_each(|plot| warn_of_impossible(cx, plot));
    }
    let mut meter = Meter::new(cx.show(quiet), total);
    let mut swaths = Vec::new();
    for Plot { scenario, settings, seeds } in plots {
        let sweep = settings.sweep(seeds);
        let (swept, wall) = meter.sweep(scenario.name(), scenario, &sweep, cx.stop, &mut cx.err);
        let exit = exit_of(scenario, &swept, &settings);
        swaths.push(Swath { scenario, settings, seeds, swept, wall, findings: Vec::new(), exit });
        if cx.is_stopped() {
            break;
        }
    }
    meter.finish();
    for swath in &mut swaths {
        let found = swath.swept.found.iter().take(TRACES_MAX).cloned();
        let finding = |found| {
            let (target, folder) = (&swath.settings.target, &swath.settings.traces);
            Finding::new(cx.program, swath.scenario, target, found, folder)
        };
        swath.findings = found.map(finding).collect();
    }
    swaths
}

/// Says before a sweep where its plan goes beyond what the engine must survive.
fn warn_of_impossible(cx: &mut Context<'_>, plot: &Plot<'_>) {
    let target = &plot.settings.target;
    let beyond = beyond(plot.scenario, target);
    if beyond.is_empty() {
        return;
    }
    let (name, plan) = (plot.scenario.name(), &target.plan_arg);
    let head = format!("{name}: the plan {plan} goes beyond what it must survive:");
    cx.err.line(paint(NOTE, head));
    beyond.iter().for_each(|how| cx.err.line(format_args!("  {how}")));
    cx.err.line("  a seed that does so breaks no law of liveness or durability there, and has no");
    cx.err
        .line("  verdict: no impossible world is called a bug; [budget] in a plan file limits it");
}

/// In which ways the plan may go beyond what the engine must survive.
fn beyond(scenario: &dyn Scenario, target: &Target) -> Vec<String> {
    // Syncs that are left out are rules of the plan, and no failure of the world.
    target.plan.reach().beyond(&scenario.tolerates())
}

/// What a sweep means; a violation is the main news, whatever else there is.
fn exit_of(scenario: &dyn Scenario, swept: &Swept, settings: &Settings) -> Exit {
    if !swept.found.is_empty() {
        Exit::Violation
    } else if !swept.internal.is_empty() {
        Exit::Internal
    } else if requires_probes(swept, settings) && !coverage::never(scenario, swept).is_empty() {
        Exit::Violation
    } else if swept.interrupted || !swept.inconclusive.is_empty() {
        Exit::Inconclusive
    } else if is_never_called(swept, settings) {
        Exit::NothingSelected
    } else {
        Exit::Fine
    }
}

/// Whether probes that were never reached are an error: not in a sweep that was cut short.
fn requires_probes(swept: &Swept, settings: &Settings) -> bool {
    settings.require_probes && swept.found.is_empty() && !swept.interrupted
}

/// Whether syncs were to be left out, but none was.
fn is_never_called(swept: &Swept, settings: &Settings) -> bool {
    !settings.target.omit_sync.is_empty() && swept.stats.fault(FaultKind::Omitted) == 0
}

fn worst(exits: impl Iterator<Item = Exit>) -> Exit {
    let order =
        [Exit::Violation, Exit::Internal, Exit::Inconclusive, Exit::NothingSelected, Exit::Fine];
    let exits: Vec<_> = exits.collect();
    order.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Exit::Fine)
}

fn print(cx: &mut Context<'_>, swaths: &[Swath<'_>], quiet: bool) {
    let findings: Vec<_> = swaths.iter().flat_map(|swath| &swath.findings).collect();
    for (index, finding) in findings.iter().enumerate() {
        match index < REPORTS_MAX {
            true => finding.report(&mut cx.out),
            false => finding.brief(&mut cx.out),
        }
    }
    let found: usize = swaths.iter().map(|swath| swath.swept.found.len()).sum();
    if found > findings.len() {
        let rest = found - findings.len();
        cx.out.line(format_args!("and {rest} more violations, without trace files"));
    }
    if found > 0 && !quiet {
        cx.out.line("");
    }
    let rows = swaths.iter().map(|swath| Row {
        name: swath.scenario.name(),
        swept: &swath.swept,
        wall: swath.wall,
    });
    if !quiet {
        tables::sweeps(&mut cx.out, &rows.collect::<Vec<_>>());
    }
    for swath in swaths {
        remarks(cx, swath);
        let Swath { scenario, swept, settings, .. } = swath;
        if !quiet {
            coverage::tell_checkers(&mut cx.out, *scenario, swept);
        }
        let required = requires_probes(swept, settings);
        let to = (&mut cx.out, &mut cx.err);
        coverage::tell_probes(to, *scenario, swept, (required, quiet));
    }
    if !quiet {
        conclusion(cx, swaths);
    }
}

/// What keeps a sweep from being a full answer.
fn remarks(cx: &mut Context<'_>, swath: &Swath<'_>) {
    let settings = &swath.settings;
    let name = swath.scenario.name();
    let kinds = [
        ("without a verdict", &swath.swept.inconclusive),
        ("on which the testbed itself failed", &swath.swept.internal),
    ];
    for (what, seeds) in kinds {
        if !seeds.is_empty() {
            let count = grouped(seeds.len() as u64);
            cx.err.line(paint(NOTE, format_args!("{name}: {count} seeds {what}:")));
        }
        for (seed, reason) in seeds.iter().take(REASONS_MAX) {
            let reason = seedbed::traces::escape(reason);
            cx.err.line(format_args!("  seed {seed}: {reason}"));
        }
    }
    if swath.swept.interrupted {
        let (done, all) = (swath.swept.seeds, swath.seeds.end - swath.seeds.start);
        cx.err.line(paint(NOTE, format_args!("{name}: interrupted after {done} of {all} seeds")));
    } else if is_never_called(&swath.swept, settings) {
        let sites = settings.target.omit_sync.join(", ");
        let what =
            "was never called in this sweep, so it says nothing: `list` shows the sync sites";
        cx.err.line(format_args!("{} --omit-sync {sites} {what}", paint(NOTE, "warning:")));
    }
}

fn conclusion(cx: &mut Context<'_>, swaths: &[Swath<'_>]) {
    let found: usize = swaths.iter().map(|swath| swath.swept.found.len()).sum();
    let checks: u64 = swaths.iter().map(|swath| swath.swept.stats.checks).sum();
    let seeds: u64 = swaths.iter().map(|swath| swath.swept.seeds).sum();
    let (checks, seeds) = (grouped(checks), grouped(seeds));
    let judged =
        |swath: &Swath<'_>| swath.swept.inconclusive.is_empty() && swath.swept.internal.is_empty();
    let missing = swaths.iter().any(|swath| swath.exit == Exit::Violation);
    let verdict = match found {
        0 if missing => paint(BAD, "no violation, but required probes were never reached"),
        0 if !swaths.iter().all(judged) => {
            paint(NOTE, "no violation, but not every seed was judged")
        }
        0 => paint(GOOD, "all laws held"),
        1 => paint(BAD, "1 violation"),
        found => paint(BAD, format_args!("{found} violations")),
    };
    cx.out.line(format_args!("{verdict} in {checks} checked recoveries of {seeds} seeds"));
}

/// The main job's result.
#[derive(Serialize)]
struct MainJson<'a> {
    scenarios: Vec<SwathJson<'a>>,
    interrupted: bool,
    exit_code: u8,
}

/// A scenario's result; the help of `run` describes it.
#[derive(Serialize)]
struct SwathJson<'a> {
    scenario: &'a str,
    plan: &'a str,
    plant: Option<&'a str>,
    omit_sync: &'a [String],
    beyond: Vec<String>,
    seeds: SeedsJson,
    digest: String,
    stats: seedbed::Stats,
    wall_ms: u64,
    cpu_ms: u64,
    probes: BTreeMap<&'static str, u64>,
    checkers: Vec<CheckerJson>,
    violations: Vec<FindingJson<'a>>,
    inconclusive: Vec<ReasonJson<'a>>,
    internal: Vec<ReasonJson<'a>>,
    interrupted: bool,
    exit_code: u8,
}

#[derive(Serialize)]
struct SeedsJson {
    start: u64,
    end: u64,
    run: u64,
}

#[derive(Serialize)]
struct ReasonJson<'a> {
    seed: u64,
    reason: &'a str,
}

fn swath_json<'a>(swath: &'a Swath<'_>) -> SwathJson<'a> {
    let settings = &swath.settings;
    let Swept { seeds, stats, digest, inconclusive, internal, interrupted, .. } = &swath.swept;
    let reasons = |list: &'a [(u64, String)]| {
        list.iter().map(|(seed, reason)| ReasonJson { seed: *seed, reason }).collect()
    };
    SwathJson {
        scenario: swath.scenario.name(),
        plan: &settings.target.plan_arg,
        plant: settings.target.plant.as_deref(),
        omit_sync: &settings.target.omit_sync,
        beyond: beyond(swath.scenario, &settings.target),
        seeds: SeedsJson { start: swath.seeds.start, end: swath.seeds.end, run: *seeds },
        digest: format!("{digest:016x}"),
        stats: *stats,
        wall_ms: u64::try_from(swath.wall.as_millis()).unwrap_or(u64::MAX),
        cpu_ms: swath.swept.cpu.ns / 1_000_000,
        probes: coverage::probes(swath.scenario, &swath.swept),
        checkers: coverage::checkers(&swath.swept),
        violations: swath.findings.iter().map(Finding::json).collect(),
        inconclusive: reasons(inconclusive),
        internal: reasons(internal),
        interrupted: *interrupted,
        exit_code: swath.exit.code(),
    }
}
