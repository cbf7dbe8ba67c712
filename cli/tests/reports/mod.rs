//! What is told of a sweep besides its laws, on a testbed of two nodes with a plan of its own.

use std::time::Duration;

use seedbed::proptest::strategy::{BoxedStrategy, Just, Strategy};
use seedbed::seam::{Clock, Fs};
use seedbed::{Failure, Law, NodeId, Sim, SimEnv, Stop, Testbed, Tolerance};
use seedbed_cli::{Cli, Exit};
use serde_json::Value;

use crate::Ran;

seedbed::seam::probes! {
    /// What a sweep of it should come to.
    Done, "a folder is made";
    Never, "a folder is made twice";
}

/// Two nodes that make folders, crash and come back after a while.
struct Pair;

impl Testbed for Pair {
    type Op = ();

    fn name(&self) -> &'static str {
        "pair"
    }

    fn about(&self) -> &'static str {
        "two nodes that make folders"
    }

    fn laws(&self) -> &'static [Law] {
        &[]
    }

    fn probes(&self) -> Vec<&'static str> {
        Probe::ALL.iter().map(|probe| probe.name()).collect()
    }

    fn plan(&self) -> &'static str {
        "crashes"
    }

    fn tolerates(&self) -> Tolerance {
        Tolerance { nodes_down_max: Some(1), ..Tolerance::ANY }
    }

    fn workload(&self) -> BoxedStrategy<Vec<()>> {
        Just(vec![(); 3]).boxed()
    }

    fn drive(&self, sim: &mut Sim, ops: &[()], _plant: Option<&str>) -> Result<(), Failure> {
        let driver = sim.add_node("driver");
        let nodes = [sim.add_node("a"), sim.add_node("b")];
        let driver = sim.boot(driver);
        nodes.iter().for_each(|node| start(sim, *node));
        let mut down: Vec<NodeId> = Vec::new();
        for _ in 0..60 {
            let nap =
                sim.start(driver, async move { driver.sleep(Duration::from_millis(1)).await });
            match sim.go_on(&nap) {
                Ok(()) if sim.choose("pair.boot", 2) == 0 => {
                    down.drain(..).for_each(|node| start(sim, node));
                }
                Ok(()) => {}
                Err(Stop::Crashed(node, _)) => down.push(node),
                Err(stop) => return Err(stop.into()),
            }
        }
        sim.time_checker("folders", ops.len(), || std::hint::black_box(ops).len());
        Ok(())
    }
}

fn start(sim: &mut Sim, node: NodeId) {
    let env = sim.boot(node);
    drop(sim.start(env, work(env)));
}

async fn work(env: SimEnv) {
    for round in 0.. {
        // What is there already stays there.
        let made = env.create_dir(&round.to_string()).await;
        Probe::Done.sometimes(made.is_ok());
        Probe::Never.sometimes(made.is_ok() && round > 1_000_000);
        let _ = env.sync_dir("").await;
    }
}

fn run(line: &str) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cli = Cli::new("seedbed").scenarios(vec![Box::new(Pair)]);
    let exit = cli.run_with(line.split_whitespace(), &mut out, &mut err);
    Ran { exit, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

#[test]
fn a_scenario_is_swept_under_its_own_plan_unless_another_is_asked_for() {
    let plan = |line: &str| run(line).expect(Exit::Fine, &[]).json()["plan"].clone();
    assert_eq!(plan("run pair --seeds 5 --json"), "crashes");
    assert_eq!(plan("run pair --seeds 5 --json --faults none"), "none");
    let main = run("--seeds 5 --json").expect(Exit::Fine, &[]).json();
    assert_eq!(main["scenarios"][0]["plan"], "crashes");
    let main = run("--seeds 5 --json --faults net").expect(Exit::Fine, &[]).json();
    assert_eq!(main["scenarios"][0]["plan"], "net");
    run("list").expect(Exit::Fine, &["unless --faults names one: crashes"]);
    run("replay --scenario pair --seed 3").expect(Exit::Fine, &["all laws held"]);
}

#[test]
fn probes_that_a_sweep_never_reached_are_named() {
    let texts = ["of 9 probes reached in 50 seeds; never:", "\n  a folder is made twice\n"];
    let ran = run("run pair --seeds 50").expect(Exit::Fine, &texts);
    assert!(!ran.out.contains("\n  a folder is made\n"), "{}", ran.out);
    assert!(!ran.out.contains("all nodes are down"), "it is reached: {}", ran.out);
    let texts = ["error:", "--require-probes", "a folder is made twice", "more --seeds"];
    let ran = run("run pair --seeds 50 --require-probes").expect(Exit::Violation, &texts);
    assert!(ran.out.contains("required probes were never reached"), "{}", ran.out);
    let ran = run("run pair --seeds 50 --require-probes -q").expect(Exit::Violation, &texts);
    assert_eq!(ran.out, "");
    assert_eq!(run("run pair --seeds 50 -q").expect(Exit::Fine, &[]).out, "");
    let json = run("run pair --seeds 50 --json --require-probes").expect(Exit::Violation, &[]);
    let json = json.json();
    assert_eq!(json["probes"]["a folder is made twice"], 0);
    assert!(json["probes"]["a folder is made"].as_u64().unwrap() > 50);
    assert_eq!((&json["exit_code"], json["probes"].as_object().unwrap().len()), (&1.into(), 9));
}

#[test]
fn a_plan_file_may_require_probes() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("p.toml");
    std::fs::write(&plan, "[run]\nseeds = 3\nrequire_probes = true\n").unwrap();
    run(&format!("run pair --faults {}", plan.display()))
        .expect(Exit::Violation, &["never:", "world: all nodes are down at once"]);
}

#[test]
fn what_checkers_cost_is_told_and_counted_on_any_number_of_threads() {
    let texts = ["checkers of pair", "ns/event", "% of CPU time", "folders"];
    run("run pair --seeds 50").expect(Exit::Fine, &texts);
    for jobs in [1, 3] {
        let json = run(&format!("run pair --seeds 50 --json --jobs {jobs}")).json();
        let cost = &json["checkers"][0];
        assert_eq!((&cost["name"], &cost["events"]), (&"folders".into(), &150.into()));
        let share = cost["share"].as_f64().unwrap();
        assert!(share > 0.0 && share < 1.0, "{share}");
    }
}

#[test]
fn a_plan_that_goes_beyond_what_is_tolerated_is_said_to_before_the_sweep() {
    let texts = [
        "pair: the plan crashes goes beyond what it must survive:",
        "any number of nodes down at once, where it survives 1 node",
        "no impossible world is called a bug",
    ];
    run("run pair --seeds 5").expect(Exit::Fine, &texts);
    let json = run("run pair --seeds 50 --json").expect(Exit::Fine, &[]).json();
    assert_eq!(json["beyond"].as_array().unwrap().len(), 1);
    let second = "world: a node goes down while another is down";
    assert!(json["probes"][second].as_u64().unwrap() > 0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    std::fs::write(&path, "[node]\ncrash_count = 12\n[budget]\nnodes_down_max = 1\n").unwrap();
    let line = format!("run pair --seeds 50 --faults {}", path.display());
    assert_eq!(run(&line).expect(Exit::Fine, &[]).err, "");
    let json = run(&format!("{line} --json")).expect(Exit::Fine, &[]).json();
    assert_eq!((&json["beyond"], &json["probes"][second]), (&Value::Array(vec![]), &0.into()));
    assert!(json["stats"]["crashes"].as_u64().unwrap() > 50);
}
