//! Each limit of a budget is obeyed over many seeds, counted by looking at the world, and each test
//! has a twin without the limit, in which the same world goes beyond it.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::strategy::{BoxedStrategy, Just, Strategy};
use seedbed_env::{Clock, Datagram, File, Fs, Net, OpenOptions, Spawn};
use seedbed_faults::{Budget, Plan};

use super::Tolerance;
use crate::choices::Source;
use crate::node::DOWN;
use crate::testbed::{Failure, Job, Law, Outcome, Scenario, Testbed, Violation};
use crate::world::{Stop, with};
use crate::{CrashKind, FaultKind, Finished, NodeId, Sim, SimEnv};

const SEEDS: u64 = 60;
/// Nodes that work; one more is the driver's.
const NODES: u16 = 4;

const CRASHES: &str = "[node]\ncrash_count = 40\ncrash_after_ops = \"1..30\"\n\
                       [device]\nhang_probability = \"1/50\"\nhang = \"1ms..10ms\"\n";
const DISKS: &str = "[disk]\nwrite_error_probability = \"1/20\"\n\
                     sync_error_probability = \"1/20\"\n\
                     no_space_probability = \"1/20\"\nbackground_probability = \"1/3\"\n\
                     writeback_error_probability = \"1/2\"\nshutdown_probability = \"1/50\"\n\
                     capacity_bytes = 9000\n";
const MEDIA: &str = "[node]\ncrash_count = 20\ncrash_after_ops = \"1..30\"\n\
                     [device]\nmedia_fault_max = 4\nbit_rot_probability = \"1/2\"\n\
                     latent_error_probability = \"1/2\"\nlost_write_probability = \"1/9\"\n\
                     garbage_probability = \"1/2\"\nstale_read_probability = \"1/9\"\n\
                     lying_sync_probability = \"1/9\"\n";
const CUTS: &str = "[net]\npartition_probability = \"1/10\"\npartition = \"5ms..50ms\"\n\
                    swizzle_probability = \"1/60\"\nswizzle = \"5ms..50ms\"\n";

/// What a run came to, by looking at it.
struct Seen {
    down_most: usize,
    cut_off_most: usize,
    finished: Finished,
}

impl Seen {
    /// Nodes with an event that one of these kinds has caused.
    fn nodes_with(&self, kinds: &[FaultKind]) -> usize {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        let struck = self.finished.events.iter().filter(|event| {
            let cause = event.cause.as_deref();
            let junk = kinds.contains(&FaultKind::Garbage) && event.detail.ends_with("junk");
            junk || cause.is_some_and(|cause| names.contains(&cause))
        });
        struck.map(|event| event.node).collect::<BTreeSet<_>>().len()
    }

    fn damaged(&self) -> usize {
        self.nodes_with(&FaultKind::MEDIA)
    }

    fn failed(&self) -> usize {
        let full = |event: &&seedbed_traces::Event| {
            event.outcome == seedbed_traces::Outcome::Failed { code: 28 }
        };
        let full = self.finished.events.iter().filter(full).map(|event| event.node);
        full.collect::<BTreeSet<_>>().len().max(self.nodes_with(&FaultKind::FAILURES))
    }
}

/// Writes, syncs, reads and sends to the others, as long as it lives.
async fn work(env: SimEnv) {
    let me = env.node();
    let here = (me.ip(), 53).into();
    let Ok(socket) = env.bind_datagram(here).await else { return };
    for round in 0_u64.. {
        for to in (1..=NODES).filter(|to| *to != me.0) {
            let _ = socket.send_to(b"hi", (NodeId(to).ip(), 53).into()).await;
        }
        if let Ok(file) = env.open("log", OpenOptions::read_write_create()).await {
            let _ = file.write_all_at(&[7; 600], round * 600).await;
            let _ = file.sync_data().await;
            let _ = file.read_at(&mut [0; 600], 0).await;
        }
        env.sleep(Duration::from_micros(200)).await;
    }
}

fn start(sim: &mut Sim, node: NodeId) {
    let env = sim.boot(node);
    drop(env.spawn(work(env)));
}

fn down() -> usize {
    with(|world| world.nodes[1..world.node_count].iter().filter(|node| node.life == DOWN).count())
}

