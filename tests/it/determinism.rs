//! Same seed, same digest: twice in one process, on one thread and on several, recorded and not.
//! And the must-fail twin: an engine that leaks the real world is found out, with the first event
//! that differs. (Debug against release, and process against process, are compared by `.ci/run`.)

use std::io;

use proptest::strategy::{BoxedStrategy, Just, Strategy};
use seedbed::faults::Plan;
use seedbed::seam::cpu::{CpuMeter, CpuOptions};
use seedbed::seam::{File, Fs, OpenOptions};
use seedbed::traces::Diff;
use seedbed::{Failure, Law, Progress, Scenario, Sim, SimEnv, Sweep, Testbed, sweep};

/// A sweep under a scenario's own plan.
fn own(scenario: &dyn Scenario, seeds: u64) -> Sweep {
    Sweep::new(0..seeds, Plan::preset(scenario.plan()).expect("a preset"))
}

#[test]
fn a_seed_run_twice_is_the_same_run() {
    for scenario in seedbed_scenarios::all() {
        let sweep_twice = Sweep { check_every: 1, ..own(&*scenario, 200) };
        let swept = sweep(&*scenario, &sweep_twice, &Progress::default());
        assert_eq!((swept.seeds, swept.found), (200, vec![]), "{}", scenario.name());
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for scenario in seedbed_scenarios::all() {
        let one = sweep(&*scenario, &own(&*scenario, 300), &Progress::default());
        for jobs in [2, 5] {
            let many =
                sweep(&*scenario, &Sweep { jobs, ..own(&*scenario, 300) }, &Progress::default());
            assert_eq!(many, one, "{} on {jobs} threads", scenario.name());
        }
    }
}

#[test]
fn a_sweep_that_stops_early_reports_the_same_on_any_number_of_threads() {
    for scenario in seedbed_scenarios::all() {
        let plant = scenario.plants().iter().find(|plant| !plant.benign).map(|p| p.name.to_owned());
        let planted = Sweep { plant, violations_max: 2, ..own(&*scenario, 2000) };
        let one = sweep(&*scenario, &planted, &Progress::default());
        assert_eq!(one.found.len(), 2, "{}", scenario.name());
        let many = sweep(&*scenario, &Sweep { jobs: 3, ..planted }, &Progress::default());
        assert_eq!(many, one);
    }
}

/// The thread's clocks are read at every slice of the engines' classes, and change nothing.
#[test]
fn accounting_for_a_run_does_not_change_it() {
    for scenario in seedbed_scenarios::all() {
        for seed in 0..50 {
            let job = own(&*scenario, 1).job(seed);
            let plain = scenario.run(&job).finished.digest;
            let meter = CpuMeter::start(CpuOptions::default()).expect("no other");
            assert_eq!(scenario.run(&job).finished.digest, plain, "seed {seed}");
            let report = meter.report();
            assert!(report.classes.iter().any(|usage| usage.slices > 0), "{report}");
        }
    }
}

#[test]
fn recording_a_run_does_not_change_it() {
    for scenario in seedbed_scenarios::all() {
        for seed in 0..50 {
            let job = own(&*scenario, 1).job(seed);
            let plain = scenario.run(&job).finished.digest;
            assert_eq!(seedbed::record(&*scenario, &job).end.digest, plain, "seed {seed}");
        }
    }
}

#[test]
fn a_trace_replays_to_itself_and_a_changed_one_diverges_where_it_was_changed() {
    for scenario in seedbed_scenarios::all() {
        let mut trace = seedbed::record(&*scenario, &own(&*scenario, 1).job(7));
        let replayed = seedbed::replay(&*scenario, &trace).expect("a plan of ours");
        assert!(replayed.is_same(), "{:?}", replayed.diff);
        let changed = trace.decisions.len() / 2;
        trace.decisions[changed].bound += 1;
        let replayed = seedbed::replay(&*scenario, &trace).expect("a plan of ours");
        let divergence = replayed.divergence.expect("it diverges");
        assert_eq!(divergence.decision, changed as u64);
    }
}

#[test]
fn different_seeds_are_different_runs() {
    for scenario in seedbed_scenarios::all() {
        let digests: std::collections::BTreeSet<_> = (0..100)
            .map(|seed| scenario.run(&own(&*scenario, 1).job(seed)).finished.digest.0[0])
            .collect();
        assert_eq!(digests.len(), 100, "{}", scenario.name());
    }
}

/// What the leaking engine leaks.
#[derive(Clone, Copy, Debug)]
enum Leak {
    /// The order of a map with a random hasher.
    MapOrder,
    /// The real clock.
    RealClock,
    /// Nothing: the twin that must pass.
    Nothing,
}

/// Writes a few numbers to a file, in an order or with a time stamp from outside the simulation.
struct Leaky(Leak);

#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the planted leaks")]
fn bytes_of(leak: Leak) -> Vec<u8> {
    match leak {
        Leak::MapOrder => {
            let map: std::collections::HashMap<u8, u8> = (0..32).map(|n| (n, n)).collect();
            map.into_keys().collect()
        }
        Leak::RealClock => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(0, |since| since.as_nanos()).to_le_bytes().to_vec()
        }
        Leak::Nothing => (0..32).collect(),
    }
}

