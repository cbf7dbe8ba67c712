//! `zoo`: do the laws catch what they are there for, where, and how soon? Each planted bug, each
//! benign twin, and each sync left out, by sweep and by exploration, against what is declared.

use std::sync::Arc;
use std::time::Duration;

use seedbed::explore::{Exploration, ExploreProgress, Finding, explore};
use seedbed::faults::{Plan, Profile, Rule};
use seedbed::traces::{Trace, Verdict, escape};
use seedbed::{Scenario, ShrinkLimits, Sweep, give_back, record, replay, shrink};
use serde::Serialize;

use crate::args::ZooArgs;
use crate::clock::Watch;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::lookup;
use crate::output::{BAD, GOOD, NOTE, paint};
use crate::progress::Meter;
use crate::settings::{check_seeds, jobs, plan_name};
use crate::sites::discover;
use crate::tables::{duration, numbers, print, table};

/// Lengths of the explored sequences; how many of them is what the command line bounds.
const LENGTH_MAX: u32 = 4;
/// A report that names no more persist nodes than this can be read at a glance.
const NODES_FEW: u64 = 3;

/// Something that is wrong on purpose.
struct Specimen<'a> {
    scenario: &'a dyn Scenario,
    kind: Kind,
    name: String,
    /// The laws that it may break; empty if nobody has said.
    breaks: &'static [&'static str],
    /// The most realistic profile on which it shows, if somebody has said.
    declared: Option<Profile>,
    /// Why it may show on a more realistic one as well.
    left_open: &'static str,
    /// The plan to look for it under; `None` if it declares one that is no preset.
    plan: Option<Plan>,
}

impl Specimen<'_> {
    /// Whether nothing is expected to show under a profile, or under all.
    fn is_expected_silent(&self, profile: Option<Profile>) -> bool {
        let place = |wanted: Profile| severities().position(|profile| *profile == wanted);
        match (self.kind, self.declared) {
            (Kind::Benign, _) | (Kind::Sync, None) => true,
            (Kind::Bug, None) => false,
            (_, Some(declared)) => {
                self.left_open.is_empty() && profile.and_then(place) < place(declared)
            }
        }
    }
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
    declared: Option<&'static str>,
    /// Seeds and explored cases without a violation.
    silent_seeds: u64,
    silent_cases: u64,
    caught: Option<Caught>,
    /// What is not as it was declared.
    wrong: Option<String>,
    /// Why there is no answer: the testbed failed, or the user ended it.
    trouble: Option<String>,
}

/// How it was caught on the most realistic profile on which it shows.
#[derive(Serialize)]
struct Caught {
    severity: &'static str,
    swept: Option<BySweep>,
    explored: Option<ByExploration>,
}

#[derive(Serialize)]
struct BySweep {
    seed: u64,
    /// Seeds and checked recoveries up to it, and how long that took.
    seeds: u64,
    checks: u64,
    wall_ms: u64,
    law: String,
    /// Operations and decisions of the shrunk trace.
    ops: usize,
    decisions: usize,
    shrink_ms: u64,
    /// Whether the shrunk trace, run again, is the same run.
    replays: bool,
    /// Persist nodes that have to be lost.
    nodes: u64,
}

#[derive(Serialize)]
struct ByExploration {
    /// Cases up to it, and how long that took.
    cases: u64,
    wall_ms: u64,
    law: String,
    /// Whether there is a trace. Without one it was found all the same, but only here.
    replays: bool,
    /// Persist nodes that have to be lost.
    nodes: u64,
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
    let what = Sweep { jobs: jobs(args.jobs)?, ..Sweep::new(args.seeds.range(), Plan::default()) };
    let scenarios: Vec<&dyn Scenario> = match &args.scenario {
        Some(name) => vec![lookup::scenario(cx.scenarios, name)?],
        None => cx.scenarios.iter().map(|scenario| &**scenario).collect(),
    };
    let mut specimens = Vec::new();
    for scenario in scenarios {
        let plan = Plan::load(&plan_name(scenario, args.faults.as_deref()))?;
        let plan = Plan { run: None, ..plan };
        specimens.extend(specimens_of(scenario, args.plant.as_deref(), &plan)?);
    }
    if specimens.is_empty() {
        let message = "there is nothing in the zoo: no plants and no syncs";
        return Err(Failure::new(Exit::NothingSelected, message));
    }
    let seeds = args.seeds.end - args.seeds.start;
    let total = seeds.saturating_mul(specimens.len() as u64);
    let mut meter = Meter::new(cx.show(args.quiet), total);
    let mut fates = Vec::new();
    for specimen in &specimens {
        let mut watcher = Watcher { cx: &mut *cx, meter: &mut meter, specimen, what: &what, args };
        fates.push(watcher.observe());
        if cx.is_stopped() {
            break;
        }
    }
    meter.finish();
    let exit = exit_of(&fates, cx.is_stopped());
    if args.json {
        let interrupted = cx.is_stopped();
        cx.out.json(&ZooJson { specimens: &fates, interrupted, exit_code: exit.code() });
    } else if args.markdown {
        markdown(cx, &fates);
    } else {
        tell(cx, &fates);
    }
    Ok(exit)
}