/// The fewest nodes without which no link is blocked.
fn cut_off() -> usize {
    let blocked = |from: u16, to: u16| with(|world| world.net.is_blocked(from, to, world.now));
    let pairs = (1..=NODES).flat_map(|a| (1..=NODES).map(move |b| (a, b)));
    let links: Vec<_> = pairs.filter(|(a, b)| a != b && blocked(*a, *b)).collect();
    let covers = |set: u32| links.iter().all(|(a, b)| set & (1 << a | 1 << b) != 0);
    let sets = (0..1_u32 << (NODES + 1)).filter(|set| covers(*set));
    sets.map(|set| set.count_ones() as usize).min().unwrap_or(0)
}

/// Some time of nodes that work, crash, and come back later.
fn drive(sim: &mut Sim) -> Result<(usize, usize), Stop> {
    let driver = sim.add_node("driver");
    let nodes: Vec<NodeId> = (0..NODES).map(|n| sim.add_node(&n.to_string())).collect();
    let driver = sim.boot(driver);
    nodes.iter().for_each(|node| start(sim, *node));
    let (mut down_most, mut cut_off_most, mut waiting) = (0, 0, Vec::new());
    for round in 0..150 {
        let nap = sim.start(driver, async move { driver.sleep(Duration::from_millis(1)).await });
        match sim.go_on(&nap) {
            Ok(()) => {}
            Err(Stop::Crashed(node, _)) => waiting.push((round + 5, node)),
            Err(stop) => return Err(stop),
        }
        (down_most, cut_off_most) = (down_most.max(down()), cut_off_most.max(cut_off()));
        for (_, node) in waiting.extract_if(.., |(at, _)| *at <= round) {
            start(sim, node);
        }
    }
    Ok((down_most, cut_off_most))
}

fn plan(text: &str, budget: Budget) -> Plan {
    Plan { budget, ..Plan::from_toml(text, "test").expect("a plan") }
}

fn run(seed: u64, plan: &Plan) -> Seen {
    let mut sim = Sim::with_source(seed, Source::Seed, true);
    sim.apply_plan(plan);
    let (down_most, cut_off_most) = drive(&mut sim).expect("nothing else stops it");
    let hit = with(|world| world.hit());
    assert_eq!(hit.nodes_down_max, Some(down_most as u64), "the world counts what is seen");
    assert!(hit.nodes_cut_off_max >= Some(cut_off_most as u64));
    let finished = sim.finish();
    let seen = Seen { down_most, cut_off_most, finished };
    assert_eq!(hit.nodes_damaged_max, Some(seen.damaged() as u64));
    // A call that hangs has no event of its own.
    assert!(hit.nodes_disk_faults_max >= Some(seen.failed() as u64));
    seen
}

/// The most that was seen in any seed under each of the limits, `None` being the twin.
fn most(text: &str, budget: fn(Option<u64>) -> Budget, seen: fn(&Seen) -> usize) -> [usize; 4] {
    [Some(0), Some(1), Some(2), None].map(|limit| {
        let plan = plan(text, budget(limit));
        (0..SEEDS).map(|seed| seen(&run(seed, &plan))).max().expect("there are seeds")
    })
}

#[test]
fn no_more_nodes_are_down_at_once_than_the_budget_says() {
    let budget = |nodes_down_max| Budget { nodes_down_max, ..Budget::ANY };
    assert_eq!(most(CRASHES, budget, |seen| seen.down_most), [0, 1, 2, 4]);
}

#[test]
fn crashes_that_would_be_too_many_are_put_off_and_not_forgotten() {
    let plan = plan(CRASHES, Budget { nodes_down_max: Some(1), ..Budget::ANY });
    let crashes = |seed| {
        let stats = run(seed, &plan).finished.stats;
        stats.crashes + stats.power_losses
    };
    let crashes: u64 = (0..SEEDS).map(crashes).sum();
    assert!(crashes > 10 * SEEDS, "only {crashes} in {SEEDS} seeds");
}

#[test]
fn no_more_disks_fail_than_the_budget_says() {
    let budget = |nodes_disk_faults_max| Budget { nodes_disk_faults_max, ..Budget::ANY };
    assert_eq!(most(DISKS, budget, Seen::failed), [0, 1, 2, 4]);
}

#[test]
fn no_more_media_are_damaged_than_the_budget_says() {
    let budget = |nodes_damaged_max| Budget { nodes_damaged_max, ..Budget::ANY };
    assert_eq!(most(MEDIA, budget, Seen::damaged), [0, 1, 2, 4]);
}

