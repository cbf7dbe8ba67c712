//! Every law has a must-fail twin: each planted bug is caught, its trace replays, shrinks and still
//! breaks the same law; the benign twins stay silent. Sync sites are left out one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use seedbed::faults::{Plan, Profile, Rule};
use seedbed::traces::{Trace, Verdict};
use seedbed::{
    Found, PlantInfo, Progress, Scenario, ShrinkLimits, Sweep, give_back, shrink, sweep,
};

/// Seeds within which a plant must be caught.
const SEEDS: u64 = 3000;
/// Seeds in which a benign twin must be let be; `.ci/run` has twice as many.
const BENIGN_SEEDS: u64 = 500;
/// Decisions that a shrunk trace may have, in nine cases of ten.
const DECISIONS_MAX: usize = 20;
/// Persist nodes that a violation may have to lose, in nineteen cases of twenty.
const NODES_MAX: u64 = 3;

/// The plan of a scenario.
fn own_plan(scenario: &dyn Scenario) -> Plan {
    Plan::preset(scenario.plan()).expect("a preset")
}

/// The plan under which a plant is looked for.
pub(crate) fn plan_of(scenario: &dyn Scenario, plant: &PlantInfo) -> Plan {
    Plan::preset(plant.plan.unwrap_or(scenario.plan())).expect("a preset")
}

fn first_violation(
    scenario: &dyn Scenario,
    plan: Plan,
    plant: Option<&str>,
    seeds: u64,
) -> Option<Found> {
    let planted = Sweep { plant: plant.map(str::to_owned), jobs: 2, ..Sweep::new(0..seeds, plan) };
    sweep(scenario, &planted, &Progress::default()).found.into_iter().next()
}

fn law_of(trace: &Trace) -> &str {
    match &trace.end.verdict {
        Verdict::Violation { law, .. } => law,
        _ => "none",
    }
}

/// Replays, shrinks and replays again; gives the number of decisions that are left, and of persist
/// nodes that have to be lost.
fn replays_and_shrinks(scenario: &dyn Scenario, trace: &Trace, what: &str) -> (usize, u64) {
    let replayed = seedbed::replay(scenario, trace).expect("a plan of ours");
    assert!(replayed.is_same(), "{what} does not replay: {:?}", replayed.diff);
    let stop = AtomicBool::new(false);
    let limits = ShrinkLimits { runs_max: 1000, stop: &stop };
    let small = shrink(scenario, trace, &limits).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(law_of(&small.trace), law_of(trace), "{what}: shrinking keeps the law");
    let again = seedbed::replay(scenario, &small.trace).expect("a plan of ours");
    assert!(again.is_same(), "{what}: the shrunk trace does not replay: {:?}", again.diff);
    assert!(small.after <= small.before);
    let least = give_back(scenario, &small.trace, &limits).expect("it breaks a law");
    assert_eq!(law_of(&least.trace), law_of(trace), "{what}: giving back keeps the law");
    let again = seedbed::replay(scenario, &least.trace).expect("a plan of ours");
    assert!(again.is_same(), "{what}: what lost less does not replay: {:?}", again.diff);
    (small.after.1, least.lost)
}

#[test]
fn every_planted_bug_is_caught_replays_and_shrinks() {
    for scenario in seedbed_scenarios::all() {
        let plants = scenario.plants();
        let bugs: Vec<_> = plants.iter().filter(|plant| !plant.benign).collect();
        assert!(bugs.len() >= 6, "{} has too few planted bugs", scenario.name());
        // Shrinking takes one thread.
        let next = AtomicUsize::new(0);
        let caught = std::thread::scope(|scope| {
            let work = || {
                let mine = || bugs.get(next.fetch_add(1, Ordering::Relaxed));
                std::iter::from_fn(mine).map(|bug| caught(&*scenario, bug)).collect::<Vec<_>>()
            };
            let threads = [scope.spawn(work), scope.spawn(work)];
            threads.map(|thread| thread.join().expect("what it asserts holds")).concat()
        });
        let too_many = |most: fn(&Caught) -> bool| {
            caught.iter().filter(|caught| most(caught)).map(|caught| caught.plant).collect()
        };
        let large: Vec<_> = too_many(|caught| caught.decisions > DECISIONS_MAX);
        let lossy: Vec<_> = too_many(|caught| caught.nodes > NODES_MAX);
        assert!(large.len() * 10 <= bugs.len(), "too many large traces: {large:?}");
        assert!(lossy.len() * 20 <= bugs.len(), "too many nodes are lost: {lossy:?}");
    }
}

/// A planted bug that was caught: how small its trace is.
#[derive(Clone)]
struct Caught {
    plant: &'static str,
    decisions: usize,
    nodes: u64,
}

fn caught(scenario: &dyn Scenario, plant: &PlantInfo) -> Caught {
    let found = first_violation(scenario, plan_of(scenario, plant), Some(plant.name), SEEDS)
        .unwrap_or_else(|| panic!("{} is not caught in {SEEDS} seeds", plant.name));
    let mut job = Sweep::new(0..1, plan_of(scenario, plant)).job(found.seed);
    job.plant = Some(plant.name.to_owned());
    let trace = seedbed::record(scenario, &job);
    let law = law_of(&trace);
    assert_eq!(law, found.violation.law, "{}", plant.name);
    assert!(plant.breaks.contains(&law), "{} breaks {law}, which is not declared", plant.name);
    let (decisions, nodes) = replays_and_shrinks(scenario, &trace, plant.name);
    Caught { plant: plant.name, decisions, nodes }
}

