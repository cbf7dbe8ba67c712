//! `explore`: every legal crash image of short workloads.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use seedbed::Scenario;
use seedbed::disk::{Bounds, NodeOp};
use seedbed::explore::{
    Coverage, Exploration, ExploreProgress, Explored, Finding, Lost, Phase, Relaxation, Sequence,
    Tally, explore as go,
};
use seedbed::faults::{Profile, Rule};
use seedbed::traces::escape;
use serde::{Deserialize, Serialize};

use crate::args::{BoundArgs, ExploreArgs};
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::finding::{quote, write};
use crate::lookup;
use crate::output::{BAD, GOOD, HEAD, NOTE, paint};
use crate::progress::{follow, per_second};
use crate::settings::jobs;
use crate::tables::{duration, grouped, numbers, print, table};

/// Lengths of sequences when nobody says how long.
const LENGTH: u32 = 2;
/// With a state file: cases between two writes of it.
const CASES_PER_STATE: u64 = 400;

/// Explores one scenario.
pub(crate) fn explore(cx: &mut Context<'_>, args: &ExploreArgs) -> Result<Exit, Failure> {
    let scenario = lookup::scenario(cx.scenarios, &args.scenario)?;
    let what = exploration(scenario, args)?;
    let mut saved = match &args.state {
        Some(path) => Saved::load(path, scenario.name(), &what)?,
        None => Saved::new(scenario.name(), &what),
    };
    let first_case = saved.done;
    let (mut explored, wall) = run(cx, scenario, &what, &mut saved, args)?;
    explored.tally = saved.tally;
    let traces: Vec<_> = explored
        .found
        .iter()
        .map(|finding| keep_trace(scenario.name(), finding, &args.traces))
        .collect();
    let exit = exit_of(&explored, args);
    if args.bounds.json {
        let json = ExploreJson::new(scenario, args, &what, (&explored, &traces, wall), exit);
        cx.out.json(&json);
        return Ok(exit);
    }
    for (finding, trace) in explored.found.iter().zip(&traces) {
        report(cx, scenario, finding, trace);
    }
    if !args.bounds.quiet {
        if first_case > 0 {
            cx.out.line(format_args!("continued after case {}", grouped(first_case)));
        }
        tell(cx, &explored, wall);
    }
    conclude(cx, &explored, &what, args);
    Ok(exit)
}

fn exploration(scenario: &dyn Scenario, args: &ExploreArgs) -> Result<Exploration, Failure> {
    if let Some(plant) = &args.target.plant {
        lookup::plant(scenario, plant)?;
    }
    let omitted = args.target.omit_sync.iter().map(Rule::omit_sync);
    let rules: Vec<Rule> = omitted.chain(args.weaken_sync.iter().map(Rule::weaken_sync)).collect();
    for rule in &rules {
        rule.compile().map_err(|error| Failure::usage(format!("a sync's site: {error}")))?;
    }
    Ok(Exploration {
        seeds: args.seeds.map_or(0..0, |seeds| seeds.range()),
        plant: args.target.plant.clone(),
        rules,
        violations_max: args.max_violations,
        ..bounded(scenario, &args.bounds, LENGTH)?
    })
}

/// An exploration within these bounds.
pub(crate) fn bounded(
    scenario: &dyn Scenario,
    args: &BoundArgs,
    length: u32,
) -> Result<Exploration, Failure> {
    let Some(explorer) = scenario.explorer() else {
        let message = format!(
            "{} cannot be explored: its testbed does not implement Explore",
            scenario.name()
        );
        return Err(Failure::new(Exit::NothingSelected, message));
    };
    let known: Vec<_> = explorer.settings().iter().map(|setting| setting.name).collect();
    for name in &args.setting {
        if !known.contains(&name.as_str()) {
            let kind = format!("setting of {}", scenario.name());
            return Err(lookup::unknown(&kind, name, &known));
        }
    }
    let profiles = match args.profile.is_empty() {
        true => Profile::FIVE.to_vec(),
        false => args.profile.clone(),
    };
    Ok(Exploration {
        length_max: args.length.unwrap_or(length),
        settings: args.setting.clone(),
        profiles,
        depth: args.depth,
        deep_length_max: args.deep_length,
        work_length_max: args.work_length,
        bounds: Bounds { images: args.images, ..Bounds::default() },
        jobs: jobs(args.jobs)?,
        ..Exploration::default()
    })
}