#[test]
fn no_more_nodes_are_cut_off_at_once_than_the_budget_says() {
    let budget = |nodes_cut_off_max| Budget { nodes_cut_off_max, ..Budget::ANY };
    let [none, one, two, all] = most(CUTS, budget, |seen| seen.cut_off_most);
    assert_eq!((none, one, two), (0, 1, 2));
    assert!(all > 2, "without a limit {all}");
}

#[test]
fn every_node_is_drawn_as_the_victim_in_some_seeds_and_nobody_in_others() {
    let plan = plan("", Budget { nodes_damaged_max: Some(1), ..Budget::ANY });
    let mut drawn = [0; NODES as usize + 1];
    for seed in 0..1_000 {
        let mut sim = Sim::new(seed);
        sim.apply_plan(&plan);
        for n in 0..NODES {
            sim.add_node(&n.to_string());
        }
        let victim = |world: &mut crate::world::World| {
            world.nodes[..world.node_count].iter().position(|node| node.damage.may)
        };
        drawn[with(victim).unwrap_or(NODES as usize)] += 1;
    }
    assert!(drawn.iter().all(|count| (140..260).contains(count)), "{drawn:?}");
}

#[test]
fn a_run_under_a_budget_replays() {
    let budget = Budget {
        nodes_down_max: Some(1),
        nodes_disk_faults_max: Some(1),
        nodes_damaged_max: Some(1),
        nodes_cut_off_max: Some(1),
    };
    for text in [CRASHES, DISKS, MEDIA, CUTS] {
        let plan = plan(text, budget);
        let first = run(3, &plan).finished;
        let mut sim = Sim::with_source(3, Source::Complete(first.decisions.clone().into()), true);
        sim.apply_plan(&plan);
        drive(&mut sim).expect("nothing else stops it");
        assert_eq!(sim.finish(), first);
    }
}

/// An engine that says it cannot go on when its disk was damaged; it survives none of that.
struct OneCopy(Tolerance);

const SERVES: Law = Law { name: "serves", statement: "it serves what it was given" };

impl Testbed for OneCopy {
    type Op = ();

    fn name(&self) -> &'static str {
        "one_copy"
    }

    fn about(&self) -> &'static str {
        "has one copy"
    }

    fn laws(&self) -> &'static [Law] {
        &[SERVES]
    }

    fn tolerates(&self) -> Tolerance {
        self.0
    }

    fn workload(&self) -> BoxedStrategy<Vec<()>> {
        Just(Vec::new()).boxed()
    }

    fn drive(&self, sim: &mut Sim, _ops: &[()], _plant: Option<&str>) -> Result<(), Failure> {
        drive(sim)?;
        match sim.stats().faults_of(&FaultKind::MEDIA) {
            0 => Ok(()),
            _ => Err(Violation::new(SERVES.name, SERVES.statement, "it does not").into()),
        }
    }
}

#[test]
fn a_run_beyond_what_is_tolerated_has_no_verdict_and_any_other_one_has() {
    let job = |seed, budget| Job::new(seed, plan(MEDIA, budget).into());
    let (mut excused, mut passed) = (0, 0);
    let none = Tolerance { nodes_damaged_max: Some(0), ..Tolerance::ANY };
    for seed in 0..20 {
        match OneCopy(none).run(&job(seed, Budget::ANY)).outcome {
            Outcome::Inconclusive(why) => {
                assert!(why.contains("with damaged media, where it survives none"), "{why}");
                excused += 1;
            }
            other => assert_eq!(other, Outcome::Passed),
        }
        let judged = OneCopy(Tolerance::ANY).run(&job(seed, Budget::ANY)).outcome;
        passed += u32::from(judged == Outcome::Passed);
        assert!(matches!(judged, Outcome::Passed | Outcome::Violation(_)), "{judged:?}");
        let within = Budget { nodes_damaged_max: Some(0), ..Budget::ANY };
        assert_eq!(OneCopy(none).run(&job(seed, within)).outcome, Outcome::Passed);
    }
    assert!(excused > 10 && passed < 10, "{excused} were excused, {passed} undamaged");
}

#[test]
fn a_driver_and_rules_are_not_bound_by_a_budget() {
    let mut sim = Sim::new(1);
    sim.apply_plan(&plan("", Budget::NONE));
    let node = sim.add_node("n");
    sim.boot(node);
    sim.crash(node, CrashKind::PowerLoss);
    drop(sim);
    let text = "[[rule]]\non = \"sync_data\"\nthen = \"crash\"\n";
    let rules = plan(text, Budget::NONE);
    assert_eq!(run(1, &rules).down_most, 4);
}