/// All of a scenario's, or the one plant that is asked for.
fn specimens_of<'a>(
    scenario: &'a dyn Scenario,
    only: Option<&str>,
    plan: &Plan,
) -> Result<Vec<Specimen<'a>>, Failure> {
    let plan_of = |own: Option<&str>| own.map_or(Some(plan.clone()), Plan::preset);
    if let Some(name) = only {
        lookup::plant(scenario, name)?;
    }
    let plants = scenario.plants().into_iter().map(|plant| Specimen {
        scenario,
        kind: if plant.benign { Kind::Benign } else { Kind::Bug },
        name: plant.name.to_owned(),
        breaks: plant.breaks,
        declared: plant.severity,
        left_open: plant.left_open,
        plan: plan_of(plant.plan),
    });
    let plants: Vec<_> =
        plants.filter(|plant| only.is_none_or(|name| name == plant.name)).collect();
    if only.is_some() || !scenario.has_own_syncs() {
        return Ok(plants);
    }
    let mut sites: Vec<_> = discover(scenario).into_iter().map(|site| site.site).collect();
    sites.dedup();
    let file = |site: &str| {
        let path = site.rsplit_once(':').map_or(site, |(path, _)| path);
        path.rsplit('/').next().unwrap_or(path).to_owned()
    };
    let declared = |at: usize| {
        let nth = sites[..at].iter().filter(|site| file(site) == file(&sites[at])).count();
        let known = |sync: &&seedbed::SyncInfo| sync.file == file(&sites[at]) && sync.nth == nth;
        scenario.syncs().iter().find(known)
    };
    let sync = |(at, name): (usize, &String)| Specimen {
        scenario,
        kind: Kind::Sync,
        name: name.clone(),
        breaks: &[],
        declared: declared(at).map(|sync| sync.severity),
        left_open: "",
        plan: plan_of(declared(at).and_then(|sync| sync.plan)),
    };
    let syncs: Vec<_> = sites.iter().enumerate().map(sync).collect();
    Ok(plants.into_iter().chain(syncs).collect())
}

/// Looks at one specimen.
struct Watcher<'w, 'c, 'a> {
    cx: &'w mut Context<'c>,
    meter: &'w mut Meter,
    specimen: &'w Specimen<'a>,
    what: &'w Sweep,
    args: &'w ZooArgs,
}