async fn write_bytes(env: SimEnv, leak: Leak) -> io::Result<()> {
    let file = env.open("leak", OpenOptions::read_write_create()).await?;
    file.write_all_at(&bytes_of(leak), 0).await?;
    file.sync_all().await
}

impl Testbed for Leaky {
    type Op = ();

    fn name(&self) -> &'static str {
        "leaky"
    }

    fn about(&self) -> &'static str {
        "an engine that asks the real world"
    }

    fn laws(&self) -> &'static [Law] {
        &[]
    }

    fn workload(&self) -> BoxedStrategy<Vec<()>> {
        Just(Vec::new()).boxed()
    }

    fn drive(&self, sim: &mut Sim, _ops: &[()], _plant: Option<&str>) -> Result<(), Failure> {
        let node = sim.add_node("node");
        let env = sim.boot(node);
        let done = sim.run(env, write_bytes(env, self.0))?;
        done.map_err(|error| Failure::Inconclusive(error.to_string()))
    }
}

fn check_leak(leak: Leak) -> Vec<seedbed::Found> {
    let none = Plan::preset("none").expect("a preset");
    let checked = Sweep { check_every: 1, ..Sweep::new(0..10, none) };
    sweep(&Leaky(leak), &checked, &Progress::default()).found
}

#[test]
fn an_engine_that_leaks_is_reported_with_the_first_event_that_differs() {
    for leak in [Leak::MapOrder, Leak::RealClock] {
        let found = check_leak(leak);
        let violation = &found.first().expect("found out").violation;
        assert_eq!(violation.law, seedbed::LAW_DETERMINISTIC.name);
        assert!(violation.got.contains("write"), "{leak:?}: {}", violation.got);
    }
}

#[test]
fn an_engine_that_does_not_leak_is_not_reported() {
    assert_eq!(check_leak(Leak::Nothing), []);
}

#[test]
fn the_first_difference_of_two_leaky_runs_is_an_event() {
    let none = Plan::preset("none").expect("a preset");
    let job = Sweep::new(0..1, none).job(0);
    let leaky = Leaky(Leak::MapOrder);
    let (a, b) = (seedbed::record(&leaky, &job), seedbed::record(&leaky, &job));
    let Diff::Event { left, right, .. } = seedbed::traces::diff(&a, &b) else {
        panic!("32 numbers came in the same random order twice");
    };
    assert_ne!(left, right);
}

/// A scenario runs the same on a thread that has run others before, whose allocations it reuses.
#[test]
fn a_world_does_not_remember_the_one_before() {
    for scenario in seedbed_scenarios::all() {
        let job = own(&*scenario, 1).job(3);
        let fresh = std::thread::scope(|scope| {
            scope.spawn(|| scenario.run(&job).finished).join().expect("no panic")
        });
        (0..20).for_each(|seed| drop(scenario.run(&own(&*scenario, 1).job(seed))));
        assert_eq!(scenario.run(&job).finished, fresh, "{}", scenario.name());
    }
}
