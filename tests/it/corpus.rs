//! The corpus: small traces of planted bugs and of syncs left out, kept as files. Each must still
//! break its law and replay event for event.
//!
//! After a change of the engine or the simulator that is meant to change runs, write them anew:
//! `UPDATE_CORPUS=1 cargo test -p seedbed-tests corpus`, and look at the difference.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use seedbed::faults::{Plan, Rule};
use seedbed::traces::{Trace, Verdict};
use seedbed::{Progress, Scenario, ShrinkLimits, Sweep, shrink, sweep};

/// Seeds in which a trace for the corpus is looked for.
const SEEDS: u64 = 3000;
/// So many seeds are tried for a trace that is short enough.
const SHRUNK_MAX: usize = 4;
/// Events of a trace that is kept.
const EVENTS_MAX: usize = 10_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/corpus")
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("traces/corpus is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "trace"));
    files.sort();
    files
}

#[test]
fn every_trace_of_the_corpus_still_breaks_its_law() {
    if std::env::var_os("UPDATE_CORPUS").is_some() {
        update();
    }
    let files = files();
    assert!(files.len() >= 14, "the corpus has only {} traces", files.len());
    let mut scenarios = seedbed_scenarios::all();
    scenarios.extend(seedbed_scenarios::patterns());
    for path in files {
        let trace = Trace::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let scenario = scenarios.iter().find(|s| s.name() == trace.header.scenario);
        let scenario = scenario.unwrap_or_else(|| panic!("{}: no scenario", path.display()));
        let replayed = seedbed::replay(&**scenario, &trace).expect("a plan of ours");
        let Verdict::Violation { law, .. } = &trace.end.verdict else {
            panic!("{}: breaks no law", path.display());
        };
        let now = replayed.outcome.violation().map(|violation| violation.law.as_str());
        assert_eq!(now, Some(law.as_str()), "{}", path.display());
        assert!(
            replayed.is_same(),
            "{}: same law, but the run differs; if that is meant, UPDATE_CORPUS=1:\n{}",
            path.display(),
            replayed.diff
        );
    }
}

/// Looks for every plant again and writes its smallest trace.
fn update() {
    for scenario in seedbed_scenarios::all() {
        for plant in scenario.plants().iter().filter(|plant| !plant.benign) {
            let plan = crate::zoo::plan_of(&*scenario, plant);
            write(&*scenario, plan, Some(plant.name), plant.name);
        }
        if !scenario.has_own_syncs() {
            continue;
        }
        // A sync left out, as the command line does it; the site's line is part of the trace.
        let mut plan = Plan::preset("crashes").expect("a preset");
        plan.rules.push(Rule::omit_sync("checkpoint.rs"));
        write(&*scenario, plan, None, "no_sync_in_checkpoint");
    }
    for pattern in seedbed_scenarios::patterns() {
        let plan = crate::patterns::corpus_plan(&*pattern);
        for plant in pattern.plants() {
            write(&*pattern, plan.clone(), Some(plant.name), plant.name);
        }
    }
}

fn write(scenario: &dyn Scenario, plan: Plan, plant: Option<&str>, name: &str) {
    let plant = plant.map(str::to_owned);
    let mut planted = Sweep { plant, jobs: 2, ..Sweep::new(0..SEEDS, plan) };
    planted.violations_max = SHRUNK_MAX;
    let swept = sweep(scenario, &planted, &Progress::default());
    assert!(!swept.found.is_empty(), "{name} is not caught");
    let path = folder().join(format!("{}-{name}.trace", scenario.name()));
    let stop = AtomicBool::new(false);
    let limits = ShrinkLimits { runs_max: 10_000, stop: &stop };
    let mut traces = swept.found.iter().map(|found| {
        let trace = seedbed::record(scenario, &planted.job(found.seed));
        shrink(scenario, &trace, &limits).expect("it breaks a law").trace
    });
    // What never ends by itself makes long traces, however small what it is made of.
    match traces.find(|trace| trace.events.len() <= EVENTS_MAX) {
        Some(trace) => trace.write(&path).expect("traces/corpus can be written"),
        None => {
            println!("{name}: all traces are longer than {EVENTS_MAX} events, none is kept");
            drop(std::fs::remove_file(&path));
        }
    }
}