/// Explores to the end, or in pieces with the state written after each.
fn run(
    cx: &mut Context<'_>,
    scenario: &dyn Scenario,
    what: &Exploration,
    saved: &mut Saved,
    args: &ExploreArgs,
) -> Result<(Explored, Duration), Failure> {
    let (mut all, mut wall) = (Explored::default(), Duration::ZERO);
    loop {
        let piece = Exploration {
            first_case: saved.done,
            cases_max: if args.state.is_some() { CASES_PER_STATE } else { u64::MAX },
            ..what.clone()
        };
        let before = saved.tally;
        let (explored, took) = explore_piece(cx, scenario, &piece, &before, args.bounds.quiet);
        wall += took;
        saved.done = explored.done;
        saved.tally.add(&explored.tally);
        let broken = what.violations_max > 0 && !explored.found.is_empty();
        let over = explored.done >= explored.cases || explored.interrupted || broken;
        all.found.extend(explored.found);
        all.inconclusive.extend(explored.inconclusive);
        (all.cases, all.done, all.interrupted) =
            (explored.cases, explored.done, explored.interrupted);
        if let Some(path) = &args.state {
            // The case of a violation is looked at again.
            saved.done -= u64::from(broken);
            saved.store(path)?;
        }
        if over {
            return Ok((all, wall));
        }
    }
}

fn explore_piece(
    cx: &mut Context<'_>,
    scenario: &dyn Scenario,
    what: &Exploration,
    before: &Tally,
    quiet: bool,
) -> (Explored, Duration) {
    let progress = ExploreProgress::default();
    let look = |elapsed: Duration| {
        let get = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let (cases, total) = (what.first_case + get(&progress.cases), get(&progress.cases_total));
        let (found, checked) = (get(&progress.found), get(&progress.checked));
        let line = format!(
            "{}: {cases}/{total} cases, {} images ({}/s), {} recovered, {} violations",
            scenario.name(),
            grouped(before.found + found),
            grouped(per_second(found, elapsed)),
            grouped(before.checked + checked),
            get(&progress.violations),
        );
        (cases, total.max(1), line)
    };
    let show = cx.show(quiet);
    let work = || go(scenario, what, &progress).unwrap_or_default();
    follow(show, &mut cx.err, (cx.stop, &progress.stop), look, work)
}

fn exit_of(explored: &Explored, args: &ExploreArgs) -> Exit {
    let changed = !args.target.omit_sync.is_empty() || !args.weaken_sync.is_empty();
    if !explored.found.is_empty() {
        Exit::Violation
    } else if explored.interrupted || !explored.inconclusive.is_empty() {
        Exit::Inconclusive
    } else if explored.cases == 0 || changed && explored.tally.omitted == 0 {
        Exit::NothingSelected
    } else {
        Exit::Fine
    }
}

/// Writes a finding's trace.
fn keep_trace(scenario: &str, finding: &Finding, folder: &Path) -> Result<PathBuf, String> {
    let Some(trace) = &finding.trace else {
        let why = "an ordinary run does not come to this image: the workload ends before";
        return Err(why.to_owned());
    };
    let name = format!("{scenario}-explore-{}-case{}.trace", finding.case.profile, finding.number);
    let path = folder.join(name);
    write(trace, &path).map(|()| path)
}

