//! `zoo`: do the laws catch what they are there for, and how soon? Each planted bug, each benign
//! twin, and each sync left out.

use std::sync::Arc;
use std::time::Duration;

use seedbed::faults::{Plan, Profile, Rule};
use seedbed::traces::Trace;
use seedbed::{Progress, Scenario, ShrinkLimits, Sweep, record, replay, shrink, sweep};
use serde::Serialize;

use crate::args::ZooArgs;
use crate::clock::Watch;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::lookup;
use crate::output::{BAD, GOOD, NOTE, paint};
use crate::progress::Meter;
use crate::settings::{check_seeds, jobs};
use crate::sites::discover;
use crate::tables::{duration, numbers, print, table};

/// Something that is wrong on purpose.
struct Specimen<'a> {
    scenario: &'a dyn Scenario,
    kind: Kind,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// A planted bug, which a law has to catch.
    Bug,
    /// A plant that no law may notice.
    Benign,
    /// A sync left out, which may or may not matter.
    Sync,
}

/// How a specimen fared.
#[derive(Serialize)]
struct Fate {
    scenario: &'static str,
    kind: Kind,
    name: String,
    /// Seeds up to the first violation, or all if there was none.
    seeds: u64,
    /// Checks up to there.
    checks: u64,
    caught: Option<Caught>,
    /// Why there is no answer: the testbed failed, or the user ended it.
    trouble: Option<String>,
}

/// How it was caught.
#[derive(Serialize)]
struct Caught {
    seed: u64,
    law: String,
    /// Operations and decisions of the shrunk trace.
    ops: usize,
    decisions: usize,
    shrink_ms: u64,
    /// Whether the shrunk trace, run again, is the same run.
    replays: bool,
    /// The most realistic file system under which the same seeds catch it.
    severity: Option<&'static str>,
}

#[derive(Serialize)]
struct ZooJson<'a> {
    specimens: &'a [Fate],
    interrupted: bool,
    exit_code: u8,
}

/// Measures every specimen.
pub(crate) fn zoo(cx: &mut Context<'_>, args: &ZooArgs) -> Result<Exit, Failure> {
    check_seeds(args.seeds)?;
    let plan = Plan { run: None, ..Plan::load(&args.faults)? };
    let jobs = jobs(args.jobs)?;
    let what = Sweep { jobs, ..Sweep::new(args.seeds.range(), plan) };
    let scenarios: Vec<&dyn Scenario> = match &args.scenario {
        Some(name) => vec![lookup::scenario(cx.scenarios, name)?],
        None => cx.scenarios.iter().map(|scenario| &**scenario).collect(),
    };
    let specimens: Vec<_> = scenarios.into_iter().flat_map(specimens_of).collect();
    if specimens.is_empty() {
        let message = "there is nothing in the zoo: no plants and no syncs";
        return Err(Failure::new(Exit::NothingSelected, message));
    }
    let seeds = args.seeds.end - args.seeds.start;
    let total = seeds.saturating_mul(specimens.len() as u64);
    let mut meter = Meter::new(cx.show(args.quiet), total);
    let mut fates = Vec::new();
    for specimen in &specimens {
        fates.push(observe(cx, &mut meter, specimen, &what, args.shrink_runs));
        if cx.is_stopped() {
            break;
        }
    }
    meter.finish();
    let exit = exit_of(&fates, cx.is_stopped());
    if args.json {
        let interrupted = cx.is_stopped();
        cx.out.json(&ZooJson { specimens: &fates, interrupted, exit_code: exit.code() });
    } else {
        tell(cx, &fates, seeds);
    }
    Ok(exit)
}

fn specimens_of(scenario: &dyn Scenario) -> Vec<Specimen<'_>> {
    let plants = scenario.plants().into_iter().map(|plant| {
        let kind = if plant.benign { Kind::Benign } else { Kind::Bug };
        Specimen { scenario, kind, name: plant.name.to_owned() }
    });
    let mut sites: Vec<_> = discover(scenario).into_iter().map(|site| site.site).collect();
    sites.dedup();
    let syncs = sites.into_iter().map(|name| Specimen { scenario, kind: Kind::Sync, name });
    plants.chain(syncs).collect()
}

fn observe(
    cx: &mut Context<'_>,
    meter: &mut Meter,
    specimen: &Specimen<'_>,
    sweep: &Sweep,
    shrink_runs: u64,
) -> Fate {
    let Specimen { scenario, kind, name } = specimen;
    let mut sweep = sweep.clone();
    match kind {
        Kind::Bug | Kind::Benign => sweep.plant = Some(name.clone()),
        Kind::Sync => {
            let mut plan = Plan::clone(&sweep.plan);
            plan.rules.insert(0, Rule::omit_sync(name.as_str()));
            sweep.plan = Arc::new(plan);
        }
    }
    let label = format!("{} {name}", scenario.name());
    let (swept, _) = meter.sweep(&label, *scenario, &sweep, cx.stop, &mut cx.err);
    let failed = swept.internal.first().map(|(seed, reason)| format!("seed {seed}: {reason}"));
    let caught = swept.found.first().map(|found| {
        let trace = record(*scenario, &sweep.job(found.seed));
        let severity = severity(cx, *scenario, &sweep);
        Caught { severity, ..caught(cx, *scenario, found.seed, trace, shrink_runs) }
    });
    let interrupted = swept.interrupted.then(|| "interrupted".to_owned());
    Fate {
        scenario: scenario.name(),
        kind: *kind,
        name: name.clone(),
        seeds: swept.seeds,
        checks: swept.stats.checks,
        trouble: failed.or(interrupted.filter(|_| caught.is_none())),
        caught,
    }
}

