//! `explore`: every crash image of short workloads.

mod report;
mod run;
mod state;

use std::path::{Path, PathBuf};

use seedbed::Scenario;
use seedbed::disk::Bounds;
use seedbed::explore::{Exploration, Explored, Finding};
use seedbed::faults::{Profile, Rule};

use crate::args::{BoundArgs, ExploreArgs};
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::finding::write;
use crate::lookup;
use crate::settings::jobs;
use crate::tables::grouped;

use report::{ExploreJson, conclude, report, tell};
use run::run;
use state::Saved;

/// Lengths of sequences when nobody says how long.
const LENGTH: u32 = 2;

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
        jobs: jobs(args.jobs)?,
        ..Exploration::default()
    })
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

/// What an exhaustive answer is about.
pub(crate) fn bound(what: &Exploration) -> String {
    let profiles: Vec<_> = what.profiles.iter().map(|profile| profile.name).collect();
    let failures = match what.failures {
        true => ", without a failing call and with each one failing",
        false => "",
    };
    let seeds = match what.seeds.is_empty() {
        true => String::new(),
        false => format!(", the workloads of seeds {}..{}", what.seeds.start, what.seeds.end),
    };
    format!(
        "every legal set of persist nodes, with each tear of one write, before every disk \
         operation; all sequences of up to {} operations{seeds}{failures}; {} crashes in a row up \
         to length {}, going on with the work in between up to length {}; profiles {}",
        what.length_max,
        what.depth,
        what.deep_length_max,
        what.work_length_max,
        profiles.join(", ")
    )
}