fn report(
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
    }
    if let Some(ordering) = finding.ordering() {
        field(cx, "order", &ordering);
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

fn tell(cx: &mut Context<'_>, explored: &Explored, wall: Duration) {
    let Tally { points, found, pruned, checked, .. } = explored.tally;
    let mut rows = table(&[
        "cases",
        "crash points",
        "images",
        "seen before",
        "recovered",
        "wall",
        "images/s",
        "recoveries/s",
    ]);
    rows.add_row([
        format!("{} of {}", grouped(explored.done), grouped(explored.cases)),
        grouped(points),
        grouped(found),
        grouped(pruned),
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

fn conclude(cx: &mut Context<'_>, explored: &Explored, what: &Exploration, args: &ExploreArgs) {
    for (case, reason) in explored.inconclusive.iter().take(5) {
        cx.err.line(paint(NOTE, format_args!("case {case} has no verdict: {}", escape(reason))));
    }
    if explored.interrupted {
        let (done, cases) = (grouped(explored.done), grouped(explored.cases));
        cx.err.line(paint(NOTE, format_args!("interrupted after {done} of {cases} cases")));
    }
    if exit_of(explored, args) == Exit::NothingSelected {
        let what = "nothing was left out or weakened: `list` shows the sync sites";
        cx.err.line(format_args!("{} {what}", paint(NOTE, "warning:")));
    }
    let extent = match explored.is_exhaustive() {
        true => paint(GOOD, "exhaustive"),
        false if explored.done < explored.cases => paint(NOTE, "not exhaustive: it ended early"),
        false => paint(NOTE, "not exhaustive: some crash points have too many legal sets"),
    };
    cx.out.line(format_args!("{extent}: {}", bound(what)));
    match explored.found.len() {
        0 => cx.out.line(paint(GOOD, "no violation")),
        found => {
            let s = if found == 1 { "" } else { "s" };
            cx.out.line(paint(BAD, format_args!("{found} violation{s}")));
        }
    }
}

/// What an exhaustive answer is about.
pub(crate) fn bound(what: &Exploration) -> String {
    let profiles: Vec<_> = what.profiles.iter().map(|profile| profile.name).collect();
    let seeds = match what.seeds.is_empty() {
        true => String::new(),
        false => format!(", the workloads of seeds {}..{}", what.seeds.start, what.seeds.end),
    };
    format!(
        "every legal set of persist nodes, with each tear of one write, before every disk \
         operation; all sequences of up to {} operations{seeds}; {} crashes in a row up to length \
         {}, going on with the work in between up to length {}; profiles {}",
        what.length_max,
        what.depth,
        what.deep_length_max,
        what.work_length_max,
        profiles.join(", ")
    )
}

/// What a state file holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Saved {
    /// Of this format.
    version: u32,
    /// What is explored, in words: another exploration has another one.
    what: String,
    done: u64,
    tally: Tally,
}

/// Larger state files are something else.
const STATE_BYTES_MAX: u64 = 1 << 20;

impl Saved {
    fn new(scenario: &str, what: &Exploration) -> Self {
        let Exploration { settings, plant, rules, bounds, .. } = what;
        let what = format!(
            "{} {scenario}; {}; settings {settings:?}; plant {plant:?}; rules {rules:?}; \
             {bounds:?}",
            env!("CARGO_PKG_VERSION"),
            bound(what)
        );
        Self { version: 1, what, done: 0, tally: Tally::default() }
    }

    fn load(path: &Path, scenario: &str, what: &Exploration) -> Result<Self, Failure> {
        let fresh = Self::new(scenario, what);
        let refuse = |why: String| {
            let hint = "choose another file with --state, or remove it to start anew";
            Failure::usage(format!("{}: {why}; {hint}", path.display()))
        };
        match fs::metadata(path) {
            Ok(meta) if meta.len() > STATE_BYTES_MAX || !meta.is_file() => {
                return Err(refuse("this is not the state of an exploration".to_owned()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(fresh),
            _ => {}
        }
        let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        let saved: Self = serde_json::from_str(&text)
            .map_err(|error| refuse(format!("not the state of an exploration: {error}")))?;
        if saved.version != fresh.version || saved.what != fresh.what {
            return Err(refuse("it belongs to another exploration".to_owned()));
        }
        Ok(saved)
    }

    /// Writes beside the file and renames, so that a kill leaves the old state or the new.
    fn store(&self, path: &Path) -> Result<(), Failure> {
        let refuse = |error: String| Failure::usage(format!("--state {}: {error}", path.display()));
        let text = serde_json::to_string_pretty(self).map_err(|error| refuse(error.to_string()))?;
        let mut name = path.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        fs::write(&temporary, text).map_err(|error| refuse(error.to_string()))?;
        fs::rename(&temporary, path).map_err(|error| refuse(error.to_string()))
    }
}

#[derive(Serialize)]
struct ExploreJson<'a> {
    scenario: &'a str,
    plant: Option<&'a str>,
    omit_sync: &'a [String],
    weaken_sync: &'a [String],
    profiles: Vec<&'static str>,
    cases: u64,
    done: u64,
    points: u64,
    images: u64,
    pruned: u64,
    checked: u64,
    exhaustive: bool,
    never_exercised: Vec<String>,
    wall_ms: u64,
    violations: Vec<FoundJson<'a>>,
    inconclusive: &'a [(u64, String)],
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
    crashes: &'a [Lost],
    trace: Option<String>,
}

impl<'a> ExploreJson<'a> {
    fn new(
        scenario: &'a dyn Scenario,
        args: &'a ExploreArgs,
        what: &Exploration,
        (explored, traces, wall): (&'a Explored, &[Result<PathBuf, String>], Duration),
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
            crashes: &finding.story,
            trace: trace.as_ref().ok().map(|path| path.to_string_lossy().into_owned()),
        };
        Self {
            scenario: scenario.name(),
            plant: args.target.plant.as_deref(),
            omit_sync: &args.target.omit_sync,
            weaken_sync: &args.weaken_sync,
            profiles: what.profiles.iter().map(|profile| profile.name).collect(),
            cases: explored.cases,
            done: explored.done,
            points: explored.tally.points,
            images: explored.tally.found,
            pruned: explored.tally.pruned,
            checked: explored.tally.checked,
            exhaustive: explored.is_exhaustive(),
            never_exercised: empty_cells(&explored.tally.coverage),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            violations: explored.found.iter().zip(traces).map(found).collect(),
            inconclusive: &explored.inconclusive,
            interrupted: explored.interrupted,
            exit_code: exit.code(),
        }
    }
}