impl Watcher<'_, '_, '_> {
    fn observe(&mut self) -> Fate {
        let Specimen { scenario, kind, ref name, declared, .. } = *self.specimen;
        let mut fate = Fate {
            scenario: scenario.name(),
            kind,
            name: name.clone(),
            declared: declared.map(|profile| profile.name),
            silent_seeds: 0,
            silent_cases: 0,
            caught: None,
            wrong: None,
            trouble: None,
        };
        match kind {
            // All profiles of the plan at once, and of an exploration.
            Kind::Benign => self.catch(&mut fate, None),
            Kind::Bug | Kind::Sync => {
                for profile in severities() {
                    self.catch(&mut fate, Some(*profile));
                    if fate.caught.is_some() || fate.trouble.is_some() {
                        break;
                    }
                }
            }
        }
        fate.wrong = self.judge(&fate);
        fate
    }

    /// Sweeps and explores under one profile, or under all.
    fn catch(&mut self, fate: &mut Fate, profile: Option<Profile>) {
        let swept = self.sweep(fate, profile);
        let explored = self.explore(fate, profile);
        if self.cx.is_stopped() && swept.is_none() {
            fate.trouble.get_or_insert("interrupted".to_owned());
        }
        if swept.is_some() || explored.is_some() {
            let severity = profile.map_or("any", |profile| profile.name);
            fate.caught = Some(Caught { severity, swept, explored });
        }
    }

    fn sweep(&mut self, fate: &mut Fate, profile: Option<Profile>) -> Option<BySweep> {
        let Specimen { scenario, kind, ref name, .. } = *self.specimen;
        let Some(mut plan) = self.specimen.plan.clone() else {
            fate.trouble = Some("it declares a plan that is no preset".to_owned());
            return None;
        };
        let mut what = self.what.clone();
        if self.specimen.is_expected_silent(profile) {
            let most = self.args.silent_seeds.unwrap_or(u64::MAX);
            what.seeds.end = what.seeds.end.min(what.seeds.start.saturating_add(most));
        }
        plan.disk.profiles = profile.map_or(plan.disk.profiles, |profile| vec![profile]);
        match kind {
            Kind::Bug | Kind::Benign => what.plant = Some(name.clone()),
            Kind::Sync => plan.rules.insert(0, Rule::omit_sync(name.as_str())),
        }
        what.plan = Arc::new(plan);
        let label = format!("{} {name}", scenario.name());
        let (swept, wall) =
            self.meter.sweep(&label, scenario, &what, self.cx.stop, &mut self.cx.err);
        if let Some((seed, reason)) = swept.internal.first() {
            fate.trouble = Some(format!("seed {seed}: {reason}"));
        }
        let Some(found) = swept.found.first() else {
            fate.silent_seeds += swept.seeds;
            return None;
        };
        let trace = record(scenario, &what.job(found.seed));
        let caught = self.shrink(found.seed, trace);
        let (seeds, checks, wall_ms) = (swept.seeds, swept.stats.checks, ms(wall));
        Some(BySweep { seeds, checks, wall_ms, ..caught })
    }

    /// Shrinks a violation and replays what is left; then counts what has to be lost.
    fn shrink(&self, seed: u64, trace: Trace) -> BySweep {
        let watch = Watch::start();
        let limits = ShrinkLimits { runs_max: self.args.shrink_runs, stop: self.cx.stop };
        let scenario = self.specimen.scenario;
        let shrunk = match limits.runs_max {
            0 => None,
            _ => shrink(scenario, &trace, &limits).ok(),
        };
        let trace = shrunk.map_or(trace, |shrunk| shrunk.trace);
        let law = match &trace.end.verdict {
            Verdict::Violation { law, .. } => law.clone(),
            _ => "(its recorded run broke no law)".to_owned(),
        };
        let replays = replay(scenario, &trace).is_ok_and(|replayed| replayed.is_same());
        let nodes = give_back(scenario, &trace, &limits).map_or(u64::MAX, |least| least.lost);
        let decisions = trace.decisions.iter().filter(|decision| decision.value != 0).count();
        let ops = trace.workload.ops.len();
        let shrink_ms = ms(watch.elapsed());
        let (seeds, checks, wall_ms) = (0, 0, 0);
        BySweep { seed, seeds, checks, wall_ms, law, ops, decisions, shrink_ms, replays, nodes }
    }

    fn explore(&self, fate: &mut Fate, profile: Option<Profile>) -> Option<ByExploration> {
        let Specimen { scenario, kind, ref name, .. } = *self.specimen;
        let profiles = profile.map_or(Profile::FIVE.to_vec(), |profile| vec![profile]);
        let rules = match kind {
            Kind::Sync => vec![Rule::omit_sync(name.as_str())],
            _ => Vec::new(),
        };
        let what = Exploration {
            length_max: LENGTH_MAX,
            cases_max: self.args.cases.saturating_mul(profiles.len() as u64),
            profiles,
            jobs: self.what.jobs,
            plant: (kind != Kind::Sync).then(|| name.clone()),
            rules,
            ..Exploration::default()
        };
        if what.cases_max == 0 || self.cx.is_stopped() {
            return None;
        }
        let watch = Watch::start();
        let explored = explore(scenario, &what, &ExploreProgress::default())?;
        let Some(finding) = explored.found.first() else {
            fate.silent_cases += explored.done;
            return None;
        };
        let Finding { number, violation, trace, .. } = finding;
        let replays = trace
            .as_ref()
            .is_none_or(|trace| replay(scenario, trace).is_ok_and(|replayed| replayed.is_same()));
        Some(ByExploration {
            cases: number + 1,
            wall_ms: ms(watch.elapsed()),
            law: violation.law.clone(),
            replays,
            nodes: finding.nodes() as u64,
        })
    }

    /// What is not as it was declared.
    fn judge(&self, fate: &Fate) -> Option<String> {
        let Some(caught) = &fate.caught else {
            let missing = fate.kind == Kind::Bug || self.specimen.declared.is_some();
            return (missing && fate.trouble.is_none()).then(|| "not caught".to_owned());
        };
        if fate.kind == Kind::Benign {
            return Some("a false alarm".to_owned());
        }
        if !caught.replays() {
            return Some("its trace does not replay".to_owned());
        }
        let is_new = |law: &&str| !self.specimen.breaks.contains(law);
        let mut laws = caught.laws().into_iter();
        if let (false, Some(law)) = (self.specimen.breaks.is_empty(), laws.find(is_new)) {
            return Some(format!("it breaks another law than declared: {law}"));
        }
        let declared = self.specimen.declared?.name;
        (declared != caught.severity && self.specimen.left_open.is_empty())
            .then(|| format!("declared for {declared}, shows on {}", caught.severity))
    }
}