/// The first of all profiles, the most realistic first, under which the sweep finds a violation.
fn severity(cx: &Context<'_>, scenario: &dyn Scenario, what: &Sweep) -> Option<&'static str> {
    let catches = |profile: &Profile| {
        let mut plan = Plan::clone(&what.plan);
        plan.disk.profiles = vec![*profile];
        let what = Sweep { plan: Arc::new(plan), ..what.clone() };
        !cx.is_stopped() && !sweep(scenario, &what, &Progress::default()).found.is_empty()
    };
    Profile::ALL.iter().find(|profile| catches(profile)).map(|profile| profile.name)
}

/// Shrinks a violation and replays what is left.
fn caught(
    cx: &Context<'_>,
    scenario: &dyn Scenario,
    seed: u64,
    trace: Trace,
    runs_max: u64,
) -> Caught {
    let watch = Watch::start();
    let limits = ShrinkLimits { runs_max, stop: cx.stop };
    let shrunk = match runs_max {
        0 => None,
        _ => shrink(scenario, &trace, &limits).ok(),
    };
    let shrink_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
    let trace = shrunk.map_or(trace, |shrunk| shrunk.trace);
    let law = match &trace.end.verdict {
        seedbed::traces::Verdict::Violation { law, .. } => law.clone(),
        _ => "(its recorded run broke no law)".to_owned(),
    };
    let replays = replay(scenario, &trace).is_ok_and(|replayed| replayed.is_same());
    let decisions = trace.decisions.iter().filter(|decision| decision.value != 0).count();
    let ops = trace.workload.ops.len();
    Caught { seed, law, ops, decisions, shrink_ms, replays, severity: None }
}

fn is_wrong(fate: &Fate) -> bool {
    let replays = fate.caught.as_ref().is_none_or(|caught| caught.replays);
    let as_expected = match fate.kind {
        Kind::Bug => fate.caught.is_some() || fate.trouble.is_some(),
        Kind::Benign => fate.caught.is_none(),
        Kind::Sync => true,
    };
    !replays || !as_expected
}

fn exit_of(fates: &[Fate], stopped: bool) -> Exit {
    if fates.iter().any(is_wrong) {
        Exit::Violation
    } else if stopped {
        Exit::Inconclusive
    } else if fates.iter().any(|fate| fate.trouble.is_some()) {
        Exit::Internal
    } else {
        Exit::Fine
    }
}

fn tell(cx: &mut Context<'_>, fates: &[Fate], seeds: u64) {
    let mut zoo = table(&[
        "scenario",
        "kind",
        "name",
        "result",
        "seeds",
        "checks",
        "ops",
        "decisions",
        "shrink",
        "shows on",
        "law",
    ]);
    let is_needless = |fate: &&Fate| fate.kind == Kind::Sync && fate.caught.is_none();
    for fate in fates.iter().filter(|fate| !is_needless(fate)) {
        zoo.add_row(row(fate));
    }
    numbers(&mut zoo, &[0, 1, 2, 3, 9, 10]);
    print(&mut cx.out, &zoo);
    let needless: Vec<_> = fates.iter().filter(is_needless).collect();
    if !needless.is_empty() {
        cx.out.line("syncs not needed within the bound:");
    }
    for Fate { scenario, name, trouble, .. } in needless {
        let why = trouble.clone().unwrap_or_else(|| format!("not caught in {seeds} seeds"));
        cx.out.line(format_args!("  {scenario} {name}: {why}"));
    }
    let wrong = fates.iter().filter(|fate| is_wrong(fate)).count();
    match wrong {
        0 if cx.is_stopped() => cx.err.line(paint(NOTE, "interrupted")),
        0 => cx.out.line(paint(GOOD, "every plant was caught, every benign one was let be")),
        wrong => cx.out.line(paint(BAD, format_args!("{wrong} not as it should be"))),
    }
}

fn row(fate: &Fate) -> [String; 11] {
    let kind = match fate.kind {
        Kind::Bug => "plant",
        Kind::Benign => "benign",
        Kind::Sync => "sync",
    };
    let result = match (&fate.caught, fate.kind) {
        (Some(caught), _) if !caught.replays => "caught, NO REPLAY".to_owned(),
        (Some(_), Kind::Benign) => "FALSE ALARM".to_owned(),
        (Some(_), _) => "caught".to_owned(),
        (None, _) if fate.trouble.is_some() => fate.trouble.clone().unwrap_or_default(),
        (None, Kind::Benign) => "silent".to_owned(),
        (None, _) => format!("NOT CAUGHT in {} seeds", fate.seeds),
    };
    let of = |text: &dyn Fn(&Caught) -> String| fate.caught.as_ref().map(text).unwrap_or_default();
    [
        fate.scenario.to_owned(),
        kind.to_owned(),
        fate.name.clone(),
        result,
        fate.seeds.to_string(),
        fate.checks.to_string(),
        of(&|caught| caught.ops.to_string()),
        of(&|caught| caught.decisions.to_string()),
        of(&|caught| duration(Duration::from_millis(caught.shrink_ms))),
        of(&|caught| caught.severity.unwrap_or_default().to_owned()),
        of(&|caught| seedbed::traces::escape(&caught.law)),
    ]
}