/// A plan with one file system.
fn on(mut plan: Plan, profile: Profile) -> Plan {
    plan.disk.profiles = vec![profile];
    plan
}

/// The severity that a plant declares is where it shows, and nothing more realistic shows it.
#[test]
fn every_planted_bug_shows_where_it_is_declared_to_and_not_before() {
    for scenario in seedbed_scenarios::all() {
        for plant in scenario.plants().iter().filter(|plant| !plant.benign) {
            let severity = plant.severity.unwrap_or_else(|| panic!("{} declares none", plant.name));
            let catches = |profile| {
                let plan = on(plan_of(&*scenario, plant), profile);
                first_violation(&*scenario, plan, Some(plant.name), SEEDS).is_some()
            };
            let first = Profile::ALL.into_iter().find(|profile| catches(*profile));
            assert_eq!(first, Some(severity), "{}", plant.name);
        }
    }
}

/// A file system that has given up refuses every write from then on: a store that goes on from
/// memory is caught, one that stops is not blamed.
#[test]
fn a_store_that_goes_on_after_the_file_system_gave_up_is_caught() {
    for profile in [Profile::EXT4, Profile::XFS] {
        let mut plan = on(Plan::preset("crashes").expect("a preset"), profile);
        plan.disk.shutdown_probability = "1/200..1/20".parse().expect("a range");
        let store = seedbed_scenarios::atomic_commit::AtomicCommit;
        assert_eq!(first_violation(&store, plan.clone(), None, SEEDS), None, "{profile}");
        let found = first_violation(&store, plan.clone(), Some("acks_from_memory"), SEEDS);
        let found = found.unwrap_or_else(|| panic!("not caught on {profile}"));
        assert_eq!(found.violation.law, "acknowledged is durable");
    }
}

#[test]
fn benign_twins_stay_silent() {
    for scenario in seedbed_scenarios::all() {
        let plants = scenario.plants();
        let benign: Vec<_> = plants.iter().filter(|plant| plant.benign).collect();
        assert!(benign.len() >= 4, "{} has too few benign twins", scenario.name());
        for plant in benign {
            let alarm =
                first_violation(&*scenario, own_plan(&*scenario), Some(plant.name), BENIGN_SEEDS);
            assert_eq!(alarm, None, "{} is benign: {}", plant.name, plant.about);
        }
    }
}

/// The sync sites that some seeds reach, `file:line`.
pub(crate) fn sync_sites(scenario: &dyn Scenario) -> BTreeSet<String> {
    let crashes = Sweep::new(0..1, Plan::preset("crashes").expect("a preset"));
    let mut sites = BTreeSet::new();
    for seed in 0..60 {
        for event in seedbed::record(scenario, &crashes.job(seed)).events {
            if event.op.starts_with("sync_") {
                sites.extend(event.site.map(|site| site.to_string()));
            }
        }
    }
    sites
}

#[test]
fn a_sync_that_is_left_out_is_caught() {
    for scenario in seedbed_scenarios::all().iter().filter(|scenario| scenario.has_own_syncs()) {
        let scenario: &dyn Scenario = &**scenario;
        let sites = sync_sites(scenario);
        assert!(sites.len() >= 8, "{sites:?}");
        let mut caught = BTreeMap::new();
        for site in &sites {
            let mut plan = own_plan(scenario);
            plan.rules.push(Rule::omit_sync(site));
            let found = first_violation(scenario, plan, None, SEEDS);
            caught.insert(site.clone(), found.map(|found| found.violation.law));
        }
        let missed: Vec<_> = caught.iter().filter(|(_, law)| law.is_none()).collect();
        assert_eq!(missed.len(), 0, "{missed:?} of {caught:?}");
    }
}

/// No law is there for show: each is broken by some plant, under the plan that lets it show. (The
/// laws that every scenario has are looked after in `common_laws`.)
#[test]
fn every_law_is_broken_by_some_plant() {
    for scenario in seedbed_scenarios::all() {
        let mut unbroken: BTreeSet<_> = scenario.laws().iter().map(|law| law.name).collect();
        unbroken.remove(seedbed::LAW_NO_PANIC.name);
        unbroken.remove(seedbed::LAW_LIVE.name);
        // Only exploration judges this one: `explore::bytes_that_recovery_does_not_verify...`.
        unbroken.remove(seedbed::LAW_UNSTABLE.name);
        // What is no step of it breaks AC1 or AC3 with the same event, and those are named first.
        unbroken.remove(seedbed::check::laws::TCOMMIT.name);
        // An assertion of the engine stands before it.
        unbroken.remove(seedbed::check::laws::BUFFER_MIN.name);
        for plan in [scenario.plan(), "none", "bit_rot"] {
            for plant in scenario.plants().iter().filter(|plant| !plant.benign) {
                if !plant.breaks.iter().any(|law| unbroken.contains(law)) {
                    continue;
                }
                let planted = Sweep {
                    plant: Some(plant.name.to_owned()),
                    jobs: 2,
                    violations_max: 60,
                    ..Sweep::new(0..1000, Plan::preset(plan).expect("a preset"))
                };
                for found in sweep(&*scenario, &planted, &Progress::default()).found {
                    unbroken.remove(found.violation.law.as_str());
                }
            }
        }
        assert!(unbroken.is_empty(), "{}: nothing breaks {unbroken:?}", scenario.name());
    }
}