/// The profiles by which severity is judged, the most realistic first. What only shows on less than
/// POSIX promises shows nowhere: no engine has to survive that.
fn severities() -> impl Iterator<Item = &'static Profile> {
    Profile::ALL.iter().filter(|profile| ![Profile::RAW, Profile::ADVERSARIAL].contains(profile))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Caught {
    /// Persist nodes of the smaller report.
    fn nodes(&self) -> u64 {
        let swept = self.swept.as_ref().map(|caught| caught.nodes);
        let explored = self.explored.as_ref().map(|caught| caught.nodes);
        swept.into_iter().chain(explored).min().unwrap_or(u64::MAX)
    }

    /// How long the faster one took.
    fn wall_ms(&self) -> u64 {
        let swept = self.swept.as_ref().map(|caught| caught.wall_ms);
        let explored = self.explored.as_ref().map(|caught| caught.wall_ms);
        swept.into_iter().chain(explored).min().unwrap_or(u64::MAX)
    }

    fn laws(&self) -> Vec<&str> {
        let swept = self.swept.as_ref().map(|caught| caught.law.as_str());
        let explored = self.explored.as_ref().map(|caught| caught.law.as_str());
        let mut laws: Vec<_> = swept.into_iter().chain(explored).collect();
        laws.dedup();
        laws
    }

    fn replays(&self) -> bool {
        self.swept.as_ref().is_none_or(|caught| caught.replays)
            && self.explored.as_ref().is_none_or(|caught| caught.replays)
    }
}

fn exit_of(fates: &[Fate], stopped: bool) -> Exit {
    if fates.iter().any(|fate| fate.wrong.is_some()) {
        Exit::Violation
    } else if stopped {
        Exit::Inconclusive
    } else if fates.iter().any(|fate| fate.trouble.is_some()) {
        Exit::Internal
    } else {
        Exit::Fine
    }
}

fn tell(cx: &mut Context<'_>, fates: &[Fate]) {
    let mut zoo = table(&[
        "scenario",
        "kind",
        "name",
        "result",
        "seeds",
        "cases",
        "time",
        "ops",
        "decisions",
        "nodes",
        "declared",
        "shows on",
        "law",
    ]);
    fates.iter().for_each(|fate| {
        zoo.add_row(row(fate));
    });
    numbers(&mut zoo, &[0, 1, 2, 3, 10, 11, 12]);
    print(&mut cx.out, &zoo);
    tell_sizes(cx, fates);
    for Fate { scenario, name, wrong, .. } in fates {
        if let Some(wrong) = wrong {
            cx.out.line(paint(BAD, format_args!("{scenario} {name}: {}", escape(wrong))));
        }
    }
    match fates.iter().filter(|fate| fate.wrong.is_some()).count() {
        0 if cx.is_stopped() => cx.err.line(paint(NOTE, "interrupted")),
        0 => cx.out.line(paint(GOOD, "every plant was caught, every benign one was let be")),
        wrong => cx.out.line(paint(BAD, format_args!("{wrong} not as it should be"))),
    }
}

