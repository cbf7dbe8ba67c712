//! The load, in the simulated world: the clock is exact, so is what is said of it.

use seedbed::faults::Timing;
use seedbed_hardware::{Costs, Engine, Failed, Simulated, Workload, simulate};

const MS: u64 = 1_000_000;

fn slow(workload: &Workload) -> Simulated {
    let timing = Timing::preset("fsync_300ms").expect("a preset");
    simulate(workload, &timing, Costs::default(), 0).expect("it works")
}

fn immediate(operations: u64) -> Workload {
    let durability = "immediate".parse().expect("a mode");
    Workload { durability, operations, ..Workload::default() }
}

#[test]
fn a_commit_takes_a_sync() {
    let one = slow(&immediate(20));
    assert!((300 * MS..302 * MS).contains(&one.latency.p50_ns), "{one:?}");
    assert!((20 * 300 * MS..20 * 302 * MS).contains(&one.elapsed_ns), "{one:?}");
    // Those of a group share it.
    let group = Workload { clients: 16, operations: 160, ..Workload::default() };
    let group = slow(&group);
    assert!(group.latency.p50_ns < 2 * 302 * MS && group.elapsed_ns < 25 * 302 * MS, "{group:?}");
}

#[test]
fn the_same_workload_has_the_same_figures_to_the_last_unit() {
    for engine in Engine::ALL {
        let workload = Workload { engine, window: 100, operations: 2000, ..Workload::default() };
        let timing = Timing::preset("nvme").expect("a preset");
        let (call_ns, operation_ns, byte_ns, message_ns) = (1e3, 500.0, 0.5, 1e4);
        let costs = Costs { call_ns, operation_ns, byte_ns, message_ns, ..Costs::default() };
        let run = |seed| simulate(&workload, &timing, costs, seed).expect("it works");
        assert_eq!(run(1), run(1), "{}", engine.name());
        assert_ne!(run(1).elapsed_ns, run(2).elapsed_ns, "{}", engine.name());
        assert!(run(1).counters["syncs"] > 0 && run(1).counters["written_bytes"] > 2000 * 1024);
    }
}

#[test]
fn what_arrives_while_the_engine_is_behind_counts_from_when_it_arrived() {
    // Ten arrive in a second, three can be done.
    let open = slow(&Workload { rate: 10, ..immediate(30) });
    let last = open.elapsed_ns - 3000 * MS;
    assert!(open.latency.max_ns.abs_diff(last) < 200 * MS, "{open:?}");
    assert!(open.latency.p50_ns > 2000 * MS, "half of them wait for seconds: {open:?}");
    // Those that hold back do not see that, which is the mistake.
    let closed = slow(&immediate(30));
    assert!(closed.latency.max_ns < 302 * MS, "{closed:?}");
    // Where the engine keeps up nobody waits.
    let calm = slow(&Workload { rate: 2, ..immediate(10) });
    assert!(calm.latency.max_ns < 302 * MS, "{calm:?}");
}

/// A source that is held back by a full buffer notices all the same when its rows are durable.
#[test]
fn who_is_always_behind_sees_operations_end_when_they_end() {
    let timing = Timing::preset("nvme").expect("a preset");
    let costs = Costs { byte_ns: 10.0, ..Costs::default() };
    let (rate, operations) = (1_000_000_000, 40_000);
    let workload = Workload { engine: Engine::Sink, rate, operations, ..Workload::default() };
    let all = simulate(&workload, &timing, costs, 0).expect("it works");
    // All are due at once, so the half of them that ends first has waited for half of the time.
    let (p50, elapsed) = (all.latency.p50_ns, all.elapsed_ns);
    assert!(p50 < elapsed / 4 * 3, "{p50} of {elapsed}");
}

#[test]
fn costs_are_found_again() {
    let timing = Timing::preset("nvme").expect("a preset");
    let none = "none".parse().expect("a mode");
    let base = Workload { durability: none, operations: 500, ..Workload::default() };
    let takes = |window, costs| {
        let simulated = simulate(&Workload { window, ..base.clone() }, &timing, costs, 0);
        let simulated = simulated.expect("it works");
        simulated.elapsed_ns as f64 / simulated.operations as f64
    };
    let calls = Costs { call_ns: 10_000.0, ..Costs::default() };
    let takes_one = takes(1, calls);
    assert!((9_990.0..11_000.0).contains(&takes_one), "{takes_one}");
    assert!(takes(100, calls) < 200.0, "a group shares the call");
    let operations = Costs { operation_ns: 5_000.0, ..Costs::default() };
    for window in [1, 100] {
        let takes = takes(window, operations);
        assert!((4_700.0..5_700.0).contains(&takes), "{window}: {takes}");
    }
    let wakes = Costs { wake_ns: 5_000.0, ..Costs::default() };
    let woken = [1, 100].map(|window| takes(window, wakes));
    assert!((4_700.0..5_700.0).contains(&woken[0]), "each is woken for: {woken:?}");
    assert!(woken[1] < 200.0, "a window shares the waking: {woken:?}");
}

#[test]
fn a_sync_takes_what_is_beyond_the_disk_as_well() {
    let timing = Timing::preset("nvme").expect("a preset");
    let takes = |sync_ns| {
        let costs = Costs { sync_ns, ..Costs::default() };
        simulate(&immediate(200), &timing, costs, 0).expect("it works").latency.p50_ns
    };
    let longer = takes(70_000.0) - takes(0.0);
    assert!((69_000..71_000).contains(&longer), "{longer}");
}

#[test]
fn nonsense_is_refused() {
    let timing = Timing::preset("nvme").expect("a preset");
    let refused = |workload: Workload| simulate(&workload, &timing, Costs::default(), 0).err();
    let why = refused(Workload { clients: 0, ..Workload::default() });
    assert_eq!(why, Some(Failed::Machine("clients is 0: 1 to 4096".to_owned())));
    let why = refused(Workload { engine: Engine::Sink, clients: 2, ..Workload::default() });
    assert!(matches!(why, Some(Failed::Machine(why)) if why.contains("one source")));
}
