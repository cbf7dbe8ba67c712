//! What is told of a sweep besides its laws, on a testbed of two nodes with a plan of its own.

use std::time::Duration;

use seedbed::proptest::strategy::{BoxedStrategy, Just, Strategy};
use seedbed::seam::{Clock, Fs};
use seedbed::{Failure, Law, NodeId, Sim, SimEnv, Stop, Testbed};
use seedbed_cli::{Cli, Exit};

use crate::Ran;

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

    fn plan(&self) -> &'static str {
        "crashes"
    }

    fn workload(&self) -> BoxedStrategy<Vec<()>> {
        Just(vec![(); 3]).boxed()
    }

    fn drive(&self, sim: &mut Sim, _ops: &[()], _plant: Option<&str>) -> Result<(), Failure> {
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
        let _ = env.create_dir(&round.to_string()).await;
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