/// The table as books have it: what depends on the machine is left out.
fn markdown(cx: &mut Context<'_>, fates: &[Fate]) {
    /// Which cells of a row, and what they are called.
    const COLUMNS: [(usize, &str); 10] = [
        (2, "name"),
        (1, "kind"),
        (3, "result"),
        (4, "seeds"),
        (5, "cases"),
        (7, "ops"),
        (8, "decisions"),
        (9, "nodes"),
        (12, "law"),
        (11, "shows on"),
    ];
    cx.out.line(format_args!("| {} |", COLUMNS.map(|(_, name)| name).join(" | ")));
    cx.out.line(format_args!("|{}", "---|".repeat(COLUMNS.len())));
    for fate in fates {
        let row = row(fate);
        let cells = COLUMNS.map(|(cell, name)| match name {
            "name" => format!("`{}`", row[cell]),
            _ => row[cell].clone(),
        });
        cx.out.line(format_args!("| {} |", cells.join(" | ")));
    }
}

/// How small the reports are, and how long the slowest took.
fn tell_sizes(cx: &mut Context<'_>, fates: &[Fate]) {
    let caught: Vec<_> =
        fates.iter().filter_map(|fate| Some((fate, fate.caught.as_ref()?))).collect();
    let few = caught.iter().filter(|(_, caught)| caught.nodes() <= NODES_FEW).count();
    if let Some((slowest, how)) = caught.iter().max_by_key(|(_, caught)| caught.wall_ms()) {
        let wall = duration(Duration::from_millis(how.wall_ms()));
        let (all, percent) = (caught.len(), 100 * few / caught.len());
        cx.out.line(format_args!(
            "at most {NODES_FEW} persist nodes: {few} of {all} ({percent} %); slowest: {} ({wall})",
            slowest.name
        ));
    }
}

fn row(fate: &Fate) -> [String; 13] {
    let kind = match fate.kind {
        Kind::Bug => "plant",
        Kind::Benign => "benign",
        Kind::Sync => "sync",
    };
    let result = match (&fate.caught, fate.kind) {
        (Some(_), Kind::Benign) => "FALSE ALARM".to_owned(),
        (Some(_), _) if fate.wrong.is_some() => "caught, NOT AS DECLARED".to_owned(),
        (Some(_), _) => "caught".to_owned(),
        (None, _) if fate.trouble.is_some() => fate.trouble.clone().unwrap_or_default(),
        (None, Kind::Benign) => "silent".to_owned(),
        (None, Kind::Sync) if fate.wrong.is_none() => "not needed".to_owned(),
        (None, _) => "NOT CAUGHT".to_owned(),
    };
    let swept = fate.caught.as_ref().and_then(|caught| caught.swept.as_ref());
    let explored = fate.caught.as_ref().and_then(|caught| caught.explored.as_ref());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let silent = |count: u64| fate.caught.is_none().then(|| count.to_string());
    let caught = |text: &dyn Fn(&Caught) -> String| fate.caught.as_ref().map(text);
    [
        fate.scenario.to_owned(),
        kind.to_owned(),
        fate.name.clone(),
        result,
        or_dash(swept.map(|by| by.seeds.to_string()).or_else(|| silent(fate.silent_seeds))),
        or_dash(explored.map(|by| by.cases.to_string()).or_else(|| silent(fate.silent_cases))),
        caught(&|caught| duration(Duration::from_millis(caught.wall_ms()))).unwrap_or_default(),
        swept.map(|by| by.ops.to_string()).unwrap_or_default(),
        swept.map(|by| by.decisions.to_string()).unwrap_or_default(),
        caught(&|caught| caught.nodes().to_string()).unwrap_or_default(),
        fate.declared.unwrap_or_default().to_owned(),
        caught(&|caught| caught.severity.to_owned()).unwrap_or_default(),
        caught(&|caught| escape(&caught.laws().join(", ")).to_string()).unwrap_or_default(),
    ]
}
