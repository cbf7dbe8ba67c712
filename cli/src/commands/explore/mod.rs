//! `explore`: every crash image of short workloads.

mod report;
mod run;
mod state;
mod vary;

use std::path::{Path, PathBuf};

use seedbed::Scenario;
use seedbed::disk::Bounds;
use seedbed::explore::{Exploration, Explored, Finding, case_count};
use seedbed::faults::{OpKind, Profile, Rule};

use crate::args::{BoundArgs, ExploreArgs};
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::finding::write;
use crate::lookup;
use crate::settings::jobs;
use crate::sites::{SyncSite, discover};
use crate::tables::grouped;

use report::{ExploreJson, conclude, report, tell};
use run::run;
use state::Saved;

/// Lengths of sequences when nobody says how long.
const LENGTH: u32 = 2;

/// Explores one scenario.
pub(crate) fn explore(cx: &mut Context<'_>, args: &ExploreArgs) -> Result<Exit, Failure> {
    let scenario = lookup::scenario(cx.scenarios, &args.scenario)?;
    if let Some(variations) = scenario.variations() {
        return vary::explore(cx, scenario, variations, args);
    }
    let what = exploration(scenario, args)?;
    let mut saved = match &args.state {
        Some(path) => {
            let cases = case_count(scenario, &what).unwrap_or(0);
            Saved::load(path, scenario.name(), &what, cases)?
        }
        None => Saved::default(),
    };
    let first_case = saved.done;
    let (mut explored, wall) = run(cx, scenario, &what, &mut saved, args)?;
    let before = saved.broken;
    explored.tally = saved.tally;
    let traces: Vec<_> = explored
        .found
        .iter()
        .map(|finding| keep_trace(scenario.name(), finding, &args.traces))
        .collect();
    let exit = exit_of(&explored, &before, args);
    if args.bounds.json {
        let json =
            ExploreJson::new(scenario, args, &what, (&explored, &traces, wall), &before, exit);
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
    conclude(cx, scenario, (&explored, &before), (&what, args));
    Ok(exit)
}

fn exploration(scenario: &dyn Scenario, args: &ExploreArgs) -> Result<Exploration, Failure> {
    if let Some(plant) = &args.target.plant {
        lookup::plant(scenario, plant)?;
    }
    let omitted = args.target.omit_sync.iter().map(Rule::omit_sync);
    let rules: Vec<Rule> = omitted.chain(args.weaken_sync.iter().map(Rule::weaken_sync)).collect();
    let judges = scenario.explorer().is_some_and(|explorer| explorer.judges_failures());
    if args.failures > 0 && !judges {
        let message = format!("the laws of {} are not about calls that fail", scenario.name());
        return Err(Failure::new(Exit::NothingSelected, message));
    }
    for rule in &rules {
        rule.compile().map_err(|error| Failure::usage(format!("a sync's site: {error}")))?;
    }
    Ok(Exploration {
        seeds: args.seeds.map_or(0..0, |seeds| seeds.range()),
        plant: args.target.plant.clone(),
        rules,
        failures: args.failures > 0,
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
        unread: !args.no_unread_pruning,
        jobs: jobs(args.jobs)?,
        ..Exploration::default()
    })
}

/// `before` are cases that broke a law in a run that this one goes on from.
fn exit_of(explored: &Explored, before: &[(u64, String)], args: &ExploreArgs) -> Exit {
    let changed = !args.target.omit_sync.is_empty() || !args.weaken_sync.is_empty();
    if !explored.found.is_empty() || !before.is_empty() {
        Exit::Violation
    } else if explored.interrupted || !explored.inconclusive.is_empty() {
        Exit::Inconclusive
    } else if explored.cases == 0 || changed && explored.tally.omitted == 0 {
        Exit::NothingSelected
    } else {
        Exit::Fine
    }
}

/// The options that were to change a sync and did not, with their sites; empty if the exploration
/// ended early, as they might have come later.
fn unmatched<'a>(explored: &Explored, args: &'a ExploreArgs) -> Vec<(&'static str, &'a str)> {
    if explored.done < explored.cases || !explored.found.is_empty() {
        return Vec::new();
    }
    let omitted = args.target.omit_sync.iter().map(|site| ("--omit-sync", &**site));
    let weakened = args.weaken_sync.iter().map(|site| ("--weaken-sync", &**site));
    let sites = omitted.chain(weakened).take(64).enumerate();
    let never = sites.filter(|(rule, _)| explored.tally.rules >> rule & 1 == 0);
    never.map(|(_, site)| site).collect()
}

/// Why nothing came of such an option.
fn why_unmatched(scenario: &dyn Scenario, option: &str, site: &str) -> String {
    let Ok(rule) = Rule::omit_sync(site).compile() else { return "not a site".to_owned() };
    let is_there = |known: &SyncSite| {
        let op = OpKind::ALL.iter().find(|op| op.name() == known.op);
        let place = known.site.rsplit_once(':').and_then(|(f, line)| Some((f, line.parse().ok()?)));
        op.zip(place).is_some_and(|(op, place)| rule.matches(*op, "", place, 0, 0))
    };
    let known: Vec<_> = discover(scenario).into_iter().filter(is_there).collect();
    let weakens = option == "--weaken-sync";
    if known.is_empty() {
        "no sync is known there, `list` shows the sync sites".to_owned()
    } else if weakens && known.iter().all(|site| site.op == OpKind::SyncData.name()) {
        "that is a data sync already".to_owned()
    } else if weakens && known.iter().all(|site| site.op != OpKind::SyncAll.name()) {
        format!("that is a {}, and only a sync_all can be weakened", known[0].op)
    } else {
        "these workloads do not come to that sync, or another option changes it".to_owned()
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

/// What an exhaustive answer is about.
pub(crate) fn bound(what: &Exploration) -> String {
    let profiles: Vec<_> = what.profiles.iter().map(|profile| profile.name).collect();
    let settings = match what.settings.is_empty() {
        true => "all settings".to_owned(),
        false => format!("settings {}", what.settings.join(", ")),
    };
    let failures = match what.failures {
        true => {
            ", without a failing call and with each one failing, where a write came to nothing, \
             one byte, all but one byte, or everything"
        }
        false => "",
    };
    format!(
        "every legal set of persist nodes, with each tear of one write, before every disk \
         operation; {}{failures}; {} crashes in a row up to length {}, going on with the work in \
         between up to length {}; {settings}; profiles {}",
        workloads(what),
        what.depth,
        what.deep_length_max,
        what.work_length_max,
        profiles.join(", ")
    )
}

fn workloads(what: &Exploration) -> String {
    let seeds = || format!("the workloads of seeds {}..{}", what.seeds.start, what.seeds.end);
    let sequences = || format!("all sequences of up to {} operations", what.length_max);
    match (what.length_max > 0, !what.seeds.is_empty()) {
        (true, true) => format!("{}, {}", sequences(), seeds()),
        (true, false) => sequences(),
        (false, true) => seeds(),
        (false, false) => "no workloads".to_owned(),
    }
}
