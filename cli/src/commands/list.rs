//! `list`: what there is to run, to break and to leave out.

use seedbed::Scenario;
use seedbed::faults::presets;
use serde::Serialize;

use crate::args::ListArgs;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::output::{DIM, HEAD, paint};
use crate::sites::{SyncSite, discover};

#[derive(Serialize)]
struct ListJson {
    scenarios: Vec<ScenarioJson>,
    plans: Vec<Named>,
}

#[derive(Serialize)]
struct ScenarioJson {
    name: &'static str,
    about: &'static str,
    plan: &'static str,
    laws: Vec<LawJson>,
    plants: Vec<PlantJson>,
    sync_sites: Vec<SyncSite>,
}

#[derive(Serialize)]
struct LawJson {
    name: &'static str,
    statement: &'static str,
}

#[derive(Serialize)]
struct PlantJson {
    name: &'static str,
    about: &'static str,
    benign: bool,
    met: &'static str,
    breaks: &'static [&'static str],
    severity: Option<&'static str>,
}

#[derive(Serialize)]
struct Named {
    name: &'static str,
    about: &'static str,
}

/// Lists everything.
pub(crate) fn list(cx: &mut Context<'_>, args: &ListArgs) -> Result<Exit, Failure> {
    let scenarios = cx.scenarios.iter().map(|scenario| describe(&**scenario)).collect();
    let plans = presets().map(|plan| Named { name: plan.name, about: plan.about }).collect();
    let list = ListJson { scenarios, plans };
    match args.json {
        true => cx.out.json(&list),
        false => print(cx, &list),
    }
    Ok(Exit::Fine)
}

fn describe(scenario: &dyn Scenario) -> ScenarioJson {
    let law = |law: seedbed::Law| LawJson { name: law.name, statement: law.statement };
    let plant = |plant: seedbed::PlantInfo| {
        let seedbed::PlantInfo { name, about, benign, met, breaks, severity, .. } = plant;
        let severity = severity.map(|profile| profile.name);
        PlantJson { name, about, benign, met, breaks, severity }
    };
    ScenarioJson {
        name: scenario.name(),
        about: scenario.about(),
        plan: scenario.plan(),
        laws: scenario.laws().into_iter().map(law).collect(),
        plants: scenario.plants().into_iter().map(plant).collect(),
        sync_sites: discover(scenario),
    }
}

fn print(cx: &mut Context<'_>, list: &ListJson) {
    for scenario in &list.scenarios {
        cx.out.line(format_args!("{}  {}", paint(HEAD, scenario.name), scenario.about));
        cx.out.line(format_args!("  fault plan unless --faults names one: {}", scenario.plan));
        let laws = scenario.laws.iter().map(|law| (law.name, law.statement.to_owned()));
        section(cx, "laws", &laws.collect::<Vec<_>>());
        let plants = scenario.plants.iter().map(|plant| match plant.benign {
            true => (plant.name, format!("{} {}", plant.about, paint(DIM, "(benign)"))),
            false => (plant.name, plant.about.to_owned()),
        });
        section(cx, "plants (--plant)", &plants.collect::<Vec<_>>());
        let sites = scenario
            .sync_sites
            .iter()
            .map(|site| (site.site.as_str(), format!("{}, called {} times", site.op, site.calls)));
        section(cx, "sync sites (--omit-sync)", &sites.collect::<Vec<_>>());
        cx.out.line("");
    }
    cx.out.line(paint(HEAD, "fault plans (--faults)"));
    let plans: Vec<_> = list.plans.iter().map(|plan| (plan.name, plan.about.to_owned())).collect();
    entries(cx, &plans, 2);
}

fn section(cx: &mut Context<'_>, title: &str, lines: &[(&str, String)]) {
    if !lines.is_empty() {
        cx.out.line(format_args!("  {title}"));
        entries(cx, lines, 4);
    }
}

fn entries(cx: &mut Context<'_>, lines: &[(&str, String)], indent: usize) {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, about) in lines {
        cx.out.line(format_args!("{:indent$}{name:width$}  {about}", ""));
    }
}
